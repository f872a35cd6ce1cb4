"""Pictures of the boundary in planes, against closed forms."""

import numpy as np
import pytest
import torch

from analysis.curvature_sweep import DirectionFamily
from analysis.planes import boundary_sections, region_map
from boundary import Classifier, InputError
from boundary.anchors import PAIR, anchors_at
from surfaces import Gap, Linear, Quadric

SHAPE, D, RADIUS = (3, 2, 2), 12, 2.0


def along(axis: int, name: str = "axis") -> DirectionFamily:
    return DirectionFamily(name, np.eye(D)[axis : axis + 1])


def test_sections_of_a_ball_are_circles() -> None:
    axes = torch.full((D,), RADIUS, dtype=torch.float64)
    classifier = Classifier(Gap(Quadric(torch.zeros(D, dtype=torch.float64), axes)).eval(), (-9, 9))
    points = torch.zeros(2, D, dtype=torch.float64)
    points[:, 0] = RADIUS
    zeros = torch.zeros(2, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, points.view(2, *SHAPE), zeros, zeros + 1)
    (found,) = boundary_sections(
        classifier, anchors, np.array([0.5, 0.7]), [along(3)], [1.5, 0.5, 3.0], surface=PAIR
    )
    np.testing.assert_array_equal(found.offsets, [-3, -1.5, -0.5, 0.5, 1.5, 3])
    expected = np.sqrt(RADIUS**2 - np.array([1.5, 0.5, 0.5, 1.5]) ** 2) - RADIUS
    for point in range(2):
        np.testing.assert_allclose(found.displacement[1:5, point], expected, rtol=1e-5)
    assert found.censored[[0, 5]].all()  # the lines beside the ball miss it
    np.testing.assert_array_equal(found.displacement[[0, 5]], np.full((2, 2), -6.0))
    assert not found.censored[1:5].any()
    np.testing.assert_array_equal(found.margin, [0.5, 0.7])


def corner() -> Classifier:
    """Return class 1 beyond x_0 = 0.25 and class 2 beyond x_1 = 0.55, the larger one first."""
    weight = torch.zeros(3, D, dtype=torch.float64)
    weight[1, 0] = weight[2, 1] = 1.0
    bias = torch.tensor([0.0, -0.25, -0.55], dtype=torch.float64)
    return Classifier(Linear(weight, bias).eval(), (-9, 9))


def test_a_map_has_the_classes_where_they_are() -> None:
    image = torch.zeros(SHAPE, dtype=torch.float64)
    oblique = DirectionFamily("oblique", (np.eye(D)[:1] + np.eye(D)[1:2]) / 2**0.5)
    found = region_map(corner(), image, along(0, "x"), oblique, 1.0, side=41, batch_size=7)
    x, y = np.meshgrid(found.coordinates, found.coordinates)
    expected = np.stack([np.zeros_like(x), x - 0.25, y - 0.55]).argmax(0)
    np.testing.assert_array_equal(found.classes, expected)
    assert (found.first, found.second, found.source) == ("x", "oblique", 0)
    assert set(np.unique(found.classes)) == {0, 1, 2}


def test_what_spans_no_plane_is_refused() -> None:
    image = torch.zeros(SHAPE, dtype=torch.float64)
    with pytest.raises(InputError, match="should not be parallel"):
        region_map(corner(), image, along(0), along(0), 1.0)
    with pytest.raises(InputError, match=r"`side` should be odd"):
        region_map(corner(), image, along(0), along(1), 1.0, side=40)
