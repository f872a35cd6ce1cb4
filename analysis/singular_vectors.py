"""Universal perturbations as (p, q)-singular vectors of a hidden layer.

Khrulkov and Oseledets (CVPR 2018) maximise sum_b |J(x_b) v|_q^q over |v|_p = 1, J(x) the Jacobian
of a hidden layer with respect to the input: the vector that moves the layer most, on all images
together. No label and no logit plays a part. The generalised power method (Boyd 1974) is used:
v becomes the vector of lp norm 1 that has the largest product with J' psi_q(J v), where
psi_q(t) = sign(t) |t|^(q - 1). The objective is convex, so that no step lowers it.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from analysis.ball import Ball
from analysis.fooling import fooling_rates
from analysis.perturbations import Perturbations
from analysis.universal import UniversalPerturbation
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.layers import Linearisation, double_backward, forward_mode, layer_activations
from boundary.memory import ran_out_of_memory
from boundary.progress import progress_bar

Q = 5.0
"""The authors' choice, for p = infinity."""

ITERATIONS = 30
"""The authors' choice."""

TOLERANCE = 1e-4
"""Relative growth of the value at which the power method ends."""

_BATCH = 16
"""Images of one pass, which keeps the graph of the network up to the layer, and its tangent."""


@dataclass(frozen=True, eq=False)
class HiddenSingularVector:
    """The direction that moves a hidden layer most, on all images together: a local maximum."""

    vector: Tensor
    """(C, H, W), float64, on the CPU; of lp norm 1, the first of its largest entries positive."""
    value: float
    """(sum_b |J(x_b) v|_q^q)^(1/q), layer units per input unit; it grows with the images and does
    not rank layers."""
    history: tuple[float, ...]
    """The value at the start and after each step, never falling but for rounding."""
    converged: bool
    """Whether the last step was below the tolerance; else the steps were spent."""
    layer: str
    p: float
    q: float
    forward_passes: int
    """Images passed forward up to the layer, one with its tangent counted once."""
    backward_passes: int
    """Images passed backward from the layer."""


def singular_perturbation(
    classifier: Classifier,
    images: Tensor,
    ball: Ball,
    *,
    layer: str,
    q: float = Q,
    iterations: int = ITERATIONS,
    tol: float = TOLERANCE,
    batch_size: int = _BATCH,
    seed: int = 0,
    progress: bool = False,
) -> UniversalPerturbation:
    """Return the singular vector of a hidden layer as a universal perturbation.

    Both v and -v are solutions; the one that fools more of the images given is returned, which
    takes three forward passes of each. Its trace is empty. Passes up to the layer count as passes.

    Args:
        classifier: Whose layer it is.
        images: Shape (N, C, H, W), inside the classifier's bounds; some 64 do.
        ball: p of the singular vector, and the norm that it is brought to.
        layer: One of ``layer_names(classifier.module)``; those of the first blocks fool most, but
            not the first convolution.
        q: Of the norm that measures how far the layer moves, at least 1. In an l2 ball take 1:
            with 3 or more v gathers on a few pixels, and mostly fools no more images than noise.
        iterations: Steps of the power method at most.
        tol: Relative growth of the value below which it ends before that.
        batch_size: Images of one pass.
        seed: Of the random start.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: As `hidden_singular_vector`.
    """
    found = hidden_singular_vector(
        classifier,
        images,
        ball.p,
        layer=layer,
        q=q,
        iterations=iterations,
        tol=tol,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
    )
    signs = torch.stack([found.vector, -found.vector])
    both = Perturbations.of("singular", signs, ball.norm, p=ball.p)
    batches = (classifier.place(part) for part in torch.split(images, batch_size))
    (rate,) = fooling_rates(classifier, batches, [both], clips=[False])
    fooled = rate.fooled.sum(1)
    return UniversalPerturbation(
        vector=both.vectors[int(fooled[1] > fooled[0])],
        ball=ball,
        images_used=len(images),
        forward_passes=found.forward_passes + 3 * len(images),
        backward_passes=found.backward_passes,
        trace=(),
    )


def hidden_singular_vector(
    classifier: Classifier,
    images: Tensor,
    p: float = inf,
    *,
    layer: str,
    q: float = Q,
    iterations: int = ITERATIONS,
    tol: float = TOLERANCE,
    batch_size: int = _BATCH,
    seed: int = 0,
    progress: bool = False,
) -> HiddenSingularVector:
    """Return the (p, q)-singular vector of a hidden layer, by the generalised power method.

    A step takes one forward pass, which carries J v along in forward mode, and one backward pass.
    Where an operator of the network has no forward mode, J v is had by differentiating w -> J' w
    instead, two more backward passes. Attention is computed by its plain formula meanwhile, as
    fused attention can do neither.

    Args:
        classifier: Whose layer it is.
        images: Shape (N, C, H, W), inside the classifier's bounds; on any device, as batches are
            moved to the classifier's.
        p: Of the norm of the vector: 2 or infinity.
        layer: One of ``layer_names(classifier.module)``; its first use counts.
        q: Of the norm that measures how far the layer moves, at least 1.
        iterations: Steps at most.
        tol: Relative growth of the value below which it ends before that.
        batch_size: Images of one pass.
        seed: Of the random start.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If the images cannot be used, an option is out of range, there is no such layer,
            or it has no derivative with respect to the input, or none but zero.
    """
    _check_options(q, iterations, tol, batch_size)
    for part in torch.split(images, batch_size):
        classifier.check(classifier.place(part))
    ball = Ball(1.0, p)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(images[:1].shape, dtype=torch.float64, generator=generator)
    vector = classifier.place(ball.steepest(start))
    jacobian = _Jacobian(classifier, images, layer, batch_size)
    history: list[float] = []
    converged = False
    title = f"singular vector of {layer}"
    bar = progress_bar(title, iterations, "steps", shown=progress)
    with bar, sdpa_kernel(SDPBackend.MATH):
        while True:
            value, slope = jacobian.value_and_slope(vector, q)
            converged = bool(history) and value - history[-1] <= tol * value
            history.append(value)
            if converged or len(history) > iterations:
                break
            vector = ball.steepest(slope)
            bar.update(1)
    return HiddenSingularVector(
        vector=_canonical(vector[0].double().cpu()),
        value=value,
        history=tuple(history),
        converged=converged,
        layer=layer,
        p=p,
        q=q,
        forward_passes=jacobian.forward_passes,
        backward_passes=jacobian.backward_passes,
    )


class _Jacobian:
    """The Jacobians of a layer at all images, and what their products have cost so far."""

    def __init__(self, classifier: Classifier, images: Tensor, layer: str, batch_size: int) -> None:
        self._classifier, self._layer = classifier, layer
        self._batches = torch.split(images, batch_size)
        self._has_forward_mode = True
        self.forward_passes = self.backward_passes = 0

    def value_and_slope(self, vector: Tensor, q: float) -> tuple[float, Tensor]:
        """Return (sum_b |J v|_q^q)^(1/q), and sum_b J' psi_q(J v) up to a positive factor.

        J v is divided by its largest entry so far, as its powers would overflow.

        Raises:
            InputError: If the layer has no finite derivative that is not zero.
        """
        largest, power, slope = 0.0, 0.0, torch.zeros_like(vector)
        for images in self._batches:
            along, back = self._linearised(self._classifier.place(images), vector)
            _require_finite(along, self._layer)
            before, largest = largest, max(largest, float(along.abs().max()))
            if largest == 0:
                continue
            scaled, shrunk = along / largest, before / largest
            power = power * shrunk**q + float(scaled.abs().pow(q).sum())
            slope = slope * shrunk ** (q - 1) + back(scaled.sign() * scaled.abs().pow(q - 1))
        _require_finite(slope, self._layer)
        if not slope.any():
            raise InputError(_no_derivative(self._layer, "zero for every image"))
        return largest * power ** (1 / q), slope

    def _linearised(self, images: Tensor, vector: Tensor) -> Linearisation:
        def moved(perturbation: Tensor) -> Tensor:
            return layer_activations(self._classifier.module, self._layer, images + perturbation)

        if self._has_forward_mode:
            try:
                found = forward_mode(moved, vector)
            except RuntimeError as error:  # NotImplementedError, mostly: of some operator
                if ran_out_of_memory(error):
                    raise
                self._has_forward_mode = False
        if not self._has_forward_mode:
            try:
                found = double_backward(moved, vector)
            except RuntimeError as error:
                if ran_out_of_memory(error):
                    raise
                reason = _no_derivative(self._layer, str(error).splitlines()[0])
                raise InputError(reason) from error
        self.forward_passes += len(images)
        self.backward_passes += len(images) * (1 if self._has_forward_mode else 3)
        return found


def _no_derivative(layer: str, found: str) -> str:
    return (
        "`layer` should have a finite derivative with respect to the images, which is not zero for "
        f"all of them. Found, for `{layer}`: {found}; choose another layer, or check that the "
        "model can be differentiated up to it."
    )


def _require_finite(numbers: Tensor, layer: str) -> None:
    if not numbers.isfinite().all():
        raise InputError(_no_derivative(layer, "NaN or infinity"))


def _canonical(vector: Tensor) -> Tensor:
    """Return v or -v: the one whose first entry of largest size is positive."""
    return vector * vector.flatten()[vector.abs().argmax()].sign()


def _check_options(q: float, iterations: int, tol: float, batch_size: int) -> None:
    if not 1 <= q < inf:
        raise InputError(f"`q` should be at least 1, and finite. Found {q}.")
    if not tol >= 0:
        raise InputError(f"`tol` should not be negative. Found {tol}.")
    for name, count in (("iterations", iterations), ("batch_size", batch_size)):
        if count < 1:
            raise InputError(f"`{name}` should be at least 1. Found {count}.")
