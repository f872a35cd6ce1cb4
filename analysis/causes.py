"""Causes of fooling: what carries an image across the boundary when a vector is added to it.

For an image x of class s and another class k, the targeted nearest boundary point z = x + r_k gives
a *plane* with normal n_k and offset o_k = <n_k, r_k>, and, along the tangent part w of v - r_k, the
curvature kappa_k of that pair's boundary at a scale, by values at z +- scale w / |w|. A vector v

- crosses the *plane* of k if <n_k, v> > o_k;
- crosses the *parabola* of k if <n_k, v> > o_k - kappa_k |w|^2 / 2.

A fooled (image, vector) pair is explained by its *own plane*, that of the nearest boundary point;
if not, by *another class's plane*; if not, by *bending*, some class's parabola; else it is
*unexplained*. Each is a model of fooling too, nested in the next: own plane, planes, planes and
bending. A model predicts pairs that are not fooled as well, so it is judged by the share of all
pairs that it gets right, and by its false alarms, never by what it explains alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.components import Uncertain, mean_over, share_of
from analysis.intervals import Estimate
from analysis.perturbations import Perturbations
from boundary.anchors import PAIR, Anchors, anchors_at
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.nearest import nearest_boundary_points
from boundary.progress import progress_bar
from boundary.result import Result
from boundary.sections import VALUES, curvatures

CLASSES = 10
"""Nearest classes, by logit, whose boundaries are looked at."""

GRADIENTS = 15
"""Backward passes of each targeted search."""

MODELS = ("own plane", "planes", "planes and bending")
CAUSES = ("own_plane", "other_plane", "bending", "unexplained")

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class FoolingCauses(Result):
    """Which pairs of a vector and an image are fooled, and which each model says are."""

    AXES: ClassVar = {
        "fooled": "draw image",
        "own_plane": "draw image",
        "planes": "draw image",
        "bending": "draw image",
        "found": "image",
    }

    family: str
    subspace_dimension: int
    norm: float
    """Of the vectors, input units."""
    scale: float
    """At which curvature is measured, input units."""
    fooled: Bools
    """(draws, images), whether the prediction changes; not clipped."""
    own_plane: Bools
    """(draws, images), whether the plane of the nearest boundary point is crossed."""
    planes: Bools
    """(draws, images), whether that of any class is."""
    bending: Bools
    """(draws, images), whether the plane or the parabola of any class is."""
    found: NDArray[np.int64]
    """(images,), classes with a boundary point."""
    sampled: bool = True

    def cause(self, name: str) -> Estimate:
        """Return the share of the fooled pairs that have a cause, one of `CAUSES`."""
        told = {
            "own_plane": self.own_plane,
            "other_plane": self.planes & ~self.own_plane,
            "bending": self.bending & ~self.planes,
            "unexplained": ~self.bending,
        }
        return share_of(told[name], self.fooled, self.sampled)

    def right(self, model: str) -> Estimate:
        """Return the share of all pairs that a model, one of `MODELS`, gets right."""
        return share_of(self._predicted(model) == self.fooled, sampled=self.sampled)

    def false_alarms(self, model: str) -> Estimate:
        """Return the share of the pairs not fooled that a model calls fooled."""
        return share_of(self._predicted(model), ~self.fooled, self.sampled)

    @property
    def gain(self) -> Uncertain:
        """Share of all pairs predicted right with bending, less that with planes alone."""
        right = [self._predicted(model) == self.fooled for model in MODELS[1:]]
        return mean_over(right[1] * 1.0 - right[0], self.sampled, shares=True)

    def _predicted(self, model: str) -> Bools:
        return dict(zip(MODELS, (self.own_plane, self.planes, self.bending), strict=True))[model]


@torch.no_grad()
def causes_of_fooling(
    classifier: Classifier,
    images: Tensor,
    families: Sequence[Perturbations],
    *,
    classes: int = CLASSES,
    scale: float | None = None,
    max_gradients: int = GRADIENTS,
    batch_size: int = 64,
    progress: bool = False,
) -> list[FoolingCauses]:
    """Return, for any vectors, which pairs they fool and which planes and parabolas they cross.

    The boundary points are found once for all families. Curvature is measured only where no plane
    is crossed, as it decides nothing elsewhere: at most two forward passes a pair and class.

    Args:
        classifier: Whose predictions change.
        images: Shape (N, C, H, W), inside the bounds.
        families: Euclidean vectors.
        classes: How many other classes, those of the largest logits, are looked at.
        scale: Of curvature, input units; by default half the norm of each family.
        max_gradients: Of each targeted search for a nearest boundary point.
        batch_size: Images in one pass.
        progress: Show a progress bar on standard error.

    Returns:
        One a family, in their order.

    Raises:
        InputError: If an option is out of range, or the images cannot be used.
    """
    if classes < 1:
        raise InputError(f"`classes` should be at least 1. Found {classes}.")
    parts: list[list[NDArray[np.bool_]]] = []
    found: list[NDArray[np.int64]] = []
    with progress_bar("causes of fooling", len(images), "images", shown=progress) as bar:
        for batch in torch.split(images, batch_size):
            placed = classifier.place(batch)
            boundaries = _boundaries(classifier, placed, classes, max_gradients)
            parts.append(
                [_predictions(classifier, placed, boundaries, family, scale) for family in families]
            )
            found.append(sum(one.usable.long() for one in boundaries).cpu().numpy())  # type: ignore[union-attr]
            bar.update(len(batch))
    told = [np.concatenate(same, axis=2) for same in zip(*parts, strict=True)]
    return [
        FoolingCauses(
            family=family.family,
            subspace_dimension=family.subspace_dimension,
            norm=family.norm,
            scale=family.norm / 2 if scale is None else scale,
            fooled=fooled,
            own_plane=own,
            planes=planes,
            bending=bending,
            found=np.concatenate(found),
            sampled=family.sampled,
        )
        for family, (fooled, own, planes, bending) in zip(families, told, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Boundary:
    """The boundaries of B images with one other class each."""

    anchors: Anchors
    """At the usable points."""
    displacement: Tensor
    """(usable, C, H, W), from the images."""
    usable: Tensor
    """(B,) bool: a boundary point with a normal was found."""
    margin: Tensor
    """(B,), infinite where not."""


def _boundaries(
    classifier: Classifier, images: Tensor, classes: int, max_gradients: int
) -> list[_Boundary]:
    logits = classifier(images)
    source = logits.argmax(1)
    others = logits.scatter(1, source[:, None], -torch.inf)
    leading = others.topk(min(classes, logits.shape[1] - 1), dim=1).indices
    return [_boundary(classifier, images, source, target, max_gradients) for target in leading.T]


def _boundary(
    classifier: Classifier, images: Tensor, source: Tensor, target: Tensor, max_gradients: int
) -> _Boundary:
    points = nearest_boundary_points(
        classifier, images, targets=target, max_gradients=max_gradients
    )
    on = points.on_boundary.to(images.device)
    anchors, known = anchors_at(classifier, points.point[on], source[on], target[on])
    usable = on.clone()
    usable[on] = known
    margin = torch.where(usable, points.margin, torch.inf)
    return _Boundary(anchors, anchors.point - images[usable], usable, margin)


def _predictions(
    classifier: Classifier,
    images: Tensor,
    boundaries: Sequence[_Boundary],
    family: Perturbations,
    scale: float | None,
) -> NDArray[np.bool_]:
    """Return (4, draws, B): fooled, own plane, any plane, any plane or parabola."""
    source = classifier.predict(images)
    nearest = torch.stack([one.margin for one in boundaries]).argmin(0)
    step = family.norm / 2 if scale is None else scale
    rows = []
    for vector in classifier.place(family.vectors):
        fooled = classifier.predict(images + vector) != source
        own, any_plane = torch.zeros_like(fooled), torch.zeros_like(fooled)
        for place, one in enumerate(boundaries):
            crossed = _scatter(one.usable, _beyond_plane(one, vector) > 0)
            own |= crossed & (nearest == place)
            any_plane |= crossed
        bent = any_plane.clone()
        for one in boundaries:
            asked = ~bent[one.usable]
            crossed = torch.zeros_like(asked)
            crossed[asked] = _beyond_parabola(classifier, one, asked, vector, step)
            bent |= _scatter(one.usable, crossed)
        rows.append(torch.stack([fooled, own, any_plane, bent]))
    return torch.stack(rows, dim=1).cpu().numpy()


def _scatter(usable: Tensor, values: Tensor) -> Tensor:
    whole = torch.zeros_like(usable)
    whole[usable] = values
    return whole


def _beyond_plane(boundary: _Boundary, vector: Tensor) -> Tensor:
    """Return <n, v> - o for each usable image, input units."""
    apart = vector - boundary.displacement
    return (boundary.anchors.normal * apart).flatten(1).sum(1)


def _beyond_parabola(
    classifier: Classifier, boundary: _Boundary, rows: Tensor, vector: Tensor, scale: float
) -> Tensor:
    """Return whether some usable images plus a vector lie beyond the parabola."""
    at, apart = boundary.anchors.subset(rows), vector - boundary.displacement[rows]
    if not len(at):
        return rows[rows]
    (bent,) = curvatures(classifier, at, apart[None], scale, estimators=[VALUES], surfaces=[PAIR])
    along = (at.normal * apart).flatten(1).sum(1)
    aside = (at.tangent(apart).flatten(1) ** 2).sum(1)
    return along > -bent.curvature[:, 0] * aside / 2
