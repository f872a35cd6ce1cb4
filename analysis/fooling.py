"""Fooling rates: the share of images whose prediction a perturbation changes.

The reference is the classifier's own prediction of the clean image; true labels play no part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def interval(self) -> Interval:
        """95 % interval: a bootstrap over draws and images, or Wilson's over the images.

        Wilson's is taken for one draw, and where all images are fooled by every draw or by none:
        resampling those shows no spread.
        """
        draws, images = self.fooled.shape
        if draws == 1 or self.count in {0, self.total}:
            return wilson_interval(self.count // draws, images)
        return percentile_interval(two_way_bootstrap(self.fooled)[0])


@dataclass(frozen=True)
class Comparison:
    """Two families on the same images, in pairs."""

    difference: float
    """Rate of the first minus rate of the second."""
    difference_interval: Interval
    ratio: float
    """Rate of the first over rate of the second; infinite if the second fools no image."""
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

    Raises:
        InputError: If they were not tried on the same number of images.
    """
    if first.fooled.shape[1] != second.fooled.shape[1]:
        raise InputError(
            "two families are compared on the same images. Found "
            f"{first.fooled.shape[1]} and {second.fooled.shape[1]}."
        )
    one, other = two_way_bootstrap(first.fooled, second.fooled)
    return Comparison(
        difference=first.rate - second.rate,
        difference_interval=percentile_interval(one - other),
        ratio=first.rate / second.rate if second.count else float("inf"),
        ratio_interval=percentile_interval(one / np.maximum(other, 0.5 / second.total)),
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
