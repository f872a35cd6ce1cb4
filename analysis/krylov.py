"""Leading eigenpairs by a block Krylov method, and with them the head of a singular spectrum.

From a random block, each pass multiplies the newest block by the matrix; Rayleigh and Ritz's best
vectors of all blocks together follow (Musco and Musco 2015). A Ritz value theta of a unit vector v
with residual r = A v - theta v has an eigenvalue of A within |r|, and is never too large. That no
larger eigenvalue was missed is sure but for a random start that is orthogonal to its vector, which
has probability zero.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.gram import Matrix, blocks, used_rows

TOLERANCE = 1e-4
"""Relative error bound at which all singular values are found."""

MOST_PASSES = 24
"""Passes over the normals after which the errors are what they are."""

_EXTRA = 10
"""Columns of a block beyond those asked for."""

_INDEPENDENT = 1e-12
"""Share of a block's length below which what it adds is rounding."""

_Pairs = tuple[Tensor, Tensor, Tensor]
"""Eigenvalues, descending, (k,); norms of their residuals, (k,); vectors, (side, k)."""


def leading_pairs(
    normals: Matrix, count: int, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return leading singular values, bounds of their errors, right vectors, and the rows used.

    Args:
        normals: Unit rows, or zero, (n, D).
        count: How many pairs, k, at most min(n, D).
        seed: Of the random start.

    Returns:
        Values, (k,), descending; bounds of their absolute errors, (k,); orthonormal right vectors,
        (k, D); whether each row is not zero, (n,).

    Raises:
        InputError: If a number is not finite, or a row is neither of unit length nor zero.
    """
    norms = torch.zeros(normals.shape[0], dtype=torch.float64)

    def apply(block: Tensor) -> Tensor:
        """Return N'N times a block, from one pass over the rows."""
        image = torch.zeros_like(block)
        for part, rows in blocks(normals, by_rows=True):
            lines = torch.from_numpy(rows)
            norms[part] = (lines**2).sum(1)
            image += lines.T @ (lines @ block)
        used_rows(norms.numpy())
        return image

    squares, residuals, vectors = leading_eigenpairs(
        apply, normals.shape[1], count, tolerance=TOLERANCE, most_passes=MOST_PASSES, seed=seed
    )
    values = squares.clamp(min=0).sqrt()
    # |theta - lambda| = |root theta - root lambda| (root theta + root lambda)
    errors = torch.minimum(residuals / values.clamp(min=torch.finfo().tiny), residuals.sqrt())
    return values.numpy(), errors.numpy(), vectors.T.numpy(), used_rows(norms.numpy())


def leading_eigenpairs(
    apply: Callable[[Tensor], Tensor],
    side: int,
    count: int,
    *,
    tolerance: float,
    most_passes: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> _Pairs:
    """Return leading eigenpairs of a symmetric matrix that is known by its products.

    Args:
        apply: Multiplies a block, (side, b), float64, by the matrix.
        side: Of the matrix.
        count: How many pairs, at most ``side``.
        tolerance: Largest residual over its eigenvalue at which all pairs are found.
        most_passes: Products after which the residuals are what they are.
        seed: Of the random start.
        device: Of the blocks.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(side, min(count + _EXTRA, side), dtype=torch.float64, generator=generator)
    newest, _ = torch.linalg.qr(start.to(device))
    basis, images = newest[:, :0], newest[:, :0]
    check = 1
    for turn in range(1, most_passes + 1):
        image = apply(newest)
        basis, images = torch.hstack([basis, newest]), torch.hstack([images, image])
        newest = new_directions(image, basis)
        ended = turn == most_passes or not newest.shape[1]
        if turn == check or ended:
            check += max(1, turn // 8)
            values, residuals, vectors = _ritz(basis, images, count)
            if ended or bool((residuals <= tolerance * values).all()):
                break
    return values, residuals, vectors


def _ritz(basis: Tensor, images: Tensor, count: int) -> _Pairs:
    projected = basis.T @ images
    values, turns = torch.linalg.eigh((projected + projected.T) / 2)
    values, turns = values[-count:].flip(0), turns[:, -count:].flip(1)
    vectors = basis @ turns
    residuals = torch.linalg.vector_norm(images @ turns - values * vectors, dim=0)
    return values, residuals, vectors


def new_directions(image: Tensor, basis: Tensor) -> Tensor:
    """Return an orthonormal basis of what the image adds to the basis; maybe nothing."""
    room = basis.shape[0] - basis.shape[1]
    scale = torch.linalg.vector_norm(image, dim=0).max()
    added = image - basis @ (basis.T @ image)
    directions, sizes, _ = torch.linalg.svd(added, full_matrices=False)
    directions = directions[:, : min(room, int((sizes > _INDEPENDENT * scale).sum()))]
    orthonormal: Tensor = torch.linalg.qr(directions - basis @ (basis.T @ directions))[0]
    return orthonormal
