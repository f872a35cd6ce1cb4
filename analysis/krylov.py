"""The leading singular pairs of a matrix by a block Krylov method (Musco and Musco 2015).

From a random block, each pass over the rows multiplies the newest block by N'N; Rayleigh and Ritz's
best vectors of all blocks together follow. A Ritz value theta of a unit vector v with residual
r = N'N v - theta v has an eigenvalue of N'N within |r|, so the error of sqrt theta is at most
|r| / sqrt theta. Ritz values are never too large. That no larger singular value was missed is sure
but for a random start that is orthogonal to its vector, which has probability zero.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.gram import Matrix, blocks, used_rows

TOLERANCE = 1e-4
"""Relative error bound at which all values are found."""

MOST_PASSES = 24
"""Passes over the matrix after which the errors are what they are."""

_EXTRA = 10
"""Columns of a block beyond those asked for."""

_INDEPENDENT = 1e-12
"""Share of a block's length below which what it adds is rounding."""


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
    dimension = normals.shape[1]
    width = min(count + _EXTRA, dimension)
    start = np.random.default_rng(seed).standard_normal((dimension, width))
    newest, _ = np.linalg.qr(start)
    basis, images = newest, np.zeros((dimension, 0))
    for turn in range(MOST_PASSES):
        image, squares = _pass(normals, newest)
        if turn == 0:
            used = used_rows(squares)
        images = np.hstack([images, image])
        values, errors, vectors = _ritz(basis, images, count)
        newest = _new_directions(image, basis)
        if (errors <= TOLERANCE * values).all() or not newest.shape[1]:
            break
        basis = np.hstack([basis, newest])
    return values, errors, vectors.T, used


def _pass(
    normals: Matrix, block: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return N'N times a block, and the squared norms of the rows."""
    image = np.zeros_like(block)
    squares = np.zeros(normals.shape[0])
    for part, rows in blocks(normals, by_rows=True):
        squares[part] = np.einsum("ij,ij->i", rows, rows)
        image += rows.T @ (rows @ block)
    return image, squares


def _ritz(
    basis: NDArray[np.float64], images: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    known = images.shape[1]
    projected = basis[:, :known].T @ images
    squares, turns = np.linalg.eigh((projected + projected.T) / 2)
    squares, turns = squares[::-1][:count].clip(min=0), turns[:, ::-1][:, :count]
    vectors = basis[:, :known] @ turns
    residuals = np.linalg.norm(images @ turns - squares * vectors, axis=0)
    values = np.sqrt(squares)
    bounds = np.minimum(residuals / np.maximum(values, np.finfo(float).tiny), np.sqrt(residuals))
    return values, bounds, vectors


def _new_directions(image: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an orthonormal basis of what the image adds to the basis; maybe nothing."""
    room = basis.shape[0] - basis.shape[1]
    scale = np.linalg.norm(image, axis=0).max()
    directions, sizes, _ = np.linalg.svd(image - basis @ (basis.T @ image), full_matrices=False)
    directions = directions[:, : min(room, int((sizes > _INDEPENDENT * scale).sum()))]
    directions, _ = np.linalg.qr(directions - basis @ (basis.T @ directions))
    return np.asarray(directions)
