"""Intervals of shares and means: Wilson's, of random halves, of order statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest
from scipy.stats import norm as normal
from scipy.stats import t as student

from boundary.errors import InputError

LEVEL = 0.95
"""Confidence level of every interval."""

TAILS = (0.025, 0.975)
"""Quantiles between which a 95 % interval lies."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where it lies on one side of 0; 0 where it contains 0."""
        return int(self.low > 0) - int(self.high < 0)


def wilson_interval(count: int, total: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a share of ``count`` in ``total`` (Wilson 1927).

    Raises:
        InputError: If there is nothing to take a share of.
    """
    if not 0 <= count <= total or total < 1:
        raise InputError(f"a share needs 0 <= count <= total, total >= 1. Found {count}, {total}.")
    found = binomtest(count, total).proportion_ci(level, method="wilson")
    return Interval(float(found.low), float(found.high))


def score_interval(share: float, trials: float, quantile: float | None = None) -> Interval:
    """Return Wilson's interval of a share for a number of trials that need not be whole.

    Args:
        share: In [0, 1].
        trials: Independent trials that would have the variance of the share, positive.
        quantile: Of the standard error's law; by default the normal one, 1.96.
    """
    z = float(normal.ppf(TAILS[1])) if quantile is None else quantile
    shrunk = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / shrunk
    half = z / shrunk * (share * (1 - share) / trials + (z / (2 * trials)) ** 2) ** 0.5
    return Interval(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def bound_of_none(total: int) -> float:
    """Return the largest share that none in ``total`` allows (Clopper and Pearson 1934)."""
    return float(1 - TAILS[0] ** (1 / total))


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is."""

    value: float
    interval: Interval


def estimate_from_halves(value: float, of_halves: ArrayLike, *, offset: float = 0.0) -> Estimate:
    """Return a positive statistic with the 95 % interval that its values in random halves give.

    Half of a sample, drawn without replacement, has twice the variance of the whole and shares half
    of it, so the statistic spreads over halves as it does over samples of the whole size (the
    delete-half jackknife, Shao and Wu 1989). What grows with the sample is smaller in a half:
    relative spreads are taken, on a log scale.

    Args:
        value: Of the whole.
        of_halves: The same statistic of random halves.
        offset: Added on the log scale, 1 for a count that may be 0.
    """
    reach = reach_of_halves(np.log(np.asarray(of_halves) + offset))
    low, high = (float((value + offset) * np.exp(end) - offset) for end in (-reach, reach))
    return Estimate(value, Interval(max(low, 0.0), high))


def median_estimate(values: ArrayLike) -> Estimate:
    """Return the median with its 95 % interval between two order statistics.

    It holds whatever the law of the values is (Thompson 1936). Of fewer than six values it is their
    range, which holds less often.

    Args:
        values: At least one.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    below = max(1, int(binom.ppf(TAILS[0], len(ordered), 0.5)))
    ends = Interval(float(ordered[below - 1]), float(ordered[-below]))
    return Estimate(float(np.median(ordered)), ends)


def reach_of_halves(of_halves: ArrayLike) -> float:
    """Return half the length of a 95 % interval, from a statistic of random halves in pairs.

    The two halves of a split say much the same, so the quantile is that of Student's law with as
    many degrees of freedom as there are splits.
    """
    values = np.asarray(of_halves, dtype=np.float64)
    return float(student.ppf(TAILS[1], len(values) // 2) * values.std(ddof=1))
