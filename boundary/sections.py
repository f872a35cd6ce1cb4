"""Curvature at a finite scale: three estimators, each for the pair of classes and for the region.

At an anchor z with unit normal n, along a unit tangent direction v, at the scale s:

- *values*: [g(z + s v) + g(z - s v) - 2 g(z)] / (s^2 |grad g(z)|), two forward passes;
- *gradients*: v'[grad g(z + s v) - grad g(z - s v)] / (2 s |grad g(z)|), two gradients;
- *section*: -(t(s) + t(-s)) / s^2, with t(s) the displacement along n from z + s v to the surface
  through z: a normal section of the boundary as it is met, whatever the logits do beside it.

All are the normal curvature v'Sv in the limit of a small s, positive where the boundary bends
towards the source side, and differ at a large one. A section that meets no surface within its reach
is *censored*: its displacement is put at the reach, so that its sign is known and its size a bound,
unless its two ends are censored to opposite sides, which then say nothing and sum to zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from boundary.anchors import PAIR, REGION, SURFACES, Anchors
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import KeptGraph, gap_gradient, leading_class, logit_gap
from boundary.secant import BracketedSecant
from boundary.space import unit

VALUES, GRADIENTS, SECTION = "values", "gradients", "section"
ESTIMATORS = (VALUES, GRADIENTS, SECTION)

_MOST_STEPS = 60
_LENGTH_TOLERANCE = 1e-3
"""Of a displacement, as a share of it: the last step's size, which a secant step cuts further."""


@dataclass(frozen=True, eq=False)
class Curvatures:
    """Normal curvatures of N anchors along M directions, by one estimator on one surface."""

    estimator: str
    """One of `ESTIMATORS`."""
    surface: str
    """``pair`` or ``region``."""
    scale: float
    """s, input units."""
    curvature: Tensor
    """(N, M), 1 / input units; a bound where ``censored``."""
    censored: Tensor
    """(N, M) bool: a section met no surface within its reach on one side at least."""
    residual: float
    """Largest distance of a section's ends from the surface, first order, input units; else 0."""


def curvatures(
    classifier: Classifier,
    anchors: Anchors,
    directions: Tensor,
    scale: float,
    *,
    estimators: Sequence[str] = ESTIMATORS,
    surfaces: Sequence[str] = SURFACES,
    reach: float | None = None,
) -> list[Curvatures]:
    """Return the curvature along directions at a scale, by several estimators side by side.

    Estimators and surfaces share passes: values come with gradients, and the logits at one point
    say both gaps.

    Args:
        classifier: Whose boundary it is.
        anchors: N.
        directions: M for all anchors, (M, C, H, W), or M for each, (M, N, C, H, W); their tangent
            parts are taken, as unit vectors.
        scale: s, input units.
        estimators: Some of `ESTIMATORS`.
        surfaces: Some of `SURFACES`.
        reach: How far along the normal a section looks for the surface, input units; by default
            twice the scale: where both ends are censored to the same side, the size of the
            curvature is then at least 4 / s.

    Returns:
        One for each estimator and surface, in that order.

    Raises:
        InputError: If an option is out of range, or the classifier gives numbers that are not
            finite.
    """
    _check(scale, reach, estimators, surfaces)
    size = (len(anchors), len(directions))
    far = 2 * scale if reach is None else reach
    found = {
        (estimator, surface): Curvatures(
            estimator,
            surface,
            scale,
            anchors.slope.new_zeros(size),
            torch.zeros(size, dtype=torch.bool, device=anchors.slope.device),
            0.0,
        )
        for estimator in estimators
        for surface in surfaces
    }
    gaps = {surface: anchors.slope.new_zeros(2, *size[::-1]) for surface in surfaces}
    for place, direction in enumerate(directions if len(anchors) else directions[:0]):
        step = scale * _tangent(anchors, direction)
        looks = _Looks(classifier, anchors, step, surfaces, GRADIENTS in estimators)
        for surface in surfaces:
            gaps[surface][:, place] = looks.gaps[surface]
            if (GRADIENTS, surface) in found:
                ahead, behind = looks.slopes[surface]
                change = (ahead - behind) / (2 * scale**2 * anchors.slope)
                found[GRADIENTS, surface].curvature[:, place] = change
    residuals = dict.fromkeys(found, 0.0)
    for surface in surfaces if VALUES in estimators else ():
        change = gaps[surface].sum(0).T / (scale**2 * anchors.slope[:, None])
        found[VALUES, surface].curvature.copy_(change)
    if SECTION in estimators:
        for surface, ends in _sections(classifier, anchors, directions, scale, gaps, far).items():
            own = found[SECTION, surface]
            own.curvature.copy_(-ends.displacement.sum(0).T / scale**2)
            own.censored.copy_(ends.censored.any(0).T)
            residuals[SECTION, surface] = (
                float(ends.residual.max()) if ends.residual.numel() else 0.0
            )
    if not all(bool(one.curvature.isfinite().all()) for one in found.values()):
        raise InputError(
            f"the classifier should return finite logits. Found NaN or infinity {scale:.3g} input "
            "units from an anchor; try smaller scales."
        )
    return [
        Curvatures(c.estimator, c.surface, scale, c.curvature, c.censored, residuals[key])
        for key, c in found.items()
    ]


def normal_section(
    classifier: Classifier,
    anchors: Anchors,
    direction: Tensor,
    offsets: Sequence[float],
    *,
    surface: str = REGION,
    reach: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the displacement t(s) of the boundary along n at z + s v, for several s of both signs.

    Args:
        classifier: Whose boundary it is.
        anchors: N.
        direction: v for all anchors, (C, H, W); its tangent parts are taken, as unit vectors.
        offsets: s > 0, input units; each is taken ahead and behind.
        surface: ``pair`` or ``region``.
        reach: How far along the normal the boundary is looked for, input units; by default twice
            the offset.

    Returns:
        Displacements, (2 S, N), of -s in descending and s in ascending order, at the reach where
        none was met; and where none was met, (2 S, N) bool.

    Raises:
        InputError: If an option is out of range.
    """
    tangent = _tangent(anchors, direction)
    ahead, behind = [], []
    for offset in sorted(offsets):
        far = 2 * offset if reach is None else reach
        _check(offset, far, [SECTION], [surface])
        looks = _Looks(classifier, anchors, offset * tangent, [surface], with_gradients=False)
        gaps = {surface: looks.gaps[surface][:, None]}
        ends = _sections(classifier, anchors, direction[None], offset, gaps, far)[surface]
        ahead.append((ends.displacement[0, 0], ends.censored[0, 0]))
        behind.append((ends.displacement[1, 0], ends.censored[1, 0]))
    displacement, censored = zip(*behind[::-1], *ahead, strict=True)
    return torch.stack(displacement), torch.stack(censored)


def _tangent(anchors: Anchors, direction: Tensor) -> Tensor:
    """Return P v as unit vectors, (N, C, H, W)."""
    return unit(anchors.tangent(direction).flatten(1)).view_as(anchors.point)


class _Looks:
    """Gaps, less the level, and slopes along v at z + s v and z - s v, for each surface."""

    def __init__(
        self,
        classifier: Classifier,
        anchors: Anchors,
        step: Tensor,
        surfaces: Sequence[str],
        with_gradients: bool,
    ) -> None:
        both = torch.cat([anchors.point + step, anchors.point - step])
        source, target = anchors.source.repeat(2), anchors.target.repeat(2)
        graph = KeptGraph(classifier, both) if with_gradients else None
        if graph is None:
            with torch.no_grad():
                logits = classifier(both)
        else:
            logits = graph.logits
        others = {PAIR: target, REGION: leading_class(logits, source)}
        level = anchors.level.repeat(2)
        self.gaps = {
            surface: (logit_gap(logits, source, others[surface]) - level).view(2, -1)
            for surface in surfaces
        }
        self.slopes: dict[str, Tensor] = {}
        if graph is None:
            return
        along = torch.cat([step, step]).flatten(1)
        for surface in surfaces:
            if PAIR in self.slopes:
                slope = self.slopes[PAIR].flatten().clone()
                apart = (others[PAIR] != others[REGION]).nonzero().squeeze(1)
                if len(apart):
                    leading = others[REGION][apart]
                    own = gap_gradient(classifier, both[apart], source[apart], leading)
                    slope[apart] = (own.gradient.flatten(1) * along[apart]).sum(1)
            else:
                gradient = graph.gap_gradient(source, others[surface]).gradient
                slope = (gradient.flatten(1) * along).sum(1)
            self.slopes[surface] = slope.view(2, -1)


@dataclass(frozen=True, eq=False)
class _Ends:
    """The two ends of the normal sections at N anchors along M directions."""

    displacement: Tensor
    """(2, M, N), t(s) and t(-s) along the normal, input units."""
    censored: Tensor
    """(2, M, N) bool."""
    residual: Tensor
    """(2, M, N), |gap - level| / slope at the last look; 0 where censored."""
    led: Tensor
    """(2, M, N) bool: the pair's target led all classes at the last look."""
    always_led: Tensor
    """(2, M, N) bool: and at every look; true where none was needed."""

    def where(self, chosen: Tensor, other: "_Ends") -> "_Ends":
        """Return these ends where chosen, (2, M, N) bool, and others elsewhere."""
        names = [field.name for field in fields(self)]
        pairs = [(getattr(self, name), getattr(other, name)) for name in names]
        return _Ends(*(torch.where(chosen, mine, its) for mine, its in pairs))


def _sections(
    classifier: Classifier,
    anchors: Anchors,
    directions: Tensor,
    scale: float,
    gaps: Mapping[str, Tensor],
    reach: float,
) -> dict[str, _Ends]:
    """Return where the lines along n through z + s v and z - s v meet each surface.

    All lines are searched together, in passes of twice as many points as there are anchors. The
    region's search is spared where the pair's has found its end.

    Args:
        classifier: Whose boundary it is.
        anchors: N.
        directions: (M, C, H, W), or (M, N, C, H, W).
        scale: s.
        gaps: By surface, less the level, at z + s v and z - s v, (2, M, N).
        reach: Longest displacement.
    """
    found: dict[str, _Ends] = {}
    for surface in sorted(gaps):
        lines = _Lines(classifier, anchors, directions, scale, surface)
        if PAIR in found:
            shared = _shared(found[PAIR], gaps[PAIR], gaps[surface])
            own = _search(lines, gaps[surface], reach, ~shared)
            found[surface] = found[PAIR].where(shared, own)
        else:
            found[surface] = _search(lines, gaps[surface], reach)
    return found


def _shared(pair: _Ends, pair_gap: Tensor, region_gap: Tensor) -> Tensor:
    """Return where the region's end is the pair's, (2, M, N) bool.

    Outwards another class may have crossed before the pair's: there both searches must have seen
    the same numbers. Inwards the region's gap, never below the pair's, stays positive until the
    pair's root, and is zero there if the target leads.
    """
    outwards = pair.always_led & (pair_gap == region_gap)
    inwards = pair.led & ~pair.censored & (pair_gap > 0)
    return torch.where(pair_gap < 0, outwards, inwards)


def _search(lines: "_Lines", gap: Tensor, reach: float, wanted: Tensor | None = None) -> _Ends:
    """Return where lines meet a surface.

    Args:
        lines: 2 M N.
        gap: Less the level, where they begin, (2, M, N).
        reach: Longest displacement.
        wanted: Lines that are searched, (2, M, N) bool; all if None.
    """
    first = gap.flatten()
    # Beyond the surface it lies behind, before it ahead; from there the gap counts as negative.
    # A displacement that rounds to nothing is none: steps that double it would never arrive.
    on_it = first.abs() <= torch.finfo(first.dtype).eps * reach * lines.slope
    side = -first.sign().masked_fill(on_it, 0.0)
    searched = side != 0 if wanted is None else (side != 0) & wanted.flatten()
    root = BracketedSecant(first.abs() / lines.slope, lines.slope, reach)
    residual, led = torch.zeros_like(first), torch.zeros_like(searched)
    always_led = torch.ones_like(searched)
    for _ in range(_MOST_STEPS):
        left = root.unsettled(_LENGTH_TOLERANCE)
        left = left[searched[left]]
        if not len(left):
            break
        for rows in torch.split(left, lines.batch_size):
            value, led[rows] = lines.look(rows, (side * root.length)[rows])
            root.update(rows, side[rows] * value)
            residual[rows] = value.abs() / lines.slope[rows]
            always_led[rows] &= led[rows]
    # One that ran out of steps on its way, as where a displacement rounds to nothing, stays there.
    censored = root.unmet(_LENGTH_TOLERANCE) & (root.length >= reach) & searched
    length = torch.where(side == 0, 0.0, root.length.masked_fill(censored, reach))
    parts = [side * length, censored, residual.masked_fill(censored, 0.0), led, always_led]
    return _Ends(*(part.view_as(gap) for part in parts))


class _Lines:
    """Lines along the normals of N anchors through z + s v and z - s v, for M directions."""

    def __init__(
        self,
        classifier: Classifier,
        anchors: Anchors,
        directions: Tensor,
        scale: float,
        surface: str,
    ) -> None:
        self._classifier, self._anchors = classifier, anchors
        self._directions, self._scale, self._surface = directions, scale, surface
        self.slope = anchors.slope.repeat(2 * len(directions))
        """Of each line's anchor, (2 M N,)."""
        self.batch_size = 2 * len(anchors)
        """The most lines in one pass."""

    @torch.no_grad()
    def look(self, lines: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gap, less the level, and whether the pair's target leads, on some lines.

        Args:
            lines: Which, (L,).
            along: How far along the normal, (L,).
        """
        count = len(self._anchors)
        place, which = lines % count, lines // count % len(self._directions)
        sign = torch.where(lines < count * len(self._directions), 1.0, -1.0).to(along)
        at = self._anchors.subset(place)
        direction = self._directions[which]
        if self._directions.dim() > at.point.dim():
            direction = self._directions[which, place]
        across = (sign * self._scale).view(-1, 1, 1, 1) * _tangent(at, direction)
        points = at.point + across + along.view(-1, 1, 1, 1) * at.normal
        logits = self._classifier(points)
        leading = leading_class(logits, at.source)
        other = at.target if self._surface == PAIR else leading
        return logit_gap(logits, at.source, other) - at.level, leading == at.target


def _check(
    scale: float, reach: float | None, estimators: Sequence[str], surfaces: Sequence[str]
) -> None:
    for name, length in (("scale", scale), ("reach", reach)):
        if length is not None and not 0 < length < float("inf"):
            raise InputError(f"`{name}` should be positive and finite. Found {length}.")
    for name, given, known in (
        ("estimators", estimators, ESTIMATORS),
        ("surfaces", surfaces, SURFACES),
    ):
        wrong = [one for one in given if one not in known]
        if wrong or not given:
            found = ", ".join(wrong) or "none"
            raise InputError(f"`{name}` should be some of {', '.join(known)}. Found {found}.")
