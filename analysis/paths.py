"""The way of fooled images from x to x + v, and the class that they end in.

*Path account*: the gap g of the final class to the image's own class rises along x + t v from
g(x) < 0 to g(x + v) >= 0. The rise is split into what the slope at the image gives, <grad g(x), v>,
and what the change of slope on the way gives, the rest: a linear classifier has the first alone.

*Sink*: the class that most fooled images go to. What universality is left without it is measured by
a universal perturbation that is made, and judged, with the logit of that class left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analysis.components import share_of, spread_of_ratio
from analysis.intervals import TAILS, Estimate, Interval, median_estimate
from boundary.classifier import Classifier
from boundary.gradients import gap_gradient, logit_gap
from boundary.result import Result

POINTS = 16
"""Points of the way at which the gap is taken, beside the image."""


@dataclass(frozen=True, eq=False, repr=False)
class FoolingPath(Result):
    """Where images go under one vector, and how the gap of the final class rises on the way."""

    AXES: ClassVar = {"source": "image", "final": "image", "gap": "image step", "slope": "image"}

    source: NDArray[np.int64]
    """(images,), predicted class."""
    final: NDArray[np.int64]
    """(images,), predicted class of x + v; the source where the image is not fooled."""
    gap: NDArray[np.float64]
    """(images, steps + 1), logit of the final class less that of the source at x + t v, t = 0, 1 /
    steps, ..., 1; 0 where the image is not fooled."""
    slope: NDArray[np.float64]
    """(images,), <grad gap(x), v>; 0 where the image is not fooled."""

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """(images,)."""
        return np.asarray(self.source != self.final)

    @property
    def rise(self) -> NDArray[np.float64]:
        """(images,), of the gap from the image to the end."""
        return np.asarray(self.gap[:, -1] - self.gap[:, 0])

    @property
    def slope_share(self) -> Estimate:
        """Rise that the slope at the image gives over the whole rise, of all fooled images."""
        rise, slope = self.rise[self.fooled], self.slope[self.fooled]
        if not len(rise):
            return Estimate(0.0, Interval(0.0, 1.0))
        share = float(slope.sum() / rise.sum())
        if len(rise) == 1:  # nothing is known of other images
            return Estimate(share, Interval(min(0.0, share), max(1.0, share)))
        half = spread_of_ratio(slope, rise).half_width(TAILS[1])
        return Estimate(share, Interval(share - half, share + half))

    @property
    def crossing(self) -> NDArray[np.float64]:
        """(fooled,), t of the first crossing of the final class, linear between the points."""
        gap = self.gap[self.fooled]
        last = gap.shape[1] - 1
        after = np.maximum(np.argmax(gap >= 0, axis=1), 1)
        rows = np.arange(len(gap))
        before, beyond = gap[rows, after - 1], gap[rows, after]
        part = np.where(beyond > before, -before / np.where(beyond > before, beyond - before, 1), 1)
        return np.asarray((after - 1 + part) / last)

    @property
    def median_crossing(self) -> Estimate | None:
        """Median of `crossing`; None where no image is fooled."""
        return median_estimate(self.crossing) if self.fooled.any() else None

    @property
    def sink(self) -> int:
        """The class that most fooled images go to, the lowest of several; -1 where none is."""
        ends = self.final[self.fooled]
        return int(np.bincount(ends).argmax()) if len(ends) else -1

    @property
    def sink_share(self) -> Estimate:
        """Share of the fooled images that go to it."""
        return share_of(self.final[self.fooled] == self.sink)


@torch.no_grad()
def path_of_fooling(
    classifier: Classifier,
    images: Tensor,
    vector: Tensor,
    *,
    steps: int = POINTS,
    batch_size: int = 64,
) -> FoolingPath:
    """Return the path account of one vector: one gradient and ``steps`` passes a fooled image.

    Args:
        classifier: Whose predictions change.
        images: Shape (N, C, H, W).
        vector: Shape (C, H, W), input units.
        steps: Parts of the way.
        batch_size: Images in one pass.
    """
    added = classifier.place(vector)
    parts = [
        _path(classifier, classifier.place(batch), added, steps)
        for batch in torch.split(images, batch_size)
    ]
    return FoolingPath(*(np.concatenate(same) for same in zip(*parts, strict=True)))


def _path(
    classifier: Classifier, images: Tensor, vector: Tensor, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    source, final = classifier.predict(images), classifier.predict(images + vector)
    gap = torch.zeros(len(images), steps + 1, dtype=torch.float64)
    slope = torch.zeros(len(images), dtype=torch.float64)
    fooled = source != final
    if fooled.any():
        part, one, other = images[fooled], source[fooled], final[fooled]
        gradient = gap_gradient(classifier, part, one, other).gradient
        slope[fooled.cpu()] = (gradient * vector).flatten(1).double().sum(1).cpu()
        gap[fooled.cpu()] = torch.stack(
            [
                logit_gap(classifier(part + (step / steps) * vector), one, other).double().cpu()
                for step in range(steps + 1)
            ],
            dim=1,
        )
    return source.cpu().numpy(), final.cpu().numpy(), gap.numpy(), slope.numpy()


class WithoutClass(nn.Module):
    """A network with the logit of one class left out; classes above it move down by one."""

    def __init__(self, network: nn.Module, label: int) -> None:
        super().__init__()
        self.network, self.label = network, label

    def forward(self, images: Tensor) -> Tensor:
        """Return the other logits, (N, K - 1), of images (N, C, H, W)."""
        output = self.network(images)
        logits: Tensor = getattr(output, "logits", output)
        return torch.cat([logits[:, : self.label], logits[:, self.label + 1 :]], dim=1)


def rate_without_sink(
    classifier: Classifier,
    sink: int,
    making: Tensor,
    judged: Tensor,
    make: Callable[[Classifier, Tensor], Tensor],
    *,
    batch_size: int = 64,
) -> Estimate | None:
    """Return the fooling rate of a universal perturbation made and judged without one class.

    Args:
        classifier: Of three classes at least.
        sink: The class that is left out; images of that class are left out too.
        making: Images that make it, (N, C, H, W).
        judged: Images that judge it, (M, C, H, W).
        make: Makes the vector, (C, H, W), from a classifier and images.
        batch_size: Images in one pass.

    Returns:
        Share of the judged images of other classes that end in another class than their own; None
        where no images of other classes are left, or no two classes.
    """
    parts = [
        torch.cat(
            [
                placed[classifier.predict(placed) != sink]
                for placed in map(classifier.place, torch.split(images, batch_size))
            ]
        )
        for images in (making, judged)
    ]
    classes = classifier(parts[0][:1]).shape[1] if len(parts[0]) else 0
    if sink < 0 or classes < 3 or not len(parts[1]):
        return None
    left = Classifier(WithoutClass(classifier.module, sink).eval(), classifier.bounds)
    vector = classifier.place(make(left, parts[0]))
    fooled = [
        (left.predict(part) != left.predict(part + vector)).cpu().numpy()
        for part in torch.split(parts[1], batch_size)
    ]
    return share_of(np.concatenate(fooled))
