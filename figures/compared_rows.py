"""What runs found, side by side: a line for each quantity, a cell for each run.

A cell is a number with its interval and n, or a text, read by the functions that make the tables
and the findings of a run's own report. What a run lacks is None.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.fooling import compare
from analysis.intervals import Estimate, Interval, wilson_interval
from analysis.perturbations import SPHERE, SUBSPACE
from figures.compared import ComparedRun, Comparison
from figures.formats import (
    class_label,
    cosine,
    number,
    number_interval,
    percent,
    percent_interval,
    points,
    points_interval,
)
from figures.rates import family_label, reference_rate
from figures.spectrum_tables import dimension_rows, null_rows
from figures.tables import FamilyRow, PlainRate, family_rows, over, universal_rows

RUN, POINTS, SPECTRUM = "What was run", "Boundary points", "Spectrum of the normals"
RATES, RATES_CLIPPED = "Fooling rates, not clipped", "Fooling rates, clipped to the bounds"
BEYOND = "Beyond the sphere, not clipped"
EQUAL, UNIVERSAL = "At the equal norm, not clipped", "Universal perturbations"
SECTIONS = (
    RUN,
    POINTS,
    SPECTRUM,
    RATES,
    RATES_CLIPPED,
    BEYOND,
    EQUAL,
    UNIVERSAL,
)

SHARE, DIFFERENCE = "share", "difference of shares"
COSINE, SQUARED, UNITS = "cosine", "mean squared cosine", "input units"
_TOLD = {
    SHARE: (percent, percent_interval),
    DIFFERENCE: (points, points_interval),
    COSINE: (cosine, number_interval),
}


@dataclass(frozen=True)
class Cell:
    """One quantity of one run."""

    value: float | str
    interval: Interval | None = None
    """95 %; None where there is none."""
    n: int | None = None
    """Of what the interval is over: images, normals, points, or draws times images."""

    def told(self, unit: str) -> str:
        """Return the value as text."""
        if isinstance(self.value, str):
            return self.value
        return _TOLD.get(unit, (number, number_interval))[0](self.value)

    def told_interval(self, unit: str) -> str:
        """Return the interval as text, empty where there is none."""
        if self.interval is None:
            return ""
        return _TOLD.get(unit, (number, number_interval))[1](self.interval)


@dataclass(frozen=True)
class Heading:
    """What a line is of."""

    section: str
    key: str
    """Of the line, in ``numbers.json`` and in the CSV."""
    label: str
    unit: str = ""


@dataclass(frozen=True)
class SeedSummary:
    """A quantity over the runs of one model with other seeds."""

    runs: tuple[str, ...]
    """Their names."""
    mean: float
    lowest: float
    highest: float

    def told(self, unit: str) -> str:
        """Return the mean as text."""
        return Cell(self.mean).told(unit)

    def told_range(self, unit: str) -> str:
        """Return the range as text."""
        if Cell(self.lowest).told(unit) == Cell(self.highest).told(unit):
            return "the same in each"
        return Cell(self.mean, Interval(self.lowest, self.highest)).told_interval(unit)


@dataclass(frozen=True)
class Line:
    """One quantity of all runs."""

    heading: Heading
    cells: tuple[Cell | None, ...]
    """In the order of the runs."""
    seeds: tuple[SeedSummary | None, ...]
    """Of each group of `Comparison.seeds`; None of what has no interval, such as a setting."""


Found = Iterator[tuple[Heading, Cell]]


def comparison_lines(comparison: Comparison) -> tuple[Line, ...]:
    """Return every quantity that a run has, by section."""
    of_runs = [dict(run_cells(run, comparison)) for run in comparison.runs]
    headings = dict.fromkeys(heading for cells in of_runs for heading in cells)
    ordered = sorted(headings, key=lambda heading: SECTIONS.index(heading.section))
    return tuple(
        Line(
            heading,
            cells := tuple(own.get(heading) for own in of_runs),
            tuple(_summary(cells, group, comparison) for group in comparison.seeds),
        )
        for heading in ordered
    )


def run_cells(run: ComparedRun, comparison: Comparison) -> Found:
    """Yield what one run found."""
    yield from _run(run)
    yield from _points(run)
    yield from _spectrum(run, comparison.dimension)
    yield from _rates(run, comparison)
    yield from _universal(run)


def _run(run: ComparedRun) -> Found:
    found = run.results.collection
    yield Heading(RUN, "model", "model"), Cell(run.model)
    if run.weights:
        yield Heading(RUN, "weights", "weights, SHA-256"), Cell(run.weights[:12])
    yield Heading(RUN, "source", "images"), Cell(run.images)
    dimension = run.results.spectrum.spectrum.dimension
    yield Heading(RUN, "dimension", "D, numbers of an image"), Cell(dimension)
    yield Heading(RUN, "seed", "seed"), Cell(run.seed)
    if found.judged:
        accuracy = _share(found.correct, found.judged)
        yield Heading(RUN, "clean_accuracy", "clean accuracy", SHARE), accuracy
    yield Heading(RUN, "collected", "images collected"), Cell(len(found.status))
    yield Heading(RUN, "judged", "images judged"), Cell(len(run.results.fooling.image_ids))


def _points(run: ComparedRun) -> Found:
    found, margin = run.results.collection, run.margin
    count = int(found.on_boundary.sum())
    yield (
        Heading(POINTS, "on_boundary", "images with a boundary point", SHARE),
        _share(count, len(found.status)),
    )
    if margin is None:
        return
    yield (
        Heading(POINTS, "median_margin", "median margin (input units)", UNITS),
        Cell(margin.value, margin.interval, count),
    )
    mean = found.mean_image_norm
    if mean > 0:
        ends = Interval(margin.interval.low / mean, margin.interval.high / mean)
        yield (
            Heading(POINTS, "median_margin_share", "median margin, of the mean image norm", SHARE),
            Cell(margin.value / mean, ends, count),
        )
    alignment = float(np.median(found.alignment[found.on_boundary]))
    yield Heading(POINTS, "alignment", "median alignment", COSINE), Cell(alignment, n=count)


def _spectrum(run: ComparedRun, dimension: int) -> Found:
    result = run.results.spectrum
    count, splits = result.spectrum.count, len(result.halves.overlaps.cosines)
    yield Heading(SPECTRUM, "normals", "normals n"), Cell(count)
    for null in null_rows(result):
        yield (
            Heading(SPECTRUM, f"above_{null.name}", f"values above {null.label}"),
            Cell(null.leading, null.leading_interval, count),
        )
    for row in dimension_rows(result):
        yield Heading(SPECTRUM, row.name, row.label), Cell(row.value, row.interval, count)
    energy, halves = run.energy(dimension), run.stability(dimension)
    within = f"R = {dimension}"
    yield (
        Heading(SPECTRUM, "energy", f"held-out energy in {within}", SHARE),
        Cell(energy.held_out, energy.interval, len(result.energy.held_out)),
    )
    yield Heading(SPECTRUM, "isotropic", "R/D", SHARE), Cell(energy.isotropic)
    yield (
        Heading(SPECTRUM, "energy_ratio", "held-out energy over R/D"),
        Cell(energy.ratio, energy.ratio_interval, len(result.energy.held_out)),
    )
    yield (
        Heading(SPECTRUM, "halves", f"shared by two halves, {within}, least to most", SQUARED),
        Cell(halves.shared, halves.spread, splits),
    )


def _rates(run: ComparedRun, comparison: Comparison) -> Found:
    result = run.results.fooling
    yield (
        Heading(RATES, "reference_norm", "reference norm (input units)", UNITS),
        Cell(result.reference_norm),
    )
    if run.share is not None:
        yield (
            Heading(RATES, "reference_share", "reference norm, of the mean image norm", SHARE),
            Cell(run.share),
        )
    if (margins := over(result.reference_norm, result.median_margin)) is not None:
        yield Heading(RATES, "reference_margins", "reference norm, median margins"), Cell(margins)
    yield Heading(RATES, "reference_dimension", "R of S_f"), Cell(result.reference_dimension)
    told = [family for family in comparison.families if not family.startswith("universal ")]
    for clipped, section in ((False, RATES), (True, RATES_CLIPPED)):
        rows = {row.family: row for row in family_rows(result, clipped)}
        prefix = "clipped" if clipped else "rate"
        for family in told:
            if family in rows:
                key = f"{prefix}_{_key(family)}"
                yield Heading(section, key, family_label(family), SHARE), _rate(rows[family])
    yield from _beyond(run)
    if not comparison.equal_is_reference:
        yield from _at_equal_norm(comparison, comparison.runs.index(run))


def _at_equal_norm(comparison: Comparison, place: int) -> Found:
    norm = comparison.equal_norm.norms[place] if comparison.equal_norm else None
    if norm is None:
        return
    yield Heading(EQUAL, "equal_norm", "norm (input units)", UNITS), Cell(norm)
    for family in comparison.families:
        rate = comparison.rates(family, False, equal=True)[place]
        if rate is not None:
            yield (
                Heading(EQUAL, f"equal_{_key(family)}", family_label(family), SHARE),
                Cell(rate.rate, rate.interval, rate.total),
            )


def _beyond(run: ComparedRun) -> Found:
    """Yield how much more S_f fools than the sphere at the reference norm."""
    result = run.results.fooling
    subspace, sphere = (reference_rate(result, family, False) for family in (SUBSPACE, SPHERE))
    if subspace is not None and sphere is not None:
        found = compare(subspace, sphere)
        yield (
            Heading(BEYOND, f"beyond_{SPHERE}", "S_f less the sphere (points)", DIFFERENCE),
            Cell(found.difference, found.difference_interval, len(result.image_ids)),
        )


def _universal(run: ComparedRun) -> Found:
    result = run.results.universal
    for made, row in zip(result.found, universal_rows(result), strict=True):
        key = _key(made.family)
        yield Heading(UNIVERSAL, key, row.label, SHARE), _rate(row.others)
        clipped = Heading(UNIVERSAL, f"{key}_clipped", f"{row.label}, clipped", SHARE)
        yield clipped, _rate(row.others_clipped)
    for flows in result.labels:
        sink = flows.top_sink
        if sink is None:
            continue
        ball = "l2" if flows.p == 2 else "l∞"
        key = f"top_label_{'l2' if flows.p == 2 else 'linf'}"
        label = f"fooled images that go to one class, {ball}"
        yield (
            Heading(UNIVERSAL, key, label, SHARE),
            Cell(sink.of_fooled.value, sink.of_fooled.interval, int(flows.fooled.sum())),
        )
        name = class_label(flows.class_names, sink.label)
        yield Heading(UNIVERSAL, f"{key}_name", f"that class, {ball}"), Cell(name)


def _share(count: int, total: int) -> Cell:
    return Cell(count / total, wilson_interval(count, total), total)


def _rate(row: FamilyRow | PlainRate) -> Cell:
    return Cell(row.rate, row.interval, row.total)


def _key(text: str) -> str:
    return "_".join(text.replace("-", "_").split())


def _summary(
    cells: tuple[Cell | None, ...], group: tuple[int, ...], comparison: Comparison
) -> SeedSummary | None:
    there = [
        (comparison.names[place], found.value)
        for place in group
        if (found := estimate(cells[place])) is not None
    ]
    if len(there) < 2:
        return None
    names, values = zip(*there, strict=True)
    return SeedSummary(names, sum(values) / len(values), min(values), max(values))


def estimate(cell: Cell | None) -> Estimate | None:
    """Return a cell as a number with its interval; None where it is not one."""
    if cell is None or cell.interval is None or isinstance(cell.value, str):
        return None
    return Estimate(cell.value, cell.interval)
