"""How many images it takes: the same perturbations made from more and more of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.algorithms import Algorithm, Recipe, make_universal
from analysis.ball import Ball
from analysis.fooling import FoolingRate
from analysis.gram import Matrix, rows_of
from analysis.perturbations import Perturbations, in_subspace
from analysis.spectrum import singular_spectrum
from boundary.classifier import Classifier
from boundary.errors import InputError


@dataclass(frozen=True, eq=False)
class LearnedRate:
    """A fooling rate on other images, by how many images made the perturbation."""

    images_used: int
    rate: FoolingRate


def counts_below(asked: Sequence[int] | None, available: int) -> list[int]:
    """Return the numbers of images to try, ascending, below all of them.

    Args:
        asked: As asked for; None for an eighth, a quarter and a half.
        available: Images that there are.

    Raises:
        InputError: If one is below 1 or above what there is.
    """
    if asked is None:
        asked = [available // 8, available // 4, available // 2]
        return [count for count in asked if count > 0]
    if any(not 1 <= count <= available for count in asked):
        raise InputError(f"`counts` should lie in 1..{available}. Found {list(asked)}.")
    return sorted({count for count in asked if count < available})


def universal_of_few(
    classifier: Classifier,
    images: Tensor,
    counts: Sequence[int],
    algorithm: Algorithm,
    ball: Ball,
    recipe: Recipe,
    *,
    progress: bool = False,
) -> list[Perturbations]:
    """Return the universal perturbations of the first few images, at the same gradients spent.

    Args:
        classifier: Whose predictions they change.
        images: Shape (N, C, H, W).
        counts: How many of them to use.
        algorithm: See `make_universal`.
        ball: The norm that the perturbations may have.
        recipe: Budget, seed and other options.
        progress: Show progress bars on standard error.
    """
    return [
        make_universal(
            algorithm, classifier, images[:count], ball, recipe, progress=progress
        ).as_perturbations()
        for count in counts
    ]


def subspaces_of_few(
    normals: Matrix,
    shape: tuple[int, ...],
    counts: Sequence[int],
    *,
    dimension: int,
    draws: int,
    norm: float,
    seed: int,
) -> list[Perturbations]:
    """Return random perturbations of the subspaces that the first few normals make.

    Args:
        normals: Unit rows, (n, D).
        shape: (C, H, W) with D numbers.
        counts: How many normals to use.
        dimension: R, or as many as there are normals.
        draws: Perturbations of each.
        norm: Euclidean length of each, input units.
        seed: Of the draws.
    """
    found = []
    for count in counts:
        first = rows_of(normals, torch.arange(count).numpy())
        spectrum = singular_spectrum(first, directions=min(dimension, count))
        generator = torch.Generator().manual_seed(seed)
        subspace = spectrum.subspace(len(spectrum.directions))
        found.append(in_subspace(subspace, shape, draws, norm, generator))
    return found
