"""Variance components of draws and points: closed forms, and simulations whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from analysis.components import LEAST_P, Component, Uncertain, of_difference, of_mean

DRAWS, POINTS, REPEATS = 4, 60, 2000

MIXES = {
    "draws": (1.0, 0.5, 0.5),
    "points": (0.02, 1.0, 0.5),
    "both": (0.12, 1.0, 0.5),
    "mostly draws": (0.25, 0.3, 1.0),
    "rest": (0.0, 0.0, 1.0),
}
"""Standard deviations of draws, points and the rest."""

TABLE = np.array([[1.0, 2.0, 6.0], [3.0, 6.0, 9.0]])
"""Means 3 and 6 of draws, 2, 4 and 7.5 of points; the rest is +-1/2, -+1/2, 0."""


def outcomes(
    generator: np.random.Generator, mix: tuple[float, float, float], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    of_draw, _, rest = mix
    noise = rest * generator.standard_normal((REPEATS, DRAWS, POINTS))
    return of_draw * generator.standard_normal((REPEATS, DRAWS, 1)) + points + noise


def effects_of_points(
    generator: np.random.Generator, mix: tuple[float, float, float]
) -> NDArray[np.float64]:
    return mix[1] * generator.standard_normal((REPEATS, 1, POINTS))


def require_honest(found: list[Uncertain]) -> None:
    """Require p-values and intervals of a true 0 that are not too small."""
    p = np.array([one.p for one in found])
    covered = [one.interval.low <= 0 <= one.interval.high for one in found]
    assert (p < 0.05).mean() <= 0.07
    assert (p < 0.001).mean() <= 0.004
    assert (p < 1e-4).mean() <= 0.001
    assert np.mean(covered) >= 0.93


def test_components_of_a_table() -> None:
    found = of_mean(TABLE)
    rest = (4 * 0.5**2) / 2  # four residuals of 1/2, two degrees of freedom
    of_draws = 4.5 - rest / 3
    of_points = np.var([2, 4, 7.5], ddof=1) - rest / 2
    assert found.estimate == 4.5
    assert found.error**2 == pytest.approx(of_draws / 2 + of_points / 3 + rest / 6)
    draws, points = found.components
    assert (draws.variance, draws.freedom) == (pytest.approx(4.5 / 2), 1)
    assert (points.variance, points.freedom) == (pytest.approx(of_points / 3), 2)
    reach = np.hypot(
        student.ppf(0.975, 1) * (4.5 / 2) ** 0.5, student.ppf(0.975, 2) * (of_points / 3) ** 0.5
    )
    assert found.interval.high - found.estimate == pytest.approx(reach)


def test_the_interval_ends_at_0_where_p_is_5_per_cent() -> None:
    found = of_mean(TABLE)
    at_end = of_mean(TABLE - found.interval.low)
    assert at_end.p == pytest.approx(1.0 if at_end.estimate == 0 else 0.05, rel=1e-6)


def test_a_rest_larger_than_chance_allows_is_counted_once() -> None:
    # Draws and points have equal means, and yet outcomes vary.
    found = of_mean(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert found.error == pytest.approx((1 / 4) ** 0.5)


@pytest.mark.parametrize("of", ["a fixed list", "a single draw"])
def test_without_sampled_draws_only_points_vary(of: str) -> None:
    values = TABLE if of == "a fixed list" else TABLE.mean(0, keepdims=True)
    found = of_mean(values, sampled=of == "a single draw")
    by_point = TABLE.mean(0)
    error = by_point.std(ddof=1) / 3**0.5
    assert found.error == pytest.approx(error)
    assert found.p == pytest.approx(2 * student.sf(4.5 / error, 2), rel=1e-6)
    assert found.effect == pytest.approx(4.5 / by_point.std(ddof=1))


def test_what_points_have_in_common_is_gone_from_a_difference() -> None:
    shift = np.array([100.0, -50.0, 7.0])
    rival = TABLE[::-1] * 0.3
    plain, shifted = of_difference(TABLE, rival), of_difference(TABLE + shift, rival + shift)
    assert shifted.error == pytest.approx(plain.error)
    assert shifted.p == pytest.approx(plain.p)
    fixed = of_difference(TABLE, rival, (False, False))
    assert fixed.error == pytest.approx((0.7 * TABLE.mean(0)).std(ddof=1) / 3**0.5)
    one_sampled = of_difference(TABLE, rival, (True, False))
    assert fixed.error < one_sampled.error < plain.error


def test_draws_of_two_families_have_the_freedom_that_welch_gives() -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((2, DRAWS, 1)) + np.zeros((DRAWS, POINTS))
    found = of_difference(values[0], values[1])
    draws, points = found.components
    assert points.variance == pytest.approx(0, abs=1e-30)
    parts = values[..., 0].var(1, ddof=1) / DRAWS
    assert draws.variance == pytest.approx(parts.sum())
    assert draws.freedom == pytest.approx(parts.sum() ** 2 / (parts**2 / (DRAWS - 1)).sum())


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_a_mean_of_nothing_is_seldom_found(mix: tuple[float, float, float]) -> None:
    generator = np.random.default_rng(1)
    values = outcomes(generator, mix, effects_of_points(generator, mix))
    require_honest([of_mean(table) for table in values])


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_a_difference_of_nothing_is_seldom_found(mix: tuple[float, float, float]) -> None:
    generator = np.random.default_rng(2)
    common = effects_of_points(generator, mix)
    own, rival = (
        outcomes(generator, mix, common + effects_of_points(generator, mix)) for _ in range(2)
    )
    require_honest([of_difference(a, b) for a, b in zip(own, rival, strict=True)])


def test_what_is_there_is_found() -> None:
    generator = np.random.default_rng(3)
    mix = MIXES["points"]
    common = effects_of_points(generator, mix)
    own = 1.0 + outcomes(generator, mix, common)
    rival = outcomes(generator, mix, common)
    tables = list(zip(own, rival, strict=True))[:300]
    assert np.mean([of_mean(a).p < 1e-3 for a, _ in tables]) > 0.9
    assert np.mean([of_difference(a, b).p < 1e-3 for a, b in tables]) > 0.9
    assert np.mean([of_difference(a, b).estimate for a, b in tables]) == pytest.approx(1, abs=0.05)


def test_equal_outcomes_say_no_more_than_their_number() -> None:
    equal = np.full((3, 10), 0.1)
    for found in (of_mean(equal), of_difference(equal, -equal)):
        assert found.error == found.effect == 0
        assert found.p == pytest.approx(2 * 0.5**10)
        assert found.interval.low == found.interval.high == found.estimate
    nothing = of_mean(np.zeros((3, 10)))
    assert (nothing.p, nothing.interval.low, nothing.interval.high) == (1.0, 0.0, 0.0)
    assert of_mean(equal[:, :1]).p == 1.0


def test_equal_shares_have_the_reach_of_an_event_never_seen() -> None:
    every, none = np.ones((3, 10)), np.zeros((3, 10))
    apart = of_difference(every, none, shares=True)
    assert apart.p == pytest.approx(2 * 0.5**10)
    assert apart.interval.low == pytest.approx(0.025**0.1)
    alike = of_difference(every, every, shares=True)
    assert alike.p == 1.0
    assert alike.interval.high == -alike.interval.low == pytest.approx(1 - 0.025**0.1)
    # Of outcomes that hardly vary too.
    hardly = every.copy()
    hardly[0, 0] = 0
    assert of_difference(hardly, none, shares=True).p >= 2 * 0.5**10


def test_p_values_of_one_component_are_those_of_student() -> None:
    for freedom, expected in ((3, 50.0), (99, 6.0), (np.inf, 5.0)):
        found = Uncertain(expected, (Component(1.0, freedom),), points=100)
        assert found.p == pytest.approx(2 * student.sf(expected, freedom), rel=1e-6)
        still = (Component(1.0, freedom), Component(0.0, 3))
        assert Uncertain(expected, still, points=100).p == found.p
    assert Uncertain(1e6, (Component(1.0, np.inf),), points=100).p == LEAST_P
