"""The singular spectrum of the matrix of unit normals, through the Gram matrix of its smaller side.

The rows of N, (n, D), are unit normals, not centred, so the squared singular values sum to n. The
Gram matrix is summed in float64 over blocks; it, its eigenvectors and one block are in memory,
never the whole of N. Where n is the smaller side the blocks are read once more, to turn left
singular vectors into right ones. Squaring squares the condition number: a singular value below
``floor`` (about 1e-8 of the largest times the square root of the side) is rounding, not data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from analysis.subspace import Subspace
from boundary.errors import InputError
from boundary.progress import progress_bar

DIRECTIONS = 100
"""Right singular vectors that are kept unless a number is asked for."""

BLOCK_NUMBERS = 2**25
"""Numbers in one block of the matrix: 256 MiB in float64."""

_UNIT_TOLERANCE = 1e-4

_LARGEST_DIVIDED = 32_000
"""Beyond this side, the workspace of LAPACK's divide and conquer overflows 32-bit integers."""


class Matrix(Protocol):
    """Anything with a shape and slices of rows and columns: an array, or a `NormalMatrix`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, D)."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return ``[a:b]``, some rows, or ``[:, a:b]``, some columns."""


@dataclass(frozen=True, eq=False)
class SingularSpectrum:
    """Singular values of n unit normals in D dimensions, and the leading right vectors."""

    singular_values: NDArray[np.float64]
    """(min(n, D),), descending; their squares sum to n."""
    directions: NDArray[np.float64]
    """(R, D), orthonormal leading right singular vectors, the largest component positive. Those of
    singular values below ``floor`` are not kept: rounding would choose them."""
    count: int
    """n, normals used."""
    dimension: int
    """D, numbers of an image."""

    @property
    def floor(self) -> float:
        """Singular values below this are rounding of the float64 Gram matrix."""
        return _floor(self.singular_values)

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
    normals: Matrix, *, directions: int | None = None, progress: bool = False
) -> SingularSpectrum:
    """Return all singular values of the normals and their leading right singular vectors.

    Args:
        normals: Unit rows, (n, D): an array, or ``NormalsStore.normals()``, read in blocks.
        directions: How many right vectors to keep, at most min(n, D), by default 100 or as many
            as there can be; fewer are kept where the normals span fewer.
        progress: Show a progress bar on standard error.

    Returns:
        The spectrum, in float64.

    Raises:
        InputError: If there are no rows, fewer than ``directions`` are possible, a number is not
            finite, or the rows are not unit vectors.
    """
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
    gram = _gram(normals, progress)
    _require_unit_rows(gram, count)
    if directions == 0:
        squares = scipy.linalg.eigvalsh(gram, lower=False, overwrite_a=True, check_finite=False)
        values = np.sqrt(squares[::-1].clip(min=0))
        return SingularSpectrum(values, np.zeros((0, dimension)), count, dimension)
    squares, vectors = scipy.linalg.eigh(
        gram,
        lower=False,
        overwrite_a=True,
        check_finite=False,
        driver="evd" if side <= _LARGEST_DIVIDED else "evr",
    )
    values = np.sqrt(squares[::-1].clip(min=0))
    spanned = int((values > _floor(values)).sum())
    leading = vectors[:, ::-1][:, : min(directions, spanned)]
    right = leading.T if count > dimension else _right_vectors(normals, leading)
    return SingularSpectrum(values, _with_fixed_signs(right), count, dimension)


def _floor(singular_values: NDArray[np.float64]) -> float:
    side = len(singular_values)
    return float(singular_values[0] * np.sqrt(side * np.finfo(np.float64).eps))


def _gram(normals: Matrix, progress: bool) -> NDArray[np.float64]:
    """Return the upper triangle of N N' or N'N, whichever is smaller."""
    count, dimension = normals.shape
    tall = count > dimension
    side = min(count, dimension)
    gram = np.zeros((side, side), order="F")
    with progress_bar("Gram matrix", max(count, dimension), "lines", shown=progress) as bar:
        for block in _blocks(normals, by_rows=tall):
            # block.T is what Fortran sees without a copy: the update is block' block or its mirror.
            gram = scipy.linalg.blas.dsyrk(
                1.0, block.T, beta=1.0, c=gram, trans=0 if tall else 1, overwrite_c=1
            )
            bar.update(block.shape[0] if tall else block.shape[1])
    return gram


def _blocks(normals: Matrix, *, by_rows: bool) -> Iterator[NDArray[np.float64]]:
    count, dimension = normals.shape
    length, across = (count, dimension) if by_rows else (dimension, count)
    step = max(1, BLOCK_NUMBERS // across)
    for start in range(0, length, step):
        part = slice(start, start + step)
        block = np.ascontiguousarray(
            normals[part] if by_rows else normals[:, part], dtype=np.float64
        )
        if not np.isfinite(block).all():
            raise InputError("`normals` should be finite. Found NaN or infinity.")
        yield block


def _right_vectors(normals: Matrix, left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return U'N with its rows, sigma times a right vector each, made orthonormal to rounding."""
    right = np.concatenate([left.T @ block for block in _blocks(normals, by_rows=False)], axis=1)
    return np.asarray(np.linalg.qr(right.T).Q.T)


def _with_fixed_signs(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(1)[:, None], axis=1)
    return np.ascontiguousarray(vectors * np.where(largest < 0, -1.0, 1.0))


def _require_unit_rows(gram: NDArray[np.float64], count: int) -> None:
    total = float(np.trace(gram))
    if abs(total - count) > _UNIT_TOLERANCE * count:
        raise InputError(
            f"the rows of `normals` should be unit vectors. Found a mean squared norm of "
            f"{total / count:.4g}; divide each row by its norm."
        )
