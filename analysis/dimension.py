"""How many directions a spectrum fills: one number each, by the definitions in use.

With p_i the shares of the squared singular values and q_i those of the values themselves, always

    stable rank <= participation ratio <= energy rank <= effective rank <= rank.

Two things go by the name of effective rank; here it is Roy's and Vetterli's (2007), of the values.
For noise (random unit rows) each has its value by the law of Marchenko and Pastur, which is not the
rank: `noise_dimensions`.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.halves import HalfSamples
from analysis.intervals import Estimate, Interval, estimate_from_halves
from analysis.nulls import Null, marchenko_pastur_edges, marchenko_pastur_quantiles
from analysis.spectrum import SingularSpectrum
from boundary.errors import InputError

_LEVELS = 20_000
"""Quantiles of the law that stand for it."""


@dataclass(frozen=True)
class Dimensions:
    """How many directions a spectrum fills."""

    stable_rank: float
    """sum s^2 / s_1^2."""
    participation_ratio: float
    """(sum s^2)^2 / sum s^4."""
    energy_rank: float
    """exp H(p), p = s^2 / sum s^2."""
    effective_rank: float
    """exp H(q), q = s / sum s (Roy and Vetterli 2007)."""


def dimensions(singular_values: ArrayLike) -> Dimensions:
    """Return the dimensions of a spectrum.

    Args:
        singular_values: Shape (k,), not negative, not all zero; the order does not matter.

    Raises:
        InputError: If they are not such.
    """
    values = np.asarray(singular_values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise InputError(
            "`singular_values` should be finite, not negative and not all zero, shape (k,). Found "
            f"shape {values.shape}, least {values.min(initial=np.inf):.3g}, largest "
            f"{values.max(initial=-np.inf):.3g}."
        )
    values = values / values.max()
    squares = values**2
    return Dimensions(
        stable_rank=float(squares.sum()),
        participation_ratio=float(squares.sum() ** 2 / (squares**2).sum()),
        energy_rank=_entropy_rank(squares),
        effective_rank=_entropy_rank(values),
    )


def random_participation_ratio(count: ArrayLike, dimension: int) -> NDArray[np.float64]:
    """Return n / (1 + (n - 1) / D), that of n random unit rows, exact in the mean of 1 over it."""
    n = np.asarray(count, dtype=np.float64)
    return n / (1 + (n - 1) / dimension)


def noise_dimensions(count: int, dimension: int) -> Dimensions:
    """Return the dimensions of ``count`` random unit rows, in the limit of large matrices.

    With b the shorter side over the longer, s the shorter: s / (1 + sqrt b)^2, s / (1 + b),
    s exp(-b / 2) (Page 1993), and for the effective rank an integral over the law.

    Args:
        count: n.
        dimension: D.
    """
    short, long = sorted((count, dimension))
    ratio = short / long
    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    values = marchenko_pastur_quantiles(levels, short, long)
    return Dimensions(
        stable_rank=short / marchenko_pastur_edges(short, long)[1] ** 2,
        participation_ratio=short / (1 + ratio),
        energy_rank=float(short * np.exp(-ratio / 2)),
        effective_rank=short / _LEVELS * _entropy_rank(values),
    )


def gavish_donoho_threshold(singular_values: ArrayLike, count: int, dimension: int) -> float:
    """Return the optimal hard threshold for singular values in white noise of unknown strength.

    It is a rule for denoising a matrix of low rank (Gavish and Donoho 2014), stricter than
    detection at the edge of the law; a spectrum that decays slowly misleads its median.

    Args:
        singular_values: All of them, shape (min(n, D),).
        count: n.
        dimension: D.
    """
    short, long = sorted((count, dimension))
    ratio = short / long
    width = ratio + 1 + np.sqrt(ratio**2 + 14 * ratio + 1)
    of_noise = np.sqrt(2 * (ratio + 1) + 8 * ratio / width)
    median = marchenko_pastur_quantiles(0.5, short, long)
    return float(of_noise / median * np.median(np.asarray(singular_values, dtype=np.float64)))


def estimated_dimensions(spectrum: SingularSpectrum, halves: HalfSamples) -> dict[str, Estimate]:
    """Return every dimension of a spectrum by its name, with intervals from random halves.

    To those of `Dimensions` comes ``gavish_donoho``, how many values lie above that threshold.

    Args:
        spectrum: Of the normals, complete.
        halves: Of the same.
    """
    values = spectrum.singular_values
    whole = _all_dimensions(
        np.where(values > spectrum.floor, values, 0.0), spectrum.count, spectrum.dimension
    )
    parts = [
        _all_dimensions(values, halves.count, spectrum.dimension)
        for values in halves.singular_values
    ]
    return {
        name: estimate_from_halves(
            value, [part[name] for part in parts], offset=float(name == "gavish_donoho")
        )
        for name, value in whole.items()
    }


def leading_estimate(null: Null, values: NDArray[np.float64], halves: HalfSamples) -> Estimate:
    """Return how many leading values exceed every draw of a null, the interval from halves.

    Args:
        null: With spectra of halves of its draws.
        values: Singular values of the normals, descending.
        halves: Of the normals.
    """
    leading = null.leading(values)
    of_halves = null.leading_of_halves(halves.singular_values)
    found = estimate_from_halves(leading, of_halves, offset=1.0).interval
    return Estimate(leading, Interval(found.low, min(found.high, float(len(values)))))


def null_dimensions(null: Null) -> dict[str, NDArray[np.float64]]:
    """Return the same dimensions of each draw of a null, (draws,) each."""
    found = [
        _all_dimensions(values, int(count), null.dimension)
        for values, count in zip(null.singular_values, null.counts, strict=True)
    ]
    return {name: np.array([part[name] for part in found]) for name in found[0]}


def _all_dimensions(values: NDArray[np.float64], count: int, dimension: int) -> dict[str, float]:
    threshold = gavish_donoho_threshold(values, count, dimension)
    return {**asdict(dimensions(values)), "gavish_donoho": float((values > threshold).sum())}


def _entropy_rank(weights: NDArray[np.float64]) -> float:
    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
