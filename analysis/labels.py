"""To which class the images of each class go under one perturbation.

Moosavi-Dezfooli et al. (CVPR 2017) see that most go to a few dominant labels. Classes are the
classifier's own predictions throughout.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.intervals import Estimate, wilson_interval
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.progress import progress_bar
from boundary.result import Result


@dataclass(frozen=True)
class TopSink:
    """The class that most fooled images go to (the lowest index of several), and how many do.

    Chosen and counted on the same images, a largest share is too large, and a percentile bootstrap
    only adds to that. So each half of the fooled images chooses a sink, which is counted on the
    other half; Wilson's interval is of both counts together. Where the halves choose differently
    the share is somewhat too small: it is that of a sink known beforehand from half as many images.
    """

    label: int
    of_images: Estimate
    """Share of all images that are fooled and go to it."""
    of_fooled: Estimate
    """Share of the fooled images that go to it."""


@dataclass(frozen=True, eq=False, repr=False)
class LabelFlows(Result):
    """The predicted class of each image before and after one perturbation."""

    AXES: ClassVar = {"source": "image", "moved": "image", "fooled": "image"}
    ROWS = "image"

    family: str
    norm: float
    """Length of the perturbation in the p-norm, input units, before clipping."""
    p: float
    clipped: bool
    """Whether the perturbed images were clipped to the classifier's bounds."""
    classes: int
    """K."""
    source: NDArray[np.int64]
    """(n,), predicted class of the clean images."""
    moved: NDArray[np.int64]
    """(n,), predicted class of the perturbed images."""
    class_names: tuple[str, ...]
    """Index -> name; empty where unknown."""

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """(n,), whether the prediction changes."""
        return np.asarray(self.source != self.moved)

    @cached_property
    def flows(self) -> NDArray[np.int64]:
        """(K, K), images of each class (row) that end in each class; the diagonal is not fooled."""
        pairs = np.bincount(self.source * self.classes + self.moved, minlength=self.classes**2)
        return pairs.reshape(self.classes, self.classes)

    @property
    def before(self) -> NDArray[np.int64]:
        """(K,), clean images of each class."""
        return np.bincount(self.source, minlength=self.classes)

    @property
    def after(self) -> NDArray[np.int64]:
        """(K,), perturbed images of each class."""
        return np.bincount(self.moved, minlength=self.classes)

    @property
    def received(self) -> NDArray[np.int64]:
        """(K,), fooled images that go to each class."""
        return self.after - np.diag(self.flows)

    @property
    def top_sink(self) -> TopSink | None:
        """The class that most fooled images go to; None if no image is fooled."""
        labels = self.moved[self.fooled]
        if not len(labels):
            return None
        count = _cross_fitted_count(labels)
        return TopSink(
            label=int(self.received.argmax()),
            of_images=_share(count, len(self.moved)),
            of_fooled=_share(count, len(labels)),
        )


@torch.no_grad()
def label_flows(
    classifier: Classifier,
    batches: Iterable[Tensor],
    perturbation: Tensor,
    *,
    clip: bool = False,
    p: float = 2.0,
    family: str = "universal",
    class_names: Sequence[str] = (),
    images: int | None = None,
    progress: bool = False,
) -> LabelFlows:
    """Return the predicted class of each image before and after a perturbation is added to it.

    Args:
        classifier: Takes one clean and one perturbed forward pass a batch.
        batches: Images, (B, C, H, W) each, inside the classifier's bounds, on any device.
        perturbation: One vector, (C, H, W).
        clip: Clip the perturbed images to the bounds, as a camera would.
        p: In which norm the length of the perturbation is told.
        family: What to call the perturbation.
        class_names: Index -> name; empty where unknown.
        images: How many images the batches hold, for the progress bar.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If there are no images, the perturbation is not finite or of another shape, or
            the logits of perturbed images are not finite.
    """
    if not perturbation.isfinite().all():
        raise InputError(
            "`perturbation` should be finite. Found NaN or infinity; check how it was made."
        )
    classes = 0
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    with progress_bar("label flows", images, "images", shown=progress) as bar:
        for batch in batches:
            placed = classifier.place(batch)
            classifier.check(placed)
            clean = classifier(placed)
            perturbed = _perturbed_logits(classifier, placed, perturbation, clip)
            parts.append((clean.argmax(1).cpu().numpy(), perturbed.argmax(1).cpu().numpy()))
            classes = clean.shape[1]
            bar.update(len(batch))
    if not parts:
        raise InputError("`batches` should hold at least one image. Found none.")
    source, moved = (np.concatenate(part) for part in zip(*parts, strict=True))
    length = float(torch.linalg.vector_norm(perturbation.double(), p))
    return LabelFlows(family, length, float(p), clip, classes, source, moved, tuple(class_names))


def _perturbed_logits(
    classifier: Classifier, images: Tensor, perturbation: Tensor, clip: bool
) -> Tensor:
    if perturbation.shape != images.shape[1:]:
        raise InputError(
            f"`perturbation` should have the images' shape {tuple(images.shape[1:])}. Found "
            f"{tuple(perturbation.shape)}; give one vector, without a batch axis."
        )
    perturbed = images + perturbation.to(images)
    if clip:
        perturbed.clamp_(*classifier.bounds)
    logits = classifier(perturbed)
    if not logits.isfinite().all():
        raise InputError(
            "the classifier should return finite logits for perturbed images. Found NaN or "
            "infinity; make the perturbation smaller, or clip the perturbed images."
        )
    return logits


def _share(count: int, total: int) -> Estimate:
    return Estimate(count / total, wilson_interval(count, total))


def _cross_fitted_count(labels: NDArray[np.int64]) -> int:
    """Return how many labels of each half are the most frequent one of the other half, summed."""
    halves = np.array_split(np.random.default_rng(0).permutation(labels), 2)
    return sum(
        int((judged == np.bincount(chosen).argmax()).sum())
        for chosen, judged in (halves, reversed(halves))
        if len(chosen)
    )
