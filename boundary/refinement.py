"""A crossing is put on the boundary by forward passes alone; then the normal is taken there."""

from typing import NamedTuple

import torch
from torch import Tensor

from boundary.gaps import GapFunctions
from boundary.planes import alignment, nearest_on
from boundary.secant import BracketedSecant
from boundary.space import unit
from boundary.walk import Walk

_MAX_STEPS = 40


class Crossing(NamedTuple):
    """A point of the boundary and what judges it, for n images."""

    normal: Tensor
    """(n, C, H, W), unit gradient of the gap."""
    margin: Tensor
    """(n,)"""
    residual: Tensor
    """(n,), |gap| / |gradient|."""
    alignment: Tensor
    """(n,)"""
    target: Tensor
    """(n,)"""


def put_on_boundary(
    gaps: GapFunctions, walk: Walk, rows: Tensor, reach: float, tolerance: float
) -> Tensor:
    """Return displacements on the boundary, along the rays of the best crossings, (n, coordinates).

    They are infinite where no boundary is met. A crossing is found to first order and may turn out
    to be farther than a point that is known to lie outside the source region: then the boundary is
    looked for on the way to that one.

    Args:
        gaps: The gap functions of the images.
        walk: Has ended.
        rows: Which images, shape (n,).
        reach: Length at which a ray that meets nothing is given up.
        tolerance: Of the length, as a share of it.
    """
    best = walk.best
    found = _along(
        gaps, rows, best.ray[rows], best.length[rows], best.slope[rows], reach, tolerance
    )
    margin = found.norm(dim=1)
    nearer = (walk.seen_margin[rows] < (1 - tolerance) * margin).nonzero().squeeze(1)
    if len(nearer):
        seen = walk.seen[rows[nearer]]
        slope = best.slope[rows[nearer]]
        found[nearer] = _along(
            gaps, rows[nearer], unit(seen), seen.norm(dim=1), slope, reach, tolerance
        )
    return found


def _along(
    gaps: GapFunctions,
    rows: Tensor,
    ray: Tensor,
    length: Tensor,
    slope: Tensor,
    reach: float,
    tolerance: float,
) -> Tensor:
    def displacement(which: Tensor) -> Tensor:
        return gaps.space.within(rows[which], root.length[which, None] * ray[which])

    root = BracketedSecant(length, slope, reach)
    for _ in range(_MAX_STEPS):
        # The last step has the length of the residual, and a secant step cuts it further.
        unsettled = root.unsettled(tolerance)
        if len(unsettled) == 0:
            break
        root.update(unsettled, gaps.value(rows[unsettled], displacement(unsettled)))
    ends = displacement(torch.arange(len(rows), device=rows.device))
    return ends.masked_fill(root.unmet(tolerance)[:, None], torch.inf)


def judge(gaps: GapFunctions, rows: Tensor, displacement: Tensor) -> Crossing:
    """Take the normal at a point and return what it says of it: one pass each way.

    Args:
        gaps: The gap functions of the images.
        rows: Which images, shape (n,).
        displacement: Their points, shape (n, coordinates).

    Returns:
        One crossing an image.
    """
    space = gaps.space
    found = gaps.gradient(rows, displacement)
    norms = found.gradient.flatten(1).norm(dim=1)
    pulled = unit(space.pull(found.gradient))
    tangent = nearest_on(pulled, (pulled * displacement).sum(1), space.limits(rows))
    return Crossing(
        normal=unit(found.gradient.flatten(1)).view_as(found.gradient),
        margin=displacement.norm(dim=1),
        residual=found.gap.abs() / norms,
        alignment=alignment(pulled, displacement, tangent),
        target=found.target,
    )
