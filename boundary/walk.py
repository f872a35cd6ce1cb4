"""The walk from crossing to crossing of the boundary, each nearer to its image than the last.

One row an image. A step takes the gap and its gradient once at each row's trial point, and does one
of three things: *keep* the crossing that the ray has met and turn to a new ray, *move* along the
ray, or *bend* a ray that leads nowhere. A walk ends at a smooth minimum (displacement and normal
aligned) or at a kink (no small turn comes nearer); while gradients are left, another walk then
starts towards the class that is next nearest at the image.

A step waits for the device once, for how many rows ended. Everything else is `torch.where`.
"""

from dataclasses import dataclass, fields

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

_SMALLEST_CLIMB = 0.3
"""Cosine between ray and gradient below which a ray that has met no boundary is bent."""

_RAY_TRIES = 5
"""Steps on one ray before it is given up for a smaller turn."""

_FIRST_TURN = 0.75
_LARGER_TURN, _SMALLER_TURN = 1.5, 0.35
"""The first turn; its change after a ray that came nearer, and after one that did not."""

_SMALLEST_TURN = 1 / 32
"""A turn smaller than this ends the walk: the best crossing sits in a kink."""

_STALL = 0.01
"""Share of the margin that two tangent planes must promise, or the second is forgotten."""

_WORTH = 8
"""Gradients that a further walk should have left to it."""

_HOPELESS = 1.1
"""A further walk ends when after that many gradients it is this much farther than the best."""


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
    turn: Tensor
    """(n,), share of the way from the best crossing to the planes' nearest point."""

    def select(self, which: Tensor) -> "_State":
        return _State(*(getattr(self, field.name)[which] for field in fields(self)))


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
            target=torch.full_like(rows, -1),
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
            turn=torch.full_like(length, _FIRST_TURN),
        )

    def step(self) -> None:
        """Evaluate every trial point; then keep a crossing, move along the ray, or bend it."""
        now = self._state
        trial = now.length[:, None] * now.ray
        displacement = self._space.within(now.rows, trial)
        found = self._gaps.gradient(now.rows, displacement, now.target)
        gradient = self._space.pull(found.gradient)
        norms, normal = gradient.norm(dim=1), unit(gradient)
        free = self._space.free(now.rows, trial)
        climb = gradient * now.ray
        slope = (climb if free is None else climb.masked_fill(~free, 0.0)).sum(1)
        newton = torch.where(slope > 0, now.length - found.gap / slope, torch.nan)
        now.lower, now.upper = narrow_bracket(now.lower, now.upper, now.length, found.gap)
        self._see(now, displacement, found.gap)

        finite = found.gap.isfinite() & norms.isfinite()
        met = finite & ((newton - now.length).abs() <= _RAY_TOLERANCE * now.length)
        met &= now.target < 0
        first = now.best_margin.isinf()
        unmet = first & now.upper.isinf()
        bent = finite & ~met & unmet & (slope < _SMALLEST_CLIMB * norms) & (norms > 0)
        bent |= finite & (now.target >= 0)

        nearer = self._keep(now, met, newton, slope, normal, (normal * displacement).sum(1) - found.gap / norms)
        along = self._along(now, newton)
        failed = ~met & ~first & ((along > self._reach) | (now.tries >= _RAY_TRIES))
        turned = met | failed
        factor = torch.where(nearer, torch.where(first, 1.0, _LARGER_TURN), _SMALLER_TURN)
        now.turn = torch.where(turned, (now.turn * factor).clamp(max=1.0), now.turn)
        ray, length, alignment = self._aim(now)
        end = displacement - (found.gap / norms)[:, None] * normal

        now.ray = _choose((turned, ray), (bent, unit(end)), now.ray)
        now.length = _choose((turned, length), (bent, end.norm(dim=1)), along)
        now.lower = torch.where(turned | bent, 0.0, now.lower)
        now.upper = torch.where(turned, torch.inf, now.upper)
        now.tries = torch.where(turned, 0, now.tries)
        now.target = torch.full_like(now.target, -1)

        met_any = now.best_margin.isfinite()
        aligned = met_any & (alignment >= self._alignment_tol)
        kink = met_any & turned & (now.turn < _SMALLEST_TURN)
        lost = ~met_any & (now.length > self._reach)
        self.finite[now.rows] &= finite
        self._end(now, ~finite | aligned | kink | lost, kink & ~aligned)

    def _see(self, now: _State, displacement: Tensor, gap: Tensor) -> None:
        margin, old = displacement.norm(dim=1), self._seen_margin[now.rows]
        nearer = (gap >= 0) & (margin < old) & (now.target < 0)
        self._seen_margin[now.rows] = torch.where(nearer, margin, old)
        self.seen[now.rows] = _choose((nearer, displacement), self.seen[now.rows])

    def _keep(
        self, now: _State, met: Tensor, length: Tensor, slope: Tensor, normal: Tensor, offset: Tensor
    ) -> Tensor:
        """Keep each crossing that is the nearest of its walk, and the plane tangent to each."""
        crossing = self._space.within(now.rows, length[:, None] * now.ray)
        margin = crossing.norm(dim=1) if self._space.confined else length
        nearer = met & (margin < now.best_margin)
        best, other = now.normals.unbind(1)
        best_offset, other_offset = now.offsets.unbind(1)
        now.normals = torch.stack(
            [_choose((nearer, normal), best), _choose((nearer, best), (met, normal), other)], 1
        )
        now.offsets = torch.stack(
            [
                _choose((nearer, offset), best_offset),
                _choose((nearer, best_offset), (met, offset), other_offset),
            ],
            1,
        )
        now.best_ray = _choose((nearer, now.ray), now.best_ray)
        now.best_length = _choose((nearer, length), now.best_length)
        now.best_margin = _choose((nearer, margin), now.best_margin)
        now.best_slope = _choose((nearer, slope), now.best_slope)
        return nearer

    def _along(self, now: _State, newton: Tensor) -> Tensor:
        """Return the Newton step on the ray, or the middle of its bracket where that leaves it."""
        usable = (newton > now.lower) & (newton < now.upper) & (newton < 4 * now.length)
        now.tries = now.tries + 1
        return torch.where(usable, newton, bisect(now.lower, now.upper, now.length))

    def _aim(self, now: _State) -> tuple[Tensor, Tensor, Tensor]:
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
        now.offsets = _choose((stalled, alone), offsets)
        goal = torch.lerp(best, _choose((stalled, tangent), both), now.turn[:, None])
        length = goal.norm(dim=1)
        if limits is None:
            alignment = (now.normals[:, 0] * now.best_ray).sum(1)
        else:
            alignment = (unit(tangent.clamp(*limits)) * unit(crossing)).sum(1)
        return _choose((length > 0, unit(goal)), now.best_ray), length, alignment

    def _end(self, now: _State, done: Tensor, kink: Tensor) -> None:
        """Keep the best of the walks that are done, and start others while gradients last."""
        rows = now.rows
        spent = self._gaps.backward_passes[rows]
        over = spent >= self._most - 1
        far = now.best_margin > _HOPELESS * self.best.margin[rows]
        hopeless = far & (spent - now.begun >= _WORTH) & (now.begun > 0)
        done = done | over | hopeless
        order = self._next[rows]
        known = order < self._planes.distance.shape[1]
        place = order.clamp(max=self._planes.distance.shape[1] - 1)[:, None]
        possible = known & self._planes.distance[rows].gather(1, place).squeeze(1).isfinite()
        again = done & possible & (spent + _WORTH < self._most) & self.finite[rows]
        ended, gone = torch.stack([done.sum(), (done & ~again).sum()]).tolist()
        if not ended:
            return
        self._record(now, done, kink)
        target = self._planes.target[rows].gather(1, place).squeeze(1)
        now.target = torch.where(again, target, now.target)
        now.begun = torch.where(again, spent, now.begun)
        self._next[rows] = order + again.long()
        now.ray = now.ray.masked_fill(again[:, None], 0.0)
        for name, value in (("length", 0.0), ("lower", 0.0), ("upper", torch.inf), ("tries", 0), ("best_length", torch.inf), ("best_margin", torch.inf), ("turn", _FIRST_TURN)):
            setattr(now, name, getattr(now, name).masked_fill(again, value))
        now.offsets = now.offsets.masked_fill(again[:, None], -torch.inf)
        if gone:
            leaving = done & ~again
            self._state = now.select(leaving.byte().argsort(stable=True)[: len(rows) - gone])

    def _record(self, now: _State, done: Tensor, kink: Tensor) -> None:
        best, rows = self.best, now.rows
        margin = best.margin[rows]
        nearer = done & (now.best_margin < margin)
        # Without a crossing, the end of the ray is where to go on looking.
        hope = done & now.best_margin.isinf() & margin.isinf()
        length = torch.where(now.upper.isfinite(), now.upper, now.length)
        best.ray[rows] = _choose((nearer, now.best_ray), (hope, now.ray), best.ray[rows])
        best.length[rows] = _choose((nearer, now.best_length), (hope, length), best.length[rows])
        best.slope[rows] = _choose((nearer, now.best_slope), best.slope[rows])
        best.kink[rows] = _choose((nearer, kink), best.kink[rows])
        best.margin[rows] = torch.where(nearer, now.best_margin, margin)


def _choose(*cases: tuple[Tensor, Tensor] | Tensor) -> Tensor:
    """Return, row by row, the value of the first condition that holds, or the last value."""
    *conditional, value = cases
    for where, other in reversed(conditional):
        value = torch.where(where.view(-1, *[1] * (value.ndim - 1)), other, value)
    return value
