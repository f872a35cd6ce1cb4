"""The rows of the report's tables of curvature, for the page and for ``numbers.json``."""

from dataclasses import dataclass
from typing import Any

from analysis.curvature_sweep import NEAREST, CurvatureCurve
from analysis.curved_checks import REFERENCE, CurvedSubspace
from analysis.exact_curvature import exact_agreement
from analysis.hypothesis import HALVES, HypothesisRow
from analysis.intervals import Interval, bootstrap_means, percentile_interval
from analysis.results import CurvatureResult
from figures.curves import mean_interval, space_label
from figures.geometry_tables import geometry_numbers


@dataclass(frozen=True)
class CurvedRow:
    """S_c by one method."""

    label: str
    method: str
    scale: float
    surface: str
    images: int
    """n that made it."""
    own: float | None
    """Mean curvature in the sample; None for the reference mode, whose values are of another
    unit."""
    held_out: float
    """Mean curvature at held-out points."""
    interval: Interval
    points: int
    starts: float | None
    """Mean squared cosine of two random starts; None where it was not taken."""
    halves: float | None
    asymmetry: float
    additivity: float
    residual: float
    """Largest of its directions."""
    gradients: int


def curved_rows(result: CurvatureResult) -> tuple[CurvedRow, ...]:
    """Return S_c by every method, the one that is tested first."""
    return tuple(_curved_row(subspace) for subspace in result.subspaces)


def _curved_row(subspace: CurvedSubspace) -> CurvedRow:
    reference = subspace.method == REFERENCE
    return CurvedRow(
        label=space_label(subspace.family),
        method=subspace.method,
        scale=subspace.scale,
        surface=subspace.surface,
        images=subspace.images,
        own=None if reference else float(subspace.values.mean()),
        held_out=float(subspace.held_out.mean()),
        interval=held_out_interval(subspace),
        points=len(subspace.held_out),
        starts=None if reference else subspace.starts,
        halves=None if reference else subspace.shared_by_halves,
        asymmetry=subspace.asymmetry,
        additivity=subspace.additivity,
        residual=float(subspace.residual.max()),
        gradients=subspace.gradients,
    )


def held_out_interval(subspace: CurvedSubspace) -> Interval:
    """Return the 95 % interval of the mean curvature at held-out points, over the points."""
    return percentile_interval(bootstrap_means(subspace.held_out.mean(1)[:, None]))


def rows_of_test(result: CurvatureResult, *, nearest: bool) -> tuple[HypothesisRow, ...]:
    """Return the rows of the test: at the nearest boundary point and of no anchor, or the rest."""
    near = {NEAREST, HALVES, ""}
    return tuple(row for row in result.rows if (row.anchor in near) == nearest)


def _curve_numbers(curve: CurvatureCurve) -> dict[str, Any]:
    low, high = mean_interval(curve)
    return {
        "family": curve.family,
        "anchor": curve.anchor,
        "estimator": curve.estimator,
        "surface": curve.surface,
        "draws": curve.curvature.shape[1],
        "points": curve.curvature.shape[2],
        "scales": curve.scales.tolist(),
        "mean": curve.mean.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "positive_share": curve.positive_share.tolist(),
        "zero_share": curve.zero_share.tolist(),
        "censored_share": curve.censored.mean((1, 2)).tolist(),
    }


def curvature_numbers(result: CurvatureResult) -> dict[str, Any]:
    """Return everything that the section of curvature and its figures are made of."""
    return {
        "subspaces": curved_rows(result),
        "verdicts": result.verdicts,
        "rows": result.rows,
        "curves": [*map(_curve_numbers, result.curves)],
        "exact": [*map(_curve_numbers, result.exact)],
        "exact_agreement": exact_agreement(result.exact, result.curves),
        "anchors": dict(zip(result.anchor_kinds, map(int, result.met), strict=True)),
        "tried": result.tried,
        "dimension": result.dimension,
        "scale": result.scale,
        "reference_norm": result.reference_norm,
        "median_margin": result.median_margin,
        "seed": result.seed,
        **geometry_numbers(result),
    }
