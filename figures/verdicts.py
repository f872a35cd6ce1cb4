"""What the test of the curvature hypothesis says: its items, verdicts and rows, in words."""

from collections.abc import Sequence
from itertools import groupby
from math import log
from typing import NamedTuple

from analysis.curvature_sweep import ANCHORS, NEAREST
from analysis.curved_checks import CURVED
from analysis.hypothesis import (
    CONTRADICTED,
    HALVES,
    NOT_SUPPORTED,
    SUPPORTED,
    HypothesisRow,
    ItemVerdict,
)
from analysis.intervals import Interval
from analysis.results import CurvatureResult
from boundary.sections import VALUES
from figures.curves import ANCHOR_LABELS, space_label, tested_surface
from figures.formats import number, number_interval, points, points_interval
from figures.rates import same_norm

ITEMS = {
    1: "S_c is curved positively, more than its rivals",
    2: "S_c is shared by most points and by two halves of the images",
    3: "S_c fools more than its rivals at equal norm",
    4: "v and −v of S_c fool alike, and the same images",
    5: "curvature predicts fooling beyond the flat model",
    6: "the S_c of another model is curved, and fools, on this one",
}

SHORT_ITEMS = {
    1: "positive curvature",
    2: "shared",
    3: "fools more",
    4: "v and −v alike",
    5: "predicts fooling",
    6: "of other models",
}

_POSITIVE = "share of points positively curved"
_HALVES = "two halves share directions"
_ROWS = {
    "mean curvature": "mean curvature along {own}",
    _POSITIVE: "share of points positively curved along {own}",
    _HALVES: "mean squared cosine of the S_c of two halves",
    "fooling rate": "fooling rate of {own}",
    "v and -v fool alike": "0.1 less the difference of the fooling rates of v and −v of {own}",
    "both fool one image": "share of images that v and −v of {own} both fool",
    "curvature predicts fooling": "rank correlation of curvature and fooling",
    "curvature predicts fooling within families": (
        "rank correlation of curvature and fooling within families"
    ),
}
_RIVALS = {
    "random subspaces": "less that of random subspaces",
    "independence": "less what independence gives",
    "another draw in place of -v": "less that with another draw in place of −v",
    "flat model": "the flat model held constant",
}
_SHARES = {_POSITIVE, "fooling rate", "v and -v fool alike", "both fool one image"}
"""Questions whose estimate is a difference of shares, told in percentage points."""


class VerdictLine(NamedTuple):
    """The verdicts of one item at one kind of anchor, by ascending scale."""

    item: int
    anchor: str
    verdicts: tuple[ItemVerdict, ...]


def verdict_lines(result: CurvatureResult) -> list[VerdictLine]:
    """Return the verdicts by item and anchor, in their order."""
    order = [*ANCHORS, HALVES, ""]

    def line(verdict: ItemVerdict) -> tuple[int, int]:
        return verdict.item, order.index(verdict.anchor)

    found = sorted(result.verdicts, key=line)
    return [
        VerdictLine(item, order[anchor], tuple(same))
        for (item, anchor), same in groupby(found, key=line)
    ]


def row_label(row: HypothesisRow) -> str:
    """Return in words what the estimate of a row is."""
    said = _ROWS.get(row.question, row.question).format(own=space_label(row.family))
    if row.rival in _RIVALS:
        return f"{said}, {_RIVALS[row.rival]}"
    if row.rival:
        kind = "of" if row.question == "fooling rate" else "along"
        return f"{said}, less that {kind} {space_label(row.rival)}"
    return f"{said}, less 1/2" if row.question == _POSITIVE else said


def row_estimate(row: HypothesisRow) -> str:
    """Return the estimate of a row as text, differences of shares in percentage points."""
    return f"{points(row.estimate)} points" if row.question in _SHARES else number(row.estimate)


def row_interval(row: HypothesisRow) -> str:
    """Return the 95 % interval of a row's estimate as text."""
    ends = Interval(row.low, row.high)
    return points_interval(ends) if row.question in _SHARES else number_interval(ends)


def interval_verdict(interval: Interval) -> str:
    """Return whether an interval supports that what it is of is positive, as a row of the test."""
    if interval.low > 0:
        return SUPPORTED
    return CONTRADICTED if interval.high < 0 else NOT_SUPPORTED


def place_label(anchor: str) -> str:
    """Return a kind of anchor in words; what has none as it is."""
    return ANCHOR_LABELS.get(anchor, anchor)


def told_rows(result: CurvatureResult, item: int) -> list[HypothesisRow]:
    """Return the few rows of an item that stand for it.

    At the nearest boundary point by values at the scale nearest to the reference norm; of fooling
    rates at the reference norm and R of S_c; what needs neither as it is.
    """
    rows = [row for row in result.rows if row.item == item]
    surface = tested_surface(result)
    curved = [
        row
        for row in rows
        if (row.anchor, row.estimator, row.surface) == (NEAREST, VALUES, surface)
    ]
    if curved:
        nearest = nearest_scale([row.scale for row in curved], result.reference_norm)
        curved = [row for row in curved if row.scale == nearest]
    fooling = [
        row
        for row in rows
        if not row.anchor
        and row.dimension == result.dimension
        and same_norm(row.scale, result.reference_norm)
    ]
    return [*curved, *(row for row in rows if row.question == _HALVES), *fooling]


def nearest_scale(scales: Sequence[float], norm: float) -> float:
    """Return the scale nearest to a norm, by their ratio."""
    return min(scales, key=lambda scale: abs(log(scale / norm)))


def sign_rows(result: CurvatureResult) -> list[HypothesisRow]:
    """Return the rows of mean curvature along S_c: every anchor, surface, estimator and scale."""
    return [row for row in result.rows if row.item == 1 and row.family == CURVED and not row.rival]
