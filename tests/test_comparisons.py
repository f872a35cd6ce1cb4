"""Many families compared at once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import FoolingRate, compare, compare_all
from analysis.intervals import wilson_interval
from boundary import InputError


def rate_of(fooled: NDArray[np.bool_]) -> FoolingRate:
    return FoolingRate("sphere", 4, 1.0, False, fooled)


def test_intervals_hold_for_all_pairs_together() -> None:
    """Six families that fool alike: in 95 % of repeats no interval of 15 excludes 0."""
    random = np.random.default_rng(0)
    together, alone = [], []
    for _ in range(120):
        image = random.normal(size=(1, 150))
        families = [
            rate_of(image + random.normal(size=(6, 1)) / 3 + random.normal(size=(6, 150)) > 1)
            for _ in range(6)
        ]
        together.append(all(pair.sign == 0 for pair in compare_all(families)))
        first = [compare(families[0], other).difference_interval for other in families[1:]]
        alone.append(all(found.low <= 0 <= found.high for found in first))
    assert 0.88 <= np.mean(together) <= 1.0
    assert np.mean(alone) < np.mean(together)


def test_two_families_have_the_interval_of_one_comparison() -> None:
    random = np.random.default_rng(1)
    hard = random.random((1, 400))
    first, second = rate_of(hard < 0.5), rate_of(hard < 0.4)
    (pair,) = compare_all([first, second])
    alone = compare(first, second).difference_interval
    assert pair.difference == pytest.approx(first.rate - second.rate)
    assert pair.interval.low == pytest.approx(alone.low, abs=0.01)
    assert pair.interval.high == pytest.approx(alone.high, abs=0.01)
    assert pair.sign == 1
    # Paired: 37 images differ, and none of them the other way; alone both rates are unsure by 5 %.
    assert pair.interval.high - pair.interval.low < 0.07


def test_unanimous_families_are_not_certain() -> None:
    all_fooled, none = rate_of(np.ones((2, 30), bool)), rate_of(np.zeros((2, 30), bool))
    (pair,) = compare_all([all_fooled, none])
    edge = wilson_interval(0, 30).high
    assert pair.interval.low == pytest.approx(1 - np.hypot(edge, edge))
    three = compare_all([all_fooled, none, none])
    assert three[0].interval.low < pair.interval.low  # corrected for three
    assert [found.sign for found in three] == [1, 1, 0]


def test_families_of_other_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"same images. Found 9 and 8"):
        compare_all([rate_of(np.ones((2, 9), bool)), rate_of(np.ones((2, 8), bool))])
