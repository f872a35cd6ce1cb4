"""Which random perturbations a study compares: sweeps over norms and over dimensions."""

from collections.abc import Sequence
from math import inf

import numpy as np
import torch

from analysis.perturbations import Perturbations, in_subspace, on_sphere, random_signs
from analysis.rivals import MATCHED
from analysis.spectrum import SingularSpectrum
from analysis.subspace import Subspace
from boundary.errors import InputError

SMALLEST_NORM, LARGEST_NORM = 0.01, 0.2
"""Ends of the default norms, as shares of the mean image norm."""

LARGEST_IN_MARGINS = 5.0
"""The default norms reach at least this many median margins, so that a robust model is fooled."""


def round_numbers(low: float, high: float) -> list[float]:
    """Return the numbers 1, 2, 5 times powers of ten from ``low`` to ``high``."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]


def norm_sweep(
    norms: Sequence[float] | None, mean_image_norm: float, median_margin: float, reference: float
) -> list[float]:
    """Return the norms to try, ascending.

    Args:
        norms: As asked for; None for round numbers between the constants above.
        mean_image_norm: Input units.
        median_margin: Input units.
        reference: Norm that is added, input units.

    Raises:
        InputError: If a norm is not positive.
    """
    if norms is None:
        largest = max(LARGEST_NORM * mean_image_norm, LARGEST_IN_MARGINS * median_margin)
        norms = round_numbers(SMALLEST_NORM * mean_image_norm, largest)
    if not all(0 < norm < np.inf for norm in (*norms, reference)):
        raise InputError(f"`norms` should be positive and finite. Found {[*norms, reference]}.")
    return sorted({*norms, reference})


def dimension_sweep(dimensions: Sequence[int] | None, available: int, reference: int) -> list[int]:
    """Return the subspace dimensions to try, ascending.

    Args:
        dimensions: As asked for; None for 1, 2, 5, 10, ... as far as there are directions.
        available: Directions kept.
        reference: Dimension that is added.

    Raises:
        InputError: If a dimension is below 1 or above ``available``.
    """
    if dimensions is None:
        dimensions = [int(number) for number in round_numbers(1, available)]
    found = sorted({*dimensions, reference})
    if found[0] < 1 or found[-1] > available:
        raise InputError(
            f"`--fooling.dimensions` should lie in 1..{available}, the singular vectors kept. "
            f"Found {found[0] if found[0] < 1 else found[-1]}."
        )
    return found


NOISE_DRAWS = 10
"""Random directions beside universal perturbations."""


def noise_beside(
    families: Sequence[Perturbations], shape: tuple[int, ...], seed: int
) -> list[Perturbations]:
    """Return random directions, or random signs, of each norm that some families have.

    The directions are those of `vectors_of_sphere`.

    Args:
        families: Of l2 or l-infinity norm.
        shape: (C, H, W) of an image.
        seed: Of the draws.
    """
    kinds = {2.0: on_sphere, inf: random_signs}
    unit = {p: make(shape, NOISE_DRAWS, 1.0, _generator(seed, 0)) for p, make in kinds.items()}
    wanted = dict.fromkeys((family.p, float(f"{family.norm:.9g}")) for family in families)
    return [unit[p].scaled(norm).described(seed=seed) for p, norm in wanted]


def vectors_of(
    spectrum: SingularSpectrum, R: int, shape: tuple[int, ...], count: int, seed: int
) -> Perturbations:
    """Return random unit vectors of S_f; those of one R do not depend on which others are taken.

    Args:
        spectrum: Whose leading singular vectors span S_f.
        R: Dimension.
        shape: (C, H, W) of an image.
        count: How many.
        seed: Of the vectors.
    """
    found = in_subspace(spectrum.subspace(R), shape, count, 1.0, _generator(seed, R))
    return found.described(seed=seed)


def vectors_of_noise(
    subspaces: Sequence[Subspace],
    shape: tuple[int, ...],
    count: int,
    seed: int,
    *,
    family: str = MATCHED,
) -> Perturbations:
    """Return random unit vectors of matched noise, so many of each draw, one draw after another.

    Args:
        subspaces: One a draw of the noise, of one dimension.
        shape: (C, H, W) of an image.
        count: Vectors of each.
        seed: Of the vectors.
        family: Its name.
    """
    rows = [
        subspace.sample(count, 1.0, _generator(seed, subspace.dimension, draw))
        for draw, subspace in enumerate(subspaces)
    ]
    return Perturbations.of(
        family,
        torch.cat(rows).view(-1, *shape),
        1.0,
        subspace_dimension=subspaces[0].dimension,
        per_draw=count,
        source={"seed": seed},
    )


def vectors_of_sphere(shape: tuple[int, ...], count: int, seed: int) -> Perturbations:
    """Return random unit vectors of image space, (C, H, W) numbers each."""
    return on_sphere(shape, count, 1.0, _generator(seed, 0)).described(seed=seed)


def _generator(seed: int, *stream: int) -> torch.Generator:
    state = np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
