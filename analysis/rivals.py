"""Matched noise: subspaces as smooth and as coloured as S_f, or as S_c, and nothing else.

A random vector of the shared subspace is smooth, and smooth noise fools by itself. Of S_f the
matched noise is the leading singular vectors of the same normals with random phases, one field of
phases for all channels; on a linear classifier it fools more than the directions of S_f themselves
with random phases. Of S_c, which no normals make, it is its own directions with random phases. Each
is drawn anew several times, since of few dimensions its rate differs from draw to draw.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.gram import HERE, Matrix, Where
from analysis.spectrum import SingularSpectrum, singular_spectrum
from analysis.subspace import Subspace
from analysis.surrogates import phase_randomised_rows

MATCHED, UNTRAINED = "spectrum-matched", "untrained"

PHASE_DRAWS = 5


def matched_spectra(
    normals: Matrix,
    image_shape: tuple[int, ...],
    *,
    directions: int,
    draws: int = PHASE_DRAWS,
    seed: int = 0,
    where: Where = HERE,
    scratch: Path | None = None,
) -> list[SingularSpectrum]:
    """Return the spectra of normals with random phases, drawn several times.

    Args:
        normals: Unit rows, (n, D).
        image_shape: (C, H, W) with D numbers.
        directions: How many to keep, or as many as there can be.
        draws: Of the phases.
        seed: Of the phases.
        where: On which device, by which processes.
        scratch: Folder for rows that are not held in memory; the system's by default.
    """
    kept = min(directions, *normals.shape)
    found = []
    for draw in range(draws):
        phases = np.random.default_rng([seed, 1, draw])
        rows = phase_randomised_rows(normals, image_shape, phases, scratch)
        found.append(singular_spectrum(rows, directions=kept, where=where))
    return found


def matched_frames(
    directions: NDArray[np.float64],
    image_shape: tuple[int, ...],
    *,
    draws: int = PHASE_DRAWS,
    seed: int = 0,
) -> list[Subspace]:
    """Return the spans of some directions with random phases, drawn several times.

    Args:
        directions: Orthonormal rows, (R, D).
        image_shape: (C, H, W) with D numbers.
        draws: Of the phases.
        seed: Of the phases.
    """
    return [
        Subspace.spanned_by(
            phase_randomised_rows(directions, image_shape, np.random.default_rng([seed, 2, draw]))
        )
        for draw in range(draws)
    ]
