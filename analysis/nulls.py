"""What the singular spectrum would be if normals shared less: the null models, weakest first.

- *isotropic*: rows are independent and uniform on the unit sphere of R^D. The squared singular
  values then follow the law of Marchenko and Pastur (1967) with ratio g = n / D: mean 1 for g <= 1,
  and edges (1 - sqrt g)^2 and (1 + sqrt g)^2.
- *permuted*: each coordinate of the normals is permuted across rows. Means and variances of the
  coordinates stay.
- *phases*: each normal keeps its power spectrum and gets random phases.
- *untrained*: normals of the same architecture with weights as they are initialised, collected as
  those of the classifier are. It asks what training adds.

Every draw of every null goes through the code that treats the normals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.gram import HERE, Matrix, Where, rows_of
from analysis.halves import half_spectrum
from analysis.surrogates import isotropic_rows, permuted_rows, phase_randomised_rows
from boundary.progress import advance
from boundary.ranks import ALONE
from boundary.result import Result

NULLS = ("isotropic", "permuted", "phases", "untrained")
"""Weakest first."""


@dataclass(frozen=True, eq=False, repr=False)
class Null(Result):
    """Spectra of matrices of the same size that share less than normals may."""

    AXES: ClassVar = {
        "singular_values": "draw index",
        "halves": "draw index_in_half",
        "counts": "draw",
    }

    name: str
    """One of `NULLS`."""
    singular_values: NDArray[np.float64]
    """(draws, k), each row descending."""
    halves: NDArray[np.float64]
    """(draws, k'), of a random half of the rows of each draw."""
    counts: NDArray[np.int64]
    """(draws,), rows of each draw: n, but of an untrained network as many as gave normals. Values
    of another count are multiplied by the root of n over it, so that they compare."""
    dimension: int
    """D."""
    seed: int

    @property
    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest value of each index over the draws, (k,) each."""
        return self.singular_values.min(0), self.singular_values.max(0)

    def leading(self, singular_values: ArrayLike) -> int:
        """Return how many leading values exceed every draw at their index (parallel analysis).

        Counting stops at the first that does not (Buja and Eyuboglu 1992).
        """
        return _leading(np.asarray(singular_values), self.singular_values)

    def leading_of_halves(self, singular_values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the same for the spectra of halves, (halves, k), against halves of the draws."""
        return np.array([_leading(values, self.halves) for values in singular_values])


def isotropic_null(
    count: int, dimension: int, *, draws: int = 20, seed: int = 0, where: Where = HERE
) -> Null:
    """Simulate the spectra of ``count`` random unit rows in ``dimension`` dimensions.

    Args:
        count: n, at least 2.
        dimension: D.
        draws: Independent matrices.
        seed: Of the simulation.
        where: On which device, by which processes: each makes its share of the draws.

    Returns:
        The singular values of each draw, by the code that treats the normals.
    """

    def rows(draw: int) -> Matrix:
        return isotropic_rows(count, dimension, _generator(seed, "isotropic", draw))

    return _null("isotropic", rows, draws, count, dimension, seed, where)


def permuted_null(
    normals: Matrix,
    *,
    draws: int = 20,
    seed: int = 0,
    where: Where = HERE,
    scratch: Path | None = None,
) -> Null:
    """Return the spectra of the normals with each coordinate permuted across rows.

    Args:
        normals: Unit rows, (n, D), n at least 2.
        draws: How often.
        seed: Of the permutations.
        where: On which device, by which processes: each makes its share of the draws.
        scratch: Folder of a file for rows that are not held in memory; the system's by default.
    """

    def rows(draw: int) -> Matrix:
        return permuted_rows(normals, _generator(seed, "permuted", draw), scratch)

    count, dimension = normals.shape
    return _null("permuted", rows, draws, count, dimension, seed, where)


def phase_null(
    normals: Matrix,
    image_shape: tuple[int, ...],
    *,
    draws: int = 20,
    seed: int = 0,
    where: Where = HERE,
    scratch: Path | None = None,
) -> Null:
    """Return the spectra of rows with the normals' power spectra and random phases.

    Args:
        normals: Unit rows, (n, D), n at least 2.
        image_shape: (C, H, W) with D numbers.
        draws: How often.
        seed: Of the phases.
        where: On which device, by which processes: each makes its share of the draws.
        scratch: Folder of a file for rows that are not held in memory; the system's by default.
    """

    def rows(draw: int) -> Matrix:
        return phase_randomised_rows(
            normals, image_shape, _generator(seed, "phases", draw), scratch
        )

    count, dimension = normals.shape
    return _null("phases", rows, draws, count, dimension, seed, where)


def untrained_null(
    networks: Sequence[Matrix], count: int, *, seed: int = 0, where: Where = HERE
) -> Null:
    """Return the spectra of the normals of untrained networks.

    Args:
        networks: Unit rows of each, (n', D), n' at least 2; where there are more than n, n of them
            are drawn.
        count: n, normals of the trained network.
        seed: Of the halves, and what made the networks.
        where: On which device, by which processes: each takes its share of the networks.
    """
    dimension = networks[0].shape[1]

    def rows(draw: int) -> Matrix:
        found = networks[draw].shape[0]
        if found <= count:
            return networks[draw]
        chosen = _generator(seed, "untrained", draw).choice(found, count, replace=False)
        return rows_of(networks[draw], np.sort(chosen))

    return _null("untrained", rows, len(networks), count, dimension, seed, where)


def _null(
    name: str,
    rows: Callable[[int], Matrix],
    draws: int,
    count: int,
    dimension: int,
    seed: int,
    where: Where,
) -> Null:
    """Return the null whose draws are spectra of these rows."""
    alone = replace(where, ranks=ALONE, progress=False)
    with where.bar(f"null: {name}", draws, "draws") as bar:

        def spectra(draw: int) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
            matrix = rows(draw)
            found = half_spectrum(matrix, seed=draw, where=alone)
            advance(bar, where.ranks.count)
            return matrix.shape[0], *found

        found = where.ranks.spread(draws, spectra)
    counts, wholes, halves = zip(*found, strict=True)
    scale = np.sqrt(count / np.array(counts))[:, None]
    return Null(
        name=name,
        singular_values=scale * _stacked(wholes),
        halves=scale * _stacked(halves),
        counts=np.array(counts),
        dimension=dimension,
        seed=seed,
    )


def _stacked(spectra: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    shortest = min(map(len, spectra))
    return np.stack([values[:shortest] for values in spectra])


def _leading(values: NDArray[np.float64], draws: NDArray[np.float64]) -> int:
    compared = min(len(values), draws.shape[1])
    above = values[:compared] > draws[:, :compared].max(0)
    return int(np.cumprod(above).sum())


def _generator(seed: int, name: str, draw: int) -> np.random.Generator:
    """Return a stream of its own for each draw of each null."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(NULLS.index(name), draw)))


def marchenko_pastur_edges(count: int, dimension: int) -> tuple[float, float]:
    """Return the smallest and largest singular value of the limiting law: |1 -+ sqrt(n / D)|."""
    root = float(np.sqrt(count / dimension))
    return abs(1 - root), 1 + root


def marchenko_pastur_density(squares: ArrayLike, count: int, dimension: int) -> NDArray[np.float64]:
    """Return the density of the non-zero squared singular values at ``squares``."""
    values = np.asarray(squares, dtype=np.float64)
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    inside = (values > low) & (values < high)
    height = np.sqrt(np.where(inside, (high - values) * (values - low), 0.0))
    share = min(1.0, count / dimension)  # for n > D only D of the n values are not zero
    return height / (2 * np.pi * share * np.where(inside, values, 1.0))


def marchenko_pastur_quantiles(
    levels: ArrayLike, count: int, dimension: int
) -> NDArray[np.float64]:
    """Return the singular values below which the given shares of the limiting law lie."""
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    # On this grid the square-root edges are smooth.
    angle = np.linspace(0, np.pi, 20_001)
    squares = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    density = marchenko_pastur_density(squares, count, dimension)
    weight = density * (high - low) / 2 * np.sin(angle)
    share = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    return np.asarray(np.sqrt(np.interp(np.asarray(levels), share / share[-1], squares)))


def marchenko_pastur_values(count: int, dimension: int) -> NDArray[np.float64]:
    """Return the singular values of the limiting law, (min(n, D),), descending."""
    side = min(count, dimension)
    return marchenko_pastur_quantiles(1 - (np.arange(side) + 0.5) / side, count, dimension)
