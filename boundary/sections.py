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

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from boundary.anchors import PAIR, REGION, SURFACES, Anchors, surface_gap
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.gradients import KeptGraph, leading_class, logit_gap
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
            twice the scale: beyond, a curvature is at least 4 / s.

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
    residuals = dict.fromkeys(found, 0.0)
    for place, direction in enumerate(directions):
        tangent = unit(anchors.tangent(direction).flatten(1)).view_as(anchors.point)
        looks = _Looks(classifier, anchors, scale * tangent, surfaces, GRADIENTS in estimators)
        for (estimator, surface), curvature in found.items():
            if estimator == VALUES:
                change = looks.gaps[surface].sum(0) / (scale**2 * anchors.slope)
                curvature.curvature[:, place] = change
            elif estimator == GRADIENTS:
                ahead, behind = looks.slopes[surface]
                change = (ahead - behind) / (2 * scale**2 * anchors.slope)
                curvature.curvature[:, place] = change
            else:
                ends = _section(
                    classifier, anchors, scale * tangent, looks.gaps[surface], surface, far
                )
                curvature.curvature[:, place] = -ends.displacement.sum(0) / scale**2
                curvature.censored[:, place] = ends.censored.any(0)
                worst = float(ends.residual.max()) if ends.residual.numel() else 0.0
                residuals[estimator, surface] = max(residuals[estimator, surface], worst)
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
    tangent = unit(anchors.tangent(direction).flatten(1)).view_as(anchors.point)
    ahead, behind = [], []
    for offset in sorted(offsets):
        far = 2 * offset if reach is None else reach
        _check(offset, far, [SECTION], [surface])
        step = offset * tangent
        looks = _Looks(classifier, anchors, step, [surface], with_gradients=False)
        ends = _section(classifier, anchors, step, looks.gaps[surface], surface, far)
        ahead.append((ends.displacement[0], ends.censored[0]))
        behind.append((ends.displacement[1], ends.censored[1]))
    displacement, censored = zip(*behind[::-1], *ahead, strict=True)
    return torch.stack(displacement), torch.stack(censored)


@dataclass(frozen=True, eq=False)
class Ends:
    """The two ends of N normal sections."""

    displacement: Tensor
    """(2, N), t(s) and t(-s) along the normal, input units."""
    censored: Tensor
    """(2, N) bool."""
    residual: Tensor
    """(2, N), |gap - level| / slope at the last look; 0 where censored."""


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
            same = surface == REGION and PAIR in self.slopes and others[PAIR].equal(others[REGION])
            if same:
                self.slopes[REGION] = self.slopes[PAIR]
                continue
            gradient = graph.gap_gradient(source, others[surface]).gradient.flatten(1)
            self.slopes[surface] = (gradient * along).sum(1).view(2, -1)


def _section(
    classifier: Classifier,
    anchors: Anchors,
    step: Tensor,
    gaps: Tensor,
    surface: str,
    reach: float,
) -> Ends:
    """Return where the lines along n through z + s v and z - s v meet the surface first.

    Args:
        classifier: Whose boundary it is.
        anchors: N.
        step: s v of each, (N, C, H, W).
        gaps: Less the level, at z + s v and z - s v, (2, N).
        surface: ``pair`` or ``region``.
        reach: Longest displacement.
    """
    starts = torch.cat([anchors.point + step, anchors.point - step])
    normal = anchors.normal.repeat(2, 1, 1, 1)
    source, target = anchors.source.repeat(2), anchors.target.repeat(2)
    level, slope, first = anchors.level.repeat(2), anchors.slope.repeat(2), gaps.flatten()
    # Beyond the surface it lies behind, before it ahead; from there the gap counts as negative.
    side = -first.sign()
    root = BracketedSecant((first.abs() / slope).clamp(max=reach), slope)
    residual = torch.zeros_like(first)
    for _ in range(_MOST_STEPS):
        left = root.unsettled(_LENGTH_TOLERANCE, reach)
        left = left[side[left] != 0]
        if not len(left):
            break
        along = (side * root.length)[left].view(-1, 1, 1, 1)
        points = starts[left] + along * normal[left]
        found = surface_gap(classifier, points, source[left], target[left], surface)
        value = side[left] * (found - level[left])
        root.update(left, value)
        residual[left] = value.abs() / slope[left]
    length = torch.where(side == 0, 0.0, root.length)
    censored = (root.unmet(_LENGTH_TOLERANCE) | (length > reach)) & (side != 0)
    displacement = side * torch.where(censored, reach, length)
    return Ends(
        displacement.view(2, -1),
        censored.view(2, -1),
        residual.masked_fill(censored, 0.0).view(2, -1),
    )


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
