import pytest
import torch
from torch import Tensor, nn

from boundary import BoundaryPoints, Classifier, InputError, Status, nearest_boundary_points
from surfaces import (
    Constant,
    Gap,
    Quadric,
    Rotated,
    Scaled,
    linear,
    orthogonal,
    random_images,
    smooth_network,
)

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def assert_on_boundary(found: BoundaryPoints, images: Tensor, tolerance: float) -> None:
    assert bool(found.on_boundary.all())
    rounding = torch.finfo(images.dtype).eps * images.flatten(1).norm(dim=1)
    assert bool((found.residual <= tolerance * found.margin + rounding).all())
    torch.testing.assert_close((found.point - images).flatten(1).norm(dim=1), found.margin)
    ones = torch.ones_like(found.margin)
    torch.testing.assert_close(found.normal.flatten(1).norm(dim=1), ones)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_linear_classifier_is_solved_exactly_for_every_class(classes: int) -> None:
    module = linear(classes, 12)
    images = random_images(400, (3, 2, 2))
    found = nearest_boundary_points(Classifier(module), images, alignment_tol=1 - 1e-12)

    logits = module(images).detach()
    source = logits.argmax(1)
    assert set(source.tolist()) == set(range(classes))  # the last label too
    weight = module.weight.detach()
    difference = weight[None] - weight[source][:, None]  # (N, K, D)
    gap = logits - logits.gather(1, source[:, None])
    norms = difference.norm(dim=2)
    distance = torch.where(norms > 0, -gap / norms, torch.inf)
    margin, target = distance.min(1)
    rows = torch.arange(len(images))

    assert found.source.equal(source)
    assert found.target.equal(target)
    assert bool((found.status == Status.ALIGNED).all())
    torch.testing.assert_close(found.margin, margin, **TIGHT)
    normal = difference[rows, target] / norms[rows, target, None]
    torch.testing.assert_close(found.normal.flatten(1), normal, **TIGHT)
    assert_on_boundary(found, images, 1e-10)
    rank = torch.linalg.matrix_rank(found.normal.flatten(1), rtol=1e-9)
    assert rank <= classes - 1


def test_targets_choose_the_pair() -> None:
    module = linear(5, 12)
    images = random_images(50, (3, 2, 2))
    source = module(images).argmax(1)
    targets = (source + 2) % 5
    found = nearest_boundary_points(Classifier(module), images, targets=targets)
    difference = module.weight[targets] - module.weight[source]
    logits = module(images)
    gap = (logits.gather(1, targets[:, None]) - logits.gather(1, source[:, None])).squeeze(1)
    expected = (-gap / difference.norm(dim=1)).detach()
    torch.testing.assert_close(found.margin, expected, **TIGHT)
    assert found.target.equal(targets)


def test_ball_from_inside_and_outside() -> None:
    dimension, radius = 12, 0.9
    centre = torch.full((dimension,), 0.5, dtype=torch.float64)
    module = Gap(Quadric(centre, torch.full_like(centre, radius))).eval()
    images = random_images(200, (3, 2, 2))
    offset = images.flatten(1) - centre
    distance = offset.norm(dim=1)
    inside = distance < radius
    assert 20 < int(inside.sum()) < 180

    found = nearest_boundary_points(Classifier(module), images, residual_tol=1e-8)
    torch.testing.assert_close(found.margin, (distance - radius).abs(), rtol=1e-10, atol=1e-14)
    outward = offset / distance[:, None]
    expected = torch.where(inside[:, None], outward, -outward)
    torch.testing.assert_close(found.normal.flatten(1), expected, rtol=0, atol=1e-8)
    assert found.source.equal((~inside).long())
    assert_on_boundary(found, images, 1e-8)


def test_ellipsoid_meets_the_first_order_conditions_and_the_short_axis() -> None:
    axes = torch.tensor([0.3, 0.6, 0.9, 1.2], dtype=torch.float64)
    centre = torch.full_like(axes, 0.5)
    module = Gap(Quadric(centre, axes)).eval()
    along = torch.tensor([0.05, -0.2], dtype=torch.float64)[:, None] * torch.eye(4)[0].double()
    images = (centre + along).view(2, 1, 2, 2)
    found = nearest_boundary_points(
        Classifier(module), images, alignment_tol=1 - 1e-12, residual_tol=1e-10
    )
    expected = torch.tensor([0.25, 0.1], dtype=torch.float64)
    torch.testing.assert_close(found.margin, expected, rtol=1e-10, atol=0)

    away = random_images(50, (1, 2, 2))
    found = nearest_boundary_points(
        Classifier(module), away, alignment_tol=1 - 1e-9, max_gradients=200, residual_tol=1e-9
    )
    assert_on_boundary(found, away, 1e-9)
    assert float(found.alignment.min()) > 1 - 1e-6


def test_scaled_logits_change_nothing() -> None:
    module, images = smooth_network(), random_images(40, (3, 2, 2))
    one = nearest_boundary_points(Classifier(module), images)
    other = nearest_boundary_points(Classifier(Scaled(module, 37.0).eval()), images)
    torch.testing.assert_close(one.margin, other.margin, rtol=1e-9, atol=0)
    torch.testing.assert_close(one.normal, other.normal, rtol=0, atol=1e-8)
    assert one.status.equal(other.status)


def test_rotated_inputs_rotate_points_and_normals() -> None:
    rotation = orthogonal(12)
    module = smooth_network()
    images = 0.5 + 0.1 * random_images(40, (3, 2, 2))
    turned = (images.flatten(1) @ rotation).view_as(images)  # the network sees `images` again
    one = nearest_boundary_points(Classifier(module), images, max_margin=5.0)
    bounds = (-4.0, 4.0)
    other = nearest_boundary_points(
        Classifier(Rotated(module, rotation).eval(), bounds), turned, max_margin=5.0
    )
    torch.testing.assert_close(one.margin, other.margin, rtol=1e-8, atol=0)
    back = other.normal.flatten(1) @ rotation.T
    torch.testing.assert_close(one.normal.flatten(1), back, rtol=0, atol=1e-7)


def test_shifted_inputs_shift_the_points() -> None:
    class Shifted(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.module(images - 3.0)
            return logits

    module, images = smooth_network(), random_images(30, (3, 2, 2))
    one = nearest_boundary_points(Classifier(module), images)
    other = nearest_boundary_points(Classifier(Shifted(module).eval(), (3.0, 4.0)), images + 3.0)
    torch.testing.assert_close(one.point + 3.0, other.point, rtol=0, atol=1e-9)


def test_neighbours_in_the_batch_do_not_matter() -> None:
    classifier, images = Classifier(smooth_network()), random_images(24, (3, 2, 2))
    together = nearest_boundary_points(classifier, images)
    apart = [nearest_boundary_points(classifier, image[None]) for image in images]
    margin = torch.cat([found.margin for found in apart])
    torch.testing.assert_close(together.margin, margin, rtol=1e-9, atol=0)


def test_float32_reaches_the_residual_asked_for() -> None:
    module = smooth_network().float()
    images = random_images(64, (3, 2, 2)).float()
    found = nearest_boundary_points(Classifier(module), images)
    assert_on_boundary(found, images, 1e-4)


def test_the_module_leaves_as_it_came() -> None:
    module, images = smooth_network(), random_images(4, (3, 2, 2))
    frozen = next(module.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    nearest_boundary_points(Classifier(module), images)
    assert not module.training
    assert not frozen.requires_grad
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert images.requires_grad is False


def test_a_constant_network_has_no_boundary() -> None:
    module = Constant(torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)).eval()
    images = random_images(3, (1, 2, 2))
    found = nearest_boundary_points(Classifier(module), images)
    assert found.status.tolist() == [Status.ZERO_GRADIENT] * 3
    assert_failed_points_are_flagged(found, images)


def test_no_boundary_within_reach() -> None:
    module = linear(2, 4)
    module.bias.data[0] += 1e6
    images = random_images(3, (1, 2, 2))
    found = nearest_boundary_points(Classifier(module), images)
    assert found.status.tolist() == [Status.NOT_FOUND] * 3
    assert_failed_points_are_flagged(found, images)


def test_not_finite_on_the_way() -> None:
    class Edge(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            total = points.sum(1)
            return total - 3.0 + 0.0 * torch.log(2.0 - total)  # NaN before the boundary

    images = 0.2 * random_images(3, (1, 2, 2))
    found = nearest_boundary_points(Classifier(Gap(Edge()).eval()), images)
    assert found.status.tolist() == [Status.NOT_FINITE] * 3
    assert_failed_points_are_flagged(found, images)


def test_an_image_on_the_boundary_has_margin_zero() -> None:
    module = linear(2, 4)
    images = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)  # every logit is 0 there
    found = nearest_boundary_points(Classifier(module), images)
    assert float(found.margin[0]) <= 1e-12
    assert found.status.tolist() == [Status.ALIGNED]


def assert_failed_points_are_flagged(found: BoundaryPoints, images: Tensor) -> None:
    assert not found.on_boundary.any()
    assert found.point.equal(images)
    assert not found.normal.any()
    assert bool(found.margin.isinf().all())
    assert bool((found.alignment == 0).all())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("candidates", 0),
        ("max_gradients", 2),
        ("max_change", 0.0),
        ("residual_tol", 0.0),
        ("alignment_tol", 1.0),
        ("max_margin", 0.0),
    ],
)
def test_options_out_of_range_are_named(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"`{option}`.*Found {value}"):
        nearest_boundary_points(
            Classifier(linear(2, 4)), random_images(1, (1, 2, 2)), **{option: value}
        )


def test_half_precision_is_refused() -> None:
    module, images = linear(2, 4).to(torch.bfloat16), random_images(1, (1, 2, 2)).bfloat16()
    with pytest.raises(InputError, match=r"float32 or float64.*bfloat16"):
        nearest_boundary_points(Classifier(module), images)


@pytest.mark.parametrize(
    ("targets", "message"),
    [(torch.tensor([7, 7]), "below 5"), (torch.tensor([0]), "shape"), (None, "differ")],
)
def test_targets_that_cannot_be_are_refused(targets: Tensor | None, message: str) -> None:
    classifier, images = Classifier(linear(5, 4)), random_images(2, (1, 2, 2))
    if targets is None:
        targets = classifier.predict(images)
    with pytest.raises(InputError, match=message):
        nearest_boundary_points(classifier, images, targets=targets)
