"""Curved subspaces with what shows whether they mean anything beyond the images that made them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.curved import (
    AscendedFrame,
    CurvaturePairs,
    MeanShapeOperator,
    ascended_frame,
    held_out_curvature,
    mean_curvature_pairs,
    shared_energy,
)
from analysis.halves import split_in_halves
from analysis.subspace import Subspace

ASCENT, EIGENVECTORS, REFERENCE = "ascent", "eigenvectors", "reference"
METHODS = (ASCENT, EIGENVECTORS, REFERENCE)

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


@dataclass(frozen=True, eq=False)
class CurvedSubspace:
    """S_c by one method, and its checks."""

    method: str
    """``ascent``, ``eigenvectors`` of the mean shape operator, or the authors' ``reference``."""
    scale: float
    """s at which it was made, input units."""
    surface: str
    """``pair`` or ``region``."""
    images: int
    """n that made it."""
    values: Array
    """(R,), mean curvature in the sample, descending, 1 / input units; of the reference mode of
    the Hessian without 1 / |grad g|: logits / input units^2."""
    directions: Array
    """(R, D), orthonormal."""
    held_out: Array
    """(points, R), curvature at anchors that had no part in it, by gradients at the same scale."""
    asymmetry: float
    """Of the operator in the searched span; 0 for the ascent, which needs no symmetry."""
    additivity: float
    """Failure of the operator to be additive; 0 for the ascent."""
    residual: float
    """Largest |A v - value v| of the leading directions; 0 for the ascent."""
    starts: float
    """Mean squared cosine of the subspaces of two random starts; R/D if they shared nothing; 0 for
    the reference mode, of which this and the next are not taken."""
    halves: float
    """The same of two halves of the images."""
    gradients: int
    """Input gradients that the subspace took, without its checks."""

    def subspace(self, dimension: int) -> Subspace:
        """Return the span of the first directions."""
        return Subspace(self.directions[:dimension])

    def learned(self) -> LearnedCurvature:
        """Return its mean curvature, as the end of a learning curve."""
        own = float(self.values.mean())
        return LearnedCurvature(self.images, self.directions, own, self.held_out.mean(1))


Make = Callable[[MeanShapeOperator, int], tuple[Array, Array, float, float, float, int]]
"""From an operator and a seed: values, directions, asymmetry, additivity, residual, gradients."""


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
) -> CurvedSubspace:
    """Return S_c by a method, with two starts, two halves of the images and held-out curvature.

    Args:
        method: One of `METHODS`; the reference one is judged by its own operator, not projected.
        making: Of the images that make it.
        held_out: Of others, at the same scale and on the same surface.
        dimension: R.
        steps: Of the ascent.
        passes: Of the eigenvectors.
        seed: Of the first start; the second has the next.
        progress: Show progress bars on standard error.
    """
    make = _makers(dimension, steps, passes, progress)[method == ASCENT]
    values, directions, asymmetry, additivity, residual, gradients = make(making, seed)
    starts = halves = 0.0
    if making.count >= 2 and method != REFERENCE:
        starts = shared_energy(directions, make(making, seed + 1)[1])
        ((first, second),) = split_in_halves(making.count, 1, seed)
        parts = [make(making.subset(places), seed)[1] for places in (first, second)]
        halves = shared_energy(*parts)
    return CurvedSubspace(
        method=method,
        scale=float(making.scale or 0.0),
        surface=making.surface,
        images=making.count,
        values=values,
        directions=directions,
        held_out=held_out_curvature(held_out, directions),
        asymmetry=asymmetry,
        additivity=additivity,
        residual=residual,
        starts=starts,
        halves=halves,
        gradients=gradients,
    )


def _makers(dimension: int, steps: int, passes: int, progress: bool) -> tuple[Make, Make]:
    def eigenvectors(
        operator: MeanShapeOperator, seed: int
    ) -> tuple[Array, Array, float, float, float, int]:
        found: CurvaturePairs = mean_curvature_pairs(
            operator, dimension, passes=passes, seed=seed, progress=progress
        )
        leading = found.positive
        return (
            leading.values,
            leading.directions,
            found.asymmetry,
            found.additivity,
            float(leading.residual.max()),
            found.gradients,
        )

    def ascent(
        operator: MeanShapeOperator, seed: int
    ) -> tuple[Array, Array, float, float, float, int]:
        found: AscendedFrame = ascended_frame(
            operator, dimension, steps=steps, seed=seed, progress=progress
        )
        return found.values, found.directions, 0.0, 0.0, 0.0, found.gradients

    return eigenvectors, ascent


def learned_curvature(
    making: MeanShapeOperator,
    held_out: MeanShapeOperator,
    count: int,
    dimension: int,
    *,
    steps: int,
    seed: int = 0,
    progress: bool = False,
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
    """
    first = making.subset(np.arange(count))
    frame = ascended_frame(first, dimension, steps=steps, seed=seed, progress=progress)
    others = held_out_curvature(held_out, frame.directions).mean(1)
    return LearnedCurvature(first.count, frame.directions, float(frame.values.mean()), others)
