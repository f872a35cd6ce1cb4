"""All eigenvalues of a symmetric matrix and its leading eigenvectors, in the memory of the matrix.

LAPACK's drivers give all vectors, in two more matrices, or only some values. Here the matrix is
made tridiagonal in its own place (dsytrd), which is most of the work; all values and the leading
vectors of the tridiagonal matrix follow (dsterf, dstemr), and the vectors are turned back by the
reflectors, a panel at a time (dormqr).
"""

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.krylov import leading_eigenpairs
from boundary.errors import InputError

_ALL_VECTORS = 20_000
"""Side beyond which a device's solver is asked for values alone: with all vectors it needs three
times the memory of the matrix. The leading ones then come from a block Krylov method."""

_RESIDUAL, _MOST_PASSES = 1e-9, 300
"""Of that method: residuals over eigenvalues, and products."""

_PANEL = 64
"""Reflectors applied at once."""


_Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]


def eigenpairs(matrix: NDArray[np.float64] | Tensor, leading: int) -> _Pairs:
    """Return all eigenvalues, descending, (k,), and the leading eigenvectors, (k, leading).

    Args:
        matrix: Symmetric, (k, k): an array in Fortran's order, its lower triangle filled, which is
            overwritten, or a tensor with both triangles filled, for its device's own solver.
        leading: How many vectors, 0..k.
    """
    if isinstance(matrix, np.ndarray):
        return _by_lapack(matrix, leading)
    if leading > 0 and len(matrix) <= _ALL_VECTORS:
        values, vectors = torch.linalg.eigh(matrix)
        vectors = vectors[:, len(matrix) - leading :].flip(1)
    else:
        values, vectors = torch.linalg.eigvalsh(matrix), _leading_vectors(matrix, leading)
    return values.flip(0).cpu().numpy(), vectors.cpu().numpy()


def _leading_vectors(matrix: Tensor, leading: int) -> Tensor:
    if leading == 0:
        return matrix[:, :0]
    values, residuals, vectors = leading_eigenpairs(
        lambda block: matrix @ block,
        len(matrix),
        leading,
        tolerance=_RESIDUAL,
        most_passes=_MOST_PASSES,
        device=matrix.device,
    )
    if not bool((residuals <= _RESIDUAL * values).all()):
        raise InputError(
            f"the leading {leading} directions could not be told apart in {_MOST_PASSES} products; "
            "ask for fewer `directions`, or take the CPU."
        )
    return vectors


def _by_lapack(matrix: NDArray[np.float64], leading: int) -> _Pairs:
    side = len(matrix)
    if side == 1:
        return matrix[0].copy(), np.ones((1, leading))
    work = int(scipy.linalg.lapack.dsytrd_lwork(side, lower=1)[0])
    matrix, diagonal, beside, scales, _ = scipy.linalg.lapack.dsytrd(
        matrix, lower=1, lwork=work, overwrite_a=1
    )
    values = np.asarray(
        scipy.linalg.eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf"), np.float64
    )
    if leading == 0:
        return values[::-1], np.zeros((side, 0))
    _, vectors = scipy.linalg.eigh_tridiagonal(
        diagonal, beside, select="i", select_range=(side - leading, side - 1)
    )
    return values[::-1], _turned_back(matrix, scales, np.array(vectors[:, ::-1], np.float64))


def _turned_back(
    reflectors: NDArray[np.float64], scales: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Q times the vectors, Q the product of the reflectors below the first subdiagonal."""
    turned = np.asfortranarray(vectors)
    columns = len(scales)
    work = _PANEL * (vectors.shape[1] + _PANEL + 1)
    for start in reversed(range(0, columns, _PANEL)):
        stop = min(start + _PANEL, columns)
        panel = np.asfortranarray(reflectors[start + 1 :, start:stop])
        turned[start + 1 :], _, _ = scipy.linalg.lapack.dormqr(
            "L", "N", panel, scales[start:stop], turned[start + 1 :], work
        )
    return turned
