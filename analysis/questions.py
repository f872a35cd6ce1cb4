"""What the first two of the three answers rest on, image by image.

1. Do the boundary's normals share directions, beyond smoothness and beyond the untrained network?
2. Does a random vector of these directions fool more than matched noise, and how much of a
   universal perturbation's power can be had inside them?

All images are evaluated ones: they made no subspace and chose no dimension.
"""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.components import (
    Ratio,
    Uncertain,
    beyond_draws,
    ratio_beyond_draws,
    ratio_of_rates,
)
from analysis.curvature_test import NO_DIFFERENCE, NOT_DECIDED, answer
from analysis.intervals import Estimate
from boundary.result import Result

FEWEST_TWINS = 2
"""Untrained networks whose spread says how much such networks differ."""

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class SharedNormals(Result):
    """Energy of evaluated images' normals in S_f, in matched noise and in the untrained's own."""

    AXES: ClassVar = {"own": "image", "noise": "draw image", "untrained": "network"}

    dimension: int
    """R."""
    own: Array
    """(images,), |B n|^2 of each normal in S_f."""
    noise: Array
    """(draws, images), in the subspaces of matched noise."""
    untrained: Array
    """(networks,), mean energy of an untrained network's evaluated normals in its own S_f."""
    undecided: tuple[str, ...]
    """Why an untrained network decides nothing, one a network that does not."""

    @property
    def smoothness(self) -> Ratio:
        """The energy in S_f over that in matched noise."""
        return ratio_beyond_draws(self.own, self.noise)

    @property
    def training(self) -> Ratio | None:
        """The energy in S_f over the untrained networks' own; None of fewer than two."""
        if len(self.untrained) < FEWEST_TWINS:
            return None
        return ratio_beyond_draws(self.own, self.untrained[:, None], paired=False)


@dataclass(frozen=True, eq=False, repr=False)
class BeyondNoise(Result):
    """Random vectors of S_f beside those of matched noise, on evaluated images."""

    AXES: ClassVar = {
        "own": "vector image",
        "noise": "draw noise_vector image",
        "best_noise": "draw noise_vector image",
    }

    dimension: int
    """R of S_f."""
    best_dimension: int
    """The R at which the noise fools most choosing images."""
    norm: float
    """The reference norm, input units."""
    own: Bools
    """(vectors, images), fooled."""
    noise: Bools
    """(draws, vectors, images), of noise of the same R."""
    best_noise: Bools
    """(draws, vectors, images), of noise of the R that suits it best."""

    @property
    def differences(self) -> tuple[Uncertain, Uncertain]:
        """Rate of S_f less that of the noise, at the R of S_f and at the noise's own best."""
        return (
            beyond_draws(self.own, self.noise, shares=True),
            beyond_draws(self.own, self.best_noise, shares=True),
        )

    @property
    def weakest(self) -> Uncertain:
        """The difference that is least sure to be above 0."""
        return min(self.differences, key=lambda one: one.interval.low)

    @property
    def answer(self) -> str:
        """What both differences say."""
        said = {answer(one.interval.low, one.interval.high) for one in self.differences}
        return said.pop() if len(said) == 1 else NO_DIFFERENCE


@dataclass(frozen=True, eq=False, repr=False)
class Within(Result):
    """Images fooled by the best vector anywhere, inside S_f, and inside matched noise."""

    AXES: ClassVar = {"anywhere": "image", "inside": "image", "matched": "draw image"}

    dimension: int
    """R."""
    anywhere: Bools
    """(images,)."""
    inside: Bools
    """(images,)."""
    matched: Bools
    """(draws, images), one vector for each draw of noise of the same R."""

    @property
    def share(self) -> Estimate | None:
        """Rate inside S_f over the rate anywhere; None where that is 0."""
        return self._share(self.inside[None])

    @property
    def matched_share(self) -> Estimate | None:
        """Mean rate inside matched noise over the rate anywhere."""
        return self._share(self.matched)

    def _share(self, fooled: Bools) -> Estimate | None:
        if not self.anywhere.any() or not len(fooled):
            return None
        return ratio_of_rates(fooled, self.anywhere)


def ratio_answer(found: Ratio | None) -> dict[str, object]:
    """Return the words and numbers of a ratio, as numbers.json has them."""
    if found is None:
        return {"answer": NOT_DECIDED, "ratio": None, "low": None, "high": None}
    return {
        "answer": answer(found.low, found.high, 1.0),
        "ratio": found.value,
        "low": found.low,
        "high": found.high if isfinite(found.high) else None,
        "smallest_seen": found.detectable,
    }
