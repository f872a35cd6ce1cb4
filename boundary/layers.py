"""Hidden layers of a module: chosen by name, their activations, and the Jacobian of these."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from boundary.errors import InputError, did_you_mean, type_of


class _Reached(BaseException):
    """Carries a layer's output out of a forward pass; no ``except Exception`` on the way holds it.

    torch.fx would print every ``Exception`` that leaves a traced module.
    """

    def __init__(self, output: Any) -> None:
        self.output = output


def layer_names(module: nn.Module) -> list[str]:
    """Return the names of all parts of a module, in the order of ``module.named_modules()``.

    Not every one need be of use: some give no tensor, or are never called.
    """
    return [name for name, _ in module.named_modules() if name]


def layer_activations(module: nn.Module, layer: str, images: Tensor) -> Tensor:
    """Return what a layer gives, of the shape the layer has; the forward pass ends there.

    Of a layer that is used several times (a ReLU that a block shares) it is the first use. The
    module is left as it came, also where an error is raised.

    Args:
        module: Takes the images.
        layer: One of ``layer_names(module)``.
        images: Shape (N, C, H, W).

    Raises:
        InputError: If there is no such layer, or it is not called, or gives no single tensor.
    """
    part = dict(module.named_modules()).get(layer) if layer else None
    if part is None:
        close = did_you_mean(layer, layer_names(module))
        raise InputError(
            "`layer` should be the name of a part of the module. "
            f"Found `{layer}`{close or '; `layer_names(module)` lists them.'}"
        )

    def stop(_part: nn.Module, _inputs: Any, output: Any) -> None:
        raise _Reached(output)

    handle = part.register_forward_hook(stop)
    try:
        module(images)
    except _Reached as reached:
        output = reached.output
    else:
        raise InputError(
            "`layer` should be a part that the module calls. "
            f"Found that `{layer}` is never called; choose a part within it or after it."
        )
    finally:
        handle.remove()
    if not isinstance(output, Tensor):
        raise InputError(
            "`layer` should give one tensor. "
            f"Found that `{layer}` gives {type_of(output)}; choose a part within it or after it."
        )
    return output


class Linearisation(NamedTuple):
    """A layer's Jacobian at a batch of images, in one direction and backwards."""

    along: Tensor
    """J v, of the layer's shape."""
    back: Callable[[Tensor], Tensor]
    """w of that shape to J' w summed over the images, (1, C, H, W); can be called once."""


Layer = Callable[[Tensor], Tensor]
"""One perturbation of all images (1, C, H, W) to the activations of them all."""


def forward_mode(layer: Layer, vector: Tensor) -> Linearisation:
    """Return J v carried along by one forward pass, and J' by one backward pass.

    Args:
        layer: To be linearised at zero.
        vector: v, (1, C, H, W).

    Raises:
        NotImplementedError: If an operator on the way has no forward mode.
    """
    with torch.enable_grad(), forward_ad.dual_level():
        zero = torch.zeros_like(vector).requires_grad_()
        output, tangent = forward_ad.unpack_dual(  # type: ignore[no-untyped-call]
            layer(_dual(zero, vector))
        )
    along = torch.zeros_like(output) if tangent is None else tangent.detach()
    return Linearisation(along, lambda weight: _pulled_back(output, zero, weight))


def double_backward(layer: Layer, vector: Tensor) -> Linearisation:
    """Return J v as the derivative of w -> <J' w, v>, three backward passes in all.

    Args:
        layer: To be linearised at zero.
        vector: v, (1, C, H, W).
    """
    with torch.enable_grad():
        zero = torch.zeros_like(vector).requires_grad_()
        output = layer(zero)
        weight = torch.zeros_like(output).requires_grad_()
        (pulled,) = torch.autograd.grad(output, zero, weight, create_graph=True)
        (along,) = torch.autograd.grad(pulled, weight, vector, retain_graph=True)
    return Linearisation(along, lambda weight: _pulled_back(output, zero, weight))


def _dual(primal: Tensor, tangent: Tensor) -> Tensor:
    with warnings.catch_warnings():  # its first call scripts formulas by what torch deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        dual: Tensor = forward_ad.make_dual(primal, tangent)  # type: ignore[no-untyped-call]
    return dual


def _pulled_back(output: Tensor, zero: Tensor, weight: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(output, zero, weight)
    return slope
