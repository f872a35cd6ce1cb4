"""At which R random vectors of S_f fool most, and more than its rivals, in sentences.

R is chosen after looking, so intervals hold for all comparisons that are told of together.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from analysis.comparisons import PairDifference, compare_all
from analysis.fooling import FoolingRate
from analysis.perturbations import SUBSPACE
from analysis.results import FoolingResult
from analysis.rivals import MATCHED, UNTRAINED
from figures.finding import Finding
from figures.formats import (
    first_directions,
    number,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.rates import CLIPPING, family_label, rates_by_dimension

_RIVALS = (MATCHED, UNTRAINED)

_Key = tuple[str, int]
"""A family and its R."""


def dimension_finding(result: FoolingResult, clipped: bool) -> Finding | None:
    """Return how much hangs on R; None where one alone was tried."""
    rates = {
        (family, rate.subspace_dimension): rate
        for family in (SUBSPACE, *_RIVALS)
        for rate in rates_by_dimension(result, clipped, family)
    }
    own = {R: rate for (family, R), rate in rates.items() if family == SUBSPACE}
    if len(own) < 2:
        return None
    reference = result.reference_dimension
    differences = _differences(rates, reference)
    tried = [family for family in _RIVALS if any(rival == family for rival, _ in differences)]
    best = max(own, key=lambda R: own[R].rate)
    told = [
        f"{CLIPPING[clipped]}, at the reference norm {number(result.reference_norm)}, random "
        f"vectors of S_f fool most with the {first_directions(best)}, of R = {_listed(own)}: "
        f"{percent(own[best].rate)} of trials (95 % interval "
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
        " ".join(_caveats(differences, best)),
    )


def _beats(
    differences: Mapping[_Key, PairDifference], rivals: Sequence[str], own: Collection[int]
) -> bool | None:
    """Return whether S_f is above every rival at some R; None where what training adds is open."""
    if not rivals:
        return None
    beaten = any(
        all((rival, R) in differences and differences[rival, R].sign > 0 for rival in rivals)
        for R in own
    )
    return None if beaten and UNTRAINED not in rivals else beaten


def _numbers(rate: FoolingRate, differences: Mapping[_Key, PairDifference]) -> dict[str, Any]:
    less = {
        family: {"difference": pair.difference, "interval": pair.interval}
        for (family, R), pair in differences.items()
        if rate.subspace_dimension == R
    }
    return {"rate": rate.rate, "interval": rate.interval, "less": less}


def _caveats(differences: Mapping[_Key, PairDifference], best: int) -> Iterator[str]:
    if differences:
        yield (
            "Intervals of differences hold for all of these comparisons together. At small R a "
            "rival is a few directions, of one draw of the phases or of one untrained network, "
            "whose spread they do not cover."
        )
    chosen = differences.get((SUBSPACE, best))
    if chosen is not None and chosen.sign > 0:
        yield (
            f"Which R is best was seen on these images; `--universal.dimension {best}` with "
            "another `--seed` tests it on others."
        )


def _differences(rates: Mapping[_Key, FoolingRate], reference: int) -> dict[_Key, PairDifference]:
    """Return S_f at R less a rival at R, by both; with S_f in place of a rival, less reference R.

    The intervals hold for all together.
    """
    places = {key: place for place, key in enumerate(rates)}
    compared = {}
    for family, R in rates:
        own, other = (SUBSPACE, R), (family, reference if family == SUBSPACE else R)
        if own != other and own in rates and other in rates:
            compared[family, R] = places[own], places[other]
    found = compare_all([*rates.values()], [*compared.values()]) if compared else ()
    return dict(zip(compared, found, strict=True))


def _beside_reference(pair: PairDifference | None, reference: int) -> list[str]:
    if pair is None:
        return []
    verdict = "" if pair.sign > 0 else "; that it fools more than this is not shown"
    return [
        f"Against R = {reference}, of which the other findings are, that is "
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
    return f"They fool {what} at R = {_listed(above)}{rest}{at_best}."


def _listed(dimensions: Collection[int]) -> str:
    return ", ".join(map(str, dimensions))
