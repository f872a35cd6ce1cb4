"""The point nearest to the image beyond one or two planes, possibly inside limits.

Sequential quadratic programming with one constraint, min |d|^2 s.t. n.d >= c, has the solution
d = c n. With two planes the multipliers come from a 2 x 2 system. Inside limits the solution is
clip(sum_i lambda_i n_i): the numbers that a limit holds are constants, the others solve the same
small system, and which are held is found by repeating that (a semismooth Newton method; for one
plane it climbs a concave function, so it cannot pass the solution).
"""

import torch
from torch import Tensor

_REPEATS = 12
"""Rounds of finding which numbers a limit holds; four are typical."""


def nearest_beyond(
    normals: Tensor, offsets: Tensor, limits: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return argmin |d| subject to normals_i . d >= offsets_i for both planes.

    Args:
        normals: Unit normals of two planes a row, shape (N, 2, D).
        offsets: Their distances from the image, shape (N, 2); the first finite, the second may be
            -inf: no plane.
        limits: Least and largest value of each number of d, shapes (N, D).

    Returns:
        Shape (N, D), inside the limits also where they bar the planes.
    """
    displacement = _combination(normals, *_multipliers(normals, offsets))
    if limits is None:
        return displacement
    low, high = limits
    for _ in range(_REPEATS):
        held = displacement.clamp(low, high)
        free = (displacement > low) & (displacement < high)
        left = offsets - (normals * held.masked_fill(free, 0.0)[:, None]).sum(2)
        displacement = _combination(normals, *_multipliers(normals * free[:, None], left))
    # Beyond all limits the multipliers are infinite, and infinity times zero is no number.
    return displacement.nan_to_num(0.0).clamp(low, high)


def nearest_on(
    normal: Tensor, offset: Tensor, limits: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Return argmin |d| subject to normal . d >= offset: the same for one plane.

    Args:
        normal: Unit normals, shape (N, D).
        offset: Distances of the planes from the image, shape (N,).
        limits: Least and largest value of each number of d, shapes (N, D).

    Returns:
        Shape (N, D), inside the limits also where they bar the plane.
    """
    if limits is None:
        return offset[:, None] * normal
    normals = torch.stack([normal, torch.zeros_like(normal)], 1)
    offsets = torch.stack([offset, torch.full_like(offset, -torch.inf)], 1)
    return nearest_beyond(normals, offsets, limits)


def alignment(normal: Tensor, displacement: Tensor, tangent: Tensor) -> Tensor:
    """Return the distance of the tangent plane over that of the point of the boundary it touches.

    Without limits this is the cosine between normal and displacement.

    Args:
        normal: Unit normals of the boundary, shape (N, D).
        displacement: Of its points from the image, shape (N, D).
        tangent: The nearest point of each tangent plane, as `nearest_on` gives it, shape (N, D).

    Returns:
        Shape (N,); 1 where the image itself is the point.
    """
    margin = displacement.norm(dim=1)
    share = tangent.norm(dim=1) / torch.where(margin > 0, margin, 1.0)
    share = share.copysign((normal * displacement).sum(1))
    return torch.where(margin > 0, share, 1.0)


def _combination(normals: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return first[:, None] * normals[:, 0] + second[:, None] * normals[:, 1]


def _multipliers(normals: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two multipliers, not negative, of the smallest combination beyond both planes."""
    one, other = normals.unbind(1)
    c, e = offsets.unbind(1)
    tiny = torch.finfo(normals.dtype).tiny
    square = (one * one).sum(1).clamp_min(tiny)
    other_square = (other * other).sum(1).clamp_min(tiny)
    product = (one * other).sum(1)
    first_alone, second_alone = (c / square).clamp_min(0), (e / other_square).clamp_min(0)
    only_first = product * first_alone >= e
    only_second = product * second_alone >= c
    determinant = (square * other_square - product * product).clamp_min(tiny)
    first = torch.where(only_second, 0.0, (other_square * c - product * e) / determinant)
    second = torch.where(only_second, second_alone, (square * e - product * c) / determinant)
    return torch.where(only_first, first_alone, first), torch.where(only_first, 0.0, second)
