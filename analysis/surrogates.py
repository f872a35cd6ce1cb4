"""Rows that keep one property of the normals and nothing else: what the null models are made of.

Each function fills an array of the normals' shape, in memory where that is small and else in a file
that goes when the array does, so that spectra of surrogates are taken by the code that takes those
of normals.
"""

from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from analysis.gram import Matrix, blocks

_IN_MEMORY = 2**28
"""Numbers of float32, 1 GiB, beyond which surrogate rows are kept in a file."""

Rows = NDArray[np.float32]


def isotropic_rows(
    count: int, dimension: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return unit rows whose singular values are those of random directions, exactly in law.

    A Gaussian matrix is L Q with Q a rotation, which changes no singular value. The triangle L has
    chi-distributed numbers on its diagonal and normal ones below it (Bartlett 1933), so n rows of
    D numbers cost no more than n rows of min(n, D).
    """
    width = min(count, dimension)
    rows = generator.standard_normal((count, width))
    lengths = np.sqrt(generator.chisquare(dimension - np.arange(width)))
    for place, row in enumerate(rows):  # in place: the rows may be as large as the Gram matrix
        row[place:] = 0
        if place < width:
            row[place] = lengths[place]
        row /= np.linalg.norm(row)
    return rows


def permuted_rows(
    normals: Matrix, generator: np.random.Generator, scratch: Path | None = None
) -> Rows:
    """Return the normals with each coordinate permuted across rows, each row made a unit vector.

    Every coordinate keeps its values, so their means and variances; all that coordinates share,
    within an image, is gone. A row where only zeros met stays as it was.

    Args:
        normals: Unit rows, (n, D).
        generator: Of the permutations.
        scratch: Folder of the file, where one is needed; by default the system's.
    """
    rows = _new_rows(normals.shape, scratch)
    for part, block in blocks(normals, by_rows=False):
        rows[:, part] = generator.permuted(block, axis=0)
    for part, block in blocks(rows, by_rows=True):
        empty = ~block.any(1)
        if empty.any():  # coordinates that are mostly zero can all meet in one row
            block[empty] = np.asarray(normals[part])[empty]
        rows[part] = _unit(block)
    return rows


def phase_randomised_rows(
    normals: Matrix,
    image_shape: tuple[int, ...],
    generator: np.random.Generator,
    scratch: Path | None = None,
) -> Rows:
    """Return the normals, each with its own power spectrum and random phases.

    The phases are those of white noise, the same for all channels of an image, so that the spectra
    between channels stay too: colour is kept, position and form are gone.

    Args:
        normals: Unit rows, (n, D).
        image_shape: (C, H, W) with D numbers.
        generator: Of the noise.
        scratch: Folder of the file, where one is needed; by default the system's.
    """
    rows = _new_rows(normals.shape, scratch)
    channels, height, width = image_shape
    for part, block in blocks(normals, by_rows=True):
        images = block.reshape(-1, channels, height, width)
        noise = scipy.fft.rfft2(generator.standard_normal((len(images), 1, height, width)))
        turned = scipy.fft.rfft2(images) * (noise / np.abs(noise))
        found = scipy.fft.irfft2(turned, s=(height, width))
        rows[part] = _unit(found.reshape(len(block), -1))
    return rows


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))


def _new_rows(shape: tuple[int, ...], scratch: Path | None) -> Rows:
    if np.prod(shape) <= _IN_MEMORY:
        return np.empty(shape, np.float32)
    with TemporaryFile(dir=scratch) as file:  # without a name: it goes with the mapping
        return np.memmap(file, np.float32, "w+", shape=(int(shape[0]), int(shape[1])))
