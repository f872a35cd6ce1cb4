"""Where a search may go: everywhere, in the span of given directions, or inside limits."""

import torch
from torch import Tensor


class SearchSpace:
    """The points x + d that a search considers, d given by search coordinates.

    Free and confined searches have the D numbers of d for coordinates, a search in a subspace the
    R coordinates of d in an orthonormal basis. Lengths and angles are the same in both.

    Args:
        images: The N points x, shape (N, C, H, W).
        basis: Orthonormal rows that d is a combination of, shape (R, D).
        low: Least value of each number of d, not above 0, shape (N, D); given with ``high``.
        high: Largest value, not below 0, shape (N, D).
    """

    def __init__(
        self,
        images: Tensor,
        *,
        basis: Tensor | None = None,
        low: Tensor | None = None,
        high: Tensor | None = None,
    ) -> None:
        self.images, self.basis, self.low, self.high = images, basis, low, high

    @property
    def coordinates(self) -> int:
        """How many coordinates a displacement has."""
        return self.images[0].numel() if self.basis is None else len(self.basis)

    @property
    def confined(self) -> bool:
        """Whether displacements have limits."""
        return self.low is not None

    def limits(self, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the least and largest displacement of some images, (n, D) each; None if free."""
        if self.low is None or self.high is None:
            return None
        return self.low[rows], self.high[rows]

    def within(self, rows: Tensor, displacement: Tensor) -> Tensor:
        """Return a displacement cut to the limits."""
        limits = self.limits(rows)
        return displacement if limits is None else displacement.clamp(*limits)

    def free(self, rows: Tensor, displacement: Tensor) -> Tensor | None:
        """Return which numbers of a displacement are not held by a limit; None if all."""
        limits = self.limits(rows)
        return None if limits is None else (displacement > limits[0]) & (displacement < limits[1])

    def points(self, rows: Tensor, displacement: Tensor) -> Tensor:
        """Return the points of some images, (n, C, H, W)."""
        images = self.images[rows]
        moved = displacement if self.basis is None else displacement @ self.basis
        return images + moved.view_as(images)

    def pull(self, gradient: Tensor) -> Tensor:
        """Return gradients with respect to the image in search coordinates, (n, coordinates)."""
        flat = gradient.flatten(1)
        return flat if self.basis is None else flat @ self.basis.T


def unit(vectors: Tensor) -> Tensor:
    """Return the rows divided by their norms; rows of zeros stay."""
    norms = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(norms > 0, norms, 1.0)
