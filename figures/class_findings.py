"""Whether what bends the boundary of one class bends that of others, in a sentence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.curved_classes import ClassCurvature
from analysis.intervals import Estimate, bootstrap_means, percentile_interval
from analysis.results import CurvatureResult
from figures.curved_classes import count_range, shared_between
from figures.curves import tested_surface
from figures.finding import Finding
from figures.formats import number, number_interval
from figures.verdicts import interval_verdict

Array = NDArray[np.float64]


class OwnAgainstOthers(NamedTuple):
    """Mean curvature at the held-out points whose class has an S_c of its own."""

    own: Estimate
    """Along the S_c of the point's class, 1 / input units."""
    others: Estimate
    """Along those of the other classes."""
    pooled: Estimate
    """Along that of all classes together."""
    difference: Estimate
    """Own less others, in pairs over the points."""


def class_findings(result: CurvatureResult) -> list[Finding]:
    """Return what S_c of single classes are, where two classes or more have one."""
    return [
        _of_classes(result, curved)
        for curved in result.classes
        if len(curved.classes) > 1 and np.isin(curved.sources, curved.classes).any()
    ]


def own_against_others(curved: ClassCurvature) -> OwnAgainstOthers:
    """Return mean curvature along own, other and pooled directions, bootstrap over points."""
    of_class = curved.sources[:, None] == curved.classes
    judged = of_class.any(1)
    own = curved.held_out[of_class]  # one class a point
    others = (curved.held_out[judged].sum(1) - own) / (len(curved.classes) - 1)
    columns = np.column_stack([own, others, curved.pooled[judged], own - others])
    resampled = bootstrap_means(columns)
    return OwnAgainstOthers(
        *(
            Estimate(float(column.mean()), percentile_interval(means))
            for column, means in zip(columns.T, resampled.T, strict=True)
        )
    )


def _of_classes(result: CurvatureResult, curved: ClassCurvature) -> Finding:
    """Return whether a class's own directions are more curved at it than those of others."""
    found = own_against_others(curved)
    points = int(np.isin(curved.sources, curved.classes).sum())
    shared = shared_between(curved)
    chance = result.dimension / result.ambient_dimension
    difference = found.difference
    sentence = (
        f"S_c of each of {len(curved.classes)} classes alone, R = {result.dimension}, each by "
        f"ascent from {count_range(curved.images)} images: at {points} held-out "
        f"nearest boundary points of these classes mean curvature is {_told(found.own)} along the "
        f"S_c of the point's own class, {_told(found.others)} along those of the others and "
        f"{_told(found.pooled)} along that of all classes together (gradients at "
        f"{number(result.scale)}, {tested_surface(result)}; 95 % intervals, over points). That the "
        f"boundary of a class bends more along its own directions is "
        f"{interval_verdict(difference.interval)}: own less others is {_told(difference)}. The S_c "
        f"of two classes share {number(float(shared.mean()))} on average, "
        f"{number(float(shared.min()))} to {number(float(shared.max()))} (mean squared cosine), "
        f"against R/D = {number(chance)}."
    )
    numbers = {
        **found._asdict(),
        "points": points,
        "classes": len(curved.classes),
        "shared": float(shared.mean()),
        "chance": chance,
    }
    return Finding("curved_classes", sentence, difference.interval.low > 0, numbers)


def _told(estimate: Estimate) -> str:
    return f"{number(estimate.value)} ({number_interval(estimate.interval)})"
