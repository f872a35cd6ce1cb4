"""Models of other libraries: what a Foolbox or an ART model holds, without importing either.

Both wrap a ``torch.nn.Module`` with bounds and with a preprocessing (x - mean) / std, which this
module takes over. Attribute names are those of Foolbox 3.3.4 and ART 1.20.1.
"""

from inspect import getclosurevars
from math import isclose
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from boundary.errors import InputError, type_of

_FOOLBOX = "foolbox.models.pytorch.PyTorchModel"
_ART = "art.estimators.classification.pytorch.PyTorchClassifier"
_STANDARDISATION = "art.preprocessing.standardisation_mean_std."

_SAME = 1e-6
"""Relative difference of bounds that are the same: ART keeps them in float32."""

Bounds = tuple[float, float]


class Preprocessed(nn.Module):
    """A network behind the preprocessing of another library.

    Args:
        network: What the preprocessed images go to.
        mean: What is subtracted, of a shape that broadcasts with images (N, C, H, W).
        std: What is then divided by, alike.
        flipped: Axis of the batch that is turned round before, if any.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor, flipped: int | None) -> None:
        super().__init__()
        self.training = network.training  # `train` would change parts of the network
        self.network, self.flipped = network, flipped
        like = next((p for p in network.parameters() if p.is_floating_point()), mean)
        self.register_buffer("mean", mean.detach().to(like))
        self.register_buffer("std", std.detach().to(like))

    def forward(self, images: Tensor) -> Any:
        """Return what the network makes of the images, shape (N, C, H, W)."""
        turned = images if self.flipped is None else images.flip(self.flipped)
        return self.network((turned - self.mean) / self.std)


def adopted(model: Any, bounds: Bounds | None) -> tuple[nn.Module, Bounds]:
    """Return the module of a Foolbox or ART model, preprocessing included, and its bounds.

    The model's module itself comes back where it has no preprocessing to do.

    Args:
        model: A ``foolbox.PyTorchModel`` or ``art.estimators.classification.PyTorchClassifier``.
        bounds: As the user gave them; None for those of the model.

    Raises:
        InputError: If it is neither, holds what cannot be taken over, or has other bounds.
    """
    name = _full_name(model)
    if name not in {_FOOLBOX, _ART}:
        raise InputError(
            "`module` should be a torch.nn.Module, a foolbox.PyTorchModel or an ART "
            f"PyTorchClassifier. Found {type_of(model)}{_way_out(model)}."
        )
    module, own = _from_foolbox(model) if name == _FOOLBOX else _from_art(model)
    known = own or bounds
    if known is None:
        raise InputError(
            "`bounds` should be given where an ART model has no `clip_values`. Found neither; "
            "say the smallest and largest value of an input, as in `bounds=(0, 1)`."
        )
    if own is None or bounds is None:
        return module, known
    if not all(isclose(one, other, rel_tol=_SAME) for one, other in zip(own, bounds, strict=True)):
        raise InputError(
            f"`bounds` should be those of the model, {own}. Found {bounds}; leave them out, or "
            "give its torch module."
        )
    return module, own


def _from_foolbox(model: Any) -> tuple[nn.Module, Bounds]:
    """Return the module, which Foolbox keeps in the closure of a function, and the bounds.

    Raises:
        InputError: If it is not there.
    """
    modules = [v for v in _closure(model._model) if isinstance(v, nn.Module)]
    if len(modules) != 1:
        raise InputError(
            "a foolbox.PyTorchModel should hold one torch module in `_model`, as that of Foolbox "
            f"3.3.4 does. Found {len(modules)}; give the module itself, and `bounds`."
        )
    mean, std, flipped = model._preprocess_args
    low, high = model.bounds
    return _behind(modules[0], _raw(mean, 0.0), _raw(std, 1.0), flipped), (float(low), float(high))


def _from_art(model: Any) -> tuple[nn.Module, Bounds | None]:
    for defences in ("preprocessing_defences", "postprocessing_defences"):
        if getattr(model, defences):
            names = ", ".join(type(one).__name__ for one in getattr(model, defences))
            _refuse(f"`{defences}` ({names})")
    if not model.channels_first:
        _refuse("`channels_first=False`, while images are (N, C, H, W) here")
    mean, std = _standardisation(model.preprocessing, tuple(model.input_shape))
    return _behind(model.model, mean, std, None), _clip_values(model.clip_values)


def _standardisation(preprocessing: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return mean and std of an ART model, of a shape that broadcasts as ART has it."""
    if preprocessing is None:
        return torch.zeros(()), torch.ones(())
    known = _full_name(preprocessing).startswith(_STANDARDISATION)
    if not known or not preprocessing.apply_predict:
        _refuse(f"`preprocessing` by {type_of(preprocessing)}")
    mean, std = (torch.as_tensor(one) for one in (preprocessing.mean, preprocessing.std))
    if mean.shape != std.shape:
        _refuse(f"means and deviations of shapes {(*mean.shape,)} and {(*std.shape,)}")
    # ART broadcasts a vector over the last axis where it fits there, else over the channels.
    if mean.ndim == 1 and len(mean) not in {1, shape[-1]}:
        mean, std = (one.view(-1, *[1] * (len(shape) - 1)) for one in (mean, std))
    return mean, std


def _clip_values(values: Any) -> Bounds | None:
    if values is None:
        return None
    ends = [torch.as_tensor(end) for end in values]
    if any((end != end.flatten()[0]).any() for end in ends):
        _refuse("`clip_values` that differ between the numbers of an image")
    low, high = (float(end.flatten()[0]) for end in ends)
    return low, high


def _behind(network: nn.Module, mean: Tensor, std: Tensor, flipped: int | None) -> nn.Module:
    if flipped is None and not mean.any() and bool((std == 1).all()):
        return network
    return Preprocessed(network, mean, std, flipped)


def _closure(function: Any) -> list[Any]:
    is_function = hasattr(function, "__closure__")
    return list(getclosurevars(function).nonlocals.values()) if is_function else []


def _raw(value: Any, default: float) -> Tensor:
    """Return the torch tensor in one of eagerpy."""
    return torch.tensor(default) if value is None else torch.as_tensor(value.raw)


def _full_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _way_out(model: object) -> str:
    if any(kind.__module__.startswith(("foolbox.", "art.")) for kind in type(model).__mro__):
        return f" of {type(model).__module__}; give the torch module inside it, and `bounds`"
    return "; wrap a function in a small module whose `forward` calls it"


def _refuse(found: str) -> NoReturn:
    """Refuse an ART model.

    Raises:
        InputError: Always.
    """
    raise InputError(
        "an ART PyTorchClassifier should do no more to images (N, C, H, W) than take a mean and "
        f"divide by a deviation. Found {found}; give its torch module, with what belongs to it "
        "inside, and `bounds`."
    )
