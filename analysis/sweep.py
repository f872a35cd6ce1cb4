"""Which random perturbations a study compares: sweeps over norms and over dimensions."""

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np
import torch

from analysis.perturbations import Perturbations, in_subspace, on_sphere, random_signs
from analysis.spectrum import SingularSpectrum
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

    The directions are those of `random_families`.

    Args:
        families: Of l2 or l-infinity norm.
        shape: (C, H, W) of an image.
        seed: Of the draws.
    """
    kinds = {2.0: on_sphere, inf: random_signs}
    unit = {p: make(shape, NOISE_DRAWS, 1.0, _generator(seed, 0)) for p, make in kinds.items()}
    wanted = dict.fromkeys((family.p, float(f"{family.norm:.9g}")) for family in families)
    return [unit[p].scaled(norm).described(seed=seed) for p, norm in wanted]


def random_families(
    spectra: Mapping[str, SingularSpectrum],
    shape: tuple[int, ...],
    *,
    norms: Sequence[float],
    dimensions: Sequence[int],
    reference_norm: float,
    reference_dimension: int,
    draws: int,
    seed: int,
) -> list[Perturbations]:
    """Return the random families to compare, each direction used at every norm of its sweep.

    The sphere and the subspaces of the reference dimension are tried at all norms, the subspaces of
    the other dimensions at the reference norm.

    Args:
        spectra: Family -> spectrum whose leading singular vectors span its subspaces.
        shape: (C, H, W) of an image.
        norms: Euclidean, input units.
        dimensions: Values of R; those beyond the directions of a spectrum are left out.
        reference_norm: The norm at which R varies.
        reference_dimension: The R at which the norm varies.
        draws: Random directions of each family.
        seed: Of the directions; those of one R do not depend on which others are asked for.

    Raises:
        InputError: If there are no draws.
    """
    if draws < 1:
        raise InputError(f"`draws` should be at least 1. Found {draws}.")
    sphere = on_sphere(shape, draws, 1.0, _generator(seed, 0)).described(seed=seed)
    families = [sphere.scaled(norm) for norm in norms]
    for family, spectrum in spectra.items():
        for dimension in dimensions:
            if dimension > len(spectrum.directions):
                continue
            subspace, generator = spectrum.subspace(dimension), _generator(seed, dimension)
            unit = in_subspace(subspace, shape, draws, 1.0, generator, family=family)
            unit = unit.described(seed=seed)
            tried = norms if dimension == reference_dimension else [reference_norm]
            families += [unit.scaled(norm) for norm in tried]
    return families


def _generator(seed: int, stream: int) -> torch.Generator:
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
