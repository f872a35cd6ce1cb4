"""What one model's perturbations and subspace are worth on another model.

Perturbations made on one model (a row) are tried on others (columns), and the subspaces of the
normals are held against each other: pixel by pixel the published perturbations of different
networks have nothing in common, though they transfer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from analysis.components import mean_over
from analysis.fooling import FoolingRate
from analysis.gram import Matrix, blocks, rows_of
from analysis.halves import random_overlaps
from analysis.perturbations import Perturbations
from analysis.spectrum import singular_spectrum
from analysis.subspace import Subspace
from analysis.surrogates import phase_randomised_rows
from boundary.errors import InputError
from boundary.result import Result


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Fooling rates of one family, made on the row's model and tried on the column's."""

    family: str
    p: float
    """Of the norm: 2 or infinity."""
    rates: tuple[FoolingRate, ...]
    """models x models, row by row; not clipped, each column on its own images."""
    noise: tuple[FoolingRate, ...]
    """(models,), of random directions (of random signs where p is infinity) of the same norm, on
    each column's images."""

    def at(self, row: int, column: int) -> FoolingRate:
        """Return the rate of the row's perturbations on the column's model."""
        models = isqrt(len(self.rates))
        return self.rates[row * models + column]


@dataclass(frozen=True, eq=False)
class ModelNormals:
    """The normals of one model, and at which images."""

    normals: Matrix
    """Unit rows, (n, D)."""
    ids: Sequence[str]
    """(n,), of the images."""
    shape: tuple[int, ...]
    """(C, H, W) with D numbers."""


@dataclass(frozen=True, eq=False)
class SharedGeometry:
    """How much the subspaces of several models share; NaN where image sizes differ.

    Images are split in two: some make the subspaces of all models, normals at the others are
    judged. On the same images two models may agree image by image and share no direction.
    """

    dimension: int
    """R of every subspace."""
    ambient_dimension: NDArray[np.int64]
    """(models,), D of each."""
    judged: NDArray[np.int64]
    """(models,), normals of each that made no subspace."""
    energy: NDArray[np.float64]
    """(models, models): mean energy of the row's normals in the column's subspace."""
    energy_low: NDArray[np.float64]
    """(models, models), lower end of the 95 % interval over images."""
    energy_high: NDArray[np.float64]
    """(models, models), upper end."""
    matched: NDArray[np.float64]
    """(models, models): the same in the subspace of the column's normals with their phases
    randomised."""
    beyond_low: NDArray[np.float64]
    """(models, models), lower end of the interval of the difference of the two, in pairs."""
    angles: NDArray[np.float64]
    """(models, models, R), principal angles of two subspaces, radians, largest first."""
    random_angles: NDArray[np.float64]
    """(models, pairs, R), of pairs of random subspaces of the row's D, ascending."""

    @property
    def shared(self) -> NDArray[np.float64]:
        """(models, models), mean squared cosine of the principal angles."""
        return np.asarray((np.cos(self.angles) ** 2).mean(-1))

    @property
    def chance(self) -> NDArray[np.float64]:
        """(models,), R/D: the mean of energies and squared cosines at random."""
        return np.asarray(self.dimension / self.ambient_dimension)


@dataclass(frozen=True, eq=False, repr=False)
class TransferResult(Result):
    """Several models against each other."""

    AXES: ClassVar = {"models": "models", "norms": "models", "sizes": "models axis"}
    ROWS = "models"

    models: tuple[str, ...]
    matrices: tuple[TransferMatrix, ...]
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
        sampled=perturbations.sampled,
        source=perturbations.source,
    )


def shared_geometry(
    models: Sequence[ModelNormals], *, dimension: int, held_out: float = 0.2, seed: int = 0
) -> SharedGeometry:
    """Return what the subspaces of several models share.

    Args:
        models: Their normals; only those of images of one shape are compared.
        dimension: R, at most as many as normals that make a subspace.
        held_out: Share of the images, of all models together, at which normals are judged.
        seed: Of the split, of the phases and of the random subspaces.

    Raises:
        InputError: If there are too few normals.
    """
    ids = sorted({name for model in models for name in model.ids})
    order = np.random.default_rng(seed).permutation(len(ids))
    apart = {ids[place] for place in order[len(ids) - round(held_out * len(ids)) :]}
    judging = [np.array([name in apart for name in model.ids]) for model in models]
    fitted = [rows_of(m.normals, np.flatnonzero(~j)) for m, j in zip(models, judging, strict=True)]
    judged = [rows_of(m.normals, np.flatnonzero(j)) for m, j in zip(models, judging, strict=True)]
    if min(rows.shape[0] for rows in fitted) < dimension or not all(map(np.any, judging)):
        raise InputError(
            f"every model should have {dimension} normals to make its subspace, and one to judge. "
            f"Found {[rows.shape[0] for rows in fitted]} and {[r.shape[0] for r in judged]}; "
            "collect more images, or take a smaller `dimension`."
        )
    own = [singular_spectrum(rows, directions=dimension).subspace(dimension) for rows in fitted]
    matched = [
        singular_spectrum(
            phase_randomised_rows(rows, model.shape, np.random.default_rng([seed, place])),
            directions=dimension,
        ).subspace(dimension)
        for place, (rows, model) in enumerate(zip(fitted, models, strict=True))
    ]
    count = len(models)
    energy = np.full((5, count, count), np.nan)
    angles = np.full((count, count, dimension), np.nan)
    for row, column in np.ndindex(count, count):
        if tuple(models[row].shape) == tuple(models[column].shape):
            found = np.stack(
                [_energies(space[column], judged[row]) for space in (own, matched)], axis=1
            )
            energy[:, row, column] = _summary(found)
            angles[row, column] = own[row].principal_angles(own[column])
    return SharedGeometry(
        dimension=dimension,
        ambient_dimension=np.array([space.ambient_dimension for space in own]),
        judged=np.array([rows.shape[0] for rows in judged]),
        energy=energy[0],
        energy_low=energy[1],
        energy_high=energy[2],
        matched=energy[3],
        beyond_low=energy[4],
        angles=angles,
        random_angles=np.stack(
            [
                random_overlaps(space.ambient_dimension, dimension, seed=seed).angles(dimension)
                for space in own
            ]
        ),
    )


def _energies(subspace: Subspace, normals: Matrix) -> NDArray[np.float64]:
    found = [subspace.energy(block) for _, block in blocks(normals, by_rows=True)]
    return np.concatenate(found)


def _summary(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mean and ends of the first column, mean of the second, low end of the difference."""
    first, second = energies.T
    interval, beyond = mean_over(first).interval, mean_over(first - second).interval
    return np.array([first.mean(), interval.low, interval.high, second.mean(), beyond.low])


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
