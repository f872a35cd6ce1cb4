"""Fooling predicted from geometry: closed forms in float64, and the theorems' constants."""

from collections.abc import Callable
from math import e, inf, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import beta as beta_law
from torch import Tensor, nn

from analysis.curvature_sweep import DirectionFamily
from analysis.fooling import fooling_rate
from analysis.perturbations import Perturbations
from analysis.predicted import (
    CURVED,
    CURVED_AT_NORM,
    FLAT,
    MANY_PLANES,
    SHARED_CURVATURE,
    Planes,
    PredictionRow,
    curved,
    flat,
    many_planes,
    prediction_quality,
    prediction_rows,
    shared_curvature,
    tangent_planes,
)
from analysis.subspace import Subspace
from analysis.theorems import (
    SubspaceMargins,
    curved_bound,
    flat_bound,
    noise_bounds,
    subspace_margins,
)
from boundary import Classifier, InputError
from surfaces import Constant, Gap, Linear, Quadric, linear, random_images, smooth_network

SHAPE = (3, 2, 2)
D = 12
NORMS = (0.05, 0.2, 0.8, 3.0)

Array = NDArray[np.float64]


def unit_rows(count: int, dimension: int = D, seed: int = 0) -> Array:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def fooled(
    classifier: Classifier, images: Tensor, directions: Array, norm: float
) -> NDArray[np.bool_]:
    vectors = torch.from_numpy(directions).view(-1, *images.shape[1:])
    return fooling_rate(classifier, images, Perturbations.of("probe", vectors, norm)).fooled


def planes_of(margin: list[list[float]], normal: Array) -> Planes:
    margins = np.array(margin)
    normals = np.broadcast_to(normal, (*margins.shape, normal.shape[-1])).astype(np.float32)
    return Planes(margins, normals, np.ones(margins.shape, dtype=np.int64))


def shared_axis(margins: list[float]) -> Planes:
    """Return one plane an image, all with the first axis for normal."""
    return planes_of([[margin] for margin in margins], np.eye(D)[0])


def threshold(told: Callable[[float], bool], high: float = 100.0) -> float:
    """Return the norm at which a prediction turns true, by bisection."""
    low = 1e-9
    assert told(high)
    assert not told(low)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if told(middle) else (middle, high)
    return high


def ball(radius: float, dimension: int = D) -> Classifier:
    centre = torch.zeros(dimension, dtype=torch.float64)
    return Classifier(Gap(Quadric(centre, torch.full_like(centre, radius))).eval(), (-99, 99))


def at_depth(depth: float, radius: float) -> Tensor:
    """Return one image on the first axis, inside a ball around 0."""
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    image.view(-1)[0] = radius - depth
    return image


def test_flat_prediction_is_exact_at_a_hyperplane() -> None:
    module, images, directions = linear(2, D), random_images(30, SHAPE), unit_rows(20)
    classifier = Classifier(module)
    planes = tangent_planes(classifier, images)
    assert planes.margin.shape == (30, 1)
    difference = (module.weight[1] - module.weight[0]).detach()
    logits = module(images).detach()
    wanted = (logits[:, 1] - logits[:, 0]).abs() / difference.norm()
    np.testing.assert_allclose(planes.margin[:, 0], wanted.numpy(), rtol=1e-9)
    along = planes.along(directions)
    shares = []
    for norm in NORMS:
        measured = fooled(classifier, images, directions, norm)
        assert np.array_equal(flat(planes, along, norm), measured)
        assert np.array_equal(many_planes(planes, along, norm), measured)
        assert np.array_equal(curved(planes, along, norm, np.zeros((20, 30))), measured)
        shares.append(measured.mean())
    assert shares[0] < 0.1
    assert shares[-1] > 0.3


def test_planes_of_all_classes_are_exact_where_the_nearest_is_not() -> None:
    classifier, images = Classifier(linear(5, D)), random_images(40, SHAPE)
    directions = unit_rows(30, seed=1)
    planes = tangent_planes(classifier, images, runners_up=3)
    along = planes.along(directions)
    assert planes.margin.shape == (40, 4)
    source = classifier.predict(images).numpy()
    for targets, own in zip(planes.target, source, strict=True):
        assert sorted([*targets, own]) == [0, 1, 2, 3, 4]
    assert bool((planes.margin[:, :1] <= planes.margin + 1e-12).all())
    wrong = 0
    for norm in NORMS:
        measured = fooled(classifier, images, directions, norm)
        assert np.array_equal(many_planes(planes, along, norm), measured)
        wrong += int((flat(planes, along, norm) != measured).sum())
    assert wrong > 100


def test_runners_up_are_the_classes_of_largest_logit() -> None:
    classifier, images = Classifier(linear(7, D)), random_images(20, SHAPE)
    planes = tangent_planes(classifier, images, runners_up=2)
    with torch.no_grad():
        ranked = classifier(images).argsort(1, descending=True)
    for targets, order in zip(planes.target.tolist(), ranked.tolist(), strict=True):
        rest = [one for one in order[1:] if one != targets[0]]
        assert targets[1:] == rest[:2]
    assert tangent_planes(classifier, images, runners_up=9).margin.shape == (20, 6)
    assert tangent_planes(classifier, images, runners_up=0).margin.shape == (20, 1)


def test_corner_of_two_planes() -> None:
    weight = torch.zeros(3, D, dtype=torch.float64)
    weight[1, 0] = weight[2, 1] = 1.0
    bias = torch.tensor([0.0, -1.0, -2.0], dtype=torch.float64)
    classifier = Classifier(Linear(weight, bias).eval(), (-9, 9))
    planes = tangent_planes(classifier, torch.zeros(1, *SHAPE, dtype=torch.float64))
    np.testing.assert_allclose(planes.margin, [[1.0, 2.0]])
    np.testing.assert_allclose(planes.normal[0], np.eye(D)[:2], atol=1e-7)
    along = planes.along(np.eye(D)[:3])
    assert flat(planes, along, 1.5).ravel().tolist() == [True, False, False]
    assert many_planes(planes, along, 1.5).ravel().tolist() == [True, False, False]
    assert flat(planes, along, 2.5).ravel().tolist() == [True, False, False]
    assert many_planes(planes, along, 2.5).ravel().tolist() == [True, True, False]


class Quadrant(nn.Module):
    """min(x_0, x_1) - 1: the other class has a corner, nearest to images with both below 1."""

    def forward(self, points: Tensor) -> Tensor:
        return points[:, :2].amin(1) - 1


def test_a_plane_at_a_kink_is_nearer_than_the_point() -> None:
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    image.view(-1)[1] = 0.4
    planes = tangent_planes(Classifier(Gap(Quadrant()).eval(), (-9, 9)), image)
    wanted = planes.normal[0, 0, :2] @ np.array([1.0, 0.6])
    assert planes.margin.item() == pytest.approx(wanted, rel=1e-3)
    assert planes.margin.item() < 0.98 * sqrt(1 + 0.6**2)


def test_batches_change_nothing_and_the_normals_are_unit() -> None:
    classifier, images = Classifier(smooth_network()), random_images(7, SHAPE)
    whole, parts = (tangent_planes(classifier, images, batch_size=size) for size in (64, 3))
    np.testing.assert_allclose(whole.margin, parts.margin, rtol=1e-6)
    np.testing.assert_allclose(whole.normal, parts.normal, atol=1e-5)
    assert np.array_equal(whole.target, parts.target)
    found = np.isfinite(whole.margin)
    np.testing.assert_allclose(np.linalg.norm(whole.normal, axis=2), found, atol=1e-6)
    assert whole.normal.dtype == np.float32


def test_without_a_boundary_nothing_is_predicted_fooled() -> None:
    classifier = Classifier(Constant(torch.tensor([2.0, 1.0, 0.0])).eval())
    planes = tangent_planes(classifier, random_images(4, SHAPE).float())
    assert bool((planes.margin == inf).all())
    assert not planes.normal.any()
    assert not planes.met.any()
    along = planes.along(unit_rows(2))
    no_curvature = np.full((2, 4), np.nan)
    assert not flat(planes, along, 1e6).any()
    assert not many_planes(planes, along, 1e6).any()
    assert not curved(planes, along, 1e6, no_curvature).any()


@pytest.mark.parametrize("depth", [1.0, 0.1, 0.01])
def test_curved_prediction_beside_the_exact_threshold_in_a_ball(depth: float) -> None:
    radius = 10.0
    classifier, image = ball(radius), at_depth(depth, radius)
    planes = tangent_planes(classifier, image)
    assert planes.margin.item() == pytest.approx(depth)
    # Straight beside the normal, then ahead of the tangent plane, then behind it.
    for cosine in (0.0, 0.05, -0.05):
        direction = np.zeros((1, D))
        direction[0, :2] = cosine, sqrt(1 - cosine**2)
        along, bend = planes.along(direction), np.array([[1 / radius]])

        def told(norm: float, along: Array = along, bend: Array = bend) -> bool:
            return bool(curved(planes, along, norm, bend))

        inside = radius - depth
        exact = sqrt((inside * cosine) ** 2 + radius**2 - inside**2) - inside * cosine
        for share, outside in ((0.999, False), (1.001, True)):
            assert bool(fooled(classifier, image, direction, share * exact)) is outside
        # The parabola lies b^2 / 4r^2 above the sphere, as a share of its height.
        late = threshold(told) / exact - 1
        reach = exact * sqrt(1 - cosine**2)
        assert 0 < late < 1.3 * (reach / (2 * radius)) ** 2
        if cosine == 0.0:
            assert late + 1 == pytest.approx((1 - depth / (2 * radius)) ** -0.5, rel=1e-6)
            assert not flat(planes, along, 10 * exact).any()
            assert exact == pytest.approx(exact_tangential(depth, radius))


def exact_tangential(depth: float, radius: float) -> float:
    return sqrt(2 * radius * depth - depth**2)


def test_a_boundary_that_bends_away_is_met_later() -> None:
    planes, direction = shared_axis([1.0]), np.zeros((1, D))
    direction[0, :2] = 0.8, 0.6
    along = planes.along(direction)
    found = []
    for k in (0.2, 0.0, -0.2):

        def told(norm: float, k: float = k) -> bool:
            return bool(curved(planes, along, norm, np.array([[k]])))

        found.append(threshold(told, 5.0))
    assert found[0] < found[1] < found[2]
    for k, norm in zip((0.2, 0.0, -0.2), found, strict=True):
        assert 0.8 * norm + k * (0.6 * norm) ** 2 / 2 == pytest.approx(1.0, rel=1e-6)


def test_shared_curvature_leaves_the_image_itself_out() -> None:
    count, draws, norm = 9, 4, 3.0
    random = np.random.default_rng(3)
    planes = shared_axis(random.uniform(0.5, 2.0, count).tolist())
    along = planes.along(unit_rows(draws, seed=4))
    curvature = random.uniform(-0.5, 1.0, (draws, count))
    of_others = np.stack(
        [np.median(np.delete(curvature, place, axis=1), axis=1) for place in range(count)], axis=1
    )
    told = shared_curvature(planes, along, norm, curvature)
    assert np.array_equal(told, curved(planes, along, norm, of_others))
    assert not np.array_equal(told, curved(planes, along, norm, curvature))
    others_changed = 0
    for place in range(count):
        changed = curvature.copy()
        changed[:, place] = 1e6 if not told[:, place].all() else -1e6
        now = shared_curvature(planes, along, norm, changed)
        assert np.array_equal(now[:, place], told[:, place])
        others_changed += not np.array_equal(now, told)
    assert others_changed


def test_shared_curvature_leaves_out_what_was_not_found() -> None:
    planes = shared_axis([1.0, 1.0, 1.0, inf])
    along = planes.along(np.eye(D)[1:2])
    curvature = np.array([[0.0, 0.0, 9.0, np.nan]])
    # The others' medians: 4.5, 4.5 and 0, of two images each.
    just = sqrt(2 / 4.5)
    for share, told in ((0.999, [False] * 4), (1.001, [True, True, False, False])):
        found = shared_curvature(planes, along, share * just, curvature)
        assert found.tolist() == [told]


def test_curvature_at_the_norm_is_that_of_the_nearest_scale() -> None:
    planes = shared_axis([1.0, 1.0])
    family = DirectionFamily("axis", np.eye(D)[1:2])
    curvature = {0.5: np.array([[9.0, 0.0]]), 2.0: np.zeros((1, 2))}
    fooled = np.array([[True, False]])
    rows = prediction_rows(planes, family, [0.6, 1.5], [fooled, fooled], curvature)
    told = {row.norm: float(row.predicted[0]) for row in rows if row.model == CURVED_AT_NORM}
    assert told == {0.6: 0.5, 1.5: 0.0}  # 9 * 0.6^2 / 2 >= 1, and nothing bends at 2
    assert [quality.count for quality in prediction_quality(rows)] == [2] * 7


def test_rows_hold_shares_by_hand() -> None:
    planes = planes_of([[1.0, inf], [2.0, 0.5], [inf, inf]], np.eye(D)[0])
    family = DirectionFamily("axes", np.eye(D)[:2])
    measured = np.array([[True, True, False], [False, True, False]])
    curvature = {0.5: np.array([[0.0, 0.0, np.nan], [2.0, 0.0, np.nan]])}
    rows = prediction_rows(planes, family, [1.5], [measured], curvature)
    assert [(row.model, row.scale) for row in rows] == [
        (FLAT, 0.0),
        (MANY_PLANES, 0.0),
        (CURVED_AT_NORM, 0.0),
        (CURVED, 0.5),
        (SHARED_CURVATURE, 0.5),
    ]
    assert all((row.family, row.norm, row.images) == ("axes", 1.5, 3) for row in rows)
    # Flat: draw 0 fools image 0. Many planes: image 1 too. Curved: draw 1 fools image 0, beyond
    # 2 * 1.5^2 / 2 >= 1. Shared: draw 1 fools image 1 instead, as 2.25 >= 2.
    wanted = {
        FLAT: ([1 / 3, 0], 4 / 6, 1 / 3, 0.0),
        MANY_PLANES: ([2 / 3, 0], 5 / 6, 2 / 3, 0.0),
        CURVED: ([1 / 3, 1 / 3], 3 / 6, 1 / 3, 1 / 3),
        CURVED_AT_NORM: ([1 / 3, 1 / 3], 3 / 6, 1 / 3, 1 / 3),
        SHARED_CURVATURE: ([1 / 3, 1 / 3], 5 / 6, 2 / 3, 0.0),
    }
    for row in rows:
        predicted, agreement, explained, false_alarms = wanted[row.model]
        np.testing.assert_allclose(row.predicted, predicted)
        np.testing.assert_allclose(row.measured, [2 / 3, 1 / 3])
        found = (row.agreement, row.explained, row.false_alarms)
        assert found == pytest.approx((agreement, explained, false_alarms))
    none = prediction_rows(planes, family, [1.5], [np.zeros_like(measured)])
    every = prediction_rows(planes, family, [1.5], [np.ones_like(measured)])
    assert [row.explained for row in none] == [0.0, 0.0]
    assert [row.false_alarms for row in every] == [0.0, 0.0]


def test_quality_pools_pairs_and_rates() -> None:
    random = np.random.default_rng(5)
    planes = planes_of([[m, 1.5 * m] for m in random.uniform(0.1, 1.0, 8)], unit_rows(2))
    truth, rows, told = [], [], []
    for name, draws in (("few", 2), ("many", 5)):
        family = DirectionFamily(name, unit_rows(draws, seed=draws))
        along = planes.along(family.directions)
        measured = [random.random((draws, 8)) < share for share in (0.2, 0.7)]
        rows += prediction_rows(planes, family, [0.5, 2.0], measured)
        truth += measured
        told += [many_planes(planes, along, norm) for norm in (0.5, 2.0)]
    predicted = np.concatenate([one.mean(1) for one in told])
    rates = np.concatenate([one.mean(1) for one in truth])
    quality = {one.model: one for one in prediction_quality(rows)}
    assert list(quality) == [FLAT, MANY_PLANES]
    found = quality[MANY_PLANES]
    assert found.count == len(rates) == 14
    spread = ((rates - rates.mean()) ** 2).sum()
    assert found.r_squared == pytest.approx(1 - ((rates - predicted) ** 2).sum() / spread)
    assert found.mean_error == pytest.approx(np.abs(rates - predicted).mean())
    all_told, all_true = np.concatenate(told), np.concatenate(truth)
    assert found.agreement == pytest.approx((all_told == all_true).mean())
    assert found.explained == pytest.approx(all_told[all_true].mean())
    assert found.false_alarms == pytest.approx(all_told[~all_true].mean())


def row(predicted: list[float], measured: list[float], scale: float = 0.0) -> PredictionRow:
    rates = np.array(predicted), np.array(measured)
    return PredictionRow(CURVED, "any", 1.0, scale, 10, *rates, 0.9, 0.8, 0.1)


def test_quality_of_perfect_useless_and_unspread_rates() -> None:
    measured = [0.1, 0.4, 0.7]
    rows = [
        row(measured, measured, 1.0),
        row([0.4] * 3, measured, 2.0),
        row([0.2] * 3, [0.1] * 3, 3.0),
        row([0.7, 0.4, 0.1], measured, 4.0),
    ]
    quality = prediction_quality(rows)
    assert [one.scale for one in quality] == [1.0, 2.0, 3.0, 4.0]
    assert [one.r_squared for one in quality] == pytest.approx([1.0, 0.0, 0.0, -3.0])
    assert [one.mean_error for one in quality] == pytest.approx([0.0, 0.2, 0.1, 0.4])
    assert quality[0].explained == pytest.approx(0.8)


def test_flat_bound_constants_and_that_it_holds() -> None:
    assert flat_bound(10, 0.1, 1.0) == pytest.approx(52, abs=0.5)
    assert flat_bound(10, 0.2, 1.0) == pytest.approx(26, abs=0.5)
    assert flat_bound(10, 0.2, 0.25) == pytest.approx(4 * flat_bound(10, 0.2, 1.0))
    assert flat_bound(40, 0.2, 1.0) == pytest.approx(2 * flat_bound(10, 0.2, 1.0))
    for dimension in (2, 10, 100):
        for delta in (0.05, 0.2, 0.5):
            # |u_1| of a unit vector u has to reach 1 / rho.
            missed = beta_law(0.5, (dimension - 1) / 2).cdf(flat_bound(dimension, delta, 1.0) ** -2)
            assert missed <= delta


def test_curved_bound_halves_the_principal_curvature() -> None:
    radius, depth = 10.0, 1.0
    limit = curved_bound(10**12, 1 / radius, 0.1, margin=depth)
    assert limit == pytest.approx(4.47, abs=0.005)
    assert limit > exact_tangential(depth, radius) > sqrt(depth * radius)  # without halving: 3.16
    # Lengths in other units.
    wide = curved_bound(20, 1 / (3 * radius), 0.1, margin=3 * depth)
    assert wide == pytest.approx(3 * curved_bound(20, 1 / radius, 0.1, margin=depth))
    assert curved_bound(20, 0.1, 0.1, margin=1.0) - limit == pytest.approx(
        20 * sqrt(2 * np.log(20) / 20), rel=1e-4
    )


@pytest.mark.parametrize("dimension", [3, 12])
def test_curved_bound_holds_in_a_ball(dimension: int) -> None:
    radius, depth, delta = 10.0, 1.0, 0.2
    directions = np.zeros((400, D))
    directions[:, :dimension] = unit_rows(400, dimension)
    image = at_depth(depth, radius)
    norm = curved_bound(dimension, 1 / radius, delta, margin=depth)
    assert fooled(ball(radius), image, directions, norm).mean() >= 1 - delta


@pytest.mark.parametrize(
    ("dimension", "lower", "upper"), [(10, 0.41, 4.31), (100, 0.74, 1.43), (1000, 0.91, 1.11)]
)
def test_noise_bounds_constants_and_that_they_hold(
    dimension: int, lower: float, upper: float
) -> None:
    numbers, delta = 3072, 0.1
    found = noise_bounds(numbers, dimension, delta)
    law = numbers / dimension
    assert found[0] ** 2 / law == pytest.approx(lower, abs=0.005)
    assert found[1] ** 2 / law == pytest.approx(upper, abs=0.005)
    energy = beta_law(dimension / 2, (numbers - dimension) / 2)  # of a normal in the subspace
    assert energy.sf(found[0] ** -2) <= delta
    assert energy.cdf(found[1] ** -2) <= delta


def test_margins_in_random_subspaces_follow_the_law() -> None:
    dimensions, numbers, models = [64, 128, 256, 512], 1024, 60
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=generator)
    basis = torch.linalg.qr(
        torch.randn(numbers, max(dimensions), dtype=torch.float64, generator=generator)
    ).Q.T.numpy()
    subspaces = [Subspace(basis[:dimension]) for dimension in dimensions]
    margins, full = [], []
    for seed in range(models):
        module = linear(2, numbers, seed)
        found = subspace_margins(Classifier(module), images, subspaces)
        normal = (module.weight[1] - module.weight[0]).detach().numpy()
        normal /= np.linalg.norm(normal)
        for subspace, row in zip(subspaces, found.margins, strict=True):
            wanted = found.full / np.sqrt(subspace.energy(normal[None]))
            np.testing.assert_allclose(row, wanted, rtol=1e-6)
        margins.append(found.margins)
        full.append(found.full)
    pooled = SubspaceMargins(
        found.dimensions, np.concatenate(margins, 1), np.concatenate(full), numbers
    )
    assert bool(pooled.met.all())
    assert pooled.slope == pytest.approx(-0.5, abs=0.02)
    np.testing.assert_allclose(pooled.law, [4.0, sqrt(8), 2.0, sqrt(2)])
    np.testing.assert_allclose(pooled.median_ratio, pooled.law, rtol=0.05)


def test_slope_is_of_images_met_everywhere() -> None:
    full = np.array([1.0, 2.0, 1.0, inf])
    margins = np.array([[8.0, 16.0, inf, 1.0], [4.0, 8.0, 1.0, 1.0], [2.0, 4.0, 1.0, 1.0]])
    found = SubspaceMargins(np.array([1, 4, 16]), margins, full, 64)
    assert found.met.tolist() == [True, True, False, False]
    assert found.median_ratio.tolist() == [8.0, 4.0, 2.0]
    assert found.slope == pytest.approx(-0.5)
    none = SubspaceMargins(np.array([1, 4]), np.full((2, 3), inf), np.ones(3), 64)
    assert np.isnan(none.slope)


def test_a_subspace_that_meets_no_boundary() -> None:
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    weight = torch.zeros(2, D, dtype=torch.float64)
    weight[1, 0] = 1.0
    classifier = Classifier(
        Linear(weight, torch.tensor([0.0, -0.5], dtype=torch.float64)).eval(), (-9, 9)
    )
    beside, whole = Subspace(np.eye(D)[1:3]), Subspace(np.eye(D)[:3])
    found = subspace_margins(classifier, image, [beside, whole])
    assert found.margins[:, 0].tolist() == [inf, pytest.approx(0.5)]
    assert found.full.tolist() == [pytest.approx(0.5)]
    assert found.dimensions.tolist() == [2, 3]
    assert not found.met.any()


def test_what_does_not_fit_is_refused() -> None:
    planes, directions = shared_axis([1.0, 2.0]), unit_rows(3)
    along, family = planes.along(directions), DirectionFamily("any", directions)
    right = np.zeros((3, 2), dtype=bool)
    with pytest.raises(InputError, match=r"`directions` should have shape \(draws, 12\)"):
        planes.along(unit_rows(3, 5))
    with pytest.raises(InputError, match="`directions` should be unit vectors"):
        planes.along(2 * directions)
    with pytest.raises(InputError, match=r"`along` should have shape \(draws, 2, 1\)"):
        flat(planes, directions, 1.0)
    with pytest.raises(InputError, match=r"`along` should have shape \(draws, 2, 1\)"):
        curved(planes, directions, 1.0, right.astype(float))
    with pytest.raises(InputError, match="`norm` should be positive and finite"):
        many_planes(planes, along, 0.0)
    with pytest.raises(InputError, match=r"`curvature` should have shape .* = \(3, 2\)"):
        curved(planes, along, 1.0, np.zeros((2, 3)))
    with pytest.raises(InputError, match="`curvature` should be finite"):
        curved(planes, along, 1.0, np.full((3, 2), np.nan))
    with pytest.raises(InputError, match=r"needs two .* Found 1"):
        shared_curvature(shared_axis([1.0, inf]), along, 1.0, np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"one array a norm, 2\. Found 1"):
        prediction_rows(planes, family, [1.0, 2.0], [right])
    with pytest.raises(InputError, match=r"`fooled` should have shape .* = \(3, 2\)"):
        prediction_rows(planes, family, [1.0], [right.T])


def test_options_out_of_range_are_refused() -> None:
    classifier, images = Classifier(linear(2, D)), random_images(2, SHAPE)
    with pytest.raises(InputError, match="`runners_up` should be at least 0"):
        tangent_planes(classifier, images, runners_up=-1)
    with pytest.raises(InputError, match="`batch_size` should be at least 1"):
        tangent_planes(classifier, images, batch_size=0)
    with pytest.raises(InputError, match="`images` should hold at least one image"):
        tangent_planes(classifier, images[:0])
    with pytest.raises(InputError, match=r"at least two dimensions.*Found \[2, 2\]"):
        subspace_margins(classifier, images, [Subspace(np.eye(D)[:2])] * 2)
    with pytest.raises(InputError, match="`captured` should lie above 0"):
        flat_bound(10, 0.1, 0.0)
    with pytest.raises(InputError, match="`delta` should lie between 0 and 1"):
        flat_bound(10, 1.0, 1.0)
    with pytest.raises(InputError, match="`dimension` should be at least 1"):
        flat_bound(0, 0.1, 1.0)
    with pytest.raises(InputError, match="`curvature` should be positive"):
        curved_bound(10, -1.0, 0.1, margin=1.0)
    with pytest.raises(InputError, match="`margin` should be positive"):
        curved_bound(10, 1.0, 0.1, margin=inf)
    with pytest.raises(InputError, match=r"`dimension` should lie in 1\.\.5"):
        noise_bounds(5, 6, 0.1)
    assert noise_bounds(5, 5, 0.999)[1] < sqrt(e)
