"""The loop over images of the CVPR 2017 paper."""

from math import inf

import pytest
import torch
from torch import Tensor

from analysis import Ball, deepfool_perturbation, fooling_rate
from analysis.universal import clean_logits
from boundary import Classifier, InputError, nearest_boundary_points
from surfaces import linear, random_images, rough_network

SHAPE = (3, 4, 4)


def one_at_a_time(classifier: Classifier, images: Tensor, ball: Ball, seed: int) -> Tensor:
    """Algorithm 1 as it is written: one image, one prediction, one increment."""
    source = clean_logits(classifier, images).argmax(1)
    vector = torch.zeros_like(images[:1])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    for place in order.tolist():
        image = images[place : place + 1]
        if classifier.predict(image + vector) != source[place]:
            continue

        class Shifted(torch.nn.Module):
            def forward(self, x: Tensor, shift: Tensor = vector) -> Tensor:
                return classifier(x + shift)

        shifted = Classifier(Shifted().eval(), classifier.bounds)
        found = nearest_boundary_points(shifted, image, max_gradients=12)
        vector = ball.project(vector + 1.02 * (found.point - image))
    return vector[0]


@pytest.mark.parametrize("ball", [Ball(0.5), Ball(0.1, inf)])
def test_predictions_in_batches_change_nothing(ball: Ball) -> None:
    classifier = Classifier(rough_network())
    images = random_images(40, SHAPE)
    found = deepfool_perturbation(classifier, images, ball, passes=1, unfooled=0.0, seed=3)
    expected = one_at_a_time(classifier, images, ball, seed=3)
    assert torch.allclose(found.vector, expected, atol=1e-12)


def test_one_class_against_another_is_fooled_by_the_normal() -> None:
    """A linear boundary, all images on one side: one increment a pass in the end, all fooled."""
    classifier = Classifier(linear(2, 48))
    images = random_images(120, SHAPE)
    images = images[classifier.predict(images) == 0]
    points = nearest_boundary_points(classifier, images)
    found = deepfool_perturbation(classifier, images, Ball(10.0), unfooled=0.0)
    unit = found.vector / found.vector.norm()
    assert torch.allclose(unit, points.normal[0], atol=1e-9)
    # The farthest image decides how long it is; it was lengthened by 2 % at most.
    assert float(points.margin.max()) <= found.vector.norm() <= 1.03 * float(points.margin.max())
    assert fooling_rate(classifier, images, found.as_perturbations()).count == len(images)


def test_it_stops_where_it_should_and_counts() -> None:
    classifier = Classifier(rough_network())
    images, others = random_images(60, SHAPE), random_images(50, SHAPE, seed=1)
    enough = deepfool_perturbation(classifier, images, Ball(0.8), unfooled=0.6, watch=others)
    assert fooling_rate(classifier, images, enough.as_perturbations()).rate >= 0.4
    watched = fooling_rate(classifier, others, enough.as_perturbations()).rate
    assert enough.trace[-1] == (enough.backward_passes, pytest.approx(watched))
    spent = deepfool_perturbation(classifier, images, Ball(0.8), unfooled=0.0, gradients=30)
    assert 30 <= spent.backward_passes < 30 + 12
    never = deepfool_perturbation(classifier, images, Ball(1e-3), passes=3)
    assert len(never.trace) == 0
    assert never.vector.norm() <= 1e-3 * (1 + 1e-9)


def test_wrong_options_are_refused() -> None:
    classifier, images = Classifier(linear(2, 48)), random_images(4, SHAPE)
    with pytest.raises(InputError, match="`unfooled` should be a share"):
        deepfool_perturbation(classifier, images, Ball(1.0), unfooled=1.0)
