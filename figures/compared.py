"""Finished runs side by side: which images they share, and at which norms they meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fooling import FoolingRate
from analysis.intervals import Estimate, median_estimate
from figures.compared_norms import EqualNorm, most_tried_norm
from figures.rates import ranked_rates, rates_by_norm, reference_rate, same_norm
from figures.run_results import RunResults
from figures.spectrum_tables import EnergyRow, StabilityRow, energy_rows, stability_rows
from figures.tables import share_of_image_norm


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

    @property
    def seed(self) -> int:
        """Of the choice of images, of the nulls and of the draws."""
        return self.results.fooling.seed

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.results.spectrum.image_shape)

    @property
    def share(self) -> float | None:
        """The reference norm over the mean image norm; None if that is zero."""
        fooling = self.results.fooling
        return share_of_image_norm(fooling.reference_norm, fooling)

    @cached_property
    def margin(self) -> Estimate | None:
        """Median margin with its interval, input units; None if there is no boundary point."""
        found = self.results.collection
        margins = found.margin[found.on_boundary]
        return median_estimate(margins) if len(margins) else None

    def energy(self, dimension: int) -> EnergyRow:
        """Return the energy of held-out normals in the first directions."""
        rows = energy_rows(self.results.spectrum, dimension)
        return next(row for row in rows if row.dimension == dimension)

    def stability(self, dimension: int) -> StabilityRow:
        """Return what two halves of the normals share in the first directions."""
        rows = stability_rows(self.results.spectrum, dimension)
        return next(row for row in rows if row.dimension == dimension)


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
        """R at which subspaces and energies are compared: the smallest reference R."""
        return min(
            min(
                run.results.fooling.reference_dimension,
                len(run.results.spectrum.spectrum.directions),
                len(run.results.spectrum.energy.in_sample),
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
    def equal_norm(self) -> EqualNorm | None:
        """The norm that most runs were tried at, as `most_tried_norm` finds it."""
        return most_tried_norm(
            [run.results.fooling for run in self.runs], [run.shape for run in self.runs]
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the runs that were not tried at the equal norm."""
        norms = self.equal_norm.norms if self.equal_norm else ()
        return tuple(name for name, norm in zip(self.names, norms, strict=False) if norm is None)

    @property
    def equal_is_reference(self) -> bool:
        """Whether the reference norms of all runs are themselves equal."""
        equal = self.equal_norm
        return equal is not None and all(
            norm is not None and same_norm(norm, run.results.fooling.reference_norm)
            for norm, run in zip(equal.norms, self.runs, strict=True)
        )

    def rates(self, family: str, clipped: bool, *, equal: bool) -> list[FoolingRate | None]:
        """Return a family's rate of every run, None where it was not taken.

        Args:
            family: Its name.
            clipped: Which clip policy.
            equal: At the equal norm, in place of the reference norm of each.
        """
        if not equal:
            return [reference_rate(run.results.fooling, family, clipped) for run in self.runs]
        if self.equal_norm is None:
            return [None] * len(self.runs)
        return [
            next(
                (
                    rate
                    for rate in rates_by_norm(run.results.fooling, family, clipped)
                    if norm is not None and same_norm(rate.norm, norm)
                ),
                None,
            )
            for run, norm in zip(self.runs, self.equal_norm.norms, strict=True)
        ]

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Those that two runs or more were tried with, the highest rates of the first run first."""
        seen = [
            rate.family for run in self.runs for rate in ranked_rates(run.results.fooling, False)
        ]
        return tuple(family for family in dict.fromkeys(seen) if seen.count(family) > 1)

    @cached_property
    def clips(self) -> tuple[bool, ...]:
        """Clip policies that every run has."""
        have = [{rate.clipped for rate in run.results.fooling.rates} for run in self.runs]
        return tuple(sorted(set.intersection(*have)))

    @cached_property
    def seeds(self) -> tuple[tuple[int, ...], ...]:
        """Places of runs of models of one name on one source, of equal n and D, two or more."""
        groups: dict[tuple[str, str, int, int], list[int]] = {}
        for place, run in enumerate(self.runs):
            spectrum = run.results.spectrum.spectrum
            alike = (run.model, run.images, spectrum.count, spectrum.dimension)
            groups.setdefault(alike, []).append(place)
        return tuple(tuple(places) for places in groups.values() if len(places) > 1)


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
