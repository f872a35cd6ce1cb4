"""Many families on the same images: every difference of their fooling rates, intervals for all.

One bootstrap resamples the images for all families together, and the draws of each. The intervals
hold for all differences at once: each reaches as many of its standard errors as the largest
deviation of any difference does in 95 % of the resamples (the max-t method; Westfall and Young
1993, Romano and Wolf 2005).

Of several models, those judged on the same images are resampled together, the others apart.
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
from analysis.intervals import LEVEL, RESAMPLES, Interval, two_way_bootstrap


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
    rates: Sequence[FoolingRate], pairs: Sequence[tuple[int, int]] | None = None
) -> tuple[PairDifference, ...]:
    """Return the difference of every pair of families, with intervals that hold together.

    Where resampling shows no spread, since both families are unanimous or fool the same images, the
    interval is Newcombe's (1998) at a level corrected for the number of pairs (Bonferroni).

    Args:
        rates: Of at least two families, on the same images in the same order.
        pairs: Places of those that are compared, chosen before looking; every pair by default.

    Raises:
        InputError: If they are not of the same number of images.
    """
    return compare_across(rates, [0] * len(rates), pairs)


def compare_across(
    rates: Sequence[FoolingRate],
    judged: Sequence[int],
    pairs: Sequence[tuple[int, int]] | None = None,
) -> tuple[PairDifference, ...]:
    """Return the difference of every pair of rates, of which some are of other images.

    Rates of one set of images are compared in pairs, as in `compare_all`; those of different sets
    as independent samples. The draws of each rate are resampled apart.

    Args:
        rates: At least two.
        judged: (rates,), a number for the set of images that each was taken on; rates of one set
            have its images in the same order.
        pairs: Places of those that are compared, chosen before looking; every pair by default.

    Raises:
        InputError: If rates of one set are not of the same number of images.
    """
    if pairs is None:
        pairs = list(combinations(range(len(rates)), 2))
    samples = np.empty((len(rates), RESAMPLES))
    for seed, images in enumerate(dict.fromkeys(judged)):
        members = [place for place, own in enumerate(judged) if own == images]
        together = [rates[place] for place in members]
        require_same_images(together)
        samples[members] = two_way_bootstrap(
            *(rate.fooled for rate in together),
            sampled=[rate.sampled for rate in together],
            seed=seed,
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
