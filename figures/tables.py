"""The rows of the report's tables of fooling rates, for the page and for ``numbers.json``."""

from dataclasses import dataclass
from math import isclose, isfinite

import numpy as np

from analysis.fooling import FoolingRate
from analysis.intervals import Interval
from analysis.results import FoolingResult, MadeUniversal, UniversalResult
from figures.rates import family_label, ranked_rates

_MOST_CLASSES = 20
"""Classes in the table of rates by class."""


@dataclass(frozen=True)
class PlainRate:
    """A fooling rate as numbers."""

    count: int
    total: int
    rate: float
    interval: Interval


@dataclass(frozen=True)
class UniversalRow:
    """One universal perturbation."""

    family: str
    label: str
    norm: float
    """lp, input units."""
    p: str
    l2: float
    """Its Euclidean norm."""
    images_used: int
    backward_passes: int
    own: PlainRate
    """On the images that made it."""
    others: PlainRate
    own_clipped: PlainRate
    others_clipped: PlainRate
    noise: PlainRate
    """Of random directions, or signs, of the same norm, on the others, not clipped."""


@dataclass(frozen=True)
class FamilyRow:
    """One family at the reference norm, among all in the order of their rates."""

    family: str
    label: str
    dimension: int
    """R; D where it is not confined."""
    draws: int
    count: int
    """k, fooled."""
    total: int
    """n, draws times images."""
    rate: float
    interval: Interval
    lowest: float
    """Rate of the draw that fools least."""
    highest: float
    correct: PlainRate | None
    """On the images that are classified correctly; None where no label is known."""


def family_rows(result: FoolingResult, clipped: bool) -> tuple[FamilyRow, ...]:
    """Return every family at the reference norm, the highest rate first."""
    rates = ranked_rates(result, clipped)
    correct = (result.labels >= 0) & (result.labels == result.predictions)
    return tuple(
        FamilyRow(
            family=rate.family,
            label=family_label(rate.family),
            dimension=rate.subspace_dimension,
            draws=len(rate.fooled),
            count=rate.count,
            total=rate.total,
            rate=rate.rate,
            interval=rate.interval,
            lowest=float(rate.fooled.mean(1).min()),
            highest=float(rate.fooled.mean(1).max()),
            correct=_plain_rate(rate.among(correct)) if correct.any() else None,
        )
        for rate in rates
    )


def universal_rows(result: UniversalResult) -> tuple[UniversalRow, ...]:
    """Return every universal perturbation with its rates, as Table 1 of the CVPR 2017 paper."""
    return tuple(
        UniversalRow(
            family=made.family,
            label=family_label(made.family),
            norm=made.own[0].norm,
            p="2" if made.own[0].p == 2 else "∞",
            l2=float(np.linalg.norm(made.vector)),
            images_used=made.images_used,
            backward_passes=made.backward_passes,
            own=_plain_rate(made.own[0]),
            others=_plain_rate(made.others[0]),
            own_clipped=_plain_rate(made.own[1]),
            others_clipped=_plain_rate(made.others[1]),
            noise=_plain_rate(noise_of(result, made)),
        )
        for made in result.found
    )


def noise_of(result: UniversalResult, made: MadeUniversal) -> FoolingRate:
    """Return the rate of random directions, or signs, of a perturbation's norm, not clipped."""
    own = made.own[0]
    return next(
        rate
        for rate in result.noise
        if rate.p == own.p and not rate.clipped and isclose(rate.norm, own.norm, rel_tol=1e-6)
    )


def _plain_rate(rate: FoolingRate) -> PlainRate:
    return PlainRate(rate.count, rate.total, rate.rate, rate.interval)


def share_of_image_norm(norm: float, result: FoolingResult) -> float | None:
    """Return a norm over the mean image norm; None if that is zero."""
    return over(norm, result.mean_image_norm)


def over(norm: float, unit: float) -> float | None:
    """Return a norm in a unit; None where the unit is none."""
    return norm / unit if unit > 0 and isfinite(unit) else None
