"""Universal perturbations by name, what they must beat, and how many images they take."""

import itertools
from math import inf

import numpy as np
import pytest
import torch
from scipy.stats import beta
from scipy.stats import norm as gaussian

from analysis import (
    ALGORITHMS,
    Ball,
    Recipe,
    Subspace,
    fooling_rate,
    in_subspace,
    make_universal,
    on_sphere,
)
from analysis.algorithms import family_name, universal_parts
from analysis.learning import counts_below, universal_of_few
from boundary import Classifier, InputError, nearest_boundary_points
from figures.family import family
from surfaces import Linear, linear, random_images, smooth_network

SHAPE = (1, 3, 4)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("ball", [Ball(0.6), Ball(0.2, inf)])
def test_every_algorithm_finds_the_normal_of_a_linear_boundary(algorithm: str, ball: Ball) -> None:
    classifier = Classifier(torch.nn.Sequential(linear(2, 12)).eval())
    images = random_images(120, SHAPE)
    images = images[classifier.predict(images) == 0]
    unit = nearest_boundary_points(classifier, images[:1]).normal[0]
    recipe = Recipe(gradients=600, layer="0", q=2.0)
    found = make_universal(algorithm, classifier, images, ball, recipe).vector  # type: ignore[arg-type]
    best = unit if ball.p == 2 else unit.sign()
    cosine = float((found * best).sum() / found.norm() / best.norm())
    if algorithm == "hidden_layer":  # it moves the layer most, whatever the classes
        leading = torch.linalg.svd(classifier.module[0].weight.detach()).Vh[0].view(SHAPE)
        cosine = float((found * leading).sum().abs() / found.norm()) if ball.p == 2 else 1.0
    # The loop over images ends where the last increment leaves it.
    assert cosine > (0.85 if algorithm == "deepfool" else 0.999)
    assert float(ball.length(found)) <= ball.norm * (1 + 1e-9)


def test_options_that_an_algorithm_lacks_are_refused() -> None:
    classifier, images = Classifier(smooth_network()), random_images(8, SHAPE)
    for algorithm, recipe, message in (
        ("deepfool", Recipe(10, target=1), "`deepfool` takes no `target`"),
        ("hidden_layer", Recipe(10, target=1), "`hidden_layer` takes no `target`"),
        (
            "hidden_layer",
            Recipe(10),
            "`layer` should be one of the 6 parts of the model.*Found none",
        ),
        ("hidden_layer", Recipe(10, layer="9"), r"of the 6 parts.*Found `9`"),
        ("deepfool", Recipe(10, mirror=True), "`deepfool` takes no `mirror`"),
        ("smoothrate", Recipe(10), "`algorithm` should be one of smooth_rate"),
    ):
        with pytest.raises(InputError, match=message):
            make_universal(algorithm, classifier, images, Ball(1.0), recipe)  # type: ignore[arg-type]


def test_families_have_names() -> None:
    assert family_name("smooth_rate", 2.0) == "universal smooth_rate l2"
    assert family_name("deepfool", inf) == "universal deepfool linf"
    assert family_name("smooth_rate", 2.0, target=3) == "universal smooth_rate l2 to class 3"
    assert family("universal smooth_rate l2 to class 3").label == (
        "universal to class 3 (smooth rate)"
    )
    assert family_name("smooth_rate", 2.0, inside=True) == "universal smooth_rate l2 in subspace"
    for parts in itertools.product(ALGORITHMS, (2.0, inf), (None, 12), (False, True)):
        algorithm, p, target, inside = parts
        name = family_name(algorithm, p, target=target, inside=inside)
        assert universal_parts(name) == parts
    assert universal_parts("file universal smooth_rate l2") is None


def test_random_vectors_of_a_planted_subspace_fool_as_the_theory_says() -> None:
    """Normals of many pairs of classes lie in 6 of 200 dimensions, so v fools as if D were 6.

    Of one linear boundary at distance m, a random v of norm rho uniform on the sphere of an
    R-dimensional space that holds the normal fools with probability P(rho u > m), u one coordinate
    of a uniform unit vector: u^2 is Beta(1/2, (R - 1) / 2), nearly normal of variance 1/R for the
    whole space.
    """
    generator = np.random.default_rng(0)
    basis = Subspace.spanned_by(generator.standard_normal((6, 200)))
    for R, space in ((6, basis), (200, Subspace(np.eye(200)))):
        weight = torch.from_numpy(np.stack([0 * basis.basis[0], basis.basis[0]]))
        classifier = Classifier(Linear(weight, torch.zeros(2).double()).eval(), bounds=(-9, 9))
        margins = generator.uniform(0.05, 0.6, 100)
        points = generator.standard_normal((100, 200)) / 20
        points -= (points @ basis.basis[0] + margins)[:, None] * basis.basis[0]
        images = torch.from_numpy(points).view(100, 2, 10, 10)
        drawn = in_subspace(space, (2, 10, 10), 4000, 1.0, torch.Generator().manual_seed(1))
        measured = fooling_rate(classifier, images, drawn)
        expected = 0.5 * beta.sf(margins**2, 0.5, (R - 1) / 2)
        assert measured.interval.low <= expected.mean() <= measured.interval.high
        assert measured.rate == pytest.approx(expected.mean(), rel=0.08)
        if R == 200:
            assert expected == pytest.approx(gaussian.sf(margins * R**0.5), abs=0.003)
    sphere = on_sphere((2, 10, 10), 4000, 1.0, torch.Generator().manual_seed(1))
    assert fooling_rate(classifier, images, sphere).rate == pytest.approx(measured.rate, rel=0.15)


def test_perturbations_of_fewer_images() -> None:
    classifier, images = Classifier(smooth_network()), random_images(40, SHAPE)
    recipe = Recipe(gradients=100, seed=3)
    found = universal_of_few(classifier, images, [10, 20], "smooth_rate", Ball(0.5), recipe)
    for count, made in zip((10, 20), found, strict=True):
        alone = make_universal("smooth_rate", classifier, images[:count], Ball(0.5), recipe)
        assert torch.allclose(made.vectors[0], alone.vector)


def test_counts_are_those_below_all() -> None:
    assert counts_below(None, 800) == []
    assert counts_below([50, 10, 80], 80) == [10, 50]
    with pytest.raises(InputError, match=r"1\.\.80"):
        counts_below([81], 80)
