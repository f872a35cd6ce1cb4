"""Where curvature is measured: a point on a level set of a logit gap, its normal and slope.

The sign of a curvature depends on where the boundary is met, so there are four ways to a point:

- the nearest boundary point of an image (`anchors_at` with what was collected);
- the boundary in a direction, random or towards another image (`anchors_along`);
- the image itself, on the level set of its own gap (`anchors_at_images`).

Two *surfaces* pass through such a point: that of the fixed pair, where f_target - f_source keeps
its value, and that of the region, where max over t of f_t - f_source does.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import gap_gradient, leading_class, logit_gap
from boundary.secant import BracketedSecant
from boundary.space import unit

PAIR, REGION = "pair", "region"
SURFACES = (PAIR, REGION)
"""The boundary with one other class, and that of the whole source region."""

SCAN_STEPS = 40
"""Points at which a line is looked at for the first crossing; a thinner region is missed."""

_LENGTH_TOLERANCE = 1e-5
"""Of a crossing, as a share of its distance; two digits below that rounding of float32 decides."""

_MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Anchors:
    """N points on level sets of the logit gaps of fixed pairs of classes."""

    point: Tensor
    """(N, C, H, W)."""
    normal: Tensor
    """(N, C, H, W), unit gradient of the gap, out of the source region."""
    slope: Tensor
    """(N,), norm of that gradient: logits per input unit."""
    level: Tensor
    """(N,), gap at the point: zero on the boundary up to its residual."""
    source: Tensor
    """(N,) int64."""
    target: Tensor
    """(N,) int64, the other class of the pair."""

    def __len__(self) -> int:
        return len(self.slope)

    def subset(self, rows: Tensor | slice) -> "Anchors":
        """Return some of them, by their places or a mask."""
        return Anchors(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def joined(cls, parts: "list[Anchors]") -> "Anchors":
        """Return several as one."""
        return cls(
            *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls))
        )

    def tangent(self, directions: Tensor) -> Tensor:
        """Return P v, P = I - n n', shape (N, C, H, W).

        Args:
            directions: One for all, (C, H, W), or one each, (N, C, H, W).
        """
        flat = directions.expand_as(self.point).flatten(1)
        normal = self.normal.flatten(1)
        along = (flat * normal).sum(1, keepdim=True)
        return (flat - along * normal).view_as(self.point)


def anchors_at(
    classifier: Classifier, points: Tensor, source: Tensor, target: Tensor
) -> tuple[Anchors, Tensor]:
    """Return anchors at given points of given pairs: one pass each way.

    Args:
        classifier: Whose boundary it is.
        points: Shape (N, C, H, W).
        source: Shape (N,).
        target: Shape (N,); where negative, the leading class.

    Returns:
        The anchors with a usable normal, and which points they are, (N,) bool.
    """
    if not len(points):
        return _no_anchors(points)
    found = gap_gradient(classifier, points, source, target)
    flat = found.gradient.flatten(1)
    slope = flat.norm(dim=1)
    usable = slope.isfinite() & (slope > 0) & found.gap.isfinite()
    anchors = Anchors(
        point=points,
        normal=unit(flat).view_as(points),
        slope=slope,
        level=found.gap,
        source=source,
        target=found.target,
    )
    return anchors.subset(usable), usable


def anchors_at_images(classifier: Classifier, images: Tensor) -> tuple[Anchors, Tensor]:
    """Return anchors at images, each on the level set of the gap to its second class.

    Args:
        classifier: Whose level sets they are.
        images: Shape (N, C, H, W).

    Returns:
        The anchors with a usable normal, and which images they are, (N,) bool.
    """
    if not len(images):
        return _no_anchors(images)
    source = classifier.predict(images)
    return anchors_at(classifier, images, source, torch.full_like(source, -1))


def anchors_along(
    classifier: Classifier, images: Tensor, directions: Tensor, reach: float | Tensor
) -> tuple[Anchors, Tensor]:
    """Return where lines from images first leave the region of their class.

    A line is scanned at `SCAN_STEPS` points, denser near the image, and the crossing between the
    first two points of different class is found by secant steps inside that bracket.

    Args:
        classifier: Whose boundary is met.
        images: Shape (N, C, H, W).
        directions: Of any length but zero, shape (N, C, H, W).
        reach: Distance at which a line ends, input units, one or (N,).

    Returns:
        Anchors on the boundary, and which lines met it with a usable normal there, (N,) bool.

    Raises:
        InputError: If a direction is zero or not finite.
    """
    if not len(images):
        return _no_anchors(images)
    rays = unit(directions.flatten(1)).view_as(images)
    lengths = rays.flatten(1).norm(dim=1)
    if not bool((lengths > 0.5).all()):  # of what is neither zero nor NaN it is 1
        raise InputError("`directions` should be finite and not zero. Found one that is not.")
    reaches = torch.as_tensor(reach).to(lengths).expand_as(lengths)
    source = classifier.predict(images)

    @torch.no_grad()
    def gap(rows: Tensor, length: Tensor) -> Tensor:
        logits = classifier(images[rows] + length.view(-1, 1, 1, 1) * rays[rows])
        return logit_gap(logits, source[rows], leading_class(logits, source[rows]))

    left = torch.arange(len(images), device=images.device)
    outside, rise = torch.full_like(reaches, torch.inf), torch.ones_like(reaches)
    before = gap(left, torch.zeros_like(reaches))
    for step in range(1, SCAN_STEPS + 1):
        if not len(left):
            break
        length, gone = reaches[left] * (step / SCAN_STEPS) ** 2, (2 * step - 1) / SCAN_STEPS**2
        now = gap(left, length)
        crossed = now >= 0
        outside[left[crossed]] = length[crossed]
        rise[left] = (now - before) / (gone * reaches[left])
        left, before = left[~crossed], now[~crossed]
    met = outside.isfinite().nonzero().squeeze(1)
    root = BracketedSecant(outside[met], rise[met].clamp_min(torch.finfo(rise.dtype).tiny))
    for _ in range(_MOST_STEPS):
        rows = root.unsettled(_LENGTH_TOLERANCE)
        if not len(rows):
            break
        root.update(rows, gap(met[rows], root.length[rows]))
    ends = root.length
    points = images[met] + ends.view(-1, 1, 1, 1) * rays[met]
    anchors, usable = anchors_at(classifier, points, source[met], torch.full_like(met, -1))
    found = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    found[met[usable]] = True
    return anchors, found


def _no_anchors(points: Tensor) -> tuple[Anchors, Tensor]:
    """Return what no points (0, C, H, W) give: not every classifier takes an empty batch."""
    number, place = points.new_zeros(0), torch.zeros(0, dtype=torch.int64, device=points.device)
    return Anchors(points, points, number, number, place, place), place > 0
