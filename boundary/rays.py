"""What becomes of a ray: whether it has met the boundary, where on it to go on, when to bend it."""

import torch
from torch import Tensor

from boundary.planes import nearest_on
from boundary.secant import bisect
from boundary.space import unit
from boundary.walkers import Trial, Walkers, by_row

_RAY_TOLERANCE = 0.3
"""A ray has met the boundary when its next Newton step is at most this share of its length; its
end is corrected by that step. Measured on a ResNet: 0.03 and 0.1 spend more for the same margin."""

_CHECK_TOLERANCE = 0.1
"""The same for a best crossing that is evaluated again because turns from it fail."""

_SURE = 1e-4
"""A best crossing that cannot be farther off than this share of its margin is not doubted."""

_DOUBTFUL_TURN = 0.25
"""A larger turn fails by its size, and casts no doubt on the best crossing."""

_BACK = 0.1
"""Share of its length by which a ray that has passed through another class goes back."""

_LONGEST_STEP = 4.0
"""A Newton step may at most multiply the length by this."""

_LEAST_OFFSET = 0.3
"""Distance at which another class's plane is taken to be at least, as a share of the best."""


def set_out(now: Walkers, where: Tensor, goal: Tensor, along: Tensor) -> None:
    """Begin a new ray towards a displacement in some rows, go on along the old one in others."""
    length = goal.norm(dim=1)
    now.ray = by_row(where & (length > 0), unit(goal), now.ray)
    now.length = torch.where(where, length, along)
    now.lower = torch.where(where, 0.0, now.lower)
    now.upper = torch.where(where, torch.inf, now.upper)


def has_met(now: Walkers, trial: Trial) -> Tensor:
    """Return which rays have met the boundary, to first order."""
    tolerance = torch.where(now.checking, _CHECK_TOLERANCE, _RAY_TOLERANCE)
    close = (trial.newton - now.length).abs() <= tolerance * now.length
    return trial.finite & ~trial.starting & close


def leads_nowhere(now: Walkers, trial: Trial, met: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Return which rays are bent, and which have passed through another class and go back.

    A walk that has met nothing is bent wherever it is; but on the boundary, where its ray comes
    out of another class, that class lies behind.
    """
    unmet = trial.starting | (first & now.upper.isinf())
    bent = trial.finite & ~met & unmet & (trial.norm > 0)
    on = trial.gap.abs() <= _BACK * now.length * trial.norm
    passed = bent & ~trial.starting & (trial.slope <= 0) & on
    return bent & ~passed, passed


def on_the_ray(now: Walkers, trial: Trial, passed: Tensor) -> Tensor:
    """Return where to go on: Newton's step, or the middle of the bracket where that leaves it.

    Rays that have passed through another class go back.
    """
    usable = (trial.newton > now.lower) & (trial.newton < now.upper)
    usable &= trial.newton < _LONGEST_STEP * now.length
    along = torch.where(usable, trial.newton, bisect(now.lower, now.upper, now.length))
    return torch.where(passed, (1 - _BACK) * now.length, along)


def in_doubt(now: Walkers, trial: Trial, met: Tensor) -> Tensor:
    """Return where the best crossing may only seem nearer than what the ray has met, or not."""
    behind = torch.where(met, trial.margin - now.best_margin, 0.0)
    known = (now.turn > _DOUBTFUL_TURN) | (now.best_doubt < _SURE * now.best_margin)
    return ~known & (behind < now.best_doubt)


def bend(now: Walkers, trial: Trial, limits: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return the nearest point to the trial point, inside the limits, beyond its plane: DeepFool's.

    A walk that starts goes to the point of that plane nearest to the image where that is nearer
    than the best crossing, else half way there.
    """
    left = None
    if limits is not None:
        left = limits[0] - trial.displacement, limits[1] - trial.displacement
    step = trial.displacement + nearest_on(trial.normal, -trial.gap / trial.norm, left)
    foot = torch.maximum(trial.offset, _LEAST_OFFSET * now.length)[:, None] * trial.normal
    nearer = trial.starting & (trial.offset < now.length)
    return by_row(nearer, foot, by_row(trial.starting, (step + foot) / 2, step))
