"""At which R random vectors of S_f fool most, and more than its rivals, in sentences.

R is chosen after looking, so intervals hold for all comparisons that are told of together.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from analysis.comparisons import PairDifference, compare_all
from analysis.fooling import FoolingRate
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import FoolingResult
from analysis.rivals import MATCHED, UNTRAINED
from figures.finding import Finding
from figures.formats import number, percent, percent_interval, points, points_interval
from figures.rates import CLIPPING, family_label, rates_by_dimension, reference_rate

RIVALS = (MATCHED, UNTRAINED)
"""Subspaces that S_f must beat at equal R."""

FEW = 5
"""Directions of a rival below which it hangs on one draw, of the phases or of a network."""

_Key = tuple[str, int]
"""A family that S_f is compared with, and the R of S_f."""


def dimension_finding(result: FoolingResult, clipped: bool) -> Finding | None:
    """Return how much hangs on R; None where one alone was tried."""
    own = {rate.subspace_dimension: rate for rate in rates_by_dimension(result, clipped)}
    if len(own) < 2:
        return None
    reference = result.reference_dimension
    differences = _differences(own, _others(result, clipped, own))
    tried = [family for family in RIVALS if any(rival == family for rival, _ in differences)]
    best = max(own, key=lambda R: own[R].rate)
    told = [
        f"{CLIPPING[clipped]}, at the reference norm {number(result.reference_norm)}, of "
        f"R = {_listed(own)} random vectors of S_f fool most with R = {best}: "
        f"{percent(own[best].rate)} of trials (95 % interval of this R alone "
        f"{percent_interval(own[best].interval)}).",
        *_beside_reference(differences.get((SUBSPACE, best)), reference),
        *(_beside_rival(differences, family, best) for family in tried),
    ]
    numbers = {f"R {R}": _numbers(rate, differences) for R, rate in own.items()}
    return Finding(
        "dimensions_clipped" if clipped else "dimensions",
        " ".join(told),
        _beats(differences, tried, own),
        {"best": best, "reference": reference, **numbers},
        " ".join(_caveats(len(told) > 1, tried, best)),
    )


def _others(
    result: FoolingResult, clipped: bool, own: Mapping[int, FoolingRate]
) -> dict[_Key, FoolingRate]:
    """Return what S_f is compared with at each R: itself at the reference R, rivals, the sphere."""
    others = {
        (family, rate.subspace_dimension): rate
        for family in RIVALS
        for rate in rates_by_dimension(result, clipped, family)
        if rate.subspace_dimension in own
    }
    reference, sphere = own.get(result.reference_dimension), reference_rate(result, SPHERE, clipped)
    for R, rate in own.items():
        if reference is not None and rate is not reference:
            others[SUBSPACE, R] = reference
        if sphere is not None:
            others[SPHERE, R] = sphere
    return others


def _differences(
    own: Mapping[int, FoolingRate], others: Mapping[_Key, FoolingRate]
) -> dict[_Key, PairDifference]:
    """Return S_f at R less another family, with intervals that hold for all together."""
    rates = list({id(rate): rate for rate in (*own.values(), *others.values())}.values())
    places = {id(rate): place for place, rate in enumerate(rates)}
    pairs = [(places[id(own[R])], places[id(other)]) for (_, R), other in others.items()]
    found = compare_all(rates, pairs) if pairs else ()
    return dict(zip(others, found, strict=True))


def _beats(
    differences: Mapping[_Key, PairDifference], rivals: Sequence[str], own: Collection[int]
) -> bool | None:
    """Return whether S_f is above every rival at some R.

    None where that is open: what training adds was not tried, or the rivals have few directions.
    """
    if not rivals:
        return None
    beaten = [
        R
        for R in own
        if all((rival, R) in differences and differences[rival, R].sign > 0 for rival in rivals)
    ]
    if not beaten:
        return False
    return True if UNTRAINED in rivals and max(beaten) >= FEW else None


def _numbers(rate: FoolingRate, differences: Mapping[_Key, PairDifference]) -> dict[str, Any]:
    less = {
        family: {"difference": pair.difference, "interval": pair.interval}
        for (family, R), pair in differences.items()
        if rate.subspace_dimension == R
    }
    return {"rate": rate.rate, "interval": rate.interval, "less": less}


def _caveats(compared: bool, rivals: Sequence[str], best: int) -> Iterator[str]:
    if compared:
        yield "Intervals of differences hold for all comparisons over R together."
    if rivals:
        yield (
            "At small R a rival is a few directions, of one draw of the phases or of one untrained "
            "network, whose spread they do not cover."
        )
    yield (
        f"Which R is best was seen on these images; a run with `--universal.dimension {best}` on "
        "images that had no part in this one tests it."
    )


def _beside_reference(pair: PairDifference | None, reference: int) -> list[str]:
    if pair is None:
        return []
    verdict = "" if pair.sign > 0 else "; that it fools more than this is not shown"
    return [
        f"Against R = {reference}, at which the other findings were made, that is "
        f"{points(pair.difference)} points ({points_interval(pair.interval)}){verdict}."
    ]


def _beside_rival(differences: Mapping[_Key, PairDifference], rival: str, best: int) -> str:
    """Return at which R S_f is above a rival, and by how much where it fools most."""
    own = {R: pair for (family, R), pair in differences.items() if family == rival}
    above, not_shown = ([R for R in own if (own[R].sign > 0) == beaten] for beaten in (True, False))
    what = f"more than {family_label(rival)} of equal R"
    at_best = (
        f" (at R = {best} {points(own[best].difference)} points, "
        f"{points_interval(own[best].interval)})"
        if best in own
        else ""
    )
    if not above:
        return f"That they fool {what} is shown at no R{at_best}."
    rest = f", and not shown to at R = {_listed(not_shown)}" if not_shown else ""
    return f"They fool {what} at R = {_listed(above)}{at_best}{rest}."


def _listed(dimensions: Collection[int]) -> str:
    return ", ".join(map(str, dimensions))
