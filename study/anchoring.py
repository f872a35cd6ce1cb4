"""Where curvature is measured in a study: at collected boundary points, and at held-out images.

Several processes hold the anchors in turn: the first image's are the first process's, the second
image's the second's.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.curvature_sweep import BETWEEN, IMAGE, NEAREST, RANDOM
from analysis.results import CollectionResult
from boundary.anchors import Anchors, anchors_along, anchors_at, anchors_at_images
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.store import NormalsStore
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import Subject

EXPLORED = 50
"""Held-out images at which curves over scales are taken, and anchors of other kinds."""

_FARTHEST = 0.5
"""Length at which a line in a random direction is given up, over the mean image norm."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out images, and this process's anchors at them."""

    images: Tensor
    """(N, C, H, W), all that could be read, placed."""
    positions: NDArray[np.int64]
    """In the source, of these and of those that could not be read."""
    anchors: dict[str, Anchors]
    """By kind; those that are not nearest points are of the first `EXPLORED` images alone."""
    margins: NDArray[np.float64]
    """Of the nearest ones of this process, input units."""


def collected_anchors(
    run: RunDirectory, subject: Subject, rows: NDArray[np.int64]
) -> tuple[Anchors, Tensor]:
    """Return this process's anchors at collected boundary points, and their places among all.

    Args:
        run: Whose normals are there.
        subject: Whose classifier it is.
        rows: Of the points on the boundary, of all processes.

    Returns:
        The anchors with a usable normal, and their places among those of all processes, ascending.
    """
    ranks = run.ranks
    mine = np.arange(ranks.rank, len(rows), ranks.count)
    anchors, usable = _stored(run.store(), subject, rows[mine])
    kept = mine[usable]
    everyones = np.sort(np.concatenate(ranks.gather(kept)))
    return anchors, torch.from_numpy(np.searchsorted(everyones, kept))


def held_out_anchors(
    run: RunDirectory, config: StudyConfig, subject: Subject, collection: CollectionResult
) -> HeldOut:
    """Return the judged images and this process's anchors of every kind at them.

    Args:
        run: Of the study.
        config: Of the study.
        subject: Of the study.
        collection: For the mean image norm.

    Raises:
        InputError: If none of the images to judge on can be read and has a boundary point.
    """
    ranks, classifier, store = run.ranks, subject.classifier, run.evaluated_store()
    chosen = subject.evaluating[: config.curvature.judge]
    images = classifier.place(subject.images.read(chosen).images)
    rows = np.flatnonzero(np.isin(store.column("position")[store.on_boundary], chosen))
    if not len(images) or not len(rows):
        raise InputError(
            f"none of {len(chosen)} images to judge curvature on can be read and has a boundary "
            "point; raise `--curvature.judge`."
        )
    own = rows[ranks.rank :: ranks.count]
    nearest, usable = _stored(store, subject, own)
    explored = images[:EXPLORED]
    classes = torch.cat(
        [classifier.predict(part) for part in torch.split(explored, subject.batch_size)]
    )
    generator = torch.Generator().manual_seed(config.seed)
    random = torch.randn(explored.shape, generator=generator).to(images)
    others = _others(classes, generator)
    far = _FARTHEST * collection.mean_image_norm
    own_places = torch.arange(len(explored))[ranks.rank :: ranks.count]
    parts = [
        _others_of(classifier, explored, random, others, place, far)
        for place in torch.split(own_places, subject.batch_size)
    ]
    return HeldOut(
        images=images,
        positions=chosen,
        anchors={
            NEAREST: nearest,
            **{kind: Anchors.joined([part[kind] for part in parts]) for kind in parts[0]},
        },
        margins=store.column("margin")[store.on_boundary][own][usable],
    )


def _others_of(
    classifier: Classifier,
    images: Tensor,
    random: Tensor,
    others: Tensor,
    place: Tensor,
    far: float,
) -> dict[str, Anchors]:
    """Return the anchors of some images that are not their nearest boundary points.

    Args:
        classifier: Whose boundary it is.
        images: All that are explored, (N, C, H, W).
        random: A direction from each.
        others: Place of an image of another class than each, -1 where there is none.
        place: Which of them.
        far: Where a line in a random direction ends, input units.
    """
    part, paired = images[place], place[others[place] >= 0]
    way = images[others[paired]] - images[paired]
    lengths = way.flatten(1).norm(dim=1)
    return {
        RANDOM: anchors_along(classifier, part, random[place], far)[0],
        BETWEEN: anchors_along(classifier, images[paired], way, lengths)[0],
        IMAGE: anchors_at_images(classifier, part)[0],
    }


def _stored(
    store: NormalsStore, subject: Subject, rows: NDArray[np.intp]
) -> tuple[Anchors, NDArray[np.bool_]]:
    """Return anchors at stored boundary points, and which of them have a usable normal."""
    used = store.on_boundary
    point = np.asarray(store.points().subset(rows), np.float32)
    source, target = (
        torch.from_numpy(store.column(name)[used][rows]) for name in ("source", "target")
    )
    points = torch.from_numpy(point).view(-1, *subject.images.shape)
    anchors, usable = _anchored(subject, points, source, target)
    return anchors, usable.cpu().numpy()


def _anchored(
    subject: Subject, points: Tensor, source: Tensor, target: Tensor
) -> tuple[Anchors, Tensor]:
    """Return anchors at points, batch by batch, and which points have a usable normal."""
    classifier, size = subject.classifier, subject.batch_size
    placed = classifier.place(points)
    parts = zip(
        *(torch.split(one.to(placed.device), size) for one in (placed, source, target)),
        strict=True,
    )
    found, usable = zip(*(anchors_at(classifier, *part) for part in parts), strict=True)
    return Anchors.joined(list(found)), torch.cat(usable)


def _others(classes: Tensor, generator: torch.Generator) -> Tensor:
    """Return the place of a random image of another class for each, -1 where there is none."""
    order, known = torch.randperm(len(classes), generator=generator), classes.cpu()
    places = [order[known[order] != own] for own in known]
    return torch.tensor(
        [int(other[row % len(other)]) if len(other) else -1 for row, other in enumerate(places)]
    )
