"""The stages of a study. Each takes the run directory and the configuration, and leaves one file.

A stage whose result is there, made with the same settings, is not run again; one made with other
settings is refused with the difference named.
"""

import logging
import time
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.fooling import fooling_rates
from analysis.gram import Where
from analysis.perturbations import Perturbations
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    SpectrumResult,
    load_result,
    save_result,
)
from analysis.shared import shared_directions
from analysis.survey import Survey, joined, no_better_than_guessing, placed_batches, survey
from analysis.sweep import dimension_sweep, norm_sweep, random_families
from boundary.collect import changed_settings, collect_normals, collection_settings
from boundary.errors import InputError, StoreError
from boundary.images import sha256_of_ids
from boundary.points import Status
from boundary.ranks import Ranks
from boundary.store import COLUMNS, NormalsStore
from figures.report import write_report
from study.config import DIMENSION, StudyConfig
from study.run import RunDirectory
from study.subject import Subject, device_named, untrained_classifier

_log = logging.getLogger(__name__)

EXAMPLES = 6
"""Images shown with and without a perturbation."""


def collect(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Survey the images, and collect the boundary points of those chosen for it.

    Raises:
        InputError: If not one boundary point was found.
    """
    begun = time.monotonic()
    known = run.ranks.from_first(run.result("collect").exists)
    seen = None if known else _survey_everything(subject, config, run.ranks)
    store = collect_normals(
        subject.classifier,
        subject.images,
        run.normals,
        positions=subject.collecting.tolist(),
        batch_size=subject.batch_size,
        ranks=run.ranks,
        progress=True,
        **asdict(config.search),
    )
    if not run.ranks.first:
        return
    settings = {
        "normals": store.settings,
        "accuracy_images": config.accuracy_images,
        "seed": config.seed,
    }
    if run.is_done("collect", settings) or seen is None:
        return
    if not store.on_boundary.any():
        ends = Counter(Status(status).name.lower() for status in store.column("status"))
        said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in ends.items())
        raise InputError(
            f"no boundary point was found for any of {len(store)} images ({said}); check that the "
            "model can be differentiated (no torch.no_grad, no numpy inside) and its input range, "
            "and collect in a new directory."
        )
    unreadable = tuple(sorted({*seen.unreadable, *map(": ".join, store.unreadable)}))
    if unreadable:
        _log.warning("%d images could not be read, first %s", len(unreadable), unreadable[0])
    recorded = {field.name for field in fields(CollectionResult)}
    result = CollectionResult(
        images=len(subject.images),
        classes=seen.classes,
        judged=seen.labelled,
        correct=seen.correct,
        mean_image_norm=float(seen.norms.mean()),
        unreadable=unreadable,
        **{name: store.column(name) for name in COLUMNS if name in recorded},
    )
    save_result(run.result("collect"), result, settings)
    _record(run, "collect", begun, _device(subject))


def untrained(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Collect the boundary points of the same images for untrained networks, a null model."""
    if not config.untrained:
        return
    begun = time.monotonic()
    for draw in range(config.untrained):
        network, not_reset = untrained_classifier(config, subject, draw)
        collect_normals(
            network,
            subject.images,
            run.untrained(draw),
            positions=subject.collecting.tolist(),
            batch_size=subject.batch_size,
            ranks=run.ranks,
            progress=True,
            title=f"untrained network {draw + 1} of {config.untrained}",
            **asdict(config.search),
        )
    if run.ranks.first and run.not_reset() is None:
        if not_reset:
            _log.warning(
                "%d parameters of the untrained networks keep their trained values, first `%s`: "
                "their layers have no reset_parameters.",
                len(not_reset),
                not_reset[0],
            )
        run.keep_not_reset(not_reset)
        _record(run, "untrained", begun, _device(subject))


def spectrum(run: RunDirectory, config: StudyConfig, *, redo: bool = False) -> None:
    """Take the singular spectrum of the normals, its nulls, and what other images share.

    Raises:
        StoreError: If the untrained networks have not been collected.
        InputError: If there are too few normals for what is asked.
    """
    begun = time.monotonic()
    run.ranks.wait()
    settings = {
        "collect": run.identity("collect"),
        "seed": config.seed,
        "untrained": config.untrained,
        **asdict(config.spectrum),
    }
    if run.ranks.from_first(lambda: run.is_done("spectrum", settings, redo=redo)):
        return
    store = run.ranks.from_first(lambda: NormalsStore.open(run.normals))
    store.verify(run.ranks)
    used = store.on_boundary
    options = asdict(config.spectrum)
    where = Where(
        device=str(device_named(config.device)),
        float32=options.pop("float32"),
        ranks=run.ranks,
        progress=True,
    )
    networks = [run.untrained_normals(draw) for draw in range(config.untrained)]
    result = shared_directions(
        store.normals(),
        store.column("source")[used],
        store.column("target")[used],
        store.shape,
        untrained=networks,
        not_reset=run.not_reset() or (),
        left_out=int((~used).sum()),
        seed=config.seed,
        where=where,
        scratch=run.path,
        **options,
    )
    if run.ranks.first:
        if result.networks_left_out:
            _log.warning(
                "%d of %d untrained networks gave fewer than half as many normals as the trained "
                "one, and are left out of their null.",
                result.networks_left_out,
                len(networks),
            )
        save_result(run.result("spectrum"), result, settings)
        _record(run, "spectrum", begun, where.device)


def fooling(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Measure the fooling rates of random perturbations on images that made no normal."""
    begun = time.monotonic()
    settings = {
        "spectrum": run.identity("spectrum"),
        "images": sha256_of_ids([subject.images.ids[i] for i in subject.evaluating]),
        "seed": config.seed,
        **asdict(config.fooling),
    }
    _require_same_subject(run, config, subject)
    if run.is_done("fooling", settings, redo=redo):
        return
    collection = load_result(run.result("collect"), CollectionResult)
    normals = load_result(run.result("spectrum"), SpectrumResult)
    reference = config.fooling.reference * collection.mean_image_norm
    dimension = _reference_dimension(config, normals)
    families = _families(config, collection, normals, reference, dimension)
    clean = survey(
        subject.classifier, subject.images, subject.evaluating, batch_size=subject.batch_size
    )
    batches = placed_batches(
        subject.classifier, subject.images, subject.evaluating, subject.batch_size
    )
    result = FoolingResult(
        rates=tuple(
            fooling_rates(
                subject.classifier, batches, families, images=len(clean.ids), progress=True
            )
        ),
        examples=_examples(subject, families, reference, dimension),
        image_ids=clean.ids,
        predictions=clean.predictions,
        labels=clean.labels,
        class_names=subject.class_names,
        mean_image_norm=collection.mean_image_norm,
        reference_norm=reference,
        reference_dimension=dimension,
        median_margin=collection.median_margin,
        seed=config.seed,
    )
    save_result(run.result("fooling"), result, settings)
    _record(run, "fooling", begun, _device(subject))


def report(run: RunDirectory, *, redo: bool = False) -> None:
    """Draw the figures and write the report from the saved results.

    Raises:
        StoreError: If a result is missing, damaged, or made from another than is there.
    """
    outdated = run.out_of_date()
    if outdated:
        raise StoreError(outdated)
    results = [run.finished(stage) for stage in ("collect", "spectrum", "fooling")]
    newest = max(path.stat().st_mtime for path in results)
    if redo or not run.report.exists() or run.report.stat().st_mtime < newest:
        write_report(run.path)
        run.record_stage("report", {})


def _survey_everything(subject: Subject, config: StudyConfig, ranks: Ranks) -> Survey:
    """Return a look at all images, or at a seeded choice where there are very many."""
    chosen = np.random.default_rng(config.seed).permutation(len(subject.images))
    own = chosen[: config.accuracy_images][ranks.rank :: ranks.count]
    part = (
        survey(
            subject.classifier,
            subject.images,
            own,
            batch_size=subject.batch_size,
            progress=ranks.first,
        )
        if len(own)
        else None
    )
    seen = joined([found for found in ranks.gather(part) if found is not None])
    if ranks.first and no_better_than_guessing(seen.correct, seen.labelled, seen.classes):
        _log.warning(
            "%d of %d images are classified correctly, no better than guessing among %d classes; "
            "check that the model takes images in [0, 1] with its normalisation inside, and that "
            "its classes are in the order of the labels (--classes).",
            seen.correct,
            seen.labelled,
            seen.classes,
        )
    return seen


def _reference_dimension(config: StudyConfig, normals: SpectrumResult) -> int:
    if config.fooling.dimension is not None:
        return config.fooling.dimension
    spectrum = normals.spectrum
    most = min(spectrum.count // 2, spectrum.dimension // 4, len(spectrum.directions))
    return max(1, min(DIMENSION, most))


def _families(
    config: StudyConfig,
    collection: CollectionResult,
    normals: SpectrumResult,
    reference_norm: float,
    reference_dimension: int,
) -> list[Perturbations]:
    options = config.fooling
    available = len(normals.spectrum.directions)
    return random_families(
        normals.spectrum,
        normals.image_shape,
        norms=norm_sweep(
            options.norms, collection.mean_image_norm, collection.median_margin, reference_norm
        ),
        dimensions=dimension_sweep(options.dimensions, available, reference_dimension),
        reference_norm=reference_norm,
        reference_dimension=reference_dimension,
        draws=options.draws,
        seed=config.seed,
    )


def _examples(
    subject: Subject, families: list[Perturbations], norm: float, dimension: int
) -> Examples:
    """Return the first images, perturbed by the first draw of each family at a norm, clipped."""
    classifier = subject.classifier
    batch = subject.images.read(subject.evaluating[:EXAMPLES])
    clean = classifier.place(batch.images)
    shown = {
        family.family: family
        for family in families
        if family.norm == norm
        and (family.family == "sphere" or family.subspace_dimension == dimension)
    }
    perturbed = [
        (clean + classifier.place(family.vectors[0])).clamp(*classifier.bounds)
        for family in shown.values()
    ]
    return Examples(
        clean=clean.float().cpu().numpy(),
        predictions=classifier.predict(clean).cpu().numpy(),
        perturbed=torch.stack(perturbed).float().cpu().numpy(),
        perturbed_predictions=np.stack([classifier.predict(p).cpu().numpy() for p in perturbed]),
        families=tuple(shown),
        norm=norm,
    )


def _require_same_subject(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    settings = collection_settings(
        subject.classifier, subject.images, subject.collecting, asdict(config.search)
    )
    changed = changed_settings(NormalsStore.open(run.normals), settings)
    if changed:
        raise StoreError(
            f"the model and the images should be those of the normals in `{run.normals}`. Found "
            f"{'; '.join(changed)}; collect again in another directory."
        )


def identities(config: StudyConfig, subject: Subject) -> dict[str, Any]:
    """Return what a study is about, for its record."""
    ids = subject.images.ids
    return {
        "model": {
            "name": subject.model.name,
            "spec": subject.model.spec,
            "sha256": subject.model.sha256,
        },
        "images": {
            "name": Path(subject.images.spec).name,
            "spec": subject.images.spec,
            "count": len(ids),
            "sha256 of the ids": sha256_of_ids(ids),
            "collected": len(subject.collecting),
            "evaluated": len(subject.evaluating),
        },
        "seed": config.seed,
        "float32": {
            "matmul": torch.get_float32_matmul_precision(),
            "tf32 in convolutions": torch.backends.cudnn.allow_tf32,
        },
    }


def _record(run: RunDirectory, stage: str, begun: float, device: str) -> None:
    facts = {"seconds": round(time.monotonic() - begun, 1), "device": device}
    run.record_stage(stage, {**facts, "processes": run.ranks.count})


def _device(subject: Subject) -> str:
    device = subject.classifier.device or torch.device("cpu")
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
