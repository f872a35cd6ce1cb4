"""Stand-ins with the attributes that Foolbox 3.3.4 and ART 1.20.1 have; neither is installed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from boundary import Classifier, InputError, nearest_boundary_points
from surfaces import linear, random_images, smooth_network

IMAGES = random_images(5, (3, 2, 2))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def named(name: str) -> type[Any]:
    """Return a class that says it is from another library."""
    module, _, short = name.rpartition(".")
    return type(short, (SimpleNamespace,), {"__module__": module})


FoolboxModel = named("foolbox.models.pytorch.PyTorchModel")
ArtClassifier = named("art.estimators.classification.pytorch.PyTorchClassifier")
Standardisation = named(
    "art.preprocessing.standardisation_mean_std.pytorch.StandardisationMeanStdPyTorch"
)


def foolbox(
    module: nn.Module,
    mean: Tensor | None = None,
    std: Tensor | None = None,
    flipped: int | None = None,
    bounds: tuple[float, float] = (0, 1),
) -> Any:
    def _model(x: Tensor) -> Tensor:
        with torch.set_grad_enabled(x.requires_grad):
            logits: Tensor = module(x)
        return logits

    args = [None if one is None else SimpleNamespace(raw=one) for one in (mean, std)]
    return FoolboxModel(_model=_model, bounds=bounds, _preprocess_args=(*args, flipped))


def art(module: nn.Module, **changes: Any) -> Any:
    attributes = {
        "model": module,
        "clip_values": np.array([0, 1], np.float32),
        "preprocessing": standardisation(0.0, 1.0),
        "preprocessing_defences": None,
        "postprocessing_defences": None,
        "channels_first": True,
        "input_shape": (3, 2, 2),
    }
    return ArtClassifier(**{**attributes, **changes})


def standardisation(mean: Any, std: Any, apply_predict: bool = True) -> Any:
    both = (np.asarray(one, np.float32) for one in (mean, std))
    return Standardisation(
        **dict(zip(("mean", "std"), both, strict=True)), apply_predict=apply_predict
    )


def channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)


def test_a_model_without_preprocessing_is_its_module() -> None:
    module = linear(3, 12)
    for model in (foolbox(module), art(module), art(module, preprocessing=None)):
        classifier = Classifier(model)
        assert classifier.module is module
        assert classifier.bounds == (0, 1)


def test_preprocessing_and_bounds_of_foolbox_are_taken_over() -> None:
    module = linear(3, 12)
    model = foolbox(module, channels(MEAN), channels(STD), -3, (-1, 2))
    classifier = Classifier(model)
    expected = module((IMAGES.flip(-3) - channels(MEAN)) / channels(STD))
    assert classifier.bounds == (-1, 2)
    torch.testing.assert_close(classifier(IMAGES), expected)
    assert (classifier.dtype, classifier.device) == (torch.float64, torch.device("cpu"))
    assert [*module.state_dict()] == ["weight", "bias"]
    half = Classifier(foolbox(module, std=torch.tensor(0.5)))
    torch.testing.assert_close(half(IMAGES), module(2 * IMAGES))


def test_preprocessing_and_clip_values_of_art_are_taken_over() -> None:
    module = linear(3, 12)
    model = art(module, preprocessing=standardisation(MEAN, STD), clip_values=np.array([-1.0, 2.0]))
    classifier = Classifier(model)
    assert classifier.bounds == (-1, 2)
    expected = module((IMAGES - channels(MEAN)) / channels(STD))
    torch.testing.assert_close(classifier(IMAGES), expected, rtol=1e-6, atol=1e-5)


def test_art_broadcasts_over_the_last_axis_where_a_vector_fits() -> None:
    module, images = linear(3, 27), random_images(4, (3, 3, 3))
    model = art(module, preprocessing=standardisation(MEAN, STD), input_shape=(3, 3, 3))
    mean, std = (torch.tensor(one, dtype=torch.float64) for one in (MEAN, STD))
    expected = module((images - mean) / std)
    torch.testing.assert_close(Classifier(model)(images), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("library", [foolbox, art])
def test_boundary_points_are_those_of_the_module(library: Any) -> None:
    module = smooth_network()
    own = nearest_boundary_points(Classifier(module), IMAGES)
    found = nearest_boundary_points(Classifier(library(module)), IMAGES)
    torch.testing.assert_close(found.margin, own.margin)
    halved = {
        foolbox: lambda: foolbox(module, std=torch.tensor(0.5)),
        art: lambda: art(module, preprocessing=standardisation(0.0, 0.5)),
    }[library]()
    scaled = nearest_boundary_points(Classifier(halved), IMAGES / 2)
    torch.testing.assert_close(scaled.margin, own.margin / 2, rtol=1e-3, atol=1e-6)


def test_train_mode_is_refused_and_not_changed() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Dropout()).eval()
    module[2].train()
    for model in (foolbox(module, std=torch.tensor(2.0)), art(module)):
        with pytest.raises(InputError, match="2` is in train mode"):
            Classifier(model)
    assert module[2].training
    with pytest.raises(InputError, match="train mode"):
        Classifier(foolbox(module.train(), std=torch.tensor(2.0)))


def test_bounds_are_the_models_or_the_same() -> None:
    module = linear(3, 12)
    tenth = np.array([0.1, 0.9], np.float32)
    assert Classifier(foolbox(module), bounds=(0, 1)).bounds == (0, 1)
    assert Classifier(art(module, clip_values=tenth), (0.1, 0.9)).bounds == pytest.approx(
        (0.1, 0.9)
    )
    assert Classifier(art(module, clip_values=None), (0, 255)).bounds == (0, 255)
    per_pixel = np.stack([np.zeros((3, 2, 2)), np.ones((3, 2, 2))])
    assert Classifier(art(module, clip_values=per_pixel)).bounds == (0, 1)
    with pytest.raises(InputError, match=r"those of the model, \(0\.0, 1\.0\). Found \(0, 255\)"):
        Classifier(foolbox(module), bounds=(0, 255))
    with pytest.raises(InputError, match=r"`bounds` should be given.*no `clip_values`"):
        Classifier(art(module, clip_values=None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preprocessing_defences": [named("art.defences.JpegCompression")()]}, "JpegCompression"),
        ({"postprocessing_defences": [named("art.defences.Rounded")()]}, "postproc.*Rounded"),
        ({"channels_first": False}, "channels_first=False"),
        ({"preprocessing": named("art.defences.Spatial")()}, "`preprocessing` by a Spatial"),
        ({"preprocessing": standardisation(0.0, 0.5, apply_predict=False)}, "`preprocessing`"),
        ({"preprocessing": standardisation(0.0, STD)}, r"shapes \(\) and \(3,\)"),
        ({"clip_values": np.array([[0, 0], [1, 2]])}, "`clip_values` that differ"),
    ],
)
def test_what_art_does_beyond_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"{message}.*give its torch module"):
        Classifier(art(linear(3, 12), **changes))


@pytest.mark.parametrize(
    "name",
    [
        "foolbox.models.tensorflow.TensorFlowModel",
        "foolbox.models.base.TransformBoundsWrapper",
        "art.estimators.classification.keras.KerasClassifier",
        "art.estimators.classification.hugging_face.HuggingFaceClassifierPyTorch",
    ],
)
def test_other_models_are_refused_with_the_way_out(name: str) -> None:
    short = name.rpartition(".")[2]
    with pytest.raises(InputError, match=rf"foolbox\.PyTorchModel or.*{short} of .*give the torch"):
        Classifier(named(name)())
    heir = type("Mine", (FoolboxModel,), {"__module__": "mine"})
    with pytest.raises(InputError, match="a Mine of mine; give the torch module inside"):
        Classifier(heir())
    with pytest.raises(InputError, match="wrap a function"):
        Classifier(linear)


def test_a_foolbox_model_without_a_module_is_refused() -> None:
    model = FoolboxModel(_model=torch.relu, bounds=(0, 1), _preprocess_args=(None, None, None))
    with pytest.raises(InputError, match=r"one torch module in `_model`.*Found 0"):
        Classifier(model)


def test_a_classifier_prints_what_it_holds() -> None:
    assert repr(Classifier(linear(3, 4), (0, 255))) == "Classifier(Linear, bounds=(0.0, 255.0))"
