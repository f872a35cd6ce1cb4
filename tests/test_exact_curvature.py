"""Exact curvature along families, and what a scale keeps of it."""

import numpy as np
import torch

from analysis.curvature_sweep import NEAREST, DirectionFamily, measure_curvatures
from analysis.exact_curvature import EXACT, exact_agreement, exact_curvatures
from boundary import Classifier
from boundary.anchors import PAIR, Anchors, anchors_at
from boundary.sections import SECTION, VALUES
from surfaces import Gap, Quadric, random_images, rough_network, smooth_network

D = 12


def anchored(classifier: Classifier, points: torch.Tensor) -> Anchors:
    zeros = torch.zeros(len(points), dtype=torch.int64)
    return anchors_at(classifier, points, zeros, zeros + 1)[0]


def families() -> list[DirectionFamily]:
    rows = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0]
    return [DirectionFamily("some", rows[:3]), DirectionFamily("one", rows[3:4], sampled=False)]


def test_a_ball_has_the_curvature_of_its_radius() -> None:
    zeros = torch.zeros(D, dtype=torch.float64)
    classifier = Classifier(Gap(Quadric(zeros, zeros + 2)).eval(), (-9, 9))
    points = random_images(5, (3, 2, 2)) - 0.4
    points *= 2 / points.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = exact_curvatures(
        classifier, anchored(classifier, points), families(), anchor=NEAREST, batch_size=2
    )
    assert [curve.family for curve in found] == ["some", "one"]
    for curve, draws in zip(found, (3, 1), strict=True):
        assert (curve.estimator, curve.surface, curve.anchor) == (EXACT, PAIR, NEAREST)
        assert curve.curvature.shape == (1, draws, 5)
        np.testing.assert_allclose(curve.curvature, 0.5, rtol=1e-8)
        np.testing.assert_array_equal(curve.scales, [0.0])
    assert [curve.sampled for curve in found] == [True, False]


def test_a_small_scale_agrees_and_a_large_one_less() -> None:
    classifier = Classifier(smooth_network(dimension=D), (-9, 9))
    at = anchored(classifier, random_images(20, (3, 2, 2)))
    exact = exact_curvatures(classifier, at, families(), anchor=NEAREST)
    curves = measure_curvatures(classifier, {NEAREST: at}, families(), [1e-3, 3.0])
    found = {(one.estimator, one.scale): one for one in exact_agreement(exact, curves)}
    assert found[VALUES, 1e-3].correlation > 0.999
    assert found[SECTION, 1e-3].same_sign > 0.99
    assert found[VALUES, 3.0].correlation < 0.98
    assert found[VALUES, 3.0].same_sign < found[VALUES, 1e-3].same_sign
    assert found[VALUES, 3.0].pairs == 80


def test_a_network_of_relus_has_none() -> None:
    classifier = Classifier(rough_network())
    at = anchored(classifier, random_images(6, (3, 4, 4)))
    rows = np.eye(48)[:2]
    exact = exact_curvatures(classifier, at, [DirectionFamily("some", rows)], anchor=NEAREST)
    assert not exact[0].curvature.any()
    curves = measure_curvatures(classifier, {NEAREST: at}, [DirectionFamily("some", rows)], [0.5])
    assert {one.correlation for one in exact_agreement(exact, curves)} == {0.0}
    assert exact_agreement([], curves) == []
