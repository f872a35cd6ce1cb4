"""The way of fooled images, and the class that they end in, where both are known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.paths import FoolingPath, WithoutClass, path_of_fooling, rate_without_sink
from boundary import Classifier
from surfaces import Linear, linear, random_images, smooth_network

SHAPE = (1, 3, 4)


def vector(norm: float, seed: int = 0) -> Tensor:
    one = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return norm * one / one.norm()


def test_on_a_linear_classifier_the_slope_is_the_whole_rise() -> None:
    module, images, added = linear(4, 12), random_images(80, SHAPE), vector(1.5)
    found = path_of_fooling(Classifier(module), images, added, batch_size=33)
    weight, bias = module.weight.detach(), module.bias.detach()
    logits = images.flatten(1) @ weight.T + bias
    moved = (images + added).flatten(1) @ weight.T + bias
    np.testing.assert_array_equal(found.source, logits.argmax(1))
    np.testing.assert_array_equal(found.final, moved.argmax(1))
    rows = np.flatnonzero(found.fooled)
    assert 10 < len(rows) < 80
    source, final = (torch.from_numpy(one[rows]) for one in (found.source, found.final))
    gap = (logits[rows].gather(1, final[:, None]) - logits[rows].gather(1, source[:, None]))[:, 0]
    slope = (weight[final] - weight[source]) @ added.flatten()
    np.testing.assert_allclose(found.gap[rows, 0], gap, rtol=1e-12)
    np.testing.assert_allclose(found.slope[rows], slope, rtol=1e-10)
    np.testing.assert_allclose(found.rise[rows], slope, rtol=1e-10)
    np.testing.assert_allclose(found.crossing, -gap / slope, rtol=1e-9)
    assert found.slope_share.value == pytest.approx(1)
    assert found.slope_share.interval.low == pytest.approx(1)
    assert found.median_crossing is not None
    assert found.median_crossing.value == pytest.approx(float(np.median(-gap / slope)))
    rest = ~found.fooled
    assert not found.slope[rest].any()
    assert not found.gap[rest].any()


def test_slope_and_change_of_slope_add_up_to_the_rise() -> None:
    """The change of slope is taken from gradients on the way, by the trapezoid rule."""
    classifier, images, added = Classifier(smooth_network()), random_images(200, SHAPE), vector(4.0)
    found = path_of_fooling(classifier, images, added, steps=400)
    rows = np.flatnonzero(found.fooled)
    assert len(rows) > 5
    for row in rows[:5]:
        source, final = int(found.source[row]), int(found.final[row])
        times = torch.linspace(0, 1, 401, dtype=torch.float64)
        at = (images[row] + times.view(-1, 1, 1, 1) * added).requires_grad_()
        logits = classifier(at)
        (gradient,) = torch.autograd.grad((logits[:, final] - logits[:, source]).sum(), at)
        slopes = (gradient * added).flatten(1).sum(1)
        change = float(torch.trapezoid(slopes - slopes[0], times))
        assert found.slope[row] == pytest.approx(float(slopes[0]))
        assert found.slope[row] + change == pytest.approx(found.rise[row], rel=1e-4)
    share = found.slope[rows].sum() / found.rise[rows].sum()
    assert found.slope_share.value == pytest.approx(share)
    assert abs(share - 1) > 0.01
    assert found.slope_share.interval.low < share < found.slope_share.interval.high


def path(final: list[int], gap: list[list[float]]) -> FoolingPath:
    whole = np.array(gap)
    return FoolingPath(np.zeros(len(final), np.int64), np.array(final), whole, whole[:, -1])


def test_the_first_crossing_is_linear_between_points_and_the_sink_is_the_most_frequent() -> None:
    found = path(
        [2, 0, 1, 2, 3],
        [[-1, 1, -1, 1], [0, 0, 0, 0], [-3, -2, -1, 1], [-2, -1, 0, 5], [-1, -1, -1, 3]],
    )
    np.testing.assert_allclose(found.crossing, [0.5 / 3, 2.5 / 3, 2 / 3, 2.25 / 3])
    assert (found.sink, found.sink_share.value) == (2, 0.5)
    none = path([0, 0], [[0, 0], [0, 0]])
    assert (none.sink, none.median_crossing) == (-1, None)
    assert (none.sink_share.interval.low, none.sink_share.interval.high) == (0, 1)
    assert (none.slope_share.interval.low, none.slope_share.interval.high) == (0, 1)
    assert replace(found, final=np.array([1, 0, 1, 2, 2])).sink == 1  # the lowest of several


class Corner(torch.nn.Module):
    """Three classes of two numbers: 1 beyond x_0 = 0.6, 2 beyond x_1 = 0.9, else 0."""

    def forward(self, images: Tensor) -> Tensor:
        first, second = images.flatten(1)[:, 0], images.flatten(1)[:, 1]
        return torch.stack([torch.zeros_like(first), first - 0.6, second - 0.9], dim=1)


def constant(*values: float) -> Callable[[Classifier, Tensor], Tensor]:
    return lambda classifier, images: torch.tensor(values, dtype=torch.float64).view(1, 1, 2)


def test_the_rate_without_the_sink_is_that_of_a_network_without_it() -> None:
    classifier, images = Classifier(Corner().eval()), random_images(200, (1, 1, 2))
    found = path_of_fooling(classifier, images, torch.tensor([[[0.5, 0.0]]], dtype=torch.float64))
    assert (found.sink, found.sink_share.value) == (1, 1)
    first, second = images.flatten(1).T.numpy()
    left = np.maximum(first - 0.6, second - 0.9) != first - 0.6  # predicted as another
    left |= (first < 0.6) & (second < 0.9)
    assert 0 < left.sum() < 200
    seen: list[tuple[int, int]] = []

    def make(network: Classifier, making: Tensor) -> Tensor:
        seen.append((len(making), network(making).shape[1]))
        return constant(0.5, 0.3)(network, making)

    rate = rate_without_sink(classifier, 1, images[:50], images, make, batch_size=17)
    assert seen == [(int(left[:50].sum()), 2)]
    assert rate is not None
    # Of the images of class 0, and of 2, those that reach x_1 = 0.9.
    fooled = (second[left] < 0.9) & (second[left] + 0.3 > 0.9)
    assert rate.value == pytest.approx(fooled.mean())


def test_a_rate_without_the_sink_that_says_nothing_is_none() -> None:
    three, images = Classifier(Corner().eval()), random_images(20, (1, 1, 2))
    two = Classifier(Linear(torch.eye(2, dtype=torch.float64), torch.zeros(2)).eval())
    make = constant(0.5, 0.3)
    assert rate_without_sink(two, 1, images, images, make) is None
    assert rate_without_sink(three, -1, images, images, make) is None
    ones = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)  # of class 1
    assert rate_without_sink(three, 1, ones, images, make) is None
    assert rate_without_sink(three, 1, images, ones, make) is None


def test_classes_above_the_one_left_out_move_down() -> None:
    module, images = linear(4, 12), random_images(5, SHAPE)
    logits = module(images)
    for label in range(4):
        kept = [place for place in range(4) if place != label]
        assert WithoutClass(module, label)(images).equal(logits[:, kept])
