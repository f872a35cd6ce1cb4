import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

from analysis import NormalSubspace, Subspace, captured_energy, singular_spectrum
from analysis.spectrum import METHODS, Method
from boundary import Classifier, InputError, NormalsStore, collect_normals
from sources import array_source
from surfaces import linear

Array = NDArray[np.float64]


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def planted(count: int, dimension: int, shares: Array, seed: int = 0) -> Array:
    """Unit rows with these mean shares of energy along the first axes of a random frame."""
    generator = np.random.default_rng(seed)
    frame = np.linalg.qr(generator.standard_normal((dimension, dimension)))[0]
    rest = np.full(dimension - len(shares), (1 - shares.sum()) / (dimension - len(shares)))
    weights = np.sqrt(np.concatenate([shares, rest]))
    signs = generator.choice([-1.0, 1.0], (count, dimension))
    return np.asarray(signs * weights @ frame.T)


FLAT, STEP = np.full(3, 1 / 40), np.array([0.4, 0.3, 0.1])
DECAYING = 0.5 ** np.arange(1, 8)


# Of the checks of scikit-learn none had to be left out: rows are divided by their norms, so that
# any data will do. The one of array API inputs skips itself unless SCIPY_ARRAY_API is set.
@parametrize_with_checks([NormalSubspace(), *(NormalSubspace(2, method=name) for name in METHODS)])
def test_it_is_an_estimator_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("shape", [(300, 40), (30, 200)])
@pytest.mark.parametrize("shares", [FLAT, STEP, DECAYING], ids=["flat", "step", "decaying"])
@pytest.mark.parametrize("method", METHODS)
def test_values_and_components_are_those_of_numpy(
    method: Method, shares: Array, shape: tuple[int, int]
) -> None:
    normals = planted(*shape, shares)
    found = NormalSubspace(3, method=method).fit(normals)
    _, values, right = np.linalg.svd(normals, full_matrices=False)
    tolerance = 1e-3 if method == "krylov" else 1e-12
    np.testing.assert_allclose(found.singular_values_, values[:3], rtol=tolerance)
    np.testing.assert_allclose(
        found.explained_energy_, values[:3] ** 2 / shape[0], rtol=2 * tolerance
    )
    if shares is not FLAT and method != "krylov":
        np.testing.assert_allclose(abs(found.components_ @ right[:3].T), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(found.components_ @ found.components_.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("shares", [STEP, DECAYING], ids=["step", "decaying"])
def test_it_is_a_truncated_svd_without_centring(shares: Array) -> None:
    normals = planted(200, 30, shares) + 0.0
    normals = unit(normals + normals[0])  # a mean that a centred analysis would take away
    found = NormalSubspace(2).fit(normals)
    peer = TruncatedSVD(2, algorithm="arpack").fit(normals)
    np.testing.assert_allclose(found.singular_values_, peer.singular_values_, rtol=1e-10)
    angles = found.subspace().principal_angles(Subspace(peer.components_))
    assert angles[0] < 1e-7
    np.testing.assert_allclose(
        abs(found.transform(normals)), abs(peer.transform(normals)), atol=1e-9
    )
    inverse = found.inverse_transform(found.transform(normals))
    np.testing.assert_allclose(inverse, peer.inverse_transform(peer.transform(normals)), atol=1e-9)


def test_a_planted_subspace_is_found_and_scored() -> None:
    normals, others = planted(400, 30, STEP), planted(400, 30, STEP)[::-1]
    found = NormalSubspace(3).fit(normals)
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 30)))[0][:, :3]
    assert found.subspace().principal_angles(Subspace(frame.T))[0] < 0.3
    assert found.score(others) == pytest.approx(0.8, abs=0.03)
    random = unit(np.random.default_rng(1).standard_normal((4000, 30)))
    assert found.score(random) == pytest.approx(3 / 30, abs=0.01)


def test_the_score_is_the_captured_energy_of_held_out_normals() -> None:
    normals = planted(100, 30, DECAYING)
    spectrum = singular_spectrum(normals[:60], directions=4)
    found = NormalSubspace(4).fit(normals[:60])
    expected = captured_energy(spectrum, normals[60:]).mean[-1]
    assert found.score(normals[60:]) == pytest.approx(expected, rel=1e-12)
    assert found.explained_energy_.sum() == pytest.approx(found.score(normals[:60]), rel=1e-12)
    np.testing.assert_allclose(found.spectrum_.singular_values, spectrum.singular_values)


def test_a_row_counts_by_its_direction_and_zeros_not_at_all() -> None:
    normals = planted(50, 12, STEP)
    lengths = np.geomspace(1e-200, 1e200, 50)[:, None]
    zeros = np.zeros((3, 12))
    plain = NormalSubspace(3).fit(normals)
    found = NormalSubspace(3).fit(np.vstack([zeros, lengths * normals]))
    np.testing.assert_allclose(found.singular_values_, plain.singular_values_, rtol=1e-12)
    assert (found.spectrum_.count, found.spectrum_.zero_rows) == (50, 3)
    rows = np.vstack([2 * normals, zeros])
    assert plain.score(rows) == pytest.approx(plain.score(normals), rel=1e-12)
    np.testing.assert_allclose(plain.transform(rows)[:50], 2 * plain.transform(normals))
    assert not plain.transform(rows)[50:].any()


def test_fewer_components_are_kept_where_normals_span_fewer() -> None:
    normals = np.repeat(np.eye(6)[:2], 5, axis=0)
    found = NormalSubspace(4).fit(normals)
    assert (found.n_components_, found.components_.shape) == (2, (2, 6))
    assert list(found.get_feature_names_out()) == ["normalsubspace0", "normalsubspace1"]
    assert NormalSubspace().fit(planted(150, 120, STEP)).n_components_ == 100


def test_it_goes_to_a_subspace_and_back() -> None:
    normals = planted(60, 12, STEP)
    found = NormalSubspace(3).fit(normals)
    again = NormalSubspace.from_subspace(found.subspace())
    np.testing.assert_array_equal(again.transform(normals), found.transform(normals))
    assert again.score(normals) == found.score(normals)
    assert (again.n_components, again.n_features_in_) == (3, 12)
    assert not hasattr(again, "singular_values_")
    copied = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(copied.components_, found.components_)
    assert clone(found).get_params() == {"n_components": 3, "method": "gram"}


def test_it_works_with_pipelines_scores_and_tables() -> None:
    normals = planted(90, 12, STEP)
    both = make_pipeline(Normalizer(), NormalSubspace(3).set_output(transform="pandas"))
    data = both.fit_transform(5 * normals)
    assert list(data.columns) == ["normalsubspace0", "normalsubspace1", "normalsubspace2"]
    scores = cross_val_score(NormalSubspace(3), normals, cv=3)
    assert scores.min() > 0.7


def test_normals_of_a_store_are_read_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = array_source(tmp_path, 40)
    store = collect_normals(Classifier(linear(4, 4).float()), source, tmp_path / "normals")
    assert isinstance(store, NormalsStore)
    normals = store.normals()
    monkeypatch.setattr("analysis.gram.BLOCK_NUMBERS", 4)
    monkeypatch.setattr("analysis.gram.NARROWEST", 7)
    found, array = NormalSubspace(2).fit(normals), normals[:]
    expected = NormalSubspace(2).fit(array)
    np.testing.assert_allclose(found.singular_values_, expected.singular_values_, rtol=1e-6)
    np.testing.assert_array_equal(found.transform(normals), found.transform(array))
    assert found.score(normals) == pytest.approx(found.score(array), rel=1e-12)
    with pytest.raises(InputError, match=r"`X` should have shape \(n, 9\).*Found \(\d+, 4\)"):
        NormalSubspace.from_subspace(Subspace(np.eye(9)[:2])).transform(normals)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (NormalSubspace(0), r"`n_components` should be a whole number in 1\.\.4.*Found 0"),
        (NormalSubspace(2.5), r"whole number.*Found 2\.5"),  # type: ignore[arg-type]
        (NormalSubspace(5), r"there are 6 normals of 4 numbers, or None. Found 5"),
        (NormalSubspace(method="qr"), "`method` should be one of gram"),  # type: ignore[arg-type]
    ],
)
def test_parameters_that_do_not_fit_are_refused(estimator: NormalSubspace, message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimator.fit(np.eye(6)[:, :4] + 1)


def test_rows_that_cannot_be_used_are_refused() -> None:
    found = NormalSubspace(2).fit(np.eye(4))
    for refuse in (NormalSubspace().fit, found.score):
        with pytest.raises(InputError, match=r"a row that is not zero. Found none"):
            refuse(np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"`X` should have shape \(n, 2\).*Found \(1, 3\)"):
        found.inverse_transform(np.zeros((1, 3)))
