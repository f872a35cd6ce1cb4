"""Fooling predicted from geometry, without a forward pass at the perturbed images.

What is known of an image is the tangent planes of the boundaries with a few classes, and perhaps
how its nearest boundary bends. Four models say from that whether image + rho v, v unit, has another
class:

- *flat*: the tangent plane at the nearest boundary point;
- *many planes*: those of the runner-up classes as well;
- *curved*: at the nearest boundary point a parabola, with the curvature measured along v at one
  scale for all norms, or *at the norm*, at the scale nearest to rho;
- *shared curvature*: the same with the median curvature of the other images along v, so that of the
  image itself only margin and normal are used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.curvature_sweep import DirectionFamily
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.nearest import nearest_boundary_points
from boundary.points import BoundaryPoints
from boundary.progress import progress_bar

FLAT, MANY_PLANES = "flat", "many planes"
CURVED, CURVED_AT_NORM = "curved", "curved at the norm"
SHARED_CURVATURE = "shared curvature"
MODELS = (FLAT, MANY_PLANES, CURVED, CURVED_AT_NORM, SHARED_CURVATURE)

_UNIT_TOLERANCE = 1e-5
"""How far the length of a direction may be from 1: float32, no more."""


@dataclass(frozen=True, eq=False)
class Planes:
    """Tangent planes of the boundaries of N images with T classes each, the nearest first.

    A plane that was not found has infinite margin and zero normal: nothing reaches it.
    """

    margin: NDArray[np.float64]
    """(N, T), signed distance from the image to the plane along its normal, input units."""
    normal: NDArray[np.float32]
    """(N, T, D), unit, out of the source region."""
    target: NDArray[np.int64]
    """(N, T), class on the other side."""

    def __len__(self) -> int:
        return len(self.margin)

    @property
    def met(self) -> NDArray[np.bool_]:
        """(N,), whether the nearest boundary point was found."""
        return np.isfinite(self.margin[:, 0])

    def only(self, images: NDArray[np.bool_]) -> "Planes":
        """Return the planes of some images; those of the others count as not found.

        Args:
            images: Which, (N,).
        """
        keep = images[:, None]
        return Planes(
            np.where(keep, self.margin, inf),
            np.where(keep[..., None], self.normal, 0).astype(np.float32),
            self.target,
        )

    def along(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return n.v for every plane, shape (draws, N, T): products in float32, as the normals.

        Args:
            directions: Unit, shape (draws, D).

        Raises:
            InputError: If they have another length, or are not unit.
        """
        numbers = self.normal.shape[2]
        if directions.ndim != 2 or directions.shape[1] != numbers:
            raise InputError(
                f"`directions` should have shape (draws, {numbers}). Found {directions.shape}."
            )
        error = np.abs(np.linalg.norm(directions, axis=1) - 1).max(initial=0)
        if not error <= _UNIT_TOLERANCE:
            raise InputError(
                f"`directions` should be unit vectors. Found lengths that are off by {error:.2g}; "
                "divide them by their norms."
            )
        products = directions.astype(np.float32) @ self.normal.reshape(-1, numbers).T
        return products.reshape(-1, *self.margin.shape).astype(np.float64)


def tangent_planes(
    classifier: Classifier,
    images: Tensor,
    *,
    runners_up: int = 4,
    max_gradients: int = 12,
    search: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> Planes:
    """Return the tangent planes at each image's nearest boundary points with several classes.

    The first is at the nearest point of the whole region's boundary. The others are at the nearest
    points of the boundaries with single classes: those of largest logit at the image, other than
    its own and that of the first plane. A plane passes through the point found, aligned or not, so
    its distance from the image is at most the margin.

    Args:
        classifier: Whose boundaries they are.
        images: Shape (N, C, H, W), inside the classifier's bounds; batches are moved to its device.
        runners_up: T - 1; fewer where there are fewer classes.
        max_gradients: The most backward passes spent on one plane.
        search: Options of the search of the first plane's point, as of `nearest_boundary_points`;
            by default ``max_gradients`` alone.
        batch_size: Images of one search.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If the images or an option cannot be used.
    """
    if runners_up < 0:
        raise InputError(f"`runners_up` should be at least 0. Found {runners_up}.")
    require_count("batch_size", batch_size)
    require_images(images)
    parts = []
    with progress_bar("tangent planes", len(images), "images", shown=progress) as bar:
        for batch in torch.split(images, batch_size):
            placed = classifier.place(batch)
            first = nearest_boundary_points(
                classifier, placed, **(search or {"max_gradients": max_gradients})
            )
            others = _next_classes(classifier, placed, first, runners_up)
            found = [first] + [
                nearest_boundary_points(
                    classifier, placed, targets=target, max_gradients=max_gradients
                )
                for target in others.unbind(1)
            ]
            parts.append([_plane(placed, points) for points in found])
            bar.update(len(batch))
    margin, normal, target = (
        np.concatenate([np.stack(column, axis=1) for column in columns])
        for columns in zip(*(zip(*planes, strict=True) for planes in parts), strict=True)
    )
    return Planes(margin, normal, target)


def flat(planes: Planes, along: NDArray[np.float64], norm: float) -> NDArray[np.bool_]:
    """Return which images the nearest plane says are fooled: rho n.v >= m.

    Args:
        planes: Of N images.
        along: n.v, (draws, N, T), as `Planes.along` gives it.
        norm: rho, input units.

    Returns:
        Shape (draws, N).
    """
    return np.asarray(_excess(planes, along, norm)[..., 0] >= 0)


def many_planes(planes: Planes, along: NDArray[np.float64], norm: float) -> NDArray[np.bool_]:
    """Return which images are beyond any of their planes: rho n_t.v >= m_t for some class t.

    Args:
        planes: Of N images.
        along: n.v, (draws, N, T), as `Planes.along` gives it.
        norm: rho, input units.

    Returns:
        Shape (draws, N).
    """
    return np.asarray((_excess(planes, along, norm) >= 0).any(2))


def curved(
    planes: Planes, along: NDArray[np.float64], norm: float, curvature: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which images are beyond a parabola through the nearest boundary point.

    The displacement rho v is a = rho n.v along the normal and b = rho |P v| beside it, P = I - n n'
    (b^2 = rho^2 - a^2). Seen from the tangent plane, heights along n, the image lies at -m and
    moves to a - m, beside it by b. There the boundary has the height -kappa b^2 / 2, kappa its
    normal curvature along P v, positive where it bends towards the image. So the image is fooled if
    a + kappa b^2 / 2 >= m. A ball of radius r is left earlier than its parabola by a share of about
    m / 4r of the norm.

    Args:
        planes: Of N images.
        along: n.v, (draws, N, T), as `Planes.along` gives it.
        norm: rho, input units.
        curvature: kappa at each image's nearest boundary point, 1 / input units, shape (draws, N);
            ignored where that point was not found.

    Returns:
        Shape (draws, N).
    """
    return _beyond_parabola(planes, along, norm, _usable(planes, along, curvature))


def shared_curvature(
    planes: Planes, along: NDArray[np.float64], norm: float, curvature: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which images are beyond a parabola bent as the boundaries of the others are.

    As `curved`, with the median curvature along the direction at all other images: sections that
    met no boundary have bounds as large as they come, which a mean would be made of.

    Args:
        planes: Of N images.
        along: n.v, (draws, N, T), as `Planes.along` gives it.
        norm: rho, input units.
        curvature: kappa at each image's nearest boundary point, 1 / input units, shape (draws, N);
            ignored where that point was not found.

    Returns:
        Shape (draws, N).

    Raises:
        InputError: If fewer than two images have a nearest boundary point.
    """
    count = int(planes.met.sum())
    if count < 2:
        raise InputError(
            "a median over other images needs two whose nearest boundary point was found. "
            f"Found {count}."
        )
    own = _usable(planes, along, curvature)
    of_others = np.empty_like(own)
    for image in range(len(planes)):
        others = planes.met.copy()
        others[image] = False
        of_others[:, image] = np.median(own[:, others], axis=1)
    return _beyond_parabola(planes, along, norm, of_others)


@dataclass(frozen=True, eq=False)
class PredictionRow:
    """One model's prediction for one family at one norm, beside what was measured."""

    model: str
    """One of `MODELS`."""
    family: str
    norm: float
    """rho, input units."""
    scale: float
    """At which curvature was measured, input units; 0 for models without, and at the norm."""
    images: int
    """N, those without a plane among them: they are predicted not to be fooled."""
    predicted: NDArray[np.float64]
    """(draws,), share of images predicted to be fooled."""
    measured: NDArray[np.float64]
    """(draws,), share fooled."""
    agreement: float
    """Share of pairs of draw and image that are told rightly."""
    explained: float
    """Share of the fooled pairs that are predicted fooled; 0 if none is fooled."""
    false_alarms: float
    """Share of the pairs not fooled that are predicted fooled; 0 if all are fooled."""


@dataclass(frozen=True)
class PredictionQuality:
    """How well one model predicts the rates of all families, norms and draws."""

    model: str
    """One of `MODELS`."""
    scale: float
    """At which curvature was measured, input units; 0 for models without, and at the norm."""
    r_squared: float
    """1 - sum (measured - predicted)^2 / sum (measured - mean)^2 over rates, at most 1 and negative
    where the mean would predict better; 0 if the measured rates are all one."""
    mean_error: float
    """Mean of |measured - predicted| over rates."""
    agreement: float
    """Share of all pairs of draw and image that are told rightly."""
    explained: float
    """Share of the fooled pairs that are predicted fooled; 0 if none is fooled."""
    false_alarms: float
    """Share of the pairs not fooled that are predicted fooled; 0 if all are fooled."""
    count: int
    """Rates: one a family, norm and draw."""


def prediction_rows(
    planes: Planes,
    family: DirectionFamily,
    norms: Sequence[float],
    fooled: Sequence[NDArray[np.bool_]],
    curvature: Mapping[float, NDArray[np.float64]] | None = None,
) -> list[PredictionRow]:
    """Return every model's prediction for one family of directions, beside what was measured.

    Args:
        planes: Of N images.
        family: Its directions.
        norms: rho, input units.
        fooled: For each norm which images were fooled, (draws, N), such as `FoolingRate.fooled`.
        curvature: By scale, the curvature along each direction at each image's nearest boundary
            point, (draws, N), 1 / input units; ignored where that point was not found. None: only
            the models without curvature.

    Returns:
        For each norm the flat model, many planes, curved at the norm, then both other curved models
        at each scale.

    Raises:
        InputError: If shapes do not fit.
    """
    along = planes.along(family.directions)
    if len(fooled) != len(norms):
        raise InputError(
            f"`fooled` should hold one array a norm, {len(norms)}. Found {len(fooled)}."
        )
    rows = []
    for norm, measured in zip(norms, fooled, strict=True):
        _require_pairs("fooled", measured, along)
        predictions = [
            (FLAT, 0.0, flat(planes, along, norm)),
            (MANY_PLANES, 0.0, many_planes(planes, along, norm)),
        ]
        if curvature:
            nearest = min(curvature, key=lambda scale: abs(log(scale / norm)))
            found = curved(planes, along, norm, curvature[nearest])
            predictions.append((CURVED_AT_NORM, 0.0, found))
        for scale, bends in (curvature or {}).items():
            predictions.append((CURVED, scale, curved(planes, along, norm, bends)))
            if planes.met.sum() > 1:
                shared = shared_curvature(planes, along, norm, bends)
                predictions.append((SHARED_CURVATURE, scale, shared))
        rows += [
            PredictionRow(
                model=model,
                family=family.name,
                norm=norm,
                scale=scale,
                images=len(planes),
                predicted=predicted.mean(1),
                measured=measured.mean(1),
                agreement=float((predicted == measured).mean()),
                explained=_share(predicted[measured].sum(), measured.sum()),
                false_alarms=_share(predicted[~measured].sum(), (~measured).sum()),
            )
            for model, scale, predicted in predictions
        ]
    return rows


def prediction_quality(rows: Sequence[PredictionRow]) -> list[PredictionQuality]:
    """Return the quality of each model at each scale over all its rows, in their order.

    Args:
        rows: Of any families and norms.
    """
    groups: dict[tuple[str, float], list[PredictionRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.scale), []).append(row)
    return [_quality(model, scale, group) for (model, scale), group in groups.items()]


@torch.no_grad()
def _next_classes(
    classifier: Classifier, images: Tensor, first: BoundaryPoints, count: int
) -> Tensor:
    """Return the classes of largest logit other than source and first target, (N, count or K-2)."""
    logits = classifier(images)
    taken = torch.stack([first.source, first.target], dim=1)
    ranked = logits.scatter(1, taken, -torch.inf).argsort(dim=1, descending=True)
    return ranked[:, : min(count, logits.shape[1] - 2)]


def _plane(
    images: Tensor, points: BoundaryPoints
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
    """Return margin (N,), normal (N, D) and target (N,) of the planes through boundary points."""
    normal = points.normal.flatten(1)
    offset = (normal * (points.point - images).flatten(1)).sum(1)
    offset = offset.where(points.on_boundary, torch.inf)
    return (
        offset.double().cpu().numpy(),
        normal.float().cpu().numpy(),
        points.target.cpu().numpy(),
    )


def _excess(planes: Planes, along: NDArray[np.float64], norm: float) -> NDArray[np.float64]:
    """Return how far beyond each plane the images are moved, (draws, N, T), input units.

    Raises:
        InputError: If the norm is out of range.
    """
    _require_along(planes, along)
    if not 0 < norm < inf:
        raise InputError(f"`norm` should be positive and finite. Found {norm}.")
    return np.asarray(norm * along - planes.margin)


def _require_along(planes: Planes, along: NDArray[np.float64]) -> None:
    if along.ndim != 3 or along.shape[1:] != planes.margin.shape:
        wanted = ", ".join(map(str, planes.margin.shape))
        raise InputError(
            f"`along` should have shape (draws, {wanted}). Found {along.shape}; "
            "use `planes.along(directions)`."
        )


def _beyond_parabola(
    planes: Planes, along: NDArray[np.float64], norm: float, curvature: NDArray[np.float64]
) -> NDArray[np.bool_]:
    tangent_square = norm**2 * (1 - along[..., 0] ** 2).clip(min=0)  # b^2
    return np.asarray(_excess(planes, along, norm)[..., 0] + curvature * tangent_square / 2 >= 0)


def _usable(
    planes: Planes, along: NDArray[np.float64], curvature: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the curvature, zero where the nearest boundary point was not found.

    Raises:
        InputError: If it is not finite elsewhere.
    """
    _require_along(planes, along)
    _require_pairs("curvature", curvature, along)
    used = np.where(planes.met, curvature, 0.0)
    if not np.isfinite(used).all():
        raise InputError(
            "`curvature` should be finite at every nearest boundary point that was found. "
            "Found NaN or infinity."
        )
    return used


def _quality(model: str, scale: float, rows: Sequence[PredictionRow]) -> PredictionQuality:
    predicted = np.concatenate([row.predicted for row in rows])
    measured = np.concatenate([row.measured for row in rows])
    spread = float(((measured - measured.mean()) ** 2).sum())
    error = float(((measured - predicted) ** 2).sum())
    pairs = np.array([row.images * len(row.measured) for row in rows])
    fooled = np.array([row.images * row.measured.sum() for row in rows])

    def pooled(shares: list[float], weights: NDArray[np.float64]) -> float:
        return _share(float(np.dot(shares, weights)), float(weights.sum()))

    return PredictionQuality(
        model=model,
        scale=scale,
        r_squared=1 - error / spread if np.ptp(measured) > 0 else 0.0,
        mean_error=float(np.abs(measured - predicted).mean()),
        agreement=pooled([row.agreement for row in rows], pairs),
        explained=pooled([row.explained for row in rows], fooled),
        false_alarms=pooled([row.false_alarms for row in rows], pairs - fooled),
        count=len(measured),
    )


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0


def _require_pairs(
    name: str,
    values: NDArray[np.bool_] | NDArray[np.float64],
    along: NDArray[np.float64],
) -> None:
    if values.shape != along.shape[:2]:
        raise InputError(
            f"`{name}` should have shape (draws, images) = {along.shape[:2]}. Found {values.shape}."
        )


def require_images(images: Tensor) -> None:
    """Refuse no images at all.

    Raises:
        InputError: If there is none.
    """
    if not len(images):
        raise InputError("`images` should hold at least one image. Found none.")


def require_count(name: str, value: int) -> None:
    """Refuse a number below 1.

    Raises:
        InputError: If it is.
    """
    if value < 1:
        raise InputError(f"`{name}` should be at least 1. Found {value}.")
