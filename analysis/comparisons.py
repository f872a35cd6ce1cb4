"""Differences of many fooling rates, with intervals that hold for all pairs (Bonferroni)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import hypot

from analysis.components import difference_of, mean_over
from analysis.fooling import FoolingRate, clipped_interval, require_same_images
from analysis.intervals import LEVEL, Interval


@dataclass(frozen=True)
class PairDifference:
    """The rate of one family minus that of another, among all pairs of several families."""

    first: int
    """Place of the first family among those compared."""
    second: int
    difference: float
    interval: Interval
    """95 % for all pairs together."""

    @property
    def sign(self) -> int:
        """Of the interval: 0 where it contains 0."""
        return self.interval.sign


def compare_all(
    rates: Sequence[FoolingRate], judged: Sequence[int] | None = None
) -> tuple[PairDifference, ...]:
    """Return the difference of every pair of rates, with intervals that hold together.

    Rates of one set of images are compared in pairs, those of different sets as independent
    samples.

    Args:
        rates: At least two.
        judged: (rates,), a number for the set of images that each was taken on, in one order; by
            default all are of one set.

    Raises:
        InputError: If rates of one set are not of the same number of images.
    """
    sets = [0] * len(rates) if judged is None else judged
    pairs = list(combinations(range(len(rates)), 2))
    level = 1 - (1 - LEVEL) / 2 / max(len(pairs), 1)
    found = []
    for i, j in pairs:
        one, other = rates[i], rates[j]
        if sets[i] == sets[j]:
            require_same_images([one, other])
            sampled = (one.sampled, other.sampled)
            half = difference_of(one.by_draw, other.by_draw, sampled).half_width(level)
        else:
            half = hypot(
                *(
                    mean_over(rate.by_draw, rate.sampled, shares=True).half_width(level)
                    for rate in (one, other)
                )
            )
        difference = one.rate - other.rate
        ends = clipped_interval(Interval(difference - half, difference + half))
        found.append(PairDifference(i, j, difference, ends))
    return tuple(found)
