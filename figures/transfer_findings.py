"""What perturbations of one model do to others, and what their subspaces share, in sentences."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import compare
from analysis.transfer import TransferMatrix, TransferResult
from figures.family import family
from figures.finding import Finding
from figures.formats import number, percent, percent_interval


def transfer_findings(result: TransferResult) -> list[Finding]:
    """Return how what was made on one model does on the others."""
    found = [_of_transfer(result, matrix) for matrix in result.matrices]
    return [*found, _of_shared_subspaces(result)]


def _of_transfer(result: TransferResult, matrix: TransferMatrix) -> Finding:
    models = range(len(result.models))
    cells = [(row, column) for row in models for column in models if row != column]
    rates = [matrix.at(row, column) for row, column in cells]
    above = [
        compare(rate, matrix.noise[column]).difference_interval.low > 0
        for rate, (_, column) in zip(rates, cells, strict=True)
    ]
    order = sorted(range(len(cells)), key=lambda place: rates[place].rate)
    listed = " and ".join(
        f"{percent(rates[place].rate)} ({percent_interval(rates[place].interval)}; from "
        f"{result.models[cells[place][0]]} to {result.models[cells[place][1]]})"
        for place in dict.fromkeys((order[0], order[-1]))
    )
    norm = "" if matrix.p == 2 else ", at their own l-infinity norm,"
    noise = "directions" if matrix.p == 2 else "signs"
    sentence = (
        f"Tried on another model, {family(matrix.family).label}{norm} fools between {listed}; on "
        f"its own {_range([matrix.at(i, i).rate for i in models])}. In {sum(above)} of "
        f"{len(cells)} pairs of models that is more than random {noise} of the same norm fool "
        "(95 % paired interval of each pair)."
    )
    name = f"transfer_{matrix.family.replace(' ', '_')}"
    return Finding(name, sentence)


def _of_shared_subspaces(result: TransferResult) -> Finding:
    geometry = result.geometry
    apart = ~np.eye(len(result.models), dtype=bool) & np.isfinite(geometry.energy)
    if not apart.any():
        sentence = "No two models take images of one size: their subspaces are not compared."
        return Finding("transfer_subspaces", sentence)
    rows = np.unique(apart.nonzero()[0])
    chance = geometry.chance[rows]
    median = np.degrees(np.median(geometry.angles[apart]))
    at_random = np.degrees(np.median(geometry.random_angles[rows]))
    sentence = (
        f"The subspaces of R = {geometry.dimension} of two models have a mean squared cosine of "
        f"{_number_range(geometry.shared[apart])}, against R/D = {_number_range(chance)}; "
        f"the median principal angle is {number(float(median))} degrees, against "
        f"{number(float(at_random))} at random. Of a model's normals, at images that made no "
        f"subspace, "
        f"{_range(geometry.energy[apart].tolist())} of the energy lies in another's subspace, "
        f"{_range(geometry.matched[apart].tolist())} in that of the other's normals with their "
        f"phases randomised, and {_range(np.diag(geometry.energy).tolist())} in its own."
    )
    return Finding("transfer_subspaces", sentence)


def _range(shares: Sequence[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _number_range(values: NDArray[np.float64]) -> str:
    low, high = number(float(values.min())), number(float(values.max()))
    return low if low == high else f"{low} to {high}"
