"""The same architecture untrained: the null model that asks what training adds."""

from copy import deepcopy

import torch
from torch import nn

from boundary.errors import InputError

_RESETS = ("reset_parameters", "_reset_parameters")
"""The second is the name in torch's attention layers."""


def untrained_copy(module: nn.Module, seed: int) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a copy with the weights that each layer's own ``reset_parameters`` gives.

    Running statistics of normalisations begin anew with them.

    Args:
        module: Any; it stays as it is.
        seed: Of the weights, the same on every device.

    Returns:
        The copy, on the device of the original, in the same mode; and the names of parameters that
        no layer can re-initialise (those of custom layers), which keep their values.

    Raises:
        InputError: If no layer can re-initialise anything.
    """
    parameters = list(module.parameters())
    device = parameters[0].device if parameters else torch.device("cpu")
    copy = deepcopy(module).cpu()
    kept: list[str] = []
    found = False
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, layer in copy.named_modules():
            reset = next((getattr(layer, r) for r in _RESETS if hasattr(layer, r)), None)
            # Of a parametrised layer (weight norm), the weight is computed and cannot be set.
            if callable(reset) and not hasattr(layer, "parametrizations"):
                reset()
                found = True
            else:
                own = layer.named_parameters(name, recurse=False)
                kept += [parameter for parameter, _ in own]
    if not found:
        raise InputError(
            "the model should have layers with `reset_parameters`, to be compared with the same "
            "architecture untrained. Found none; give `--untrained 0`."
        )
    inside = tuple(name.replace(".parametrizations.", ".") for name in kept)
    return copy.to(device), inside
