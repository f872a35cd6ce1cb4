"""How many images it takes: the same perturbations made from more and more of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from analysis.algorithms import Algorithm, Recipe, make_universal
from analysis.ball import Ball
from analysis.fooling import FoolingRate
from analysis.perturbations import Perturbations
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
        asked: As asked for; None for none.
        available: Images that there are.

    Raises:
        InputError: If one is below 1 or above what there is.
    """
    asked = asked or []
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
