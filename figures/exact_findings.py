"""What exact curvature is, and how curvature at a scale agrees with it, in sentences."""

import numpy as np

from analysis.curved_checks import CURVED
from analysis.exact_curvature import exact_agreement
from analysis.intervals import Interval
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import CurvatureResult
from boundary.sections import VALUES
from figures.curves import mean_interval, space_label
from figures.finding import Finding
from figures.formats import number, number_interval, percent

_NEARLY_ALL = 0.99


def exact_finding(result: CurvatureResult) -> Finding | None:
    """Return whether there is exact curvature, and at which scales that by values agrees."""
    curves = {curve.family: curve for curve in result.exact}
    if not curves:
        return None
    zero = float(np.concatenate([c.curvature.ravel() == 0 for c in result.exact]).mean())
    points = result.exact[0].curvature.shape[2]
    where = f"at {points} held-out nearest boundary points"
    if zero >= _NEARLY_ALL:
        sentence = (
            f"Exact curvature, by second derivatives, is zero for {percent(zero)} of the pairs of "
            f"direction and point ({where}): the boundary is piecewise linear, which is not flat, "
            "and only a scale shows how it bends."
        )
        return Finding("exact_curvature", sentence, None, {"zero": zero, "points": points})
    told, numbers = [], {}
    for family in (CURVED, SUBSPACE, SPHERE):
        if family in curves:
            (low,), (high,) = mean_interval(curves[family])
            mean, interval = float(curves[family].mean[0]), Interval(float(low), float(high))
            told.append(
                f"{number(mean)} along {space_label(family)} (95 % interval "
                f"{number_interval(interval)})"
            )
            numbers[family] = {"mean": mean, "interval": interval}
    agreement = exact_agreement(result.exact, result.curves)
    by_values = [row for row in agreement if row.estimator == VALUES]
    kept = "; ".join(
        f"{number(row.correlation)} at s = {number(row.scale)}, same sign in "
        f"{percent(row.same_sign)}"
        for row in by_values
    )
    sentence = f"Exact curvature, by second derivatives of the pair {where}: {', '.join(told)}."
    if by_values:
        sentence += (
            f" Over {by_values[0].pairs} pairs of direction and point its rank correlation with "
            f"curvature by values is {kept}."
        )
    return Finding("exact_curvature", sentence, None, numbers | {"agreement": agreement})
