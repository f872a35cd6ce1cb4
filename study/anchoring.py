"""Where curvature is measured in a study: at collected boundary points, and at held-out images.

Several processes hold the anchors in turn: the first image's are the first process's, the second
image's the second's.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.curvature_sweep import BETWEEN, IMAGE, NEAREST, RANDOM
from analysis.results import CollectionResult
from boundary.anchors import Anchors, anchors_along, anchors_at, anchors_at_images
from boundary.nearest import nearest_boundary_points
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import Subject

_FARTHEST = 0.5
"""Length at which a line in a random direction is given up, over the mean image norm."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out images, and this process's anchors at them."""

    images: Tensor
    """(N, C, H, W), all that could be read, placed."""
    anchors: dict[str, Anchors]
    """By kind."""
    margins: NDArray[np.float64]
    """Of the nearest ones of this process, input units."""
    places: NDArray[np.int64]
    """Of the images of the nearest anchors of all processes, one process after another."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Anchors of some held-out images."""

    anchors: dict[str, Anchors]
    margins: NDArray[np.float64]
    places: NDArray[np.int64]


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
    store, ranks = run.store(), run.ranks
    used = store.on_boundary
    mine = np.arange(ranks.rank, len(rows), ranks.count)
    own = rows[mine]
    point = np.asarray(store.points().subset(own), np.float32)
    source, target = (
        torch.from_numpy(store.column(name)[used][own]) for name in ("source", "target")
    )
    points = torch.from_numpy(point).view(-1, *subject.images.shape)
    anchors, usable = _anchored(subject, points, source, target)
    kept = mine[usable.cpu().numpy()]
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
    """
    ranks, classifier = run.ranks, subject.classifier
    chosen = subject.evaluating[: config.curvature.judge]
    images = classifier.place(subject.images.read(chosen).images)
    classes = torch.cat(
        [classifier.predict(part) for part in torch.split(images, subject.batch_size)]
    )
    generator = torch.Generator().manual_seed(config.seed)
    random = torch.randn(images.shape, generator=generator).to(images)
    others = _others(classes, generator)
    far = _FARTHEST * collection.mean_image_norm
    own = torch.arange(len(images))[ranks.rank :: ranks.count]
    parts = [
        _anchors_of(config, subject, images, random, others, place, far)
        for place in torch.split(own, subject.batch_size)
    ]
    places = np.concatenate([part.places for part in parts])
    return HeldOut(
        images=images,
        anchors={
            kind: Anchors.joined([part.anchors[kind] for part in parts])
            for kind in (NEAREST, RANDOM, BETWEEN, IMAGE)
        },
        margins=np.concatenate([part.margins for part in parts]),
        places=np.concatenate(ranks.gather(places)),
    )


def _anchors_of(
    config: StudyConfig,
    subject: Subject,
    images: Tensor,
    random: Tensor,
    others: Tensor,
    place: Tensor,
    far: float,
) -> _Part:
    """Return the anchors of some images.

    Args:
        config: With the options of the search.
        subject: Whose classifier it is.
        images: All held-out ones, (N, C, H, W).
        random: A direction from each.
        others: Place of an image of another class than each, -1 where there is none.
        place: Which of them.
        far: Where a line in a random direction ends, input units.
    """
    classifier, part = subject.classifier, images[place]
    if not len(place):  # of more processes than images
        none = anchors_at_images(classifier, part)[0]
        kinds = dict.fromkeys((NEAREST, RANDOM, BETWEEN, IMAGE), none)
        return _Part(kinds, np.zeros(0), np.zeros(0, dtype=np.int64))
    found = nearest_boundary_points(classifier, part, **asdict(config.search))
    on = found.on_boundary
    nearest, usable = _anchored(subject, found.point[on], found.source[on], found.target[on])
    paired = place[others[place] >= 0]
    way = images[others[paired]] - images[paired]
    lengths = way.flatten(1).norm(dim=1)
    return _Part(
        anchors={
            NEAREST: nearest,
            RANDOM: anchors_along(classifier, part, random[place], far)[0],
            BETWEEN: anchors_along(classifier, images[paired], way, lengths)[0],
            IMAGE: anchors_at_images(classifier, part)[0],
        },
        margins=found.margin[on][usable].double().cpu().numpy(),
        places=place[on.cpu()][usable.cpu()].numpy(),
    )


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
