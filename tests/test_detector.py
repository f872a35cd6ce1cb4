"""The detector: scores on balls and smooth networks, areas against scikit-learn."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor, nn

from analysis.detector import Detector, curvature_scores, minimal_perturbations
from analysis.intervals import wilson_interval
from analysis.saved import load_result, save_result
from boundary import Classifier, InputError, nearest_boundary_points
from boundary.anchors import PAIR, REGION, anchors_at, anchors_at_images
from boundary.curvature import ShapeOperator
from boundary.sections import ESTIMATORS, SECTION, VALUES, curvatures
from surfaces import Constant, Gap, Linear, Quadric, linear, random_images, smooth_network

SHAPE = (3, 2, 2)
D = 12
RADIUS = 2.5


def ball() -> Classifier:
    axes = torch.full((D,), RADIUS, dtype=torch.float64)
    return Classifier(Gap(Quadric(torch.zeros(D, dtype=torch.float64), axes)).eval(), (-9, 9))


def at_radii(radii: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    rays = torch.randn(len(radii), D, dtype=torch.float64, generator=generator)
    return (radii[:, None] * nn.functional.normalize(rays)).view(-1, *SHAPE)


def directions(count: int = 3) -> NDArray[np.float64]:
    return np.random.default_rng(1).standard_normal((count, D))


def tied_scores(seed: int, count: int = 40, shift: float = 0.5) -> tuple[NDArray[np.float64], ...]:
    generator = np.random.default_rng(seed)
    clean = generator.normal(0, 1, count).round(1)
    return clean, (generator.normal(shift, 1, count)).round(1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_level_sets_of_a_ball_bend_as_their_own_spheres(estimator: str) -> None:
    radii = torch.tensor([0.5, 1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    scale = 0.1
    found = curvature_scores(
        ball(), at_radii(radii), directions(), scale, estimator=estimator, batch_size=2
    )
    curvature = 1 / radii
    if estimator == SECTION:
        curvature = 2 * (radii - (radii**2 - scale**2).sqrt()) / scale**2
    # Inside a point sees the ball from inside, beyond the boundary from outside.
    expected = torch.where(radii < RADIUS, curvature, -curvature)
    assert not np.ma.getmaskarray(found).any()
    np.testing.assert_allclose(found.data, expected, rtol=1e-5)


def test_an_image_without_a_normal_is_masked() -> None:
    images = at_radii(torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64))
    found = curvature_scores(ball(), images, directions(), 0.1)
    assert np.ma.getmaskarray(found).tolist() == [False, True, False]
    np.testing.assert_allclose(found.compressed(), [1.0, 0.5])
    flat = Classifier(Constant(torch.tensor([0.0, 1.0], dtype=torch.float64)).eval(), (-9, 9))
    assert np.ma.getmaskarray(curvature_scores(flat, images, directions(), 0.1)).all()


def test_scores_are_means_over_the_directions_in_each_image_s_own_class() -> None:
    classifier, images = Classifier(smooth_network()), random_images(20, SHAPE)
    assert len(classifier.predict(images).unique()) > 1
    anchors, _ = anchors_at_images(classifier, images)
    rows = directions(4)
    along = torch.from_numpy(rows).view(-1, *SHAPE)
    exact = ShapeOperator(classifier, anchors).normal_curvatures(along).mean(0)
    found = curvature_scores(classifier, images, rows, 1e-3, surface=PAIR, batch_size=7)
    np.testing.assert_allclose(found.data, exact, rtol=1e-3, atol=1e-5)
    assert exact.min() < 0 < exact.max()
    single = classifier.module.float()
    coarse = curvature_scores(Classifier(single), images.float(), rows, 0.1)
    np.testing.assert_allclose(coarse.data, exact, atol=0.1 * float(exact.abs().max()))


@pytest.mark.parametrize(("surface", "expected"), [(PAIR, 0.0), (REGION, 0.9)])
def test_the_region_bends_where_a_third_class_takes_over(surface: str, expected: float) -> None:
    weight, bias = torch.zeros(3, D, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    weight[1:, 0], weight[2, 1], bias[2] = 1.0, 1.0, -0.1  # gaps x_0 and x_0 + x_1 - 0.1
    classifier = Classifier(Linear(weight, bias).eval(), (-9, 9))
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    image[0, 0, 0, 0] = -0.05
    found = curvature_scores(classifier, image, np.eye(D)[1:2], 1.0, surface=surface)
    np.testing.assert_allclose(found.data, expected, atol=1e-12)


def test_just_across_the_boundary_the_sign_has_turned() -> None:
    classifier, images = Classifier(smooth_network(classes=2)), random_images(12, SHAPE)
    found = nearest_boundary_points(classifier, images, max_gradients=60)
    assert bool(found.on_boundary.all())
    anchors, _ = anchors_at(classifier, found.point, found.source, found.target)
    along = torch.from_numpy(directions()).view(-1, *SHAPE)
    (here,) = curvatures(classifier, anchors, along, 0.1, estimators=[VALUES], surfaces=[PAIR])
    expected = here.curvature.mean(1)
    beyond, crossed = minimal_perturbations(classifier, images, overshoot=1e-3, max_gradients=60)
    assert bool(crossed.all())
    scores = curvature_scores(classifier, beyond, directions(), 0.1)
    np.testing.assert_allclose(scores.data, -expected, rtol=0.02)
    assert float(expected.abs().min()) > 1e-3


def test_minimal_perturbations_cross_and_go_a_little_beyond() -> None:
    module = linear(4, D)
    images = random_images(9, SHAPE)
    moved, crossed = minimal_perturbations(
        Classifier(module), images, overshoot=0.1, max_gradients=60, batch_size=4
    )
    assert crossed.tolist() == [True] * 9
    logits = module(images)
    top = logits.argmax(1)
    gaps = logits.gather(1, top[:, None]) - logits
    slopes = (module.weight[top, None] - module.weight).norm(dim=2)
    margin = torch.where(slopes > 0, gaps / slopes, torch.inf).amin(1)
    torch.testing.assert_close((moved - images).flatten(1).norm(dim=1), 1.1 * margin)
    assert (module(moved).argmax(1) != top).all()


def test_an_image_without_a_boundary_stays_and_is_flagged() -> None:
    flat = Classifier(Constant(torch.tensor([0.0, 2.0], dtype=torch.float64)).eval())
    images = random_images(3, SHAPE)
    moved, crossed = minimal_perturbations(flat, images)
    assert crossed.tolist() == [False] * 3
    assert moved.equal(images)


def test_balls_are_told_from_what_crossed_them() -> None:
    images = at_radii(torch.linspace(0.5, 2.2, 16, dtype=torch.float64))
    moved, crossed = minimal_perturbations(ball(), images)
    assert bool(crossed.all())
    clean = curvature_scores(ball(), images, directions(), 0.1)
    perturbed = curvature_scores(ball(), moved, directions(), 0.1)
    found = Detector.of("nearest", clean, perturbed, 0.1)
    assert found.auc == 0.0  # perturbed images score lower here: nothing was learned
    assert found.auc_interval == wilson_interval(0, 16)
    rule = found.accuracy_by_sign
    assert (rule.orientation, rule.correct, rule.judged) == (-1, 16, 16)
    assert rule.accuracy == 1.0
    assert rule.interval == wilson_interval(16, 16)


@pytest.mark.parametrize("seed", range(4))
def test_area_and_curve_against_scikit_learn_with_ties(seed: int) -> None:
    clean, perturbed = tied_scores(seed)
    assert np.intersect1d(clean, perturbed).size
    found = Detector.of("noise", clean, perturbed, 0.1)
    truth = np.repeat([0, 1], len(clean))
    both = np.concatenate([clean, perturbed])
    assert found.auc == pytest.approx(roc_auc_score(truth, both), abs=1e-12)
    false, true = found.roc
    expected = roc_curve(truth, both, drop_intermediate=False)
    np.testing.assert_allclose(false, expected[0])
    np.testing.assert_allclose(true, expected[1])
    assert np.trapezoid(true, false) == pytest.approx(found.auc, abs=1e-12)
    turned = Detector.of("noise", -clean, -perturbed, 0.1)
    assert turned.auc == pytest.approx(1 - found.auc, abs=1e-12)


def test_separated_scores() -> None:
    clean = np.arange(1.0, 21)
    found = Detector.of("nearest", -clean, clean, 0.1)
    assert found.auc == 1.0
    assert found.auc_interval == wilson_interval(20, 20)
    false, true = found.roc
    assert ((false == 0) | (true == 1)).all()
    assert (found.accuracy_by_sign.orientation, found.accuracy_by_sign.accuracy) == (1, 1.0)


def test_equal_distributions_are_near_chance_and_intervals_hold_it() -> None:
    held, near = 0, 0
    for seed in range(40):
        clean, perturbed = tied_scores(seed, count=100, shift=0.0)
        found = Detector.of("nothing", clean, perturbed, 0.1)
        near += abs(found.auc - 0.5) < 0.12
        held += found.auc_interval.low <= 0.5 <= found.auc_interval.high
    assert near >= 38
    assert 34 <= held <= 40


def test_scores_all_tied_are_chance() -> None:
    found = Detector.of("nothing", np.zeros(10), np.zeros(10), 0.1)
    assert found.auc == 0.5
    assert found.auc_interval == wilson_interval(5, 10)
    rule = found.accuracy_by_sign
    assert (rule.orientation, rule.correct, rule.judged) == (1, 5, 10)


def test_an_image_and_its_own_version_are_resampled_together() -> None:
    # Among images that differ widely, each version scores a little more: nearly the same scores.
    clean = np.random.default_rng(0).normal(0, 1, 100)
    paired = Detector.of("small", clean, clean + 0.1, 0.1)
    order = np.random.default_rng(1).permutation(100)
    apart = Detector.of("small", clean, clean[order] + 0.1, 0.1)
    assert paired.auc == pytest.approx(apart.auc)
    widths = [one.auc_interval.high - one.auc_interval.low for one in (paired, apart)]
    assert widths[0] < 0.3 * widths[1]
    # The two-sample error, with no pairs, is that of Mann and Whitney's statistic.
    assert widths[1] == pytest.approx(2 * 1.96 * (201 / (12 * 100 * 100)) ** 0.5, rel=0.25)


def test_the_sign_is_judged_on_images_that_did_not_orient_it() -> None:
    clean, perturbed = np.full(20, 1.0), np.full(20, -1.0)
    places = np.random.default_rng(5).permutation(20)
    # The half that is judged goes the other way, so what was learned is wrong for all of it.
    clean[places[10:]], perturbed[places[10:]] = -1.0, 1.0
    rule = Detector.of("two kinds", clean, perturbed, 0.1, seed=5).accuracy_by_sign
    assert (rule.orientation, rule.correct, rule.judged) == (-1, 0, 20)
    assert rule.interval == wilson_interval(0, 20)


def test_only_pairs_with_both_scores_count() -> None:
    clean = np.ma.masked_array([1.0, 5, 3, 2], mask=[False, True, False, False])
    perturbed = np.ma.masked_array([2.0, -9, 9, 1], mask=[False, False, False, True])
    found = Detector.of("nearest", clean, perturbed, 0.1)
    assert found.scored.tolist() == [True, False, True, False]
    assert found.count == 2
    assert found.auc == 0.75
    assert found.clean.tolist() == [1, 0, 3, 0]
    assert found.perturbed.tolist() == [2, 0, 9, 0]


def test_a_detector_is_saved_and_loaded(tmp_path: Path) -> None:
    saved = Detector.of("nearest", *tied_scores(0), 0.1, seed=3)
    save_result(tmp_path / "detector.h5", saved, {})
    loaded = load_result(tmp_path / "detector.h5", Detector)
    for field in fields(saved):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(saved, field.name))
    assert loaded.auc_interval == saved.auc_interval


def test_what_cannot_be_scored_is_refused() -> None:
    images = at_radii(torch.ones(2, dtype=torch.float64))
    for wrong in (directions()[0], directions()[:, :5], directions()[:0]):
        with pytest.raises(InputError, match=r"`directions` should have shape \(R, 12\)"):
            curvature_scores(ball(), images, wrong, 0.1)
    with pytest.raises(InputError, match="`directions` should be finite"):
        curvature_scores(ball(), images, np.full((1, D), np.nan), 0.1)
    with pytest.raises(InputError, match="`scale` should be positive"):
        curvature_scores(ball(), images, directions(), 0.0)
    with pytest.raises(InputError, match=r"some of values, gradients, section. Found secant"):
        curvature_scores(ball(), images, directions(), 0.1, estimator="secant")
    for overshoot in (0.0, -0.1, float("inf")):
        with pytest.raises(InputError, match="`overshoot` should be positive"):
            minimal_perturbations(ball(), images, overshoot=overshoot)
    with pytest.raises(InputError, match="at least one image"):
        minimal_perturbations(ball(), images[:0])


def test_scores_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(InputError, match=r"same images.*\(3,\) and \(2,\)"):
        Detector.of("nearest", np.zeros(3), np.zeros(2), 0.1)
    with pytest.raises(InputError, match=r"at least 2 pairs of scores. Found 1 in 2"):
        Detector.of("nearest", np.ma.masked_array([1.0, 2.0], [True, False]), np.zeros(2), 0.1)
    with pytest.raises(InputError, match="should be finite"):
        Detector.of("nearest", np.array([0.0, np.nan]), np.zeros(2), 0.1)
