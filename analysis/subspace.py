"""A linear subspace of image space, with its random vectors, energies and angles."""

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from boundary.errors import InputError

_ORTHONORMAL_TOLERANCE = 1e-5


class Subspace:
    """The span of orthonormal rows.

    Args:
        basis: Orthonormal rows, (R, D) with 1 <= R <= D; kept in float64.

    Raises:
        InputError: If the rows are not finite and orthonormal; `Subspace.spanned_by` makes them so.
    """

    def __init__(self, basis: ArrayLike) -> None:
        rows = np.asarray(basis, dtype=np.float64)
        if rows.ndim != 2 or not 1 <= rows.shape[0] <= rows.shape[1]:
            raise InputError(
                f"`basis` should have shape (R, D) with 1 <= R <= D. Found {rows.shape}."
            )
        error = np.abs(rows @ rows.T - np.eye(len(rows))).max()
        if not error <= _ORTHONORMAL_TOLERANCE:
            raise InputError(
                f"`basis` should have orthonormal rows. Found that they are off by {error:.2g}; "
                "use `Subspace.spanned_by(vectors)`."
            )
        self.basis: NDArray[np.float64] = rows

    def __repr__(self) -> str:
        return f"Subspace(dimension={self.dimension}, ambient_dimension={self.ambient_dimension})"

    @classmethod
    def spanned_by(cls, vectors: ArrayLike) -> "Subspace":
        """Return the span of linearly independent rows, (R, D).

        Raises:
            InputError: If the rows are linearly dependent.
        """
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
        orthonormal, triangle = np.linalg.qr(rows.T)
        sizes = np.abs(np.diag(triangle))
        if len(sizes) < len(rows) or sizes.min() <= 1e-10 * sizes.max():
            raise InputError(f"`vectors` should be {len(rows)} linearly independent rows.")
        return cls(orthonormal.T)

    @property
    def dimension(self) -> int:
        """R."""
        return len(self.basis)

    @property
    def ambient_dimension(self) -> int:
        """D."""
        return int(self.basis.shape[1])

    def sample(self, count: int, norm: float, generator: torch.Generator) -> Tensor:
        """Return random vectors, uniform on the sphere of the subspace: norm B'z / |B'z|.

        Args:
            count: How many.
            norm: Euclidean length of each, input units.
            generator: On the CPU, so that a seed means the same on every device.

        Returns:
            Shape (count, D), float64, on the CPU.
        """
        normal = torch.randn(count, self.dimension, dtype=torch.float64, generator=generator)
        # |B'z| = |z|, because the rows of B are orthonormal.
        coordinates = norm * normal / normal.norm(dim=1, keepdim=True)
        vectors: Tensor = coordinates @ torch.from_numpy(self.basis)
        return vectors

    def project(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Return the orthogonal projection of each row, shape (n, D)."""
        return np.asarray(self._coordinates(vectors) @ self.basis)

    def energy(self, normals: ArrayLike) -> NDArray[np.float64]:
        """Return |B n|^2 for each row n, shape (n,): the share of a unit normal that lies inside.

        For a random direction the mean is R / D.
        """
        return np.asarray((self._coordinates(normals) ** 2).sum(1))

    def energy_by_dimension(self, normals: ArrayLike) -> NDArray[np.float64]:
        """Return the energy of each row in the first 1, 2, ... R basis vectors, shape (n, R)."""
        return np.cumsum(self._coordinates(normals) ** 2, axis=1)

    def principal_angles(self, other: "Subspace") -> NDArray[np.float64]:
        """Return the angles to another subspace, (min(R, R'),), radians, largest first."""
        return np.asarray(scipy.linalg.subspace_angles(self.basis.T, other.basis.T))

    def mean_squared_cosine(self, other: "Subspace") -> float:
        """Return that of the principal angles: 1 for the same subspace, R/D if random."""
        return float((np.cos(self.principal_angles(other)) ** 2).mean())

    def _coordinates(self, vectors: ArrayLike) -> NDArray[np.float64]:
        rows = np.asarray(vectors, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.ambient_dimension:
            raise InputError(
                f"the vectors should have shape (n, {self.ambient_dimension}). Found {rows.shape}."
            )
        return np.asarray(rows @ self.basis.T)
