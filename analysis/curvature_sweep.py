"""Curvature along families of directions, over scales, at anchors of many images: curves over s."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.components import mean_over
from analysis.intervals import Interval
from boundary.anchors import SURFACES, Anchors
from boundary.classifier import Classifier
from boundary.progress import progress_bar
from boundary.result import Result
from boundary.sections import ESTIMATORS, Curvatures, curvatures

NEAREST, RANDOM, BETWEEN, IMAGE = "nearest", "random", "between", "image"
ANCHORS = (NEAREST, RANDOM, BETWEEN, IMAGE)
"""Nearest boundary point; boundary in a random direction; on the way to an image of another class;
the image itself."""


@dataclass(frozen=True, eq=False)
class DirectionFamily:
    """Unit directions that curvature is measured along, the same for all images."""

    name: str
    directions: NDArray[np.float64]
    """(draws, D), unit."""
    sampled: bool = True
    """Whether they are a random sample of more, or a fixed list."""


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureCurve(Result):
    """Curvature along one family at one kind of anchor, by one estimator on one surface."""

    AXES: ClassVar = {
        "scales": "scales",
        "curvature": "scales draw point",
        "censored": "scales draw point",
        "mean": "scales",
        "positive_share": "scales",
        "zero_share": "scales",
    }
    ROWS = "scales"

    family: str
    anchor: str
    """One of `ANCHORS`."""
    estimator: str
    """``values``, ``gradients`` or ``section``."""
    surface: str
    """``pair`` or ``region``."""
    scales: NDArray[np.float64]
    """(scales,), s, input units, ascending."""
    curvature: NDArray[np.float64]
    """(scales, draws, points), 1 / input units, positive where the boundary bends towards the
    image; of a censored section a bound."""
    censored: NDArray[np.bool_]
    """(scales, draws, points): a section met no boundary within its reach."""
    residual: float
    """Largest distance of a section's ends from the boundary, first order, input units."""
    sampled: bool = True

    @property
    def mean(self) -> NDArray[np.float64]:
        """(scales,), mean over draws and points."""
        return np.asarray(self.curvature.mean((1, 2)))

    @property
    def intervals(self) -> list[Interval]:
        """Of the mean at each scale, 95 %, over draws and points."""
        return [mean_over(values, self.sampled).interval for values in self.curvature]

    @property
    def positive_share(self) -> NDArray[np.float64]:
        """(scales,), share of draws and points with positive curvature."""
        return np.asarray((self.curvature > 0).mean((1, 2)))

    @property
    def zero_share(self) -> NDArray[np.float64]:
        """(scales,), share that is exactly zero: piecewise linear at this scale, not flat."""
        return np.asarray((self.curvature == 0).mean((1, 2)))


def measure_curvatures(
    classifier: Classifier,
    anchors: Mapping[str, Anchors],
    families: Sequence[DirectionFamily],
    scales: Sequence[float],
    *,
    estimators: Sequence[str] = ESTIMATORS,
    surfaces: Sequence[str] = SURFACES,
    batch_size: int = 64,
    title: str = "curvature",
    progress: bool = False,
) -> list[CurvatureCurve]:
    """Return the curvature of every family at every kind of anchor, over scales.

    Args:
        classifier: Whose boundary it is.
        anchors: By kind, each of as many points as there are; without any, its curves have none.
        families: Along which directions.
        scales: s, input units.
        estimators: Some of ``values``, ``gradients``, ``section``.
        surfaces: Some of ``pair``, ``region``.
        batch_size: Anchors in one pass.
        title: Of the progress bar.
        progress: Show a progress bar on standard error.
    """
    ascending = sorted(set(scales))
    vectors = torch.from_numpy(np.concatenate([family.directions for family in families]))
    total = sum(map(len, anchors.values())) * len(ascending)
    found: list[CurvatureCurve] = []
    with progress_bar(title, total, "points", shown=progress) as bar:
        for kind, at in anchors.items():
            directions = vectors.to(at.point).view(-1, *at.point.shape[1:])
            parts = []  # by estimator and surface, for each scale and batch
            for scale in ascending:
                for start in range(0, max(len(at), 1), batch_size):
                    part = at.subset(slice(start, start + batch_size))
                    parts.append(
                        curvatures(
                            classifier,
                            part,
                            directions,
                            scale,
                            estimators=estimators,
                            surfaces=surfaces,
                        )
                    )
                    bar.update(len(part))
            for same in zip(*parts, strict=True):
                found += _curves_of(same, kind, families, np.array(ascending))
    return found


def _curves_of(
    parts: Sequence[Curvatures],
    anchor: str,
    families: Sequence[DirectionFamily],
    scales: NDArray[np.float64],
) -> list[CurvatureCurve]:
    """Return the curve of each family, from what one estimator gave at each scale and batch."""

    def whole(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return (scales, draws of all families, points)."""
        batches = len(arrays) // len(scales)
        by_scale = [arrays[first : first + batches] for first in range(0, len(arrays), batches)]
        return np.stack([np.concatenate(same).T for same in by_scale])

    curvature = whole([part.curvature.double().cpu().numpy() for part in parts])
    censored = whole([part.censored.cpu().numpy() for part in parts])
    ends = np.cumsum([0, *(len(family.directions) for family in families)])
    return [
        CurvatureCurve(
            family=family.name,
            anchor=anchor,
            estimator=parts[0].estimator,
            surface=parts[0].surface,
            scales=scales,
            curvature=curvature[:, low:high],
            censored=censored[:, low:high],
            residual=max(part.residual for part in parts),
            sampled=family.sampled,
        )
        for family, low, high in zip(families, ends[:-1], ends[1:], strict=True)
    ]


def joined_curves(parts: Sequence[Sequence[CurvatureCurve]]) -> list[CurvatureCurve]:
    """Return the curves that several processes took, each at its own points, as those of all.

    Curves without any point of any process are dropped.

    Args:
        parts: Of each process, the same curves in the same order.
    """
    return [
        replace(
            same[0],
            curvature=np.concatenate([curve.curvature for curve in same], axis=2),
            censored=np.concatenate([curve.censored for curve in same], axis=2),
            residual=max(curve.residual for curve in same),
        )
        for same in zip(*parts, strict=True)
        if any(curve.curvature.shape[2] for curve in same)
    ]
