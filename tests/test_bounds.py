"""The theorems' norms, where flatness and curvature are known."""

from math import e, log, sqrt

import numpy as np
import pytest

from analysis import FoolingRate, Subspace
from analysis.bounds import Bound, bound_row, curved_bounds, flat_bounds, margin_rows
from analysis.theorems import SubspaceMargins

D, R, N = 40, 4, 300


def normals(share: float = 0.6) -> np.ndarray:
    """Return unit normals with a share of their length in the first R coordinates."""
    found = np.random.default_rng(0).standard_normal((N, D))
    found[:, :R] *= share / np.linalg.norm(found[:, :R], axis=1, keepdims=True)
    found[:, R:] *= sqrt(1 - share**2) / np.linalg.norm(found[:, R:], axis=1, keepdims=True)
    return found


def test_the_flat_promise_is_kept_by_planes_of_many_margins() -> None:
    margin = np.random.default_rng(1).uniform(0.2, 2.0, N)
    known, subspace = normals(), Subspace(np.eye(D)[:R])
    captured = np.linalg.norm(known @ subspace.basis.T, axis=1)
    (bound,) = flat_bounds("subspace", R, margin, captured, deltas=[0.2])
    assert bound.norm == pytest.approx(sqrt(e * R) / 0.2 * margin.mean() / 0.6)
    assert bound.premise == pytest.approx(0.6)
    assert bound.promised == 0.8
    generator = np.random.default_rng(2)
    vectors = generator.standard_normal((200, R)) @ subspace.basis
    vectors *= bound.norm / np.linalg.norm(vectors, axis=1, keepdims=True)
    beyond = np.abs(vectors @ known.T) >= margin
    assert beyond.mean() > bound.promised


def test_normals_outside_the_subspace_have_no_bound() -> None:
    assert flat_bounds("subspace", R, np.ones(2), np.array([0.6, 0.0])) == []
    assert flat_bounds("subspace", R, np.ones(0), np.ones(0)) == []


def test_the_curved_promise_is_kept_inside_a_ball() -> None:
    """Images at depth 1 in balls of radius 10: rho follows from kappa = 1 / 20."""
    R = 12
    t = sqrt(2 * log(20) / R)
    kappa = (1 - t**2) / 20
    (bound,) = curved_bounds("curved", R, np.ones(N), np.full((5, N), 0.1), excluded=[0.5])
    assert bound.norm == pytest.approx(t / kappa + sqrt(1 / kappa))
    assert bound.promised == pytest.approx(0.9)
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((400, R))
    vectors *= bound.norm / np.linalg.norm(vectors, axis=1, keepdims=True)
    inside = np.zeros(R)
    inside[0] = 9.0  # of a ball around 0
    fooled = np.linalg.norm(vectors + inside, axis=1) > 10
    assert fooled.mean() > bound.promised


def test_pairs_of_little_curvature_are_excluded() -> None:
    bends = np.linspace(-1, 1, 5 * N).reshape(5, N)
    found = curved_bounds("curved", 10, np.ones(N), bends, excluded=[0.25, 0.75])
    (bound,) = found  # a quarter leaves negative curvatures
    assert bound.premise == pytest.approx(0.5, abs=1e-3)
    assert bound.promised == pytest.approx(0.9 - 0.75, abs=1e-3)
    margins = np.random.default_rng(5).permutation(np.linspace(0.1, 1, N))
    (far,) = curved_bounds("curved", 10, margins, bends, excluded=[0.75])
    assert far.promised == pytest.approx(0.25 * 0.9 - 0.1, abs=0.02)
    assert curved_bounds("curved", 10, np.ones(N), -np.abs(bends)) == []


@pytest.mark.parametrize(("R", "promises"), [(1, 0), (5, 0), (6, 1), (40, 1)])
def test_a_paraboloid_whose_normal_lies_in_the_subspace_keeps_the_promise(
    R: int, promises: int
) -> None:
    """The worst place of a subspace: the boundary is n.x = 1 - |P x|^2 / 20."""
    found = curved_bounds("curved", R, np.ones(N), np.full((1, N), 0.1), excluded=[0.5])
    assert len(found) == promises
    for bound in found:
        vectors = np.random.default_rng(6).standard_normal((20000, R))
        vectors *= bound.norm / np.linalg.norm(vectors, axis=1, keepdims=True)
        beyond = vectors[:, 0] + 0.05 * (vectors[:, 1:] ** 2).sum(1) >= 1
        assert beyond.mean() > bound.promised


def test_a_row_holds_the_rate_beside_the_promise() -> None:
    bound = Bound("flat", "subspace", R, 0.6, 3.0, 0.8)
    fooled = np.random.default_rng(4).random((4, 100)) < 0.4
    row = bound_row(bound, FoolingRate("subspace", R, 3.0, False, fooled))
    assert row.measured == fooled.mean()
    assert row.low < row.measured < row.high < row.predicted == 0.8
    assert row.images == 100


def test_margins_stand_beside_the_law() -> None:
    full = np.linspace(0.5, 1.0, 40)
    ratio = np.array([4.0, 2.0])[:, None] * (1 + np.linspace(-0.1, 0.1, 40))
    margins = ratio * full
    margins[0, 0] = np.inf
    few, many = margin_rows("sphere", SubspaceMargins(np.array([4, 16]), margins, full, 64))
    assert (few.dimension, few.predicted, few.images) == (4, 4.0, 39)
    assert few.measured == pytest.approx(4.0, rel=0.01)
    assert 3.6 < few.low < few.measured < few.high < 4.4
    assert many.predicted == 2.0
    none = SubspaceMargins(np.array([4]), np.full((1, 3), np.inf), np.ones(3), 64)
    assert margin_rows("sphere", none) == []
