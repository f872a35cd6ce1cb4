"""The stages of a study. Each takes the run directory and the configuration, and leaves one file.

A stage whose result is there, made with the same settings, is not run again; one made with other
settings is refused with the difference named.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.gram import Where
from analysis.results import CollectionResult
from analysis.saved import save_result
from analysis.shared import shared_directions
from analysis.survey import Survey, joined, no_better_than_guessing, survey
from boundary.classifier import Classifier
from boundary.collect import collect_normals
from boundary.errors import InputError, StoreError
from boundary.images import sha256_of_ids
from boundary.points import Status
from boundary.ranks import Ranks
from boundary.shards import COLUMNS
from boundary.store import NormalsStore
from figures.export import write_figures
from figures.report import write_report
from study.config import StudyConfig
from study.run import OPTIONAL, STAGES, RunDirectory
from study.subject import Subject, device_named, untrained_classifier
from study.subspaces import choosing_positions, making_normals, making_rows, twin_normals

UNTRAINED_GRADIENTS = 20
"""The most for an image of an untrained network; more move energies less than other weights do."""

_log = logging.getLogger(__name__)


def collect(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Survey the images, and collect the boundary points of those chosen for it.

    Raises:
        InputError: If not one boundary point was found.
    """
    begun = time.monotonic()
    known = run.ranks.from_first(run.result("collect").exists)
    seen = None if known else _survey_everything(subject, config, run.ranks)
    store = _points(run, config, subject, subject.classifier, run.normals)
    if run.ranks.first and seen is not None:
        _require_points(store)
    title = "boundary points of evaluated images"
    judged = _points(
        run, config, subject, subject.classifier, run.evaluated, title, positions=subject.evaluating
    )
    if run.ranks.first and seen is not None:
        _require_points(judged, "evaluate on")
    if not run.ranks.first:
        return
    settings = {
        "normals": store.settings,
        "accuracy_images": config.accuracy_images,
        "seed": config.seed,
    }
    if run.is_done("collect", settings) or seen is None:
        return
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
        choosing=np.isin(store.column("position"), subject.choosing),
        **{name: store.column(name) for name in COLUMNS if name in recorded},
    )
    save_result(run.result("collect"), result, settings)
    run.record_done("collect", begun, subject.device_name)


def _points(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject,
    classifier: Classifier,
    folder: Path,
    title: str = "boundary points",
    *,
    positions: NDArray[np.int64] | None = None,
    max_gradients: int | None = None,
) -> NormalsStore:
    """Return the boundary points of a classifier, found by default at the images to collect at."""
    search = asdict(config.search)
    if max_gradients is not None:
        search["max_gradients"] = min(max_gradients, config.search.max_gradients)
    return collect_normals(
        classifier,
        subject.images,
        folder,
        positions=(subject.collecting if positions is None else positions).tolist(),
        batch_size=subject.batch_size,
        ranks=run.ranks,
        progress=True,
        title=title,
        **search,
    )


def _require_points(store: NormalsStore, purpose: str = "collect at") -> None:
    """Refuse to go on without a single boundary point of the images for a purpose.

    Raises:
        InputError: If there is none.
    """
    if not len(store):
        name, reason = store.unreadable[0]
        raise InputError(
            f"none of {store.covered} images to {purpose} can be read; the first, {name}: "
            f"{reason}. Bring them back, and collect in a new directory."
        )
    if not store.on_boundary.any():
        ends = Counter(Status(status) for status in store.column("status"))
        said = ", ".join(f"{n} {end.name.lower().replace('_', ' ')}" for end, n in ends.items())
        farther = (
            " look farther with a larger `--search.max_margin`," if Status.NOT_FOUND in ends else ""
        )
        raise InputError(
            f"no boundary point was found for any of {len(store)} images ({said});{farther} check "
            "that the model can be differentiated (no torch.no_grad, no numpy inside) and its "
            "input range, and collect in a new directory."
        )


def untrained(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Collect the boundary points of the same images for untrained networks, a null model."""
    if not config.untrained:
        return
    begun = time.monotonic()
    points = partial(_points, run, config, subject, max_gradients=UNTRAINED_GRADIENTS)
    for draw in range(config.untrained):
        network, not_reset = untrained_classifier(config, subject, draw, run)
        title = f"untrained network {draw + 1} of {config.untrained}"
        points(network, run.untrained(draw), title)
        folder, title = run.untrained(draw, evaluated=True), f"{title}, evaluated images"
        points(network, folder, title, positions=subject.evaluating)
    twins = run.twins(config.untrained)
    if run.ranks.first and run.not_reset() is None:
        if not_reset:
            _log.warning(
                "%d tensors of the untrained networks are the trained ones, first `%s`: neither a "
                "factory nor a layer's reset_parameters initialises them anew.",
                len(not_reset),
                not_reset[0],
            )
        for twin in (one for one in twins if one.reason):
            _log.warning("untrained network %d decides nothing: %s.", twin.draw + 1, twin.reason)
        run.keep_not_reset(not_reset)
        run.record_done("untrained", begun, subject.device_name)


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
    store = run.ranks.from_first(run.store)
    store.verify(run.ranks)
    run.evaluated_store().verify(run.ranks)
    used = np.flatnonzero(store.on_boundary)[making_rows(store, choosing_positions(run))]
    options = asdict(config.spectrum)
    where = Where(
        device=str(device_named(config.device)),
        float32=options.pop("float32"),
        ranks=run.ranks,
        progress=True,
    )
    networks = [rows for rows in twin_normals(run, config.untrained) if rows is not None]
    result = shared_directions(
        making_normals(run),
        store.column("source")[used],
        store.column("target")[used],
        store.shape,
        evaluated=run.evaluated_store().normals(),
        untrained=networks,
        not_reset=run.not_reset() or (),
        left_out=int((~store.on_boundary).sum()),
        seed=config.seed,
        where=where,
        scratch=run.path,
        **options,
    )
    if run.ranks.first:
        save_result(run.result("spectrum"), result, settings)
        run.record_done("spectrum", begun, where.device)


def report(run: RunDirectory, *, redo: bool = False) -> None:
    """Draw the figures and write the report from the saved results.

    Raises:
        StoreError: If a result is missing, damaged, or made from another than is there.
    """
    optional = _shown(run)
    results = [*map(run.finished, STAGES), *map(run.result, optional)]
    newest = max(path.stat().st_mtime for path in results)
    made = run.report.exists() and "report" in run.provenance.stages()
    if redo or not made or run.report.stat().st_mtime < newest:
        _log.info("writing the report")
        with run.shown():
            write_report(run.path, optional)
        run.provenance.add("report", {})


def draw(
    run: RunDirectory, folder: Path | None, only: Sequence[str], formats: Sequence[str]
) -> list[Path]:
    """Draw figures from the saved results into a folder, by default that of the report.

    Returns:
        The files.
    """
    optional = _shown(run)
    with run.shown():
        return write_figures(run.path, folder, only=only, formats=formats, optional=optional)


def _shown(run: RunDirectory) -> list[str]:
    """Return which stages that a run may lack are to be shown.

    Raises:
        StoreError: If the others are not there, or made from other results than are there.
    """
    outdated = run.out_of_date()
    if outdated:
        raise StoreError(outdated)
    for note in run.notes():
        _log.warning("%s It is left out.", note)
    return [stage for stage in OPTIONAL if run.current(stage)]


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
