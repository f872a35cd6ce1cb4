"""Causes of fooling of classifiers whose boundaries are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis import Perturbations, Subspace, in_subspace, on_sphere
from analysis.causes import CAUSES, MODELS, FoolingCauses, causes_of_fooling
from boundary import Classifier, InputError
from boundary.controls import PlantedNetwork, Size, curved
from surfaces import Gap, Linear, Quadric, linear, random_images

SHAPE = (1, 4, 5)
NORM = 0.8
SMALL = Size(shape=(1, 8, 8), classes=4, count=40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def flat() -> tuple[Linear, Tensor, Perturbations, FoolingCauses]:
    module, images = linear(5, 20), random_images(60, SHAPE)
    vectors = on_sphere(SHAPE, 12, NORM, generator())
    (found,) = causes_of_fooling(Classifier(module), images, [vectors], batch_size=17)
    return module, images, vectors, found


def planes_by_hand(
    module: Linear, images: Tensor, vectors: Tensor
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (draws, images): fooled, beyond the nearest plane, beyond any."""
    weight, x, v = module.weight.detach(), images.flatten(1), vectors.flatten(1)
    logits = x @ weight.T + module.bias.detach()
    source = logits.argmax(1)
    apart = weight[None] - weight[source][:, None]  # (N, K, D)
    length = apart.norm(dim=2)
    margin = (logits.gather(1, source[:, None]) - logits) / length  # NaN for the source
    rise = torch.einsum("nkd,vd->vnk", apart, v) / length
    nearest = margin.nan_to_num(torch.inf).argmin(1)
    crossed = rise > margin
    fooled = (x + v[:, None]) @ weight.T + module.bias.detach()
    own = crossed[:, torch.arange(len(x)), nearest]
    return tuple(part.numpy() for part in (fooled.argmax(2) != source, own, crossed.any(2)))  # type: ignore[return-value]


def test_planes_tell_all_of_a_linear_classifier(
    flat: tuple[Linear, Tensor, Perturbations, FoolingCauses],
) -> None:
    module, images, vectors, found = flat
    fooled, own, planes = planes_by_hand(module, images, vectors.vectors)
    np.testing.assert_array_equal(found.fooled, fooled)
    np.testing.assert_array_equal(found.own_plane, own)
    np.testing.assert_array_equal(found.planes, planes)
    np.testing.assert_array_equal(found.bending, planes)
    assert 0 < own.sum() < planes.sum() == fooled.sum() < fooled.size
    assert (found.found == 4).all()
    shares = {name: found.cause(name).value for name in CAUSES}
    assert shares["own_plane"] == pytest.approx(own[fooled].mean())
    assert shares["other_plane"] == pytest.approx(1 - own[fooled].mean())
    assert shares["bending"] == shares["unexplained"] == 0
    assert found.gain.estimate == 0
    assert found.gain.p == 1
    assert [found.right(model).value for model in MODELS[1:]] == [1, 1]
    assert found.right("own plane").value == pytest.approx((own == fooled).mean())
    assert [found.false_alarms(model).value for model in MODELS] == [0, 0, 0]


def test_classes_that_are_not_looked_at_cross_nothing(
    flat: tuple[Linear, Tensor, Perturbations, FoolingCauses],
) -> None:
    module, images, vectors, whole = flat
    classifier = Classifier(module)
    (one,) = causes_of_fooling(classifier, images, [vectors], classes=1)
    assert (one.found == 1).all()
    np.testing.assert_array_equal(one.own_plane, one.planes)
    assert not (one.planes & ~whole.planes).any()
    assert one.planes.sum() < whole.planes.sum()
    (most,) = causes_of_fooling(classifier, images, [vectors], classes=99)
    np.testing.assert_array_equal(most.planes, whole.planes)
    with pytest.raises(InputError, match="`classes` should be at least 1"):
        causes_of_fooling(classifier, images, [vectors], classes=0)


def test_batches_change_nothing_and_families_keep_their_order(
    flat: tuple[Linear, Tensor, Perturbations, FoolingCauses],
) -> None:
    module, images, vectors, whole = flat
    subspace = Subspace(np.eye(20)[:3])
    inside = in_subspace(subspace, SHAPE, 2, 2.0, generator(1))
    listed = replace(inside.scaled(0.5), family="listed", sampled=False)
    found = causes_of_fooling(
        Classifier(module), images, [inside, vectors, listed], batch_size=60, scale=0.3
    )
    assert [one.family for one in found] == ["subspace", "sphere", "listed"]
    assert [one.norm for one in found] == [2.0, NORM, 0.5]
    assert [one.subspace_dimension for one in found] == [3, 20, 3]
    assert [one.sampled for one in found] == [True, True, False]
    assert [one.scale for one in found] == [0.3, 0.3, 0.3]
    assert whole.scale == NORM / 2
    for name in ("fooled", "own_plane", "planes", "bending", "found"):
        np.testing.assert_array_equal(getattr(found[1], name), getattr(whole, name))


class Roof(torch.nn.Module):
    """x_0 - 0.7 + 0.3 |x_1 - 0.5|: along x_1 the curvature at scale s is 0.6 / s."""

    def forward(self, points: Tensor) -> Tensor:
        return points[:, 0] - 0.7 + 0.3 * (points[:, 1] - 0.5).abs()


def test_curvature_is_by_default_measured_at_half_the_norm() -> None:
    classifier = Classifier(Gap(Roof()).eval())
    image = torch.full((1, *SHAPE), 0.5, dtype=torch.float64)
    aside = torch.zeros(SHAPE, dtype=torch.float64)
    aside[0, 0, 1] = 1.0
    vector = Perturbations.of("aside", aside, 0.6)
    told = [
        bool(causes_of_fooling(classifier, image, [vector], scale=scale)[0].bending.all())
        for scale in (None, 0.3, 0.6)
    ]
    # 0.2 of the way to go, of which 0.6 / s * 0.36 / 2 are gained: 0.36 at 0.3, 0.18 at 0.6.
    assert told == [True, True, False]


def planted(bend: float = 0.65) -> tuple[Classifier, Tensor, PlantedNetwork]:
    network = curved(0, SMALL, bend=bend).module
    assert isinstance(network, PlantedNetwork)
    images = network.centres[:20].double().view(-1, *SMALL.shape)
    return Classifier(network.double()), images, network


def test_bending_tells_all_that_a_curved_boundary_fools() -> None:
    classifier, images, network = planted()
    subspace = Subspace(network.subspace.numpy())
    vectors = in_subspace(subspace, SMALL.shape, 3, 2 * SMALL.median_margin, generator())
    near, far = causes_of_fooling(classifier, images, [vectors, vectors.scaled(0.5 * vectors.norm)])
    assert near.fooled.all()
    assert near.cause("bending").value == 1
    assert near.gain.estimate == 1
    assert near.right("planes").value == 0
    assert near.right("planes and bending").value == 1
    # From m sqrt(2 / (kappa m)) on, 1.75 margins: at one margin nothing is fooled, nothing told.
    assert not far.fooled.any()
    assert not far.bending.any()


def test_a_boundary_that_bends_away_is_no_cause() -> None:
    classifier, images, network = planted(bend=-0.65)
    subspace = Subspace(network.subspace.numpy())
    vectors = in_subspace(subspace, SMALL.shape, 3, 2 * SMALL.median_margin, generator())
    (found,) = causes_of_fooling(classifier, images, [vectors])
    assert not found.fooled.any()
    assert not found.bending.any()


def test_the_parabola_of_a_ball_is_passed_where_the_closed_form_says() -> None:
    """From inside a ball of radius r at distance o of its surface, kappa by values at scale s.

    The gap |z|^2 / r^2 - 1 at the nearest point plus and minus s along a tangent is s^2 / r^2, and
    its slope 2 / r: kappa is 1 / r at every scale.
    """
    radius, at = 1.0, 0.8
    axes = torch.full((20,), radius, dtype=torch.float64)
    classifier = Classifier(Gap(Quadric(torch.zeros(20, dtype=torch.float64), axes)).eval())
    image = torch.zeros(1, *SHAPE, dtype=torch.float64)
    image[0, 0, 0, 0] = at
    directions = torch.zeros(41, *SHAPE, dtype=torch.float64)
    angles = torch.linspace(0.05, 3.0, 41, dtype=torch.float64)
    directions[:, 0, 0, 0], directions[:, 0, 0, 1] = angles.cos(), angles.sin()
    vectors = Perturbations.of("turned", directions, 0.6)
    (found,) = causes_of_fooling(classifier, image, [vectors], max_gradients=300)
    along, aside = 0.6 * angles.cos(), 0.6 * angles.sin()
    offset = radius - at
    plane = along > offset
    parabola = plane | (along > offset - aside**2 / (2 * radius))
    fooled = (at + along) ** 2 + aside**2 > radius**2
    np.testing.assert_array_equal(found.planes[:, 0], plane.numpy())
    np.testing.assert_array_equal(found.bending[:, 0], parabola.numpy())
    np.testing.assert_array_equal(found.fooled[:, 0], fooled.numpy())
    assert plane.sum() < parabola.sum()


def test_causes_are_told_apart_by_hand() -> None:
    rows = torch.tensor  # (draws, images) of every combination that nested models allow
    fooled = rows([[1, 1, 1, 1, 0, 0, 0, 0]]).bool().numpy()
    own = rows([[1, 0, 0, 0, 1, 0, 0, 0]]).bool().numpy()
    planes = own | rows([[0, 1, 0, 0, 0, 1, 0, 0]]).bool().numpy()
    bending = planes | rows([[0, 0, 1, 0, 0, 0, 1, 0]]).bool().numpy()
    found = FoolingCauses("any", 1, 1.0, 0.5, fooled, own, planes, bending, np.ones(8, np.int64))
    assert [found.cause(name).value for name in CAUSES] == [0.25] * 4
    assert [found.right(model).value for model in MODELS] == [0.5, 0.5, 0.5]
    assert [found.false_alarms(model).value for model in MODELS] == [0.25, 0.5, 0.75]
    assert found.gain.estimate == 0
