"""Universal perturbations, against linear classifiers whose best one is known in closed form."""

from math import inf

import pytest
import torch
from torch import Tensor, nn

from analysis import Ball, Subspace, UniversalPerturbation, fooling_rate, universal_perturbation
from boundary import Classifier, InputError
from surfaces import Linear

SHAPE = (1, 4, 5)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear(classes: int, seed: int = 0) -> Classifier:
    weight = random(classes, 20, seed=seed)
    return Classifier(Linear(weight, torch.zeros(classes).double()).eval(), bounds=(-50, 50))


def distances(count: int) -> Tensor:
    return torch.linspace(0.005, 1.995, count, dtype=torch.float64)


def one_side(count: int) -> tuple[Classifier, Tensor, Tensor]:
    """Return a binary classifier, images on one side of it, and their distances from it."""
    classifier = linear(2)
    normal = classifier.module.weight[1] - classifier.module.weight[0]
    unit = normal.detach() / normal.detach().norm()
    distance = distances(count)
    points = random(count, 20, seed=1)
    points += (-distance - points @ unit)[:, None] * unit
    return classifier, points.view(count, *SHAPE), unit


@pytest.mark.parametrize("loss", ["rate", "cross_entropy"])
def test_the_perturbation_of_a_linear_classifier_is_its_normal(loss: str) -> None:
    classifier, images, unit = one_side(200)
    found = universal_perturbation(classifier, images, Ball(0.8), gradients=2000, loss=loss)
    assert float(found.vector.flatten() @ unit) == pytest.approx(0.8, rel=1e-6)
    assert found.backward_passes == 2000
    assert found.forward_passes == 2600  # the clean images, each step, and both signs at the end
    family = found.as_perturbations()
    for norm in (0.2, 0.8, 1.5):  # an image is fooled where its distance is below the norm
        rate = fooling_rate(classifier, images, family.scaled(norm))
        assert rate.count == int((distances(200) < norm).sum())


def test_in_the_l_infinity_ball_it_is_the_sign_of_the_normal() -> None:
    classifier, images, unit = one_side(200)
    found = universal_perturbation(classifier, images, Ball(0.1, inf), gradients=2000)
    assert torch.allclose(found.vector.flatten(), 0.1 * unit.sign())


@pytest.mark.parametrize("p", [2, inf])
def test_in_a_subspace_it_is_the_projected_normal(p: float) -> None:
    classifier, images, unit = one_side(200)
    subspace = Subspace.spanned_by(random(6, 20, seed=3))
    found = universal_perturbation(
        classifier, images, Ball(0.8, p), gradients=2000, subspace=subspace
    )
    inside = torch.from_numpy(subspace.project(unit[None])).squeeze(0)
    assert torch.allclose(found.vector.flatten() / found.vector.norm(), inside / inside.norm())
    assert found.vector.norm(p=p) == pytest.approx(0.8, rel=1e-9)


@pytest.mark.parametrize("loss", ["rate", "cross_entropy"])
def test_a_target_class(loss: str) -> None:
    classifier = linear(5, seed=2)
    images = 0.3 * random(300, *SHAPE, seed=4)
    for target in range(5):
        found = universal_perturbation(
            classifier, images, Ball(3.0), target=target, gradients=3000, loss=loss
        )
        moved = classifier.predict(images + found.vector)
        assert (moved == target).double().mean() > 0.95


def test_it_fools_images_of_every_class_better_than_chance_and_the_same_again() -> None:
    classifier = linear(5, seed=2)
    images = 0.3 * random(400, *SHAPE, seed=4)
    watch = 0.3 * random(400, *SHAPE, seed=5)

    def find(seed: int) -> UniversalPerturbation:
        return universal_perturbation(
            classifier, images, Ball(2.0), gradients=4000, watch=watch, seed=seed
        )

    found = find(0)
    assert torch.equal(found.vector, find(0).vector)
    assert not torch.equal(found.vector, find(1).vector)
    rate = fooling_rate(classifier, watch, found.as_perturbations())
    spent, watched = found.trace[-1]
    assert (len(found.trace), spent) == (20, 4000)
    assert watched == pytest.approx(rate.rate, abs=0.01)
    assert rate.rate > 0.7  # all images in one class leave the share of that class unfooled


class Seen(Linear):
    """Keeps the batches it is given."""

    def forward(self, images: Tensor) -> Tensor:
        self.__dict__.setdefault("batches", []).append(images.detach().clone())
        return super().forward(images)


@pytest.mark.parametrize("mirror", [False, True])
def test_about_half_of_the_images_are_mirrored_where_that_is_asked_for(mirror: bool) -> None:
    module = Seen(random(2, 20), torch.zeros(2).double()).eval()
    images = random(40, *SHAPE, seed=6)
    universal_perturbation(
        Classifier(module, bounds=(-50, 50)),
        images,
        Ball(1.0),
        gradients=40,
        batch_size=40,
        mirror=mirror,
    )
    given = module.batches[-3]  # of the one step, at v = 0; then both signs are tried
    as_they_are = sum(any(torch.equal(one, image) for image in images) for one in given)
    mirrored = sum(any(torch.equal(one, image.flip(-1)) for image in images) for one in given)
    assert as_they_are + mirrored == 40
    assert 10 < mirrored < 30 if mirror else mirrored == 0


class Constant(nn.Module):
    """Logits that do not depend on the image."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 2, dtype=images.dtype) + torch.tensor([3.0, 0.0])


def test_what_cannot_be_used_is_refused() -> None:
    classifier, images, _ = one_side(20)
    for ball, message in (((0.0, 2), "`norm`"), ((1.0, 1), "`p` should be 2 or infinity")):
        with pytest.raises(InputError, match=message):
            Ball(*ball)
    for options, message in (
        ({"gradients": 0}, "`gradients` should be at least 1"),
        ({"batch_size": 0}, "`batch_size` should be at least 1"),
        ({"step": 0.0}, "`step` should be a share of the norm"),
        ({"loss": "hinge"}, "`loss` should be rate or cross_entropy"),
        ({"target": 2}, r"`target` should lie in 0\.\.1"),
        ({"subspace": Subspace(torch.eye(3).numpy())}, "one of the 20 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            universal_perturbation(classifier, images, Ball(1.0), **options)
    with pytest.raises(InputError, match="not zero for every image"):
        universal_perturbation(Classifier(Constant().eval(), (-50, 50)), images, Ball(1.0))
