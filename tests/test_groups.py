"""Classes and pairs: means that are planted are found, and noise explains nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray
from test_spectrum import unit_rows

from analysis import Subspace, singular_spectrum
from analysis.groups import class_means, group_by_class, group_spectra, mean_cosines
from boundary import InputError


def labels(count: int, classes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    source = generator.integers(classes, size=count)
    return source, (source + generator.integers(1, classes, size=count)) % classes


def around_pair_means(
    source: NDArray[np.int64], target: NDArray[np.int64], dimension: int, share: float
) -> NDArray[np.float64]:
    """Unit rows with a share of their energy in the difference of two class directions."""
    classes = Subspace.spanned_by(unit_rows(int(source.max()) + 1, dimension, seed=7)).basis
    means = (classes[target] - classes[source]) / np.sqrt(2)
    inside = means @ classes.T @ classes
    noise = unit_rows(len(source), dimension, seed=8)
    noise -= noise @ classes.T @ classes
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(np.sqrt(share) * inside + np.sqrt(1 - share) * noise)


def test_groups_are_classes_and_unordered_pairs() -> None:
    source, target = np.array([0, 1, 1, 2, 0]), np.array([1, 0, 2, 1, 1])
    pairs = group_by_class("pair", source, target)
    assert pairs.classes.tolist() == [[0, 1], [1, 2]]
    assert pairs.members.tolist() == [0, 0, 1, 1, 0]
    assert pairs.signs.tolist() == [1, -1, 1, -1, 1]
    classes = group_by_class("source", source, target)
    assert classes.classes.tolist() == [[0, -1], [1, -1], [2, -1]]
    assert classes.counts.tolist() == [2, 2, 1]
    assert group_by_class("all", source, target).counts.tolist() == [5]
    with pytest.raises(InputError, match="`by` should be all, source or pair"):
        group_by_class("target", source, target)


def test_mean_cosines_are_those_of_all_pairs_of_rows() -> None:
    rows = unit_rows(40, 12)
    source, target = labels(40, 3)
    groups = group_by_class("pair", source, target)
    (found,) = mean_cosines(rows, [groups])
    for group in range(len(groups.classes)):
        own = (groups.signs[:, None] * rows)[groups.members == group]
        products = own @ own.T
        expected = (products.sum() - np.trace(products)) / (len(own) * (len(own) - 1))
        assert found[group] == pytest.approx(expected, abs=1e-12)


def test_spectra_of_groups_are_those_of_their_rows() -> None:
    source, target = labels(200, 4)
    rows = around_pair_means(source, target, 60, share=0.5)
    found = group_spectra(rows, group_by_class("pair", source, target))
    assert (np.diff(found.counts) <= 0).all()
    assert found.counts.sum() + found.left_out == 200
    for place, (one, other) in enumerate(found.classes):
        inside = ((source == one) & (target == other)) | ((source == other) & (target == one))
        expected = singular_spectrum(rows[inside], directions=3)
        assert found.counts[place] == inside.sum()
        np.testing.assert_allclose(
            found.energy[place], expected.singular_values[:10] ** 2 / inside.sum()
        )
        np.testing.assert_allclose(found.directions[place], expected.directions, atol=1e-9)
        # Half of the energy is in the mean.
        assert found.mean_cosine[place] == pytest.approx(0.5, abs=0.03)
        assert found.energy[place, 0] > 0.5


def test_small_groups_are_counted_and_left_out() -> None:
    source, target = np.r_[np.zeros(30, int), np.ones(4, int)], np.full(34, 2)
    found = group_spectra(unit_rows(34, 8), group_by_class("source", source, target))
    assert found.counts.tolist() == [30]
    assert found.left_out == 4


def test_planted_pair_means_explain_the_shared_subspace() -> None:
    source, target = labels(600, 4)
    rows = around_pair_means(source, target, 100, share=0.4)
    found = class_means(rows, source, target, directions=10, splits=3)
    assert found.energy[2] == pytest.approx(0.4, abs=0.02)
    assert found.energy_of_halves.shape == (3, 6)
    # Differences of four class directions span three.
    assert (found.explained[:, 2] > 0.9).all()
    assert (found.explained[:, 9] < 0.5).all()
    assert (found.rank == 6).all()
    assert (found.rival[:, 2] > 0.9).all()


def test_the_rival_has_as_many_directions_as_the_means() -> None:
    source, target = labels(600, 6)
    rows = unit_rows(600, 100)
    few = class_means(rows, source, target, directions=5, splits=2)
    many = class_means(rows, source, target, directions=50, splits=2)
    assert (few.rank == 15).all()
    np.testing.assert_allclose(few.rival, many.rival[:, :5], rtol=1e-6)


def test_noise_is_explained_by_no_means() -> None:
    source, target = labels(600, 4)
    found = class_means(unit_rows(600, 100), source, target, directions=10, splits=3)
    np.testing.assert_allclose(found.energy, 0, atol=0.003)
    np.testing.assert_allclose(found.explained[:, -1].mean(), 6 / 100, rtol=0.5)
