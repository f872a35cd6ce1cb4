"""The norm at which runs are compared that have reference norms of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose, log
from typing import NamedTuple

import numpy as np

from analysis.perturbations import SUBSPACE
from analysis.results import FoolingResult
from figures.rates import rates_by_norm

_SAME_SHARE = 1e-3
"""Relative difference below which two shares of the mean image norm are one."""
_ROUNDING = 1e-9
"""The same for norms in input units."""
_DECIMALS = 9
"""Of the logarithm of a ratio: norms that are equally far from a third, but for rounding."""


@dataclass(frozen=True)
class EqualNorm:
    """One norm at which two runs or more were tried."""

    norms: tuple[float | None, ...]
    """Of each run, input units; None of one that was not tried at it."""
    share: float | None
    """Of the mean image norm, the same for all; None where norms are equal in input units alone."""


class _Tried(NamedTuple):
    run: int
    norm: float
    size: float
    """The norm in a unit of the run."""
    reference: float
    """The run's reference norm in that unit."""


def most_tried_norm(
    results: Sequence[FoolingResult], shapes: Sequence[tuple[int, ...]]
) -> EqualNorm | None:
    """Return the norm that most runs were tried at; None where no two were tried at one.

    Of several it is the one nearest to their reference norms, of two as near the smaller. Norms are
    shares of the mean image norm; where more runs of one image shape have one in common in input
    units, it is that.

    Args:
        results: Of each run.
        shapes: Of its images.
    """
    shares = _most_tried(results, [result.mean_image_norm for result in results], _SAME_SHARE)
    in_units = (
        _most_tried(results, [float(own == shape) for own in shapes], _ROUNDING)
        for shape in dict.fromkeys(shapes)
    )
    found = max([shares, *in_units], key=lambda alike: len(_by_run(alike)))
    norms = _by_run(found)
    if len(norms) < 2:
        return None
    return EqualNorm(
        tuple(norms.get(run) for run in range(len(results))),
        found[0].size if found is shares else None,
    )


def _most_tried(
    results: Sequence[FoolingResult], units: Sequence[float], tolerance: float
) -> list[_Tried]:
    """Return the norm that most runs were tried at, as each tried it; those of unit 0 are out."""
    tried = [
        _Tried(run, rate.norm, rate.norm / unit, result.reference_norm / unit)
        for run, (result, unit) in enumerate(zip(results, units, strict=True))
        for rate in (rates_by_norm(result, SUBSPACE, False) if unit > 0 else ())
    ]
    groups = [
        [other for other in tried if isclose(other.size, one.size, rel_tol=tolerance)]
        for one in tried
    ]
    return min(groups, key=_rank, default=[])


def _rank(alike: list[_Tried]) -> tuple[int, float, float]:
    """Return how late a norm is chosen: few runs, far from their reference norms, large."""
    size = alike[0].size
    wanted = float(np.mean([log(of.reference) for of in alike]))
    return -len(_by_run(alike)), round(abs(log(size) - wanted), _DECIMALS), size


def _by_run(alike: list[_Tried]) -> dict[int, float]:
    return {of.run: of.norm for of in alike}
