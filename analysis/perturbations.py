"""Perturbations: vectors that are added to images, of one norm, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor

from analysis.subspace import Subspace
from boundary.errors import InputError
from boundary.result import Result

LEVELS = 255
"""Steps of an 8-bit picture between black and white."""

SPHERE, SUBSPACE = "sphere", "subspace"
"""Families of random vectors: of image space, and of S_f."""


@dataclass(frozen=True, eq=False, repr=False)
class Perturbations(Result):
    """Several draws of one family, all of the same norm."""

    AXES: ClassVar = {"directions": "draw channel height width"}

    family: str
    """Such as ``sphere``, ``subspace`` or ``universal``."""
    directions: Tensor
    """(draws, C, H, W), float64, on the CPU: each vector over the norm. The same directions at
    several norms are one tensor."""
    norm: float
    """lp length of each vector, input units."""
    subspace_dimension: int
    """R of the subspace they lie in; D where they were not confined to one."""
    p: float = 2.0
    """Of the norm: 2 or infinity."""
    sampled: bool = True
    """Whether they are a random sample of more, or a fixed list."""
    per_draw: int = 1
    """Vectors of each subspace, where subspaces are drawn too: draws come in groups of so many."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """Provenance, JSON values: which images, model, algorithm and seed made them."""

    def __post_init__(self) -> None:
        if not 0 < self.norm < inf:
            raise InputError(f"`norm` should be positive and finite. Found {self.norm}.")
        if self.p not in {2.0, inf}:
            raise InputError(f"`p` should be 2 or infinity (`math.inf`). Found {self.p}.")

    @classmethod
    def of(
        cls,
        family: str,
        vectors: Tensor,
        norm: float | None = None,
        *,
        p: float = 2.0,
        subspace_dimension: int | None = None,
        sampled: bool = True,
        per_draw: int = 1,
        source: Mapping[str, Any] | None = None,
    ) -> "Perturbations":
        """Return vectors as a family, each scaled to one norm.

        Args:
            family: Its name.
            vectors: Shape (draws, C, H, W), or (C, H, W) for one.
            norm: lp length to give each, input units; by default the mean of their lengths.
            p: 2 or infinity.
            subspace_dimension: R of the subspace they lie in; by default D.
            sampled: Whether they are a random sample of more, or a fixed list.
            per_draw: Vectors of each subspace, where subspaces are drawn too.
            source: Provenance, JSON values.

        Raises:
            InputError: If a vector is zero or not finite, or ``p`` or the norm is out of range.
        """
        rows = vectors.detach().to("cpu", torch.float64)
        rows = rows[None] if rows.ndim == 3 else rows
        if rows.ndim != 4 or not len(rows):
            raise InputError(
                "`vectors` should have shape (draws, C, H, W) or (C, H, W). "
                f"Found {tuple(vectors.shape)}."
            )
        require_finite(family, rows)
        lengths = torch.linalg.vector_norm(rows.flatten(1), p, dim=1)
        if not lengths.all():
            raise InputError(f"a perturbation of `{family}` should not be zero. Found one that is.")
        length = float(lengths.mean()) if norm is None else norm
        dimension = rows[0].numel() if subspace_dimension is None else subspace_dimension
        unit = rows / lengths.view(-1, 1, 1, 1)
        return cls(family, unit, length, dimension, float(p), sampled, per_draw, dict(source or {}))

    @property
    def vectors(self) -> Tensor:
        """(draws, C, H, W), float64, on the CPU: what is added to images."""
        return self.norm * self.directions

    def scaled(self, norm: float, p: float | None = None) -> "Perturbations":
        """Return the same directions at another norm, so that a curve over norms is paired.

        Args:
            norm: lp length to give each, input units.
            p: 2 or infinity; by default that of the family.
        """
        if p is None or p == self.p:
            return replace(self, norm=norm)
        return Perturbations.of(
            self.family,
            self.directions,
            norm,
            p=p,
            subspace_dimension=self.subspace_dimension,
            sampled=self.sampled,
            per_draw=self.per_draw,
            source=self.source,
        )

    def described(self, **facts: Any) -> "Perturbations":
        """Return them with facts added to their source, JSON values."""
        return replace(self, source={**self.source, **facts})

    def rounded(self) -> "Perturbations":
        """Return them as an 8-bit picture can hold them: each number a multiple of 1/255.

        Images are multiples of 1/255 where they come from pictures, and so are sums with these.
        The norm stays the nominal one, of which rounding leaves each a little off.
        """
        rounded = (LEVELS * self.vectors).round() / LEVELS
        return replace(self, directions=rounded / self.norm)

    def shuffled(self, generator: torch.Generator) -> "Perturbations":
        """Return them with the pixels of each in random places, the same for all channels.

        What is left is noise of the same norms and the same colours.
        """
        flat = self.directions.flatten(2)
        places = [torch.randperm(flat.shape[2], generator=generator) for _ in flat]
        moved = torch.stack([row[:, place] for row, place in zip(flat, places, strict=True)])
        directions = moved.view_as(self.directions)
        return replace(self, family=f"{self.family}, shuffled", directions=directions)


def require_finite(family: str, vectors: Tensor) -> None:
    """Refuse vectors that hold NaN or infinity, with which every prediction changes.

    Raises:
        InputError: If one does.
    """
    if not vectors.isfinite().all():
        raise InputError(
            f"the perturbations of family `{family}` should be finite. Found NaN or infinity; "
            "what made them went wrong."
        )


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
    return Perturbations.of(SPHERE, normal, norm)


def random_signs(
    shape: tuple[int, ...], count: int, norm: float, generator: torch.Generator
) -> Perturbations:
    """Return perturbations of random signs: corners of the l-infinity ball.

    Args:
        shape: (C, H, W) of an image.
        count: How many.
        norm: l-infinity length of each, input units.
        generator: On the CPU.
    """
    heads = torch.rand(count, *shape, dtype=torch.float64, generator=generator) < 0.5
    return Perturbations.of("random signs", 2.0 * heads - 1.0, norm, p=inf)


def in_subspace(
    subspace: Subspace,
    shape: tuple[int, ...],
    count: int,
    norm: float,
    generator: torch.Generator,
    *,
    family: str = SUBSPACE,
) -> Perturbations:
    """Return random perturbations, uniform on the sphere of a subspace.

    Args:
        subspace: Of image space.
        shape: (C, H, W) of an image.
        count: How many.
        norm: Euclidean length of each, input units.
        generator: On the CPU.
        family: Its name.
    """
    vectors = subspace.sample(count, norm, generator).view(count, *shape)
    return Perturbations.of(family, vectors, norm, subspace_dimension=subspace.dimension)
