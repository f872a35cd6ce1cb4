"""The dimension R of S_f, chosen by images that do nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analysis.components import mean_over
from analysis.fooling import FoolingRate
from boundary.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class ChosenDimension(Result):
    """The R of S_f, and the fooling rates on the choosing images that decided."""

    AXES: ClassVar = {
        "dimensions": "dimensions",
        "rate": "dimensions",
        "error": "dimensions",
        "noise": "draw dimensions",
    }
    ROWS = "dimensions"

    dimensions: NDArray[np.int64]
    """(dimensions,), ascending."""
    rate: NDArray[np.float64]
    """(dimensions,), of random vectors of S_f at the reference norm."""
    error: NDArray[np.float64]
    """(dimensions,), standard error over vectors and images."""
    noise: NDArray[np.float64]
    """(draws, dimensions), of matched noise."""
    chosen: int
    """The smallest R within one standard error of the largest rate, or the one that was stated."""
    noise_best: int
    """The R at which matched noise fools most."""
    images: int
    """Choosing images."""
    stated: bool
    """Whether R was stated and not chosen."""


def choose_dimension(
    own: Sequence[FoolingRate], noise: NDArray[np.float64], stated: int | None = None
) -> ChosenDimension:
    """Return the smallest dimension within one standard error of the best one.

    Args:
        own: Of random vectors of S_f, by ascending R, on the choosing images at the reference norm.
        noise: Rates of matched noise, (draws, dimensions).
        stated: R, where it is not to be chosen; one of those of ``own``.
    """
    rate = np.array([one.rate for one in own])
    error = np.array([mean_over(one.fooled, one.sampled).error for one in own])
    dimensions = np.array([one.subspace_dimension for one in own])
    best = int(rate.argmax())
    chosen = int(dimensions[np.argmax(rate >= rate[best] - error[best])])
    return ChosenDimension(
        dimensions=dimensions,
        rate=rate,
        error=error,
        noise=noise,
        chosen=chosen if stated is None else stated,
        noise_best=int(dimensions[noise.mean(0).argmax()]),
        images=own[0].fooled.shape[1],
        stated=stated is not None,
    )
