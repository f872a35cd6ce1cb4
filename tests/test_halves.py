"""Halves: overlaps against SVD of the halves themselves, intervals that cover, random subspaces."""

import numpy as np
import pytest
from numpy.typing import NDArray
from test_spectrum import planted, unit_rows

from analysis import Subspace, singular_spectrum, spectrum_and_halves
from analysis.dimension import dimensions, estimated_dimensions
from analysis.halves import random_overlaps, split_in_halves
from analysis.intervals import estimate_from_halves
from analysis.nulls import isotropic_null
from boundary import InputError


@pytest.mark.parametrize("shape", [(60, 200), (61, 200), (200, 60), (201, 60), (100, 60), (90, 60)])
def test_halves_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    rows = planted(*shape, rank=3, share=0.6)
    spectrum, halves = spectrum_and_halves(rows, directions=6, splits=3, seed=2)
    alone = singular_spectrum(rows, directions=6)
    np.testing.assert_allclose(spectrum.singular_values, alone.singular_values, rtol=1e-9)
    np.testing.assert_allclose(spectrum.directions, alone.directions, atol=1e-8)
    assert halves.count == shape[0] // 2
    for split, pair in enumerate(split_in_halves(shape[0], 3, seed=2)):
        assert not set(pair[0]) & set(pair[1])
        assert len(pair[0]) + len(pair[1]) == shape[0]
        svds = [np.linalg.svd(rows[side], full_matrices=False) for side in pair]
        kept = halves.singular_values.shape[1]
        for values, place in zip((svds[0][1], svds[1][1]), (split, 3 + split), strict=True):
            np.testing.assert_allclose(halves.singular_values[place], values[:kept], rtol=1e-8)
        one, other = (Subspace(right[:3]) for _, _, right in svds)
        np.testing.assert_allclose(
            halves.overlaps.angles(3)[split], one.principal_angles(other)[::-1], atol=1e-6
        )


def test_rows_that_are_the_same_in_both_halves_give_the_same_directions() -> None:
    basis = Subspace.spanned_by(unit_rows(3, 64)).basis
    rows = np.repeat(basis, [40, 30, 20], axis=0)
    _, halves = spectrum_and_halves(rows, directions=10, splits=4)
    shared = halves.overlaps.mean_squared_cosine
    np.testing.assert_allclose(shared[:, 2], 1, rtol=1e-9)
    # Directions that rounding would choose share nothing.
    np.testing.assert_allclose(shared[:, 9], 0.3, rtol=1e-9)


def test_random_subspaces_share_r_over_d() -> None:
    for dimension, directions in ((200, 20), (30, 20), (20, 20)):
        found = random_overlaps(dimension, directions, pairs=200)
        shared = found.mean_squared_cosine
        expected = np.arange(1, directions + 1) / dimension
        np.testing.assert_allclose(shared.mean(0)[4:], expected[4:], rtol=0.05)
    assert found.angles(20).max() < 1e-6


def test_random_subspaces_have_the_angles_of_gaussian_frames() -> None:
    generator = np.random.default_rng(0)
    whole = []
    for _ in range(200):
        frames = [np.linalg.qr(generator.standard_normal((40, 5)))[0] for _ in range(2)]
        whole.append(np.arccos(np.linalg.svd(frames[0].T @ frames[1], compute_uv=False)))
    short = random_overlaps(40, 5, pairs=200, seed=1).angles(5)
    np.testing.assert_allclose(short.mean(0), np.mean(whole, 0), rtol=0.02)


def test_disjoint_halves_of_noise_share_what_random_subspaces_do() -> None:
    _, halves = spectrum_and_halves(unit_rows(400, 300), directions=20, splits=10)
    shared = halves.overlaps.mean_squared_cosine.mean(0)
    np.testing.assert_allclose(shared[-1], 20 / 300, rtol=0.15)


def sample(kind: str, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    scale = {
        "flat": np.ones(120),
        "decaying": np.arange(1.0, 121) ** -0.5,
        "step": np.r_[np.full(8, 5.0), np.ones(112)],
    }[kind]
    rows = generator.standard_normal((160, 120)) * scale
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.mark.parametrize("kind", ["flat", "decaying", "step"])
def test_intervals_of_dimensions_cover_their_mean(kind: str) -> None:
    found = [
        estimated_dimensions(*spectrum_and_halves(sample(kind, seed), directions=0, splits=10))
        for seed in range(60)
    ]
    for name in ("stable_rank", "participation_ratio", "energy_rank", "effective_rank"):
        mean = np.mean([estimates[name].value for estimates in found])
        covered = [
            estimates[name].interval.low <= mean <= estimates[name].interval.high
            for estimates in found
        ]
        assert np.mean(covered) >= 0.85, name
        lengths = [e[name].interval.high - e[name].interval.low for e in found]
        spread = np.std([estimates[name].value for estimates in found])
        assert 0.5 < np.mean(lengths) / (4 * spread) < 2.5, name


def test_the_step_is_counted_within_its_interval() -> None:
    rows = sample("step", 0)
    spectrum, halves = spectrum_and_halves(rows, directions=0, splits=10)
    null = isotropic_null(*rows.shape, draws=20)
    leading = null.leading(spectrum.singular_values)
    estimate = estimate_from_halves(
        leading, null.leading_of_halves(halves.singular_values), offset=1
    )
    assert leading == 8
    assert estimate.interval.low <= 8 <= estimate.interval.high
    threshold = estimated_dimensions(spectrum, halves)["gavish_donoho"]
    assert threshold.interval.low <= 8 <= threshold.interval.high


def test_a_flat_spectrum_stands_above_nothing() -> None:
    rows = sample("flat", 0)
    spectrum, halves = spectrum_and_halves(rows, directions=0, splits=5)
    null = isotropic_null(*rows.shape, draws=20, seed=9)
    counts = null.leading_of_halves(halves.singular_values)
    estimate = estimate_from_halves(null.leading(spectrum.singular_values), counts, offset=1)
    assert estimate.interval.low < 1
    found = dimensions(spectrum.singular_values).participation_ratio
    assert found == pytest.approx(160 / (1 + 159 / 120), rel=0.01)


def test_random_signs_change_nothing() -> None:
    rows = sample("step", 1)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(len(rows), 1))
    one, other = (spectrum_and_halves(r, directions=8, splits=2)[1] for r in (rows, signs * rows))
    np.testing.assert_allclose(one.singular_values, other.singular_values, rtol=1e-9)
    np.testing.assert_allclose(
        one.overlaps.mean_squared_cosine, other.overlaps.mean_squared_cosine, rtol=1e-7
    )


def test_what_has_no_halves_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2"):
        spectrum_and_halves(unit_rows(1, 5), directions=0)
    rows = unit_rows(5, 9)
    rows[2] = 0
    with pytest.raises(InputError, match=r"no rows of zeros\. Found 1"):
        spectrum_and_halves(rows, directions=0)
