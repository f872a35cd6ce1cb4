"""Subspaces that S_f must beat for its fooling rate to mean anything.

A random vector of the shared subspace is smooth, and smooth noise fools by itself.
*Spectrum-matched noise* comes from the subspace of the same normals with their phases randomised:
as smooth, as coloured, but without form. The subspace of an untrained network of the same
architecture asks what training adds.
"""

from pathlib import Path

import numpy as np

from analysis.gram import HERE, Matrix, Where
from analysis.spectrum import SingularSpectrum, singular_spectrum
from analysis.surrogates import phase_randomised_rows

MATCHED, UNTRAINED = "spectrum-matched", "untrained"


def rival_spectra(
    normals: Matrix,
    untrained: Matrix | None,
    image_shape: tuple[int, ...],
    *,
    directions: int,
    seed: int = 0,
    where: Where = HERE,
    scratch: Path | None = None,
) -> dict[str, SingularSpectrum]:
    """Return the spectra of phase-randomised normals and of an untrained network's, by family.

    Args:
        normals: Unit rows, (n, D).
        untrained: Those of an untrained network, (n', D), n' at least n / 2; None leaves it out.
        image_shape: (C, H, W) with D numbers.
        directions: How many to keep, or as many as there can be.
        seed: Of the phases.
        where: On which device, by which processes.
        scratch: Folder for rows that are not held in memory; the system's by default.
    """
    count, dimension = normals.shape
    phases = np.random.default_rng([seed, 1])
    rows = {MATCHED: phase_randomised_rows(normals, image_shape, phases, scratch)}
    given: dict[str, Matrix] = dict(rows)
    if untrained is not None and 2 * untrained.shape[0] >= count:
        given[UNTRAINED] = untrained
    return {
        family: singular_spectrum(
            matrix, directions=min(directions, matrix.shape[0], dimension), where=where
        )
        for family, matrix in given.items()
    }
