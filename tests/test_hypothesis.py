"""The test of the curvature hypothesis on made-up numbers whose answer is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, spearmanr

from analysis import FoolingRate
from analysis.curvature_sweep import CurvatureCurve
from analysis.hypothesis import (
    CONTRADICTED,
    NOT_SUPPORTED,
    SUPPORTED,
    HypothesisRow,
    corrected_rows,
    item_verdicts,
)
from analysis.hypothesis_items import (
    ALIKE,
    correlation_rows,
    curvature_rows,
    fooling_rows,
    half_rows,
    mirror_rows,
    sharing_rows,
)

POINTS, DRAWS = 150, 5


def row(p: float, estimate: float = 1.0, **changes: Any) -> HypothesisRow:
    settings: dict[str, Any] = {
        "item": 1,
        "question": "mean curvature",
        "family": "curved",
        "rival": "",
        "anchor": "nearest",
        "estimator": "values",
        "surface": "region",
        "scale": 1.0,
        "dimension": 10,
        "images": 100,
        "low": estimate - 1,
        "high": estimate + 1,
        "effect": 1.0,
        "n": 10,
    }
    return HypothesisRow(p=p, estimate=estimate, **{**settings, **changes})


def curve(
    family: str, mean: float, seed: int, *, spread: float = 1.0, common: float = 0.0
) -> CurvatureCurve:
    """Return curvatures of a known mean; what is common to a point is the same for all families."""
    generator = np.random.default_rng(seed)
    shared = common * np.random.default_rng(99).standard_normal(POINTS)
    values = mean + spread * generator.standard_normal((2, DRAWS, POINTS)) + shared
    return CurvatureCurve(
        family=family,
        anchor="nearest",
        estimator="values",
        surface="region",
        scales=np.array([0.5, 1.0]),
        curvature=values,
        censored=np.zeros(values.shape, dtype=bool),
        residual=0.0,
    )


def rate(family: str, fooled: NDArray[np.bool_], dimension: int = 10) -> FoolingRate:
    return FoolingRate(family, dimension, 1.0, False, fooled)


def test_p_values_are_corrected_as_holm_does() -> None:
    found = corrected_rows([row(p) for p in (0.01, 0.04, 0.03, 0.005)])
    assert [one.corrected for one in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [one.verdict for one in found] == [SUPPORTED, NOT_SUPPORTED, NOT_SUPPORTED, SUPPORTED]
    (against,) = corrected_rows([row(0.01, estimate=-1.0)])
    assert against.verdict == CONTRADICTED


def test_an_item_is_supported_where_all_its_rows_are() -> None:
    rows = corrected_rows(
        [
            row(1e-9),
            row(1e-9, rival="sphere"),
            row(1e-9, scale=2.0),
            row(0.5, scale=2.0, rival="sphere"),
            row(1e-9, estimate=-1.0, scale=3.0),
            row(0.5, scale=3.0, rival="sphere"),
            row(0.5, surface="pair"),
            row(1e-9, item=4, anchor="", surface="", estimator=""),
        ]
    )
    found = {(one.item, one.scale): one for one in item_verdicts(rows)}
    assert found[1, 1.0].verdict == SUPPORTED  # the row of the pair is left out
    assert found[1, 2.0].verdict == NOT_SUPPORTED
    assert (found[1, 2.0].supporting, found[1, 2.0].rows) == (1, 2)
    assert found[1, 3.0].verdict == CONTRADICTED
    assert found[4, 1.0].verdict == SUPPORTED
    assert {one.verdict for one in item_verdicts(rows, surface="pair")} >= {NOT_SUPPORTED}


def test_each_item_is_judged_by_its_largest_subspaces() -> None:
    rows = corrected_rows(
        [
            row(1e-9, dimension=20, images=200),
            row(0.5, dimension=10, images=200),
            row(0.5, dimension=20, images=100, family="curved, 100 images"),
            row(0.5, dimension=0, images=0),
            row(1e-9, item=6, family="curved of one", dimension=10, images=50),
            row(0.5, item=6, family="curved of one", dimension=5, images=50),
            row(0.5, item=6, family="curved of another", dimension=20, images=100),
            row(1e-9, item=6, family="curved of another", dimension=20, images=0),
        ]
    )
    found = {one.item: one for one in item_verdicts(rows)}
    assert (found[1].supporting, found[1].rows) == (1, 2)
    assert (found[6].supporting, found[6].rows) == (2, 3)


def test_planted_curvature_is_found_and_its_absence_is_not() -> None:
    curves = [
        curve("curved", 0.5, 0, common=5.0),
        curve("sphere", 0.0, 1, common=5.0),
        curve("subspace", 0.5, 2, common=5.0),
    ]
    found = {
        (one.rival, one.scale): one
        for one in curvature_rows(curves, "curved", ["sphere", "subspace"])
    }
    assert len(found) == 6
    # What points have in common is gone from the paired rows, and not from the others.
    assert found["sphere", 1.0].estimate == pytest.approx(0.5, abs=0.15)
    assert found["sphere", 1.0].p < 1e-4
    assert found["subspace", 1.0].p > 0.01
    alone, paired = found["", 1.0], found["sphere", 1.0]
    assert alone.high - alone.low > 2 * (paired.high - paired.low)
    assert alone.low < alone.estimate < alone.high
    assert paired.effect == pytest.approx(0.5 / (2 / DRAWS) ** 0.5, abs=0.25)
    assert paired.n == POINTS
    reversed_sign = curvature_rows([curve("curved", -0.5, 0)], "curved", [])
    assert all(one.verdict == CONTRADICTED for one in corrected_rows(reversed_sign))


def test_p_values_are_not_too_small_where_nothing_is_there() -> None:
    def p_values(alike: bool) -> NDArray[np.float64]:
        found = []
        for k in range(40):
            pair = [curve("curved", 0.0, 2 * k), curve("sphere", 0.0, 2 * k + 1)]
            if alike:  # all draws say the same of a point, and only points are a sample
                pair = [replace(c, curvature=c.curvature[:, [0] * DRAWS]) for c in pair]
            found += [one.p for one in curvature_rows(pair, "curved", ["sphere"]) if one.rival]
        return np.array(found)

    exact, cautious = p_values(alike=True), p_values(alike=False)
    assert (exact < 0.05).mean() < 0.12
    assert 0.3 < (exact < 0.5).mean() < 0.8
    assert (cautious < 0.05).mean() < 0.12


def test_the_share_of_positive_pairs() -> None:
    rows = sharing_rows([curve("curved", 1.0, 0), curve("sphere", 0.0, 1)], "curved", ["sphere"])
    share = float(norm.cdf(1.0))
    found = {one.rival: one for one in rows if one.scale == 1.0}
    assert found[""].estimate == pytest.approx(share - 0.5, abs=0.03)
    assert found["sphere"].estimate == pytest.approx(share - 0.5, abs=0.05)
    straight = curve("curved", 0.0, 0, spread=0.0)
    assert all(one.estimate == 0 and one.p == 1.0 for one in sharing_rows([straight], "curved", []))
    assert all(
        (one.low, one.estimate, one.high, one.p) == (0, 0, 0, 1)
        for one in curvature_rows([straight], "curved", [])
    )
    (bent, _) = sharing_rows([curve("curved", 0.1, 0, spread=0.0)], "curved", [])
    assert (bent.estimate, bent.p) == (0.5, pytest.approx(2 * 0.5**POINTS))
    assert bent.low == pytest.approx(0.5 - (1 - 0.025 ** (1 / POINTS)))


def test_fooling_rates_are_compared_at_one_norm_and_dimension() -> None:
    generator = np.random.default_rng(0)

    def outcomes(share: float, draws: int = 4) -> NDArray[np.bool_]:
        return generator.random((draws, 400)) < share

    rates = [
        rate("curved", outcomes(0.6)),
        rate("subspace", outcomes(0.4)),
        rate("subspace", outcomes(0.9), dimension=20),
        rate("sphere", outcomes(0.2), dimension=3072),
        rate("untrained", outcomes(0.5), dimension=5),
        rate("untrained", outcomes(0.5), dimension=7),
    ]
    found = fooling_rows(rates, "curved", ["subspace", "sphere", "untrained", "none"])
    assert [one.rival for one in found] == ["subspace", "sphere"]
    assert [one.estimate for one in found] == pytest.approx([0.2, 0.4], abs=0.06)
    assert all(one.verdict == SUPPORTED for one in corrected_rows(found))


def test_mirrored_vectors_that_fool_the_same_images() -> None:
    generator = np.random.default_rng(0)
    easy = generator.random(1000) < 0.3
    noise = generator.random((6, 1000))
    ahead = (noise < 0.2) | easy
    bent = mirror_rows(rate("curved", ahead), rate("curved", ahead))
    assert bent[0].estimate == pytest.approx(ALIKE, abs=0.01)
    assert all(one.verdict == SUPPORTED for one in corrected_rows(bent))
    # Independent but for easy images: more than independence has it, and no more than strangers.
    other = (generator.random((6, 1000)) < 0.2) | easy
    apart = mirror_rows(rate("curved", ahead), rate("curved", other))
    assert apart[1].p < 1e-6
    assert apart[2].p > 0.001
    assert apart[2].estimate == pytest.approx(0, abs=0.02)
    # The flat case: what one fools its mirror image does not.
    flat = mirror_rows(rate("sphere", noise < 0.3), rate("sphere", (noise > 0.3) & (noise < 0.6)))
    assert all(one.verdict == CONTRADICTED for one in corrected_rows(flat[1:]))
    uneven = mirror_rows(rate("curved", noise < 0.6), rate("curved", noise < 0.2))
    assert uneven[0].estimate == pytest.approx(ALIKE - 0.4, abs=0.03)
    assert corrected_rows(uneven)[0].verdict == CONTRADICTED


def test_images_that_never_differ_say_no_more_than_their_number() -> None:
    for fooled in (np.zeros, np.ones):
        none = rate("curved", fooled((4, 10), dtype=bool))
        alike, independent, strangers = mirror_rows(none, none)
        assert alike.estimate == ALIKE
        assert alike.p == pytest.approx(min(1.0, 2 * (1 - ALIKE) ** 10))
        assert alike.low == pytest.approx(ALIKE - (1 - 0.025**0.1))
        assert independent.estimate == strangers.estimate == 0
        assert independent.p == strangers.p == 1.0
    # One image of many that differs, for one draw, makes nothing surer.
    ahead, behind = np.zeros((2, 4, 60), dtype=bool)
    ahead[0, 0] = True
    assert mirror_rows(rate("curved", ahead), rate("curved", behind))[0].p >= 2 * 0.9**60
    (apart,) = fooling_rows([rate("curved", ~behind), rate("sphere", behind)], "curved", ["sphere"])
    assert (apart.estimate, apart.p) == (1.0, pytest.approx(2 * 0.5**60))
    assert apart.low == pytest.approx(0.025 ** (1 / 60))


def test_overlap_beyond_independence_is_the_mean_covariance() -> None:
    one, other = np.random.default_rng(5).random((2, 5, 40)) < 0.4
    found = mirror_rows(rate("curved", one), rate("curved", other))[1]
    expected = np.mean([np.cov(a, b, bias=True)[0, 1] for a, b in zip(one, other, strict=True)])
    assert found.estimate == pytest.approx(expected)


def test_curvature_predicts_beyond_the_flat_model() -> None:
    generator = np.random.default_rng(3)
    flat, curvature = generator.standard_normal((2, 90))
    fooled = flat + curvature + 0.3 * generator.standard_normal(90)
    where = {"anchor": "nearest", "estimator": "values", "surface": "region", "scale": 1.0}
    names = ["a"] * 45 + ["b"] * 45
    over_all, within = correlation_rows(curvature, fooled, flat, names, **where)  # type: ignore[arg-type]
    assert over_all.estimate > 0.8
    assert over_all.p < 1e-6
    assert within.p < 1e-6
    r = spearmanr(np.stack([curvature, fooled, flat]).T).statistic
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert over_all.estimate == pytest.approx(expected)
    # Fooling that the flat model explains leaves nothing for a curvature that goes with it.
    explained, _ = correlation_rows(
        flat + 0.3 * curvature,
        flat + 0.3 * generator.standard_normal(90),
        flat,
        names,
        **where,  # type: ignore[arg-type]
    )
    assert explained.p > 0.01
    # Two families that differ in both have no correlation within them.
    apart = np.repeat([0.0, 5.0], 45)
    _, inside = correlation_rows(
        curvature + apart,
        apart + generator.standard_normal(90),
        flat,
        names,
        **where,  # type: ignore[arg-type]
    )
    assert inside.p > 0.01
    assert rankdata(curvature + apart)[:45].max() < 60


def test_halves_are_held_against_random_subspaces() -> None:
    generator = np.random.default_rng(0)
    nulls = {
        "random subspaces": 0.1 + 0.01 * generator.standard_normal(200),
        "random phases": 0.2 + 0.01 * generator.standard_normal(200),
    }
    where: dict[str, Any] = {"dimension": 10, "images": 400, "scale": 1.0}
    energies = 0.3 + 0.01 * generator.standard_normal(20)
    rows = half_rows(energies, nulls, **where)
    assert [one.rival for one in rows] == ["random subspaces", "random phases"]
    assert [one.estimate for one in rows] == pytest.approx([0.2, 0.1], abs=0.01)
    assert all(one.p < 1e-6 and one.n == 400 for one in rows)
    # More splits of the same images make the mean no surer.
    spread = max(energies.std(ddof=1), nulls["random subspaces"].std(ddof=1))
    assert rows[0].high - rows[0].low == pytest.approx(2 * 2.093 * spread, rel=1e-3)
    assert rows[0].effect == pytest.approx(20, rel=0.1)
    assert half_rows(energies - 0.2, nulls, **where)[0].p > 0.2


def test_a_single_split_has_the_spread_of_the_null() -> None:
    null = 0.1 + 0.01 * np.random.default_rng(0).standard_normal(200)
    where: dict[str, Any] = {"dimension": 10, "images": 400, "scale": 1.0}
    (same,) = half_rows(np.array([0.3]), {"random subspaces": null}, **where)
    (none,) = half_rows(np.array([0.1]), {"random subspaces": null}, **where)
    assert same.p == pytest.approx(2 * norm.sf(same.effect), rel=1e-6)
    assert none.p > 0.2
    spread = float(null.std(ddof=1))
    assert same.high - same.low == pytest.approx(2 * norm.ppf(0.975) * 2**0.5 * spread)
