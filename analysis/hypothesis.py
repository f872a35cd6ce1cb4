"""The test of the curvature hypothesis, item by item, on images that made no subspace.

The hypothesis (ICLR 2018): there is a subspace, shared by most images, along which the decision
boundary is positively curved, so that almost any vector of it fools. Its items:

1. mean curvature along S_c is positive, and larger than along random tangent directions, S_f and
   spectrum-matched noise;
2. it is shared: most points are positively curved along a direction of S_c, more than along random
   ones, and two halves of the images make the same subspace;
3. at equal norm random vectors of S_c fool more than those of S_f, of spectrum-matched noise and of
   the sphere;
4. v and -v fool alike, and the same image more often than independent vectors would have it;
5. over directions, curvature predicts fooling beyond what the flat model does;
6. what is curved on one model is curved, and fools, on another.

Every row is one number with its interval, effect size and p-value; p-values are corrected for the
number of rows (Holm 1979). A row supports the hypothesis where its corrected p-value is below 5 %
and its sign is the one that the hypothesis says, and contradicts it where the sign is the other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import rankdata

from analysis.curvature_sweep import NEAREST, CurvatureCurve
from analysis.fooling import FoolingRate
from analysis.intervals import percentile_interval, two_way_bootstrap
from boundary.anchors import REGION

SUPPORTED, NOT_SUPPORTED, CONTRADICTED = "supported", "not supported", "contradicted"
CORRECTED = 0.05
"""Corrected p-value below which a row decides."""

ALIKE = 0.1
"""Largest difference of the fooling rates of v and -v that counts as alike."""

_PERMUTATIONS = 5000
_LEAST_P = 1e-300

Array = NDArray[np.float64]
Outcome = Callable[[Array], Array]
"""Of curvatures, for each draw and point."""


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

    Args:
        rows: Corrected.
        surface: Rows of the other surface are left out; those of none are kept.
    """

    def place(row: HypothesisRow) -> tuple[int, str, float]:
        return row.item, row.anchor, row.scale

    kept = sorted((row for row in rows if row.surface in {"", surface}), key=place)
    return tuple(_together(*key, list(same)) for key, same in groupby(kept, key=place))


def _together(item: int, anchor: str, scale: float, rows: list[HypothesisRow]) -> ItemVerdict:
    found = [row.verdict for row in rows]
    supporting, contradicting = found.count(SUPPORTED), found.count(CONTRADICTED)
    verdict = NOT_SUPPORTED
    if supporting == len(rows):
        verdict = SUPPORTED
    elif contradicting and not supporting:
        verdict = CONTRADICTED
    return ItemVerdict(item, anchor, scale, verdict, supporting, contradicting, len(rows))


def curvature_rows(
    curves: Sequence[CurvatureCurve],
    family: str,
    rivals: Sequence[str],
    *,
    item: int = 1,
    dimension: int = 0,
    images: int = 0,
) -> list[HypothesisRow]:
    """Return the rows of mean curvature along a family: above 0, and above each rival, in pairs.

    Args:
        curves: Of the family and the rivals, at the same points.
        family: S_c, or that of another model (item 6).
        rivals: Names of the families to be beaten.
        item: 1, or 6.
        dimension: R of the family's subspace.
        images: That made it.
    """
    return _rows_of_curves(
        curves, family, rivals, item, "mean curvature", lambda c: c, 0.0, dimension, images
    )


def sharing_rows(
    curves: Sequence[CurvatureCurve],
    family: str,
    rivals: Sequence[str],
    *,
    dimension: int = 0,
    images: int = 0,
) -> list[HypothesisRow]:
    """Return the rows of the share of points curved positively: above 1/2, and above rivals'.

    Args:
        curves: Of the family and the rivals, at the same points.
        family: S_c.
        rivals: Names of the families to be beaten.
        dimension: R of the family's subspace.
        images: That made it.
    """

    def positive(curvature: Array) -> Array:
        # What is exactly straight at this scale is neither.
        return np.asarray((np.sign(curvature) + 1) / 2)

    question = "share of points positively curved"
    return _rows_of_curves(curves, family, rivals, 2, question, positive, 0.5, dimension, images)


def _rows_of_curves(
    curves: Sequence[CurvatureCurve],
    family: str,
    rivals: Sequence[str],
    item: int,
    question: str,
    outcome: Outcome,
    threshold: float,
    dimension: int,
    images: int,
) -> list[HypothesisRow]:
    known = {(c.family, c.anchor, c.estimator, c.surface): c for c in curves}
    rows = []
    for own in (curve for curve in curves if curve.family == family):
        beside = [
            known[rival, own.anchor, own.estimator, own.surface]
            for rival in rivals
            if (rival, own.anchor, own.estimator, own.surface) in known
        ]
        for place, scale in enumerate(own.scales):
            values = [outcome(curve.curvature[place]) for curve in (own, *beside)]
            samples = two_way_bootstrap(
                *values, sampled=[curve.sampled for curve in (own, *beside)]
            )
            common = HypothesisRow(
                item=item,
                question=question,
                family=family,
                rival="",
                anchor=own.anchor,
                estimator=own.estimator,
                surface=own.surface,
                scale=float(scale),
                dimension=dimension,
                images=images,
                **_summary(values[0] - threshold, samples[0] - threshold),
            )
            rows.append(common)
            for rival, other, sample in zip(beside, values[1:], samples[1:], strict=True):
                apart = values[0].mean(0) - other.mean(0)
                found = _summary(apart[None], samples[0] - sample)
                rows.append(replace(common, rival=rival.family, **found))
    return rows


def _summary(outcomes: Array, samples: Array) -> dict[str, Any]:
    """Return what a row says of outcomes, (draws, points), and of their resampled means."""
    estimate, interval = float(outcomes.mean()), percentile_interval(samples)
    by_point = outcomes.mean(0)
    spread = float(by_point.std(ddof=1)) if len(by_point) > 1 else 0.0
    return {
        "estimate": estimate,
        "low": interval.low,
        "high": interval.high,
        "effect": estimate / spread if spread > 0 else 0.0,
        "p": _p_value(estimate, float(samples.std())),
        "n": len(by_point),
    }


def _p_value(estimate: float, error: float) -> float:
    """Return the two-sided normal p-value of an estimate with its standard error."""
    if error == 0:
        return 1.0 if estimate == 0 else _LEAST_P
    return float(max(2 * normal.sf(abs(estimate) / error), _LEAST_P))


def half_rows(
    energy: float, random: Array, *, dimension: int, images: int, scale: float
) -> list[HypothesisRow]:
    """Return the row of what two halves of the images share, above random subspaces.

    Args:
        energy: Mean squared cosine of the principal angles of the two halves' subspaces.
        random: The same of pairs of random subspaces, (pairs,).
        dimension: R.
        images: In both halves together.
        scale: At which the subspaces were made.
    """
    spread = float(random.std(ddof=1))
    above = energy - float(random.mean())
    return [
        HypothesisRow(
            item=2,
            question="two halves share directions",
            family="curved",
            rival="random subspaces",
            anchor=NEAREST,
            estimator="",
            surface="",
            scale=scale,
            dimension=dimension,
            images=images,
            estimate=above,
            low=above - float(normal.ppf(0.975)) * spread,
            high=above + float(normal.ppf(0.975)) * spread,
            effect=above / spread if spread > 0 else 0.0,
            p=_p_value(above, spread),
            n=images,
        )
    ]


def fooling_rows(
    rates: Sequence[FoolingRate],
    family: str,
    rivals: Sequence[str],
    *,
    item: int = 3,
    images: int = 0,
) -> list[HypothesisRow]:
    """Return the rows of fooling rates above those of rivals at the same norm, in pairs.

    Args:
        rates: On the same images; a family at several norms and dimensions has several.
        family: S_c, or that of another model (item 6).
        rivals: Names; of a subspace those of the same dimension are taken, of the sphere its own.
        item: 3, or 6.
        images: That made the subspace.
    """
    rows = []
    for own in (rate for rate in rates if rate.family == family and not rate.clipped):
        for rival in rivals:
            other = _beside(rates, own, rival)
            if other is None:
                continue
            samples = two_way_bootstrap(
                own.fooled, other.fooled, sampled=[own.sampled, other.sampled]
            )
            apart = own.fooled.mean(0) - other.fooled.mean(0)
            rows.append(
                HypothesisRow(
                    item=item,
                    question="fooling rate",
                    family=family,
                    rival=rival,
                    anchor="",
                    estimator="",
                    surface="",
                    scale=own.norm,
                    dimension=own.subspace_dimension,
                    images=images,
                    **_summary(apart[None], samples[0] - samples[1]),
                )
            )
    return rows


def _beside(rates: Sequence[FoolingRate], own: FoolingRate, rival: str) -> FoolingRate | None:
    same = [
        rate
        for rate in rates
        if rate.family == rival and not rate.clipped and np.isclose(rate.norm, own.norm)
    ]
    exact = [rate for rate in same if rate.subspace_dimension == own.subspace_dimension]
    alone = same if len({rate.subspace_dimension for rate in same}) == 1 else []
    return next(iter(exact or alone), None)


def mirror_rows(ahead: FoolingRate, behind: FoolingRate, *, images: int = 0) -> list[HypothesisRow]:
    """Return the rows of item 4: v and -v fool alike, and fool the same images.

    That two vectors fool the same images more often than independence has it is true of any two, as
    some images are easily fooled; so -v is also held against the other draws of the family.

    Args:
        ahead: Of v, at least two draws.
        behind: Of -v, the same draws on the same images.
        images: That made the subspace.
    """
    one, other = ahead.fooled.astype(float), behind.fooled.astype(float)
    draws = len(one)
    both = one * other
    alone = one.mean(1, keepdims=True) * other.mean(1, keepdims=True)
    strangers = one * (other.sum(0) - other) / (draws - 1)
    gap = one.mean(1) - other.mean(1)
    noise = (one - other).var(1, ddof=1) / one.shape[1]
    common = HypothesisRow(
        item=4,
        question="v and -v fool alike",
        family=ahead.family,
        rival="",
        anchor="",
        estimator="",
        surface="",
        scale=ahead.norm,
        dimension=ahead.subspace_dimension,
        images=images,
        **_alike(gap, noise),
    )
    rows = [common]
    for question, rival, outcomes in (
        ("both fool one image", "independence", both - alone),
        ("both fool one image", "another draw in place of -v", both - strangers),
    ):
        found = _summary(outcomes, two_way_bootstrap(outcomes)[0])
        rows.append(replace(common, question=question, rival=rival, **found))
    return rows


def _alike(gap: Array, noise: Array) -> dict[str, Any]:
    """Return by how much the root mean square difference of two rates is below `ALIKE`.

    The part of the difference that the choice of images makes is taken off.
    """
    generator = np.random.default_rng(0)
    squares = gap**2 - noise
    chosen = generator.integers(len(gap), size=(2000, len(gap)))
    samples = ALIKE - np.sqrt(squares[chosen].mean(1).clip(min=0))
    estimate = ALIKE - float(np.sqrt(max(squares.mean(), 0.0)))
    interval = percentile_interval(samples)
    error = max(float(samples.std()), float(np.sqrt(noise.mean() / len(gap))))
    return {
        "estimate": estimate,
        "low": interval.low,
        "high": interval.high,
        "effect": estimate / ALIKE,
        "p": _p_value(estimate, error),
        "n": len(gap),
    }


def prediction_rows(
    curvature: Array,
    fooled: Array,
    flat: Array,
    families: Sequence[str],
    *,
    anchor: str,
    estimator: str,
    surface: str,
    scale: float,
    seed: int = 0,
) -> list[HypothesisRow]:
    """Return the rows of item 5: rank correlation of curvature and fooling, the flat model aside.

    Over all directions, and within families, whose means are then taken off the ranks: two
    families may differ in both for any reason. p-values come from permutations of the curvatures,
    within families in the second case; curvature and fooling should be of different images.

    Args:
        curvature: Mean along each direction, (directions,).
        fooled: Fooling rate of each, (directions,).
        flat: What the flat model predicts for each, (directions,).
        families: Of each direction.
        anchor: Where curvature was measured.
        estimator: By which estimator.
        surface: On which surface.
        scale: At which scale.
        seed: Of the permutations.
    """
    names = np.asarray(families)
    rows = []
    for question, groups in (
        ("curvature predicts fooling", np.zeros(len(names), dtype=int)),
        ("curvature predicts fooling within families", np.unique(names, return_inverse=True)[1]),
    ):
        ranks = [_centred(rankdata(part), groups) for part in (curvature, fooled, flat)]
        estimate = _partial(*ranks)
        generator = np.random.default_rng(seed)
        shuffled = [
            _partial(ranks[0][_within(groups, generator)], ranks[1], ranks[2])
            for _ in range(_PERMUTATIONS)
        ]
        chosen = generator.integers(len(names), size=(1000, len(names)))
        samples = [_partial(*(part[places] for part in ranks)) for places in chosen]
        interval = percentile_interval(samples)
        rows.append(
            HypothesisRow(
                item=5,
                question=question,
                family="all",
                rival="flat model",
                anchor=anchor,
                estimator=estimator,
                surface=surface,
                scale=scale,
                dimension=0,
                images=0,
                estimate=estimate,
                low=interval.low,
                high=interval.high,
                effect=estimate,
                p=_p_value(estimate, float(np.std(shuffled))),
                n=len(names),
            )
        )
    return rows


def _centred(ranks: Array, groups: NDArray[np.int_]) -> Array:
    """Return ranks without the means of their groups."""
    sums = np.bincount(groups, weights=ranks)
    return np.asarray(ranks - (sums / np.bincount(groups))[groups])


def _within(groups: NDArray[np.int_], generator: np.random.Generator) -> NDArray[np.intp]:
    """Return places in a random order inside each group."""
    places = np.arange(len(groups))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        places[members] = generator.permutation(members)
    return places


def _partial(one: Array, other: Array, held: Array) -> float:
    """Return the correlation of two centred rows with a third held constant."""
    stacked = np.stack([one, other, held])
    lengths = np.linalg.norm(stacked, axis=1)
    r = (stacked @ stacked.T) / np.maximum(np.outer(lengths, lengths), 1e-300)
    below = (1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2)
    return float((r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt(below)) if below > 1e-12 else 0.0
