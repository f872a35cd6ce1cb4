"""The rows of the report's tables of fooling rates, for the page and for ``numbers.json``."""

from dataclasses import dataclass
from math import isfinite

from analysis.fooling import FoolingRate, compare
from analysis.intervals import Interval
from analysis.results import FoolingResult
from figures.rates import SPHERE, SUBSPACE, clip_policies, rates_by_norm, same_norm


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
