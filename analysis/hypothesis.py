"""The test of the curvature hypothesis, item by item, on images that made no subspace.

The hypothesis (ICLR 2018): there is a subspace, shared by most images, along which the decision
boundary is positively curved, so that almost any vector of it fools. Its items:

1. mean curvature along S_c is positive, and larger than along random tangent directions, S_f and
   spectrum-matched noise;
2. it is shared: most pairs of a direction of S_c and a point are positively curved, more than of
   random directions, and two halves of the images make the same subspace;
3. at equal norm random vectors of S_c fool more than those of S_f, of spectrum-matched noise and of
   the sphere;
4. v and -v fool alike, and the same image more often than independent vectors would have it;
5. over directions, curvature predicts fooling beyond what the flat model does;
6. what is curved on one model is curved, and fools, on another.

Every row is one number with its interval, effect size and p-value. Draws of directions and points
are both samples: intervals and p-values of means over them are Student's, from variance components
(`analysis.components`). Shares of which nothing varies have the bounds of n equal outcomes. Item 5
has permutations and a bootstrap over directions, and the halves of item 2 their own spread.

p-values are corrected for the number of rows (Holm 1979). A row supports the hypothesis where its
corrected p-value is below 5 % and its sign is the one that the hypothesis says, and contradicts it
where the sign is the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from analysis.components import Uncertain
from boundary.anchors import REGION

SUPPORTED, NOT_SUPPORTED, CONTRADICTED = "supported", "not supported", "contradicted"
CORRECTED = 0.05
"""Corrected p-value below which a row decides."""

HALVES = "two halves"
"""In place of an anchor: of what two halves of the images share."""

OTHER_MODELS = 6
"""The item whose families are S_c of other runs, each with its own R and number of images."""


@dataclass(frozen=True)
class HypothesisRow:
    """One number of the test. What it was measured at is empty, or 0, where it means nothing."""

    item: int
    """1 to 6."""
    question: str
    family: str
    rival: str
    anchor: str
    estimator: str
    surface: str
    scale: float
    """s, or the norm of perturbations, input units."""
    dimension: int
    """R of the subspace."""
    images: int
    """Images that made it."""
    estimate: float
    """Positive where the hypothesis is right."""
    low: float
    """End of the 95 % interval."""
    high: float
    effect: float
    """Estimate over the standard deviation between points."""
    p: float
    """Two-sided, of the estimate being 0."""
    n: int
    """Points, images or directions."""
    corrected: float = 1.0
    """p, corrected for all rows of the test."""

    @property
    def verdict(self) -> str:
        """Whether the row supports the hypothesis, contradicts it, or neither."""
        if self.corrected >= CORRECTED:
            return NOT_SUPPORTED
        return SUPPORTED if self.estimate > 0 else CONTRADICTED


@dataclass(frozen=True)
class ItemVerdict:
    """What the rows of one item say together at one anchor and scale."""

    item: int
    anchor: str
    scale: float
    verdict: str
    """Supported where every row supports, contradicted where some contradict and none supports."""
    supporting: int
    contradicting: int
    rows: int


def corrected_rows(rows: Sequence[HypothesisRow]) -> tuple[HypothesisRow, ...]:
    """Return the rows with p-values corrected for their number (Holm 1979)."""
    order = np.argsort([row.p for row in rows], kind="stable")
    corrected, largest = np.empty(len(rows)), 0.0
    for place, row in enumerate(order):
        largest = max(largest, min(1.0, (len(rows) - place) * rows[row].p))
        corrected[row] = largest
    return tuple(replace(row, corrected=float(p)) for row, p in zip(rows, corrected, strict=True))


def item_verdicts(rows: Iterable[HypothesisRow], surface: str = REGION) -> tuple[ItemVerdict, ...]:
    """Return the verdict of each item at each anchor and scale, over estimators and rivals.

    It is of the largest subspace, and of that from most images: rows of smaller ones show how an
    answer depends on them, and are left out. S_c of other models are each their own measure.

    Args:
        rows: Corrected.
        surface: Rows of the other surface are left out; those of none are kept.
    """
    kept = sorted(_of_largest([row for row in rows if row.surface in {"", surface}]), key=_place)
    return tuple(_together(*key, list(same)) for key, same in groupby(kept, key=_place))


def _of_largest(rows: list[HypothesisRow]) -> list[HypothesisRow]:
    """Return rows of the largest dimension and most images, and of those that have neither."""

    def tested(row: HypothesisRow) -> tuple[int, str]:
        # In other items S_c of fewer images are families too, and smaller ones of the same.
        return row.item, row.family if row.item == OTHER_MODELS else ""

    dimension: dict[tuple[int, str], int] = defaultdict(int)
    images: dict[tuple[int, str], int] = defaultdict(int)
    for row in rows:
        dimension[tested(row)] = max(dimension[tested(row)], row.dimension)
        images[tested(row)] = max(images[tested(row)], row.images)
    return [
        row
        for row in rows
        if row.dimension in {0, dimension[tested(row)]} and row.images in {0, images[tested(row)]}
    ]


def _place(row: HypothesisRow) -> tuple[int, str, float]:
    return row.item, row.anchor, row.scale


def _together(item: int, anchor: str, scale: float, rows: list[HypothesisRow]) -> ItemVerdict:
    found = [row.verdict for row in rows]
    supporting, contradicting = found.count(SUPPORTED), found.count(CONTRADICTED)
    verdict = NOT_SUPPORTED
    if supporting == len(rows):
        verdict = SUPPORTED
    elif contradicting and not supporting:
        verdict = CONTRADICTED
    return ItemVerdict(item, anchor, scale, verdict, supporting, contradicting, len(rows))


def summary(found: Uncertain) -> dict[str, Any]:
    """Return what a row says of an estimate."""
    interval = found.interval
    return {
        "estimate": found.estimate,
        "low": interval.low,
        "high": interval.high,
        "effect": found.effect,
        "p": found.p,
        "n": found.points,
    }
