"""Many families compared at once."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from analysis import FoolingRate, compare, compare_all
from analysis.intervals import bound_of_none
from boundary import InputError


def rate_of(fooled: NDArray[np.bool_]) -> FoolingRate:
    return FoolingRate("sphere", 4, 1.0, False, fooled)


@pytest.mark.parametrize("draws", [2, 10])
def test_intervals_hold_for_all_pairs_together(draws: int) -> None:
    """Five families that fool alike: in 95 % of repeats no interval of ten excludes 0."""
    random = np.random.default_rng(0)
    together, alone, single = [], [], []
    for _ in range(100):
        image = random.normal(size=(1, 200))
        families = [
            rate_of(
                image + 0.6 * random.normal(size=(draws, 1)) + random.normal(size=(draws, 200)) > 1
            )
            for _ in range(5)
        ]
        together.append(all(pair.sign == 0 for pair in compare_all(families)))
        one = compare(families[0], families[1]).difference_interval
        alone.append(one.low <= 0 <= one.high)
        truth = norm.sf(1 / np.sqrt(2.36))  # of an image and a draw: variances 1, 0.36 and 1
        single.append(families[0].interval.low <= truth <= families[0].interval.high)
    # Of 100 repeats, each held in 95 %, at least 90 hold in 99 % of cases.
    for held in (together, alone, single):
        assert np.mean(held) >= 0.9


def test_a_fixed_list_is_not_resampled() -> None:
    random = np.random.default_rng(0)
    fooled = random.random((4, 300)) < np.array([[0.1], [0.3], [0.5], [0.7]])
    drawn = rate_of(fooled)
    listed = replace(drawn, sampled=False)
    width = drawn.interval.high - drawn.interval.low
    assert listed.interval.high - listed.interval.low < 0.2 * width


def test_families_that_fool_the_same_images_are_not_certainly_alike() -> None:
    same = rate_of(np.arange(400)[None] < 350)
    (pair,) = compare_all([same, same])
    edge = bound_of_none(400)
    assert (pair.interval.low, pair.interval.high) == pytest.approx((-edge, edge))
    alone = compare(same, same)
    assert alone.difference_interval == pair.interval
    assert alone.ratio_interval.low < 1 < alone.ratio_interval.high


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
    assert pair.interval.low == pytest.approx(1 - bound_of_none(30))
    assert pair.interval.high == 1
    three = compare_all([all_fooled, none, none])
    assert [found.sign for found in three] == [1, 1, 0]


def test_more_families_have_wider_intervals() -> None:
    random = np.random.default_rng(5)
    families = [rate_of(random.random((5, 200)) < share) for share in (0.2, 0.3, 0.4, 0.5)]
    every = {(pair.first, pair.second): pair for pair in compare_all(families)}
    assert len(every) == 6
    for pair in compare_all(families[:2]):
        other = every[pair.first, pair.second]
        assert pair.difference == other.difference
        assert other.interval.low < pair.interval.low < pair.interval.high < other.interval.high


def test_rates_on_other_images_are_independent_samples() -> None:
    hard = np.random.default_rng(1).random((1, 400))
    first, second = rate_of(hard < 0.5), rate_of(hard < 0.4)
    (paired,), (apart,) = compare_all([first, second]), compare_all([first, second], [0, 1])
    assert apart.difference == paired.difference
    half = np.hypot(
        *(
            norm.ppf(0.975) * np.sqrt(rate.rate * (1 - rate.rate) / 400)
            for rate in (first, second)
        )
    )
    assert apart.interval.high - apart.difference == pytest.approx(half, rel=0.01)
    assert apart.interval.high - apart.interval.low > 2 * (
        paired.interval.high - paired.interval.low
    )
    fewer = replace(second, fooled=second.fooled[:, :300])
    assert compare_all([first, fewer], [0, 1])[0].difference == first.rate - fewer.rate


def test_drawn_subspaces_are_the_sample_and_not_their_vectors() -> None:
    """Noise of 5 subspaces of 20 vectors each beside vectors of one: 95 % hold 0 all the same."""
    random, held, naive = np.random.default_rng(0), [], []
    for _ in range(200):
        image, of_draw = random.normal(size=(1, 100)), 0.4 * np.repeat(random.normal(size=5), 20)
        noise = rate_of(image + of_draw[:, None] + random.normal(size=(100, 100)) > 1.08)
        other = rate_of(random.random((20, 100)) < norm.sf(1.08 / np.sqrt(2.16)))
        drawn = replace(noise, per_draw=20)
        (pair,) = compare_all([drawn, other])
        alone = compare(drawn, other).difference_interval
        assert pair.interval.low == pytest.approx(alone.low)
        held.append(pair.sign == 0)
        naive.append(compare(noise, other).difference_interval.sign == 0)
    assert np.mean(held) >= 0.91
    assert np.mean(naive) < 0.85


def test_families_of_other_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"same images. Found 9 and 8"):
        compare_all([rate_of(np.ones((2, 9), bool)), rate_of(np.ones((2, 8), bool))])
