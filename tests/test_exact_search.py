"""Searches for boundary points whose nearest points are known, in float64 and float32."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from boundary import Classifier, Status, nearest_boundary_points
from surfaces import (
    EXACT,
    Gap,
    Linear,
    Quadric,
    linear,
    orthogonal,
    random_images,
    smooth_network,
)


def ellipsoid(dimension: int) -> tuple[nn.Module, Tensor, Tensor]:
    axes = torch.linspace(0.3, 1.2, dimension, dtype=torch.float64)
    centre = torch.full_like(axes, 0.5)
    return Gap(Quadric(centre, axes)).eval(), centre, axes


def distance_to_ellipsoid(points: Tensor, centre: Tensor, axes: Tensor) -> Tensor:
    """Lagrange: y = p a^2 / (a^2 + t), t the largest root of sum (p a / (a^2 + t))^2 = 1."""
    squares = axes.numpy() ** 2
    found = []
    for p in (points.flatten(1) - centre).numpy():
        excess = lambda t, p=p: ((p * np.sqrt(squares) / (squares + t)) ** 2).sum() - 1  # noqa: E731
        t = brentq(excess, -squares.min() + 1e-14, 100.0, xtol=1e-16, maxiter=500)
        found.append(np.linalg.norm(p * t / (squares + t)))
    return torch.tensor(np.array(found))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("dimension", [4, 48])
def test_ellipsoid_is_solved_exactly(dimension: int, dtype: torch.dtype, tolerance: float) -> None:
    module, centre, axes = ellipsoid(dimension)
    images = random_images(200, (1, 2, dimension // 2))
    expected = distance_to_ellipsoid(images, centre, axes)
    away = expected > 0.02  # float32 cannot write down nearer points to 1e-5
    options = EXACT if dtype == torch.float64 else {"alignment_tol": 1 - 1e-6, "residual_tol": 1e-6}
    found = nearest_boundary_points(
        Classifier(module.to(dtype)), images.to(dtype), **{"max_gradients": 300, **options}
    )
    assert found.on_boundary.all()
    error = (found.margin.double() / expected - 1).abs()[away]
    assert error.max() <= tolerance
    assert found.backward_passes.double().mean() < 55


def rounding_of_margins(module: Linear, images: Tensor) -> float:
    """Return how well a margin can be known: the rounding of a logit over the slope of a gap.

    A logit is a product w'x, rounded by up to eps |w| |x|, and a gap is a difference of two.
    """
    weight = module.weight.detach()
    slopes = (weight[None] - weight[:, None]).norm(dim=2)
    product = weight.norm(dim=1).max() * images.flatten(1).norm(dim=1).max()
    return torch.finfo(images.dtype).eps * float(product / slopes[slopes > 0].min())


@pytest.mark.parametrize("classes", [2, 5])
def test_linear_classifier_in_float32(classes: int) -> None:
    module = linear(classes, 48)
    images = random_images(200, (3, 4, 4))
    exact = nearest_boundary_points(Classifier(module), images, **EXACT)
    found = nearest_boundary_points(
        Classifier(module.float()),
        images.float(),
        alignment_tol=1 - 1e-6,
        residual_tol=1e-6,
    )
    rounding = rounding_of_margins(module, images.float())
    torch.testing.assert_close(found.margin.double(), exact.margin, rtol=1e-5, atol=rounding)


def nearest_in_box(normal: Tensor, offset: Tensor, low: Tensor, high: Tensor) -> float:
    """|clip(t n)| with n . clip(t n) = offset, by an independent root finder."""
    reached = lambda t: float((normal * (t * normal).clamp(low, high)).sum() - offset)  # noqa: E731
    if reached(1e9) < 0:
        return np.inf
    t = brentq(reached, 0.0, 1e9, xtol=1e-15, rtol=1e-15, maxiter=1000)
    return float((t * normal).clamp(low, high).norm())


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("max_change", [None, 0.3])
def test_box_constrained_points_of_a_linear_classifier_are_exact(
    classes: int, max_change: float | None
) -> None:
    module = linear(classes, 12)
    images = random_images(200, (3, 2, 2))
    found = nearest_boundary_points(
        Classifier(module), images, in_bounds=True, max_change=max_change, **EXACT
    )
    logits, change = module(images).detach(), max_change or np.inf
    for row, image in enumerate(images.flatten(1)):
        source = int(logits[row].argmax())
        low, high = (-image).clamp(min=-change), (1 - image).clamp(max=change)
        margins = [
            nearest_in_box(
                module.weight[t].detach() - module.weight[source].detach(),
                logits[row, source] - logits[row, t],
                low,
                high,
            )
            for t in range(classes)
            if t != source
        ]
        expected = min(margins)
        if np.isinf(expected):
            assert int(found.status[row]) == Status.NOT_FOUND
        else:
            assert float(found.margin[row]) == pytest.approx(expected, rel=1e-10)
    on = found.on_boundary
    assert on.double().mean() > 0.9
    assert found.point[on].min() >= -1e-15
    assert found.point[on].max() <= 1 + 1e-15
    if max_change:
        assert (found.point - images)[on].abs().max() <= max_change + 1e-15
    assert (found.alignment[on] > 1 - 1e-9).all()
    free = nearest_boundary_points(Classifier(module), images, **EXACT)
    assert (found.margin >= free.margin * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    "options", [{"in_bounds": True}, {"max_change": 0.2}, {"subspace": orthogonal(12)[:4]}, {}]
)
def test_limits_a_subspace_and_a_ball_in_float32(options: dict[str, object]) -> None:
    ball = Gap(Quadric(torch.full((12,), 0.5).double(), torch.full((12,), 0.9).double())).eval()
    images = random_images(200, (3, 2, 2))
    for module in (linear(5, 12), ball):
        exact = nearest_boundary_points(Classifier(module), images, **options, **EXACT)
        found = nearest_boundary_points(
            Classifier(module.float()),
            images.float(),
            **options,
            **{**EXACT, "alignment_tol": 1 - 1e-6, "residual_tol": 1e-6},
        )
        assert found.on_boundary.equal(exact.on_boundary)
        # Nearer ones cannot be written down in float32 to 1e-5.
        both = exact.on_boundary & (exact.margin > 0.02)
        assert both.double().mean() > 0.5
        torch.testing.assert_close(
            found.margin[both].double(), exact.margin[both], rtol=1e-5, atol=0
        )


def test_what_lies_outside_the_limits_is_not_found() -> None:
    module, images = linear(3, 12), random_images(100, (3, 2, 2))
    logits = module(images).detach()
    source = logits.argmax(1)
    difference = module.weight.detach()[None] - module.weight.detach()[source][:, None]
    gap = logits - logits.gather(1, source[:, None])
    reached = (gap + 0.1 * difference.abs().sum(2)).scatter(1, source[:, None], -torch.inf) > 0
    found = nearest_boundary_points(Classifier(module), images, max_change=0.1)
    assert 0.1 < reached.any(1).double().mean() < 0.9
    assert found.on_boundary.equal(reached.any(1))
    assert (found.status[~reached.any(1)] == Status.NOT_FOUND).all()


def test_box_constrained_points_of_a_network_stay_inside() -> None:
    module, images = smooth_network(), random_images(60, (3, 2, 2)).round(decimals=1)
    free = nearest_boundary_points(Classifier(module), images)
    found = nearest_boundary_points(Classifier(module), images, in_bounds=True)
    on = found.on_boundary
    assert on.double().mean() > 0.8
    assert ((found.point[on] >= 0) & (found.point[on] <= 1)).all()
    outside = ((free.point < 0) | (free.point > 1)).flatten(1).any(1)
    assert outside[on].any()
    assert (found.residual[on] <= 1e-4 * found.margin[on] + 1e-15).all()
    assert found.alignment[on].median() > 0.999


def test_a_search_in_a_subspace_finds_its_nearest_point() -> None:
    module = linear(5, 12)
    images, basis = random_images(100, (3, 2, 2)), orthogonal(12)[:4]
    found = nearest_boundary_points(Classifier(module), images, subspace=basis, **EXACT)
    logits = module(images).detach()
    source = logits.argmax(1)
    difference = (module.weight.detach()[None] - module.weight.detach()[source][:, None]) @ basis.T
    gap = logits - logits.gather(1, source[:, None])
    norms = difference.norm(dim=2)
    expected = torch.where(norms > 0, -gap / norms, torch.inf).amin(1)
    within = expected <= 12**0.5
    rounding = rounding_of_margins(module, images)
    torch.testing.assert_close(found.margin[within], expected[within], rtol=1e-10, atol=rounding)
    displacement = (found.point - images).flatten(1)
    torch.testing.assert_close(displacement @ basis.T @ basis, displacement, rtol=0, atol=1e-12)
    everywhere = nearest_boundary_points(Classifier(module), images)
    assert (found.margin[within] >= everywhere.margin[within] * (1 - 1e-9)).all()
    whole = nearest_boundary_points(Classifier(module), images, subspace=orthogonal(12), **EXACT)
    torch.testing.assert_close(
        whole.margin, nearest_boundary_points(Classifier(module), images, **EXACT).margin
    )
