"""What the spectrum of the normals shows, in sentences."""

from analysis.intervals import Interval
from analysis.results import SpectrumResult
from figures.finding import Finding
from figures.formats import count_interval, number, number_interval, percent, percent_interval
from figures.spectrum_tables import (
    DimensionRow,
    EnergyRow,
    NullRow,
    dimension_rows,
    energy_rows,
    explained_rows,
    means_rows,
    null_rows,
    stability_rows,
)

AGAINST = {
    "isotropic": "random directions",
    "permuted": "the normals with their coordinates permuted across images",
    "phases": "the normals with their phases randomised",
    "untrained": "the same architecture untrained",
}
"""The nulls in words, weakest first."""

_FEWEST_HELD_OUT = 5
"""Held-out normals below which their energies say nothing of others."""


def spectrum_findings(result: SpectrumResult, dimension: int) -> list[Finding]:
    """Return what the spectrum shows: against each null, then what rests on R dimensions."""
    found = [_of_null(result, row) for row in null_rows(result)]
    if result.networks_left_out:
        found.append(_of_networks_left_out(result))
    return found + [of(result, dimension) for of in (_of_energy, _of_stability, _of_classes)]


def _of_null(result: SpectrumResult, row: NullRow) -> Finding:
    """Return what the spectrum shows beyond one null."""
    (ratio,) = (d for d in dimension_rows(result) if d.name == "participation_ratio")
    draws = "the one draw" if row.draws == 1 else f"every one of {row.draws} draws"
    what = AGAINST[row.name]
    interval = count_interval(row.leading_interval, len(result.spectrum.singular_values))
    if row.leading:
        count = f"{leading_values(row.leading)} above {draws} of {what} (95 % {interval})"
    else:
        count = f"no leading singular value stands above {draws} of {what}"
    largest = float(result.spectrum.singular_values[0])
    sentence = (
        f"Of {result.spectrum.count} unit normals in D = {result.spectrum.dimension} dimensions, "
        f"{count}: the largest is {number(largest)}, against {_span(row.largest)}, "
        f"and the participation ratio {number(ratio.value)} ({number_interval(ratio.interval)}), "
        f"against {_span(row.participation_ratio)}.{_null_verdict(result, row, ratio)}"
    )
    numbers = {
        "leading": row.leading,
        "leading_interval": row.leading_interval,
        "values": len(result.spectrum.singular_values),
        "largest": largest,
        "null_largest": row.largest.high,
        "ratio": row.ratio,
        "participation_ratio": ratio.value,
        "participation_ratio_interval": ratio.interval,
        "null_participation_ratio": row.participation_ratio,
    }
    return Finding(null_finding_name(row.name), sentence, row.beaten, numbers)


def leading_values(count: int) -> str:
    """Return that some leading singular values stand above what follows."""
    return f"{count} leading singular {'value stands' if count == 1 else 'values stand'}"


def null_finding_name(null: str) -> str:
    """Return the name of the finding on the spectrum against a null."""
    return "spectrum" if null == "isotropic" else f"spectrum_{null}"


def _span(interval: Interval) -> str:
    low, high = number(interval.low), number(interval.high)
    return low if low == high else f"{low} to {high}"


def _null_verdict(result: SpectrumResult, row: NullRow, ratio: DimensionRow) -> str:
    if row.beaten:
        return ""
    if row.beaten is None and row.leading_interval.low < 1:
        return (
            " The interval goes below 1: whether other images would share directions beyond this "
            "null is not decided in this run."
        )
    if row.beaten is None:
        return (
            f" Of so few draws, chance alone puts a first value above all once in {row.draws + 1} "
            "times: whether the null is beaten is not decided in this run."
        )
    if (
        row.least_count == result.spectrum.count
        and row.name == "untrained"
        and ratio.interval.low > row.participation_ratio.high
    ):
        return (
            " The normals of the trained network are less concentrated than those of the same "
            "architecture untrained; that training concentrates them is absent in this run."
        )
    return " Shared directions beyond this null are absent in this run."


def _of_networks_left_out(result: SpectrumResult) -> Finding:
    count = result.networks_left_out
    sentence = (
        f"Left out of their null: {count} untrained network{'' if count == 1 else 's'} with fewer "
        "than half as many normals as the trained one, as a network whose predictions hardly "
        "depend on the input has no boundary within reach."
    )
    if all(null.name != "untrained" for null in result.nulls):
        sentence += " Whether training makes the shared directions is not decided in this run."
    return Finding("networks_left_out", sentence, None, {"count": count})


def _of_stability(result: SpectrumResult, dimension: int) -> Finding:
    rows = stability_rows(result, dimension)
    R = min(dimension, rows[-1].dimension)
    (row,) = (row for row in rows if row.dimension == R)
    sentence = (
        f"The first R = {R} singular directions of two disjoint halves of {result.halves.count} "
        f"normals have a mean squared cosine of {number(row.shared)} "
        f"({number_interval(row.spread)} over {_count(result)}), "
        f"against R/D = {number(row.random)}: "
        f"{number(row.shared / row.random)} times as much; the median principal angle is "
        f"{number(row.angles[1])} degrees, against {number(row.random_angles[1])} at random."
    )
    shared = row.spread.low > max(row.random, row.random_largest)
    if not shared:
        sentence += " Directions that two halves share are absent in this run."
    numbers = {
        "dimension": R,
        "shared": row.shared,
        "spread": row.spread,
        "random": row.random,
        "angles": row.angles,
        "random_angles": row.random_angles,
    }
    return Finding("stability", sentence, shared, numbers)


def _count(result: SpectrumResult) -> str:
    splits = len(result.halves.overlaps.cosines)
    return "1 split" if splits == 1 else f"{splits} splits"


def _of_classes(result: SpectrumResult, dimension: int) -> Finding:
    rows = explained_rows(result, dimension)
    R = min(dimension, rows[-1].dimension)
    (row,) = (row for row in rows if row.dimension == R)
    (energy,) = (means for means in means_rows(result) if means.kind == "pair")
    if not row.rank:
        sentence = (
            "No pair of classes has two normals in one half of them: what the means of pairs "
            "explain is not known in this run."
        )
        return Finding("classes", sentence, None, {"pair_means": None})
    sentence = (
        f"The means of pairs of classes hold {percent(energy.share)} of the normals' energy (95 % "
        f"interval {percent_interval(energy.interval)}; 0 for random directions). Their span, of "
        f"{number(row.rank)} directions in one half of the normals, holds "
        f"{percent(row.pair_means)} of the first R = {R} singular directions of the other half, "
        f"against {percent(row.random)} for as many random directions and "
        f"{percent(row.leading)} for as many leading ones."
    )
    numbers = {
        "pair_means": energy.share,
        "pair_means_interval": energy.interval,
        "dimension": R,
        "explained": row.pair_means,
        "spread": row.spread,
        "by_leading": row.leading,
        "by_random": row.random,
    }
    return Finding("classes", sentence, None, numbers)


def _of_energy(result: SpectrumResult, dimension: int) -> Finding:
    R = min(dimension, len(result.energy.in_sample))
    row = next(row for row in energy_rows(result, R) if row.dimension == R)
    held_out = len(result.energy.held_out)
    sentence = (
        f"The first R = {R} singular directions of {result.energy.fitted} normals hold "
        f"{percent(row.held_out)} of the energy of {held_out} held-out normals (95 % bootstrap "
        f"interval {percent_interval(row.interval)}), against R/D = {percent(row.isotropic)} for a "
        f"random direction: {number(row.ratio)} times as much "
        f"({number_interval(row.ratio_interval)}).{_energy_verdict(row)}"
    )
    numbers = {
        "dimension": R,
        "held_out": row.held_out,
        "interval": row.interval,
        "isotropic": row.isotropic,
        "ratio": row.ratio,
        "ratio_interval": row.ratio_interval,
    }
    if held_out < _FEWEST_HELD_OUT:
        sentence += f" Of fewer than {_FEWEST_HELD_OUT} held-out normals nothing can be concluded."
        return Finding("energy", sentence, None, numbers)
    return Finding("energy", sentence, row.interval.low > row.isotropic, numbers)


def _energy_verdict(row: EnergyRow) -> str:
    if row.interval.low > row.isotropic:
        return ""
    where = "contains" if row.interval.high >= row.isotropic else "lies below"
    return (
        f" The interval {where} R/D: that new images share these directions is absent in this run."
    )
