"""The curves of curvature of a result: chosen, named, with their colours and intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.curvature_sweep import ANCHORS, BETWEEN, IMAGE, NEAREST, RANDOM, CurvatureCurve
from analysis.results import CurvatureResult
from boundary.sections import GRADIENTS, SECTION, VALUES
from figures.formats import SPACE, number, percent

ANCHOR_LABELS = {
    NEAREST: "nearest boundary point",
    RANDOM: "boundary in a random direction",
    BETWEEN: "boundary on the way to another image",
    IMAGE: "the image itself",
}

ESTIMATOR_LABELS = {VALUES: "values", GRADIENTS: "gradients", SECTION: "normal sections"}

_FEW = 0.01
"""A share below which exact zeros and censored sections are not told of."""

Array = NDArray[np.float64]


def curves_of(
    result: CurvatureResult,
    *,
    family: str | None = None,
    anchor: str | None = None,
    estimator: str | None = None,
    surface: str | None = None,
) -> list[CurvatureCurve]:
    """Return the curves that are what is asked for, None standing for any."""
    wanted = {"family": family, "anchor": anchor, "estimator": estimator, "surface": surface}
    asked = {name: value for name, value in wanted.items() if value is not None}
    return [
        curve
        for curve in result.curves
        if all(getattr(curve, name) == value for name, value in asked.items())
    ]


def drawn_anchors(result: CurvatureResult) -> list[str]:
    """Return the kinds of anchors that have curves, in their order."""
    found = {curve.anchor for curve in result.curves}
    return [kind for kind in ANCHORS if kind in found]


def zeros_told(curves: Sequence[CurvatureCurve]) -> str:
    """Return at which scales curvatures are exactly zero, as a sentence; empty if at none."""
    scales = curves[0].scales
    shares = np.mean([curve.zero_share for curve in curves], axis=0)
    told = [
        f"{percent(share)} at s{SPACE}={SPACE}{number(scale)}"
        for scale, share in zip(scales, shares, strict=True)
        if share >= _FEW
    ]
    if not told:
        return ""
    return f" Exactly zero, that is piecewise linear at the scale and not flat: {', '.join(told)}."


def residual_told(curves: Sequence[CurvatureCurve]) -> str:
    """Return how near to the surface the ends of sections lie, as a sentence; empty if none is."""
    found = [curve.residual for curve in curves if curve.estimator == SECTION]
    if not found:
        return ""
    return f" Ends of sections lie within {number(max(found))} input units of the surface."


def censored_told(curves: Sequence[CurvatureCurve]) -> str:
    """Return how many sections met no boundary, as a sentence; empty if nearly all did."""
    shares = [
        (float(share), scale, curve)
        for curve in curves
        for scale, share in zip(curve.scales, curve.censored.mean((1, 2)), strict=True)
    ]
    share, scale, curve = max(shares, key=lambda one: one[0])
    if share < _FEW:
        return ""
    return (
        f" Sections that met no boundary within their reach count with a bound: {percent(share)} "
        f"at most (s{SPACE}={SPACE}{number(scale)}, {ANCHOR_LABELS[curve.anchor]}, "
        f"{curve.surface})."
    )
