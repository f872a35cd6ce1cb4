"""The fooling rates of a result, chosen and put in order."""

from collections.abc import Callable, Iterable
from math import isclose

from analysis.fooling import FoolingRate
from analysis.perturbations import SUBSPACE
from analysis.results import FoolingResult
from figures.family import SUBSPACES


def rates_by_norm(result: FoolingResult, family: str, clipped: bool) -> list[FoolingRate]:
    """Return one family's rates by norm; of a subspace those at the reference dimension.

    Args:
        result: Of the stage.
        family: Its name.
        clipped: Which clip policy.
    """
    dimension = result.reference_dimension if family in SUBSPACES else None
    chosen = _choose(result.rates, family, clipped, dimension)
    return _without_repeats(chosen, lambda rate: rate.norm)


def rates_by_dimension(result: FoolingResult, family: str = SUBSPACE) -> list[FoolingRate]:
    """Return the rates of a subspace at the reference norm by dimension, not clipped."""
    chosen = [
        rate
        for rate in _choose(result.rates, family, False, None)
        if same_norm(rate.norm, result.reference_norm)
    ]
    return _without_repeats(chosen, lambda rate: float(rate.subspace_dimension))


def reference_rate(result: FoolingResult, family: str, clipped: bool) -> FoolingRate | None:
    """Return a family's rate at the reference norm (and dimension); None if it was not taken."""
    for rate in rates_by_norm(result, family, clipped):
        if same_norm(rate.norm, result.reference_norm):
            return rate
    return None


def ranked_rates(result: FoolingResult, clipped: bool) -> list[FoolingRate]:
    """Return one rate a family at the reference norm (and dimension), the highest first."""
    families = dict.fromkeys(rate.family for rate in result.rates)
    found = [reference_rate(result, family, clipped) for family in families]
    return sorted((rate for rate in found if rate), key=lambda rate: -rate.rate)


def same_norm(first: float, second: float) -> bool:
    """Return whether two norms are one, but for rounding."""
    return isclose(first, second, rel_tol=1e-9)


def _choose(
    rates: Iterable[FoolingRate], family: str, clipped: bool, dimension: int | None
) -> list[FoolingRate]:
    return [
        rate
        for rate in rates
        if rate.family == family
        and rate.clipped == clipped
        and (dimension is None or rate.subspace_dimension == dimension)
    ]


def _without_repeats(
    rates: Iterable[FoolingRate], key: Callable[[FoolingRate], float]
) -> list[FoolingRate]:
    """Return the rates in order of ``key``, the first of those where it is equal."""
    kept: list[FoolingRate] = []
    for rate in sorted(rates, key=key):
        if not kept or not same_norm(key(kept[-1]), key(rate)):
            kept.append(rate)
    return kept
