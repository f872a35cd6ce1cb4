"""The nulls against closed forms, and that each keeps what it should and nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray
from test_spectrum import unit_rows

from analysis import (
    isotropic_null,
    permuted_null,
    phase_null,
    singular_spectrum,
    surrogates,
    untrained_null,
)
from analysis.nulls import Null, marchenko_pastur_edges, marchenko_pastur_values
from analysis.surrogates import permuted_rows, phase_randomised_rows


def of_images(count: int, shape: tuple[int, int, int], decay: float) -> NDArray[np.float64]:
    """Unit rows that are images of random form with power falling with frequency."""
    channels, height, width = shape
    noise = np.random.default_rng(5).standard_normal((count, channels, height, width))
    rows = np.fft.fftfreq(height)[:, None] * height
    columns = np.fft.rfftfreq(width)[None] * width
    weights = (1 + rows**2 + columns**2) ** (-decay / 2)
    images = np.fft.irfft2(np.fft.rfft2(noise) * weights, s=(height, width)).reshape(count, -1)
    return np.asarray(images / np.linalg.norm(images, axis=1, keepdims=True))


@pytest.mark.parametrize(("count", "dimension"), [(400, 1200), (1200, 400)])
def test_every_simulated_null_of_noise_follows_the_law(count: int, dimension: int) -> None:
    rows = unit_rows(count, dimension)
    law = marchenko_pastur_values(count, dimension)
    middle = slice(len(law) // 20, -len(law) // 20)
    for null in (
        isotropic_null(count, dimension, draws=4),
        permuted_null(rows, draws=4),
        phase_null(rows, (1, 20, dimension // 20), draws=4),
    ):
        np.testing.assert_allclose(null.singular_values.mean(0)[middle], law[middle], rtol=0.01)
        np.testing.assert_allclose((null.singular_values**2).sum(1), count, rtol=1e-6)
        assert null.band[1][0] == pytest.approx(
            marchenko_pastur_edges(count, dimension)[1], rel=0.03
        )


def test_permuted_coordinates_keep_the_mean_and_the_variances() -> None:
    # Independent coordinates with means m and variances v have second moments diag v + m m'.
    count, dimension = 20_000, 200
    generator = np.random.default_rng(0)
    scale = np.repeat([3.0, 1.0], dimension // 2)
    mean = np.where(np.arange(dimension) % 10, 0.0, 4.0)
    rows = mean + scale * generator.standard_normal((count, dimension))
    rotation, _ = np.linalg.qr(generator.standard_normal((dimension, dimension)))
    levels = slice(1, 101), slice(101, None)
    for data, bulks in ((rows, levels), (rows @ rotation, (slice(1, None),))):
        unit = data / np.linalg.norm(data, axis=1, keepdims=True)
        found = permuted_null(unit, draws=1).singular_values[0] ** 2 / count
        expected = np.linalg.eigvalsh(np.diag(unit.var(0)) + np.outer(unit.mean(0), unit.mean(0)))
        for part in (slice(0, 1), *bulks):
            np.testing.assert_allclose(found[part].mean(), expected[::-1][part].mean(), rtol=0.01)


def test_permuting_breaks_what_coordinates_share() -> None:
    generator = np.random.default_rng(0)
    shared = generator.standard_normal((2000, 1)) * np.ones(100) + generator.standard_normal(
        (2000, 100)
    )
    rows = shared / np.linalg.norm(shared, axis=1, keepdims=True)
    assert singular_spectrum(rows).singular_values[0] > 25
    null = permuted_null(rows, draws=2)
    law = marchenko_pastur_values(2000, 100)
    np.testing.assert_allclose(null.singular_values.mean(0)[5:-5], law[5:-5], rtol=0.01)
    permuted = permuted_rows(rows, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(permuted, axis=1), 1, rtol=1e-6)


def test_phases_keep_each_power_spectrum_and_colour() -> None:
    shape = (3, 8, 10)
    rows = of_images(30, shape, decay=1.5)
    found = phase_randomised_rows(rows, shape, np.random.default_rng(0))
    before, after = (np.fft.rfft2(data.reshape(-1, *shape)) for data in (rows, found))
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-6)
    between = [spectrum[:, 0] * spectrum[:, 1].conj() for spectrum in (before, after)]
    np.testing.assert_allclose(between[1], between[0], atol=1e-6)
    assert np.abs((rows * found).sum(1)).mean() < 0.5


def test_phases_give_the_spectrum_of_the_mean_power() -> None:
    # All rows have one amplitude spectrum; with many rows the spectrum of the surrogates is the
    # power of each real Fourier mode, whatever phases the rows had.
    shape, count = (1, 6, 6), 40_000
    image = of_images(1, shape, decay=2.0)
    null = phase_null(np.repeat(image, count, axis=0), shape, draws=1)
    power = np.sort(np.abs(np.fft.fft2(image.reshape(6, 6))).ravel() ** 2)[::-1] / 36
    found = null.singular_values[0] ** 2 / count
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-6)
    # The two modes of a frequency have the same power; their values split by chance, not their sum.
    np.testing.assert_allclose(np.cumsum(found), np.cumsum(power), rtol=0.01)


def test_rows_that_do_not_fit_in_memory_go_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(50, 48)
    in_memory = phase_null(rows, (3, 4, 4), draws=2), permuted_null(rows, draws=2)
    monkeypatch.setattr(surrogates, "_IN_MEMORY", 100)
    in_files = phase_null(rows, (3, 4, 4), draws=2), permuted_null(rows, draws=2)
    for one, other in zip(in_memory, in_files, strict=True):
        np.testing.assert_array_equal(one.singular_values, other.singular_values)


def test_a_draw_depends_on_its_number_alone() -> None:
    few, many = (isotropic_null(30, 40, draws=draws, seed=3) for draws in (2, 5))
    np.testing.assert_array_equal(many.singular_values[:2], few.singular_values)
    assert not np.array_equal(many.singular_values[0], many.singular_values[1])
    other = isotropic_null(30, 40, draws=2, seed=4)
    assert not np.array_equal(few.singular_values, other.singular_values)


def test_networks_of_fewer_normals_are_scaled_to_compare() -> None:
    direction = unit_rows(1, 20)
    networks = [np.repeat(direction, count, axis=0) for count in (100, 64)]
    null = untrained_null(networks, 100)
    np.testing.assert_allclose(null.singular_values[:, 0], 10)
    assert null.counts.tolist() == [100, 64]


def test_of_networks_with_more_normals_as_many_are_drawn() -> None:
    rows = unit_rows(290, 600)
    null = untrained_null([unit_rows(340, 600, seed) for seed in range(3, 23)], 290)
    assert set(null.counts.tolist()) == {290}
    assert null.leading(singular_spectrum(rows).singular_values) <= 1
    edges = marchenko_pastur_edges(290, 600)
    np.testing.assert_allclose(null.singular_values[:, 0], edges[1], rtol=0.03)


def test_coordinates_that_are_mostly_zero_leave_no_empty_row() -> None:
    rows = np.eye(16)[np.random.default_rng(0).integers(16, size=30)]
    null = permuted_null(rows, draws=5)
    np.testing.assert_allclose((null.singular_values**2).sum(1), 30)


def test_counting_stops_at_the_first_value_that_is_not_above() -> None:
    draws = np.array([[3.0, 2, 1, 0.5], [2.5, 2.2, 0.9, 0.4]])
    null = Null("isotropic", draws, draws[:, :2], np.array([4, 4]), 9, 0)
    assert null.leading([3.1, 2.3, 0.95, 0.9]) == 2
    assert null.leading([2.9, 2.3, 1.1, 0.9]) == 0
    assert null.leading([4.0, 3.0, 2.0, 1.0]) == 4
    assert null.leading_of_halves(np.array([[4.0, 1.0], [4.0, 3.0]])).tolist() == [1, 2]
