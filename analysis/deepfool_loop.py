"""The universal perturbation of Moosavi-Dezfooli et al. (CVPR 2017, Algorithm 1).

Image after image is pushed over the boundary by the smallest increment of one common vector, which
is projected on its ball each time. The increments are our nearest boundary points in place of
DeepFool's; everything else is the authors'.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from analysis.ball import Ball
from analysis.universal import UniversalPerturbation, Watch, clean_logits, require_direction
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.nearest import nearest_boundary_points
from boundary.progress import progress_bar

_WIDEST = 64
"""The most images whose predictions are made at once."""


def deepfool_perturbation(
    classifier: Classifier,
    images: Tensor,
    ball: Ball,
    *,
    unfooled: float = 0.2,
    passes: int = 10,
    overshoot: float = 0.02,
    candidates: int = 10,
    max_gradients: int = 12,
    gradients: int | None = None,
    watch: Tensor | None = None,
    seed: int = 0,
    progress: bool = False,
    title: str = "universal, loop",
) -> UniversalPerturbation:
    """Return the universal perturbation of the loop over images.

    In each pass, in a new order, every image that the vector so far does not fool gets the smallest
    l2 increment that does, a little lengthened, and the sum is projected on the ball. Predictions
    are made for several images at once and made again after the vector has moved, so the result is
    that of one image after another. It ends when few images are left unfooled, after the last pass,
    or when the gradients are spent; the best vector at the end of a pass is returned.

    Args:
        classifier: Its own predictions of the clean images are the source classes.
        images: Shape (N, C, H, W), inside the classifier's bounds.
        ball: The norm that the perturbation may have, and in which sense.
        unfooled: Share of the images left unfooled at which it ends, the paper's delta.
        passes: The most passes over the images.
        overshoot: By how much each increment is lengthened, as a share of itself.
        candidates: Classes looked at for an increment.
        max_gradients: The most backward passes for one increment.
        gradients: The most backward passes in all; None for no such end.
        watch: Other images, whose fooling rate is taken after each pass and shown.
        seed: Of the orders.
        progress: Show a progress bar on standard error.
        title: Of the bar.

    Raises:
        InputError: If the images cannot be used, or an option is out of range.
    """
    if not 0 <= unfooled < 1 or passes < 1:
        raise InputError(
            "`unfooled` should be a share in [0, 1) and `passes` at least 1. "
            f"Found {unfooled} and {passes}."
        )
    loop = _Loop(classifier, images, ball, overshoot, candidates, max_gradients)
    watched = None if watch is None else Watch(classifier, watch)
    best, most = loop.vector.clone(), -1.0
    trace: list[tuple[int, float]] = []
    generator = torch.Generator().manual_seed(seed)
    with progress_bar(title, passes * len(images), "images", shown=progress) as bar:
        for _ in range(passes):
            for seen in loop.one_pass(torch.randperm(len(images), generator=generator)):
                bar.update(seen)
                if gradients is not None and loop.backward_passes >= gradients:
                    break
            rate = loop.rate()
            if rate > most:
                best, most = loop.vector.clone(), rate
            said = f"fooling rate {rate:.3f}"
            if watched is not None:
                trace.append((loop.backward_passes, watched.rate(best)))
                said += f", of other images {trace[-1][1]:.3f}"
            bar.set_postfix_str(said)
            spent = gradients is not None and loop.backward_passes >= gradients
            if rate >= 1 - unfooled or spent:
                break
    return UniversalPerturbation(
        vector=require_direction(best),
        ball=ball,
        images_used=len(images),
        forward_passes=loop.forward_passes,
        backward_passes=loop.backward_passes,
        trace=tuple(trace),
    )


class _Shifted(nn.Module):
    """A classifier's module whose inputs all get one vector added."""

    def __init__(self, module: nn.Module, vector: Tensor) -> None:
        super().__init__()
        self.module, self.vector = module, vector

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.module(images + self.vector)
        return logits


class _Loop:
    """The common vector, and what it took so far."""

    def __init__(
        self,
        classifier: Classifier,
        images: Tensor,
        ball: Ball,
        overshoot: float,
        candidates: int,
        max_gradients: int,
    ) -> None:
        self.classifier, self.images, self.ball = classifier, images, ball
        self.overshoot, self.candidates, self.max_gradients = overshoot, candidates, max_gradients
        self.vector = torch.zeros_like(classifier.place(images[:1]))
        self.shifted = Classifier(
            _Shifted(classifier.module, self.vector).eval(), classifier.bounds
        )
        self.source = clean_logits(classifier, images).argmax(1)
        self.watch = Watch(classifier, images, self.source)
        self.forward_passes, self.backward_passes = len(images), 0

    def one_pass(self, order: Tensor) -> Iterator[int]:
        """Go over all images once; yield how many were seen since the last time."""
        start, width = 0, 1
        while start < len(order):
            block = order[start : start + width]
            at = self._first_unfooled(block)
            if at is None:
                start, width = start + len(block), min(2 * width, _WIDEST)
                yield len(block)
                continue
            self._push(int(block[at]))
            # Predictions behind an increment are made again: no more of them than were of use.
            start, width = start + at + 1, max(1, at + 1)
            yield at + 1

    def rate(self) -> float:
        """Return the share of the images that the vector fools."""
        self.forward_passes += len(self.images)
        return self.watch.rate(self.vector)

    def _first_unfooled(self, block: Tensor) -> int | None:
        self.forward_passes += len(block)
        perturbed = self.classifier.place(self.images[block]) + self.vector
        left = (self.classifier.predict(perturbed) == self.source[block]).nonzero()
        return int(left[0]) if len(left) else None

    def _push(self, place: int) -> None:
        image = self.classifier.place(self.images[place : place + 1])
        found = nearest_boundary_points(
            self.shifted, image, candidates=self.candidates, max_gradients=self.max_gradients
        )
        self.forward_passes += int(found.forward_passes)
        self.backward_passes += int(found.backward_passes)
        if found.on_boundary:
            increment = (1 + self.overshoot) * (found.point - image)
            self.vector.copy_(self.ball.project(self.vector + increment))
