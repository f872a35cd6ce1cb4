"""The walk from crossing to crossing of the boundary, each nearer to its image than the last.

One row an image. A step takes the gap and its gradient once at each row's trial point, and does one
of three things: *keep* the crossing that the ray has met and turn to a new ray, *move* along the
ray, or *bend* a ray that leads nowhere. A walk ends at a smooth minimum (displacement and normal
aligned) or at a kink (no small turn comes nearer); while gradients are left, another walk then
starts towards the class that is next nearest at the image.

A step waits for the device once, for how many rows ended. Everything else is `torch.where`.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from boundary.candidates import NearestPlanes
from boundary.gaps import GapFunctions
from boundary.planes import nearest_beyond
from boundary.secant import bisect, narrow_bracket
from boundary.space import unit

_RAY_TOLERANCE = 0.3
"""A ray has met the boundary when its next Newton step is at most this share of its length; its
end is corrected by that step. Measured on a ResNet: 0.03 and 0.1 spend more for the same margin."""

_CHECK_TOLERANCE = 0.1
"""The same for a best crossing that is evaluated again because turns from it fail."""

_SURE = 1e-4
"""A best crossing that cannot be farther off than this share of its margin is not doubted."""

_FARTHEST_TRY = 1.5
"""A ray that has not met the boundary at this many lengths of the best one is given up."""

_BACK = 0.1
"""Share of its length by which a ray that has passed through another class goes back."""

_RAY_TRIES = 5
"""Steps on one ray before it is given up for a smaller turn."""

_LONGEST_STEP = 4.0
"""A Newton step may at most multiply the length by this."""

_FIRST_TURN = 0.7
_LARGER_TURN, _SMALLER_TURN = 1.25, 0.35
_SHRINK = (0.2, 0.35)
"""The first turn; its change after a ray that came nearer, and after one that did not."""

_SMALLEST_TURN = 1 / 64
"""A turn smaller than this ends the walk: the best crossing sits in a kink."""

_STALL = 0.003
"""Share of the margin that two tangent planes must promise, or the second is forgotten."""

_WORTH = 8
"""Gradients that a further walk should have left to it."""

_HOPELESS = 1.05
"""A further walk ends when after that many gradients it is this much farther than the best."""

_LEAST_OFFSET = 0.3
"""Distance at which another class's plane is taken to be at least, as a share of the best."""

_FARTHEST_PLANE = 2.0
"""Another class's plane farther than this, in margins of the best crossing, is not walked to."""

_ANY = -1
"""In place of a class: whichever leads."""


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


@dataclass
class _State:
    rows: Tensor
    """(n,), places of the images in the batch."""
    target: Tensor
    """(n,), class towards which a walk starts; negative once it is on its way."""
    begun: Tensor
    """(n,), gradients spent before this walk."""
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
    best_ray: Tensor
    best_length: Tensor
    best_margin: Tensor
    best_slope: Tensor
    normals: Tensor
    """(n, 2, coordinates), of the planes tangent at the best crossing and at the latest other."""
    offsets: Tensor
    """(n, 2), distances of these planes from the image; -inf for none."""
    best_doubt: Tensor
    """(n,), how far the best crossing, found to first order, may be from the boundary."""
    checking: Tensor
    """(n,) bool: the trial point is the best crossing."""
    promise: Tensor
    """(n,), how much nearer the trial point is than the best crossing."""
    turn: Tensor
    """(n,), share of the way from the best crossing to the planes' nearest point."""

    def select(self, which: Tensor) -> "_State":
        return _State(*(getattr(self, field.name)[which] for field in fields(self)))


class _Trial(NamedTuple):
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
    offset: Tensor
    """(n,), distance from the image to the plane on which the linearised gap is zero."""


class Walk:
    """The walks of N images; `step` until `ended`, then `best` holds what they found.

    Args:
        gaps: The gap functions of the images.
        planes: Where the walks start.
        reach: Largest length of a ray.
        most_gradients: What may be spent on an image.
        alignment_tol: Alignment at which a walk ends.
    """

    def __init__(
        self,
        gaps: GapFunctions,
        planes: NearestPlanes,
        *,
        reach: float,
        most_gradients: int,
        alignment_tol: float,
    ) -> None:
        self._gaps, self._space, self._planes = gaps, gaps.space, planes
        self._reach, self._most, self._alignment_tol = reach, most_gradients, alignment_tol
        none = torch.full_like(planes.distance[:, 0], torch.inf)
        self.best = Best(
            ray=planes.ray.clone(),
            length=planes.distance[:, 0].clone(),
            margin=none,
            slope=torch.ones_like(none),
            kink=torch.zeros_like(planes.finite),
        )
        self.seen, self._seen_margin = torch.zeros_like(planes.ray), none.clone()
        """Displacement of the nearest trial point outside the source region; zero if none was."""
        self.finite = planes.finite.clone()
        self._next = torch.ones_like(gaps.source)
        self._state = self._start()

    @property
    def ended(self) -> bool:
        """Whether no image is still searched."""
        return len(self._state.rows) == 0

    def _start(self) -> _State:
        planes = self._planes
        rows = (planes.finite & planes.distance[:, 0].isfinite()).nonzero().squeeze(1)
        ray = planes.ray[rows]
        length = planes.distance[rows, 0].clamp(max=self._reach)
        zero, none = torch.zeros_like(length), torch.full_like(length, torch.inf)
        return _State(
            rows=rows,
            target=torch.full_like(rows, _ANY),
            begun=torch.zeros_like(rows),
            ray=ray,
            length=length,
            lower=zero,
            upper=none,
            tries=torch.zeros_like(rows),
            best_ray=torch.zeros_like(ray),
            best_length=none,
            best_margin=none,
            best_slope=torch.ones_like(length),
            normals=torch.stack([torch.zeros_like(ray)] * 2, 1),
            offsets=torch.stack([-none] * 2, 1),
            best_doubt=zero,
            checking=torch.zeros_like(rows, dtype=torch.bool),
            promise=zero,
            turn=torch.full_like(length, _FIRST_TURN),
        )

    def step(self) -> None:
        """Evaluate every trial point; then keep a crossing, move along the ray, or bend it."""
        now, trial = self._state, self._evaluate()
        first = now.best_margin.isinf()
        now.lower, now.upper = narrow_bracket(now.lower, now.upper, now.length, trial.gap)
        tolerance = torch.where(now.checking, _CHECK_TOLERANCE, _RAY_TOLERANCE)
        close = (trial.newton - now.length).abs() <= tolerance * now.length
        met = trial.finite & ~trial.starting & close
        unmet = trial.starting | (first & now.upper.isinf())
        bent = trial.finite & ~met & unmet & (trial.norm > 0)
        # On the boundary, but where the ray comes out of the other class: go back on it.
        passed = bent & ~trial.starting & (trial.slope <= 0)
        passed &= trial.gap.abs() <= _BACK * now.length * trial.norm
        bent &= ~passed

        self._see(now, trial)
        nearer = self._keep(now, trial, met)
        along = torch.where(passed, (1 - _BACK) * now.length, self._along(now, trial))
        failed = (
            ~met & ~first & ((along > _FARTHEST_TRY * now.best_length) | (now.tries >= _RAY_TRIES))
        )
        lost_best = failed & now.checking
        failed &= ~now.checking
        bent |= lost_best & (trial.norm > 0)
        now.best_length = torch.where(lost_best, torch.inf, now.best_length)
        now.best_margin = torch.where(lost_best, torch.inf, now.best_margin)
        now.checking &= ~lost_best
        turned = met | failed
        excess = torch.where(met, trial.newton - now.best_margin, 0.0)
        doubted = (
            turned
            & ~nearer
            & (excess < now.best_doubt)
            & (now.best_doubt > _SURE * now.best_margin)
        )
        factor = torch.where(nearer, _LARGER_TURN, _shrink(now, trial, met))
        factor = torch.where(first | now.checking | doubted, 1.0, factor)
        now.turn = torch.where(turned, (now.turn * factor).clamp(max=1.0), now.turn)
        ray, length, alignment, promise = self._aim(now)
        ray = _by_row(doubted, now.best_ray, ray)
        length = torch.where(doubted, now.best_length, length)
        now.checking = torch.where(turned, doubted, now.checking)
        now.promise = torch.where(turned, promise, now.promise)
        end = _bent(now, trial)
        now.ray = _by_row(turned, ray, _by_row(bent, unit(end), now.ray))
        now.length = _by_row(turned, length, _by_row(bent, end.norm(dim=1), along))
        now.lower = torch.where(turned | bent, 0.0, now.lower)
        now.upper = torch.where(turned | bent, torch.inf, now.upper)
        now.tries = torch.where(turned, 0, now.tries)
        now.target = torch.full_like(now.target, _ANY)

        crossed = now.best_margin.isfinite()
        aligned = crossed & ~now.checking & (alignment >= self._alignment_tol)
        kink = crossed & turned & (now.turn < _SMALLEST_TURN)
        far = trial.starting & (
            ~bent | (trial.offset > _FARTHEST_PLANE * self.best.margin[now.rows])
        )
        lost = ~crossed & ((now.length > self._reach) | far)
        self._note_plane(now, trial)
        self.finite[now.rows] &= trial.finite
        self._end(now, ~trial.finite | aligned | kink | lost, kink & ~aligned)

    def _evaluate(self) -> "_Trial":
        now, space = self._state, self._space
        ends = now.length[:, None] * now.ray
        displacement, free = space.within(now.rows, ends), space.free(now.rows, ends)
        found = self._gaps.gradient(now.rows, displacement, now.target)
        gradient = space.pull(found.gradient)
        norm, normal = gradient.norm(dim=1), unit(gradient)
        climb = gradient * now.ray
        slope = (climb if free is None else climb.masked_fill(~free, 0.0)).sum(1)
        return _Trial(
            gap=found.gap,
            finite=found.gap.isfinite() & norm.isfinite(),
            starting=now.target >= 0,
            displacement=displacement,
            norm=norm,
            normal=normal,
            slope=slope,
            newton=torch.where(slope > 0, now.length - found.gap / slope, torch.nan),
            offset=(normal * displacement).sum(1) - found.gap / norm,
        )

    def _note_plane(self, now: _State, trial: "_Trial") -> None:
        """Keep the distance of the class's plane that a walk starts towards."""
        place = (self._next[now.rows] - 1)[:, None]
        for table, value in ((self._planes.distance, trial.offset), (self._planes.taken, True)):
            old = table[now.rows].gather(1, place).squeeze(1)
            new = torch.where(trial.starting, value, old)
            table[now.rows] = table[now.rows].scatter(1, place, new[:, None])

    def _see(self, now: _State, trial: "_Trial") -> None:
        """Remember the nearest trial point outside the source region."""
        margin, old = trial.displacement.norm(dim=1), self._seen_margin[now.rows]
        nearer = (trial.gap >= 0) & (margin < old) & ~trial.starting
        self._seen_margin[now.rows] = torch.where(nearer, margin, old)
        self.seen[now.rows] = _by_row(nearer, trial.displacement, self.seen[now.rows])

    def _keep(self, now: _State, trial: "_Trial", met: Tensor) -> Tensor:
        """Keep each crossing that is the nearest of its walk, and the plane tangent to each.

        Returns:
            Which rows came nearer, shape (n,).
        """
        margin = trial.newton
        if self._space.confined:
            margin = self._space.within(now.rows, margin[:, None] * now.ray).norm(dim=1)
        nearer = met & ((margin < now.best_margin) | now.checking)
        moved = nearer & ~now.checking
        best, other = now.normals.unbind(1)
        now.normals = torch.stack(
            [
                _by_row(nearer, trial.normal, best),
                _by_row(moved, best, _by_row(met & ~nearer, trial.normal, other)),
            ],
            1,
        )
        best, other = now.offsets.unbind(1)
        now.offsets = torch.stack(
            [
                _by_row(nearer, trial.offset, best),
                _by_row(moved, best, _by_row(met & ~nearer, trial.offset, other)),
            ],
            1,
        )
        now.best_ray = _by_row(nearer, now.ray, now.best_ray)
        now.best_length = torch.where(nearer, trial.newton, now.best_length)
        now.best_margin = torch.where(nearer, margin, now.best_margin)
        correction = trial.newton - now.length
        doubt = 2 * correction * correction / now.length
        now.best_doubt = torch.where(nearer, doubt, now.best_doubt)
        now.best_slope = torch.where(nearer, trial.slope, now.best_slope)
        return nearer

    def _along(self, now: _State, trial: "_Trial") -> Tensor:
        """Return the Newton step on the ray, or the middle of its bracket where that leaves it."""
        usable = (trial.newton > now.lower) & (trial.newton < now.upper)
        usable &= trial.newton < _LONGEST_STEP * now.length
        now.tries = now.tries + 1
        return torch.where(usable, trial.newton, bisect(now.lower, now.upper, now.length))

    def _aim(self, now: _State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the next ray and length from the best crossing, and the alignment there."""
        limits = self._space.limits(now.rows)
        best = now.best_length.nan_to_num(posinf=0.0)[:, None] * now.best_ray
        crossing = self._space.within(now.rows, best)
        through = (now.normals * crossing[:, None]).sum(2)
        # Curvature may put a plane beyond the best crossing, which is feasible by experience.
        offsets = torch.minimum(now.offsets, through)
        alone = torch.stack([through[:, 0], torch.full_like(through[:, 1], -torch.inf)], 1)
        tangent = nearest_beyond(now.normals, alone, limits)
        both = nearest_beyond(now.normals, offsets, limits)
        promised = self._space.within(now.rows, both).norm(dim=1)
        stalled = ~(promised < (1 - _STALL) * now.best_margin)
        now.offsets = _by_row(stalled, alone, offsets)
        goal = torch.lerp(best, _by_row(stalled, tangent, both), now.turn[:, None])
        length = goal.norm(dim=1)
        if limits is None:
            alignment = (now.normals[:, 0] * now.best_ray).sum(1)
        else:
            alignment = (unit(tangent.clamp(*limits)) * unit(crossing)).sum(1)
        promise = now.best_margin - self._space.within(now.rows, goal).norm(dim=1)
        return _by_row(length > 0, unit(goal), now.best_ray), length, alignment, promise

    def _end(self, now: _State, done: Tensor, kink: Tensor) -> None:
        """Record the walks that are done, and start others while gradients are left."""
        rows = now.rows
        spent = self._gaps.backward_passes[rows]
        far = now.best_margin > _HOPELESS * self.best.margin[rows]
        hopeless = far & (spent - now.begun >= _WORTH) & (now.begun > 0)
        done = done | hopeless | (spent >= self._most - 1)

        place = self._next[rows].clamp(max=self._planes.target.shape[1] - 1)[:, None]
        left = self._next[rows] < self._planes.target.shape[1]
        left &= self._planes.distance[rows].gather(1, place).squeeze(1).isfinite()
        again = done & left & self.finite[rows] & (spent + _WORTH < self._most)
        ended, gone = torch.stack([done.sum(), (done & ~again).sum()]).tolist()
        if ended:
            self._record(now, done, kink)
            target = self._planes.target[rows].gather(1, place).squeeze(1)
            self._restart(now, again, target, spent)
        if gone:
            leaving = (done & ~again).byte()
            self._state = now.select(leaving.argsort(stable=True)[: len(rows) - gone])

    def _restart(self, now: _State, again: Tensor, target: Tensor, spent: Tensor) -> None:
        """Send rows from the best crossing of all towards another class."""
        rows = now.rows
        self._next[rows] += again.long()
        now.target = torch.where(again, target, now.target)
        now.begun = torch.where(again, spent, now.begun)
        now.ray = _by_row(again, self.best.ray[rows], now.ray)
        now.length = torch.where(again, self.best.length[rows], now.length)
        now.tries = torch.where(again, 0, now.tries)
        now.best_length = torch.where(again, torch.inf, now.best_length)
        now.best_margin = torch.where(again, torch.inf, now.best_margin)
        now.offsets = _by_row(again, torch.full_like(now.offsets, -torch.inf), now.offsets)
        now.turn = torch.where(again, _FIRST_TURN, now.turn)

    def _record(self, now: _State, done: Tensor, kink: Tensor) -> None:
        best, rows = self.best, now.rows
        margin = best.margin[rows]
        nearer = done & (now.best_margin < margin)
        # Without a crossing, the end of the ray is where to go on looking.
        hope = done & now.best_margin.isinf() & margin.isinf()
        length = torch.where(now.upper.isfinite(), now.upper, now.length)
        best.ray[rows] = _by_row(nearer, now.best_ray, _by_row(hope, now.ray, best.ray[rows]))
        best.length[rows] = _by_row(
            nearer, now.best_length, _by_row(hope, length, best.length[rows])
        )
        best.slope[rows] = _by_row(nearer, now.best_slope, best.slope[rows])
        best.kink[rows] = _by_row(nearer, kink, best.kink[rows])
        best.margin[rows] = torch.where(nearer, now.best_margin, margin)


def _shrink(now: _State, trial: _Trial, met: Tensor) -> Tensor:
    """Return the factor of the turn at which a parabola through what is known has its minimum."""
    excess = trial.newton - now.best_margin
    minimum = now.promise / (2 * (now.promise + excess))
    return torch.where(met, minimum.nan_to_num(_SMALLER_TURN), _SMALLER_TURN).clamp(*_SHRINK)


def _bent(now: _State, trial: _Trial) -> Tensor:
    """Return DeepFool's step from the trial point to the boundary linearised there.

    A walk that starts goes half way from there to the point of that plane nearest to the image.
    """
    step = trial.displacement - (trial.gap / trial.norm)[:, None] * trial.normal
    foot = torch.maximum(trial.offset, _LEAST_OFFSET * now.length)[:, None] * trial.normal
    nearer = trial.starting & (trial.offset < now.length)
    return _by_row(nearer, foot, _by_row(trial.starting, (step + foot) / 2, step))


def _by_row(where: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """Return the rows of ``value`` where ``where`` (n,) holds, else those of ``other``."""
    return torch.where(where.view(-1, *[1] * (value.ndim - 1)), value, other)
