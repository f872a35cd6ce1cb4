"""Curves over scales: what several processes take, each at its own points."""

import numpy as np

from analysis.curvature_sweep import (
    IMAGE,
    NEAREST,
    RANDOM,
    CurvatureCurve,
    DirectionFamily,
    joined_curves,
    measure_curvatures,
)
from boundary import Classifier
from boundary.anchors import Anchors, anchors_at_images
from surfaces import random_images, smooth_network

FAMILIES = [DirectionFamily("two", np.eye(12)[:2]), DirectionFamily("one", np.eye(12)[2:3])]
SCALES = [0.5, 0.1]


def classifier() -> Classifier:
    return Classifier(smooth_network(), (-9, 9))


def anchors(count: int) -> Anchors:
    return anchors_at_images(classifier(), random_images(count, (3, 2, 2)))[0]


def measured(by_kind: dict[str, Anchors]) -> list[CurvatureCurve]:
    return measure_curvatures(classifier(), by_kind, FAMILIES, SCALES, batch_size=4)


def test_kinds_without_points_have_curves_without_points() -> None:
    found = measured({NEAREST: anchors(0), RANDOM: anchors(6).subset(slice(0))})
    full = measured({NEAREST: anchors(6), RANDOM: anchors(6)})
    for empty, curve in zip(found, full, strict=True):
        assert (empty.family, empty.anchor) == (curve.family, curve.anchor)
        assert (empty.estimator, empty.surface) == (curve.estimator, curve.surface)
        draws = curve.curvature.shape[1]
        assert curve.curvature.shape == curve.censored.shape == (2, draws, 6)
        assert empty.curvature.shape == empty.censored.shape == (2, draws, 0)
        assert empty.censored.dtype == np.bool_
        assert empty.residual == 0.0
        np.testing.assert_array_equal(empty.scales, [0.1, 0.5])


def test_processes_with_and_without_points_join_to_those_of_all() -> None:
    at = anchors(7)
    parts = [at.subset(slice(0, 3)), at.subset(slice(0)), at.subset(slice(3, None))]
    found = joined_curves([measured({IMAGE: part}) for part in parts])
    for one, whole in zip(found, measured({IMAGE: at}), strict=True):
        np.testing.assert_allclose(one.curvature, whole.curvature, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(one.censored, whole.censored)
        assert one.residual <= whole.residual + 1e-12


def test_curves_without_any_point_of_any_process_are_dropped() -> None:
    empty = anchors(0)
    parts = [measured({NEAREST: empty, IMAGE: anchors(count)}) for count in (0, 2)]
    assert {curve.anchor for curve in joined_curves(parts)} == {IMAGE}
    assert joined_curves([measured({NEAREST: empty})] * 2) == []
