"""Universal perturbations: one vector that changes the predictions of most images.

The fooling rate has no gradient. `universal_perturbation` climbs a smooth stand-in for it, the mean
over images of sigmoid(g / T), g = max over t of f_t(x + v) - f_s(x + v) the logit gap and T a
temperature: images that are fooled by far, or far from being fooled, count little, and those near
the boundary most. Shafahi et al. (AAAI 2020) climb a cross-entropy clipped from above instead.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from analysis.ball import Ball
from analysis.perturbations import Perturbations
from analysis.subspace import Subspace
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import leading_class, logit_gap
from boundary.memory import halving, summed
from boundary.progress import progress_bar
from boundary.result import Result

TEMPERATURE = 0.5
"""Of the smooth fooling rate, as a share of the median size of the images' clean logit gaps."""

CLIPPED_AT = 9.0
"""Cross-entropy beyond which an image counts no more."""

BATCH = 10
"""Images of one step."""
_MOMENTUM = 0.9
_FORWARD = 64
"""Images of one pass where no gradient is taken."""

LOOKS = 20
"""How often the fooling rate is taken on the way."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, K) and source classes (B,) to what each image contributes, (B,), to be increased."""


@dataclass(frozen=True, eq=False, repr=False)
class UniversalPerturbation(Result):
    """One vector for all images, and what it took to find it."""

    AXES: ClassVar = {"vector": "channel height width"}

    vector: Tensor
    """(C, H, W), float64, on the CPU."""
    ball: Ball
    """What it was confined to."""
    images_used: int
    """Images that made it."""
    forward_passes: int
    """Images passed forward, those of the fooling rate on the way not counted."""
    backward_passes: int
    """Images passed backward."""
    trace: tuple[tuple[int, float], ...]
    """Backward passes spent, and the fooling rate on the watched images then."""

    def as_perturbations(
        self,
        family: str = "universal",
        source: Mapping[str, Any] | None = None,
        subspace_dimension: int | None = None,
    ) -> Perturbations:
        """Return the vector as a family of one draw, at its own length in the norm of its ball.

        Args:
            family: Its name.
            source: Provenance, JSON values; what it took to find the vector is added.
            subspace_dimension: R of the subspace that it was confined to.
        """
        took = {
            "images used": self.images_used,
            "forward passes": self.forward_passes,
            "backward passes": self.backward_passes,
            "trace": [list(look) for look in self.trace],
        }
        return Perturbations.of(
            family,
            self.vector,
            p=self.ball.p,
            subspace_dimension=subspace_dimension,
            source={**(source or {}), **took},
        )

    @classmethod
    def from_perturbations(cls, saved: Perturbations) -> "UniversalPerturbation":
        """Return what `as_perturbations` made a family of; its ball is that of its own norm."""
        took = saved.source
        return cls(
            vector=saved.vectors[0],
            ball=Ball(saved.norm, saved.p),
            images_used=int(took["images used"]),
            forward_passes=int(took["forward passes"]),
            backward_passes=int(took["backward passes"]),
            trace=tuple((int(spent), float(rate)) for spent, rate in took["trace"]),
        )


def universal_perturbation(
    classifier: Classifier,
    images: Tensor,
    ball: Ball,
    *,
    gradients: int = 10_000,
    batch_size: int = BATCH,
    step: float = 0.1,
    loss: Literal["rate", "cross_entropy"] = "rate",
    target: int | None = None,
    subspace: Subspace | None = None,
    aggregate: int = 1,
    mirror: bool = False,
    watch: Tensor | None = None,
    seed: int = 0,
    progress: bool = False,
    title: str = "universal perturbation",
) -> UniversalPerturbation:
    """Return a universal perturbation found by projected stochastic ascent.

    Each step takes the mean gradient of a few images at x + v, of unit length, into a momentum, and
    moves v along the steepest direction of that; steps shrink to nothing as a half cosine. It ends
    when the gradients are spent, with v or -v, whichever fools more of the images. Perturbed images
    are not clipped to the bounds.

    Args:
        classifier: Its own predictions of the clean images are the source classes.
        images: Shape (N, C, H, W), inside the classifier's bounds; on any device, as batches are
            moved to the classifier's.
        ball: The norm that the perturbation may have, and in which sense.
        gradients: Image gradients to spend, N for one pass over the images.
        batch_size: Images of one step.
        step: Length of the first step, as a share of the norm.
        loss: ``rate``, the smooth fooling rate, or ``cross_entropy``, clipped.
        target: Class that images should be moved to; None: away from their own.
        subspace: Confine the perturbation to a subspace; in the l-infinity ball it is then scaled
            back as a whole, not clipped.
        aggregate: Steps that a trial vector takes ahead, whose gradients together then move the
            perturbation once (stochastic gradient aggregation, Liu et al., ICCV 2023).
        mirror: Mirror an image left to right one time in two: more images, where mirrored ones
            are natural. Its source class stays that of the image as it is.
        watch: Other images, whose fooling rate is taken on the way and shown.
        seed: Of the order of the images.
        progress: Show a progress bar on standard error.
        title: Of the bar.

    Raises:
        InputError: If the images cannot be used, an option is out of range, or no image has a
            gradient.
    """
    _check_options(gradients, batch_size, step, aggregate, subspace, images)
    logits = clean_logits(classifier, images)
    source, classes = logits.argmax(1), logits.shape[1]
    if target is not None and not 0 <= target < classes:
        raise InputError(f"`target` should lie in 0..{classes - 1}. Found {target}.")
    gap = logit_gap(logits, source, leading_class(logits, source)).abs().median()
    objective = _loss(loss, TEMPERATURE * float(gap), target)
    watched = None if watch is None else Watch(classifier, watch)
    basis = None if subspace is None else classifier.place(torch.from_numpy(subspace.basis))
    generator = torch.Generator().manual_seed(seed)
    vector = torch.zeros_like(classifier.place(images[:1]))
    ahead, total, momentum = vector, torch.zeros_like(vector), torch.zeros_like(vector)
    steps, spent = 0, 0
    trace: list[tuple[int, float]] = []
    with progress_bar(title, gradients, "gradients", shown=progress) as bar:
        for batch in _batches(len(images), batch_size, gradients, generator):
            chosen = classifier.place(images[batch])
            if mirror:
                chosen = _mirrored(chosen, generator)
            slope = _slope(classifier, chosen, ahead, source[batch], objective)
            if basis is not None:
                slope = (slope.flatten() @ basis.T @ basis).view_as(slope)
            length = float(slope.norm())
            total = total + slope / length if length > 0 else total
            size = step * 0.5 * (1 + np.cos(np.pi * spent / gradients))
            steps, spent = steps + 1, spent + len(batch)
            if steps % aggregate and spent < gradients:
                ahead = _moved(ahead, slope, ball, size, subspace is not None)
            else:
                momentum = _MOMENTUM * momentum + total
                vector = ahead = _moved(vector, momentum, ball, size, subspace is not None)
                total = torch.zeros_like(total)
            bar.update(len(batch))
            if watched is not None and spent * LOOKS // gradients > len(trace):
                trace.append((spent, watched.rate(_full(vector, ball))))
                bar.set_postfix_str(f"fooling rate {trace[-1][1]:.3f}")
    found = _full(require_direction(vector), ball)
    looks = 0
    if target is None:  # of few dimensions ascent may end in the worse of two opposite maxima
        looks, judged = 2, Watch(classifier, images, source)
        rate, opposite = (judged.rate(classifier.place(one)) for one in (found, -found))
        found = -found if opposite > rate else found
    return UniversalPerturbation(
        vector=found,
        ball=ball,
        images_used=len(images),
        forward_passes=(1 + looks) * len(images) + spent,
        backward_passes=spent,
        trace=tuple(trace),
    )


def require_direction(vector: Tensor) -> Tensor:
    """Return a vector (1, C, H, W) that was found as (C, H, W), float64, on the CPU.

    Raises:
        InputError: If it is zero or not finite.
    """
    found = vector[0].double().cpu()
    if not found.isfinite().all() or not found.any():
        raise InputError(
            "the classifier should have finite gradients with respect to its input, which are not "
            f"zero for every image. Found {'zeros' if found.isfinite().all() else 'NaN'}; check "
            "that the model can be differentiated and that predictions depend on the images."
        )
    return found


class Watch:
    """Images on which the fooling rate of a moving vector is taken.

    Args:
        classifier: Its own predictions of the clean images are the reference.
        images: Shape (N, C, H, W), inside the bounds; moved to the classifier in batches.
        source: Those predictions, (N,), where they are known.
    """

    def __init__(
        self, classifier: Classifier, images: Tensor, source: Tensor | None = None
    ) -> None:
        self._classifier, self._images = classifier, images
        self._source = clean_logits(classifier, images).argmax(1) if source is None else source

    @torch.no_grad()
    def rate(self, vector: Tensor) -> float:
        """Return the share of the images whose class a vector changes, not clipped."""
        found = [
            self._classifier.predict(self._classifier.place(part) + vector)
            for part in torch.split(self._images, _FORWARD)
        ]
        return float((torch.cat(found) != self._source).double().mean())


@torch.no_grad()
def clean_logits(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the logits of images, (N, K), moved to the classifier in batches.

    Raises:
        InputError: If the images cannot be used.
    """
    found = []
    for part in torch.split(images, _FORWARD):
        placed = classifier.place(part)
        classifier.check(placed)
        found.append(classifier(placed))
    return torch.cat(found)


def _check_options(
    gradients: int,
    batch_size: int,
    step: float,
    aggregate: int,
    subspace: Subspace | None,
    images: Tensor,
) -> None:
    counts = {"gradients": gradients, "batch_size": batch_size, "aggregate": aggregate}
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"`{name}` should be at least 1. Found {count}.")
    if not 0 < step <= 2:
        raise InputError(f"`step` should be a share of the norm, in (0, 2]. Found {step}.")
    dimension = images[0].numel()
    if subspace is not None and subspace.ambient_dimension != dimension:
        raise InputError(
            f"`subspace` should be one of the {dimension} numbers of an image. Found one of "
            f"{subspace.ambient_dimension}."
        )


def _loss(name: str, temperature: float, target: int | None) -> Loss:
    if name not in {"rate", "cross_entropy"}:
        raise InputError(f"`loss` should be rate or cross_entropy. Found `{name}`.")

    def rate(logits: Tensor, source: Tensor) -> Tensor:
        aim = source if target is None else torch.full_like(source, target)
        gap = logit_gap(logits, aim, leading_class(logits.detach(), aim))
        return torch.sigmoid((gap if target is None else -gap) / temperature)

    def cross_entropy(logits: Tensor, source: Tensor) -> Tensor:
        if target is not None:
            aim = torch.full_like(source, target)
            return -functional.cross_entropy(logits, aim, reduction="none")
        return functional.cross_entropy(logits, source, reduction="none").clamp(max=CLIPPED_AT)

    return rate if name == "rate" else cross_entropy


def _batches(
    count: int, batch_size: int, gradients: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield places of images, each pass over them in a new order, until ``gradients`` are spent."""
    passes = -(-gradients // count)
    places = torch.cat([torch.randperm(count, generator=generator) for _ in range(passes)])
    yield from torch.split(places[:gradients], batch_size)


def _slope(
    classifier: Classifier, images: Tensor, vector: Tensor, source: Tensor, loss: Loss
) -> Tensor:
    """Return the gradient of the mean loss with respect to the perturbation."""

    def of(rows: slice) -> Tensor:
        with torch.enable_grad():
            perturbation = vector.detach().requires_grad_()
            part = loss(classifier(images[rows] + perturbation), source[rows]).sum()
            mean = part / len(images)
            if not mean.requires_grad:  # the logits do not depend on the input
                return torch.zeros_like(vector)
            (slope,) = torch.autograd.grad(mean, perturbation)
        return slope

    return halving(of, len(images), summed)


def _moved(vector: Tensor, direction: Tensor, ball: Ball, share: float, inside: bool) -> Tensor:
    """Return the perturbation after a step of a share of the norm, in the ball."""
    if inside:
        return ball.shrink(vector + share * ball.norm * ball.unit(direction))
    return ball.project(vector + share * ball.norm * ball.steepest(direction))


def _full(vector: Tensor, ball: Ball) -> Tensor:
    """Return a vector scaled to the full norm of the ball; zero stays."""
    length = float(torch.linalg.vector_norm(vector, ball.p))
    return vector * (ball.norm / length) if length > 0 else vector


def _mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images, each turned left to right one time in two."""
    turned = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(turned.to(images.device)[:, None, None, None], images.flip(-1), images)
