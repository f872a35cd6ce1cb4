"""At which R random vectors of S_f fool most, and more than its rivals, in sentences.

R is chosen after looking, so intervals hold for all comparisons that are told of together.
"""

from collections.abc import Mapping
from typing import Any

from analysis.comparisons import PairDifference, compare_all
from analysis.fooling import FoolingRate
from analysis.perturbations import SUBSPACE
from analysis.results import FoolingResult
from analysis.rivals import MATCHED, UNTRAINED
from figures.finding import Finding
from figures.formats import number, percent, percent_interval, points, points_interval
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
    best = max(own, key=lambda R: own[R].rate)
    sentence = (
        f"{CLIPPING[clipped]}, at the reference norm {number(result.reference_norm)}, random "
        f"vectors of S_f fool most with the first {_directions(best)}, of R = {_listed(own)}: "
        f"{percent(own[best].rate)} of trials (95 % interval "
        f"{percent_interval(own[best].interval)})."
    )
    sentence += _beside_reference(differences.get((SUBSPACE, best)), reference)
    beaten = [
        _beaten_at(differences, family, best) for family in _RIVALS if _tried(differences, family)
    ]
    sentence += "".join(f" {said}" for said, _ in beaten)
    details = ""
    if differences:
        details = (
            "Intervals of differences hold for all of these comparisons together. At small R a "
            "rival is a few directions, of one draw of the phases or of one untrained network, "
            "whose spread they do not cover."
        )
    chosen = differences.get((SUBSPACE, best))
    if chosen is not None and chosen.sign > 0:
        details += (
            f" Which R is best was seen on these images; `--universal.dimension {best}` with "
            "another `--seed` tests it on others."
        )
    numbers: dict[str, Any] = {
        f"R {R}": {
            "rate": rate.rate,
            "interval": rate.interval,
            "less": {
                family: {"difference": pair.difference, "interval": pair.interval}
                for (family, other), pair in differences.items()
                if other == R
            },
        }
        for R, rate in own.items()
    }
    name = "dimensions_clipped" if clipped else "dimensions"
    present = any(all(R in places for _, places in beaten) for R in own) if beaten else None
    if present and not _tried(differences, UNTRAINED):
        present = None
    numbers |= {"best": best, "reference": reference}
    return Finding(name, sentence, present, numbers, details)


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


def _tried(differences: Mapping[_Key, PairDifference], family: str) -> bool:
    return any(rival == family for rival, _ in differences)


def _beside_reference(pair: PairDifference | None, reference: int) -> str:
    if pair is None:
        return ""
    verdict = "" if pair.sign > 0 else "; that it fools more than this is not shown"
    return (
        f" Against R = {reference}, of which the other findings are, that is "
        f"{points(pair.difference)} points ({points_interval(pair.interval)}){verdict}."
    )


def _beaten_at(
    differences: Mapping[_Key, PairDifference], rival: str, best: int
) -> tuple[str, list[int]]:
    """Return at which R S_f is above a rival, as a sentence and as numbers."""
    own = {R: pair for (family, R), pair in differences.items() if family == rival}
    above, not_shown = ([R for R in own if (own[R].sign > 0) == beaten] for beaten in (True, False))
    at_best = (
        f" (at R = {best} {points(own[best].difference)} points, "
        f"{points_interval(own[best].interval)})"
        if best in own
        else ""
    )
    where = f"at R = {_listed(above)}" if above else "at no R"
    rest = f", and not shown to at R = {_listed(not_shown)}" if above and not_shown else ""
    said = (
        f"They fool more than {family_label(rival)} of equal R {where}{rest}{at_best}."
        if above
        else f"That they fool more than {family_label(rival)} of equal R is shown {where}{at_best}."
    )
    return said, above


def _directions(count: int) -> str:
    return "direction alone" if count == 1 else f"R = {count} directions"


def _listed(dimensions: Any) -> str:
    return ", ".join(map(str, dimensions))
