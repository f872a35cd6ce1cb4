"""The curved subspace, its curvature, and what the test of the hypothesis says, in sentences."""

from collections.abc import Callable, Sequence
from itertools import combinations, groupby
from typing import Any, NamedTuple

import numpy as np

from analysis.curvature_sweep import NEAREST
from analysis.curved_checks import (
    ASCENT,
    CURVED,
    EIGENVECTORS,
    FLATTEST,
    NEGATIVE,
    REFERENCE,
    CurvedSubspace,
)
from analysis.fooling import FoolingRate
from analysis.hypothesis import (
    CONTRADICTED,
    HALVES,
    NOT_SUPPORTED,
    SUPPORTED,
    HypothesisRow,
    ItemVerdict,
)
from analysis.intervals import Interval
from analysis.perturbations import SPHERE
from analysis.results import CurvatureResult
from figures.class_findings import class_findings
from figures.curvature_tables import held_out_interval
from figures.curves import space_label
from figures.exact_findings import exact_finding
from figures.finding import Finding
from figures.formats import number, number_interval, percent, percent_interval
from figures.geometry_findings import geometry_findings
from figures.rates import same_norm
from figures.verdicts import (
    ITEMS,
    interval_verdict,
    place_label,
    row_estimate,
    row_interval,
    row_label,
    sign_rows,
    told_rows,
)


def curvature_findings(result: CurvatureResult) -> list[Finding]:
    """Return what S_c is, how it fools, the verdict of every item, and what geometry predicts."""
    found = [_of_subspace(result, subspace) for subspace in result.subspaces]
    found += class_findings(result)
    found += [finding for item in ITEMS if (finding := _of_item(result, item))]
    found += filter(None, (_of_signs(result), _of_fooling(result)))
    return [*found, *filter(None, (exact_finding(result),)), *geometry_findings(result)]


def _of_subspace(result: CurvatureResult, subspace: CurvedSubspace) -> Finding:
    if subspace.method in {NEGATIVE, FLATTEST}:
        return _of_other_end(result, subspace)
    interval = held_out_interval(subspace)
    said = {ASCENT: _ascent, EIGENVECTORS: _eigenvectors, REFERENCE: _reference}
    made, checks = said.get(subspace.method, _ascent)(result, subspace)
    sentence = (
        f"{space_label(subspace.family)}, R = {result.dimension}, made from {subspace.images} "
        f"images {made[0]}; {_beyond(result, subspace, interval)}: that the boundary bends towards "
        f"images that had no part in it is {interval_verdict(interval)}."
    )
    numbers = _held_out_numbers(subspace, interval) | checks
    return Finding(_name(subspace.method), sentence, interval.low > 0, numbers, made[1])


def _of_other_end(result: CurvatureResult, subspace: CurvedSubspace) -> Finding:
    """Return what the negative or the flattest end of the spectrum keeps on other images."""
    interval = held_out_interval(subspace)
    own = float(subspace.values.mean())
    claim: str
    present: bool | None
    if subspace.method == NEGATIVE:
        away = interval_verdict(Interval(-interval.high, -interval.low))
        claim = f": that the boundary bends away from images that had no part in them is {away}"
        present = interval.high < 0
    else:
        zero = interval.low <= 0 <= interval.high
        claim = f", which {'does not surely differ' if zero else 'differs'} from 0"
        present = None
    sentence = (
        f"Along the {space_label(subspace.family)} of the same operator (R = {result.dimension}) "
        f"mean curvature is {number(own)} in the sample; "
        f"{_beyond(result, subspace, interval)}{claim}."
    )
    numbers = _held_out_numbers(subspace, interval) | {"own": own, **_shared(result, subspace)}
    return Finding(_name(subspace.method), sentence, present, numbers)


def _beyond(result: CurvatureResult, subspace: CurvedSubspace, interval: Interval) -> str:
    return (
        f"at {len(subspace.held_out)} held-out nearest boundary points it is "
        f"{number(float(subspace.held_out.mean()))} (95 % interval {number_interval(interval)}; "
        f"gradients at {number(result.scale)}, {result.subspaces[0].surface})"
    )


def _held_out_numbers(subspace: CurvedSubspace, interval: Interval) -> dict[str, Any]:
    return {
        "scale": subspace.scale,
        "images": subspace.images,
        "held_out": float(subspace.held_out.mean()),
        "interval": interval,
        "points": len(subspace.held_out),
    }


def _name(method: str) -> str:
    return "curved" if method == ASCENT else f"curved_{method.replace(' ', '_')}"


_Said = tuple[tuple[str, str], dict[str, Any]]
"""How a subspace was made, what is told of it afterwards, and the numbers in both."""


def _ascent(result: CurvatureResult, subspace: CurvedSubspace) -> _Said:
    own = float(subspace.values.mean())
    made = (
        f"by ascent at the scale {number(subspace.scale)} on the surface of the "
        f"{subspace.surface}, has mean curvature {number(own)} in the sample"
    )
    return (made, _stability(result, subspace)), {"own": own, **_shared(result, subspace)}


def _eigenvectors(result: CurvatureResult, subspace: CurvedSubspace) -> _Said:
    own = float(subspace.values.mean())
    made = (
        f"as leading eigenvectors of the mean shape operator at the scale "
        f"{number(subspace.scale)}, {subspace.surface}, has mean curvature {number(own)} in the "
        "sample"
    )
    after = (
        f"{_stability(result, subspace)} At that scale the operator has asymmetry "
        f"{number(subspace.asymmetry)} and fails to be additive by {number(subspace.additivity)}: "
        "were it linear and symmetric, both would be 0."
    )
    numbers = {
        "own": own,
        "asymmetry": subspace.asymmetry,
        "additivity": subspace.additivity,
        **_shared(result, subspace),
    }
    return (made, after), numbers


def _reference(result: CurvatureResult, subspace: CurvedSubspace) -> _Said:
    own = float(subspace.values.mean())
    made = (
        f"by the recipe of the 2018 authors (0.8 of the way, step {number(subspace.scale)}, "
        f"{subspace.surface}, neither projected nor over the slope), has mean eigenvalue "
        f"{number(own)} logits / input units² in the sample"
    )
    after = (
        f"Its operator has asymmetry {number(subspace.asymmetry)} and fails to be additive by "
        f"{number(subspace.additivity)}."
    )
    numbers = {
        "own_logits": own,
        "asymmetry": subspace.asymmetry,
        "additivity": subspace.additivity,
    }
    return (made, after), numbers


def _stability(result: CurvatureResult, subspace: CurvedSubspace) -> str:
    chance = result.dimension / result.ambient_dimension
    return (
        f"Two starts share {number(subspace.starts)} and two halves of the images "
        f"{number(subspace.shared_by_halves)} (mean squared cosine; with random phases "
        f"{number(subspace.shared_by_phases)}), against R/D = {number(chance)}."
        f"{_of_lesser_halves(subspace)}"
    )


def _of_lesser_halves(subspace: CurvedSubspace) -> str:
    """Return a sentence on splits of which one half found far less curvature than the other."""
    low, high = subspace.halves_own.min(1), subspace.halves_own.max(1)
    lesser = low < high / 2
    if not lesser.any():
        return ""
    place = int((high - low).argmax())
    return (
        f" In {lesser.sum()} of {len(low)} splits one half's directions have less than half the "
        f"curvature of the other's in their samples ({number(low[place])} against "
        f"{number(high[place])}): there the halves differ by what was found, and not only by what "
        "is there."
    )


def _shared(result: CurvatureResult, subspace: CurvedSubspace) -> dict[str, Any]:
    chance = result.dimension / result.ambient_dimension
    return {
        "starts": subspace.starts,
        "halves": subspace.shared_by_halves,
        "phases": subspace.shared_by_phases,
        "halves_own": subspace.halves_own.tolist(),
        "chance": chance,
    }


def _of_item(result: CurvatureResult, item: int) -> Finding | None:
    verdicts = [verdict for verdict in result.verdicts if verdict.item == item]
    if not verdicts:
        return None
    parts = []
    for anchor, unit in ((NEAREST, "scale"), (HALVES, "scale"), ("", "norm")):
        own = [verdict for verdict in verdicts if verdict.anchor == anchor]
        if own:
            where = {NEAREST: f"at the {place_label(NEAREST)} ", HALVES: f"of {HALVES} "}
            parts.append(f"{where.get(anchor, '')}{_by_scale(own, unit)}")
    told = told_rows(result, item)
    supported, contradicted = (
        sum(verdict.verdict == word for verdict in verdicts) for word in (SUPPORTED, CONTRADICTED)
    )
    sentence = (
        f"Hypothesis, item {item} ({ITEMS[item]}): {'; '.join(parts)}. Over all settings it is "
        f"supported in {supported} of {len(verdicts)} and contradicted in {contradicted}."
    )
    numbers = {
        "settings": len(verdicts),
        "supported": supported,
        "contradicted": contradicted,
        "nearest": {
            word: [v.scale for v in verdicts if v.anchor == NEAREST and v.verdict == word]
            for word in (SUPPORTED, NOT_SUPPORTED, CONTRADICTED)
        },
        "told": told,
    }
    details = f"{_told(result, told)}." if told else ""
    return Finding(f"hypothesis_{item}", sentence, _present(verdicts), numbers, details)


def _present(verdicts: Sequence[ItemVerdict]) -> bool | None:
    """Return whether an item is supported at the nearest point, or of no anchor; None if mixed."""
    words = {verdict.verdict for verdict in verdicts if verdict.anchor in {NEAREST, HALVES, ""}}
    if SUPPORTED in words:
        return True if len(words) == 1 else None
    return False


def _by_scale(verdicts: Sequence[ItemVerdict], unit: str) -> str:
    """Return at which scales, or norms, verdicts are what."""
    said = []
    for word in (SUPPORTED, NOT_SUPPORTED, CONTRADICTED):
        scales = [verdict.scale for verdict in verdicts if verdict.verdict == word]
        plural = "" if len(scales) == 1 else "s"
        at = f"{unit}{plural} {', '.join(map(number, scales))}" if scales else f"no {unit}"
        said.append(f"{word} at {at}")
    return ", ".join(said)


def _told(result: CurvatureResult, rows: Sequence[HypothesisRow]) -> str:
    """Return the estimates of a few rows, by where they were measured."""
    said = []
    for (anchor, estimator, scale), same in groupby(
        rows, key=lambda row: (row.anchor, row.estimator, row.scale)
    ):
        kind = "norm" if not anchor else "scale"
        by = f"by {estimator} on the {result.subspaces[0].surface}, " if estimator else ""
        listed = "; ".join(
            f"{row_label(row)} {row_estimate(row)} ({row_interval(row)}), {row.verdict}"
            for row in same
        )
        said.append(f"{by}{kind} {number(scale)}: {listed}")
    told = ". ".join(part[0].upper() + part[1:] for part in said)
    return f"{told} (95 % intervals; verdicts with p corrected for {len(result.rows)} rows)"


class _Factor(NamedTuple):
    """One of the four words that a curvature carries."""

    name: str
    of: Callable[[HypothesisRow], Any]


_FACTORS = (
    _Factor("anchor", lambda row: row.anchor),
    _Factor("surface", lambda row: row.surface),
    _Factor("scale", lambda row: row.scale),
    _Factor("estimator", lambda row: row.estimator),
)


def _of_signs(result: CurvatureResult) -> Finding | None:
    """Return how often the sign of mean curvature along S_c hangs on each of its four words."""
    rows = sign_rows(result)
    if not rows:
        return None
    said: list[str] = []
    numbers: dict[str, Any] = {}
    for factor in _FACTORS:
        settings = _settings(rows, factor)
        turned = [one for one in settings if len({_sign(row.estimate) for row in one} - {0}) == 2]
        pairs = [pair for one in turned for pair in combinations(one, 2) if _opposite(*pair)]
        sure = sum(
            any(_opposite(*pair) and _sure(*pair) > 1 for pair in combinations(one, 2))
            for one in turned
        )
        numbers[factor.name] = {"settings": len(settings), "turned": len(turned), "sure": sure}
        example = f", as {_example(*max(pairs, key=lambda pair: _sure(*pair)))}" if pairs else ""
        said.append(
            f"{factor.name} in {len(turned)} of {len(settings)} settings of the others "
            f"(in {sure} with both intervals on their side of 0){example}"
        )
    positive = sum(row.low > 0 for row in rows)
    negative = sum(row.high < 0 for row in rows)
    sentence = (
        f"Of {len(rows)} mean curvatures along S_c (anchor, surface, scale, estimator) the 95 % "
        f"interval lies above 0 in {positive} and below 0 in {negative}, each on its own."
    )
    details = f"The sign changes with the {'; with the '.join(said)}."
    numbers |= {"curvatures": len(rows), "positive": positive, "negative": negative}
    return Finding("hypothesis_1_sign", sentence, None, numbers, details)


def _settings(rows: Sequence[HypothesisRow], factor: _Factor) -> list[list[HypothesisRow]]:
    """Return rows that differ in one word alone, two at least in each setting of the others."""
    others = [other for other in _FACTORS if other.name != factor.name]

    def setting(row: HypothesisRow) -> tuple[Any, ...]:
        return tuple(other.of(row) for other in others)

    groups = [list(same) for _, same in groupby(sorted(rows, key=setting), key=setting)]
    return [group for group in groups if len(group) > 1]


def _sign(value: float) -> int:
    return int(np.sign(value))


def _opposite(one: HypothesisRow, other: HypothesisRow) -> bool:
    return one.estimate * other.estimate < 0


def _sure(one: HypothesisRow, other: HypothesisRow) -> float:
    """Return how far the less sure of two estimates is from 0, over that side of its interval."""

    def from_zero(row: HypothesisRow) -> float:
        inner = row.estimate - row.low if row.estimate > 0 else row.high - row.estimate
        return abs(row.estimate) / max(inner, 1e-300)

    return min(from_zero(one), from_zero(other))


def _example(one: HypothesisRow, other: HypothesisRow) -> str:
    return " and ".join(
        f"{number(row.estimate)} ({number_interval(Interval(row.low, row.high))}; "
        f"{place_label(row.anchor)}, {row.surface}, s = {number(row.scale)}, by {row.estimator})"
        for row in (one, other)
    )


def _of_fooling(result: CurvatureResult) -> Finding | None:
    """Return how often S_c fools beside its rivals at the reference norm, and -v beside v."""
    rates = _at_reference(result, result.rates)
    if CURVED not in rates:
        return None
    own = rates[CURVED]
    listed = ", ".join(
        f"{space_label(family)} {_rate(rate)}" for family, rate in rates.items() if family != CURVED
    )
    sentence = (
        f"At the reference norm {number(result.reference_norm)}, not clipped, random vectors of "
        f"S_c (R = {result.dimension}) fool {_rate(own)} of trials on {own.fooled.shape[1]} "
        f"held-out images; {listed}."
    )
    rows = [row for row in told_rows(result, 3) if row.family == CURVED]
    if rows:
        against = ", ".join(
            f"{row_estimate(row)} against {space_label(row.rival)} ({row_interval(row)}; "
            f"{row.verdict})"
            for row in rows
        )
        sentence += f" Of S_c that is {against}."
    behind = _at_reference(result, result.mirrored).get(CURVED)
    details = "" if behind is None else f"The opposite vectors, −v, fool {_rate(behind)}."
    numbers = {
        "norm": result.reference_norm,
        "rates": {
            family: {"rate": rate.rate, "interval": rate.interval} for family, rate in rates.items()
        },
        "opposite": None if behind is None else behind.rate,
        "rows": rows,
    }
    beats = all(row.verdict == SUPPORTED for row in rows) if rows else None
    return Finding("curved_fooling", sentence, beats, numbers, details)


def _at_reference(result: CurvatureResult, rates: Sequence[FoolingRate]) -> dict[str, FoolingRate]:
    """Return rates at the reference norm and the R of S_c, or of the sphere, by family."""
    return {
        rate.family: rate
        for rate in rates
        if same_norm(rate.norm, result.reference_norm)
        and not rate.clipped
        and (rate.family == SPHERE or rate.subspace_dimension == result.dimension)
        and not rate.family.startswith(f"{CURVED}, ")
    }


def _rate(rate: FoolingRate) -> str:
    return f"{percent(rate.rate)} ({percent_interval(rate.interval)})"
