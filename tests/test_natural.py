"""How natural vectors are: closed forms, scikit-learn and SciPy for each measure; the figure."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from analysis import Subspace
from analysis.halves import split_in_halves
from analysis.natural import (
    DIFFERENCES,
    DIRECTIONS,
    IMAGES,
    PHASES,
    REFERENCES,
    SPHERE,
    NaturalResult,
    ledoit_wolf_shrinkage,
    naturalness,
)
from analysis.saved import load_result, save_result
from boundary import InputError
from figures.natural import plot_natural

Array = NDArray[np.float64]

SHAPES = [(3, 8, 8), (1, 5, 9), (2, 7, 4)]
COUNTS = [30, 500]
"""Fewer images than numbers, and more."""


def decaying_images(count: int, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return Gaussian images around a mean of 1/2, of variances that decay along fixed axes."""
    dimension = int(np.prod(shape))
    generator = np.random.default_rng(seed)
    scales = 0.2 / np.arange(1, dimension + 1)
    rows = 0.5 + (generator.standard_normal((count, dimension)) * scales) @ axes_of(dimension)
    return np.asarray(rows.reshape(count, *shape))


def axes_of(dimension: int) -> Array:
    """Return the principal axes of those images, as rows."""
    drawn = np.random.default_rng(99).standard_normal((dimension, dimension))
    return np.asarray(np.linalg.qr(drawn)[0])


def random_subspace(dimension: int, directions: int, seed: int = 0) -> Subspace:
    rows = np.random.default_rng(seed).standard_normal((directions, dimension))
    return Subspace.spanned_by(rows)


def random_vectors(count: int, shape: tuple[int, ...], seed: int = 5) -> Array:
    return np.random.default_rng(seed).standard_normal((count, *shape))


@cache
def white_result(count: int) -> NaturalResult:
    images = np.random.default_rng(count).standard_normal((count, 3, 8, 8))
    return naturalness(images, random_subspace(192, 20), {}, components=(5, 10), draws=100)


@cache
def a_result(families: int = 5, components: tuple[int, ...] = (1, 3, 10)) -> NaturalResult:
    given = {
        f"family {place} $": random_vectors(1 + 2 * place, (3, 8, 8)) for place in range(families)
    }
    subspace = random_subspace(192, 6)
    return naturalness(
        decaying_images(60, (3, 8, 8)), subspace, given, components=components, draws=40, seed=7
    )


def dense_covariance(images: Array, seed: int) -> Array:
    """Return scikit-learn's covariance of the half that fits."""
    ((fitted, _),) = split_in_halves(len(images), 1, seed)
    return np.asarray(ledoit_wolf(images.reshape(len(images), -1)[fitted])[0])


@pytest.mark.parametrize("count", [200, 1500])
def test_white_images_are_white_in_every_measure(count: int) -> None:
    result = white_result(count)
    for name in (IMAGES, DIFFERENCES, SPHERE):
        shares = result.family(name).spectrum
        sampling = shares.std(0) / np.sqrt(len(shares)) / result.white
        assert (np.abs(result.relative_power(name) - 1) < 4.5 * sampling).all()
    # The shrinkage rests on the squares of as many inner products: 2 / n is its deviation from 1.
    for family in result.families:
        np.testing.assert_allclose(family.improbability, 1, atol=4 * 2 / result.fitted)
    shared = result.shared
    spread = np.sqrt(2 / (shared.components * shared.directions))  # of a sum of squared cosines
    assert (np.abs(shared.times_chance - 1) < 4 * spread).all()
    np.testing.assert_allclose(shared.components_in_subspace / (20 / 192), shared.times_chance)
    np.testing.assert_allclose(
        shared.subspace_in_components / (shared.components / 192), shared.times_chance
    )


@pytest.mark.parametrize("count", COUNTS)
def test_images_planted_in_a_subspace_share_it(count: int) -> None:
    planted = random_subspace(192, 5)
    scales = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    drawn = np.random.default_rng(1).standard_normal((count, 5)) * scales
    images = 0.5 + (drawn @ planted.basis).reshape(count, 3, 8, 8)
    inside = naturalness(images, planted, {}, draws=10).shared
    assert inside.components.tolist() == [1, 2, 5]  # half of the images span no more
    np.testing.assert_allclose(inside.captured, [1, 2, 5], rtol=1e-10)
    np.testing.assert_allclose(inside.of_halves, np.tile([1, 2, 5], (10, 1)), rtol=1e-10)
    np.testing.assert_allclose(inside.components_in_subspace, 1, rtol=1e-10)
    np.testing.assert_allclose(inside.subspace_in_components, [0.2, 0.4, 1], rtol=1e-10)
    everything = np.linalg.qr(np.vstack([planted.basis, random_vectors(7, (192,))]).T)[0].T
    outside = naturalness(images, Subspace(everything[5:]), {}, draws=10).shared
    np.testing.assert_allclose(outside.captured, 0, atol=1e-20)


def test_a_subspace_of_everything_captures_everything() -> None:
    images = decaying_images(100, (1, 5, 9))
    shared = naturalness(images, Subspace(np.eye(45)), {}, components=(2, 45, 46)).shared
    assert shared.components.tolist() == [2, 45]
    np.testing.assert_allclose(shared.captured, [2, 45], rtol=1e-10)
    np.testing.assert_allclose(shared.of_phases, [2, 45], rtol=1e-5)
    low, high = shared.interval()
    np.testing.assert_allclose(low, [2, 45], rtol=1e-6)
    assert (high <= [2, 45]).all()


def test_the_interval_of_the_shared_energy_covers_its_true_value() -> None:
    subspace, components = random_subspace(45, 4, seed=3), np.array([2, 5, 20])
    energies = ((subspace.basis @ axes_of(45).T) ** 2).sum(0)
    truth = np.cumsum(energies)[components - 1]
    covered = []
    for seed in range(20):
        images = decaying_images(300, (1, 5, 9), seed)
        result = naturalness(images, subspace, {}, draws=1, components=(2, 5, 20), seed=seed)
        low, high = result.shared.interval()
        covered.append((low <= truth) & (truth <= high))
    assert np.mean(covered) > 0.85


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (2, 3), (300, 4)])
def test_the_shrinkage_is_scikit_learns(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal(shape) @ np.diag(1 / np.arange(1.0, shape[1] + 1))
    centred = rows - rows.mean(0)
    found = ledoit_wolf_shrinkage(centred @ centred.T, shape[1])
    assert found == pytest.approx(ledoit_wolf(rows)[1], rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_improbability_is_that_of_the_dense_covariance(
    count: int, shape: tuple[int, ...]
) -> None:
    images, dimension = decaying_images(count, shape), int(np.prod(shape))
    covariance = dense_covariance(images, seed=4)
    mean_variance = np.trace(covariance) / dimension
    vectors = random_vectors(20, shape)
    result = naturalness(
        images, random_subspace(dimension, 3), {"random": 3 * vectors}, norm=0.7, seed=4
    )
    unit_rows = vectors.reshape(20, -1)
    unit_rows /= np.linalg.norm(unit_rows, axis=1, keepdims=True)
    inverse = np.linalg.inv(covariance)
    expected = mean_variance * np.einsum("ij,jk,ik->i", unit_rows, inverse, unit_rows)
    np.testing.assert_allclose(result.family("random").improbability, expected, rtol=1e-8)
    assert result.variance == pytest.approx(mean_variance, rel=1e-10)
    assert result.sphere_mean == pytest.approx(
        mean_variance * np.trace(inverse) / dimension, rel=1e-8
    )
    sphere = result.family(SPHERE).improbability
    assert abs(sphere.mean() - result.sphere_mean) < 4 * sphere.std() / np.sqrt(len(sphere))
    density = multivariate_normal(np.zeros(dimension), covariance).logpdf(0.7 * unit_rows)
    gain = result.log_density_gain("random")
    np.testing.assert_allclose(np.diff(gain), np.diff(density), rtol=1e-6)


@pytest.mark.parametrize("count", COUNTS)
def test_the_leading_component_has_its_closed_form(count: int) -> None:
    images = decaying_images(count, (3, 8, 8))
    values, vectors = np.linalg.eigh(dense_covariance(images, seed=0))
    given = {"leading": vectors[:, -1].reshape(1, 3, 8, 8), "last": vectors[:, :1].T}
    given["last"] = given["last"].reshape(1, 3, 8, 8)
    result = naturalness(images, random_subspace(192, 3), given)
    for name, value in (("leading", values[-1]), ("last", values[0])):
        expected = result.variance / value
        assert result.family(name).improbability == pytest.approx([expected], rel=1e-8)
    if count < 192:  # nothing fitted lies along the last axis
        assert result.ceiling == pytest.approx(result.variance / values[0], rel=1e-8)


def test_the_natural_differences_had_no_part_in_the_gaussian() -> None:
    images = np.zeros((40, 45))
    ((fitted, held_out),) = split_in_halves(40, 1, 0)
    images[fitted, :15] = random_vectors(20, (15,))
    images[held_out, 15:] = random_vectors(20, (30,))
    subspace = random_subspace(45, 2)
    result = naturalness(images.reshape(40, 1, 5, 9), subspace, {}, components=(1, 2))
    assert result.ceiling > 1.5
    np.testing.assert_allclose(result.family(DIFFERENCES).improbability, result.ceiling)


def test_the_gaussian_is_calibrated_on_images_that_did_not_fit_it() -> None:
    images = decaying_images(1200, (1, 5, 9))
    result = naturalness(images, random_subspace(45, 3), {}, draws=600)
    axes_of_variance = 1 / np.arange(1, 46.0) ** 2
    scale = axes_of_variance.sum() / 45
    for name in (IMAGES, DIFFERENCES):
        assert 0.5 < result.family(name).median < 4
        assert result.rank(name, SPHERE).max() == 0
    assert result.rank(SPHERE, DIFFERENCES).min() == 1
    assert result.rank(DIFFERENCES, IMAGES).mean() == pytest.approx(0.5, abs=0.04)
    assert result.rank(IMAGES, IMAGES).mean() == pytest.approx(0.5, abs=1e-12)
    assert result.sphere_mean == pytest.approx(scale * (1 / axes_of_variance).mean(), rel=0.15)
    assert (result.log_density_gain(IMAGES) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shares_of_energy_sum_to_one(shape: tuple[int, ...]) -> None:
    result = naturalness(
        decaying_images(40, shape),
        random_subspace(int(np.prod(shape)), 3),
        {"long": 1e6 * random_vectors(20, shape)},
        draws=20,
    )
    assert result.white.sum() == pytest.approx(1, abs=1e-12)
    assert result.frequencies[0] == 0
    assert (np.diff(result.frequencies) > 0).all()
    for family in result.families:
        assert family.spectrum.shape == (len(family.improbability), len(result.frequencies))
        np.testing.assert_allclose(family.spectrum.sum(1), 1, rtol=1e-12)


def test_a_wave_has_its_energy_in_its_band() -> None:
    y, x = np.mgrid[:12, :20]
    waves = {
        0.0: np.ones((12, 20)),
        0.05: np.cos(2 * np.pi * x / 20 + 1),
        0.25: np.cos(2 * np.pi * 3 * y / 12 + 1),
        0.2500001: np.cos(2 * np.pi * 5 * x / 20),
        0.5: (-1.0) ** x,
        np.hypot(0.5, 0.5): (-1.0) ** (x + y),
    }
    vectors = np.stack(list(waves.values()))[:, None] * np.array([1.0, -2.0])[None, :, None, None]
    result = naturalness(
        decaying_images(20, (2, 12, 20)), random_subspace(480, 2), {"waves": vectors}, draws=2
    )
    edges = np.r_[-0.025 + 0.05 * np.arange(11), 0.5 + 1e-9, np.inf]
    expected = np.searchsorted(edges, list(waves)) - 1
    assert len(result.frequencies) == 12  # 0, 0.05, ... 0.5 and the corners
    np.testing.assert_allclose(
        result.family("waves").spectrum, np.eye(12)[expected], rtol=1e-12, atol=1e-12
    )


def test_random_phases_keep_the_spectrum_of_the_directions() -> None:
    result = a_result()
    one, other = (result.family(name).spectrum for name in (DIRECTIONS, PHASES))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_form_alone_makes_is_gone_with_the_phases() -> None:
    angle = 2 * np.pi * np.arange(64).reshape(8, 8) / 8
    wave = Subspace.spanned_by([np.cos(angle).ravel(), np.sin(angle).ravel()])
    spot = Subspace(np.eye(64)[[10, 40]])
    drawn = np.random.default_rng(2).standard_normal((30, 2))
    for subspace, expected in ((wave, 2.0), (spot, 0.0)):
        images = (drawn @ subspace.basis).reshape(30, 1, 8, 8)
        shared = naturalness(images, subspace, {}, components=(2,), draws=2).shared
        assert shared.captured == pytest.approx([2], rel=1e-10)
        assert shared.of_phases == pytest.approx([expected], abs=0.5)


def test_the_mean_image_and_the_precision_of_the_images_change_nothing() -> None:
    images, subspace = decaying_images(50, (3, 8, 8)), random_subspace(192, 4)
    given = {"given": random_vectors(5, (3, 8, 8))}
    one = naturalness(images, subspace, given, norm=1.0)
    brighter = naturalness(images + random_vectors(1, (3, 8, 8)), subspace, given, norm=1.0)
    rounded = naturalness(images.astype(np.float32), subspace, given, norm=1.0)
    for other, tolerance in ((brighter, 1e-8), (rounded, 1e-3)):
        np.testing.assert_allclose(other.shared.captured, one.shared.captured, rtol=tolerance)
        for first, second in zip(one.families, other.families, strict=True):
            np.testing.assert_allclose(second.improbability, first.improbability, rtol=tolerance)
            np.testing.assert_allclose(second.spectrum, first.spectrum, atol=tolerance)


def test_the_norm_is_a_share_of_the_images_unless_it_is_given() -> None:
    images, subspace = decaying_images(20, (1, 5, 9)), random_subspace(45, 2)
    mean = np.linalg.norm(images.reshape(20, -1), axis=1).mean()
    assert naturalness(images, subspace, {}).norm == pytest.approx(0.04 * mean)
    assert naturalness(images, subspace, {}, norm=3).norm == 3


def test_equal_images_give_no_difference() -> None:
    images = np.repeat(decaying_images(10, (1, 5, 9)), 2, axis=0)
    result = naturalness(images, random_subspace(45, 2), {}, draws=300)
    assert 0 < len(result.family(DIFFERENCES).improbability) < 300
    assert len(result.family(IMAGES).improbability) == 10


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    images, subspace = decaying_images(30, (1, 5, 9)), random_subspace(45, 2)
    one, same, other = (naturalness(images, subspace, {}, seed=seed) for seed in (1, 1, 2))
    for name in (DIFFERENCES, SPHERE, PHASES):
        values = one.family(name).improbability
        np.testing.assert_array_equal(values, same.family(name).improbability)
        assert not np.array_equal(values, other.family(name).improbability)


def nothing(images: Array) -> Array:
    return images


WRONG: list[tuple[str, Callable[[Array], Array], dict[str, Any]]] = [
    ("`images` should differ from one another. Found 10 that", lambda x: 0 * x + x[:1], {}),
    ("`images` should differ", lambda x: 0 * x, {}),
    ("`images` should differ", lambda x: np.r_[x[:1], 0 * x[1:]], {}),
    ("more than one direction", lambda x: of_two(x[:8]), {}),
    ("`images` should be finite. Found NaN or infinity in image 3", lambda x: with_nan(x), {}),
    ("`images` should have shape", lambda x: x[:5], {}),
    ("`images` should have shape", lambda x: x[0], {}),
    ("`subspace` should lie", lambda x: x[:, :, :2], {}),
    ("`uap` should have shape (m, 1, 5, 9)", nothing, {"families": {"uap": np.ones((1, 5, 9))}}),
    ("`uap` should be finite", nothing, {"families": {"uap": np.zeros((1, 1, 5, 9))}}),
    ("`uap` should be finite", nothing, {"families": {"uap": np.full((1, 1, 5, 9), np.inf)}}),
    ("not name one `sphere`", nothing, {"families": {"sphere": np.ones((1, 1, 5, 9))}}),
    ("`components` should be ascending", nothing, {"components": (2, 1)}),
    ("`components` should be ascending", nothing, {"components": (0, 1)}),
    ("`components` should be ascending", nothing, {"components": ()}),
    ("`components` should be ascending", nothing, {"components": (1.5,)}),
    ("`components` should start within", nothing, {"components": (5,)}),
    ("`draws` and `norm` should be positive", nothing, {"draws": 0}),
    ("`draws` and `norm` should be positive", nothing, {"norm": float("nan")}),
]


def with_nan(images: Array) -> Array:
    images[3, 0, 0, 0] = np.nan
    return images


def of_two(images: Array) -> Array:
    """Return two images, as often the one as the other in the half that fits."""
    ((fitted, _),) = split_in_halves(len(images), 1, 0)
    images[:] = images[0]
    images[fitted[:2]] += 1.0
    images[np.setdiff1d(np.arange(len(images)), fitted)[:1]] += 1.0
    return images


@pytest.mark.parametrize(("message", "change", "options"), WRONG)
def test_what_cannot_be_used_is_refused(
    message: str, change: Callable[[Array], Array], options: dict[str, Any]
) -> None:
    images = change(decaying_images(10, (1, 5, 9)))
    with pytest.raises(InputError, match=re.escape(message)):
        naturalness(images, random_subspace(45, 2), **{"families": {}, **options})


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match=r"`name` should be one of natural images, .* Found uap"):
        a_result().family("uap")


def test_a_saved_result_is_loaded(tmp_path: Path) -> None:
    saved = a_result()
    save_result(tmp_path / "natural.h5", saved, {"seed": 7})
    loaded = load_result(tmp_path / "natural.h5", NaturalResult)
    assert [family.name for family in loaded.families[:5]] == list(REFERENCES)
    for one, other in zip(saved.families, loaded.families, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.improbability, other.improbability)
        np.testing.assert_array_equal(one.spectrum, other.spectrum)
    for name in ("components", "captured", "of_halves", "of_phases", "directions", "dimension"):
        np.testing.assert_array_equal(getattr(saved.shared, name), getattr(loaded.shared, name))
    for name in ("images", "fitted", "shrinkage", "variance", "sphere_mean", "norm", "seed"):
        assert getattr(saved, name) == getattr(loaded, name)
    assert loaded.image_shape == (3, 8, 8)
    assert loaded.seed == 7
    np.testing.assert_array_equal(saved.frequencies, loaded.frequencies)
    np.testing.assert_array_equal(saved.white, loaded.white)


def test_a_family_is_summed_up_on_a_log_scale() -> None:
    family = a_result().family(IMAGES)
    logs = np.log10(family.improbability)
    assert family.log10_mean == pytest.approx(logs.mean())
    assert family.log10_spread == pytest.approx(tuple(np.quantile(logs, [0.025, 0.975])))


@cache
def drawn() -> Figure:
    figure = plot_natural(a_result())
    assert isinstance(figure, Figure)
    return figure


def line(panel: int, label: str) -> tuple[Array, Array]:
    (found,) = [found for found in drawn().axes[panel].lines if found.get_label() == label]
    return np.asarray(found.get_xdata(orig=False)), np.asarray(found.get_ydata(orig=False))


def test_the_figure_shows_the_spectra_and_the_improbabilities() -> None:
    result = a_result()
    for family in result.families:
        frequencies, power = line(0, family.name)
        np.testing.assert_array_equal(frequencies, result.frequencies[1:])
        np.testing.assert_array_equal(power, result.relative_power(family.name)[1:])
        values, rows = line(2, family.name)
        np.testing.assert_array_equal(values, family.improbability)
        np.testing.assert_allclose(np.round(rows), np.round(rows[0]))


def test_the_figure_shows_the_shared_energy_and_its_chance() -> None:
    shared, axes = a_result().shared, drawn().axes[1]
    bars = {
        str(found.get_label()): found
        for found in axes.containers
        if isinstance(found, ErrorbarContainer)
    }
    low, high = shared.interval()
    for label, divisor in (
        ("components in S_f", shared.components),
        ("S_f in components", np.full(3, shared.directions)),
    ):
        data, _, (ranges,) = bars[label].lines
        np.testing.assert_allclose(np.asarray(data.get_ydata(), float), shared.captured / divisor)
        ends = np.array([segment[:, 1] for segment in ranges.get_segments()])
        np.testing.assert_allclose(ends, np.stack([low, high], axis=1) / divisor[:, None])
    np.testing.assert_allclose(line(1, "R / D")[1], 6 / 192)
    np.testing.assert_allclose(line(1, "P / D")[1], shared.components / 192)


def test_the_figure_says_what_it_rests_on() -> None:
    figure = drawn()
    caption = str(figure.get_supxlabel()).replace("\n", " ")
    for part in ("n = 60", "30 of which fit", "R = 6", "D = 192", "seed 7", "10 random halves"):
        assert part in caption
    names = [label.get_text().replace("\n", " ") for label in figure.axes[2].get_yticklabels()]
    assert names[2] == "random directions (sphere) (40)"
    assert names[5] == "family 0 $ (1)"
    assert len(names) == 10


def test_the_figure_of_the_least_there_can_be() -> None:
    images = decaying_images(6, (3, 1, 1))
    given = {"one": np.ones((1, 3, 1, 1))}
    result = naturalness(images, Subspace(np.eye(3)[:1]), given, components=(1,), draws=1)
    assert len(result.frequencies) == 1
    plot_natural(result)
    outside = decaying_images(9, (1, 4, 4))
    outside[:, :, 0] = 0
    plot_natural(naturalness(outside, Subspace(np.eye(16)[:2]), {}, components=(1, 2), draws=3))
