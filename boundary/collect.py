"""Collecting: the nearest boundary points of many images, written shard by shard."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from boundary.classifier import Classifier
from boundary.errors import InputError, StoreError
from boundary.files import make_folder
from boundary.images import ImageBatch, ImageSource, sha256_of_ids
from boundary.lock import locked
from boundary.manifest import MANIFEST
from boundary.nearest import nearest_boundary_points
from boundary.points import BoundaryPoints
from boundary.progress import advance, progress_bar
from boundary.ranks import ALONE, Ranks
from boundary.store import NormalsStore, differences
from boundary.termination import finishing
from boundary.weights import state_sha256

_NOT_STORED = ("targets", "subspace")
"""Options of the search that belong to single images or are tensors."""

RETIRED = "max_steps"
"""Option of the search that only earlier versions had."""

_KNOWN = 4
"""How many images are known by their pixels and logits, which show another folder or model."""


def collect_normals(
    classifier: Classifier,
    source: ImageSource,
    directory: str | Path,
    *,
    positions: Sequence[int] | None = None,
    batch_size: int = 64,
    ranks: Ranks = ALONE,
    progress: bool = False,
    title: str = "boundary points",
    **search: Any,
) -> NormalsStore:
    """Find the boundary points of images and keep them in a store that a kill cannot damage.

    If the directory holds a store of the same model, images and search options, only what is
    missing is collected; the batch size, the device and the number of processes may differ. Several
    processes take batches in turn, the same ones that one process would take.

    Args:
        classifier: Whose boundary is met.
        source: Where the images come from.
        directory: Of the store; made if it is not there.
        positions: Which images of the source, in which order; all by default.
        batch_size: Images in one batch, and in one shard: what a kill can cost.
        ranks: The processes that collect together, each with the same arguments.
        progress: Show a progress bar on standard error.
        title: Of the bar.
        **search: Options of `nearest_boundary_points`, without ``targets`` and ``subspace``.

    Returns:
        The complete store.

    Raises:
        InputError: If the model, the images or an option cannot be used.
        StoreError: If the directory holds a store of other settings, or a damaged one, or if
            another process collects there.
        Terminated: At a SIGTERM, if the program asked for that: the present batch is kept.
    """
    if batch_size < 1:
        raise InputError(f"`batch_size` should be at least 1. Found {batch_size}.")
    wanted = np.arange(len(source)) if positions is None else np.asarray(positions)
    settings = collection_settings(classifier, source, wanted, search)
    folder = Path(directory)
    if ranks.first:
        make_folder(folder)
    with locked(folder) if ranks.first else nullcontext():
        batches = ranks.from_first(lambda: _prepared(folder, source, settings, batch_size))
        store = NormalsStore.open(folder)
        left = sum(stop - start for start, stop in batches)
        with progress_bar(title, len(wanted), "images", shown=progress and ranks.first) as bar:
            bar.update(len(wanted) - left)
            for start, stop in ranks.share(batches):
                with finishing():
                    batch = source.read(wanted[start:stop])
                    found = _search(classifier, batch, search)
                    store.append(start, stop, batch, found, ranks.rank)
                advance(bar, ranks.count * (stop - start))
        ranks.wait()
    return ranks.from_first(lambda: NormalsStore.open(folder))


def _prepared(
    folder: Path, source: ImageSource, settings: Mapping[str, Any], batch_size: int
) -> list[tuple[int, int]]:
    """Return the batches that a store lacks, in order, opened or begun and cleaned."""
    missing = _missing(_open_or_create(folder, source, settings), settings["count"])
    batches = []
    while len(missing):
        start, stop = _first_stretch(missing, batch_size)
        batches.append((start, stop))
        missing = missing[stop - start :]
    return batches


def _search(
    classifier: Classifier, batch: ImageBatch, options: Mapping[str, Any]
) -> BoundaryPoints:
    if not batch.ids:
        return BoundaryPoints.none(batch.images)
    return nearest_boundary_points(classifier, classifier.place(batch.images), **options)


def _missing(store: NormalsStore, count: int) -> NDArray[np.intp]:
    """Return the places, in the order of collecting, that no shard covers."""
    covered = np.zeros(count, dtype=bool)
    for shard in store.shards:
        covered[shard.start : shard.stop] = True
    return np.flatnonzero(~covered)


def _first_stretch(missing: NDArray[np.intp], longest: int) -> tuple[int, int]:
    """Return the first run of consecutive places, no longer than a batch."""
    run = missing[:longest]
    together = int((run - run[0] == np.arange(len(run))).sum())
    return int(run[0]), int(run[0]) + together


def collection_settings(
    classifier: Classifier,
    source: ImageSource,
    positions: NDArray[np.int64],
    search: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what every row of a store depends on, as JSON values.

    Images are known by their ids, their shape and the pixels of the first few; the model by its
    weights and, as code is no part of those, by its number of classes and its logits of these few.

    Args:
        classifier: Whose boundary is met.
        source: Where the images come from.
        positions: Which images of the source.
        search: Options of `nearest_boundary_points`; those left out have their defaults.

    Raises:
        InputError: If an option is unknown.
    """
    defaults = _defaults()
    unknown = set(search) - set(defaults)
    if unknown:
        raise InputError(
            f"`{min(unknown)}` is no option of collecting; it has {', '.join(sorted(defaults))}."
        )
    first = source.read(positions[:_KNOWN]).images
    logits = _first_logits(classifier, first)
    return {
        "model": state_sha256(classifier.module),
        "bounds": list(classifier.bounds),
        "images": sha256_of_ids([source.ids[place] for place in positions]),
        "shape": list(source.shape),
        "pixels": hashlib.sha256(first.numpy().tobytes()).hexdigest(),
        "classes": logits.shape[1],
        "logits": _summary(logits),
        "count": len(positions),
        "search": {**defaults, **search},
    }


def changed_settings(store: NormalsStore, settings: Mapping[str, Any]) -> list[str]:
    """Return what differs between the settings of a store and those wanted: ``name was 1, is 2``.

    Options of the search that an earlier version did not have are taken to be the defaults, and its
    number of classes, which it did not write down, the present one.

    Args:
        store: Collected by this version or an earlier one.
        settings: As `collection_settings` gives them.
    """
    known = {name: value for name, value in _search_of(store).items() if name != RETIRED}
    made = {"classes": settings["classes"], **store.settings}
    return differences({**made, "search": {**_defaults(), **known}}, settings)


def _search_of(store: NormalsStore) -> dict[str, Any]:
    search = store.settings.get("search")
    if not isinstance(search, dict):
        raise StoreError(
            f"`{store.directory / MANIFEST}` is damaged: `search` should hold options. Found "
            f"{str(search)[:40]}."
        )
    return search


def _defaults() -> dict[str, Any]:
    return {
        name: option.default
        for name, option in signature(nearest_boundary_points).parameters.items()
        if option.kind is Parameter.KEYWORD_ONLY and name not in _NOT_STORED
    }


@torch.no_grad()
def _first_logits(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the logits of images, (N, K), float64; K is 0 where N is."""
    if not len(images):
        return torch.zeros(0, 0)
    return classifier(classifier.place(images)).double()


def _summary(logits: Tensor) -> list[list[float]]:
    """Return the largest and the smallest logit of each image and their standard deviation."""
    if not len(logits):
        return []
    return torch.stack([logits.amax(1), logits.amin(1), logits.std(1)], 1).tolist()


def _open_or_create(
    directory: Path, source: ImageSource, settings: Mapping[str, Any]
) -> NormalsStore:
    store = NormalsStore.open(directory) if (directory / MANIFEST).exists() else None
    if store is None or not store.shards:
        (directory / MANIFEST).unlink(missing_ok=True)
        return NormalsStore.create(directory, source.shape, settings)
    changed = changed_settings(store, settings)
    if changed:
        raise StoreError(
            f"`{directory}` was collected with other settings: {'; '.join(changed)}. Use those, or "
            "collect in a new folder."
        )
    if RETIRED in _search_of(store) and len(_missing(store, settings["count"])):
        raise StoreError(
            f"`{directory}` was begun by an earlier version, whose search is gone. What it holds "
            "can be read; collect all images in a new folder."
        )
    store.clean()
    store.verify()
    return store
