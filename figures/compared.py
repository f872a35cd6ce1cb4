"""Finished runs side by side: which images they share, and at which norms they meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import isclose, log

import numpy as np
import pandas as pd

from analysis.comparisons import compare_all
from analysis.fooling import FoolingRate
from analysis.intervals import Interval
from analysis.perturbations import SUBSPACE
from figures.rates import ranked_rates, rates_by_norm, same_norm
from figures.run_results import RunResults
from figures.table import table_of_run

_SAME_SHARE, _ROUNDING = 1e-3, 1e-9
"""Relative differences below which norms are one: as shares of the mean image norm, and as such."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One of several runs."""

    name: str
    """By which it is told from the others."""
    model: str
    weights: str
    """SHA-256 of the model's weights; empty where it is not recorded."""
    images: str
    """Name of the source of the images."""
    directory: str
    """Where it lies, seen from the folder of the comparison."""
    results: RunResults

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every number of the run."""
        return table_of_run(self.results)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.results.spectrum.image_shape)


@dataclass(frozen=True)
class RunDifference:
    """The fooling rate of a family in one run less that in another, at the equal norm."""

    family: str
    first: str
    """Name of the run."""
    second: str
    difference: float
    interval: Interval
    """95 %, for all pairs of runs together."""
    paired: bool
    """Whether both are of the same images, subtracted one by one."""


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


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side, in the order in which they were named."""

    runs: tuple[ComparedRun, ...]
    """Two at least, of different names."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs."""
        return tuple(run.name for run in self.runs)

    @cached_property
    def dimension(self) -> int:
        """R at which subspaces are compared: the smallest reference R, or all that were kept."""
        return min(
            min(
                run.results.fooling.reference_dimension,
                len(run.results.spectrum.spectrum.directions),
                len(run.results.spectrum.halves.overlaps.dimensions),
            )
            for run in self.runs
        )

    @cached_property
    def judged(self) -> tuple[int, ...]:
        """For each run the number of its set of images: equal where rates are compared in pairs."""
        numbers: list[int] = []
        for place, run in enumerate(self.runs):
            earlier = zip(self.runs, numbers, strict=False)
            alike = (number for other, number in earlier if same_images(other, run))
            numbers.append(next(alike, place))
        return tuple(numbers)

    @cached_property
    def equal_norms(self) -> tuple[float | None, ...]:
        """Of each run the norm that most were tried at, input units; None of one that was not.

        Norms are one as shares of the mean image norm or, of images of one shape, in input units.
        Of several it is the one nearest to the reference norms, of two as near the smaller.
        """
        results = [run.results.fooling for run in self.runs]
        units = [([of.mean_image_norm for of in results], _SAME_SHARE)] + [
            ([float(run.shape == shape) for run in self.runs], _ROUNDING)
            for shape in dict.fromkeys(run.shape for run in self.runs)
        ]
        best: tuple[tuple[float, ...], dict[int, float]] = ((0.0,), {})
        for place, (unit, tolerance) in enumerate(units):
            tried = [
                (run, rate.norm, rate.norm / unit[run], result.reference_norm / unit[run])
                for run, result in enumerate(results)
                if unit[run] > 0
                for rate in rates_by_norm(result, SUBSPACE, False)
            ]
            for *_, size, _ in tried:
                alike = [one for one in tried if isclose(one[2], size, rel_tol=tolerance)]
                norms = {run: norm for run, norm, *_ in alike}
                far = abs(log(size) - float(np.mean([log(wanted) for *_, wanted in alike])))
                rank = (-len(norms), place, round(far, 9), size)
                best = min(best, (rank, norms), key=lambda known: known[0])
        found = best[1] if len(best[1]) > 1 else {}
        return tuple(found.get(run) for run in range(len(self.runs)))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the runs that were not tried at the equal norm."""
        pairs = zip(self.names, self.equal_norms, strict=True)
        return tuple(name for name, norm in pairs if norm is None)

    @property
    def equal_is_reference(self) -> bool:
        """Whether the reference norms of all runs are themselves the equal one."""
        both = zip(self.equal_norms, self.runs, strict=True)
        return all(
            norm is not None and same_norm(norm, run.results.fooling.reference_norm)
            for norm, run in both
        )

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Those that two runs or more were tried with, the highest rates of the first run first."""
        seen = [
            rate.family for run in self.runs for rate in ranked_rates(run.results.fooling, False)
        ]
        return tuple(family for family in dict.fromkeys(seen) if seen.count(family) > 1)

    def rates(self, family: str) -> list[FoolingRate | None]:
        """Return a family's rate of every run at the equal norm, not clipped; None: not taken."""
        return [
            None
            if norm is None
            else next(
                (
                    rate
                    for rate in rates_by_norm(run.results.fooling, family, False)
                    if same_norm(rate.norm, norm)
                ),
                None,
            )
            for run, norm in zip(self.runs, self.equal_norms, strict=True)
        ]

    @cached_property
    def differences(self) -> tuple[RunDifference, ...]:
        """Of every family and pair of runs, at the equal norm."""
        return tuple(pair for family in self.families for pair in self._differences(family))

    def _differences(self, family: str) -> list[RunDifference]:
        both = zip(self.runs, self.judged, self.rates(family), strict=True)
        tried = [(run, images, rate) for run, images, rate in both if rate is not None]
        if len(tried) < 2:
            return []
        judged = [images for _, images, _ in tried]
        ordered = [_in_order_of_ids(rate, run) for run, _, rate in tried]
        return [
            RunDifference(
                family,
                tried[pair.first][0].name,
                tried[pair.second][0].name,
                pair.difference,
                pair.interval,
                judged[pair.first] == judged[pair.second],
            )
            for pair in compare_all(ordered, judged)
        ]

    @cached_property
    def shared(self) -> tuple[SharedSubspaces, ...]:
        """What the subspaces of every two runs share whose images have one shape."""
        pairs = combinations(self.runs, 2)
        return tuple(
            _shared(*pair, self.dimension) for pair in pairs if pair[0].shape == pair[1].shape
        )


def _shared(first: ComparedRun, second: ComparedRun, R: int) -> SharedSubspaces:
    spectra = [run.results.spectrum for run in (first, second)]
    one, other = (spectrum.spectrum.subspace(R) for spectrum in spectra)
    random = [spectrum.random.mean_squared_cosine[:, R - 1].max() for spectrum in spectra]
    halves = [spectrum.halves.overlaps.mean_squared_cosine[:, R - 1].mean() for spectrum in spectra]
    return SharedSubspaces(
        first.name,
        second.name,
        R,
        shared=one.mean_squared_cosine(other),
        random=R / spectra[0].spectrum.dimension,
        random_largest=float(max(random)),
        halves=(float(halves[0]), float(halves[1])),
    )


def same_images(first: ComparedRun, second: ComparedRun) -> bool:
    """Return whether the fooling rates of two runs were taken on the same images.

    They were if the ids and the true classes are the same, and the few pictures that results hold
    too; where these are of other sizes or in another order, the sources must have one name.
    """
    one, other = first.results.fooling, second.results.fooling
    labels = [dict(zip(of.image_ids, of.labels.tolist(), strict=True)) for of in (one, other)]
    if labels[0] != labels[1]:
        return False
    if one.image_ids == other.image_ids and first.shape == second.shape:
        return bool(np.array_equal(one.examples.clean, other.examples.clean))
    return first.images == second.images


def told_of_runs(names: Sequence[str], texts: Sequence[str]) -> str:
    """Return what is said of each run: once where it is the same of all."""
    if len(set(texts)) == 1:
        return texts[0]
    return "; ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True))


def _in_order_of_ids(rate: FoolingRate, run: ComparedRun) -> FoolingRate:
    """Return a rate whose images are in the order of their ids, the same for all runs."""
    ids = run.results.fooling.image_ids
    return rate.among(np.array(sorted(range(len(ids)), key=ids.__getitem__)))
