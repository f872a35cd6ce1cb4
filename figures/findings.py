"""What a run found, in sentences made of its numbers and intervals.

A finding whose interval includes no effect is said to be absent in this run, in so many words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.fooling import FoolingRate
from analysis.intervals import Interval, wilson_interval
from analysis.results import CollectionResult, FoolingResult, SpectrumResult
from analysis.survey import no_better_than_guessing
from figures.formats import (
    cosine,
    number,
    number_interval,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.rates import SPHERE, SUBSPACE, clip_policies, reference_rate, same_norm
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
from figures.tables import PairRow, pair_rows, share_of_image_norm

_AGAINST = {
    "isotropic": "random directions",
    "permuted": "the normals with their coordinates permuted across images",
    "phases": "the normals with their phases randomised",
    "untrained": "the same architecture untrained",
}

_FEWEST_HELD_OUT = 5
"""Held-out normals below which their energies say nothing of others."""

_CLIPPING = {False: "Without clipping", True: "Clipped to the bounds of the input"}


@dataclass(frozen=True)
class Finding:
    """One sentence or two, and the numbers in it."""

    name: str
    sentence: str
    present: bool | None
    """Whether an effect was found; None where the sentence claims none, or is of two minds."""
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """All findings of a run."""

    findings: tuple[Finding, ...]
    pairs: tuple[PairRow, ...]
    """The subspace against the sphere at every norm, unclipped first."""


def list_findings(
    collection: CollectionResult,
    spectrum: SpectrumResult | None = None,
    fooling: FoolingResult | None = None,
) -> Findings:
    """Return what the run found, the geometry first, then what rests on what.

    Args:
        collection: What was collected.
        spectrum: None while it is not there.
        fooling: None while it is not there.
    """
    found: list[Finding] = []
    pairs: tuple[PairRow, ...] = ()
    if spectrum is not None:
        kept = len(spectrum.energy.in_sample)
        dimension = kept if fooling is None else fooling.reference_dimension
        found += [_of_null(spectrum, row) for row in null_rows(spectrum)]
        if spectrum.networks_left_out:
            found.append(_of_networks_left_out(spectrum))
        found += [of(spectrum, dimension) for of in (_of_energy, _of_stability, _of_classes)]
    if fooling is not None:
        pairs = pair_rows(fooling)
        for clipped in clip_policies(fooling):
            own = [pair for pair in pairs if pair.clipped == clipped]
            found += [_at_reference(fooling, own, clipped), _over_norms(own, clipped)]
    found += [_of_accuracy(collection), _of_collection(collection)]
    return Findings(tuple(found), pairs)


def _of_null(result: SpectrumResult, row: NullRow) -> Finding:
    """Return what the spectrum shows beyond one null."""
    (ratio,) = (d for d in dimension_rows(result) if d.name == "participation_ratio")
    draws = "the one draw" if row.draws == 1 else f"every one of {row.draws} draws"
    what = _AGAINST[row.name]
    interval = number_interval(row.leading_interval)
    if row.leading:
        values = "value stands" if row.leading == 1 else "values stand"
        count = f"{row.leading} leading singular {values} above {draws} of {what} (95 % {interval})"
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
        "largest": largest,
        "null_largest": row.largest.high,
        "ratio": row.ratio,
        "participation_ratio": ratio.value,
        "participation_ratio_interval": ratio.interval,
        "null_participation_ratio": row.participation_ratio,
    }
    name = "spectrum" if row.name == "isotropic" else f"spectrum_{row.name}"
    return Finding(name, sentence, row.beaten, numbers)


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


def _at_reference(result: FoolingResult, pairs: Sequence[PairRow], clipped: bool) -> Finding:
    name = "fooling_clipped" if clipped else "fooling"
    subspace = reference_rate(result, SUBSPACE, clipped)
    sphere = reference_rate(result, SPHERE, clipped)
    pair = next((pair for pair in pairs if same_norm(pair.norm, result.reference_norm)), None)
    if subspace is None or sphere is None or pair is None:
        sentence = (
            f"{_CLIPPING[clipped]}, the subspace and the sphere were not both tried at the "
            f"reference norm {number(result.reference_norm)}."
        )
        return Finding(name, sentence, None)
    share = share_of_image_norm(pair.norm, result)
    relative = "" if share is None else f" ({percent(share)} of the mean image norm)"
    sentence = (
        f"{_CLIPPING[clipped]}, at norm {number(pair.norm)}{relative}, random perturbations from "
        f"the subspace of R = {result.reference_dimension} change the prediction in "
        f"{_rate(subspace)}, those from the whole sphere in {_rate(sphere)}: a difference of "
        f"{points(pair.difference)} percentage points (95 % paired interval "
        f"{points_interval(pair.difference_interval)}), {_ratio(pair)}.{_pair_verdict(pair)}"
    )
    numbers = {
        "norm": pair.norm,
        "share_of_image_norm": share,
        "dimension": result.reference_dimension,
        "subspace": {
            "count": subspace.count,
            "total": subspace.total,
            "rate": subspace.rate,
            "interval": subspace.interval,
        },
        "sphere": {
            "count": sphere.count,
            "total": sphere.total,
            "rate": sphere.rate,
            "interval": sphere.interval,
        },
        "difference": pair.difference,
        "difference_interval": pair.difference_interval,
        "ratio": pair.ratio,
        "ratio_interval": pair.ratio_interval,
    }
    return Finding(name, sentence, pair.sign > 0, numbers)


def _rate(rate: FoolingRate) -> str:
    return (
        f"{percent(rate.rate)} of trials ({rate.count} of {rate.total}; 95 % interval "
        f"{percent_interval(rate.interval)})"
    )


def _ratio(pair: PairRow) -> str:
    if pair.ratio is None:
        return "a ratio that is not defined, as the sphere fools no image"
    return f"a ratio of {number(pair.ratio)} ({number_interval(pair.ratio_interval)})"


def _pair_verdict(pair: PairRow) -> str:
    if pair.sign > 0:
        return ""
    why = "contains 0" if pair.sign == 0 else "lies below 0: the sphere fools more"
    return (
        f" The interval of the difference {why}; an advantage of the subspace at this "
        "norm and dimension is absent in this run."
    )


def _over_norms(pairs: Sequence[PairRow], clipped: bool) -> Finding:
    name = "sweep_clipped" if clipped else "sweep"
    if not pairs:
        sentence = f"{_CLIPPING[clipped]}, the subspace and the sphere share no norm."
        return Finding(name, sentence, None)
    above, around, below = ([pair.norm for pair in pairs if pair.sign == s] for s in (1, 0, -1))
    sentence = (
        f"{_CLIPPING[clipped]}, of {_count_norms(len(pairs))} the interval of the difference "
        f"lies above 0 at {_norms(above)}, contains 0 at {_norms(around)} and lies below 0 at "
        f"{_norms(below)} (each norm on its own, without correction for their number)."
    )
    if not above:
        sentence += " An advantage of the subspace is absent at every norm in this run."
    numbers = {"above": above, "contains_zero": around, "below": below}
    # With some norms above 0 and some not, the sentence says which and no one word sums it up.
    mixed = 0 < len(above) < len(pairs)
    return Finding(name, sentence, None if mixed else bool(above), numbers)


def _norms(norms: Sequence[float]) -> str:
    if not norms:
        return "none"
    return f"{_count_norms(len(norms))} ({', '.join(map(number, norms))})"


def _count_norms(count: int) -> str:
    return f"{count} norm{'' if count == 1 else 's'}"


def _of_accuracy(result: CollectionResult) -> Finding:
    if result.judged == 0:
        sentence = "Clean accuracy is not known: the images carry no labels."
        return Finding("clean_accuracy", sentence, None, {"count": None, "total": result.judged})
    interval = wilson_interval(result.correct, result.judged)
    share = result.correct / result.judged
    sentence = (
        f"Clean accuracy is {percent(share)} ({result.correct} of {result.judged} images; 95 % "
        f"Wilson interval {percent_interval(interval)})."
    )
    if no_better_than_guessing(result.correct, result.judged, result.classes):
        sentence += (
            f" That is no better than guessing among {result.classes} classes: unless the network "
            "is untrained on purpose, its input range, its normalisation or the order of its "
            "classes is not what it should be."
        )
    numbers = {
        "count": result.correct,
        "total": result.judged,
        "rate": share,
        "interval": interval,
    }
    return Finding("clean_accuracy", sentence, None, numbers)


def _of_collection(result: CollectionResult) -> Finding:
    on_boundary = result.on_boundary
    count, total = int(on_boundary.sum()), len(on_boundary)
    numbers: dict[str, Any] = {"count": count, "total": total}
    if total == 0:
        return Finding("collection", "No image was collected.", None, numbers)
    interval: Interval = wilson_interval(count, total)
    missing = len(result.unreadable)
    passes = float(result.forward_passes.mean()), float(result.backward_passes.mean())
    numbers |= {
        "rate": count / total,
        "interval": interval,
        "unreadable": missing,
        "forward_passes": passes[0],
        "backward_passes": passes[1],
    }
    unread = f" {missing} images could not be read and are left out." if missing else ""
    cost = (
        f"The search took {number(passes[0])} forward and {number(passes[1])} backward passes an "
        f"image (mean over all images).{unread}"
    )
    share = (
        f"A boundary point with a usable normal was found for {percent(count / total)} of the "
        f"images ({count} of {total}; 95 % Wilson interval {percent_interval(interval)})"
    )
    if count == 0:
        return Finding("collection", f"{share}. {cost}", None, numbers)
    margin = result.median_margin
    tenth, median = (float(q) for q in np.quantile(result.alignment[on_boundary], [0.1, 0.5]))
    numbers |= {"median_margin": margin, "alignment_median": median, "alignment_tenth": tenth}
    sentence = (
        f"{share}; over these points the median margin is {number(margin)} input units, and "
        f"alignment has median {cosine(median)} and 10th percentile {cosine(tenth)}. {cost}"
    )
    return Finding("collection", sentence, None, numbers)
