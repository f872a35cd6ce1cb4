"""Fooling rates: the share of images whose prediction a perturbation changes.

The reference is the classifier's own prediction of the clean image; true labels play no part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import hypot, inf, nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.intervals import Interval, percentile_interval, two_way_bootstrap, wilson_interval
from analysis.perturbations import Perturbations
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.progress import progress_bar


@dataclass(frozen=True, eq=False)
class FoolingRate:
    """Which images each draw of a family of perturbations fools, at one norm."""

    family: str
    subspace_dimension: int
    """R of the subspace that the draws come from; D for the whole sphere."""
    norm: float
    """Euclidean length of each perturbation, input units, before clipping."""
    clipped: bool
    """Whether the perturbed images were clipped to the classifier's bounds."""
    fooled: NDArray[np.bool_]
    """(draws, images)."""

    @property
    def count(self) -> int:
        """k: images fooled, summed over the draws."""
        return int(self.fooled.sum())

    @property
    def total(self) -> int:
        """n: draws times images."""
        return int(self.fooled.size)

    @property
    def rate(self) -> float:
        """Share fooled, k / n."""
        return self.count / self.total

    @property
    def unanimous(self) -> bool:
        """Whether every draw fools every image, or none does: resampling shows no spread."""
        return self.count in {0, self.total}

    @property
    def interval_kind(self) -> str:
        """``Wilson`` over the images for one draw or unanimous ones, else ``bootstrap``."""
        return "Wilson" if len(self.fooled) == 1 or self.unanimous else "bootstrap"

    @cached_property
    def interval(self) -> Interval:
        """95 % interval: a bootstrap over draws and images, or Wilson's over the images."""
        draws, images = self.fooled.shape
        if self.interval_kind == "Wilson":
            return wilson_interval(self.count // draws, images)
        return percentile_interval(two_way_bootstrap(self.fooled)[0])


@dataclass(frozen=True)
class Comparison:
    """Two families on the same images, in pairs."""

    difference: float
    """Rate of the first minus rate of the second."""
    difference_interval: Interval
    ratio: float
    """Rate of the first over rate of the second; infinite if the second fools no image, NaN if
    neither does."""
    ratio_interval: Interval


def fooling_rate(
    classifier: Classifier,
    images: Tensor,
    perturbations: Perturbations,
    *,
    clip: bool = False,
    batch_size: int = 64,
) -> FoolingRate:
    """Return which of the images each perturbation fools.

    Args:
        classifier: Its own prediction of the clean image is the reference.
        images: Shape (N, C, H, W), inside the classifier's bounds.
        perturbations: Draws of one family.
        clip: Clip the perturbed images to the bounds, as a camera would.
        batch_size: Images in one forward pass.
    """
    batches = torch.split(images, batch_size)
    return fooling_rates(classifier, batches, [perturbations], clips=[clip])[0]


@torch.no_grad()
def fooling_rates(
    classifier: Classifier,
    batches: Iterable[Tensor],
    families: Sequence[Perturbations],
    *,
    clips: Sequence[bool] = (False, True),
    images: int | None = None,
    progress: bool = False,
) -> list[FoolingRate]:
    """Return the fooling rates of many families in one reading of the images.

    The clean prediction of an image is taken once; each perturbed batch is one forward pass.

    Args:
        classifier: Its own prediction of the clean image is the reference.
        batches: Images, (B, C, H, W) each, inside the classifier's bounds.
        families: What to add to them.
        clips: Whether to clip the perturbed images to the bounds; each is done.
        images: How many images the batches hold, for the progress bar.
        progress: Show a progress bar on standard error.

    Returns:
        One rate a family and clip policy, families in their order.

    Raises:
        InputError: If there are no images, or a perturbation has another shape.
    """
    trials = [(family, clip) for family in families for clip in clips]
    vectors = {
        id(family): family.vectors.to(classifier.device, classifier.dtype) for family in families
    }
    parts: list[list[NDArray[np.bool_]]] = [[] for _ in trials]
    with progress_bar("fooling rates", images, "images", shown=progress) as bar:
        for batch in batches:
            classifier.check(batch)
            _require_shape(families, tuple(batch.shape[1:]))
            clean = classifier.predict(batch)
            for part, (family, clip) in zip(parts, trials, strict=True):
                fooled = [
                    _predict_perturbed(classifier, batch, vector, clip) != clean
                    for vector in vectors[id(family)]
                ]
                part.append(torch.stack(fooled).cpu().numpy())
            bar.update(len(batch))
    if not parts[0]:
        raise InputError("`batches` should hold at least one image. Found none.")
    return [
        FoolingRate(
            family.family,
            family.subspace_dimension,
            family.norm,
            clip,
            np.concatenate(part, axis=1),
        )
        for part, (family, clip) in zip(parts, trials, strict=True)
    ]


def compare(first: FoolingRate, second: FoolingRate) -> Comparison:
    """Return how two families differ on the same images, resampled together.

    Where both are unanimous, resampling shows no spread, and the intervals are made of Wilson's of
    the two rates: Newcombe's (1998, method 10) for the difference, the extremes for the ratio.

    Raises:
        InputError: If they were not tried on the same number of images.
    """
    if first.fooled.shape[1] != second.fooled.shape[1]:
        raise InputError(
            "two families are compared on the same images. Found "
            f"{first.fooled.shape[1]} and {second.fooled.shape[1]}."
        )
    difference = first.rate - second.rate
    ratio = first.rate / second.rate if second.count else inf if first.count else nan
    if first.unanimous and second.unanimous:
        a, b = first.interval, second.interval
        below = hypot(first.rate - a.low, b.high - second.rate)
        above = hypot(a.high - first.rate, second.rate - b.low)
        of_difference = Interval(difference - below, difference + above)
        of_ratio = Interval(a.low / b.high, a.high / b.low if b.low else inf)
        return Comparison(difference, of_difference, ratio, of_ratio)
    one, other = two_way_bootstrap(first.fooled, second.fooled)
    return Comparison(
        difference,
        percentile_interval(one - other),
        ratio,
        percentile_interval(one / np.maximum(other, 0.5 / second.total)),
    )


def _require_shape(families: Sequence[Perturbations], shape: tuple[int, ...]) -> None:
    for family in families:
        if tuple(family.vectors.shape[1:]) != shape:
            raise InputError(
                f"the perturbations of family `{family.family}` should have the images' shape "
                f"{shape}. Found {tuple(family.vectors.shape[1:])}."
            )


def _predict_perturbed(
    classifier: Classifier, images: Tensor, vector: Tensor, clip: bool
) -> Tensor:
    perturbed = images + vector
    if clip:
        perturbed.clamp_(*classifier.bounds)
    return classifier.predict(perturbed)
