"""The families of random perturbations that are compared."""

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.subspace import Subspace


@dataclass(frozen=True, eq=False)
class Perturbations:
    """Several draws of one family, all of the same Euclidean norm."""

    family: str
    """``sphere`` or ``subspace``."""
    vectors: Tensor
    """(draws, C, H, W), float64, on the CPU."""
    norm: float
    """Euclidean length of each, input units."""
    subspace_dimension: int
    """R of the subspace they were drawn from; D for the whole sphere."""

    def scaled(self, norm: float) -> "Perturbations":
        """Return the same directions at another norm, so that a curve over norms is paired."""
        vectors = self.vectors * (norm / self.norm)
        return Perturbations(self.family, vectors, norm, self.subspace_dimension)


def on_sphere(
    shape: tuple[int, ...], count: int, norm: float, generator: torch.Generator
) -> Perturbations:
    """Return random perturbations, uniform on the sphere of all directions.

    Args:
        shape: (C, H, W) of an image.
        count: How many.
        norm: Euclidean length of each, input units.
        generator: On the CPU.
    """
    normal = torch.randn(count, *shape, dtype=torch.float64, generator=generator)
    length = normal.flatten(1).norm(dim=1).view(-1, *[1] * len(shape))
    return Perturbations("sphere", norm * normal / length, norm, normal[0].numel())


def in_subspace(
    subspace: Subspace, shape: tuple[int, ...], count: int, norm: float, generator: torch.Generator
) -> Perturbations:
    """Return random perturbations, uniform on the sphere of a subspace.

    Args:
        subspace: Of image space.
        shape: (C, H, W) of an image.
        count: How many.
        norm: Euclidean length of each, input units.
        generator: On the CPU.
    """
    vectors = subspace.sample(count, norm, generator).view(count, *shape)
    return Perturbations("subspace", vectors, norm, subspace.dimension)
