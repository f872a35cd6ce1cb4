"""The same architecture untrained: the null model that asks what training adds."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from boundary.errors import InputError

_RESETS = ("reset_parameters", "_reset_parameters")
"""The second is the name in torch's attention layers."""

_CHANNELS = 4
"""The most that an image has: a buffer of no more numbers is the normalisation of the input."""


def untrained_copy(module: nn.Module, seed: int, *, fresh: nn.Module | None = None) -> nn.Module:
    """Return a copy with weights as the architecture initialises them.

    Its normalisations have the running statistics of none, a mean of 0 and a variance of 1: with
    these most networks are nearly constant. `take_running_statistics` gives them those of images.

    Args:
        module: Any; it stays as it is.
        seed: Of the weights, the same on every device.
        fresh: The same architecture as its own constructor initialises it, whose weights are taken;
            without it each layer's ``reset_parameters`` gives them.

    Returns:
        The copy, on the device of the original, in the same mode.

    Raises:
        InputError: If no layer can re-initialise anything.
    """
    copy = deepcopy(module)
    if fresh is not None:
        copy.load_state_dict(fresh.state_dict(), strict=False)
        return copy
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        if not _reset(copy.cpu()):
            raise InputError(
                "the model should have layers with `reset_parameters`, to be compared with the "
                "same architecture untrained. Found none; give `--untrained 0`."
            )
    return copy.to(device)


def _reset(module: nn.Module) -> bool:
    """Return whether any layer could be initialised anew; all that can are, inner ones first."""
    found = False
    for layer in reversed(list(module.modules())):
        reset = next((getattr(layer, name) for name in _RESETS if hasattr(layer, name)), None)
        # Of a parametrised layer (weight norm), the weight is computed and cannot be set.
        if callable(reset) and not hasattr(layer, "parametrizations"):
            reset()
            found = True
    return found


@torch.no_grad()
def take_running_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give every normalisation that has running statistics those of some images.

    They are the means over batches, each normalised by its own statistics as in training; all else
    of the module, dropout too, stays as in evaluation. A second pass would find the same.

    Args:
        module: In eval mode, on the device and in the dtype of the images; changed in place.
        batches: Images, (N, C, H, W) each, of about equal N.

    Raises:
        InputError: If a normalisation sees a single number a channel.
    """
    layers = [layer for _, layer in _with_statistics(module)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over batches
        layer.training = True  # not `train()`, which would reach a dropout inside it
    try:
        for images in batches:
            module(images)
    except ValueError as error:
        raise InputError(
            "the untrained network should have running statistics of the collected images. Found "
            f"that they cannot be taken ({error}); collect more images, or give `--untrained 0`."
        ) from error
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum, layer.training = momentum, False


def running_statistics(module: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics of every normalisation by name, as in the state dict."""
    return {
        f"{name}.{kind}" if name else kind: value.cpu()
        for name, layer in _with_statistics(module)
        for kind, value in layer.named_buffers(recurse=False)
    }


def _with_statistics(module: nn.Module) -> list[tuple[str, _NormBase]]:
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if isinstance(layer, _NormBase) and layer.running_mean is not None
    ]


def kept_from_training(copy: nn.Module, module: nn.Module) -> tuple[str, ...]:
    """Return the names of floating tensors that an untrained copy shares with the trained module.

    Left out are tensors of zeros or ones alone, which is how an architecture initialises them, and
    buffers of a few numbers that are not running statistics: they normalise the input.

    Args:
        copy: As `untrained_copy` returns it.
        module: The trained one.
    """
    trained = _tensors(module)
    buffers = {name for name, _ in copy.named_buffers() if ".running_" not in f".{name}"}
    kept = []
    for name, value in _tensors(copy).items():
        constant = bool((value == 0).all()) or bool((value == 1).all())
        of_input = name in buffers and value.numel() <= _CHANNELS
        plain = value.is_floating_point() and not constant and not of_input
        if plain and torch.equal(value, trained[name]):
            kept.append(name.replace(".parametrizations.", "."))
    return tuple(kept)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
