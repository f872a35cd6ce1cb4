"""The stage of fooling rates, and what it shares with that of universal perturbations.

Several processes share the images; the perturbations are made by the first, or by each alike.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.baselines import (
    displacement_sum,
    gradient_sign,
    mean_image,
    single_displacements,
    singular_pairs,
)
from analysis.fooling import FoolingRate, fooling_rates, joined_rates
from analysis.gram import Where
from analysis.perturbation_files import load_perturbations, save_perturbations
from analysis.perturbations import Perturbations
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.rivals import UNTRAINED, rival_spectra
from analysis.saved import load_result, save_result
from analysis.survey import placed_batches, survey
from analysis.sweep import dimension_sweep, norm_sweep, random_families
from boundary.collect import changed_settings, collection_settings
from boundary.errors import InputError, StoreError
from boundary.images import sha256_of_ids
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import Subject, device_named

_log = logging.getLogger(__name__)

EXAMPLES = 6
"""Images shown with and without a perturbation."""


def fooling(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Measure the fooling rates of all families, on images that made none and that made them."""
    begun = time.monotonic()
    loaded = run.ranks.from_first(lambda: _from_files(config.fooling.files, subject.images.shape))
    settings = run.ranks.from_first(
        lambda: {
            "universal": run.identity("universal"),
            **judging(config, subject),
            "untrained": config.untrained,
            **asdict(config.fooling),
            "files": {family.family: _sha256(family) for family in loaded},
        }
    )
    run.ranks.from_first(lambda: require_same_subject(run, config, subject))
    if run.ranks.from_first(lambda: run.is_done("fooling", settings, redo=redo)):
        return
    collection, normals = basis(run)
    made = load_result(run.result("universal"), UniversalResult)
    reference, dimension = made.reference_norm, made.reference_dimension
    families = _families(run, config, subject, collection, normals, made, loaded)
    at_every_norm = [
        family
        for family in families
        if family.subspace_dimension in {dimension, normals.spectrum.dimension}
    ]
    rates = rates_on(run, subject, subject.evaluating, families)
    like = subject.collecting[: min(len(subject.evaluating), config.universal.images)]
    own = rates_on(run, subject, like, at_every_norm, clips=(False,))
    if not run.ranks.first:
        return
    clean = survey(
        subject.classifier, subject.images, subject.evaluating, batch_size=subject.batch_size
    )
    _save_families(run, at_every_norm, reference)
    result = FoolingResult(
        rates=tuple(rates),
        own=tuple(own),
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
    run.record_done("fooling", begun, subject.device_name)


def require_same_subject(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Refuse a model or images other than those of the normals.

    Raises:
        StoreError: If they differ.
    """
    settings = collection_settings(
        subject.classifier, subject.images, subject.collecting, asdict(config.search)
    )
    changed = changed_settings(run.store(), settings)
    if changed:
        raise StoreError(
            f"the model and the images should be those of the normals in `{run.normals}`. Found "
            f"{'; '.join(changed)}; collect again in another directory."
        )


def judging(config: StudyConfig, subject: Subject) -> dict[str, Any]:
    """Return what fooling rates depend on, beside the perturbations."""
    return {
        "images": sha256_of_ids([subject.images.ids[place] for place in subject.evaluating]),
        "seed": config.seed,
    }


def basis(run: RunDirectory) -> tuple[CollectionResult, SpectrumResult]:
    """Return what was collected, and its spectrum."""
    return (
        load_result(run.result("collect"), CollectionResult),
        load_result(run.result("spectrum"), SpectrumResult),
    )


def origin(subject: Subject, positions: NDArray[np.int64]) -> dict[str, Any]:
    """Return from which model and images perturbations were made, for their source."""
    return {
        "model": subject.model.name,
        "model sha256": subject.model.sha256,
        "images": subject.images.spec,
        "images used": len(positions),
        "ids sha256": sha256_of_ids([subject.images.ids[place] for place in positions]),
    }


def rates_on(
    run: RunDirectory,
    subject: Subject,
    positions: NDArray[np.int64],
    families: Sequence[Perturbations],
    clips: Sequence[bool] = (False, True),
) -> list[FoolingRate]:
    """Return fooling rates on some images, each process taking as many of their batches.

    Raises:
        InputError: If none of them can be read.
    """
    if not families:
        return []
    size, ranks = subject.batch_size, run.ranks
    starts = np.array_split(np.arange(0, len(positions), size), ranks.count)[ranks.rank]
    own = positions[starts[0] : starts[-1] + size] if len(starts) else positions[:0]
    batches = placed_batches(subject.classifier, subject.images, own, size)
    first = next(batches, None)  # none where every image of this process is unreadable
    part = (
        None
        if first is None
        else fooling_rates(
            subject.classifier,
            chain([first], batches),
            families,
            clips=clips,
            images=len(own),
            progress=ranks.first,
        )
    )
    parts = [found for found in ranks.gather(part) if found is not None]
    if not parts:
        raise InputError(
            f"none of {len(positions)} images of `{subject.images.spec}` can be read; bring them "
            "back, or begin another run."
        )
    return joined_rates(parts)


def _families(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject,
    collection: CollectionResult,
    normals: SpectrumResult,
    made: UniversalResult,
    loaded: Sequence[Perturbations],
) -> list[Perturbations]:
    """Return every family: random ones, baselines, Euclidean universal ones and those of files."""
    options, spectrum, shape = config.fooling, normals.spectrum, normals.image_shape
    reference, dimension = made.reference_norm, made.reference_dimension
    norms = norm_sweep(
        options.norms, collection.mean_image_norm, collection.median_margin, reference
    )
    dimensions = dimension_sweep(options.dimensions, len(spectrum.directions), dimension)
    store = run.store()
    rows = store.normals()
    networks = (run.untrained_normals(draw) for draw in range(config.untrained))
    network = next((found for found in networks if 2 * len(found) >= len(rows)), None)
    where = Where(device=str(device_named(config.device)), ranks=run.ranks, progress=True)
    rivals = rival_spectra(
        rows,
        network,
        shape,
        directions=dimensions[-1],
        seed=config.seed,
        where=where,
        scratch=run.path,
    )
    random = random_families(
        {"subspace": spectrum, **rivals},
        shape,
        norms=norms,
        dimensions=dimensions,
        reference_norm=reference,
        reference_dimension=dimension,
        draws=options.draws,
        seed=config.seed,
    )
    batch = subject.images.read(subject.collecting[: config.universal.images])
    margins = collection.margin[collection.on_boundary]
    of_normals = [
        single_displacements(rows, shape, options.draws, 1.0, seed=config.seed),
        displacement_sum(rows, margins, shape, 1.0),
        singular_pairs(spectrum, shape, options.draws, 1.0),
    ]
    of_images = [
        run.ranks.from_first(
            lambda: gradient_sign(
                subject.classifier, batch.images, 1.0, batch_size=subject.batch_size
            )
        ),
        mean_image(batch.images, 1.0),
    ]
    universals = [
        Perturbations.of(
            found.family,
            torch.from_numpy(found.vector),
            subspace_dimension=found.own[0].subspace_dimension,
        )
        for found in made.found
        if found.own[0].p == 2
    ]
    all_normals = origin(subject, store.column("position")[store.on_boundary])
    not_trained = {**all_normals, "model": f"{subject.model.name}, untrained", "model sha256": ""}
    sources = {"sphere": {"shape": list(shape)}, UNTRAINED: not_trained}
    single = [
        *(family.described(**all_normals, seed=config.seed) for family in of_normals),
        *(family.described(**origin(subject, batch.positions.numpy())) for family in of_images),
        *universals,
        *loaded,
    ]
    return [
        *(family.described(**sources.get(family.family, all_normals)) for family in random),
        *(family.scaled(norm) for family in single for norm in norms),
    ]


def _from_files(files: Sequence[str], shape: tuple[int, ...]) -> list[Perturbations]:
    """Return perturbations from files, of Euclidean norm 1, and log how each was read.

    Raises:
        InputError: If one cannot be read, or two have one name.
    """
    found: dict[str, Perturbations] = {}
    for file in files:
        family = f"file {Path(file).stem}"
        if family in found:
            raise InputError(
                "`--fooling.files` should have different names, by which they are told apart. "
                f"Found `{Path(file).stem}` twice; copy one to another name."
            )
        loaded = load_perturbations(file, shape=shape, norm=1.0, p=2.0)
        _log.info("%s: %s", Path(file).name, loaded.how_read)
        found[family] = replace(loaded.perturbations, family=family)
    return list(found.values())


def _sha256(family: Perturbations) -> str:
    return hashlib.sha256(family.vectors.numpy().tobytes()).hexdigest()


def _save_families(run: RunDirectory, families: Sequence[Perturbations], norm: float) -> None:
    """Leave one file for each made here, at the reference norm, and none of earlier ones."""
    run.perturbations.mkdir(exist_ok=True)
    for file in run.perturbations.glob("*.safetensors"):
        if not file.name.startswith("universal-"):
            file.unlink()
    for family in families:
        if family.norm == norm and not family.family.startswith(("universal ", "file ")):
            save_perturbations(run.perturbation(family.family), family)


def _examples(
    subject: Subject, families: Sequence[Perturbations], norm: float, dimension: int
) -> Examples:
    """Return the first images, perturbed by the first draw of some families at a norm, clipped."""
    classifier = subject.classifier
    clean = next(placed_batches(classifier, subject.images, subject.evaluating, EXAMPLES))
    whole = clean[0].numel()
    universals = [family.family for family in families if family.family.startswith("universal")]
    wanted = {*universals[:1], "subspace", "sphere"}
    shown = {
        family.family: family
        for family in reversed(families)
        if family.norm == norm
        and family.family in wanted
        and family.subspace_dimension in {dimension, whole}
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
