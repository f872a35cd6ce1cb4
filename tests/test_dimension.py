"""Dimensions of a spectrum: closed forms for flat, decaying and noise spectra."""

import numpy as np
import pytest

from analysis import spectrum_and_halves
from analysis.dimension import (
    Dimensions,
    dimensions,
    estimated_dimensions,
    gavish_donoho_threshold,
    noise_dimensions,
)
from analysis.intervals import estimate_from_halves
from analysis.nulls import marchenko_pastur_edges
from boundary import InputError


def values_of(found: Dimensions) -> list[float]:
    """In the order of their inequality."""
    return [
        found.stable_rank,
        found.participation_ratio,
        found.energy_rank,
        found.effective_rank,
    ]


def test_a_flat_spectrum_fills_its_rank() -> None:
    found = dimensions(np.r_[np.full(7, 3.0), np.zeros(5)])
    assert values_of(found) == pytest.approx([7] * 4, rel=1e-12)


def test_a_geometric_spectrum() -> None:
    ratio, powers = 0.9, np.arange(2000)
    found = dimensions(ratio**powers)
    squared = ratio**2
    assert found.stable_rank == pytest.approx(1 / (1 - squared), rel=1e-12)
    assert found.participation_ratio == pytest.approx((1 + squared) / (1 - squared), rel=1e-12)
    for rank, base in ((found.energy_rank, squared), (found.effective_rank, ratio)):
        entropy = -np.log(1 - base) - base * np.log(base) / (1 - base)
        assert rank == pytest.approx(np.exp(entropy), rel=1e-12)


def test_scale_and_order_do_not_matter() -> None:
    values = np.random.default_rng(0).exponential(size=50)
    assert values_of(dimensions(values)) == pytest.approx(
        values_of(dimensions(1e-170 * values[::-1])), rel=1e-12
    )


def test_they_come_in_their_order() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        values = generator.pareto(1.0, size=generator.integers(2, 100))
        found = values_of(dimensions(values))
        assert found == sorted(found)
        assert found[0] >= 1
        assert found[-1] <= len(values) * (1 + 1e-12)


@pytest.mark.parametrize("shape", [(400, 1200), (1200, 400), (600, 600)])
def test_noise_has_the_dimensions_of_the_law(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).standard_normal(shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.svd(rows, compute_uv=False)
    found, expected = dimensions(values), noise_dimensions(*shape)
    assert values_of(found)[1:] == pytest.approx(values_of(expected)[1:], rel=0.01)
    # The largest value nears its edge slowly: Johnstone (2001), with the mean of the
    # Tracy-Widom law.
    roots = np.sqrt(shape[0] - 1) + np.sqrt(shape[1])
    scale = roots * (1 / np.sqrt(shape[0] - 1) + 1 / np.sqrt(shape[1])) ** (1 / 3)
    nearer = 1 - 1.2065 * scale / roots**2
    assert found.stable_rank == pytest.approx(expected.stable_rank / nearer, rel=0.02)


def test_gavish_donoho_separates_planted_directions_from_noise() -> None:
    count, dimension = 300, 900
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((count, dimension)) / np.sqrt(dimension)
    left, _ = np.linalg.qr(generator.standard_normal((count, 5)))
    right, _ = np.linalg.qr(generator.standard_normal((dimension, 5)))
    values = np.linalg.svd(noise + left * 4.0 @ right.T, compute_uv=False)
    threshold = gavish_donoho_threshold(values, count, dimension)
    assert int((values > threshold).sum()) == 5
    assert threshold > marchenko_pastur_edges(count, dimension)[1]


def test_gavish_donoho_of_a_square_matrix_is_their_constant() -> None:
    # omega(1) = 2.858 in table IV of the paper.
    assert gavish_donoho_threshold([0.5, 1.0, 3.0], 100, 100) == pytest.approx(2.858, abs=1e-3)


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0, -1.0], [np.nan, 1.0], [[1.0]]])
def test_what_is_no_spectrum_is_refused(values: object) -> None:
    with pytest.raises(InputError, match="`singular_values` should be finite"):
        dimensions(values)


def test_values_that_are_rounding_do_not_lower_the_threshold() -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((300, 9)) @ generator.standard_normal((9, 64))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = estimated_dimensions(*spectrum_and_halves(rows, directions=0, splits=3))
    assert found["gavish_donoho"].value == 9


def test_intervals_of_few_halves_are_wide() -> None:
    few, many = (
        estimate_from_halves(10.0, np.resize([9.0, 11.0], count)).interval for count in (2, 40)
    )
    assert few.high > 50
    assert 12 < many.high < 14
    count = estimate_from_halves(1, [0, 0, 3, 1], offset=1).interval
    assert count.low == 0
