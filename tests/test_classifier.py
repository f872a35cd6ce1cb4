from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError
from surfaces import Constant, linear, random_images

IMAGES = random_images(6, (1, 2, 2))


class Wrapped(nn.Module):
    """Does something to the logits of a linear classifier."""

    def __init__(self, change: object) -> None:
        super().__init__()
        self.inner, self.change = linear(3, 4), change

    def forward(self, images: Tensor) -> object:
        return self.change(self.inner(images))  # type: ignore[operator]


@dataclass
class Output:
    logits: Tensor


def test_an_output_object_is_unwrapped() -> None:
    plain = linear(3, 4)
    wrapped = Wrapped(Output).eval()
    wrapped.inner = plain
    assert Classifier(wrapped)(IMAGES).equal(plain(IMAGES))


def test_device_and_dtype_are_the_modules() -> None:
    classifier = Classifier(linear(3, 4))
    assert classifier.dtype == torch.float64
    assert classifier.device == torch.device("cpu")
    assert classifier.place(IMAGES.float()).dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda logits: logits.softmax(1),
            "non-negative and sum to 1.*leave out the final softmax",
        ),
        (lambda logits: (logits, logits), "tensor of logits.*Found tuple"),
        (lambda logits: logits[:, :1], "at least two classes"),
        (lambda logits: logits.T, "shape"),
        (lambda logits: logits * torch.nan, "finite logits.*NaN"),
        (lambda logits: logits + torch.rand(1), "same logits twice"),
        (lambda logits: logits - logits.mean(0), "should not depend on the other images"),
        (lambda logits: logits @ torch.ones(5, 5), "should take images of shape"),
    ],
)
def test_misleading_models_are_refused(change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Classifier(Wrapped(change).eval()).check(IMAGES)


def test_log_probabilities_are_logits() -> None:
    Classifier(Wrapped(lambda logits: logits.log_softmax(1)).eval()).check(IMAGES)
    assert Constant(torch.zeros(2)).eval()(IMAGES).shape == (6, 2)


def test_train_mode_is_refused_and_not_changed() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout())
    with pytest.raises(InputError, match=r"eval mode.*module\.eval\(\)"):
        Classifier(module)
    assert module.training
    module.eval()[2].train()
    with pytest.raises(InputError, match="part `2` is in train mode"):
        Classifier(module)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES * 255, r"\[0, 1\]. Found minimum .* maximum 2"),
        (IMAGES - 1, "should lie in"),
        (IMAGES * torch.nan, "should lie in"),
        (IMAGES[:0], "at least one image"),
        (IMAGES.float(), "float64"),
    ],
)
def test_images_that_cannot_be_used_are_refused(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Classifier(linear(3, 4)).check(images)


def test_rounding_outside_the_bounds_is_allowed() -> None:
    images = IMAGES.clone()
    images[0, 0, 0, 0] = -2.98e-8
    Classifier(linear(3, 4)).check(images)


def test_other_bounds() -> None:
    Classifier(linear(3, 4), bounds=(0, 255)).check(IMAGES * 255)
    with pytest.raises(InputError, match=r"ascending|smallest, largest"):
        Classifier(linear(3, 4), bounds=(1, 0))


def test_only_modules() -> None:
    with pytest.raises(InputError, match=r"torch\.nn\.Module"):
        Classifier(lambda images: images)


def test_a_model_that_fails_beyond_its_bounds_is_named() -> None:
    class Strict(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            assert images.max() <= 1, "input must be in [0, 1]"
            return images.flatten(1)[:, :2]

    classifier = Classifier(Strict().eval())
    classifier.check(random_images(3, (1, 2, 2)))
    with pytest.raises(InputError, match=r"beyond its bounds.*input must be in \[0, 1\]"):
        classifier(2 + random_images(3, (1, 2, 2)))
