"""The first two answers: R, matched noise, and what is said of energies and rates."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from analysis import FoolingRate, Subspace
from analysis.answers import answers
from analysis.causes import FoolingCauses
from analysis.choice import choose_dimension
from analysis.components import Ratio, mean_over
from analysis.curvature_test import BENDS, FOOLS, PREDICTS, CurvatureTest, EndpointRow, answer
from analysis.paths import FoolingPath
from analysis.questions import BeyondNoise, SharedNormals, Within, ratio_answer
from analysis.rivals import matched_frames, matched_spectra

SHAPE = (3, 6, 5)


def rate_of(fooled: NDArray[np.bool_], R: int) -> FoolingRate:
    return FoolingRate("subspace", R, 1.0, False, fooled)


def counted(R: int, *hits: int) -> FoolingRate:
    """One of 100 images, with so many fooled by each vector."""
    return rate_of(np.arange(100) < np.array(hits)[:, None], R)


def test_r_is_the_smallest_within_one_standard_error_of_the_best() -> None:
    own = [counted(1, 20, 22), counted(2, 37, 39), counted(5, 38, 42), counted(10, 36, 40)]
    noise = np.array([[0.1, 0.3, 0.2, 0.1], [0.1, 0.1, 0.4, 0.1]])
    found = choose_dimension(own, noise)
    np.testing.assert_array_equal(found.dimensions, [1, 2, 5, 10])
    np.testing.assert_allclose(found.rate, [0.21, 0.38, 0.40, 0.38])
    assert found.error[2] == pytest.approx(mean_over(own[2].fooled).error)
    assert 0.02 < found.error[2] < 0.19
    assert (found.chosen, found.noise_best, found.images, found.stated) == (2, 5, 100, False)
    best = [counted(1, 20, 22), counted(2, 30, 30), counted(5, 38, 42), counted(10, 36, 40)]
    assert choose_dimension(best, noise).chosen == 5
    stated = choose_dimension(own, noise, stated=10)
    assert (stated.chosen, stated.stated, stated.noise_best) == (10, True, 5)


def smooth_rows(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Unit rows whose power falls with the frequency, more in the first channel."""
    rows = np.random.default_rng(seed).standard_normal((count, *SHAPE))
    fall = 1 / (1 + np.hypot(np.fft.fftfreq(6)[:, None], np.fft.rfftfreq(5)) * 10) ** 2
    rows = np.fft.irfft2(np.fft.rfft2(rows) * fall, s=SHAPE[1:]) * [[[3.0]], [[1.0]], [[0.5]]]
    rows = rows.reshape(count, -1)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def power(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean power spectrum of each channel."""
    return np.asarray((np.abs(np.fft.fft2(rows.reshape(-1, *SHAPE))) ** 2).sum(0))


def test_matched_noise_keeps_the_power_spectrum_and_nothing_else() -> None:
    rows = smooth_rows(40)
    found = matched_spectra(rows, SHAPE, directions=90, draws=3, seed=1)
    assert len(found) == 3
    for spectrum in found:  # all directions, weighted by their squares, are the rows' own second
        weighted = spectrum.singular_values[:40, None] * spectrum.directions  # moment
        np.testing.assert_allclose(power(weighted), power(rows), rtol=2e-3, atol=1e-4)
        assert (spectrum.count, spectrum.dimension) == (40, 90)
    energies = [one.subspace(3).energy(rows).mean() for one in found]
    assert np.ptp(energies) > 1e-4
    again = matched_spectra(rows, SHAPE, directions=5, draws=2, seed=1)
    for one, other in zip(again, found, strict=False):
        assert len(one.directions) == 5
        np.testing.assert_allclose(
            one.subspace(5).principal_angles(other.subspace(5)), 0, atol=1e-5
        )
    (elsewhere,) = matched_spectra(rows, SHAPE, directions=5, draws=1, seed=2)
    assert elsewhere.subspace(5).principal_angles(found[0].subspace(5)).max() > 0.1


def test_matched_frames_are_as_smooth_and_as_coloured() -> None:
    basis = Subspace.spanned_by(smooth_rows(4)).basis
    found = matched_frames(basis, SHAPE, draws=40, seed=1)
    assert {one.dimension for one in found} == {4}
    mean = np.mean([power(one.basis) for one in found], axis=0)
    # Rows with random phases are not orthogonal, and made so they keep their span alone.
    np.testing.assert_allclose(mean.sum((1, 2)), power(basis).sum((1, 2)), rtol=0.25)
    low = np.hypot(np.fft.fftfreq(6)[:, None], np.fft.fftfreq(5)) < 0.3
    assert mean[:, low].sum() == pytest.approx(power(basis)[:, low].sum(), rel=0.05)
    again = matched_frames(basis, SHAPE, draws=2, seed=1)
    for one, other in zip(again, found, strict=False):
        np.testing.assert_array_equal(one.basis, other.basis)
    assert found[0].principal_angles(found[1]).max() > 0.1
    (elsewhere,) = matched_frames(basis, SHAPE, draws=1, seed=2)
    assert found[0].principal_angles(elsewhere).max() > 0.1


@pytest.mark.parametrize(
    ("low", "high", "null", "words"),
    [
        (0.01, 0.2, 0.0, "more"),
        (0.0, 0.2, 0.0, "no difference shown"),
        (-0.2, 0.0, 0.0, "no difference shown"),
        (-0.2, -0.01, 0.0, "less"),
        (1.01, 2.0, 1.0, "more"),
        (0.9, 1.0, 1.0, "no difference shown"),
        (0.5, 0.99, 1.0, "less"),
    ],
)
def test_words_are_what_the_interval_allows(
    low: float, high: float, null: float, words: str
) -> None:
    assert answer(low, high, null) == words


def test_a_ratio_in_words_and_numbers() -> None:
    said = ratio_answer(Ratio(2.0, 1.5, np.inf, 1.2))
    assert said == {
        "answer": "more",
        "ratio": 2.0,
        "low": 1.5,
        "high": None,
        "smallest_seen": 1.2,
    }
    assert ratio_answer(None)["answer"] == "not decided"
    assert ratio_answer(Ratio(0.5, 0.2, 0.8, 1.2))["answer"] == "less"


def shared(twins: list[float], own: float = 0.5) -> SharedNormals:
    rng = np.random.default_rng(0)
    return SharedNormals(
        dimension=3,
        own=own + 0.1 * rng.random(50),
        noise=0.2 + 0.05 * rng.random((5, 50)),
        untrained=np.array(twins),
        undecided=("it has no normals",) * (3 - len(twins)),
    )


def test_fewer_than_two_untrained_networks_decide_nothing() -> None:
    for twins in ([], [0.3]):
        assert shared(twins).training is None
    found = shared([0.29, 0.30, 0.31]).training
    assert found is not None
    assert found.value == pytest.approx(shared([]).own.mean() / 0.3)
    assert found.low > 1
    apart = shared([0.1, 0.9]).training  # of two that differ so much nothing is said
    assert apart is not None
    assert ratio_answer(apart)["answer"] == "no difference shown"
    assert ratio_answer(shared([]).smoothness)["answer"] == "more"
    assert ratio_answer(shared([], own=0.05).smoothness)["answer"] == "less"


def beyond(own: float, noise: float, best: float) -> BeyondNoise:
    rng = np.random.default_rng(0)
    return BeyondNoise(
        dimension=3,
        best_dimension=10,
        norm=1.0,
        own=rng.random((40, 100)) < own,
        noise=rng.random((5, 12, 100)) < noise,
        best_noise=rng.random((5, 12, 100)) < best,
    )


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((0.5, 0.2, 0.3), "more"),
        ((0.5, 0.2, 0.5), "no difference shown"),  # not beyond the noise's own best R
        ((0.5, 0.5, 0.2), "no difference shown"),
        ((0.2, 0.5, 0.4), "less"),
        ((0.3, 0.1, 0.6), "no difference shown"),
    ],
)
def test_both_rivals_must_be_passed(rates: tuple[float, float, float], words: str) -> None:
    found = beyond(*rates)
    assert found.answer == words
    assert found.weakest.estimate == pytest.approx(
        found.own.mean() - max(found.noise.mean(), found.best_noise.mean())
    )


def test_the_share_within_is_a_ratio_of_rates() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    found = Within(3, hard < 0.8, hard < 0.6, np.stack([hard < 0.2, hard < 0.4]))
    assert found.share is not None
    assert found.matched_share is not None
    assert found.share.value == pytest.approx((hard < 0.6).sum() / (hard < 0.8).sum())
    inside = (hard < 0.6)[hard < 0.8]  # of images that the best vector fools: a mean
    half = student.ppf(0.975, len(inside) - 1) * inside.std(ddof=1) / len(inside) ** 0.5
    ends = (found.share.value - half, found.share.value + half)
    assert (found.share.interval.low, found.share.interval.high) == pytest.approx(ends)
    swapped = replace(found, anywhere=found.inside, inside=found.anywhere).share
    assert swapped is not None
    assert (swapped.interval.low, swapped.interval.high) == pytest.approx(
        (1 / ends[1], 1 / ends[0])  # Fieller's interval of the inverse is the inverse
    )
    between = ((hard < 0.2).mean() + (hard < 0.4).mean()) / 2 / (hard < 0.8).mean()
    assert found.matched_share.value == pytest.approx(between)
    assert found.matched_share.interval.low == 0  # of two draws that differ by as much
    nothing = replace(found, anywhere=np.zeros(200, bool))
    assert nothing.share is None
    assert nothing.matched_share is None
    assert replace(found, matched=np.zeros((0, 200), bool)).matched_share is None


def made(*, without: bool = False) -> tuple[Any, Any, Any]:
    """Return the results of a study, in as far as answers look at them."""
    fooled = np.array([[True, True, False, True]])
    none = np.zeros((1, 4), bool)
    causes = FoolingCauses(
        "universal smooth_rate l2", 4, 1.0, 0.5, fooled, fooled, fooled, fooled, np.ones(4)
    )
    sphere = replace(causes, family="sphere", own_plane=none, planes=none, bending=none)
    path = FoolingPath(
        np.zeros(4, np.int64),
        np.array([2, 2, 0, 1]),
        np.array([[-1.0, 1.0], [-1.0, 3.0], [0, 0], [-1, 1]]),
        np.array([1.0, 4.0, 0.0, 3.0]),
    )
    inside = Within(3, fooled[0], fooled[0], np.stack([none[0], fooled[0]]))
    universal = SimpleNamespace(
        reference_dimension=3,
        reference_norm=1.0,
        within=() if without else (inside,),
        paths=() if without else (path,),
        rate_without_sink=0.25,
    )
    fooling = SimpleNamespace(shared=shared([]), beyond_noise=beyond(0.5, 0.2, 0.3))
    rows = tuple(
        EndpointRow(name, 0, "zero", 1.0, 1.0, 0.5, 1.5, 0.001, 0.1)
        for name in (BENDS, FOOLS, PREDICTS)
    )
    curvature = SimpleNamespace(
        causes=(sphere,) if without else (sphere, causes), test=CurvatureTest(rows, 0.5)
    )
    return universal, fooling, curvature


def test_answers_are_json_and_have_what_scripts_read() -> None:
    found = answers(*made())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {"R", "norm", "shared", "universality", "curvature"}
    assert found["shared"]["beyond_smoothness"]["answer"] == "more"
    untrained = found["shared"]["beyond_untrained"]
    assert (untrained["answer"], len(untrained["undecided"])) == ("not decided", 3)
    universality = found["universality"]
    assert universality["beyond_noise"]["answer"] == "more"
    assert universality["beyond_noise"]["low"] <= universality["beyond_noise"]["difference"]
    differences = made()[1].beyond_noise.differences
    assert universality["beyond_noise"]["smallest_seen"] == max(d.detectable for d in differences)
    assert universality["within"] == pytest.approx(
        {**universality["within"], "share": 1.0, "matched": 0.5}
    )
    assert universality["causes"] == {
        "own_plane": 1.0,
        "other_plane": 0.0,
        "bending": 0.0,
        "unexplained": 0.0,
    }
    assert universality["sink"] == {"class": 2, "share": pytest.approx(2 / 3), "rate_without": 0.25}
    assert universality["path"]["slope_share"] == pytest.approx(1)
    assert found["curvature"]["answer"] == "supported"
    assert found["curvature"]["bends"]["p"] == pytest.approx(0.003)


def test_answers_of_a_study_without_universal_perturbations() -> None:
    found = answers(*made(without=True))["universality"]
    assert [found[name] for name in ("within", "causes", "path", "sink")] == [None] * 4


def test_answers_where_nothing_is_fooled_are_json() -> None:
    universal, fooling, curvature = made()
    path = FoolingPath(*(np.zeros(4, np.int64),) * 2, np.zeros((4, 2)), np.zeros(4))
    nothing = np.zeros(4, bool)
    universal.paths = (path,)
    universal.within = (Within(3, nothing, nothing, np.zeros((2, 4), bool)),)
    universal.rate_without_sink = float("nan")
    curvature.causes = (replace(curvature.causes[1], fooled=np.zeros((1, 4), bool)),)
    found = answers(universal, fooling, curvature)
    json.dumps(found, allow_nan=False)
    assert found["universality"]["within"]["share"] is None
    assert found["universality"]["causes"] is None
    assert found["universality"]["sink"]["class"] == -1
    assert found["universality"]["path"]["median_crossing"] is None
