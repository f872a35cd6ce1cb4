"""The walk from crossing to crossing of the boundary, each nearer to its image than the last.

One row an image. A step takes the gap and its gradient once at each row's trial point, and does one
of three things: *keep* the crossing that the ray has met and turn to a new ray, *move* along the
ray, or *bend* a ray that leads nowhere. Turns shrink as the gradients that are left run out, so
that a walk explores first and settles last. It ends at a smooth minimum (displacement and normal
aligned) or at a kink; while gradients are left, another walk then starts towards the class that is
next nearest at the image. Where several classes are nearly as near at the image, `race` starts a
walk towards each and keeps one.

A step waits for the device once, for how many rows ended. Everything else is `torch.where`.
"""

import torch
from torch import Tensor

from boundary.candidates import NearestPlanes
from boundary.gaps import GapFunctions
from boundary.planes import alignment, nearest_beyond, nearest_on
from boundary.rays import bend, has_met, in_doubt, leads_nowhere, on_the_ray, set_out
from boundary.secant import narrow_bracket
from boundary.walkers import Best, Trial, Walkers, by_row

_FARTHEST_TRY = 1.5
"""A ray that has not met the boundary at this many lengths of the best one is given up."""

_RAY_TRIES = 5
"""Steps on one ray before it is given up for a smaller turn."""

_FIRST_TURN, _LARGER_TURN = 0.7, 1.25
"""The first turn, and its growth after a ray that came nearer."""

_LAST_TURN = 1 / 64
"""The turn at which a walk aims to end, when its gradients do."""

_FAILURES = 0.6
"""Share of the gradients left that is expected to come no nearer, and so to shrink the turn."""

_SHRINK = (0.2, 0.97)
"""Bounds of the factor of the turn after a ray that came no nearer."""

_MISSED = 0.35
"""The factor after a ray that met no boundary, and for turns smaller than the last."""

_SMALLEST_TURN = 1 / 200
"""A turn smaller than this ends the walk."""

_KINK_TURN = 1 / 16
"""A walk whose turns came down to this sits in a kink, unless it is aligned."""

_WALK = 36
"""Gradients of a walk, about: the walks of an image share what may be spent evenly."""

_STALL = 0.003
"""Share of the margin that two tangent planes must promise, or the second is forgotten."""

_RIVAL = 1.1
"""A class whose plane is at most this far, in distances of the nearest, is started towards too."""

_RACE = 4
"""Gradients of each of an image's walks before all but the one that came nearest are given up."""

_WORTH = 20
"""Gradients that a further walk should have left to it."""

_HOPELESS = 1.05
"""A further walk ends when after that many gradients it is this much farther than the best."""

_FARTHEST_PLANE = 2.0
"""Another class's plane farther than this, in margins of the best crossing, is not walked to."""

_STANDSTILL = 1e-6
"""A bend by less than this share of the length has come to the corner of the limits."""

_EARLY_STEPS = 8
"""Gradients of an image that are taken in low precision, where that is asked for."""

_ANY = -1
"""In place of a class: whichever leads."""


class Walk:
    """The walks of N images; `step` until `ended`, then `best` holds what they found.

    Args:
        gaps: The gap functions of the images.
        planes: Where the walks start.
        reach: Largest length of a ray.
        most_gradients: What may be spent on an image.
        alignment_tol: Alignment at which a walk ends.
        early: dtype of the first gradients' passes; None: the classifier's own.
        place: 0 starts every image towards its nearest class, p those alone whose class in place p
            is nearly as near.
    """

    def __init__(
        self,
        gaps: GapFunctions,
        planes: NearestPlanes,
        *,
        reach: float,
        most_gradients: int,
        alignment_tol: float,
        early: torch.dtype | None,
        place: int = 0,
    ) -> None:
        self._gaps, self._space, self._planes = gaps, gaps.space, planes
        self._reach, self._most, self._alignment_tol = reach, most_gradients, alignment_tol
        self._longest = most_gradients // max(1, round(most_gradients / _WALK))
        none = torch.full_like(planes.distance[:, 0], torch.inf)
        self.best = Best(
            ray=planes.rays[:, 0].clone(),
            length=planes.distance[:, 0].clone(),
            margin=none,
            slope=torch.ones_like(none),
            kink=torch.zeros_like(planes.finite),
        )
        self.seen, self.seen_margin = torch.zeros_like(self.best.ray), none.clone()
        """Displacement of the nearest trial point outside the source region, and its length."""
        self.finite = planes.finite.clone()
        self._next = torch.ones_like(gaps.source)
        self._walkers = self._start(place)
        self._early, self._early_steps = early, 0 if early is None else _EARLY_STEPS

    @property
    def ended(self) -> bool:
        """Whether no image is still searched."""
        return len(self._walkers.rows) == 0

    def _start(self, place: int) -> Walkers:
        planes = self._planes
        distance = planes.distance[:, place]
        spent = self._gaps.backward_passes
        starts = planes.finite & distance.isfinite()
        if place:
            starts &= planes.taken[:, place] & (distance <= _RIVAL * planes.distance[:, 0])
            starts &= spent + (place + 1) * _RACE < self._most
        rows = starts.nonzero().squeeze(1)
        length = distance[rows].clamp(max=self._reach)
        span = torch.zeros_like(rows), self._until(spent[rows])
        any_class = torch.full_like(rows, _ANY)
        return Walkers.on(rows, any_class, span, planes.rays[rows, place], length, _FIRST_TURN)

    def take_over(self, rival: "Walk") -> None:
        """Go on with the walk of a rival for each image where that one has come nearer."""
        ahead = rival._margin() < self._margin()
        mine, others = self._walkers, rival._walkers
        self._walkers = Walkers.joined(
            mine.select(~ahead[mine.rows]), others.select(ahead[others.rows])
        )
        self.best = self.best.replaced(ahead, rival.best)
        nearer = rival.seen_margin < self.seen_margin
        self.seen = by_row(nearer, rival.seen, self.seen)
        self.seen_margin = torch.where(nearer, rival.seen_margin, self.seen_margin)
        self.finite &= rival.finite

    def _margin(self) -> Tensor:
        """Return the distance of the nearest crossing of each image, recorded or not."""
        rows = self._walkers.rows
        return self.best.margin.index_copy(
            0, rows, torch.minimum(self.best.margin[rows], self._walkers.best_margin)
        )

    def _until(self, spent: Tensor) -> Tensor:
        return (spent + self._longest).clamp(max=self._most - 1)

    def step(self) -> None:
        """Evaluate every trial point; then keep a crossing, move along the ray, or bend it."""
        early, now = self._early_steps > 0, self._walkers
        trial = self._evaluate(self._early if early else None)
        self.finite[now.rows] &= trial.finite
        self._note_plane(now, trial)
        if not early:
            self._see(now, trial)
        done, kink = self._move(now, trial)
        if early:
            self._early_steps -= 1
            done = torch.zeros_like(done)
            if self._early_steps == 0:
                _check_best(now)
        self._end(now, done | ~trial.finite, kink)

    def _move(self, now: Walkers, trial: Trial) -> tuple[Tensor, Tensor]:
        """Choose the next trial points.

        Returns:
            Which walks are done, and which of them in a kink.
        """
        now.lower, now.upper = narrow_bracket(now.lower, now.upper, now.length, trial.gap)
        first = now.best_length.isinf()
        met = has_met(now, trial)
        nearer = self._keep(now, trial, met)
        bent, passed = leads_nowhere(now, trial, met, first)
        along = on_the_ray(now, trial, passed)
        now.tries = now.tries + 1
        far = along > _FARTHEST_TRY * now.best_length
        failed = ~met & ~first & (far | (now.tries >= _RAY_TRIES))
        refuted = failed & now.checking
        _forget_best(now, refuted)
        bent |= refuted & (trial.norm > 0)
        turned = met | (failed & ~refuted)

        doubted = turned & ~nearer & in_doubt(now, trial, met)
        factor = torch.where(nearer, _LARGER_TURN, self._shrinkage(now, met))
        factor = torch.where(first | now.checking | doubted, 1.0, factor)
        now.turn = torch.where(turned, (now.turn * factor).clamp(max=1.0), now.turn)
        limits = self._space.limits(now.rows)
        goal, aligning = self._aim(now)
        goal = by_row(doubted, now.best_length[:, None] * now.best_ray, goal)
        set_out(now, turned | bent, by_row(turned, goal, bend(now, trial, limits)), along)
        now.lower = torch.where(passed, 0.0, now.lower)
        now.tries = torch.where(turned, 0, now.tries)
        now.checking = torch.where(turned, doubted, now.checking)
        now.target = torch.full_like(now.target, _ANY)

        crossed = now.best_length.isfinite()
        aligned = crossed & ~now.checking & (aligning >= self._alignment_tol)
        stuck = crossed & turned & (now.turn < _SMALLEST_TURN)
        kink = crossed & (now.turn < _KINK_TURN) & ~aligned
        away = ~bent | (trial.offset > _FARTHEST_PLANE * self.best.margin[now.rows])
        lost = (now.length > self._reach) | (trial.starting & away)
        if limits is not None:
            moved = (now.length[:, None] * now.ray - trial.displacement).norm(dim=1)
            lost |= bent & (moved <= _STANDSTILL * now.length)
        return aligned | stuck | (lost & ~crossed), kink

    def _evaluate(self, precision: torch.dtype | None) -> Trial:
        now, space = self._walkers, self._space
        ends = now.length[:, None] * now.ray
        displacement, free = space.within(now.rows, ends), space.free(now.rows, ends)
        found = self._gaps.gradient(now.rows, displacement, now.target, precision)
        gradient = space.pull(found.gradient)
        norm = gradient.norm(dim=1)
        normal = gradient / torch.where(norm > 0, norm, 1.0)[:, None]
        climb = gradient * now.ray
        slope = (climb if free is None else climb.masked_fill(~free, 0.0)).sum(1)
        newton = torch.where(slope > 0, now.length - found.gap / slope, torch.nan)
        margin = newton
        if free is not None:
            margin = space.within(now.rows, newton[:, None] * now.ray).norm(dim=1)
        return Trial(
            gap=found.gap,
            finite=found.gap.isfinite() & norm.isfinite(),
            starting=now.target >= 0,
            displacement=displacement,
            norm=norm,
            normal=normal,
            slope=slope,
            newton=newton,
            margin=margin,
            offset=(normal * displacement).sum(1) - found.gap / norm,
        )

    def _note_plane(self, now: Walkers, trial: Trial) -> None:
        """Keep the distance of the class's plane that a walk starts towards."""
        place = (self._next[now.rows] - 1)[:, None]
        known = trial.starting & trial.finite & (trial.norm > 0)
        for table, value in (
            (self._planes.distance, trial.offset.clamp_min(0)),
            (self._planes.taken, torch.ones_like(known)),
        ):
            old = table[now.rows].gather(1, place).squeeze(1)
            new = torch.where(known, value, old)
            table[now.rows] = table[now.rows].scatter(1, place, new[:, None])

    def _see(self, now: Walkers, trial: Trial) -> None:
        """Remember the nearest trial point outside the source region."""
        margin, old = trial.displacement.norm(dim=1), self.seen_margin[now.rows]
        nearer = (trial.gap >= 0) & (margin < old) & ~trial.starting
        self.seen_margin[now.rows] = torch.where(nearer, margin, old)
        self.seen[now.rows] = by_row(nearer, trial.displacement, self.seen[now.rows])

    def _keep(self, now: Walkers, trial: Trial, met: Tensor) -> Tensor:
        """Keep each crossing that is the nearest of its walk, and the plane tangent to each.

        Returns:
            Which rows came nearer, shape (n,).
        """
        nearer = met & ((trial.margin < now.best_margin) | now.checking)
        moved = nearer & ~now.checking
        best, other = now.normals.unbind(1)
        now.normals = torch.stack(
            [
                by_row(nearer, trial.normal, best),
                by_row(moved, best, by_row(met & ~nearer, trial.normal, other)),
            ],
            1,
        )
        best, other = now.offsets.unbind(1)
        now.offsets = torch.stack(
            [
                by_row(nearer, trial.offset, best),
                by_row(moved, best, by_row(met & ~nearer, trial.offset, other)),
            ],
            1,
        )
        now.best_ray = by_row(nearer, now.ray, now.best_ray)
        now.best_length = torch.where(nearer, trial.newton, now.best_length)
        now.best_margin = torch.where(nearer, trial.margin, now.best_margin)
        correction = (trial.newton - now.length).abs()
        # To second order on a straight ray, to first where limits bend it.
        share = 1.0 if self._space.confined else 2 * correction / now.length
        doubt = share * correction
        now.best_doubt = torch.where(nearer, doubt, now.best_doubt)
        now.best_slope = torch.where(nearer, trial.slope, now.best_slope)
        return nearer

    def _shrinkage(self, now: Walkers, met: Tensor) -> Tensor:
        """Return the factor of the turn that makes it small when the walk's gradients end."""
        left = (now.until - self._gaps.backward_passes[now.rows]).clamp_min(1)
        factor = ((_LAST_TURN / now.turn) ** (1 / (_FAILURES * left))).clamp(*_SHRINK)
        return torch.where(met & (now.turn > _LAST_TURN), factor, _MISSED)

    def _aim(self, now: Walkers) -> tuple[Tensor, Tensor]:
        """Turn from the best crossing towards the planes' nearest point.

        Returns:
            The next trial displacement, and the alignment at the best crossing.
        """
        limits = self._space.limits(now.rows)
        best = now.best_length.nan_to_num(posinf=0.0)[:, None] * now.best_ray
        crossing = self._space.within(now.rows, best)
        through = (now.normals * crossing[:, None]).sum(2)
        # Curvature may put a plane beyond the best crossing, which is feasible by experience.
        offsets = torch.minimum(now.offsets, through)
        alone = torch.stack([through[:, 0], torch.full_like(through[:, 1], -torch.inf)], 1)
        tangent = nearest_on(now.normals[:, 0], through[:, 0], limits)
        both = nearest_beyond(now.normals, offsets, limits)
        stalled = ~(both.norm(dim=1) < (1 - _STALL) * now.best_margin)
        now.offsets = by_row(stalled, alone, offsets)
        # Straight inside the limits: beyond them a small turn would move nothing.
        goal = torch.lerp(crossing, by_row(stalled, tangent, both), now.turn[:, None])
        return goal, alignment(now.normals[:, 0], crossing, tangent)

    def _end(self, now: Walkers, done: Tensor, kink: Tensor) -> None:
        """Record the walks that are done, and start others while gradients are left."""
        rows = now.rows
        spent = self._gaps.backward_passes[rows]
        far = now.best_margin > _HOPELESS * self.best.margin[rows]
        hopeless = far & (spent - now.begun >= _WORTH) & (now.begun > 0)

        place = self._next[rows].clamp(max=self._planes.target.shape[1] - 1)[:, None]
        left = self._next[rows] < self._planes.target.shape[1]
        left &= self._planes.distance[rows].gather(1, place).squeeze(1).isfinite()
        left &= self.finite[rows] & (spent + _WORTH < self._most)
        done = done | hopeless | (spent >= torch.where(left, now.until, self._most - 1))
        again = done & left
        ended, gone = torch.stack([done.sum(), (done & ~again).sum()]).tolist()
        if ended:
            self._record(now, done, kink)
            target = self._planes.target[rows].gather(1, place).squeeze(1)
            self._restart(now, again, target, spent)
        if gone:
            leaving = (done & ~again).byte()
            self._walkers = self._walkers.select(leaving.argsort(stable=True)[: len(rows) - gone])

    def _restart(self, now: Walkers, again: Tensor, target: Tensor, spent: Tensor) -> None:
        """Send rows from the best crossing of all towards another class."""
        rows, best = now.rows, self.best
        self._next[rows] += again.long()
        span = spent, self._until(spent)
        fresh = Walkers.on(rows, target, span, best.ray[rows], best.length[rows], _FIRST_TURN)
        self._walkers = now.replaced(again, fresh)

    def _record(self, now: Walkers, done: Tensor, kink: Tensor) -> None:
        best, rows = self.best, now.rows
        margin = best.margin[rows]
        nearer = done & (now.best_margin < margin)
        # Without a crossing, the end of the ray is where to go on looking.
        hope = done & now.best_margin.isinf() & margin.isinf()
        length = torch.where(now.upper.isfinite(), now.upper, now.length)
        best.ray[rows] = by_row(nearer, now.best_ray, by_row(hope, now.ray, best.ray[rows]))
        best.length[rows] = by_row(nearer, now.best_length, by_row(hope, length, best.length[rows]))
        best.slope[rows] = by_row(nearer, now.best_slope, best.slope[rows])
        best.kink[rows] = by_row(nearer, kink, best.kink[rows])
        best.margin[rows] = torch.where(nearer, now.best_margin, margin)


def race(walks: list[Walk]) -> Walk:
    """Begin all walks, and keep of each image's the one that came nearest.

    Args:
        walks: The first of all images, the others of some.

    Returns:
        The first, which goes on with those kept.
    """
    first, *rivals = walks
    if any(not rival.ended for rival in rivals):
        for _ in range(_RACE):
            for walk in walks:
                if not walk.ended:
                    walk.step()
        for rival in rivals:
            first.take_over(rival)
    return first


def _forget_best(now: Walkers, where: Tensor) -> None:
    now.best_length = torch.where(where, torch.inf, now.best_length)
    now.best_margin = torch.where(where, torch.inf, now.best_margin)
    now.checking = now.checking & ~where


def _check_best(now: Walkers) -> None:
    """Make every best crossing, met in low precision, the next trial point."""
    met = now.best_length.isfinite()
    set_out(now, met, now.best_length[:, None] * now.best_ray, now.length)
    now.tries = torch.zeros_like(now.tries)
    now.checking = met
