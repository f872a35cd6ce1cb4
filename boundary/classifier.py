"""A classifier: a module that maps images to logits, together with the bounds of its inputs."""

import logging
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from boundary.errors import InputError
from boundary.foreign import adopted
from boundary.memory import halving, ran_out_of_memory

_log = logging.getLogger(__name__)

BOUNDS_TOLERANCE = 1e-6
"""How far outside its bounds an input may lie, relative to their width: rounding, no more."""

_REPEAT_TOLERANCE = 1e-4
"""Largest change of a logit between two passes of one image, relative to the largest logit."""


class Classifier:
    """A ``torch.nn.Module`` with the bounds of its inputs; calling it gives logits.

    The module is used as it is: on its own device, in its own dtype, in eval mode (required, never
    set), its parameters and their ``requires_grad`` untouched. Its normalisation belongs inside it.

    Args:
        module: Maps images (N, C, H, W) to logits (N, K); an output object with ``.logits`` (as
            Hugging Face models give) is unwrapped. A ``foolbox.PyTorchModel`` or ART's
            ``PyTorchClassifier`` is taken as it is, with its bounds, mean and deviation.
        bounds: Smallest and largest value of an input; by default 0 and 1, or those of the Foolbox
            or ART model.

    Raises:
        InputError: If ``module`` is none of these or is in train mode, ``bounds`` are not
            ascending, or a Foolbox or ART model has something that cannot be taken over.
    """

    def __init__(self, module: Any, bounds: tuple[float, float] | None = None) -> None:
        if not isinstance(module, nn.Module):
            module, bounds = adopted(module, bounds)
        low, high = bounds or (0.0, 1.0)
        if not low < high:
            raise InputError(f"`bounds` should be (smallest, largest). Found ({low}, {high}).")
        self.module: nn.Module = module
        self.bounds = (float(low), float(high))
        self._checked = False
        self._require_eval_mode()

    def __repr__(self) -> str:
        return f"Classifier({type(self.module).__name__}, bounds={self.bounds})"

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits, shape (N, K), of images of shape (N, C, H, W).

        Where memory runs out and no gradient is wanted, of one half of them after the other.

        Raises:
            InputError: If the module fails, or gives something other than one row of logits an
                image.
        """
        if torch.is_grad_enabled():
            return self._logits(images)
        return halving(lambda rows: self._logits(images[rows]), len(images), torch.cat)

    def _logits(self, images: Tensor) -> Tensor:
        output = self._output(images)
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor):
            raise InputError(
                "the classifier should return a tensor of logits. "
                f"Found {type(output).__name__}; wrap it in a module that returns the logits alone."
            )
        if logits.ndim != 2 or len(logits) != len(images):
            raise InputError(
                f"the classifier should return logits of shape ({len(images)}, classes). "
                f"Found {tuple(logits.shape)}."
            )
        if logits.shape[1] < 2:
            raise InputError(
                "the classifier should have at least two classes. Found one output; "
                "for a single score s return the two logits (0, s)."
            )
        return logits

    @property
    def device(self) -> torch.device | None:
        """The device of the module's first parameter or buffer; None if it has none."""
        return next((tensor.device for tensor in self._tensors()), None)

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the module's first floating tensor; None if it has none: any will do."""
        floating = (tensor for tensor in self._tensors() if tensor.is_floating_point())
        return next((tensor.dtype for tensor in floating), None)

    def place(self, images: Tensor) -> Tensor:
        """Return the images on the module's device and in its dtype."""
        return images.to(device=self.device or images.device, dtype=self.dtype or images.dtype)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return the predicted class of each image, shape (N,), int64."""
        return self(images).argmax(1)

    def check(self, images: Tensor) -> None:
        """Refuse what would make a run misleading: inputs at every call, the model at the first.

        Args:
            images: Inputs of shape (N, C, H, W), N at least 1; eight of them test the model.

        Raises:
            InputError: If the images are empty, of another dtype or device than the model, not
                finite or out of bounds; or if the model is in train mode, returns probabilities or
                numbers that are not finite, or treats one image differently when it sees it again
                or alone. Outputs that may be a sigmoid's give a warning.
        """
        self._require_eval_mode()
        self._check_images(images)
        if not self._checked:
            self._check_logits(images[:8])
            self._checked = True

    def _output(self, images: Tensor) -> Any:
        try:
            return self.module(images)
        except Exception as error:
            if isinstance(error, InputError) or ran_out_of_memory(error):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            least, most = (float(v) for v in torch.aminmax(images.detach()))
            beyond = ", also a little beyond its bounds, where the boundary may lie"
            if self.bounds[0] <= least and most <= self.bounds[1]:
                beyond = ""
            raise InputError(
                f"the classifier should take images of shape {tuple(images.shape[1:])}{beyond}. "
                f"Found that it fails on some with values in [{least:.3g}, {most:.3g}]: {reason}; "
                "bring images of its size and channels (`--size`, `--channels`), or mend the model."
            ) from error

    def _tensors(self) -> list[Tensor]:
        return [*self.module.parameters(), *self.module.buffers()]

    def _require_eval_mode(self) -> None:
        name = next((name for name, part in self.module.named_modules() if part.training), None)
        if name is not None:
            part = f"its part `{name}` is" if name else "it is"
            raise InputError(
                f"the classifier should be in eval mode. Found that {part} in train mode; "
                "call `module.eval()` first."
            )

    def _check_images(self, images: Tensor) -> None:
        if images.ndim < 2 or len(images) == 0:
            raise InputError(
                "`images` should hold at least one image, shape (N, C, H, W). "
                f"Found shape {tuple(images.shape)}."
            )
        if self.place(images) is not images:
            raise InputError(
                f"`images` should be {self.dtype} on {self.device}, as the classifier is. "
                f"Found {images.dtype} on {images.device}; use `classifier.place(images)`."
            )
        least, most = (float(v) for v in torch.aminmax(images))
        low, high = self.bounds
        slack = BOUNDS_TOLERANCE * (high - low)
        if not (low - slack <= least and most <= high + slack):
            way_out = (
                "leave out those that hold NaN"
                if isnan(least)
                else "rescale them, or give the classifier its `bounds` (a normalisation belongs "
                "inside the module)"
            )
            raise InputError(
                f"`images` should lie in [{low:g}, {high:g}]. Found minimum {least:.4g}, maximum "
                f"{most:.4g}; {way_out}."
            )

    @torch.no_grad()
    def _check_logits(self, images: Tensor) -> None:
        logits = self(images)
        if not logits.isfinite().all():
            raise InputError(
                "the classifier should return finite logits. Found NaN or infinity on the images "
                "given; check its weights."
            )
        if _are_probabilities(logits):
            raise InputError(
                "the classifier should return logits. Found rows that are non-negative and sum to "
                "1; leave out the final softmax."
            )
        if logits.min() >= 0 and logits.max() <= 1:
            _log.warning(
                "the classifier's outputs all lie in [0, 1], like those of a sigmoid. Where one "
                "saturates, boundary points are found too far away or not at all; leave it out."
            )
        tolerance = _REPEAT_TOLERANCE * float(logits.abs().max())
        if float((self(images) - logits).abs().max()) > tolerance:
            raise InputError(
                "the classifier should give the same logits twice. Found a difference between two "
                "passes of the same images; switch its randomness off."
            )
        if float((self(images[:1]) - logits[:1]).abs().max()) > tolerance:
            raise InputError(
                "an image's logits should not depend on the other images of its batch. Found that "
                "they do; use running statistics in batch normalisation."
            )


def _are_probabilities(logits: Tensor) -> bool:
    ones = torch.ones_like(logits[:, 0])
    return bool((logits >= 0).all()) and torch.allclose(logits.sum(1), ones, atol=1e-3)
