"""What a search for boundary points remembers, one row an image."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass
class Best:
    """The best crossing of each image: x + length ray, cut to the limits of the search."""

    ray: Tensor
    """(N, coordinates), unit."""
    length: Tensor
    """(N,)"""
    margin: Tensor
    """(N,), distance of the crossing from the image, infinite if none was met."""
    slope: Tensor
    """(N,), of the gap along the ray."""
    kink: Tensor
    """(N,) bool: the walk ended because no small turn came nearer."""

    def replaced(self, where: Tensor, other: "Best") -> "Best":
        """Return the crossings, with those taken from another for which ``where`` (N,) holds."""
        names = [field.name for field in fields(self)]
        return Best(*(by_row(where, getattr(other, n), getattr(self, n)) for n in names))


@dataclass
class Walkers:
    """The searches under way, one row each."""

    rows: Tensor
    """(n,), places of the images in the batch."""
    target: Tensor
    """(n,), class towards which a walk starts; negative once it is on its way."""
    begun: Tensor
    """(n,), gradients spent before this walk."""
    until: Tensor
    """(n,), gradients spent at the end of this walk."""
    ray: Tensor
    """(n, coordinates), unit direction of the trial point."""
    length: Tensor
    """(n,), its distance along the ray."""
    lower: Tensor
    """(n,), largest length on this ray known to lie inside the source region."""
    upper: Tensor
    """(n,), smallest length on this ray known to lie outside, infinite if none."""
    tries: Tensor
    """(n,), steps on this ray."""
    turn: Tensor
    """(n,), share of the way from the best crossing to the planes' nearest point."""
    checking: Tensor
    """(n,) bool: the trial point is the best crossing."""
    best_ray: Tensor
    """(n, coordinates), ray of the best crossing of this walk."""
    best_length: Tensor
    """(n,), infinite if the walk has met no boundary."""
    best_margin: Tensor
    """(n,), distance of that crossing from the image."""
    best_slope: Tensor
    """(n,), of the gap along the ray there."""
    best_doubt: Tensor
    """(n,), how far the crossing, known to first order, may be from the boundary."""
    normals: Tensor
    """(n, 2, coordinates), of the planes tangent at the best crossing and at the latest other."""
    offsets: Tensor
    """(n, 2), distances of these planes from the image; -inf for none."""

    @classmethod
    def on(
        cls,
        rows: Tensor,
        target: Tensor,
        span: tuple[Tensor, Tensor],
        ray: Tensor,
        length: Tensor,
        turn: float,
    ) -> "Walkers":
        """Return walkers at the begin of a ray, which have met nothing yet."""
        zero, none = torch.zeros_like(length), torch.full_like(length, torch.inf)
        return cls(
            rows=rows,
            target=target,
            begun=span[0],
            until=span[1],
            ray=ray,
            length=length,
            lower=zero,
            upper=none,
            tries=torch.zeros_like(rows),
            turn=torch.full_like(length, turn),
            checking=torch.zeros_like(rows, dtype=torch.bool),
            best_ray=torch.zeros_like(ray),
            best_length=none,
            best_margin=none,
            best_slope=torch.ones_like(length),
            best_doubt=zero,
            normals=torch.stack([torch.zeros_like(ray)] * 2, 1),
            offsets=torch.stack([-none] * 2, 1),
        )

    def replaced(self, where: Tensor, others: "Walkers") -> "Walkers":
        """Return the walkers with those rows taken from others for which ``where`` (n,) holds."""
        names = [field.name for field in fields(self)]
        return Walkers(*(by_row(where, getattr(others, n), getattr(self, n)) for n in names))

    @classmethod
    def joined(cls, one: "Walkers", other: "Walkers") -> "Walkers":
        """Return the rows of both."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(one, n), getattr(other, n)]) for n in names))

    def select(self, which: Tensor) -> "Walkers":
        """Return some of the rows."""
        return Walkers(*(getattr(self, field.name)[which] for field in fields(self)))


class Trial(NamedTuple):
    """What one evaluation says of the trial points."""

    gap: Tensor
    """(n,)"""
    finite: Tensor
    """(n,) bool: neither gap nor gradient is NaN or infinite."""
    starting: Tensor
    """(n,) bool: the gap is that of the class towards which a walk starts."""
    displacement: Tensor
    """(n, coordinates), of the trial point."""
    norm: Tensor
    """(n,), of the gradient."""
    normal: Tensor
    """(n, coordinates), unit gradient."""
    slope: Tensor
    """(n,), of the gap along the ray."""
    newton: Tensor
    """(n,), length at which the linearised gap is zero; NaN where the ray does not climb."""
    margin: Tensor
    """(n,), distance from the image to the crossing at that length."""
    offset: Tensor
    """(n,), distance from the image to the plane on which the linearised gap is zero."""


def by_row(where: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """Return the rows of ``value`` where ``where`` (n,) holds, else those of ``other``."""
    return torch.where(where.view(-1, *[1] * (value.ndim - 1)), value, other)
