"""Curved subspaces with what shows whether they mean anything beyond the images that made them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import (
    MeanShapeOperator,
    ascended_frame,
    held_out_curvature,
    mean_curvature_pairs,
    shared_energy,
)
from analysis.halves import split_in_halves
from analysis.subspace import Subspace

ASCENT, EIGENVECTORS, REFERENCE = "ascent", "eigenvectors", "reference"
NEGATIVE, FLATTEST = "negative eigenvectors", "flattest eigenvectors"
"""The other ends of the spectrum whose positive end ``eigenvectors`` are."""
METHODS = (ASCENT, EIGENVECTORS, NEGATIVE, FLATTEST, REFERENCE)

CURVED = "curved"
"""Family of the random vectors of S_c."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearnedCurvature:
    """Mean curvature along the frame that so many images make, in the sample and beyond."""

    images: int
    directions: Array
    """(R, D)."""
    own: float
    """At the images that made it, 1 / input units."""
    held_out: Array
    """(points,), at others, mean over the directions."""

    @property
    def family(self) -> str:
        """Name of its random vectors."""
        return f"{CURVED}, {self.images} images"


@dataclass(frozen=True, eq=False)
class CurvedSubspace:
    """S_c by one method, and its checks."""

    method: str
    """One of `METHODS`: ``ascent``, ``eigenvectors`` of the mean shape operator (largest,
    ``negative`` or ``flattest``), or the authors' ``reference``."""
    scale: float
    """s at which it was made, input units."""
    surface: str
    """``pair`` or ``region``."""
    images: int
    """n that made it."""
    values: Array
    """(R,), mean curvature in the sample, of what the method looks for most first, 1 / input
    units; of the reference mode of the Hessian without 1 / |grad g|: logits / input units^2."""
    directions: Array
    """(R, D), orthonormal."""
    held_out: Array
    """(points, R), curvature at anchors that had no part in it, by gradients at the same scale."""
    asymmetry: float
    """Of the operator in the searched span; 0 for the ascent, which needs no symmetry."""
    additivity: float
    """Failure of the operator to be additive; 0 for the ascent."""
    residual: Array
    """(R,), |A v - value v|; 0 for the ascent."""
    starts: float
    """Mean squared cosine of the subspaces of two random starts; R/D if they shared nothing; 0 for
    the reference mode, of which this and the next are not taken."""
    halves: float
    """The same of two halves of the images."""
    gradients: int
    """Input gradients that the subspace took, without its checks."""

    @property
    def family(self) -> str:
        """Name of its random vectors."""
        return CURVED if self.method == ASCENT else f"{CURVED} ({self.method})"

    def subspace(self, dimension: int) -> Subspace:
        """Return the span of the first directions."""
        return Subspace(self.directions[:dimension])

    def learned(self) -> LearnedCurvature:
        """Return its mean curvature, as the end of a learning curve."""
        own = float(self.values.mean())
        return LearnedCurvature(self.images, self.directions, own, self.held_out.mean(1))


def curved_by(
    method: str,
    making: MeanShapeOperator,
    held_out: MeanShapeOperator,
    dimension: int,
    *,
    steps: int,
    passes: int,
    seed: int = 0,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> tuple[CurvedSubspace, ...]:
    """Return S_c by a method, with two starts, two halves of the images and held-out curvature.

    Args:
        method: ``ascent``, ``eigenvectors`` or ``reference``; the reference one is judged by its
            own operator, not projected.
        making: Of the images that make it.
        held_out: Of others, at the same scale and on the same surface.
        dimension: R.
        steps: Of the ascent.
        passes: Of the eigenvectors.
        seed: Of the first start; the second has the next.
        progress: Show progress bars on standard error.
        checkpoint: Where what is made on the way is kept, and looked for.

    Returns:
        One; for ``eigenvectors`` three: those of largest, smallest and flattest curvature.
    """

    def make(name: str, operator: MeanShapeOperator, start: int) -> tuple[_Made, ...]:
        place = checkpoint.within(name)
        if method == ASCENT:
            frame = ascended_frame(
                operator, dimension, steps=steps, seed=start, progress=progress, checkpoint=place
            )
            residual = np.zeros(dimension)
            return (_Made(method, frame.values, frame.directions, residual, frame.gradients),)
        found = mean_curvature_pairs(
            operator, dimension, passes=passes, seed=start, progress=progress, checkpoint=place
        )
        ends = {method: found.positive}
        if method == EIGENVECTORS:
            ends |= {NEGATIVE: found.negative, FLATTEST: found.flattest}
        return tuple(
            _Made(
                kind,
                end.values,
                end.directions,
                end.residual,
                found.gradients,
                found.asymmetry,
                found.additivity,
            )
            for kind, end in ends.items()
        )

    made = make("all", making, seed)
    starts = halves = (0.0,) * len(made)
    if making.count >= 2 and method != REFERENCE:
        starts = _shared(made, make("another start", making, seed + 1))
        ((first, second),) = split_in_halves(making.count, 1, seed)
        one, other = (
            make(f"half {half}", making.subset(places), seed)
            for half, places in ((1, first), (2, second))
        )
        halves = _shared(one, other)
    return tuple(
        CurvedSubspace(
            method=one.method,
            scale=float(making.scale or 0.0),
            surface=making.surface,
            images=making.count,
            values=one.values,
            directions=one.directions,
            held_out=held_out_curvature(held_out, one.directions),
            asymmetry=one.asymmetry,
            additivity=one.additivity,
            residual=one.residual,
            starts=of_starts,
            halves=of_halves,
            gradients=one.gradients,
        )
        for one, of_starts, of_halves in zip(made, starts, halves, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Made:
    """Directions by a method, from one start and some images."""

    method: str
    values: Array
    directions: Array
    residual: Array
    gradients: int
    asymmetry: float = 0.0
    additivity: float = 0.0


def _shared(some: Sequence[_Made], others: Sequence[_Made]) -> tuple[float, ...]:
    return tuple(
        shared_energy(one.directions, other.directions)
        for one, other in zip(some, others, strict=True)
    )


def learned_curvature(
    making: MeanShapeOperator,
    held_out: MeanShapeOperator,
    count: int,
    dimension: int,
    *,
    steps: int,
    seed: int = 0,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> LearnedCurvature:
    """Return the frame that the first images make by the same ascent, and its curvature.

    Args:
        making: Of the images that make it.
        held_out: Of others.
        count: How many images to use.
        dimension: R.
        steps: Of the ascent, the same for every count.
        seed: Of the start.
        progress: Show a progress bar on standard error.
        checkpoint: Where the ascent's state is kept, and looked for.
    """
    first = making.subset(np.arange(count))
    frame = ascended_frame(
        first, dimension, steps=steps, seed=seed, progress=progress, checkpoint=checkpoint
    )
    others = held_out_curvature(held_out, frame.directions).mean(1)
    return LearnedCurvature(first.count, frame.directions, float(frame.values.mean()), others)
