"""Curved subspaces with what shows whether they mean anything beyond the images that made them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.ascent import ascended_frame, ascended_span
from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import (
    CurvaturePairs,
    Eigenpairs,
    MeanShapeOperator,
    held_out_curvature,
    mean_curvature_pairs,
    shared_energy,
)
from analysis.halves import split_in_halves
from analysis.subspace import Subspace
from analysis.surrogates import phase_randomised_rows

ASCENT, EIGENVECTORS, REFERENCE = "ascent", "eigenvectors", "reference"
NEGATIVE, FLATTEST = "negative eigenvectors", "flattest eigenvectors"
"""The other ends of the spectrum whose positive end ``eigenvectors`` are."""
METHODS = (ASCENT, EIGENVECTORS, NEGATIVE, FLATTEST, REFERENCE)

_PHASES = 20
"""Draws of random phases for each split."""

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
    """(points, R), curvature at anchors that had no part in it, by gradients, at the scale of the
    test whatever the method's."""
    asymmetry: float
    """Of the operator in the searched span; 0 for the ascent, which needs no symmetry."""
    additivity: float
    """Failure of the operator to be additive; 0 for the ascent."""
    residual: Array
    """(R,), |A v - value v|; 0 for the ascent."""
    starts: float
    """Mean squared cosine of the subspaces of two random starts; R/D if they shared nothing; 0 for
    the reference mode, of which this and the next are not taken."""
    halves: Array
    """(splits,), the same of two random halves of the images; none for the reference mode."""
    halves_own: Array
    """(splits, 2), mean curvature in the sample along the frame of each half, 1 / input units;
    where that of one is far below the other's, it found lesser maxima, and that they share little
    says nothing of the images."""
    halves_by_phases: Array
    """(draws,), the same as ``halves`` where one half's directions have got random phases: what
    their power spectrum alone gives."""
    gradients: int
    """Input gradients that the subspace took, without its checks."""

    @property
    def shared_by_halves(self) -> float:
        """Mean over splits; 0 if none was made."""
        return _mean(self.halves)

    @property
    def shared_by_phases(self) -> float:
        """Mean over draws; 0 if no split was made."""
        return _mean(self.halves_by_phases)

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


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else 0.0


def curved_by(
    method: str,
    making: MeanShapeOperator,
    held_out: MeanShapeOperator,
    dimension: int,
    *,
    steps: int,
    passes: int,
    splits: int = 1,
    seed: int = 0,
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> tuple[CurvedSubspace, ...]:
    """Return S_c by a method, with two starts, halves of the images and held-out curvature.

    Every start is another one: what a method leaves of its start would else count as shared.

    Args:
        method: ``ascent``, ``eigenvectors`` or ``reference``; of the last neither starts nor halves
            are taken.
        making: Of the images that make it.
        held_out: Of others, by which all methods are judged.
        dimension: R.
        steps: Of the ascent.
        passes: Of the eigenvectors.
        splits: In two halves.
        seed: Of the first start; the others have the next.
        progress: Show progress bars on standard error.
        checkpoint: Where what is made on the way is kept, and looked for.

    Returns:
        One; for ``eigenvectors`` three: those of largest, smallest and flattest curvature.
    """
    by = _Making(method, dimension, steps, passes, seed, progress, checkpoint)
    made = by.checked(making)
    others: list[_Span] = []
    halves: list[tuple[list[_Span], list[_Span]]] = []
    if making.count >= 2 and method != REFERENCE:
        others = by.spans(making, "another start", 1)
        for split, (first, second) in enumerate(split_in_halves(making.count, splits, seed)):
            name, start = f"split {split + 1} half", 2 * split + 2
            one = by.spans(making.subset(first), f"{name} 1", start)
            other = by.spans(making.subset(second), f"{name} 2", start + 1)
            halves.append((one, other))
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
            starts=shared_energy(one.directions, others[place].directions) if others else 0.0,
            halves=np.array(
                [shared_energy(a[place].directions, b[place].directions) for a, b in halves]
            ),
            halves_own=np.array([[a[place].own, b[place].own] for a, b in halves]).reshape(-1, 2),
            halves_by_phases=_shared_by_phases(
                [(a[place].directions, b[place].directions) for a, b in halves], making.shape, seed
            ),
            gradients=one.gradients,
        )
        for place, one in enumerate(made)
    )


@dataclass(frozen=True, eq=False)
class _Span:
    """Directions alone, and their mean curvature in the sample."""

    directions: Array
    own: float


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


@dataclass(frozen=True)
class _Making:
    """How directions are made, whatever the images."""

    method: str
    dimension: int
    steps: int
    passes: int
    seed: int
    progress: bool
    checkpoint: Checkpoint

    def checked(self, operator: MeanShapeOperator) -> list[_Made]:
        """Return the directions that are tested, with what is known of them in the sample."""
        if self.method == ASCENT:
            options = self._options("all", 0)
            last = ascended_span(operator, self.dimension, steps=self.steps, **options)
            frame = ascended_frame(operator, last)
            residual = np.zeros(self.dimension)
            return [_Made(ASCENT, frame.values, frame.directions, residual, frame.gradients)]
        found = self._pairs(operator, "all", 0, additivity=True)
        return [
            _Made(
                kind,
                end.values,
                end.directions,
                end.residual,
                found.gradients,
                found.asymmetry,
                found.additivity,
            )
            for kind, end in _ends(self.method, found)
        ]

    def spans(self, operator: MeanShapeOperator, place: str, start: int) -> list[_Span]:
        """Return the directions from another start; kept at their own place."""
        if self.method == ASCENT:
            options = self._options(place, start)
            last = ascended_span(operator, self.dimension, steps=self.steps, **options)
            return [_Span(last.directions, _mean(last.curvature))]
        found = self._pairs(operator, place, start, additivity=False)
        return [_Span(end.directions, _mean(end.values)) for _, end in _ends(self.method, found)]

    def _pairs(
        self, operator: MeanShapeOperator, place: str, start: int, *, additivity: bool
    ) -> CurvaturePairs:
        options = self._options(place, start)
        return mean_curvature_pairs(
            operator, self.dimension, passes=self.passes, additivity=additivity, **options
        )

    def _options(self, place: str, start: int) -> dict[str, Any]:
        return {
            "seed": self.seed + start,
            "progress": self.progress,
            "checkpoint": self.checkpoint.within(place),
        }


def _ends(method: str, found: CurvaturePairs) -> list[tuple[str, Eigenpairs]]:
    """Return the ends of a spectrum that a method is after, by name."""
    others = [(NEGATIVE, found.negative), (FLATTEST, found.flattest)]
    return [(method, found.positive), *(others if method == EIGENVECTORS else [])]


def _shared_by_phases(
    halves: Sequence[tuple[Array, Array]], shape: tuple[int, ...], seed: int
) -> Array:
    """Return what halves share after one's directions have got random phases, (draws,).

    Directions of one power spectrum share more than random ones; what halves share beyond that is
    not their smoothness.
    """
    found = []
    for split, (one, other) in enumerate(halves):
        generator = np.random.default_rng((seed, split))
        for _ in range(_PHASES):
            rows = phase_randomised_rows(one, shape, generator)
            turned = np.linalg.qr(np.asarray(rows, np.float64).T)[0].T
            found.append(shared_energy(turned, other))
    return np.array(found)


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
    last = ascended_span(
        first, dimension, steps=steps, seed=seed, progress=progress, checkpoint=checkpoint
    )
    frame = ascended_frame(first, last)
    others = held_out_curvature(held_out, frame.directions).mean(1)
    return LearnedCurvature(first.count, frame.directions, float(frame.values.mean()), others)
