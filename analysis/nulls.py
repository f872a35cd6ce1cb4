"""What the singular spectrum would be if normals shared nothing: the isotropic null model.

Rows are independent and uniform on the unit sphere of R^D. The squared singular values then follow
the law of Marchenko and Pastur (1967) with ratio g = n / D: mean 1 for g <= 1, and edges
(1 - sqrt g)^2 and (1 + sqrt g)^2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.spectrum import singular_spectrum


@dataclass(frozen=True, eq=False)
class IsotropicNull:
    """Spectra of matrices of the same size whose rows are random directions."""

    singular_values: NDArray[np.float64]
    """(draws, min(n, D)), each row descending."""
    count: int
    """n."""
    dimension: int
    """D."""
    seed: int

    @property
    def expected(self) -> NDArray[np.float64]:
        """Singular values of the limiting law, (min(n, D),), descending."""
        side = min(self.count, self.dimension)
        levels = 1 - (np.arange(side) + 0.5) / side
        return marchenko_pastur_quantiles(levels, self.count, self.dimension)

    @property
    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest value of each index over the draws, (min(n, D),) each."""
        return self.singular_values.min(0), self.singular_values.max(0)

    def leading(self, singular_values: ArrayLike) -> int:
        """Return how many leading values exceed every draw at their index (parallel analysis).

        Counting stops at the first that does not (Buja and Eyuboglu 1992).
        """
        above = np.asarray(singular_values) > self.band[1]
        return int(np.cumprod(above).sum())


def isotropic_null(count: int, dimension: int, *, draws: int = 20, seed: int = 0) -> IsotropicNull:
    """Simulate the spectra of ``count`` random unit rows in ``dimension`` dimensions.

    Args:
        count: n.
        dimension: D.
        draws: Independent matrices.
        seed: Of the simulation.

    Returns:
        The singular values of each draw, by the code that treats the normals.
    """
    generator = np.random.default_rng(seed)
    values = [
        singular_spectrum(_random_rows(count, dimension, generator), directions=0).singular_values
        for _ in range(draws)
    ]
    return IsotropicNull(np.stack(values), count, dimension, seed)


def marchenko_pastur_edges(count: int, dimension: int) -> tuple[float, float]:
    """Return the smallest and largest singular value of the limiting law: |1 -+ sqrt(n / D)|."""
    root = float(np.sqrt(count / dimension))
    return abs(1 - root), 1 + root


def marchenko_pastur_density(squares: ArrayLike, count: int, dimension: int) -> NDArray[np.float64]:
    """Return the density of the non-zero squared singular values at ``squares``."""
    values = np.asarray(squares, dtype=np.float64)
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    inside = (values > low) & (values < high)
    height = np.sqrt(np.where(inside, (high - values) * (values - low), 0.0))
    share = min(1.0, count / dimension)  # for n > D only D of the n values are not zero
    return height / (2 * np.pi * share * np.where(inside, values, 1.0))


def marchenko_pastur_quantiles(
    levels: ArrayLike, count: int, dimension: int
) -> NDArray[np.float64]:
    """Return the singular values below which the given shares of the limiting law lie."""
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    # On this grid the square-root edges are smooth.
    angle = np.linspace(0, np.pi, 20_001)
    squares = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    density = marchenko_pastur_density(squares, count, dimension)
    weight = density * (high - low) / 2 * np.sin(angle)
    share = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    return np.asarray(np.sqrt(np.interp(np.asarray(levels), share / share[-1], squares)))


def _random_rows(count: int, dimension: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return unit rows whose singular values are those of random directions, exactly in law.

    A Gaussian matrix is L Q with Q a rotation, which changes no singular value. The triangle L has
    chi-distributed numbers on its diagonal and normal ones below it (Bartlett 1933), so n rows of
    D numbers cost no more than n rows of min(n, D).
    """
    width = min(count, dimension)
    rows = np.tril(generator.standard_normal((count, width)), k=-1)
    freedom = dimension - np.arange(width)
    rows[np.arange(width), np.arange(width)] = np.sqrt(generator.chisquare(freedom))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
