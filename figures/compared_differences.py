"""How runs differ from each other: fooling rates, numbers with intervals, and subspaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy.stats import norm

from analysis.comparisons import compare_all
from analysis.fooling import FoolingRate
from analysis.intervals import Estimate, Interval, difference_of_independent
from figures.compared import ComparedRun, Comparison
from figures.rates import family_label


@dataclass(frozen=True)
class RunDifference:
    """One number of a run less that of another."""

    first: str
    """Name of the run."""
    second: str
    difference: float
    interval: Interval
    """95 %."""
    paired: bool
    """Whether both are of the same images, subtracted one by one."""

    @property
    def sign(self) -> int:
        """Of the interval: 0 where it contains 0."""
        return self.interval.sign


@dataclass(frozen=True)
class FamilyDifferences:
    """The rates of one family at one norm of each run, and the differences of all pairs of runs."""

    family: str
    label: str
    clipped: bool
    equal: bool
    """Whether at the equal norm, or at the reference norm of each."""
    runs: tuple[str, ...]
    """Names of those that tried it."""
    rates: tuple[float, ...]
    intervals: tuple[Interval, ...]
    norms: tuple[float, ...]
    """Input units."""
    pairs: tuple[RunDifference, ...]
    """Intervals hold for all pairs together."""


@dataclass(frozen=True)
class SharedSubspaces:
    """What the subspaces of two runs, made of images of one shape, have in common."""

    first: str
    second: str
    dimension: int
    """R."""
    shared: float
    """Mean squared cosine of the principal angles."""
    random: float
    """R / D."""
    random_largest: float
    """The largest of simulated pairs of random subspaces."""
    halves: tuple[float, float]
    """What two halves of the normals of each run share, mean over splits."""

    @property
    def beyond_random(self) -> bool:
        """Whether they share more than every simulated pair of random subspaces."""
        return self.shared > self.random_largest


def family_differences_of_runs(comparison: Comparison) -> tuple[FamilyDifferences, ...]:
    """Return every common family at the reference norms, then at the equal norm if it is another.

    Clipped ones follow those that are not.
    """
    equal = comparison.equal_norm is not None and not comparison.equal_is_reference
    return tuple(
        found
        for clipped in comparison.clips
        for at_equal in ((False, True) if equal else (False,))
        for family in comparison.families
        if (found := differences_of(comparison, family, clipped, equal=at_equal))
    )


def differences_of(
    comparison: Comparison, family: str, clipped: bool, *, equal: bool
) -> FamilyDifferences | None:
    """Return how the rates of one family differ between runs; None where fewer than two have it.

    Args:
        comparison: The runs.
        family: Its name.
        clipped: Which clip policy.
        equal: At the equal norm, in place of the reference norm of each.
    """
    found = comparison.rates(family, clipped, equal=equal)
    there = [(place, rate) for place, rate in enumerate(found) if rate is not None]
    if len(there) < 2:
        return None
    places, rates = zip(*there, strict=True)
    names = tuple(comparison.names[place] for place in places)
    judged = [comparison.judged[place] for place in places]
    ordered = [_in_order_of_ids(rate, comparison.runs[place]) for place, rate in there]
    return FamilyDifferences(
        family=family,
        label=family_label(family),
        clipped=clipped,
        equal=equal,
        runs=names,
        rates=tuple(rate.rate for rate in rates),
        intervals=tuple(rate.interval for rate in rates),
        norms=tuple(rate.norm for rate in rates),
        pairs=tuple(
            RunDifference(
                names[pair.first],
                names[pair.second],
                pair.difference,
                pair.interval,
                judged[pair.first] == judged[pair.second],
            )
            for pair in compare_all(ordered, judged)
        ),
    )


def independent_differences(
    names: Sequence[str], estimates: Sequence[Estimate | None]
) -> tuple[RunDifference, ...]:
    """Return the differences of all pairs of runs, as of independent samples.

    Their intervals hold for all pairs together, by Bonferroni: the 95 % ones of the runs are
    stretched as those of normal estimates would be.

    Args:
        names: Of the runs.
        estimates: Of each; None where it has none.
    """
    there = [
        (name, found) for name, found in zip(names, estimates, strict=True) if found is not None
    ]
    pairs = list(combinations(there, 2))
    stretch = norm.ppf(1 - 0.025 / max(len(pairs), 1)) / norm.ppf(0.975)
    found = []
    for (first, one), (second, other) in pairs:
        of = difference_of_independent(one, other)
        ends = (
            of.value + stretch * (end - of.value) for end in (of.interval.low, of.interval.high)
        )
        found.append(RunDifference(first, second, of.value, Interval(*ends), paired=False))
    return tuple(found)


@lru_cache(maxsize=1)
def shared_subspaces(comparison: Comparison) -> tuple[SharedSubspaces, ...]:
    """Return what the subspaces of every two runs share whose images have one shape."""
    return tuple(
        _shared(first, second, comparison.dimension)
        for first, second in combinations(comparison.runs, 2)
        if first.shape == second.shape
    )


def _shared(first: ComparedRun, second: ComparedRun, dimension: int) -> SharedSubspaces:
    one, other = (run.results.spectrum.spectrum.subspace(dimension) for run in (first, second))
    halves = [run.stability(dimension) for run in (first, second)]
    return SharedSubspaces(
        first=first.name,
        second=second.name,
        dimension=dimension,
        shared=one.mean_squared_cosine(other),
        random=halves[0].random,
        random_largest=max(row.random_largest for row in halves),
        halves=(halves[0].shared, halves[1].shared),
    )


def _in_order_of_ids(rate: FoolingRate, run: ComparedRun) -> FoolingRate:
    """Return a rate whose images are in the order of their ids, the same for all runs."""
    ids = run.results.fooling.image_ids
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__))
    return rate.among(order)
