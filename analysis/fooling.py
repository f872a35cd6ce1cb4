"""Fooling rates: the share of images whose prediction a perturbation changes.

The reference is the classifier's own prediction of the clean image; true labels play no part.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, inf, nan
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.components import difference_of, share_of
from analysis.intervals import TAILS, Interval
from analysis.perturbations import Perturbations, require_finite
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.progress import progress_bar
from boundary.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class FoolingRate(Result):
    """Which images each draw of a family of perturbations fools, at one norm."""

    AXES: ClassVar = {"fooled": "draw image"}
    DERIVED = ("count", "total", "rate", "interval")

    family: str
    subspace_dimension: int
    """R of the subspace that the draws come from; D for the whole sphere."""
    norm: float
    """lp length of each perturbation, input units, before clipping."""
    clipped: bool
    """Whether the perturbed images were clipped to the classifier's bounds."""
    fooled: NDArray[np.bool_]
    """(draws, images)."""
    p: float = 2.0
    """Of the norm: 2 or infinity."""
    sampled: bool = True
    """Whether the draws are a sample of more; of a fixed list the interval is over images."""
    per_draw: int = 1
    """Vectors of each subspace, where subspaces are drawn too, which are then the draws."""

    @property
    def by_subspace(self) -> NDArray[np.bool_]:
        """(subspaces, vectors, images), where subspaces are drawn too."""
        return self.fooled.reshape(-1, self.per_draw, self.fooled.shape[1])

    @property
    def by_draw(self) -> NDArray[np.float64]:
        """(draws, images), share fooled by the vectors of each draw: one, or a subspace's."""
        return np.asarray(self.by_subspace.mean(1))

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

    def among(self, images: NDArray[np.bool_]) -> "FoolingRate":
        """Return the rate on some of the images: those of one class, those classified correctly.

        Args:
            images: Which, (images,); at least one.
        """
        return replace(self, fooled=self.fooled[:, images])

    @cached_property
    def interval(self) -> Interval:
        """95 % interval over draws and images: see `analysis.components.share_of`."""
        return share_of(self.by_draw, sampled=self.sampled).interval


@dataclass(frozen=True, repr=False)
class Comparison(Result):
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
        InputError: If there are no images, a perturbation is not finite or has another shape, or
            the classifier gives numbers that are not finite on perturbed images.
    """
    for family in families:
        require_finite(family.family, family.directions)
    placed = {id(family.directions): classifier.place(family.directions) for family in families}
    trials = [
        (direction, family.norm, clip)
        for family in families
        for clip in clips
        for direction in placed[id(family.directions)]
    ]
    fooled: list[NDArray[np.bool_]] = []
    with progress_bar("fooling rates", images, "images", shown=progress) as bar:
        for batch in batches:
            classifier.check(batch)
            _require_shape(families, tuple(batch.shape[1:]))
            fooled.append(_fooled(classifier, batch, trials))
            bar.update(len(batch))
    if not fooled:
        raise InputError("`batches` should hold at least one image. Found none.")
    rows = iter(np.concatenate(fooled, axis=1))
    return [
        FoolingRate(
            family.family,
            family.subspace_dimension,
            family.norm,
            clip,
            np.stack([next(rows) for _ in family.directions]),
            family.p,
            family.sampled,
            family.per_draw,
        )
        for family in families
        for clip in clips
    ]


def joined_rates(parts: Sequence[Sequence[FoolingRate]]) -> list[FoolingRate]:
    """Return the rates that several processes took, each on its own images, as those on all.

    Args:
        parts: Of each process, the same families and clip policies in the same order.
    """
    return [
        replace(same[0], fooled=np.concatenate([rate.fooled for rate in same], axis=1))
        for same in zip(*parts, strict=True)
    ]


def compare(first: FoolingRate, second: FoolingRate) -> Comparison:
    """Return how two families differ on the same images, in pairs.

    The interval of the ratio is that of the difference, each rate's own part of it over the rate;
    where one of them fools no image it is unbounded.

    Raises:
        InputError: If they were not tried on the same number of images.
    """
    require_same_images([first, second])
    sampled = (first.sampled, second.sampled)
    found = difference_of(first.by_draw, second.by_draw, sampled)
    if not first.count or not second.count:
        ratio = inf if first.count else nan
        return Comparison(
            found.estimate,
            clipped_interval(found.interval),
            0.0 if second.count else ratio,
            Interval(0.0, inf),
        )
    relative = difference_of(first.by_draw / first.rate, second.by_draw / second.rate, sampled)
    half, ratio = relative.half_width(TAILS[1]), first.rate / second.rate
    return Comparison(
        found.estimate,
        clipped_interval(found.interval),
        ratio,
        Interval(ratio * exp(-half), ratio * exp(half)),
    )


def require_same_images(rates: Sequence[FoolingRate]) -> None:
    """Refuse rates that were not taken on the same images.

    Raises:
        InputError: If the numbers of images differ.
    """
    counts = [rate.fooled.shape[1] for rate in rates]
    if len(set(counts)) > 1:
        raise InputError(
            "families are compared on the same images. Found "
            f"{' and '.join(map(str, dict.fromkeys(counts)))}."
        )


def clipped_interval(interval: Interval) -> Interval:
    """Return an interval of a difference of shares, within -1 and 1."""
    return Interval(max(interval.low, -1.0), min(interval.high, 1.0))


def _require_shape(families: Sequence[Perturbations], shape: tuple[int, ...]) -> None:
    for family in families:
        found = tuple(family.directions.shape[1:])
        if found != shape:
            raise InputError(
                f"the perturbations of family `{family.family}` should have the images' shape "
                f"{shape}. Found {found}."
            )


def _fooled(
    classifier: Classifier, images: Tensor, trials: Sequence[tuple[Tensor, float, bool]]
) -> NDArray[np.bool_]:
    """Return which images change their class in each trial, (trials, images).

    Raises:
        InputError: If the classifier's numbers are not finite.
    """
    clean = classifier.predict(images)
    changed = torch.empty(len(trials), len(images), dtype=torch.bool, device=clean.device)
    finite = torch.ones((), dtype=torch.bool, device=clean.device)
    perturbed = torch.empty_like(images)  # one memory for all: fresh pages cost as much as sums
    for row, (direction, norm, clip) in zip(changed, trials, strict=True):
        torch.add(images, direction, alpha=norm, out=perturbed)
        if clip:
            perturbed.clamp_(*classifier.bounds)
        logits = classifier(perturbed)
        finite &= logits.isfinite().all()
        torch.ne(logits.argmax(1), clean, out=row)
    if not finite:
        raise InputError(
            "the classifier should return finite logits. Found NaN or infinity on perturbed "
            "images, whose classes mean nothing; try smaller norms."
        )
    return changed.cpu().numpy()
