"""What one model's perturbations and subspace are worth on another model.

Perturbations made on one model (a row) are tried on others (columns), and the subspaces of the
normals are held against each other: pixel by pixel the published perturbations of different
networks have nothing in common, though they transfer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from analysis.fooling import FoolingRate
from analysis.gram import Matrix, blocks
from analysis.halves import random_overlaps
from analysis.intervals import percentile_interval
from analysis.perturbations import Perturbations
from analysis.spectrum import SingularSpectrum
from boundary.errors import InputError


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Fooling rates of one family, made on the row's model and tried on the column's."""

    family: str
    p: float
    """Of the norm: 2 or infinity."""
    rates: tuple[FoolingRate, ...]
    """models x models, row by row; not clipped, each column on its own images."""

    def at(self, row: int, column: int) -> FoolingRate:
        """Return the rate of the row's perturbations on the column's model."""
        models = isqrt(len(self.rates))
        return self.rates[row * models + column]


@dataclass(frozen=True, eq=False)
class SharedGeometry:
    """How much the subspaces of several models share; NaN where image sizes differ."""

    dimension: int
    """R of every subspace."""
    ambient_dimension: NDArray[np.int64]
    """(models,), D of each."""
    energy: NDArray[np.float64]
    """(models, models): mean energy of the row's normals in the column's subspace; on the diagonal
    that of held-out normals."""
    energy_low: NDArray[np.float64]
    """(models, models), lower end of the 95 % bootstrap interval over images."""
    energy_high: NDArray[np.float64]
    """(models, models), upper end."""
    angles: NDArray[np.float64]
    """(models, models, R), principal angles of two subspaces, radians, ascending."""
    random_angles: NDArray[np.float64]
    """(pairs, R), of pairs of random subspaces of the first model's D, ascending."""

    @property
    def shared(self) -> NDArray[np.float64]:
        """(models, models), mean squared cosine of the principal angles; R/D if random."""
        return np.asarray((np.cos(self.angles) ** 2).mean(-1))


@dataclass(frozen=True, eq=False)
class TransferResult:
    """Several models against each other."""

    models: tuple[str, ...]
    matrices: tuple[TransferMatrix, ...]
    noise: tuple[FoolingRate, ...]
    """(models,), of random directions of the same l2 norm on each column's images."""
    norms: NDArray[np.float64]
    """(models,), l2 norm at which each column is tried, input units."""
    sizes: NDArray[np.int64]
    """(models, 3), (C, H, W) of each model's images; perturbations are resized where they
    differ."""
    geometry: SharedGeometry


def resized(perturbations: Perturbations, shape: tuple[int, ...]) -> Perturbations:
    """Return perturbations at another height and width, bilinear, at the same norm.

    Args:
        perturbations: Of images (C, H, W).
        shape: (C, H', W') wanted.

    Raises:
        InputError: If the channels differ.
    """
    found = tuple(perturbations.directions.shape[1:])
    if found == tuple(shape):
        return perturbations
    if found[0] != shape[0]:
        raise InputError(
            f"perturbations of {found[0]} channels cannot be tried on images of {shape[0]}: a "
            "change of colours is no change of size. Compare models of the same channels."
        )
    larger = functional.interpolate(
        perturbations.directions, shape[1:], mode="bilinear", antialias=True
    )
    return Perturbations.of(
        perturbations.family,
        larger,
        perturbations.norm,
        p=perturbations.p,
        source=perturbations.source,
    )


def shared_geometry(
    spectra: Sequence[SingularSpectrum],
    normals: Sequence[Matrix],
    held_out: Sequence[NDArray[np.float64]],
    shapes: Sequence[tuple[int, ...]],
    *,
    dimension: int,
    seed: int = 0,
) -> SharedGeometry:
    """Return what the subspaces of several models share.

    Args:
        spectra: Of each model's normals.
        normals: Unit rows of each model, (n, D).
        held_out: Of each model, (m,): energy of held-out normals in the directions of others, the
            first R of them.
        shapes: (C, H, W) of each model's images; only equal ones are compared.
        dimension: R.
        seed: Of the random subspaces.
    """
    count = len(spectra)
    energy = np.full((3, count, count), np.nan)
    angles = np.full((count, count, dimension), np.nan)
    for row in range(count):
        for column in range(count):
            if tuple(shapes[row]) != tuple(shapes[column]):
                continue
            energy[:, row, column] = (
                _mean_and_ends(held_out[row])
                if row == column
                else _energy(spectra[column], normals[row], dimension)
            )
            one, other = (spectra[i].subspace(dimension) for i in (row, column))
            cosines = np.linalg.svd(one.basis @ other.basis.T, compute_uv=False)
            angles[row, column] = np.arccos(cosines.clip(0, 1))
    return SharedGeometry(
        dimension=dimension,
        ambient_dimension=np.array([spectrum.dimension for spectrum in spectra]),
        energy=energy[0],
        energy_low=energy[1],
        energy_high=energy[2],
        angles=angles,
        random_angles=_random_angles(spectra[0].dimension, dimension, seed),
    )


def _energy(spectrum: SingularSpectrum, normals: Matrix, dimension: int) -> NDArray[np.float64]:
    subspace = spectrum.subspace(dimension)
    found = [subspace.energy(block) for _, block in blocks(normals, by_rows=True)]
    return _mean_and_ends(np.concatenate(found))


def _mean_and_ends(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(0)
    means = [generator.choice(energies, len(energies)).mean() for _ in range(1000)]
    interval = percentile_interval(means)
    return np.array([energies.mean(), interval.low, interval.high])


def _random_angles(ambient: int, dimension: int, seed: int) -> NDArray[np.float64]:
    return random_overlaps(ambient, dimension, seed=seed).angles(dimension)


def check_models(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse models that cannot be compared.

    Raises:
        InputError: If there are fewer than two, or their channels differ.
    """
    if len(names) < 2:
        raise InputError(f"`transfer` compares at least two models. Found {', '.join(names)}.")
    channels = {shape[0] for shape in shapes}
    if len(channels) > 1:
        said = ", ".join(f"{n} {s[0]}" for n, s in zip(names, shapes, strict=True))
        raise InputError(f"the models should take images of the same channels. Found {said}.")
