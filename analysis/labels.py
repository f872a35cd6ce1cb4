"""The label graph: to which class the images of each class go under one perturbation.

Moosavi-Dezfooli et al. (CVPR 2017) draw an edge i -> j where most images of class i move to j, and
see stars around a few dominant labels. Classes are the classifier's own predictions throughout.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import entr, xlogy
from scipy.stats import norm as normal
from torch import Tensor

from analysis.intervals import TAILS, Estimate, Interval, wilson_interval
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.progress import progress_bar
from boundary.result import Result

_MOST_UNSEEN = 0.05
"""In simulations of uniform and Zipf laws over 100 and 1000 classes the jackknife's interval holds
the entropy in 86 to 100 % of samples below this, in as few as 79 % at 0.06 and in none at 0.5."""


@dataclass(frozen=True, eq=False)
class LabelEdges:
    """One edge for each class with a fooled image, to the class most of those images go to.

    Where as many go to several classes, the edge leads to the one of lowest index.
    """

    source: NDArray[np.int64]
    """(E,), ascending."""
    target: NDArray[np.int64]
    """(E,)."""
    count: NDArray[np.int64]
    """(E,), images that move along the edge."""
    images: NDArray[np.int64]
    """(E,), images of the source class, fooled or not."""
    tied: NDArray[np.bool_]
    """(E,), whether as many images go to another class too."""

    @property
    def share(self) -> NDArray[np.float64]:
        """(E,), the part of the source class's images that move along the edge."""
        return np.asarray(self.count / self.images)

    @property
    def majority(self) -> NDArray[np.bool_]:
        """(E,), whether that is more than half of them: the edges of the 2017 paper."""
        return np.asarray(2 * self.count > self.images)


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


@dataclass(frozen=True)
class SingleTargets:
    """How many classes send all their fooled images to one class, of those that have two or more.

    A single fooled image always goes to one class, so classes with one are not counted.
    """

    count: int
    total: int
    expected: float
    """Share of them that would, if each fooled image went to another class at random, in proportion
    to the fooled images that class receives; NaN if there are none."""


@dataclass(frozen=True)
class LabelEntropy:
    """Entropy in bits of the classes predicted for a set of images.

    The entropy of observed shares is too low, by about (m - 1) / (2 n ln 2) for m classes seen, and
    that of a resample is lower still: a percentile bootstrap can miss the truth always. Value and
    interval are the jackknife's instead (Efron and Stein 1981), which hold where there are `enough`
    images. Where there are not, the plug-in is a lower bound in the mean, and no more is known. Of
    a sink with a thin tail of many labels the jackknife's interval holds less often than it should.
    """

    value: float
    """Corrected for bias by the jackknife; the plug-in if there are too few images."""
    interval: Interval
    """95 %, normal; if there are too few images, from below the plug-in, by its own spread, to
    log2 K; if all have one class, from Wilson's share of the others."""
    plug_in: float
    """Of the observed shares, not corrected."""
    unseen: float
    """Share of the images whose class no other image has: by Good and Turing, of images drawn at
    random, the chance that a further one has a class not seen yet."""

    @property
    def enough(self) -> bool:
        """Whether there are enough images for the jackknife, by the share unseen."""
        return self.unseen <= _MOST_UNSEEN


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

    @cached_property
    def moves(self) -> NDArray[np.int64]:
        """(K, K), the same of the fooled images alone: zero on the diagonal."""
        return self.flows - np.diag(np.diag(self.flows))

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
        return np.asarray(self.moves.sum(0))

    @property
    def dominant_labels(self) -> NDArray[np.int64]:
        """The classes that receive fooled images, most first; of equals the lowest index first."""
        order = np.argsort(-self.received, kind="stable")
        return order[: np.count_nonzero(self.received)]

    @cached_property
    def edges(self) -> LabelEdges:
        """From each class with a fooled image to the class most of those images go to."""
        source = np.flatnonzero(self.moves.any(1))
        moves = self.moves[source]
        count = moves.max(1)
        return LabelEdges(
            source=source,
            target=moves.argmax(1),
            count=count,
            images=self.before[source],
            tied=(moves == count[:, None]).sum(1) > 1,
        )

    @property
    def in_degree(self) -> NDArray[np.int64]:
        """(K,), edges that lead to each class."""
        return np.bincount(self.edges.target, minlength=self.classes)

    @property
    def components(self) -> int:
        """Weakly connected components of the graph, classes without an edge left out."""
        ends = self.edges.source, self.edges.target
        graph = coo_array((np.ones(len(ends[0])), ends), shape=self.flows.shape)
        isolated = self.classes - len(np.union1d(*ends))
        return int(connected_components(graph, connection="weak")[0]) - isolated

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

    def reached(self, label: int) -> Estimate:
        """Return the share of the images of other classes that have a class after it.

        Args:
            label: Index of that class.

        Raises:
            InputError: If every image has it before.
        """
        others = self.source != label
        if not others.any():
            raise InputError(f"no image has another class than {label} before the perturbation.")
        return _share(int((self.moved[others] == label).sum()), int(others.sum()))

    @property
    def single_targets(self) -> SingleTargets:
        """Classes with two fooled images or more, all of which go to one class."""
        fooled = self.moves.sum(1)
        sources = np.flatnonzero(fooled >= 2)
        others = np.where(np.arange(self.classes) == sources[:, None], 0, self.received)
        alike = ((others / others.sum(1, keepdims=True)) ** fooled[sources, None]).sum(1)
        return SingleTargets(
            count=int((self.moves[sources].max(1) == fooled[sources]).sum()),
            total=len(sources),
            expected=float(alike.mean()) if len(sources) else nan,
        )

    @property
    def entropy_before(self) -> LabelEntropy:
        """Of the classes of the clean images: what to compare the entropy after with."""
        return label_entropy(self.before)

    @property
    def entropy_after(self) -> LabelEntropy:
        """Of the classes of the perturbed images."""
        return label_entropy(self.after)


def label_entropy(counts: NDArray[np.int64]) -> LabelEntropy:
    """Return the entropy of a distribution over classes, from how many images have each.

    Args:
        counts: Shape (K,), at least one image in all.
    """
    n, highest = int(counts.sum()), float(np.log2(len(counts)))
    seen = counts[counts > 0]
    unseen = float((seen == 1).sum() / n)
    plug_in = float(entr(seen / n).sum() / np.log(2))
    if len(seen) == 1:
        elsewhere = 1 - wilson_interval(n, n).low
        spread = entr(elsewhere) + entr(1 - elsewhere) + elsewhere * np.log(len(counts) - 1)
        return LabelEntropy(0.0, Interval(0.0, min(spread / np.log(2), highest)), 0.0, unseen)
    if unseen > _MOST_UNSEEN:
        spread = np.sqrt(max(float(seen @ np.log2(seen / n) ** 2 / n) - plug_in**2, 0.0) / n)
        low = max(plug_in - float(normal.ppf(TAILS[1]) * spread), 0.0)
        return LabelEntropy(plug_in, Interval(low, highest), plug_in, unseen)
    terms = xlogy(seen, seen)
    less_one = terms.sum() - terms + xlogy(seen - 1, seen - 1)
    left_out = (np.log(n - 1) - less_one / (n - 1)) / np.log(2)  # without one image of each class
    mean = float(seen @ left_out / n)
    variance = (n - 1) * float(seen @ (left_out - mean) ** 2 / n)
    value = n * plug_in - (n - 1) * mean
    reach = float(normal.ppf(TAILS[1])) * np.sqrt(variance)
    value, low, high = np.clip([value, value - reach, value + reach], 0, highest).tolist()
    return LabelEntropy(value, Interval(low, high), plug_in, unseen)


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
