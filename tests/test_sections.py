"""Curvature at a finite scale, and the anchors it is measured at: closed forms in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError, nearest_boundary_points
from boundary.anchors import (
    PAIR,
    REGION,
    Anchors,
    anchors_along,
    anchors_at,
    anchors_at_images,
)
from boundary.curvature import ShapeOperator
from boundary.gradients import logit_gap
from boundary.sections import (
    ESTIMATORS,
    GRADIENTS,
    SECTION,
    VALUES,
    Curvatures,
    curvatures,
    normal_section,
)
from surfaces import (
    Gap,
    Linear,
    Quadric,
    Scaled,
    linear,
    random_images,
    rough_network,
    smooth_network,
)

SHAPE = (3, 2, 2)
D = 12
RADIUS = 2.5


def ball(radius: float = RADIUS) -> Classifier:
    axes = torch.full((D,), radius, dtype=torch.float64)
    return Classifier(Gap(Quadric(torch.zeros(D, dtype=torch.float64), axes)).eval(), (-9, 9))


def on_ball(count: int = 4) -> Tensor:
    points = nn.functional.normalize(random_images(count, SHAPE).flatten(1) - 0.4)
    return (RADIUS * points).view(count, *SHAPE)


def anchored(classifier: Classifier, points: Tensor, source: int = 0) -> Anchors:
    classes = torch.full((len(points),), source)
    return anchors_at(classifier, points, classes, 1 - classes)[0]


def directions(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=generator)


def by_name(found: list[Curvatures]) -> dict[tuple[str, str], Tensor]:
    return {(one.estimator, one.surface): one.curvature for one in found}


@pytest.mark.parametrize(("source", "sign"), [(0, 1.0), (1, -1.0)])
@pytest.mark.parametrize("scale", [0.01, 0.5, 2.0])
def test_ball_from_inside_and_from_outside(source: int, sign: float, scale: float) -> None:
    found = curvatures(ball(), anchored(ball(), on_ball(), source), directions(), scale)
    section = 2 * (RADIUS - (RADIUS**2 - scale**2) ** 0.5) / scale**2
    for one in found:
        expected = section if one.estimator == SECTION else 1 / RADIUS
        wanted = torch.full((4, 3), sign * expected, dtype=torch.float64)
        torch.testing.assert_close(one.curvature, wanted, rtol=1e-6, atol=1e-8)
        assert not one.censored.any()
        assert one.residual < 1e-3
    assert {(one.estimator, one.surface) for one in found} == {
        (estimator, surface) for estimator in ESTIMATORS for surface in (PAIR, REGION)
    }


def test_hyperplane_is_flat_at_every_scale() -> None:
    module = linear(2, D)
    anchors = anchored(Classifier(module), random_images(3, SHAPE))
    for scale in (0.01, 1.0, 100.0):
        for one in curvatures(Classifier(module), anchors, directions(), scale):
            assert float(one.curvature.abs().max()) < 1e-10 / min(scale, 1) ** 2
            assert not one.censored.any()


class Tilted(nn.Module):
    """A plane through x_0 = 1, tilted by less than rounding shows."""

    def forward(self, points: Tensor) -> Tensor:
        return (points[:, 0] - 1) + 1e-190 * points[:, 1]


def test_a_displacement_below_rounding_is_none() -> None:
    first, second = torch.eye(D, dtype=torch.float64)[:2].view(2, 1, *SHAPE)
    classifier = Classifier(Gap(Tilted()).eval())
    found = curvatures(classifier, anchored(classifier, first), second, 0.5)
    for one in found:
        assert abs(float(one.curvature)) < 1e-100
        assert not one.censored.any()


def test_other_way_round_every_sign_flips() -> None:
    module, points = smooth_network(), random_images(5, SHAPE)
    classifier, zeros = Classifier(module), torch.zeros(5, dtype=torch.int64)
    one, _ = anchors_at(classifier, points, zeros, zeros + 1)
    other, _ = anchors_at(classifier, points, zeros + 1, zeros)
    there, back = (
        by_name(curvatures(classifier, at, directions(), 0.3, surfaces=[PAIR], reach=2.0))
        for at in (one, other)
    )
    for key, found in there.items():
        torch.testing.assert_close(found, -back[key], rtol=1e-4, atol=1e-6)
        assert float(found.abs().max()) > 1e-2


def test_all_agree_with_the_exact_curvature_at_a_small_scale() -> None:
    module, points = smooth_network(), random_images(5, SHAPE)
    classifier = Classifier(module)
    anchors, usable = anchors_at_images(classifier, points)
    assert bool(usable.all())
    exact = ShapeOperator(classifier, anchors).normal_curvatures(directions()).T
    for one in curvatures(classifier, anchors, directions(), 1e-3):
        torch.testing.assert_close(one.curvature, exact, rtol=1e-3, atol=1e-5)


def test_scaled_logits_change_nothing() -> None:
    module, points = smooth_network(), random_images(4, SHAPE)
    found = []
    for part in (module, Scaled(module, 50.0).eval()):
        anchors, _ = anchors_at_images(Classifier(part), points)
        found.append(by_name(curvatures(Classifier(part), anchors, directions(), 0.4)))
    for key, one in found[0].items():
        torch.testing.assert_close(one, found[1][key], rtol=1e-6, atol=1e-8)


def corner(depth: float) -> Classifier:
    """Return the corner of two planes: class 1 beyond x_0 = 0, class 2 beyond x_1 = depth."""
    weight = torch.zeros(3, D, dtype=torch.float64)
    weight[1, 0] = weight[2, 1] = 1.0
    bias = torch.tensor([0.0, 0.0, -depth], dtype=torch.float64)
    return Classifier(Linear(weight, bias).eval(), (-9, 9))


def test_the_pair_is_flat_where_the_region_has_a_corner() -> None:
    classifier, depth = corner(0.2), 0.2
    anchors = anchored(classifier, torch.zeros(1, *SHAPE, dtype=torch.float64))
    along = torch.zeros(2, *SHAPE, dtype=torch.float64)
    along.view(2, D)[0, 1] = along.view(2, D)[1, 2] = 1.0
    for scale in (0.1, 0.5):
        found = by_name(curvatures(classifier, anchors, along, scale))
        for estimator in ESTIMATORS:
            assert float(found[estimator, PAIR].abs().max()) < 1e-12
            assert float(found[estimator, REGION][0, 1].abs()) < 1e-12
        beyond = max(scale - depth, 0.0)
        assert float(found[VALUES, REGION][0, 0]) == pytest.approx(beyond / scale**2)
        # Ahead class 2 leads, whose gap rises along the direction; behind class 1, whose does not.
        rising = 1 / (2 * scale) if scale > depth else 0.0
        assert float(found[GRADIENTS, REGION][0, 0]) == pytest.approx(rising)


@pytest.mark.parametrize("scale", [0.02, 0.5])
def test_both_surfaces_at_once_are_each_alone(scale: float) -> None:
    """The region's search is spared where the pair's class leads, and only there."""
    classifier = Classifier(smooth_network(6, D), (-9, 9))
    images = random_images(12, SHAPE)
    at, _ = anchors_at_images(classifier, images)
    together = curvatures(classifier, at, directions(), scale)
    alone = [
        one
        for surface in (PAIR, REGION)
        for one in curvatures(classifier, at, directions(), scale, surfaces=[surface])
    ]
    values = {(one.estimator, one.surface): one for one in together}
    for one in alone:
        found = values[one.estimator, one.surface]
        torch.testing.assert_close(found.curvature, one.curvature, rtol=1e-5, atol=1e-6)
        assert found.censored.equal(one.censored)
    apart = by_name(together)[SECTION, PAIR] != by_name(together)[SECTION, REGION]
    assert bool(apart.any()) == (scale == 0.5)


class InPlane(nn.Module):
    """Logits 0 and the gaps of two more classes, functions of x_0 and x_1."""

    def __init__(self, *gaps: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.gaps = gaps

    def forward(self, images: Tensor) -> Tensor:
        x, y = images.flatten(1)[:, :2].T
        return torch.stack([torch.zeros_like(x), *(gap(x, y) for gap in self.gaps)], 1)


def across() -> tuple[Tensor, Tensor]:
    """Return the origin and the direction of x_1, (1, 3, 2, 2) each."""
    direction = torch.zeros(1, D, dtype=torch.float64)
    direction[0, 1] = 1.0
    return torch.zeros(1, *SHAPE, dtype=torch.float64), direction.view(1, *SHAPE)


@pytest.mark.parametrize(
    ("pair", "other", "ahead", "behind"),
    [
        # The third class leads at the start, or is met at the second look only.
        (lambda x, y: x - y.abs() / 2, lambda x, _: 0.1 - (x - 0.2).abs(), 0.1, 0.5),
        (
            lambda x, y: x + x**2 - y.abs() / 2,
            lambda x, _: 0.1 - 4 * (x - 0.25).abs(),
            0.225,
            (3**0.5 - 1) / 2,
        ),
    ],
)
def test_a_third_class_that_crosses_before_the_pair_is_the_region_s_end(
    pair: Callable[[Tensor, Tensor], Tensor],
    other: Callable[[Tensor, Tensor], Tensor],
    ahead: float,
    behind: float,
) -> None:
    def third(x: Tensor, y: Tensor) -> Tensor:
        return other(x, y) - 5 * (y - 1).abs()

    classifier = Classifier(InPlane(pair, third).eval(), (-9, 9))
    origin, direction = across()
    at = anchored(classifier, origin)
    for surfaces in ([PAIR, REGION], [REGION]):
        found = curvatures(classifier, at, direction, 1.0, estimators=[SECTION], surfaces=surfaces)
        bends = float(by_name(found)[SECTION, REGION])
        assert bends == pytest.approx(-(ahead + behind), rel=1e-3)
    displacement, censored = normal_section(classifier, at, direction[0], [1.0])
    assert displacement.flatten().tolist() == pytest.approx([behind, ahead], rel=1e-3)
    assert not censored.any()


def test_a_root_between_the_last_look_and_the_reach_is_found() -> None:
    def gap(x: Tensor, y: Tensor) -> Tensor:
        plateau = 10.5 * (x - 1.1).clamp_min(0) - 1.05  # up to 1.1, then zero at 1.2
        return (1 - y**2) * x + y**2 * plateau

    classifier = Classifier(InPlane(gap).eval(), (-9, 9))
    origin, direction = across()
    at = anchored(classifier, origin)
    for one in curvatures(classifier, at, direction, 1.0, estimators=[SECTION], reach=2.0):
        assert float(one.curvature) == pytest.approx(-2.4, rel=1e-3)
        assert not one.censored.any()
    short = curvatures(classifier, at, direction, 1.0, estimators=[SECTION], reach=1.15)
    assert all(bool(one.censored.all()) for one in short)
    assert [float(one.curvature) for one in short] == pytest.approx([-2.3, -2.3])


class NeverEmpty(nn.Module):
    """A classifier that takes no empty batch, as many reshape their images."""

    def forward(self, images: Tensor) -> Tensor:
        return images.view(len(images), -1)[:, :3]


def test_no_points_give_no_anchors() -> None:
    classifier, none = Classifier(NeverEmpty().eval()), random_images(0, SHAPE)
    nothing = torch.zeros(0, dtype=torch.int64)
    for anchors, usable in (
        anchors_at(classifier, none, nothing, nothing),
        anchors_at_images(classifier, none),
        anchors_along(classifier, none, none, 1.0),
        anchors_along(classifier, none, none, torch.zeros(0)),
    ):
        assert anchors.point.shape == anchors.normal.shape == (0, *SHAPE)
        assert anchors.slope.shape == anchors.level.shape == usable.shape == (0,)
        assert anchors.source.dtype == anchors.target.dtype == torch.int64
        assert usable.dtype == torch.bool
        for one in curvatures(classifier, anchors, directions(2), 0.5):
            assert one.curvature.shape == one.censored.shape == (0, 2)
            assert one.residual == 0.0


def test_gaps_of_no_logits_have_the_shape_of_their_targets() -> None:
    nothing, logits = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3)
    assert logit_gap(logits, nothing, nothing).shape == (0,)
    assert logit_gap(logits, nothing, nothing.view(0, 2)).shape == (0, 2)


def test_a_section_that_meets_nothing_is_censored_with_its_sign() -> None:
    classifier, scale, reach = corner(0.2), 0.5, 3.0
    anchors = anchored(classifier, torch.zeros(1, *SHAPE, dtype=torch.float64))
    along = torch.zeros(1, *SHAPE, dtype=torch.float64)
    along.view(D)[1] = 1.0
    # Ahead the line along the normal lies in class 2 all the way: behind, at once on the plane.
    found = curvatures(
        classifier, anchors, along, scale, estimators=[SECTION], surfaces=[REGION], reach=reach
    )[0]
    assert found.censored.tolist() == [[True]]
    assert float(found.curvature) == pytest.approx(reach / scale**2)
    outside = curvatures(ball(), anchored(ball(), on_ball(1), 1), directions(1), 3.0)
    sections = [one for one in outside if one.estimator == SECTION]
    assert all(bool(one.censored.all()) for one in sections)  # the tangent line misses the ball
    assert all(float(one.curvature) == pytest.approx(-2 * 6.0 / 9.0) for one in sections)


def test_at_a_small_scale_a_network_of_relus_is_piecewise_linear() -> None:
    classifier, images = Classifier(rough_network()), random_images(6, (3, 4, 4))
    anchors, _ = anchors_at_images(classifier, images)
    probes = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    small = curvatures(classifier, anchors, probes, 1e-6, estimators=[GRADIENTS], surfaces=[PAIR])
    large = curvatures(classifier, anchors, probes, 0.5, estimators=[GRADIENTS], surfaces=[PAIR])
    assert float((small[0].curvature == 0).double().mean()) > 0.9
    assert float(large[0].curvature.abs().median()) > 1e-3


def test_nearest_points_anchor_at_what_was_collected() -> None:
    classifier, images = Classifier(smooth_network()), random_images(6, SHAPE)
    points = nearest_boundary_points(classifier, images)
    anchors, usable = anchors_at(classifier, points.point, points.source, points.target)
    assert bool(usable.all())
    torch.testing.assert_close(anchors.normal, points.normal)
    assert float((anchors.level.abs() / anchors.slope / points.margin).max()) < 1e-3


def test_lines_end_where_they_leave_the_region() -> None:
    images = 0.2 * on_ball(5)
    probes = directions(5)
    anchors, met = anchors_along(ball(), images, probes, 20.0)
    assert bool(met.all())
    assert anchors.source.tolist() == [0] * 5
    assert anchors.target.tolist() == [1] * 5
    radii = anchors.point.flatten(1).norm(dim=1)
    torch.testing.assert_close(radii, torch.full_like(radii, RADIUS), rtol=1e-5, atol=0)
    ahead = nn.functional.normalize((anchors.point - images).flatten(1))
    torch.testing.assert_close(ahead, nn.functional.normalize(probes.flatten(1)))
    torch.testing.assert_close(anchors.normal.flatten(1), anchors.point.flatten(1) / RADIUS)
    short, reached = anchors_along(ball(), images, probes, 0.5)
    assert not reached.any()
    assert len(short) == 0


def test_lines_to_another_image_end_on_the_first_boundary_between() -> None:
    classifier, images = Classifier(smooth_network()), random_images(40, SHAPE)
    source = classifier.predict(images)
    others = torch.stack([images[(source != one).nonzero()[0, 0]] for one in source])
    way = others - images
    anchors, met = anchors_along(classifier, images, way, way.flatten(1).norm(dim=1))
    assert bool(met.all())
    assert float((anchors.level.abs() / anchors.slope).max()) < 1e-4
    share = (anchors.point - images).flatten(1).norm(dim=1) / way.flatten(1).norm(dim=1)
    assert float(share.max()) < 1
    for part in torch.linspace(0, 0.99, 20):
        before = images + float(part) * (anchors.point - images)
        assert classifier.predict(before).equal(source)


def test_options_out_of_range_are_refused() -> None:
    anchors = anchored(ball(), on_ball())
    with pytest.raises(InputError, match="`scale` should be positive"):
        curvatures(ball(), anchors, directions(), 0.0)
    with pytest.raises(InputError, match="`reach` should be positive"):
        curvatures(ball(), anchors, directions(), 1.0, reach=-1.0)
    with pytest.raises(InputError, match="`estimators` should be some of values"):
        curvatures(ball(), anchors, directions(), 1.0, estimators=["hessian"])
    with pytest.raises(InputError, match="`surfaces` should be some of pair, region"):
        curvatures(ball(), anchors, directions(), 1.0, surfaces=[])
    with pytest.raises(InputError, match="`directions` should be finite and not zero"):
        anchors_along(ball(), on_ball(), torch.zeros(4, *SHAPE), 1.0)
