"""Numbers of a spectrum, its nulls and its halves, by R, for sliders and comparisons of runs."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.dimension import (
    estimated_dimensions,
    leading_estimate,
    noise_dimensions,
    null_dimensions,
)
from analysis.intervals import Interval
from analysis.nulls import Null
from analysis.results import SpectrumResult
from figures.formats import round_numbers
from figures.listed import DIMENSION_LABELS, NULL_LABELS


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
        for R in round_numbers(len(energy.in_sample), *also)
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
        )
        for R in round_numbers(len(overlaps.dimensions), *also)
    )


def _null_row(result: SpectrumResult, null: Null) -> NullRow:
    values = result.spectrum.singular_values
    leading = leading_estimate(null, values, result.halves)
    return NullRow(
        name=null.name,
        label=NULL_LABELS[null.name],
        draws=len(null.singular_values),
        leading=int(leading.value),
        leading_interval=leading.interval,
        largest=_range(null.singular_values[:, 0]),
        participation_ratio=_range(null_dimensions(null)["participation_ratio"]),
        ratio=float(values[0] / null.singular_values.max()),
    )


def _range(values: NDArray[np.float64]) -> Interval:
    return Interval(float(values.min()), float(values.max()))
