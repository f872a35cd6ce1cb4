"""The curved subspace of each class alone: does what bends one class's boundary bend others'?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import (
    MeanShapeOperator,
    ascended_frame,
    held_out_curvature,
    shared_energy,
)

FEWEST = 20
"""Images of a class that make an S_c of its own."""

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
    making: MeanShapeOperator,
    held_out: MeanShapeOperator,
    pooled: Array,
    dimension: int,
    *,
    steps: int,
    seed: int = 0,
    fewest: int = FEWEST,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> ClassCurvature:
    """Return the S_c of every class with enough images, by ascent, and its held-out curvature.

    Args:
        making: Of the images that make them.
        held_out: Of others, at the same scale and on the same surface.
        pooled: S_c of all classes together, (R, D).
        dimension: R.
        steps: Of each ascent.
        seed: Of each start.
        fewest: A class of fewer images is left out.
        progress: Show progress bars on standard error.
        checkpoint: Where the ascents' states are kept, and looked for.
    """
    sources = making.sources.numpy()
    found, counts = np.unique(sources, return_counts=True)
    classes, images = found[counts >= fewest], counts[counts >= fewest]
    frames = [
        ascended_frame(
            making.subset(np.flatnonzero(sources == one)),
            dimension,
            steps=steps,
            seed=seed,
            title=f"curved frame of class {one}",
            progress=progress,
            checkpoint=checkpoint.within(f"class {one}"),
        )
        for one in classes.tolist()
    ]
    directions = np.array([frame.directions for frame in frames]).reshape(-1, *pooled.shape)
    seen = held_out_curvature(held_out, np.concatenate([pooled, *directions]))
    by_frame = seen.reshape(len(seen), len(frames) + 1, len(pooled)).mean(2)
    return ClassCurvature(
        classes=classes,
        images=images,
        own=np.array([frame.values.mean() for frame in frames]),
        directions=directions,
        held_out=by_frame[:, 1:],
        pooled=by_frame[:, 0],
        sources=np.concatenate(held_out.ranks.gather(held_out.anchors.source.cpu().numpy())),
        energy=np.array([[shared_energy(a, b) for b in directions] for a in directions]).reshape(
            len(classes), len(classes)
        ),
    )
