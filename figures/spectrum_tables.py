"""The rows of the report's tables of the spectrum, for the page and for ``numbers.json``."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.dimension import (
    estimated_dimensions,
    noise_dimensions,
    null_dimensions,
    random_participation_ratio,
)
from analysis.groups import GroupSpectra
from analysis.halves import Overlaps
from analysis.intervals import Interval, estimate_from_halves, reach_of_halves
from analysis.nulls import Null, marchenko_pastur_edges
from analysis.results import SpectrumResult

NULL_LABELS = {
    "isotropic": "random directions",
    "permuted": "coordinates permuted",
    "phases": "phases randomised",
    "untrained": "untrained networks",
}

DIMENSION_LABELS = {
    "stable_rank": "stable rank",
    "participation_ratio": "participation ratio",
    "energy_rank": "energy rank",
    "effective_rank": "effective rank",
    "gavish_donoho": "above Gavish–Donoho",
}

_MEANS = ("all", "source", "pair")
_LISTED_VALUES = 10


@dataclass(frozen=True)
class EnergyRow:
    """Captured energy in the first R directions."""

    dimension: int
    held_out: float
    interval: Interval
    in_sample: float
    isotropic: float
    """R / D."""

    @property
    def ratio(self) -> float:
        """Held-out energy over R / D."""
        return self.held_out / self.isotropic

    @property
    def ratio_interval(self) -> Interval:
        """Of the ratio; R / D is exact."""
        return Interval(self.interval.low / self.isotropic, self.interval.high / self.isotropic)


@dataclass(frozen=True)
class ValueRow:
    """One singular value beside the draws of the nulls at its index."""

    index: int
    """From 1."""
    value: float
    nulls: tuple[Interval | None, ...]
    """Smallest and largest draw of each null; None where it has no such index."""


@dataclass(frozen=True)
class NullRow:
    """The spectrum against one null."""

    name: str
    label: str
    draws: int
    leading: int
    """Leading values above every draw."""
    leading_interval: Interval
    """95 %, from halves of the normals against halves of the draws."""
    largest: Interval
    """Of the largest values of the draws."""
    participation_ratio: Interval
    """Smallest and largest of the draws."""
    ratio: float
    """The normals' largest value over the largest of all draws."""


@dataclass(frozen=True)
class DimensionRow:
    """One definition of how many directions the spectrum fills."""

    name: str
    label: str
    value: float
    interval: Interval
    """95 %, from halves of the normals."""
    noise: float | None
    """Of random directions, in closed form; 0 for a threshold; None where there is none."""
    nulls: tuple[Interval, ...]
    """Smallest and largest draw of each null."""


@dataclass(frozen=True)
class StabilityRow:
    """What the first R directions of two disjoint halves share."""

    dimension: int
    shared: float
    """Mean squared cosine of the principal angles, mean over splits."""
    spread: Interval
    """Smallest and largest over the splits."""
    random: float
    """R / D."""
    random_largest: float
    """The largest of the simulated random pairs."""
    angles: tuple[float, float, float]
    """Smallest, median and largest principal angle, degrees, median over splits."""
    random_angles: tuple[float, float, float]
    """The same of random subspaces."""


@dataclass(frozen=True)
class GroupRow:
    """The normals of one class or one pair of classes."""

    kind: str
    classes: tuple[int, ...]
    count: int
    largest: float
    """Share of their energy in their leading direction."""
    participation_ratio: float
    noise: float
    """Participation ratio of as many random directions."""
    mean_cosine: float
    """Of two different normals."""


@dataclass(frozen=True)
class MeansRow:
    """The share of the normals' energy that lies in means of groups."""

    kind: str
    share: float
    interval: Interval
    """95 %, from halves of the normals."""


@dataclass(frozen=True)
class ExplainedRow:
    """How much of the first R directions of one half the other half explains."""

    dimension: int
    pair_means: float
    """By the span of its pair means, mean over splits."""
    spread: Interval
    """Smallest and largest over the splits."""
    rank: float
    """Dimension of that span, mean over splits."""
    leading: float
    """By as many of its leading directions."""
    random: float
    """By as many random directions."""


@dataclass(frozen=True)
class SpectrumNumbers:
    """What the spectrum and its nulls come to."""

    normals: int
    """n."""
    dimension: int
    """D."""
    left_out: int
    fitted: int
    """Normals that made the directions of the captured energy."""
    held_out: int
    """Normals that it is measured on."""
    splits: int
    """In two halves."""
    largest: float
    lower_edge: float
    """Of the law of Marchenko and Pastur, as a singular value."""
    upper_edge: float
    floor: float
    below_floor: int
    trusted: int
    """Leading values with a relative error of 1 % at most."""
    method: str
    nulls: tuple[NullRow, ...]
    dimensions: tuple[DimensionRow, ...]
    values: tuple[ValueRow, ...]
    stability: tuple[StabilityRow, ...]
    means: tuple[MeansRow, ...]
    explained: tuple[ExplainedRow, ...]
    groups: tuple[GroupRow, ...]
    ungrouped: tuple[int, int]
    """Normals whose class, and whose pair, is not among the rows."""


def energy_rows(result: SpectrumResult, *also: int) -> tuple[EnergyRow, ...]:
    """Return captured energy at R = 1, 2, 5, 10, ... and all that were kept.

    Args:
        result: With the energies.
        also: Further R; the largest that was kept stands for one that is larger.
    """
    energy = result.energy
    low, high = energy.interval()
    return tuple(
        EnergyRow(
            dimension=R,
            held_out=float(energy.mean[R - 1]),
            interval=Interval(float(low[R - 1]), float(high[R - 1])),
            in_sample=float(energy.in_sample[R - 1]),
            isotropic=float(energy.isotropic[R - 1]),
        )
        for R in _round_numbers(len(energy.in_sample), *also)
    )


def spectrum_numbers(result: SpectrumResult, *also: int) -> SpectrumNumbers:
    """Return the numbers of the spectrum, of its nulls, and of what halves and classes share.

    Args:
        result: With the spectra.
        also: Further R of the tables that go by R.
    """
    spectrum = result.spectrum
    values = spectrum.singular_values
    edges = marchenko_pastur_edges(spectrum.count, spectrum.dimension)
    return SpectrumNumbers(
        normals=spectrum.count,
        dimension=spectrum.dimension,
        left_out=result.left_out,
        fitted=result.energy.fitted,
        held_out=len(result.energy.held_out),
        splits=len(result.halves.overlaps.cosines),
        largest=float(values[0]),
        lower_edge=edges[0],
        upper_edge=edges[1],
        floor=spectrum.floor,
        below_floor=int((values < spectrum.floor).sum()),
        trusted=spectrum.trusted(),
        method=spectrum.method,
        nulls=null_rows(result),
        dimensions=dimension_rows(result),
        values=tuple(
            _value_row(result, place) for place in range(min(_LISTED_VALUES, len(values)))
        ),
        stability=stability_rows(result, *also),
        means=means_rows(result),
        explained=explained_rows(result, *also),
        groups=tuple(
            _group_row(groups, place, spectrum.dimension)
            for groups in (result.by_source, result.by_pair)
            for place in range(len(groups.counts))
        ),
        ungrouped=(result.by_source.left_out, result.by_pair.left_out),
    )


def null_rows(result: SpectrumResult) -> tuple[NullRow, ...]:
    """Return the spectrum against each null, weakest first."""
    return tuple(_null_row(result, null) for null in result.nulls)


def dimension_rows(result: SpectrumResult) -> tuple[DimensionRow, ...]:
    """Return how many directions the spectrum fills, by every definition, beside the nulls."""
    spectrum = result.spectrum
    noise = {
        **asdict(noise_dimensions(spectrum.count, spectrum.dimension)),
        "gavish_donoho": 0.0,
    }
    of_nulls = [null_dimensions(null) for null in result.nulls]
    return tuple(
        DimensionRow(
            name=name,
            label=DIMENSION_LABELS[name],
            value=found.value,
            interval=found.interval,
            noise=noise[name],
            nulls=tuple(_range(draws[name]) for draws in of_nulls),
        )
        for name, found in estimated_dimensions(spectrum, result.halves).items()
    )


def stability_rows(result: SpectrumResult, *also: int) -> tuple[StabilityRow, ...]:
    """Return what two halves share, at R = 1, 2, 5, 10, ... and all that were compared."""
    overlaps = result.halves.overlaps
    shared = overlaps.mean_squared_cosine
    return tuple(
        StabilityRow(
            dimension=R,
            shared=float(shared[:, R - 1].mean()),
            spread=_range(shared[:, R - 1]),
            random=R / result.spectrum.dimension,
            random_largest=float(result.random.mean_squared_cosine[:, R - 1].max()),
            angles=_angles(overlaps, R),
            random_angles=_angles(result.random, R),
        )
        for R in _round_numbers(len(overlaps.dimensions), *also)
    )


def means_rows(result: SpectrumResult) -> tuple[MeansRow, ...]:
    """Return the share of the energy in the mean, in the means by source, and by pair."""
    means = result.means
    rows = []
    for kind, share, halves in zip(_MEANS, means.energy, means.energy_of_halves, strict=True):
        reach = reach_of_halves(halves)
        rows.append(MeansRow(kind, float(share), Interval(share - reach, share + reach)))
    return tuple(rows)


def explained_rows(result: SpectrumResult, *also: int) -> tuple[ExplainedRow, ...]:
    """Return how much of S_f pair means explain, at R = 1, 2, 5, 10, ... and all."""
    means = result.means
    rank = float(means.rank.mean())
    return tuple(
        ExplainedRow(
            dimension=R,
            pair_means=float(means.explained[:, R - 1].mean()),
            spread=_range(means.explained[:, R - 1]),
            rank=rank,
            leading=float(means.rival[:, R - 1].mean()),
            random=rank / result.spectrum.dimension,
        )
        for R in _round_numbers(means.explained.shape[1], *also)
    )


def _null_row(result: SpectrumResult, null: Null) -> NullRow:
    values = result.spectrum.singular_values
    leading = null.leading(values)
    of_halves = null.leading_of_halves(result.halves.singular_values)
    interval = estimate_from_halves(leading, of_halves, offset=1.0).interval
    return NullRow(
        name=null.name,
        label=NULL_LABELS[null.name],
        draws=len(null.singular_values),
        leading=leading,
        leading_interval=Interval(interval.low, min(interval.high, float(len(values)))),
        largest=_range(null.singular_values[:, 0]),
        participation_ratio=_range(null_dimensions(null)["participation_ratio"]),
        ratio=float(values[0] / null.singular_values.max()),
    )


def _value_row(result: SpectrumResult, place: int) -> ValueRow:
    bands = (null.band for null in result.nulls)
    beside = tuple(
        Interval(float(low[place]), float(high[place])) if place < len(low) else None
        for low, high in bands
    )
    return ValueRow(place + 1, float(result.spectrum.singular_values[place]), beside)


def _group_row(groups: GroupSpectra, place: int, dimension: int) -> GroupRow:
    count = int(groups.counts[place])
    return GroupRow(
        kind=groups.by,
        classes=tuple(int(name) for name in groups.classes[place] if name >= 0),
        count=count,
        largest=float(groups.energy[place, 0]),
        participation_ratio=float(groups.participation_ratio[place]),
        noise=float(random_participation_ratio(count, dimension)),
        mean_cosine=float(groups.mean_cosine[place]),
    )


def _angles(overlaps: Overlaps, dimension: int) -> tuple[float, float, float]:
    found = np.degrees(overlaps.angles(dimension))
    smallest, middle, largest = np.median(np.quantile(found, [0, 0.5, 1], axis=1), axis=1)
    return float(smallest), float(middle), float(largest)


def _range(values: NDArray[np.float64]) -> Interval:
    return Interval(float(values.min()), float(values.max()))


def _round_numbers(most: int, *also: int) -> list[int]:
    """Return 1, 2, 5, 10, ... up to a number, that number, and others, cut at it."""
    steps = {step * 10**power for power in range(7) for step in (1, 2, 5)}
    return sorted({R for R in steps if most >= R} | {min(R, most) for R in also} | {most})
