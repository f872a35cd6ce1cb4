"""Random halves of the normals: how sure a statistic of the spectrum is, and what two halves share.

Drawing rows with replacement would repeat some, and repeated rows look like shared directions. Half
of the rows, drawn without, do not: the variance of a statistic over halves estimates its variance
over samples of the whole size (a jackknife that deletes n/2; Shao and Wu 1989). Two disjoint halves
are independent, so directions that both find are not noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.eigen import eigenpairs
from analysis.gram import HERE, Gram, Matrix, Where, gram_matrix, mirror, part_of, rows_of
from analysis.spectrum import SingularSpectrum, floor_of_squares, spectrum_of_gram
from boundary.errors import InputError
from boundary.progress import advance

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Cosines between the leading directions of pairs of spectra."""

    cosines: NDArray[np.float64]
    """(pairs, R, R), inner products of the first R directions of one and of the other."""

    @property
    def dimensions(self) -> NDArray[np.int64]:
        """1, 2, ... R."""
        return np.arange(1, self.cosines.shape[1] + 1)

    @property
    def mean_squared_cosine(self) -> NDArray[np.float64]:
        """Of the principal angles between the first R directions, (pairs, R); R/D if random."""
        within = np.cumsum(np.cumsum(self.cosines**2, axis=1), axis=2)
        return np.asarray(np.diagonal(within, axis1=1, axis2=2) / self.dimensions)

    def angles(self, dimension: int) -> NDArray[np.float64]:
        """Return the principal angles of the first directions, (pairs, dimension), ascending."""
        part = self.cosines[:, :dimension, :dimension]
        cosines = np.linalg.svd(part, compute_uv=False)
        return np.asarray(np.arccos(cosines.clip(0, 1)))


@dataclass(frozen=True, eq=False)
class HalfSamples:
    """Spectra of random disjoint halves of the normals."""

    singular_values: NDArray[np.float64]
    """(2 splits, k): the first halves of all splits, then the second."""
    overlaps: Overlaps
    """Of the leading directions of the two halves of each split."""
    count: int
    """Normals in a half."""
    seed: int
    """Of the splits."""


def split_in_halves(count: int, splits: int, seed: int) -> list[Split]:
    """Return disjoint halves of 0..count-1, ascending; of an odd count the second has one more.

    Raises:
        InputError: If there are fewer than two.
    """
    if count < 2:
        raise InputError(
            f"there should be at least 2 normals to make halves of. Found {count}; collect more "
            "images."
        )
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(count) for _ in range(splits)]
    half = count // 2
    return [(np.sort(order[:half]), np.sort(order[half:])) for order in orders]


def spectrum_and_halves(
    normals: Matrix,
    *,
    directions: int,
    splits: int = 10,
    seed: int = 0,
    where: Where = HERE,
) -> tuple[SingularSpectrum, HalfSamples]:
    """Return the spectrum of the normals, and those of random halves, from one Gram matrix.

    Args:
        normals: Unit rows, (n, D), at least 2.
        directions: How many right vectors of the whole to keep, at most min(n, D); of the halves as
            many as they span.
        splits: How many times to split in two.
        seed: Of the splits.
        where: On which device, by which processes.

    Raises:
        InputError: As `singular_spectrum`, and if rows are zero.
    """
    count, dimension = normals.shape
    gram = _gram_without_zero_rows(normals, where)
    pairs = split_in_halves(count, splits, seed)
    kept = min(directions, count // 2, dimension)
    floor = floor_of_squares(1.0, max(normals.shape), where.rounding)
    with where.bar("halves", splits, "splits") as bar:

        def wide(split: int) -> _Halves:
            advance(bar, where.ranks.count)
            return _wide_halves(gram, pairs[split], kept, floor)

        def tall(split: int) -> _Halves:
            advance(bar, 1)
            return _tall_halves(normals, gram, pairs[split], kept, floor, where.quietly())

        if count > dimension:  # every process has a part in each
            found = [tall(split) for split in range(splits)]
        else:
            mirror(gram)
            found = where.ranks.spread(splits, wide)
    first, second, cosines = (np.stack(arrays) for arrays in zip(*found, strict=True))
    halves = HalfSamples(np.concatenate([first, second]), Overlaps(cosines), count // 2, seed)
    used = np.ones(count, dtype=bool)
    return spectrum_of_gram(normals, gram, used, directions, where), halves


def half_spectrum(
    normals: Matrix, *, seed: int = 0, where: Where = HERE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the singular values of the normals, and those of one random half of them.

    Args:
        normals: Unit rows, (n, D), at least 2.
        seed: Of the half.
        where: On which device, by which processes.

    Returns:
        (min(n, D),) and (min(n // 2, D),), descending, zero where they are rounding.
    """
    count, dimension = normals.shape
    gram = _gram_without_zero_rows(normals, where)
    ((half, _),) = split_in_halves(count, 1, seed)
    floor = floor_of_squares(1.0, max(normals.shape), where.rounding)
    if count > dimension:
        of_half, _ = gram_matrix(rows_of(normals, half), where, of_columns=True)
    else:
        of_half = part_of(gram, half, half)
    part, _ = _pairs_of(of_half, 0, floor)
    whole, _ = _pairs_of(gram, 0, floor)
    return whole, part[: len(half)]


def _gram_without_zero_rows(normals: Matrix, where: Where) -> Gram:
    gram, used = gram_matrix(normals, where)
    if not used.all():
        raise InputError(f"`normals` should have no rows of zeros. Found {int((~used).sum())}.")
    return gram


_Halves = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Singular values of one half and of the other, and their overlap."""


def _wide_halves(gram: Gram, pair: Split, kept: int, floor: float) -> _Halves:
    """Return the halves' values and overlap: all are in N N'.

    With N_A = U S V', the right vectors V' are S^-1 U' N_A, so V_A' V_B = S_A^-1 U_A' (N_A N_B')
    U_B S_B^-1.
    """
    (first, left), (second, right) = (
        _pairs_of(part_of(gram, side, side), kept, floor) for side in pair
    )
    between = part_of(gram, *pair)
    if not isinstance(between, np.ndarray):
        between = between.cpu().numpy()
    cosines = (left / _divisors(first, kept)).T @ between @ (right / _divisors(second, kept))
    return first, second[: len(pair[0])], cosines


def _divisors(values: NDArray[np.float64], kept: int) -> NDArray[np.float64]:
    return np.where(values[:kept] > 0, values[:kept], np.inf)


def _tall_halves(
    normals: Matrix, gram: Gram, pair: Split, kept: int, floor: float, where: Where
) -> _Halves:
    """Return the halves' values and overlap: N'N is the sum of theirs.

    As in the wide case, a direction that rounding would choose overlaps with none.
    """
    of_first, _ = gram_matrix(rows_of(normals, pair[0]), where, of_columns=True)
    (first, one), (second, other) = (
        _pairs_of(side, kept, floor) for side in (of_first, gram - of_first)
    )
    length = min(len(pair[0]), normals.shape[1])
    cosines = (one * (first[:kept] > 0)).T @ (other * (second[:kept] > 0))
    return first[:length], second[:length], cosines


def _pairs_of(
    gram: Gram, kept: int, floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return singular values, zero below ``floor`` times the largest, and leading vectors."""
    squares, vectors = eigenpairs(gram, kept)
    values = np.sqrt(squares.clip(min=0))
    return np.where(values > floor * values[0], values, 0.0), vectors


def random_overlaps(dimension: int, directions: int, *, pairs: int = 20, seed: int = 0) -> Overlaps:
    """Return the overlaps of pairs of random subspaces of R^D, nested from 1 to R.

    A random orthonormal frame is the orthonormal factor of a Gaussian matrix, of which R rows are
    needed; a triangle stands for the others (Bartlett 1933).

    Args:
        dimension: D.
        directions: R, at most D.
        pairs: How many.
        seed: Of the simulation.
    """
    generator = np.random.default_rng(seed)
    return Overlaps(
        np.stack([_random_cosines(dimension, directions, generator) for _ in range(pairs)])
    )


def _random_cosines(
    dimension: int, directions: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    known = generator.standard_normal((directions, directions))
    below = min(directions, dimension - directions)
    others = np.triu(generator.standard_normal((below, directions)), k=1)
    freedom = dimension - directions - np.arange(below)
    others[np.arange(below), np.arange(below)] = np.sqrt(generator.chisquare(freedom))
    frame, _ = np.linalg.qr(np.vstack([known, others]))
    return np.asarray(frame[:directions])
