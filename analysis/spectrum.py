"""The singular spectrum of the matrix of unit normals.

The rows of N, (n, D), are unit normals, not centred, so the squared singular values sum to n. Three
ways, chosen by name:

- ``gram``: all values, from the float64 Gram matrix of the smaller side (`analysis.gram`). In
  memory are that matrix, one block and the directions, never the whole of N; where n is the smaller
  side, the blocks are read once more to turn left vectors into right ones. Squaring squares the
  condition number: see `SingularSpectrum.errors`.
- ``lapack``: all values, from the SVD of the whole matrix in memory, where the tail matters.
- ``krylov``: the leading values alone, from a few passes over the blocks (`analysis.krylov`).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from analysis.eigen import eigenpairs
from analysis.gram import HERE, Gram, Matrix, Where, blocks, gram_matrix, used_rows
from analysis.krylov import leading_pairs
from analysis.subspace import Subspace
from boundary.errors import InputError
from boundary.progress import advance
from boundary.result import Result

DIRECTIONS = 100
"""Right singular vectors that are kept unless a number is asked for."""

_DOUBLE = float(np.finfo(np.float64).eps)
_NEARLY_ORTHONORMAL = 1e-3
"""Largest cosine of two rows that one Cholesky step makes orthonormal to rounding."""

Method = Literal["gram", "lapack", "krylov"]
"""How a spectrum is taken, see above."""

METHODS = get_args(Method)


@dataclass(frozen=True, eq=False, repr=False)
class SingularSpectrum(Result):
    """Singular values of n unit normals in D dimensions, and the leading right vectors."""

    AXES: ClassVar = {
        "singular_values": "index",
        "errors": "index",
        "directions": "direction coordinate",
    }
    ROWS = "index"

    singular_values: NDArray[np.float64]
    """(min(n, D),), descending, their squares sum to n; by ``krylov`` the leading ones alone."""
    errors: NDArray[np.float64]
    """Bound of the absolute error of each value, of the shape of the values. By ``gram`` it grows
    as a value shrinks, floor^2 / value, by ``lapack`` it is the same for all, and by ``krylov``
    it is the residual: there is a singular value of N so near."""
    floor: float
    """Values below this are rounding, not data."""
    directions: NDArray[np.float64]
    """(R, D), orthonormal leading right singular vectors, the largest component positive. Those of
    singular values below ``floor`` are not kept: rounding would choose them."""
    count: int
    """n, normals used."""
    dimension: int
    """D, numbers of an image."""
    zero_rows: int
    """Rows of zeros, points that failed, which are left out."""
    method: str
    """``gram``, ``lapack`` or ``krylov``."""

    @property
    def complete(self) -> bool:
        """Whether all min(n, D) values are there."""
        return len(self.singular_values) == min(self.count, self.dimension)

    def trusted(self, relative_error: float = 0.01) -> int:
        """Return how many leading values have no larger relative error; the tail is not trusted."""
        good = self.errors <= relative_error * self.singular_values
        return int(np.cumprod(good).sum())

    def subspace(self, dimension: int) -> Subspace:
        """Return S_f: the span of the first ``dimension`` singular vectors.

        Raises:
            InputError: If more are asked for than were kept.
        """
        if not 1 <= dimension <= len(self.directions):
            raise InputError(
                f"`dimension` should lie in 1..{len(self.directions)}, the directions kept. "
                f"Found {dimension}."
            )
        return Subspace(self.directions[:dimension])


def singular_spectrum(
    normals: Matrix,
    *,
    directions: int | None = None,
    method: Method = "gram",
    where: Where = HERE,
) -> SingularSpectrum:
    """Return the singular values of the normals and their leading right singular vectors.

    Args:
        normals: Unit rows, (n, D): an array, or ``NormalsStore.normals()``, read in blocks. Rows of
            zeros are left out and counted.
        directions: How many right vectors to keep, at most min(n, D), by default 100 or as many
            as there can be; fewer are kept where the normals span fewer. By ``krylov`` also the
            number of values.
        method: ``gram``, ``lapack`` or ``krylov``, see above.
        where: On which device, by which processes, with a progress bar or not.

    Returns:
        The spectrum, in float64; of several processes, on each of them.

    Raises:
        InputError: If there are no rows, fewer than ``directions`` are possible, a number is not
            finite, a row is not a unit vector, or the method does not fit.
    """
    if method not in METHODS:
        raise InputError(f"`method` should be one of {', '.join(METHODS)}. Found `{method}`.")
    if len(normals.shape) != 2 or 0 in normals.shape:
        raise InputError(
            f"`normals` should have shape (n, D) with n at least 1. Found {tuple(normals.shape)}."
        )
    count, dimension = normals.shape
    side = min(count, dimension)
    if directions is None:
        directions = min(DIRECTIONS, side)
    if not 0 <= directions <= side:
        raise InputError(
            f"`directions` should lie in 0..{side}, as there are {count} normals of "
            f"{dimension} numbers. Found {directions}."
        )
    if method == "gram":
        return _by_gram(normals, directions, where)
    if not where.on_host or where.ranks.count > 1:
        raise InputError(f"`method` {method} runs on the CPU in one process; `gram` runs anywhere.")
    return (_by_lapack if method == "lapack" else _by_krylov)(normals, directions)


def _by_gram(normals: Matrix, directions: int, where: Where) -> SingularSpectrum:
    gram, used = gram_matrix(normals, where)
    return spectrum_of_gram(normals, gram, used, directions, where)


def spectrum_of_gram(
    normals: Matrix, gram: Gram, used: NDArray[np.bool_], directions: int, where: Where = HERE
) -> SingularSpectrum:
    """Return the spectrum of normals whose Gram matrix is there; that is overwritten.

    Args:
        normals: Unit rows, (n, D), or zero.
        gram: As `gram_matrix` gives it.
        used: Which rows are not zero, (n,).
        directions: How many right vectors to keep, at most min(n, D).
        where: On which device, by which processes.
    """
    side = len(gram)
    with where.bar(f"eigen-decomposition of {side} x {side}", 1, "matrices") as bar:
        squares, vectors = where.ranks.from_first(lambda: eigenpairs(gram, min(directions, side)))
        bar.update()
    count, dimension = int(used.sum()), normals.shape[1]
    values = np.sqrt(squares[: min(count, dimension)].clip(min=0))
    floor = floor_of_squares(values[0], max(normals.shape), where.rounding)
    leading = vectors[:, : int((values[:directions] > floor).sum())]
    tall = len(used) > dimension
    right = leading.T if tall else _right_vectors(normals, used, leading, where)
    # An eigenvalue in error by floor^2 has a root in error by floor^2 / (root + true root) at most.
    errors = floor**2 / np.maximum(values, floor)
    return _spectrum(values, errors, floor, right, used, "gram")


def _right_vectors(
    normals: Matrix, used: NDArray[np.bool_], left: NDArray[np.float64], where: Where
) -> NDArray[np.float64]:
    """Return U'N with its rows, sigma times a right vector each, made orthonormal to rounding."""
    if not left.shape[1]:
        return np.zeros((0, normals.shape[1]))
    whole = np.zeros((len(used), left.shape[1]))
    whole[used] = left
    rows = np.zeros((left.shape[1], normals.shape[1]))
    with where.bar("directions", normals.shape[1], "columns") as bar:
        for part, block in blocks(normals, by_rows=False, ranks=where.ranks):
            rows[:, part] = whole.T @ block
            advance(bar, where.ranks.count * block.shape[1])
    where.ranks.sum_array(rows)
    # They are orthogonal but for rounding, which a second turn is for where the first found much.
    error = 1.0
    while error > _NEARLY_ORTHONORMAL:
        rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]  # norm() would take a copy
        cosines = rows @ rows.T
        error = float(np.abs(cosines - np.eye(len(cosines))).max())
        triangle = scipy.linalg.cholesky(cosines, lower=True)
        scipy.linalg.blas.dtrsm(1.0, triangle, rows.T, side=1, lower=1, trans_a=1, overwrite_b=1)
    return rows


def _by_lapack(normals: Matrix, directions: int) -> SingularSpectrum:
    rows = np.asarray(normals[:], dtype=np.float64)
    used = used_rows(np.einsum("ij,ij->i", rows, rows))
    rows = rows[used]
    _, values, right = scipy.linalg.svd(rows, full_matrices=False, check_finite=False)
    floor = float(values[0] * max(rows.shape) * _DOUBLE)
    kept = int((values[:directions] > floor).sum())
    return _spectrum(values, np.full_like(values, floor), floor, right[:kept], used, "lapack")


def _by_krylov(normals: Matrix, directions: int) -> SingularSpectrum:
    if directions < 1:
        raise InputError("`directions` should be at least 1 for `krylov`, which finds no others.")
    values, residuals, right, used = leading_pairs(normals, directions)
    values, residuals = values[: used.sum()], residuals[: used.sum()]
    floor = floor_of_squares(values[0], max(normals.shape))
    kept = int((values > floor).sum())
    return _spectrum(values, residuals, floor, right[:kept], used, "krylov")


def floor_of_squares(largest: float, longer_side: int, rounding: float = _DOUBLE) -> float:
    """Return the singular value below which roots of eigenvalues are rounding.

    Args:
        largest: Singular value.
        longer_side: The larger of n and D.
        rounding: Relative, of the products of the Gram matrix.
    """
    return float(largest * np.sqrt(longer_side * rounding))


def _spectrum(
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    floor: float,
    right: NDArray[np.float64],
    used: NDArray[np.bool_],
    method: str,
) -> SingularSpectrum:
    return SingularSpectrum(
        singular_values=values,
        errors=errors,
        floor=floor,
        directions=_with_fixed_signs(right),
        count=int(used.sum()),
        dimension=right.shape[1],
        zero_rows=int((~used).sum()),
        method=method,
    )


def _with_fixed_signs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = np.ascontiguousarray(vectors)
    for row in rows:
        if row[np.abs(row).argmax()] < 0:
            np.negative(row, out=row)
    return rows
