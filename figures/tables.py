"""The rows of the report's tables: every number once, for the page and for ``numbers.json``."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import FoolingRate, compare
from analysis.intervals import Interval
from analysis.nulls import marchenko_pastur_edges
from analysis.results import FoolingResult, SpectrumResult
from figures.rates import SPHERE, SUBSPACE, clip_policies, rates_by_norm, same_norm

_LISTED_VALUES = 10


@dataclass(frozen=True)
class RateRow:
    """One fooling rate."""

    family: str
    dimension: int
    """R; D for the sphere."""
    norm: float
    share_of_image_norm: float | None
    """Norm over the mean image norm."""
    clipped: bool
    draws: int
    count: int
    """k, fooled."""
    total: int
    """n, draws times images."""
    rate: float
    interval: Interval
    interval_kind: str
    """``Wilson`` over the images, or ``bootstrap`` over draws and images."""


@dataclass(frozen=True)
class PairRow:
    """The subspace against the sphere at one norm, in pairs."""

    norm: float
    share_of_image_norm: float | None
    clipped: bool
    subspace: float
    """Fooling rate."""
    sphere: float
    difference: float
    """Of the rates, subspace minus sphere."""
    difference_interval: Interval
    ratio: float | None
    """None where the sphere fools no image."""
    ratio_interval: Interval

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, which it contains where this is 0."""
        return int(self.difference_interval.low > 0) - int(self.difference_interval.high < 0)


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
    """One singular value beside the draws of the isotropic null at its index."""

    index: int
    """From 1."""
    value: float
    null_low: float
    null_high: float


@dataclass(frozen=True)
class SpectrumNumbers:
    """What the spectrum and its isotropic null come to."""

    normals: int
    """n."""
    dimension: int
    """D."""
    left_out: int
    fitted: int
    """Normals that made the directions of the captured energy."""
    held_out: int
    """Normals that it is measured on."""
    leading: int
    """Leading values above every draw of the null."""
    largest: float
    null_draws: int
    null_largest: float
    """The largest of all draws."""
    lower_edge: float
    """Of the law of Marchenko and Pastur, as a singular value."""
    upper_edge: float
    floor: float
    below_floor: int
    participation_ratio: float
    """(sum of squares)^2 / (sum of fourth powers): 1 if all normals are one line."""
    null_participation_ratio: float
    """Mean over the draws."""
    stable_rank: float
    """Sum of squares over the largest square."""
    null_stable_rank: float
    """Mean over the draws."""
    values: tuple[ValueRow, ...]


def rate_rows(result: FoolingResult) -> tuple[RateRow, ...]:
    """Return every fooling rate, unclipped first, by family, dimension and norm."""
    rates = sorted(
        result.rates,
        key=lambda rate: (rate.clipped, rate.family, rate.subspace_dimension, rate.norm),
    )
    return tuple(_rate_row(rate, result) for rate in rates)


def pair_rows(result: FoolingResult) -> tuple[PairRow, ...]:
    """Return the subspace of the reference dimension against the sphere at every common norm."""
    return tuple(
        _pair_row(subspace, sphere, result)
        for clipped in clip_policies(result)
        for subspace in rates_by_norm(result, SUBSPACE, clipped)
        for sphere in rates_by_norm(result, SPHERE, clipped)
        if same_norm(subspace.norm, sphere.norm)
    )


def energy_rows(result: SpectrumResult, *also: int) -> tuple[EnergyRow, ...]:
    """Return captured energy at R = 1, 2, 5, 10, ... and all that were kept.

    Args:
        result: With the energies.
        also: Further R; the largest that was kept stands for one that is larger.
    """
    energy = result.energy
    kept = len(energy.in_sample)
    round_numbers = {step * 10**power for power in range(7) for step in (1, 2, 5)}
    chosen = {R for R in round_numbers if kept >= R} | {min(R, kept) for R in also} | {kept}
    low, high = energy.interval()
    return tuple(
        EnergyRow(
            dimension=R,
            held_out=float(energy.mean[R - 1]),
            interval=Interval(float(low[R - 1]), float(high[R - 1])),
            in_sample=float(energy.in_sample[R - 1]),
            isotropic=float(energy.isotropic[R - 1]),
        )
        for R in sorted(chosen)
    )


def spectrum_numbers(result: SpectrumResult) -> SpectrumNumbers:
    """Return the numbers of the spectrum and of its null."""
    spectrum, null = result.spectrum, result.null
    values = spectrum.singular_values
    low, high = null.band
    edges = marchenko_pastur_edges(null.count, null.dimension)
    return SpectrumNumbers(
        normals=spectrum.count,
        dimension=spectrum.dimension,
        left_out=result.left_out,
        fitted=result.energy.fitted,
        held_out=len(result.energy.held_out),
        leading=null.leading(values),
        largest=float(values[0]),
        null_draws=len(null.singular_values),
        null_largest=float(high[0]),
        lower_edge=edges[0],
        upper_edge=edges[1],
        floor=spectrum.floor,
        below_floor=int((values < spectrum.floor).sum()),
        participation_ratio=float(_participation_ratio(values)),
        null_participation_ratio=float(_participation_ratio(null.singular_values).mean()),
        stable_rank=float(_stable_rank(values)),
        null_stable_rank=float(_stable_rank(null.singular_values).mean()),
        values=tuple(
            ValueRow(place + 1, float(values[place]), float(low[place]), float(high[place]))
            for place in range(min(_LISTED_VALUES, len(values)))
        ),
    )


def share_of_image_norm(norm: float, result: FoolingResult) -> float | None:
    """Return a norm over the mean image norm; None if that is zero."""
    mean = result.mean_image_norm
    return norm / mean if mean > 0 and isfinite(mean) else None


def _rate_row(rate: FoolingRate, result: FoolingResult) -> RateRow:
    return RateRow(
        family=rate.family,
        dimension=rate.subspace_dimension,
        norm=rate.norm,
        share_of_image_norm=share_of_image_norm(rate.norm, result),
        clipped=rate.clipped,
        draws=len(rate.fooled),
        count=rate.count,
        total=rate.total,
        rate=rate.rate,
        interval=rate.interval,
        interval_kind=rate.interval_kind,
    )


def _pair_row(subspace: FoolingRate, sphere: FoolingRate, result: FoolingResult) -> PairRow:
    found = compare(subspace, sphere)
    return PairRow(
        norm=subspace.norm,
        share_of_image_norm=share_of_image_norm(subspace.norm, result),
        clipped=subspace.clipped,
        subspace=subspace.rate,
        sphere=sphere.rate,
        difference=found.difference,
        difference_interval=found.difference_interval,
        ratio=found.ratio if isfinite(found.ratio) else None,
        ratio_interval=found.ratio_interval,
    )


def _participation_ratio(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values**2).sum(-1) ** 2 / (values**4).sum(-1))


def _stable_rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values**2).sum(-1) / values.max(-1) ** 2)
