"""The Gram matrix of the smaller side of the normals, summed over blocks read one at a time.

On the CPU the blocks are float64 and the product is BLAS's dsyrk, half of a general one. On another
device the product is a general one, in float64 or float32, and the sum is float64. Where several
processes work together, each takes every so-many-th block and the sums are added.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from boundary.errors import InputError
from boundary.progress import advance, progress_bar
from boundary.ranks import ALONE, Ranks

BLOCK_NUMBERS = 2**22
"""Numbers in one block of the matrix: 32 MiB in float64."""

NARROWEST = 512
"""Lines of a block, where lines are so long that it holds more than `BLOCK_NUMBERS`."""

_UNIT_TOLERANCE = 1e-3
"""Of a squared norm."""


Gram = NDArray[np.float64] | Tensor
"""A Gram matrix on the CPU, or on another device."""


class Matrix(Protocol):
    """Anything with a shape and slices of rows and columns: an array, or a `NormalMatrix`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, D)."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return ``[a:b]``, some rows, or ``[:, a:b]``, some columns."""


@dataclass(frozen=True)
class Where:
    """Where products are taken, and by whom."""

    device: str = "cpu"
    """The CPU, or a GPU that torch knows."""
    float32: bool = False
    """Take the products of a GPU in float32: faster on most, with an error that is stated."""
    ranks: Ranks = ALONE
    progress: bool = False
    """Show progress bars on standard error."""

    @property
    def on_host(self) -> bool:
        """Whether the CPU does it."""
        return torch.device(self.device).type == "cpu"

    def bar(self, title: str, total: int, unit: str) -> "tqdm[NoReturn]":
        """Return a progress bar, shown where it is asked for, by the first process."""
        return progress_bar(title, total, unit, shown=self.progress and self.ranks.first)

    def quietly(self) -> "Where":
        """Return the same without progress bars."""
        return replace(self, progress=False)

    @property
    def rounding(self) -> float:
        """Relative rounding of one product."""
        return float(np.finfo(np.float32 if self.float32 and not self.on_host else np.float64).eps)


HERE = Where()


def gram_matrix(
    normals: Matrix, where: Where = HERE, *, of_columns: bool | None = None
) -> tuple[Gram, NDArray[np.bool_]]:
    """Return the Gram matrix of the smaller side of the rows that are not zero, and which are.

    Args:
        normals: Rows of unit length, or zero, (n, D).
        where: On what, and by whom.
        of_columns: Whether to take N'N; by default where that is smaller.

    Returns:
        N N' or N'N, a Fortran-ordered array with its lower triangle filled, or a float64 tensor on
        another device than the CPU; and whether each row is not zero, (n,).

    Raises:
        InputError: If a number is not finite, or a row is neither of unit length nor zero.
    """
    count, dimension = normals.shape
    tall = count > dimension if of_columns is None else of_columns
    side, length = (dimension, count) if tall else (count, dimension)
    gram, add = _on_host(side, tall) if where.on_host else _on_device(side, tall, where)
    squares = np.zeros(count)
    with where.bar("Gram matrix", length, "lines") as bar:
        for part, block in blocks(normals, by_rows=tall, ranks=where.ranks):
            norms = np.einsum("ij,ij->i", block, block)
            if tall:
                squares[part] = norms
            else:
                squares += norms
            add(block)
            advance(bar, where.ranks.count * (part.stop - part.start))
    where.ranks.sum_array(squares)
    _sum(gram, where.ranks)
    used = used_rows(squares)
    if not tall and not used.all():
        kept = np.flatnonzero(used)
        gram = part_of(gram, kept, kept)
    return gram, used


def blocks(
    normals: Matrix, *, by_rows: bool, ranks: Ranks = ALONE
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield this process's blocks of rows or of columns, in float64, with their places.

    Each takes the memory of the one before it.
    """
    count, dimension = normals.shape
    length, across = (count, dimension) if by_rows else (dimension, count)
    step = max(NARROWEST, BLOCK_NUMBERS // across)
    # As many blocks for each process, so that none waits for another's last.
    turns = -(-length // (step * ranks.count))
    step = -(-length // (turns * ranks.count))
    memory = np.empty(step * across)
    for start in ranks.share(list(range(0, length, step))):
        part = slice(start, min(start + step, length))
        found = normals[part] if by_rows else normals[:, part]
        block = memory[: found.size].reshape(found.shape)
        block[...] = found
        yield part, block


def _on_host(
    side: int, tall: bool
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], None]]:
    gram = np.zeros((side, side), order="F")

    def add(block: NDArray[np.float64]) -> None:
        # block.T is what Fortran sees without a copy: the update is block' block or its mirror.
        scipy.linalg.blas.dsyrk(
            1.0, block.T, beta=1.0, c=gram, trans=0 if tall else 1, lower=1, overwrite_c=1
        )

    return gram, add


def _on_device(
    side: int, tall: bool, where: Where
) -> tuple[Tensor, Callable[[NDArray[np.float64]], None]]:
    gram = torch.zeros(side, side, dtype=torch.float64, device=where.device)
    kind = torch.float32 if where.float32 else torch.float64

    def add(block: NDArray[np.float64]) -> None:
        lines = torch.from_numpy(block).to(kind).to(where.device)
        one, other = (lines.T, lines) if tall else (lines, lines.T)
        if where.float32:
            gram.add_(one @ other)
        else:
            gram.addmm_(one, other)

    return gram, add


def used_rows(squares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are not zero, from their squared norms.

    Raises:
        InputError: If a row is not finite, or neither of unit length nor zero, or all are zero.
    """
    if not np.isfinite(squares).all():
        row = int(np.flatnonzero(~np.isfinite(squares))[0])
        raise InputError(
            f"`normals` should be finite. Found NaN, infinity or an overflow in row {row}."
        )
    used = squares > 0
    if not used.any():
        raise InputError("`normals` should have a row that is not zero. Found none.")
    wrong = np.flatnonzero(used & (np.abs(squares - 1) > _UNIT_TOLERANCE))
    if len(wrong):
        raise InputError(
            f"the rows of `normals` should be unit vectors, or zero where a point failed. Found "
            f"{len(wrong)} that are not, first row {wrong[0]} of norm "
            f"{np.sqrt(squares[wrong[0]]):.4g}; divide each row by its norm."
        )
    return used


def _sum(gram: Gram, ranks: Ranks) -> None:
    """Add the Gram matrices of all processes, of arrays the lower triangle alone."""
    if not isinstance(gram, np.ndarray):
        ranks.sum(gram)
    elif ranks.count > 1:
        for start in range(0, len(gram), NARROWEST):
            panel = gram[start:, start : start + NARROWEST].copy(order="F")
            ranks.sum_array(panel.T)  # whose memory torch can share
            gram[start:, start : start + NARROWEST] = panel


def mirror(gram: Gram) -> None:
    """Fill the upper triangle of a Gram matrix from the lower, in place."""
    if isinstance(gram, np.ndarray):
        for start in range(0, len(gram), NARROWEST):
            here, beyond = slice(start, start + NARROWEST), slice(start + NARROWEST, None)
            gram[here, beyond] = gram[beyond, here].T
            square = gram[here, here]
            square += np.tril(square, k=-1).T


def part_of(gram: Gram, rows: NDArray[Any], columns: NDArray[Any]) -> Gram:
    """Return a copy of some rows and columns, by their places, in the order of the whole."""
    if isinstance(gram, np.ndarray):
        return np.asfortranarray(gram[np.ix_(rows, columns)])
    one, other = (torch.from_numpy(places).to(gram.device) for places in (rows, columns))
    return gram[one][:, other]


def rows_of(normals: Matrix, places: NDArray[np.intp]) -> Matrix:
    """Return some rows by their places: a copy of an array, a matrix not yet read of a store."""
    chosen: Matrix = normals.subset(places) if hasattr(normals, "subset") else normals[places]
    return chosen
