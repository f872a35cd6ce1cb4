"""The theorems' constants, closed forms in float64, and that the bounds hold."""

from math import e, inf, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import beta as beta_law
from torch import Tensor

from analysis.fooling import fooling_rate
from analysis.perturbations import Perturbations
from analysis.subspace import Subspace
from analysis.theorems import (
    SubspaceMargins,
    curved_bound,
    flat_bound,
    noise_bounds,
    subspace_margins,
)
from boundary import Classifier, InputError
from surfaces import Gap, Linear, Quadric, linear, random_images

SHAPE = (3, 2, 2)
D = 12

Array = NDArray[np.float64]


def unit_rows(count: int, dimension: int = D, seed: int = 0) -> Array:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def fooled(
    classifier: Classifier, images: Tensor, directions: Array, norm: float
) -> NDArray[np.bool_]:
    vectors = torch.from_numpy(directions).view(-1, *images.shape[1:])
    return fooling_rate(classifier, images, Perturbations.of("probe", vectors, norm)).fooled


def ball(radius: float, dimension: int = D) -> Classifier:
    centre = torch.zeros(dimension, dtype=torch.float64)
    return Classifier(Gap(Quadric(centre, torch.full_like(centre, radius))).eval(), (-99, 99))


def at_depth(depth: float, radius: float) -> Tensor:
    """Return one image on the first axis, inside a ball around 0."""
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    image.view(-1)[0] = radius - depth
    return image


def exact_tangential(depth: float, radius: float) -> float:
    return sqrt(2 * radius * depth - depth**2)


def test_flat_bound_constants_and_that_it_holds() -> None:
    assert flat_bound(10, 0.1, 1.0) == pytest.approx(52, abs=0.5)
    assert flat_bound(10, 0.2, 1.0) == pytest.approx(26, abs=0.5)
    assert flat_bound(10, 0.2, 0.25) == pytest.approx(4 * flat_bound(10, 0.2, 1.0))
    assert flat_bound(40, 0.2, 1.0) == pytest.approx(2 * flat_bound(10, 0.2, 1.0))
    for dimension in (2, 10, 100):
        for delta in (0.05, 0.2, 0.5):
            # |u_1| of a unit vector u has to reach 1 / rho.
            missed = beta_law(0.5, (dimension - 1) / 2).cdf(flat_bound(dimension, delta, 1.0) ** -2)
            assert missed <= delta


def test_curved_bound_halves_the_principal_curvature() -> None:
    radius, depth = 10.0, 1.0
    limit = curved_bound(10**12, 1 / radius, 0.1, margin=depth)
    assert limit == pytest.approx(4.47, abs=0.005)
    assert limit > exact_tangential(depth, radius) > sqrt(depth * radius)  # without halving: 3.16
    # Lengths in other units.
    wide = curved_bound(20, 1 / (3 * radius), 0.1, margin=3 * depth)
    assert wide == pytest.approx(3 * curved_bound(20, 1 / radius, 0.1, margin=depth))
    assert curved_bound(20, 0.1, 0.1, margin=1.0) - limit == pytest.approx(
        20 * sqrt(2 * np.log(20) / 20), rel=1e-4
    )


@pytest.mark.parametrize("dimension", [3, 12])
def test_curved_bound_holds_in_a_ball(dimension: int) -> None:
    radius, depth, delta = 10.0, 1.0, 0.2
    directions = np.zeros((400, D))
    directions[:, :dimension] = unit_rows(400, dimension)
    image = at_depth(depth, radius)
    norm = curved_bound(dimension, 1 / radius, delta, margin=depth)
    assert fooled(ball(radius), image, directions, norm).mean() >= 1 - delta


@pytest.mark.parametrize(
    ("dimension", "lower", "upper"), [(10, 0.41, 4.31), (100, 0.74, 1.43), (1000, 0.91, 1.11)]
)
def test_noise_bounds_constants_and_that_they_hold(
    dimension: int, lower: float, upper: float
) -> None:
    numbers, delta = 3072, 0.1
    found = noise_bounds(numbers, dimension, delta)
    law = numbers / dimension
    assert found[0] ** 2 / law == pytest.approx(lower, abs=0.005)
    assert found[1] ** 2 / law == pytest.approx(upper, abs=0.005)
    energy = beta_law(dimension / 2, (numbers - dimension) / 2)  # of a normal in the subspace
    assert energy.sf(found[0] ** -2) <= delta
    assert energy.cdf(found[1] ** -2) <= delta


def test_margins_in_random_subspaces_follow_the_law() -> None:
    dimensions, numbers, models = [64, 128, 256, 512], 1024, 60
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=generator)
    basis = torch.linalg.qr(
        torch.randn(numbers, max(dimensions), dtype=torch.float64, generator=generator)
    ).Q.T.numpy()
    subspaces = [Subspace(basis[:dimension]) for dimension in dimensions]
    margins, full = [], []
    for seed in range(models):
        module = linear(2, numbers, seed)
        found = subspace_margins(Classifier(module), images, subspaces)
        normal = (module.weight[1] - module.weight[0]).detach().numpy()
        normal /= np.linalg.norm(normal)
        for subspace, row in zip(subspaces, found.margins, strict=True):
            wanted = found.full / np.sqrt(subspace.energy(normal[None]))
            np.testing.assert_allclose(row, wanted, rtol=1e-6)
        margins.append(found.margins)
        full.append(found.full)
    pooled = SubspaceMargins(
        found.dimensions, np.concatenate(margins, 1), np.concatenate(full), numbers
    )
    assert bool(pooled.met.all())
    np.testing.assert_allclose(pooled.law, [4.0, sqrt(8), 2.0, sqrt(2)])
    np.testing.assert_allclose(pooled.median_ratio, pooled.law, rtol=0.05)


def test_ratios_are_of_images_met_everywhere() -> None:
    full = np.array([1.0, 2.0, 1.0, inf])
    margins = np.array([[8.0, 16.0, inf, 1.0], [4.0, 8.0, 1.0, 1.0], [2.0, 4.0, 1.0, 1.0]])
    found = SubspaceMargins(np.array([1, 4, 16]), margins, full, 64)
    assert found.met.tolist() == [True, True, False, False]
    assert found.median_ratio.tolist() == [8.0, 4.0, 2.0]
    none = SubspaceMargins(np.array([1, 4]), np.full((2, 3), inf), np.ones(3), 64)
    assert np.isnan(none.median_ratio).all()


def test_a_subspace_that_meets_no_boundary() -> None:
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    weight = torch.zeros(2, D, dtype=torch.float64)
    weight[1, 0] = 1.0
    classifier = Classifier(
        Linear(weight, torch.tensor([0.0, -0.5], dtype=torch.float64)).eval(), (-9, 9)
    )
    beside, whole = Subspace(np.eye(D)[1:3]), Subspace(np.eye(D)[:3])
    found = subspace_margins(classifier, image, [beside, whole])
    assert found.margins[:, 0].tolist() == [inf, pytest.approx(0.5)]
    assert found.full.tolist() == [pytest.approx(0.5)]
    assert found.dimensions.tolist() == [2, 3]
    assert not found.met.any()


def test_options_out_of_range_are_refused() -> None:
    classifier, images = Classifier(linear(2, D)), random_images(2, SHAPE)
    spaces = [Subspace(np.eye(D)[:2])]
    with pytest.raises(InputError, match="`batch_size` should be at least 1"):
        subspace_margins(classifier, images, spaces, batch_size=0)
    with pytest.raises(InputError, match="`images` should hold at least one image"):
        subspace_margins(classifier, images[:0], spaces)
    with pytest.raises(InputError, match="`captured` should lie above 0"):
        flat_bound(10, 0.1, 0.0)
    with pytest.raises(InputError, match="`delta` should lie between 0 and 1"):
        flat_bound(10, 1.0, 1.0)
    with pytest.raises(InputError, match="`dimension` should be at least 1"):
        flat_bound(0, 0.1, 1.0)
    with pytest.raises(InputError, match="`curvature` should be positive"):
        curved_bound(10, -1.0, 0.1, margin=1.0)
    with pytest.raises(InputError, match="`margin` should be positive"):
        curved_bound(10, 1.0, 0.1, margin=inf)
    with pytest.raises(InputError, match=r"`dimension` should lie in 1\.\.5"):
        noise_bounds(5, 6, 0.1)
    assert noise_bounds(5, 5, 0.999)[1] < sqrt(e)
