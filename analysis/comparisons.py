"""Many families on the same images: every difference of their fooling rates, intervals for all.

One bootstrap resamples the images for all families together, and the draws of each. The intervals
hold for all differences at once: each reaches as many of its standard errors as the largest
deviation of any difference does in 95 % of the resamples (the max-t method; Westfall and Young
1993, Romano and Wolf 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import (
    NO_SPREAD,
    FoolingRate,
    clipped_interval,
    newcombe_interval,
    require_same_images,
)
from analysis.intervals import LEVEL, Interval, two_way_bootstrap


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
        """1 or -1 where the interval lies on one side of 0, which it contains where this is 0."""
        return int(self.interval.low > 0) - int(self.interval.high < 0)


def compare_all(rates: Sequence[FoolingRate]) -> tuple[PairDifference, ...]:
    """Return the difference of every pair of families, with intervals that hold together.

    Where resampling shows no spread, since both families are unanimous or fool the same images, the
    interval is Newcombe's (1998) at a level corrected for the number of pairs (Bonferroni).

    Args:
        rates: Of at least two families, on the same images in the same order.

    Raises:
        InputError: If they are not of the same number of images.
    """
    require_same_images(rates)
    pairs = list(combinations(range(len(rates)), 2))
    samples = two_way_bootstrap(
        *(rate.fooled for rate in rates), sampled=[rate.sampled for rate in rates]
    )
    measured = np.array([rates[i].rate - rates[j].rate for i, j in pairs])
    resampled = np.stack([samples[i] - samples[j] for i, j in pairs])
    error = resampled.std(axis=1)
    reach = _largest_deviation(resampled, measured, error) * error
    found = []
    for place, (i, j) in enumerate(pairs):
        difference = float(measured[place])
        interval = clipped_interval(
            Interval(difference - float(reach[place]), difference + float(reach[place]))
        )
        if error[place] < NO_SPREAD:
            interval = newcombe_interval(rates[i], rates[j], 1 - (1 - LEVEL) / len(pairs))
        found.append(PairDifference(i, j, difference, interval))
    return tuple(found)


def _largest_deviation(
    resampled: NDArray[np.float64], measured: NDArray[np.float64], error: NDArray[np.float64]
) -> float:
    """Return how many standard errors the largest deviation of a resample reaches, 95 %."""
    varying = error >= NO_SPREAD
    if not varying.any():
        return 0.0
    deviation = np.abs(resampled - measured[:, None])[varying] / error[varying, None]
    return float(np.quantile(deviation.max(axis=0), LEVEL))
