"""The options of the search for boundary points, and what it says of every ending."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from boundary import BoundaryPoints, Classifier, InputError, Status, nearest_boundary_points
from boundary.walk import Walk
from surfaces import (
    EXACT,
    Bowed,
    Gap,
    Linear,
    linear,
    orthogonal,
    random_images,
    rough_network,
    smooth_network,
)


def test_several_targets_are_several_single_ones() -> None:
    module, images = linear(6, 12), random_images(80, (3, 2, 2))
    source = module(images).argmax(1)
    pair = torch.stack([(source + 1) % 6, (source + 3) % 6], 1)
    both = nearest_boundary_points(Classifier(module), images, targets=pair, **EXACT)
    apart = [
        nearest_boundary_points(Classifier(module), images, targets=pair[:, k], **EXACT)
        for k in range(2)
    ]
    nearer = torch.minimum(apart[0].margin, apart[1].margin)
    torch.testing.assert_close(both.margin, nearer, rtol=1e-10, atol=0)
    second = pair.clone()
    second[:, 1] = -1
    one = nearest_boundary_points(Classifier(module), images, targets=second, **EXACT)
    torch.testing.assert_close(one.margin, apart[0].margin, rtol=1e-10, atol=0)
    none = nearest_boundary_points(Classifier(module), images, targets=torch.full_like(pair, -1))
    assert (none.status == Status.ZERO_GRADIENT).all()


def test_classes_can_be_permuted() -> None:
    module, images = smooth_network(), random_images(40, (3, 2, 2))
    order = torch.tensor([2, 0, 3, 1])

    class Permuted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, points: Tensor) -> Tensor:
            return self.module(points)[:, order]

    one = nearest_boundary_points(Classifier(module), images)
    other = nearest_boundary_points(Classifier(Permuted().eval()), images)
    torch.testing.assert_close(one.margin, other.margin, rtol=1e-9, atol=0)
    torch.testing.assert_close(one.normal, other.normal, rtol=0, atol=1e-8)
    assert order[other.target].equal(one.target)
    assert order[other.source].equal(one.source)


def test_the_budget_is_kept_and_a_larger_one_comes_nearer() -> None:
    module, images = rough_network(), random_images(60, (3, 4, 4))
    margins = []
    for budget in (3, 6, 12, 24, 60):
        found = nearest_boundary_points(Classifier(module), images, max_gradients=budget)
        assert int(found.backward_passes.max()) <= budget
        assert found.on_boundary.all()
        margins.append(found.margin.mean())
    assert margins == sorted(margins, reverse=True)
    assert margins[0] > 1.02 * margins[-1]


@pytest.mark.parametrize("budget", range(3, 40))
def test_no_budget_is_exceeded(budget: int) -> None:
    class ManyBowed(nn.Module):
        """Nine classes as near as each other, none where it seems to be: all are looked at."""

        def forward(self, points: Tensor) -> Tensor:
            along = points.flatten(1)
            gaps = along - 2 * along**2 / 9 - 1 - 0.01 * torch.arange(9)
            return torch.cat([torch.zeros_like(gaps[:, :1]), gaps], dim=1)

    rough = rough_network(), random_images(30, (3, 4, 4), seed=1)
    bowed = ManyBowed().eval(), torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    for module, images in (rough, bowed):
        found = nearest_boundary_points(Classifier(module), images, max_gradients=budget)
        assert int(found.backward_passes.max()) <= budget


def test_classes_that_seem_nearly_as_near_are_tried_too() -> None:
    found = nearest_boundary_points(
        Classifier(Bowed().eval()), torch.zeros(1, 1, 1, 2, dtype=torch.float64), max_gradients=20
    )
    assert int(found.status) == Status.ALIGNED
    assert int(found.target) == 2
    assert float(found.margin) == pytest.approx(1.05, rel=1e-4)
    # Two gradients at the image, at most four of either walk, one for the normal.
    assert int(found.backward_passes) <= 11


def test_the_passes_reported_are_those_spent() -> None:
    spent = {"forward": 0, "backward": 0}

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = rough_network()

        def forward(self, points: Tensor) -> Tensor:
            logits: Tensor = self.module(points)
            spent["forward"] += len(points)
            if logits.requires_grad:
                logits.register_hook(
                    lambda _: spent.update(backward=spent["backward"] + len(points))
                )
            return logits

    classifier, images = Classifier(Watched().eval()), random_images(30, (3, 4, 4))
    classifier.check(images)
    spent.update(forward=0, backward=0)
    found = nearest_boundary_points(classifier, images)
    assert int(found.forward_passes.sum()) == spent["forward"]
    assert int(found.backward_passes.sum()) == spent["backward"]


def test_a_step_waits_for_the_device_once() -> None:
    """Counts what copies a number to the host or makes a shape depend on data."""

    class Waits(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = str(function)
            by_condition = name.startswith(("aten.index.", "aten.index_put")) and any(
                index is not None and index.dtype == torch.bool for index in args[1]
            )
            if by_condition or "nonzero" in name or "_local_scalar_dense" in name:
                self.count += 1
            return function(*args, **(kwargs or {}))

    waits, step, counted = Waits(), Walk.step, []

    def watched(self: Walk) -> None:
        before = waits.count
        with waits:
            step(self)
        counted.append(waits.count - before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Walk, "step", watched)
        nearest_boundary_points(Classifier(rough_network()), random_images(30, (3, 4, 4)))
    assert len(counted) > 10
    # `tolist` of two numbers reads both; nothing else may wait.
    assert max(counted) <= 2


def test_the_nearest_point_may_be_a_kink() -> None:
    class Corner(nn.Module):
        """The source region is outside of a wedge: its edge is nearest."""

        def forward(self, points: Tensor) -> Tensor:
            return (
                torch.minimum(points[:, 0] + 0.2 * points[:, 1], points[:, 0] - 0.2 * points[:, 1])
                - 1
            )

    images = torch.tensor([[0.1, 0.1, 0.3, 0.2], [0.2, 0.07, 0.0, 0.9]], dtype=torch.float64)
    found = nearest_boundary_points(Classifier(Gap(Corner()).eval()), images.view(2, 1, 2, 2))
    assert found.status.tolist() == [Status.KINK] * 2
    expected = ((1 - images[:, 0]) ** 2 + images[:, 1] ** 2).sqrt()
    torch.testing.assert_close(found.margin, expected, rtol=1e-3, atol=0)
    assert (found.alignment < 0.999).all()


def test_a_jump_has_no_point_on_it() -> None:
    class Step(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            value = points.sum(1) - 3.0
            return value + 0.5 * (value.detach() > 0).double() - 0.25

    images = 0.2 * random_images(3, (1, 2, 2))
    found = nearest_boundary_points(Classifier(Gap(Step()).eval()), images)
    assert found.status.tolist() == [Status.OFF_BOUNDARY] * 3
    assert not found.on_boundary.any()
    assert found.margin.isinf().all()
    assert found.point.equal(images)


def test_the_runner_up_of_a_linear_classifier_is_its_second_margin() -> None:
    module, images = linear(5, 12), random_images(50, (3, 2, 2))
    found = nearest_boundary_points(Classifier(module), images, **EXACT)
    logits, source = module(images).detach(), found.source
    norms = (module.weight.detach()[None] - module.weight.detach()[source][:, None]).norm(dim=2)
    gap = logits.gather(1, source[:, None]) - logits
    distances = torch.where(norms > 0, gap / norms, torch.inf).sort(1).values
    known = found.runner_up.isfinite()
    assert known.all()
    torch.testing.assert_close(found.runner_up, distances[:, 1], rtol=1e-9, atol=0)
    alone = nearest_boundary_points(Classifier(module), images, candidates=1)
    assert alone.runner_up.isinf().any()


def test_no_point_is_farther_than_one_seen_outside() -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = rough_network(seed=3)

        def forward(self, points: Tensor) -> Tensor:
            logits: Tensor = self.module(20 * points)  # sharp: crossings to first order mislead
            seen.append(torch.cat([points.detach().flatten(1), logits.detach()], 1))
            return logits

    classifier = Classifier(Watched().eval())
    for image in random_images(30, (3, 4, 4)):
        classifier.check(image[None])
        seen.clear()
        found = nearest_boundary_points(classifier, image[None])
        points, logits = torch.cat(seen).split([48, 5], dim=1)
        outside = logits.argmax(1) != found.source
        if not outside.any():
            continue
        nearest = (points[outside] - image.flatten()).norm(dim=1).min()
        assert float(found.margin[0]) <= float(nearest) * (1 + 2e-4)


def test_nan_in_the_weights_is_an_error() -> None:
    module = linear(3, 4)
    module.weight.data[0, 0] = torch.nan
    with pytest.raises(InputError, match="finite logits"):
        nearest_boundary_points(Classifier(module), random_images(2, (1, 2, 2)))


def test_dead_classes_are_not_walked_to() -> None:
    module = linear(4, 12)
    dead = Linear(module.weight.detach().clone(), module.bias.detach().clone())
    dead.weight.data[2:] = 0
    dead.bias.data[2:] = torch.tensor([-50.0, -60.0])
    images = random_images(30, (3, 2, 2))
    found = nearest_boundary_points(Classifier(dead.eval()), images, **EXACT)
    assert_never_nan(found)
    assert found.on_boundary.all()
    assert (found.target < 2).all()


def test_a_leading_class_without_gradient_does_not_hide_the_others() -> None:
    module = linear(4, 12)
    module.weight.data[1] = module.weight.data[0]
    module.bias.data[1] = module.bias.data[0] - 1e-3  # always just behind class 0
    images = random_images(60, (3, 2, 2))
    found = nearest_boundary_points(Classifier(module), images)
    assert (found.source == 0).sum() > 10
    assert found.on_boundary.all()
    assert not found.target[found.source == 0].eq(1).any()


def assert_never_nan(found: BoundaryPoints) -> None:
    assert not any(value.isnan().any() for value in vars(found).values())


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        (torch.ones(2, 12, dtype=torch.float64), "orthonormal"),
        (torch.ones(12, dtype=torch.float64), r"shape \(R, 12\)"),
    ],
)
def test_a_subspace_that_cannot_be_is_refused(basis: Tensor, message: str) -> None:
    images = random_images(2, (3, 2, 2))
    with pytest.raises(InputError, match=message):
        nearest_boundary_points(Classifier(linear(3, 12)), images, subspace=basis)
    with pytest.raises(InputError, match="leave one out"):
        nearest_boundary_points(
            Classifier(linear(3, 12)), images, subspace=orthogonal(12)[:2], in_bounds=True
        )
