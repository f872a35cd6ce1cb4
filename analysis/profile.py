"""The curvature profile of many points: how the boundary bends, and which directions they share.

For each point the principal curvatures, all of them or the extreme ones of both signs, and the mean
curvature; then each point's directions are tried at other points, where u'S u is large if the other
boundary is curved along them too (Fawzi, Moosavi-Dezfooli, Frossard and Soatto, CVPR 2018). What
that paper calls negative depends on its own orientation; here a positive curvature bends towards
the image.

At a finite scale S is not linear, so u'S u of a point's own direction need not be its principal
curvature: both are kept, and ``asymmetry`` and ``residual`` say how far S is from having any.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.components import spread_of_ratio
from analysis.intervals import TAILS, Estimate, Interval
from boundary.anchors import REGION, SURFACES, Anchors
from boundary.classifier import Classifier
from boundary.curvature import ShapeOperator, principal_curvatures
from boundary.errors import InputError
from boundary.progress import progress_bar


@dataclass(frozen=True, eq=False)
class CurvatureProfile:
    """Principal curvatures of many points at a scale, and how their directions are shared."""

    scale: float
    """s of central differences, input units."""
    surface: str
    """``pair`` or ``region``."""
    complete: bool
    """Whether all D - 1 curvatures are there, or as many at each end as were asked for."""
    values: NDArray[np.float64]
    """(points, k), principal curvatures, descending, 1 / input units."""
    mean: NDArray[np.float64]
    """(points,), mean curvature tr(S) / (D - 1), estimated, 1 / input units."""
    mean_error: NDArray[np.float64]
    """(points,), its standard error over the probes."""
    asymmetry: NDArray[np.float64]
    """(points,), |T - T'| / |T + T'| of S seen in the span that was searched."""
    residual: float
    """Largest |S u - value u|, 1 / input units."""
    own: NDArray[np.float64]
    """(k,), mean over points of |u_j' S u_j|, u_j their own j-th direction, 1 / input units."""
    sharing: NDArray[np.float64]
    """(k,), mean over pairs of different points of |u_j' S u_j|, u_j the j-th direction of one and
    S that of the other, over ``typical``; 0 where that is 0."""
    typical: float
    """Mean over points and random unit tangents v of |v' S v|, 1 / input units."""
    pairs: int
    """Ordered pairs of different points that ``sharing`` is a mean over."""
    seed: int
    """Of the groups, probes and random directions, and of the search for extreme curvatures."""

    @property
    def points(self) -> int:
        """How many points there are."""
        return len(self.values)

    @property
    def average(self) -> NDArray[np.float64]:
        """(k,), mean over points of the j-th principal curvature, 1 / input units."""
        return np.asarray(self.values.mean(0))

    @property
    def tail_asymmetry(self) -> Estimate:
        """Sum of the positive values less that of the negative ones' sizes, over that of all sizes.

        It is 1 where all boundaries bend towards their images, -1 where they bend away, and 0 where
        all values are. The interval is over points (the jackknife of a ratio).
        """
        sums, sizes = self.values.sum(1), np.abs(self.values).sum(1)
        if not sizes.any():
            return Estimate(0.0, Interval(0.0, 0.0))
        share = float(sums.sum() / sizes.sum())
        if (sizes > 0).sum() == 1:  # nothing is known of other points
            return Estimate(share, Interval(-1.0, 1.0))
        half = spread_of_ratio(sums, sizes).half_width(TAILS[1])
        return Estimate(share, Interval(max(-1.0, share - half), min(1.0, share + half)))


def curvature_profile(
    classifier: Classifier,
    anchors: Anchors,
    scale: float,
    *,
    surface: str = REGION,
    count: int = 10,
    steps: int = 30,
    probes: int = 20,
    random: int = 20,
    points_at_once: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> CurvatureProfile:
    """Return the curvature profile of many points.

    Points are put in groups at random; directions are tried at the other points of the group. With
    all points in one group these are all pairs. A point of images with many numbers costs
    ``2 (steps + probes + random + k g)`` gradients, k = 2 ``count``, g the size of its group.

    Args:
        classifier: Whose boundary it is.
        anchors: At least 2 points.
        scale: s of central differences, input units.
        surface: ``pair`` or ``region``.
        count: Principal curvatures at each end, where not all are taken.
        steps: Products of the search for them, at least twice ``count``.
        probes: Random signs at each point for the mean curvature, at least 2.
        random: Random tangent directions at each point.
        points_at_once: Points of a group, at least 2 (groups of 2 may take a third). The memory is
            that of `principal_curvatures`.
        seed: Of all that is random.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If an option is out of range.
    """
    _check(anchors, surface, {"probes": (probes, 2), "random": (random, 1)}, points_at_once)
    generator = torch.Generator().manual_seed(seed)
    groups = _random_groups(len(anchors), points_at_once, generator)
    parts: list[_Group] = []
    with progress_bar("curvature profile", len(anchors), "points", shown=progress) as bar:
        for group in groups:
            operator = ShapeOperator(classifier, anchors.subset(group), scale, surface)
            found = principal_curvatures(operator, count, steps=steps, seed=seed)
            parts.append(
                _Group(
                    values=found.values,
                    asymmetry=found.asymmetry,
                    residual=float(found.residual.max()),
                    complete=found.complete,
                    along=_along_directions(operator, found.directions),
                    typical=_along_random(operator, random, generator),
                    mean=torch.stack(operator.mean_curvatures(probes, generator)),
                )
            )
            bar.update(len(group))
    return _joined(parts, torch.cat(groups).argsort(), scale, surface, seed)


@dataclass(frozen=True, eq=False)
class _Group:
    """What is measured at g points together."""

    values: Tensor
    """(g, k)."""
    asymmetry: Tensor
    """(g,)."""
    residual: float
    complete: bool
    along: Tensor
    """(g, k, g), |u'S u|: at place 0 with the point's own directions, else with another's."""
    typical: Tensor
    """(random, g)."""
    mean: Tensor
    """(2, g), mean curvature and its standard error."""


def _along_directions(operator: ShapeOperator, directions: Tensor) -> Tensor:
    """Return |u'S u| of the points' directions at each point in turn, (g, k, g).

    Args:
        operator: Of g points.
        directions: Of each, (g, k, C, H, W).
    """
    own = directions.transpose(0, 1).to(operator.anchors.point)
    turned = (own.roll(turn, 1) for turn in range(len(operator)))
    return torch.stack([(one * operator.products(one)).flatten(2).sum(2).abs() for one in turned])


def _along_random(operator: ShapeOperator, count: int, generator: torch.Generator) -> Tensor:
    """Return |v'S v| of random unit tangents v, the same at all g points but for P, (count, g)."""
    point = operator.anchors.point
    vectors = torch.randn(count, *point.shape[1:], dtype=torch.float64, generator=generator)
    return operator.normal_curvatures(vectors.to(point)).abs()


def _random_groups(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return all places in random groups of about one size, none of them of one place."""
    groups = min(-(-count // size), count // 2)
    return list(torch.randperm(count, generator=generator).tensor_split(groups))


def _joined(
    parts: list[_Group], order: Tensor, scale: float, surface: str, seed: int
) -> CurvatureProfile:
    own = torch.cat([part.along[0] for part in parts], 1)
    shared = torch.cat([part.along[1:].transpose(1, 2).flatten(0, 1) for part in parts])
    typical = _array(torch.cat([part.typical for part in parts], 1)).mean()
    mean, mean_error = _array(torch.cat([part.mean for part in parts], 1)[:, order])
    return CurvatureProfile(
        scale=scale,
        surface=surface,
        complete=all(part.complete for part in parts),
        values=_array(torch.cat([part.values for part in parts])[order]),
        mean=mean,
        mean_error=mean_error,
        asymmetry=_array(torch.cat([part.asymmetry for part in parts])[order]),
        residual=max(part.residual for part in parts),
        own=_array(own).mean(1),
        sharing=_ratio(_array(shared).mean(0), typical),
        typical=float(typical),
        pairs=len(shared),
        seed=seed,
    )


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.double().cpu().numpy())


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio of an array to sizes; 0 where these are 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _check(
    anchors: Anchors, surface: str, samples: dict[str, tuple[int, int]], points_at_once: int
) -> None:
    if len(anchors) < 2:
        raise InputError(
            f"`anchors` should hold at least 2 points, to be compared. Found {len(anchors)}."
        )
    if surface not in SURFACES:
        raise InputError(f"`surface` should be one of {', '.join(SURFACES)}. Found {surface}.")
    for name, (number, least) in {**samples, "points_at_once": (points_at_once, 2)}.items():
        if number < least:
            raise InputError(f"`{name}` should be at least {least}. Found {number}.")
