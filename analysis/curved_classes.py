"""The curved subspace of each class alone: does what bends one class's boundary bend others'?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.ascent import ascended_frame, ascended_span
from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import (
    MeanShapeOperator,
    held_out_curvature,
    shared_energy,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassCurvature:
    """S_c of K' classes, each made from images that the classifier takes for that class."""

    classes: NDArray[np.int64]
    """(K',), ascending."""
    images: NDArray[np.int64]
    """(K',), n that made each."""
    own: Array
    """(K',), mean curvature in the sample, 1 / input units."""
    directions: Array
    """(K', R, D), orthonormal rows."""
    held_out: Array
    """(points, K'), mean curvature along each class's directions at held-out points."""
    pooled: Array
    """(points,), the same along the S_c of all classes together."""
    sources: NDArray[np.int64]
    """(points,), class of the held-out images."""
    energy: Array
    """(K', K'), mean squared cosine of the principal angles of two classes' subspaces."""


def class_curvature(
    classes: Mapping[int, Callable[[], MeanShapeOperator]],
    held_out: MeanShapeOperator,
    pooled: Array,
    dimension: int,
    *,
    steps: int,
    seed: int = 0,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> ClassCurvature:
    """Return the S_c of classes, by ascent, and its curvature at held-out images of all.

    Args:
        classes: Number of each class, ascending, and what returns the operator of its images; one
            at a time is held.
        held_out: Of others, at the same scale and on the same surface.
        pooled: S_c of all classes together, (R, D).
        dimension: R.
        steps: Of each ascent.
        seed: Of the first start; that of each class is another one.
        progress: Show progress bars on standard error.
        checkpoint: Where the ascents' states are kept, and looked for.
    """
    frames = []
    for place, (number, make) in enumerate(classes.items()):
        operator = make()
        last = ascended_span(
            operator,
            dimension,
            steps=steps,
            seed=seed + place,
            title=f"curved frame of class {number}",
            progress=progress,
            checkpoint=checkpoint.within(f"class {number}"),
        )
        frames.append(ascended_frame(operator, last))
    directions = np.array([frame.directions for frame in frames]).reshape(-1, *pooled.shape)
    along = [held_out_curvature(held_out, rows).mean(1) for rows in (pooled, *directions)]
    return ClassCurvature(
        classes=np.array(list(classes), dtype=np.int64),
        images=np.array([frame.images for frame in frames], dtype=np.int64),
        own=np.array([frame.values.mean() for frame in frames]),
        directions=directions,
        held_out=np.stack(along, axis=1)[:, 1:],
        pooled=along[0],
        sources=np.concatenate(held_out.ranks.gather(held_out.anchors.source.cpu().numpy())),
        energy=np.array([[shared_energy(a, b) for b in directions] for a in directions]).reshape(
            len(frames), len(frames)
        ),
    )
