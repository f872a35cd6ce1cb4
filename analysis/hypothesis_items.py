"""The rows of the test of the curvature hypothesis, item by item: see `analysis.hypothesis`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal
from scipy.stats import rankdata

from analysis.components import LEAST_P, Component, Uncertain, of_difference, of_mean
from analysis.curvature_sweep import CurvatureCurve
from analysis.curved_checks import CURVED
from analysis.fooling import FoolingRate
from analysis.hypothesis import HALVES, HypothesisRow, summary
from analysis.intervals import bound_of_none, percentile_interval

ALIKE = 0.1
"""Largest difference of the fooling rates of v and -v that counts as alike."""

_PERMUTATIONS = 5000

Array = NDArray[np.float64]
Outcome = Callable[[Array], Array]
"""Of curvatures, for each draw and point: a share, less what it is held against."""


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
    return _rows_of_curves(curves, family, rivals, item, "mean curvature", None, dimension, images)


def sharing_rows(
    curves: Sequence[CurvatureCurve],
    family: str,
    rivals: Sequence[str],
    *,
    dimension: int = 0,
    images: int = 0,
) -> list[HypothesisRow]:
    """Return the rows of the share of pairs of a direction and a point that are curved positively.

    It is held against 1/2, and against that of each rival.

    Args:
        curves: Of the family and the rivals, at the same points.
        family: S_c.
        rivals: Names of the families to be beaten.
        dimension: R of the family's subspace.
        images: That made it.
    """

    def above_half(curvature: Array) -> Array:
        # What is exactly straight at this scale is neither.
        return np.asarray(np.sign(curvature) / 2)

    question = "share of points positively curved"
    return _rows_of_curves(curves, family, rivals, 2, question, above_half, dimension, images)


def _rows_of_curves(
    curves: Sequence[CurvatureCurve],
    family: str,
    rivals: Sequence[str],
    item: int,
    question: str,
    share: Outcome | None,
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
            values = [
                curve.curvature[place] if share is None else share(curve.curvature[place])
                for curve in (own, *beside)
            ]
            alone = of_mean(values[0], own.sampled, shares=share is not None)
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
                **summary(alone),
            )
            rows.append(common)
            for rival, other in zip(beside, values[1:], strict=True):
                sampled = own.sampled, rival.sampled
                found = of_difference(values[0], other, sampled, shares=alone.shares)
                rows.append(replace(common, rival=rival.family, **summary(found)))
    return rows


def half_rows(
    energies: Array,
    rivals: Mapping[str, Array],
    *,
    dimension: int,
    images: int,
    scale: float,
) -> list[HypothesisRow]:
    """Return the rows of what two halves of the images share, above pairs of other subspaces.

    The p-value is that of one more pair of the null. Splits are of the same images, so that more of
    them make the mean no surer: the interval has the variance between splits (the delete-half
    jackknife, see `reach_of_halves`), at least that of the null; twice that for a single split.

    Args:
        energies: Mean squared cosine of the principal angles of the two halves' subspaces, of
            each random split, (splits,).
        rivals: The same of pairs of null subspaces, (pairs,), at least two, by the null's name.
        dimension: R.
        images: In both halves together.
        scale: At which the subspaces were made.
    """
    return [
        HypothesisRow(
            item=2,
            question="two halves share directions",
            family=CURVED,
            rival=name,
            anchor=HALVES,
            estimator="",
            surface="",
            scale=scale,
            dimension=dimension,
            images=images,
            **_above_null(energies, null, images),
        )
        for name, null in rivals.items()
    ]


def _above_null(energies: Array, null: Array, images: int) -> dict[str, Any]:
    variance = float(null.var(ddof=1))
    found = Uncertain(
        estimate=float(energies.mean() - null.mean()),
        components=(Component(variance),),
        points=images,
        deviation=sqrt(variance),
    )
    splits = len(energies)
    between = (
        Component(max(float(energies.var(ddof=1)), variance), splits - 1)
        if splits > 1
        else Component(2 * variance)
    )
    interval = replace(found, components=(between,)).interval
    return summary(found) | {"low": interval.low, "high": interval.high}


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
            apart = of_difference(
                own.fooled, other.fooled, (own.sampled, other.sampled), shares=True
            )
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
                    **summary(apart),
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
    beyond_chance = _centred_rows(one) * _centred_rows(other)
    strangers = one * (other.sum(0) - other) / (len(other) - 1)
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
        **_alike(one - other, ahead.sampled),
    )
    rows = [common]
    for question, rival, outcomes in (
        ("both fool one image", "independence", beyond_chance),
        ("both fool one image", "another draw in place of -v", one * other - strangers),
    ):
        found = of_mean(outcomes, ahead.sampled, shares=True)
        rows.append(replace(common, question=question, rival=rival, **summary(found)))
    return rows


def _centred_rows(outcomes: Array) -> Array:
    return np.asarray(outcomes - outcomes.mean(1, keepdims=True))


def _alike(apart: Array, sampled: bool) -> dict[str, Any]:
    """Return by how much the root mean square difference of two rates is below `ALIKE`.

    The part of the squares that the choice of images makes is taken off. Where hardly any image
    tells the two apart, a difference of `ALIKE` may have gone unseen in all of them.

    Args:
        apart: Outcomes of one less those of the other, (draws, images).
        sampled: Whether draws are a sample of more.
    """
    images = apart.shape[1]
    gap = apart.mean(1, keepdims=True)
    noise = apart.var(1, ddof=1, keepdims=True) / images if images > 1 else 0.0
    # First order in each image; means over the images are the squares.
    squares = of_mean(gap**2 - noise + 2 * gap * (apart - gap) - ALIKE**2, sampled)
    of_rates = [
        ALIKE - sqrt(max(square + ALIKE**2, 0.0))
        for square in (squares.estimate, squares.interval.high, squares.interval.low)
    ]
    estimate, low, high = of_rates
    unseen = min(1.0, 2 * (1 - ALIKE) ** images) if estimate > 0 else 0.0
    return {
        "estimate": estimate,
        "low": min(low, ALIKE - bound_of_none(images)),
        "high": high,
        "effect": estimate / ALIKE,
        "p": max(squares.p, unseen),
        "n": images,
    }


def correlation_rows(
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
        estimate = float(_partial(*ranks))
        generator = np.random.default_rng(seed)
        shuffled = np.array([_within(groups, generator) for _ in range(_PERMUTATIONS)])
        chance = _partial(ranks[0][shuffled], ranks[1], ranks[2])
        chosen = generator.integers(len(names), size=(1000, len(names)))
        interval = percentile_interval(_partial(*(part[chosen] for part in ranks)))
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
                p=_normal_p(estimate, float(chance.std())),
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


def _partial(one: Array, other: Array, held: Array) -> Array:
    """Return correlations of centred arrays with a third held constant, (..., n) to (...)."""

    def correlation(a: Array, b: Array) -> Array:
        lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
        return np.asarray((a * b).sum(-1) / np.maximum(lengths, 1e-300))

    with_one, with_other = correlation(one, held), correlation(other, held)
    below = (1 - with_one**2) * (1 - with_other**2)
    above = correlation(one, other) - with_one * with_other
    return np.where(below > 1e-12, above / np.sqrt(np.maximum(below, 1e-12)), 0.0)


def _normal_p(estimate: float, error: float) -> float:
    """Return the two-sided normal p-value of an estimate with its standard error."""
    if error == 0:
        return 1.0 if estimate == 0 else LEAST_P
    return float(max(2 * normal.sf(abs(estimate) / error), LEAST_P))
