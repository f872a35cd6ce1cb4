import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis import Subspace, captured_energy, eigen, gram, isotropic_null, singular_spectrum
from analysis.gram import HERE
from analysis.nulls import (
    marchenko_pastur_density,
    marchenko_pastur_edges,
    marchenko_pastur_quantiles,
    marchenko_pastur_values,
)
from analysis.spectrum import Method, _right_vectors
from boundary import Classifier, InputError, nearest_boundary_points
from surfaces import linear, random_images


def unit_rows(count: int, dimension: int, seed: int = 0) -> NDArray[np.float64]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def planted(count: int, dimension: int, rank: int, share: float) -> NDArray[np.float64]:
    """Unit rows with a share of their energy in the first ``rank`` coordinates."""
    inside = unit_rows(count, rank, seed=1)
    outside = unit_rows(count, dimension - rank, seed=2)
    return np.hstack([np.sqrt(share) * inside, np.sqrt(1 - share) * outside])


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (50, 50), (1, 7), (7, 1)])
def test_values_and_vectors_are_lapacks(shape: tuple[int, int]) -> None:
    rows = unit_rows(*shape)
    kept = min(5, *shape)
    found = singular_spectrum(rows, directions=kept)
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(found.singular_values, values, rtol=1e-9, atol=1e-7)
    cosines = np.abs((found.directions * vectors[:kept]).sum(1))
    np.testing.assert_allclose(cosines, 1, rtol=1e-9)
    assert (found.count, found.dimension) == shape
    np.testing.assert_allclose((found.singular_values**2).sum(), shape[0], rtol=1e-12)


def of_values(values: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """A matrix of nearly unit rows with singular values in these proportions."""
    generator = np.random.default_rng(3)
    left = np.linalg.qr(generator.standard_normal((shape[0], len(values))))[0]
    right = np.linalg.qr(generator.standard_normal((shape[1], len(values))))[0]
    rows = left * values @ right.T
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
@pytest.mark.parametrize("method", ["gram", "lapack", "krylov"])
def test_every_error_is_within_its_bound(method: Method, shape: tuple[int, int]) -> None:
    rows = of_values(np.geomspace(1, 1e-9, 300), shape)
    exact = np.linalg.svd(rows, compute_uv=False)
    found = singular_spectrum(rows, directions=20, method=method)
    kept = len(found.singular_values)
    assert kept == (20 if method == "krylov" else 300)
    error = np.abs(found.singular_values - exact[:kept])
    assert (error <= found.errors).all()
    large = found.singular_values > 1e-3 * exact[0]
    assert (error[large] <= 1e-8 * exact[:kept][large]).all()
    assert found.complete == (method != "krylov")
    assert found.method == method


def test_the_tail_that_is_not_trusted_is_named() -> None:
    rows = of_values(np.geomspace(1, 1e-9, 300), (300, 500))
    exact = np.linalg.svd(rows, compute_uv=False)
    found = singular_spectrum(rows)
    trusted = found.trusted(0.01)
    error = np.abs(found.singular_values - exact) / exact
    assert 150 < trusted < 300
    assert (error[:trusted] <= 0.01).all()
    assert error[trusted:].max() > 0.01
    assert singular_spectrum(rows, method="lapack").trusted(0.01) == 300


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (70, 60)])
@pytest.mark.parametrize("method", ["gram", "lapack", "krylov"])
def test_rows_of_zeros_are_left_out_and_counted(method: Method, shape: tuple[int, int]) -> None:
    rows = unit_rows(*shape)
    places = np.sort(np.random.default_rng(0).choice(shape[0], 20, replace=False))
    rows[places] = 0
    used = np.delete(rows, places, axis=0)
    found = singular_spectrum(rows, directions=5, method=method)
    expected = singular_spectrum(used, directions=5, method="lapack")
    assert (found.count, found.zero_rows) == (shape[0] - 20, 20)
    kept = len(found.singular_values)
    assert kept == (5 if method == "krylov" else min(used.shape))
    np.testing.assert_allclose(found.singular_values, expected.singular_values[:kept], rtol=1e-8)
    np.testing.assert_allclose(np.abs((found.directions * expected.directions).sum(1)), 1)


def test_duplicates_raise_values_and_not_the_rank() -> None:
    rows = unit_rows(20, 50)
    found = singular_spectrum(np.repeat(rows, 4, axis=0))
    once = singular_spectrum(rows)
    np.testing.assert_allclose(found.singular_values[:20], 2 * once.singular_values, rtol=1e-9)
    assert (found.singular_values[20:] < found.floor).all()


def test_krylov_finds_all_of_a_matrix_that_has_no_more() -> None:
    rows = planted(50, 12, rank=2, share=0.5)
    found = singular_spectrum(rows, directions=12, method="krylov")
    exact = np.linalg.svd(rows, compute_uv=False)
    np.testing.assert_allclose(found.singular_values, exact, rtol=1e-9)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
@pytest.mark.parametrize("float32", [False, True])
def test_another_device_gives_the_same_to_its_rounding(
    shape: tuple[int, int], float32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit_rows(*shape)
    rows[3] = 0
    here = singular_spectrum(rows, directions=7)
    monkeypatch.setattr(gram.Where, "on_host", False)  # torch on the CPU stands for a device
    there = singular_spectrum(rows, directions=7, where=gram.Where(float32=float32))
    assert (np.abs(here.singular_values - there.singular_values) <= there.errors).all()
    tolerance = 1e-4 if float32 else 1e-9
    np.testing.assert_allclose(there.directions, here.directions, atol=tolerance)
    assert (there.trusted(1e-6) == len(there.singular_values)) != float32


def test_vectors_of_large_matrices_on_a_device_are_those_of_the_solver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = of_values(np.arange(1.0, 301) ** -0.3, (300, 500))
    monkeypatch.setattr(gram.Where, "on_host", False)
    whole = singular_spectrum(rows, directions=20)
    monkeypatch.setattr(eigen, "_ALL_VECTORS", 100)
    leading = singular_spectrum(rows, directions=20)
    np.testing.assert_allclose(leading.singular_values, whole.singular_values, rtol=1e-12)
    np.testing.assert_allclose(leading.directions, whole.directions, atol=1e-6)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
def test_blocks_change_nothing(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(*shape)
    whole = singular_spectrum(rows, directions=10)
    monkeypatch.setattr(gram, "BLOCK_NUMBERS", 500)
    monkeypatch.setattr(gram, "NARROWEST", 1)
    blocked = singular_spectrum(rows, directions=10)
    np.testing.assert_allclose(blocked.singular_values, whole.singular_values, rtol=1e-10)
    np.testing.assert_allclose(blocked.directions, whole.directions, atol=1e-10)


def test_a_planted_subspace_is_recovered() -> None:
    rows = planted(400, 1000, rank=5, share=0.6)
    found = singular_spectrum(rows, directions=5)
    null = isotropic_null(400, 1000, draws=20)
    assert null.leading(found.singular_values) == 5
    truth = Subspace(np.eye(1000)[:5])
    assert np.cos(truth.principal_angles(found.subspace(5))).min() > 0.97
    energy = truth.energy(rows)
    np.testing.assert_allclose(energy, 0.6, rtol=1e-12)


def test_random_signs_of_the_rows_change_nothing() -> None:
    rows = planted(100, 300, rank=3, share=0.5)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(100, 1))
    one, other = (singular_spectrum(r, directions=3) for r in (rows, signs * rows))
    np.testing.assert_allclose(one.singular_values, other.singular_values, rtol=1e-10)
    np.testing.assert_allclose(one.directions, other.directions, atol=1e-9)


def test_the_largest_component_of_a_direction_is_positive() -> None:
    directions = singular_spectrum(unit_rows(30, 50), directions=10).directions
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    assert (largest > 0).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_normals_of_a_linear_classifier_have_rank_below_the_classes(classes: int) -> None:
    found = nearest_boundary_points(Classifier(linear(classes, 30)), random_images(200, (1, 5, 6)))
    values = singular_spectrum(found.normal.flatten(1).numpy(), directions=1).singular_values
    assert (values[classes - 1 :] < 1e-6).all()
    assert values[classes - 2] > 1
    if classes == 2:
        np.testing.assert_allclose(values[0], np.sqrt(200), rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "directions", "message"),
    [
        (np.zeros((0, 5)), 0, "at least 1"),
        (unit_rows(5, 9), 6, r"0\.\.5"),
        (unit_rows(5, 9) * 2, 1, "unit vectors.*5 that are not, first row 0 of norm 2;"),
        (unit_rows(9, 5) * [[1.0]] * np.r_[1, 1, np.nan, np.ones(6)][:, None], 1, "finite.*row 2"),
        (np.zeros((3, 4)), 1, "not zero"),
        (unit_rows(5, 9)[0], 1, "shape"),
    ],
)
def test_matrices_that_cannot_be_used_are_refused(
    rows: NDArray[np.float64], directions: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        singular_spectrum(rows, directions=directions)


@pytest.mark.parametrize(("count", "dimension"), [(1000, 3072), (4000, 50), (400, 400)])
def test_isotropic_null_fills_the_marchenko_pastur_law(count: int, dimension: int) -> None:
    low, high = marchenko_pastur_edges(count, dimension)
    null = isotropic_null(count, dimension, draws=3)
    side = min(count, dimension)
    assert null.singular_values.max() < high * 1.02
    assert null.singular_values.min() > low * 0.95 - 1e-9
    squares = null.singular_values**2
    np.testing.assert_allclose(squares.sum(1), count, rtol=1e-9)
    # Participation ratio n / (1 + (n - 1) / D), exact in the mean.
    ratio = count**2 / (squares**2).sum(1).mean()
    np.testing.assert_allclose(ratio, count / (1 + (count - 1) / dimension), rtol=0.01)
    middle = slice(side // 10, -side // 10)
    mean = null.singular_values.mean(0)[middle]
    np.testing.assert_allclose(
        mean, marchenko_pastur_values(count, dimension)[middle], rtol=0.01, atol=0.01
    )


@pytest.mark.parametrize(("count", "dimension"), [(300, 1000), (1000, 300)])
def test_the_triangle_stands_for_the_whole_gaussian(count: int, dimension: int) -> None:
    shortcut = isotropic_null(count, dimension, draws=20, seed=1).singular_values.mean(0)
    whole = np.mean(
        [np.linalg.svd(unit_rows(count, dimension, seed), compute_uv=False) for seed in range(20)],
        0,
    )
    np.testing.assert_allclose(shortcut, whole, rtol=0.01)


@pytest.mark.parametrize(("count", "dimension"), [(100, 1000), (1000, 100), (50, 50)])
def test_marchenko_pastur_density_and_quantiles_agree(count: int, dimension: int) -> None:
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    middle = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, 200_001))
    density = marchenko_pastur_density(middle, count, dimension)
    total = np.trapezoid(density, middle)
    mean = np.trapezoid(density * middle, middle)
    np.testing.assert_allclose(total, 1, rtol=1e-3)
    np.testing.assert_allclose(mean, max(1, count / dimension), rtol=1e-3)
    quantiles = marchenko_pastur_quantiles([0.0, 0.5, 1.0], count, dimension)
    np.testing.assert_allclose(quantiles[[0, 2]] ** 2, [low, high], atol=1e-6)
    below = middle <= quantiles[1] ** 2
    np.testing.assert_allclose(np.trapezoid(density[below], middle[below]), 0.5, atol=2e-3)
    # MP medians of the square, as published for ratios 1, 0.5 and 0.1.
    if count == dimension:
        np.testing.assert_allclose(quantiles[1] ** 2, 0.6528, atol=2e-3)


def test_held_out_energy_of_noise_is_r_over_d_and_in_sample_is_more() -> None:
    rows = unit_rows(600, 800)
    energy = captured_energy(singular_spectrum(rows[:400], directions=50), rows[400:])
    np.testing.assert_allclose(energy.mean[-1], 50 / 800, rtol=0.05)
    low, high = energy.interval()
    assert (low <= energy.mean).all()
    assert (energy.mean <= high).all()
    assert (energy.in_sample > 2 * energy.isotropic).all()
    np.testing.assert_allclose(energy.isotropic[-1], 50 / 800)


def test_held_out_energy_of_a_planted_subspace() -> None:
    rows = planted(500, 900, rank=4, share=0.7)
    energy = captured_energy(singular_spectrum(rows[:400], directions=10), rows[400:])
    assert energy.mean[3] > 0.65
    assert energy.held_out.shape == (100, 10)


def test_directions_that_rounding_would_choose_are_not_kept() -> None:
    basis = Subspace.spanned_by(unit_rows(3, 64)).basis
    rows = np.repeat(basis, [9, 7, 4], axis=0)
    for matrix in (rows, np.repeat(rows, 10, axis=0)):  # n < D, n > D
        found = singular_spectrum(matrix, directions=10)
        assert len(found.directions) == 3
        np.testing.assert_allclose(found.subspace(3).energy(basis), 1, rtol=1e-12)
        assert (found.singular_values[3:] < found.floor).all()


@given(st.integers(2, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_subspace_splits_every_vector(dimension: int, rank: int, seed: int) -> None:
    subspace = Subspace.spanned_by(unit_rows(min(rank, dimension), dimension, seed))
    vectors = np.random.default_rng(seed).normal(size=(5, dimension))
    inside = subspace.project(vectors)
    np.testing.assert_allclose(subspace.project(inside), inside, atol=1e-12)
    np.testing.assert_allclose(((vectors - inside) * inside).sum(1), 0, atol=1e-10)
    np.testing.assert_allclose(subspace.energy(vectors), (inside**2).sum(1), rtol=1e-9, atol=1e-12)
    assert subspace.principal_angles(subspace).max() < 1e-6


def test_subspaces_of_more_directions_than_were_kept_are_refused() -> None:
    found = singular_spectrum(unit_rows(20, 30), directions=5)
    assert found.subspace(5).dimension == 5
    for dimension in (0, 6):
        with pytest.raises(InputError, match=rf"1\.\.5.*Found {dimension}"):
            found.subspace(dimension)


def test_subspace_samples_lie_in_it_with_the_norm_asked_for() -> None:
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 6)))[0].T
    subspace = Subspace(basis)
    vectors = subspace.sample(5000, 2.5, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 2.5, rtol=1e-12)
    np.testing.assert_allclose(subspace.project(vectors), vectors, atol=1e-12)
    np.testing.assert_allclose(subspace.energy(vectors), 6.25, rtol=1e-12)
    # Uniform on the sphere of the subspace: second moments 1/R along every basis vector.
    moments = ((vectors @ basis.T / 2.5) ** 2).mean(0)
    np.testing.assert_allclose(moments, 1 / 6, rtol=0.06)
    again = subspace.sample(5000, 2.5, torch.Generator().manual_seed(0)).numpy()
    assert (vectors == again).all()


def test_principal_angles() -> None:
    eye = np.eye(10)
    one = Subspace(eye[:2])
    tilted = np.stack([eye[0], np.cos(0.3) * eye[1] + np.sin(0.3) * eye[5]])
    np.testing.assert_allclose(one.principal_angles(Subspace(tilted)), [0.3, 0], atol=1e-12)


def test_energy_of_a_random_direction_is_r_over_d() -> None:
    energy = Subspace(np.eye(300)[:30]).energy(unit_rows(4000, 300))
    # Beta(R/2, (D - R)/2): mean R/D, deviation sqrt(2 R (D - R) / (D^2 (D + 2))).
    np.testing.assert_allclose(energy.mean(), 0.1, rtol=0.02)
    np.testing.assert_allclose(energy.std(), np.sqrt(2 * 30 * 270 / (300**2 * 302)), rtol=0.05)


def test_right_vectors_are_orthonormal_also_where_left_ones_are_in_error() -> None:
    random = np.random.default_rng(0)
    rows = 1e-5 * random.standard_normal((30, 60))
    rows[:, 0] = 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    left = np.linalg.svd(rows)[0][:, :10] + 1e-2 * random.standard_normal((30, 10))
    right = _right_vectors(rows, np.ones(30, dtype=bool), left, HERE)
    assert np.abs(right @ right.T - np.eye(10)).max() < 1e-14


def test_bases_that_are_not_orthonormal_are_refused() -> None:
    with pytest.raises(InputError, match=r"orthonormal.*spanned_by"):
        Subspace(np.ones((2, 4)))
    with pytest.raises(InputError, match="shape"):
        Subspace(np.ones(4))
    with pytest.raises(InputError, match="independent"):
        Subspace.spanned_by(np.ones((2, 4)))
    assert Subspace.spanned_by([[1.0, 1, 0], [0, 1, 1]]).dimension == 2
    with pytest.raises(InputError, match=r"\(n, 4\)"):
        Subspace(np.eye(4)[:2]).energy(np.ones((1, 3)))
