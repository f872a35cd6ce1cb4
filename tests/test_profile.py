"""The curvature profile: ellipsoids, planted shared and private directions, flat boundaries."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analysis.profile import CurvatureProfile, curvature_profile
from analysis.saved import load_result, save_result
from boundary import Classifier, InputError
from boundary.anchors import PAIR, REGION, Anchors, anchors_at
from surfaces import Gap, Linear, Quadric, smooth_network

SHAPE = (3, 2, 2)
D = 12
WIDE_SHAPE = (3, 10, 10)
WIDE = 300
TIGHT = {"rtol": 1e-8, "atol": 1e-8}


class Bent(nn.Module):
    """x_0 - sum_j k_j x_j^2 / 2 over all j but 0: curvatures -k_j at the origin, from below."""

    def __init__(self, bends: Tensor) -> None:
        super().__init__()
        self.bends = nn.Buffer(bends)

    def forward(self, points: Tensor) -> Tensor:
        return points[:, 0] - (self.bends * points[:, 1:] ** 2).sum(1) / 2


class Turning(nn.Module):
    """At x_1 = 1 bent along x_2 alone, at x_1 = 0 along x_3 alone: the points share nothing."""

    def forward(self, points: Tensor) -> Tensor:
        place = points[:, 1]
        return points[:, 0] + place * points[:, 2] ** 2 + (1 - place) * points[:, 3] ** 2


def anchored(gap: nn.Module, points: Tensor, source: int = 0) -> tuple[Classifier, Anchors]:
    classifier = Classifier(Gap(gap).eval(), (-9, 9))
    classes = torch.full((len(points),), source)
    anchors, usable = anchors_at(classifier, points, classes, 1 - classes)
    assert bool(usable.all())
    return classifier, anchors


def quadric(axes: Tensor) -> Quadric:
    return Quadric(torch.zeros_like(axes), axes)


def planted(source: int = 0) -> tuple[Classifier, Anchors]:
    """Return a wide boundary, curved along five shared directions and nearly straight else."""
    bends = torch.linspace(-0.01, 0.01, WIDE - 1, dtype=torch.float64)
    bends[:5] = torch.tensor([-3.0, -2, -1, 4, 2], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    points = torch.zeros(6, WIDE, dtype=torch.float64)
    points[:, 6:] = 0.1 * torch.randn(6, WIDE - 6, dtype=torch.float64, generator=generator)
    points[:, 0] = (bends * points[:, 1:] ** 2).sum(1) / 2
    return anchored(Bent(bends), points.view(6, *WIDE_SHAPE), source)


@pytest.mark.parametrize("points_at_once", [2, 3, 8])
def test_ellipsoid_at_its_axes_in_their_order(points_at_once: int) -> None:
    axes = torch.linspace(1, 3, D, dtype=torch.float64)
    points = torch.diag(axes)[[7, 0, 11, 4, 2]].view(5, *SHAPE)
    found = curvature_profile(
        *anchored(quadric(axes), points), 0.3, surface=PAIR, points_at_once=points_at_once
    )
    for row, axis in enumerate((7, 0, 11, 4, 2)):
        expected = (axes[axis] / axes[torch.arange(D) != axis] ** 2).sort(descending=True)[0]
        np.testing.assert_allclose(found.values[row], expected, **TIGHT)
        # Products with random signs are exact where S is diagonal.
        assert found.mean[row] == pytest.approx(float(expected.mean()), rel=1e-8)
    assert found.complete
    assert found.points == 5
    assert found.mean_error.max() < 1e-8
    assert found.asymmetry.max() < 1e-8
    assert found.residual < 1e-8
    np.testing.assert_allclose(found.average, found.values.mean(0))
    np.testing.assert_allclose(found.own, found.average, **TIGHT)
    assert found.pairs == {2: 8, 3: 8, 8: 20}[points_at_once]
    assert (found.surface, found.scale, found.seed) == (PAIR, 0.3, 0)


def test_opposite_points_of_an_ellipsoid_share_all() -> None:
    axes = torch.linspace(1, 3, D, dtype=torch.float64)
    points = torch.stack([torch.diag(axes)[5], -torch.diag(axes)[5]]).view(2, *SHAPE)
    found = curvature_profile(*anchored(quadric(axes), points), 0.3, random=1000)
    expected = (axes[5] / axes[torch.arange(D) != 5] ** 2).sort(descending=True)[0].numpy()
    np.testing.assert_allclose(found.own, expected, **TIGHT)
    assert found.typical == pytest.approx(expected.mean(), rel=0.04)
    np.testing.assert_allclose(found.sharing * found.typical, expected, **TIGHT)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_planted_directions_are_shared_and_flat_ones_are_not(dtype: torch.dtype) -> None:
    classifier, anchors = planted()
    if dtype == torch.float32:
        classifier = Classifier(classifier.module.float(), (-9, 9))
        parts = [getattr(anchors, field.name) for field in fields(anchors)]
        anchors = Anchors(*(part.to(dtype) if part.is_floating_point() else part for part in parts))
    found = curvature_profile(classifier, anchors, 0.5, count=5, steps=25, probes=50)
    curved = [3, 2, 1, -2, -4]
    columns = [0, 1, 2, 8, 9]
    assert not found.complete
    assert found.values.shape == (6, 10)
    for row in found.values:
        np.testing.assert_allclose(row[columns], curved, rtol=1e-3)
    np.testing.assert_allclose(found.own[columns], np.abs(curved), rtol=1e-3)
    np.testing.assert_allclose(found.sharing[columns], np.abs(curved) / found.typical, rtol=1e-2)
    assert found.sharing[columns].min() > 20
    assert found.sharing[[3, 4, 5, 6, 7]].max() < 1
    # The bends but the first five are odd about 0, so the trace is theirs up to the five replaced.
    trace = -(sum([-3.0, -2, -1, 4, 2]) - np.linspace(-0.01, 0.01, WIDE - 1)[:5].sum())
    assert (np.abs(found.mean - trace / (WIDE - 1)) < 5 * found.mean_error + 1e-6).all()


def test_private_directions_are_not_shared() -> None:
    points = torch.zeros(2, D, dtype=torch.float64)
    points[0, 1] = 1.0
    found = curvature_profile(*anchored(Turning(), points.view(2, *SHAPE)), 0.1)
    np.testing.assert_allclose(found.values[:, 0], 2, rtol=1e-8)
    np.testing.assert_allclose(found.own[0], 2, rtol=1e-8)
    assert found.typical > 0.1
    assert abs(found.sharing[0]) < 1e-8
    assert found.pairs == 2


@pytest.mark.parametrize(("source", "sign"), [(0, 1.0), (1, -1.0)])
def test_ball_is_equally_curved_all_over(source: int, sign: float) -> None:
    point = 2.5 * nn.functional.normalize(torch.ones(1, D, dtype=torch.float64))
    points = torch.cat([point, -point]).view(2, *SHAPE)
    ball = quadric(torch.full((D,), 2.5, dtype=torch.float64))
    found = curvature_profile(*anchored(ball, points, source), 0.3)
    np.testing.assert_allclose(found.values, sign * 0.4, **TIGHT)
    np.testing.assert_allclose(found.mean, sign * 0.4, atol=3 * found.mean_error.max())
    np.testing.assert_allclose(found.own, 0.4, **TIGHT)
    np.testing.assert_allclose(found.sharing, 1, **TIGHT)
    tail = found.tail_asymmetry
    assert (tail.value, tail.interval.low, tail.interval.high) == pytest.approx((sign,) * 3)


def test_wide_ball_where_the_search_has_found_all_at_once() -> None:
    point = 2.5 * nn.functional.normalize(torch.ones(1, WIDE, dtype=torch.float64))
    points = torch.cat([point, -point]).view(2, *WIDE_SHAPE)
    ball = quadric(torch.full((WIDE,), 2.5, dtype=torch.float64))
    found = curvature_profile(*anchored(ball, points), 0.3, count=3, steps=10)
    np.testing.assert_allclose(found.values, 0.4, **TIGHT)
    np.testing.assert_allclose(found.sharing, 1, **TIGHT)
    assert found.residual < 1e-8


@pytest.mark.parametrize(("numbers", "shape"), [(D, SHAPE), (WIDE, WIDE_SHAPE)])
def test_hyperplane_is_flat_without_nan(numbers: int, shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, numbers, dtype=torch.float64, generator=generator)
    classifier = Classifier(Linear(weight, torch.zeros(2, dtype=torch.float64)).eval(), (-9, 9))
    points = torch.randn(3, *shape, dtype=torch.float64, generator=generator)
    zeros = torch.zeros(3, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, points, zeros, zeros + 1)
    found = curvature_profile(classifier, anchors, 0.5, count=3, steps=10)
    for array in (value for value in vars(found).values() if isinstance(value, np.ndarray)):
        assert np.isfinite(array).all()
    assert np.abs(found.values).max() < 1e-10
    assert np.abs(found.mean).max() < 1e-10
    assert found.own.max() < 1e-10
    assert found.typical < 1e-10


def test_nothing_is_shared_where_nothing_is_curved() -> None:
    weight = torch.eye(2, D, dtype=torch.float64)
    classifier = Classifier(Linear(weight, torch.zeros(2, dtype=torch.float64)).eval(), (-9, 9))
    zeros = torch.zeros(2, dtype=torch.int64)
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    anchors, _ = anchors_at(classifier, points, zeros, zeros + 1)
    found = curvature_profile(classifier, anchors, 0.5)
    assert not found.values.any()
    assert found.sharing.tolist() == [0.0] * (D - 1)
    tail = found.tail_asymmetry
    assert (tail.value, tail.interval.low, tail.interval.high) == (0, 0, 0)


@pytest.mark.parametrize(("surface", "largest"), [(PAIR, 0.0), (REGION, 0.5)])
def test_the_region_bends_where_a_third_class_takes_over(surface: str, largest: float) -> None:
    weight, bias = torch.zeros(3, D, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    weight[1:, 0], weight[2, 1], bias[2] = 1.0, 1.0, -0.1  # gaps x_0 and x_0 + x_1 - 0.1
    classifier = Classifier(Linear(weight, bias).eval(), (-9, 9))
    zeros = torch.zeros(2, dtype=torch.int64)
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    anchors, _ = anchors_at(classifier, points, zeros, zeros + 1)
    found = curvature_profile(classifier, anchors, 1.0, surface=surface)
    np.testing.assert_allclose(found.values[:, 0], largest, **TIGHT)
    np.testing.assert_allclose(found.values[:, 1:], 0, **TIGHT)


def test_tails_have_the_sign_of_the_planted_curvatures() -> None:
    bends = torch.tensor([-3.0, -2, -1, 4, *[0.0] * 7], dtype=torch.float64)
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    below = curvature_profile(*anchored(Bent(bends), points), 0.5).tail_asymmetry
    above = curvature_profile(*anchored(Bent(bends), points, source=1), 0.5).tail_asymmetry
    assert below.value == pytest.approx((3 + 2 + 1 - 4) / 10)
    assert above.value == pytest.approx(-0.2)


def test_the_interval_of_the_tails_is_of_points() -> None:
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    plain = curvature_profile(*anchored(Turning(), points), 0.5)
    generator = np.random.default_rng(0)
    # Of 50 points a share 0.7 bends towards, each wholly: a mean of signs, of known error.
    signs = np.where(generator.permutation(50) < 35, 1.0, -1.0)
    found = replace(plain, values=signs[:, None] * np.ones((50, 4))).tail_asymmetry
    assert found.value == pytest.approx(0.4)
    error = 2 * (0.7 * 0.3 / 50) ** 0.5
    assert found.interval.low == pytest.approx(0.4 - 1.96 * error, abs=0.05)
    assert found.interval.high == pytest.approx(0.4 + 1.96 * error, abs=0.05)


def test_the_mean_is_that_of_all_curvatures_on_a_network() -> None:
    classifier = Classifier(smooth_network(dimension=D))
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(4, *SHAPE, dtype=torch.float64, generator=generator)
    zeros = torch.zeros(4, dtype=torch.int64)
    anchors, _ = anchors_at(classifier, points, zeros, zeros + 1)
    found = curvature_profile(classifier, anchors, 1e-3, surface=PAIR, probes=500)
    assert (np.abs(found.mean - found.values.mean(1)) < 4 * found.mean_error).all()
    assert found.mean_error.max() < 0.1 * np.abs(found.values).max()
    np.testing.assert_allclose(found.own, np.abs(found.values).mean(0), rtol=1e-3, atol=1e-5)
    again = curvature_profile(classifier, anchors, 1e-3, surface=PAIR, probes=500)
    for field in fields(found):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(again, field.name))
    other = curvature_profile(classifier, anchors, 1e-3, surface=PAIR, probes=500, seed=1)
    assert (found.mean != other.mean).all()


def test_a_profile_is_saved_and_loaded(tmp_path: Path) -> None:
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    saved = curvature_profile(*anchored(Turning(), points), 0.5)
    save_result(tmp_path / "profile.h5", saved, {})
    loaded = load_result(tmp_path / "profile.h5", CurvatureProfile)
    for field in fields(saved):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(saved, field.name))
    assert loaded.complete is True


def test_options_out_of_range_are_refused() -> None:
    points = torch.zeros(2, *SHAPE, dtype=torch.float64)
    classifier, anchors = anchored(Turning(), points)
    with pytest.raises(InputError, match=r"`anchors` should hold at least 2 points.*Found 1"):
        curvature_profile(classifier, anchors.subset(slice(1)), 0.5)
    with pytest.raises(InputError, match=r"`surface` should be one of pair, region. Found both"):
        curvature_profile(classifier, anchors, 0.5, surface="both")
    with pytest.raises(InputError, match="`scale` should be positive"):
        curvature_profile(classifier, anchors, -1.0)
    with pytest.raises(InputError, match=r"`probes` should be at least 2. Found 1"):
        curvature_profile(classifier, anchors, 0.5, probes=1)
    with pytest.raises(InputError, match=r"`random` should be at least 1. Found 0"):
        curvature_profile(classifier, anchors, 0.5, random=0)
    with pytest.raises(InputError, match=r"`points_at_once` should be at least 2. Found 1"):
        curvature_profile(classifier, anchors, 0.5, points_at_once=1)
    with pytest.raises(InputError, match=r"`count` should lie in 1..4"):
        curvature_profile(*planted(), 0.5, count=5, steps=8)
