"""Means over crossed random draws and images, and how sure they are: variance components.

An outcome is a mean plus an effect of its draw, one of its image, and a rest. ANOVA estimates the
variance of each (Searle, Casella and McCulloch 1992, chapter 4): of the mean of d draws and n
images it is s2_draw / d + s2_image / n + s2_rest / (d n).

Where images are many and draws few, Satterthwaite's law for the sum is too short: of a few draws
whose variance is small by chance it takes the degrees of freedom of the images. So each component
keeps its own, and at each level the half-width is the root of the sum of squares of the half-widths
that Student's law gives each (Banerjee 1960), which is not too short whatever their shares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import t as student

from analysis.intervals import TAILS, Estimate, Interval, bound_of_none, score_interval

LEAST_P = 1e-300
"""In place of p-values that are too small for floating point."""

POWER = 0.8
"""Chance with which an effect of the size that is called detectable is seen."""

_FARTHEST = 1e8
"""The largest ratio of an end of an interval to its estimate."""

_ROUNDING = 1e-12
"""Relative size of differences that are no spread."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """A part of the variance of an estimate, and its degrees of freedom."""

    variance: float = 0.0
    freedom: float = inf


@dataclass(frozen=True)
class Uncertain:
    """An estimate, and the independent parts of its variance."""

    estimate: float
    components: tuple[Component, ...]
    """None where outcomes show no spread."""
    images: int
    """n, which bounds what is known where there is no spread."""
    shares: bool = False
    """Whether outcomes are 0 or 1, or differences of such."""

    @property
    def error(self) -> float:
        """Standard error; 0 without spread."""
        return float(np.sqrt(sum(part.variance for part in self.components)))

    @property
    def interval(self) -> Interval:
        """95 % interval; of shares without spread, as far as that of an event never seen in n."""
        half = self.half_width(TAILS[1])
        return Interval(self.estimate - half, self.estimate + half)

    @property
    def p(self) -> float:
        """Two-sided, of the estimate being 0.

        Without spread, and of shares at least, it is that of n images that all have one sign.
        """
        if self.estimate == 0:
            return 1.0
        least = 2 * 0.5**self.images if self.shares or not self.error else 0.0
        return min(1.0, max(least, LEAST_P, self._two_sided() if self.error else 0.0))

    @property
    def detectable(self) -> float:
        """Size of the effect that would have been seen at 5 % with a power of 0.8."""
        return self.half_width(TAILS[1]) + (self.half_width(POWER) if self.error else 0.0)

    def half_width(self, level: float) -> float:
        """Return the quantile of the error at a level between 0.5 and 1."""
        if not self.error:
            return bound_of_none(self.images) if self.shares else 0.0
        return hypot(
            *(
                float(student.ppf(level, part.freedom)) * part.variance**0.5
                for part in self.components
                if part.variance > 0
            )
        )

    def _two_sided(self) -> float:
        """Return twice the tail whose half-width is the estimate."""

        def beyond(logarithm: float) -> float:
            tail = exp(logarithm) / 2
            half = hypot(
                *(
                    float(student.isf(tail, part.freedom)) * part.variance**0.5
                    for part in self.components
                    if part.variance > 0
                )
            )
            return half - abs(self.estimate)

        least = log(LEAST_P)
        return exp(brentq(beyond, least, 0.0, xtol=1e-9)) if beyond(least) > 0 else LEAST_P


def mean_over(outcomes: ArrayLike, sampled: bool = True, *, shares: bool = False) -> Uncertain:
    """Return the mean of outcomes of crossed draws and images.

    Args:
        outcomes: (draws, images), or (images,) for one draw.
        sampled: Whether the draws are a sample of more; those of a fixed list vary no more.
        shares: Whether outcomes are 0 or 1, or differences of such.
    """
    values = np.atleast_2d(np.asarray(outcomes, dtype=np.float64))
    drawn = [_of_draws(values)] if sampled and len(values) > 1 else []
    return _uncertain(values.mean(0), drawn, shares)


def difference_of(
    own: ArrayLike, other: ArrayLike, sampled: tuple[bool, bool] = (True, True)
) -> Uncertain:
    """Return the rate of a family less that of another, of other draws at the same images.

    Args:
        own: Outcomes of the family, 0 or 1, (draws, images).
        other: Of the other family, (its draws, images).
        sampled: Of each, whether its draws are a sample of more.
    """
    families = [np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (own, other)]
    parts = [
        _of_draws(values)
        for values, drawn in zip(families, sampled, strict=True)
        if drawn and len(values) > 1
    ]
    return _uncertain(families[0].mean(0) - families[1].mean(0), parts, shares=True)


def beyond_draws(own: ArrayLike, draws: ArrayLike, *, shares: bool = False) -> Uncertain:
    """Return the mean of a family less that of noise which was drawn anew several times.

    A family that is noise itself is one more draw of it: the variance between draws counts once
    more for the family, so that among exchangeable draws 95 % of intervals hold 0. It includes
    that of the vectors of a draw, so the family's own vectors need no part of their own.

    Args:
        own: Of the family, (vectors, images), with at least as many vectors as a draw.
        draws: Of the noise at the same images, (draws, vectors, images), at least 2 draws.
        shares: Whether outcomes are 0 or 1.
    """
    family = np.atleast_2d(np.asarray(own, dtype=np.float64))
    noise = np.asarray(draws, dtype=np.float64)
    between, rest = _of_draws(noise.mean(1))
    again = Component((len(noise) + 1) * between.variance, between.freedom)
    return _uncertain(family.mean(0) - noise.mean((0, 1)), [(again, rest)], shares)


@dataclass(frozen=True)
class Ratio:
    """A ratio of means, with the values that are compatible with it at 95 %."""

    value: float
    low: float
    high: float
    """Infinite where the draws differ so much that no ratio is too large."""
    detectable: float
    """Ratio that would have been seen with a power of 0.8."""


def ratio_beyond_draws(
    own: ArrayLike, draws: Sequence[Array] | Array, *, paired: bool = True
) -> Ratio:
    """Return the ratio of a mean to that of noise which was drawn anew several times.

    The interval holds each ratio at which the difference of the first mean and so many times the
    second, as in `beyond_draws`, may be 0 (Fieller 1954).

    Args:
        own: Not negative, (images,).
        draws: At least two, not negative, (images,).
        paired: Whether all are of the same images; else they are independent samples.
    """
    family = np.asarray(own, dtype=np.float64)
    noise = [np.asarray(draw, dtype=np.float64) for draw in draws]
    means = np.array([draw.mean() for draw in noise])
    if len(family) < 2 or not family.any() or not means.any():  # nothing is known of other images
        return Ratio(float(family.mean() / means.mean()) if means.any() else inf, 0.0, inf, inf)
    value = float(family.mean() / means.mean())

    def apart(ratio: float) -> Uncertain:
        if paired:
            return beyond_draws(family, ratio * np.stack(noise)[:, None])
        alone = mean_over(family)
        spread = ratio**2 * float(means.var(ddof=1)) * (1 + 1 / len(means))
        again = Component(spread, len(means) - 1)
        left = float(family.mean() - ratio * means.mean())
        return Uncertain(left, (*alone.components, again), len(family))

    low, high = _compatible(value, apart, _ROUNDING * float(family.mean()))
    return Ratio(value, low, high, float(1 + apart(1.0).detectable / means.mean()))


def ratio_of_rates(own: ArrayLike, base: ArrayLike) -> Estimate:
    """Return the ratio of a rate to that of one vector at the same images, with its interval.

    The interval is Fieller's (1954), over the images that either fools, and goes no farther than to
    a rate of 1.

    Args:
        own: Bool, (draws, images).
        base: Bool, (images,), not all false.
    """
    outcomes, beside = np.asarray(own, dtype=np.float64), np.asarray(base, dtype=np.float64)
    value, most = float(outcomes.mean() / beside.mean()), float(1 / beside.mean())
    fooled = outcomes.any(0) | (beside > 0)
    if fooled.sum() < 2:  # nothing is known of other images
        return Estimate(value, Interval(0.0, most))

    def apart(ratio: float) -> Uncertain:
        return mean_over(outcomes[:, fooled] - ratio * beside[fooled], shares=True)

    low, high = _compatible(value, apart, _ROUNDING)
    return Estimate(value, Interval(low, min(high, most)))


def _compatible(
    value: float, apart: Callable[[float], Uncertain], rounding: float
) -> tuple[float, float]:
    """Return the least and the largest ratio around a value at which a difference may be 0."""

    def beyond(ratio: float) -> float:
        found = apart(ratio)
        return abs(found.estimate) - max(found.half_width(TAILS[1]), rounding)

    low = float(brentq(beyond, 0.0, value, rtol=1e-6)) if beyond(0.0) > 0 else 0.0
    edge = 2 * value or 1.0
    farthest = _FARTHEST * edge
    while beyond(edge) <= 0:
        edge *= 2
        if edge > farthest:
            return low, inf
    return low, float(brentq(beyond, value, edge, rtol=1e-6))


def spread_of_ratio(own: ArrayLike, base: ArrayLike, sampled: bool = True) -> Uncertain:
    """Return how unsure the ratio of two means is: its estimate is of no use, its error is.

    An image that holds much of the base weighs as if it were left out (the jackknife of a ratio).

    Args:
        own: (draws, images), or (images,) for one draw.
        base: Of the same shape, not negative, at least two images with a positive sum.
        sampled: Whether the draws are a sample of more.
    """
    values, sizes = (np.atleast_2d(np.asarray(rows, dtype=np.float64)) for rows in (own, base))
    left = 1 - sizes.sum(0) / sizes.sum()
    apart = values - values.sum() / sizes.sum() * sizes
    return mean_over(apart / left / sizes.mean(), sampled)


def share_of(
    outcomes: ArrayLike, counted: ArrayLike | None = None, sampled: bool = True
) -> Estimate:
    """Return a share over crossed draws and images with its interval.

    Wilson's interval, with the number of independent trials that would have the variance of the
    share, and Student's quantile in place of the normal one (Korn and Graubard 1998 do so with the
    exact interval). An image that holds much of what is counted weighs as if it were left out.
    Where the share is 0 or 1, or of one draw, it is Wilson's for as many trials as images.

    Args:
        outcomes: Bool, (draws, images).
        counted: Bool, of the same shape: which outcomes are counted at all; by default each.
        sampled: Whether the draws are a sample of more.
    """
    hits = np.atleast_2d(np.asarray(outcomes, dtype=np.float64))
    base = np.ones_like(hits) if counted is None else np.atleast_2d(np.asarray(counted, float))
    hits = hits * base
    if not base.any():
        return Estimate(0.0, Interval(0.0, 1.0))
    hits, base = hits[:, base.any(0)], base[:, base.any(0)]  # images with a pair that counts
    images, share = base.shape[1], float(hits.sum() / base.sum())
    plain = len(hits) == 1 and bool(np.isin(hits, (0, 1)).all())
    if plain or share in {0.0, 1.0} or images == 1:
        return Estimate(share, score_interval(share, images))
    spread = spread_of_ratio(hits, base, sampled)
    if not spread.error:
        return Estimate(share, score_interval(share, images))
    trials = share * (1 - share) / spread.error**2
    quantile = spread.half_width(TAILS[1]) / spread.error
    return Estimate(share, score_interval(share, trials, quantile))


def _uncertain(
    by_image: Array, parts: Sequence[tuple[Component, float]], shares: bool
) -> Uncertain:
    images = len(by_image)
    variance = float(by_image.var(ddof=1)) / images if images > 1 else 0.0
    # The rest is in the means of draws and in those of images, and is counted once.
    rest = sum(rest for _, rest in parts)
    between_images = max(variance, rest) - sum(min(draws.variance, rest) for draws, rest in parts)
    components = (*(draws for draws, _ in parts), Component(max(between_images, 0.0), images - 1))
    rounding = _ROUNDING * float(np.abs(by_image).max())
    spread = images > 1 and sum(part.variance for part in components) > rounding**2
    return Uncertain(float(by_image.mean()), components if spread else (), images, shares)


def _of_draws(outcomes: Array) -> tuple[Component, float]:
    """Return the variance of the mean that draws and the rest make, and the part of the rest."""
    draws, images = outcomes.shape
    by_draw = outcomes.mean(1)
    rest = outcomes - by_draw[:, None] - outcomes.mean(0) + outcomes.mean()
    freedom = (draws - 1) * max(images - 1, 1)
    return (
        Component(float(by_draw.var(ddof=1)) / draws, draws - 1),
        float((rest**2).sum()) / freedom / outcomes.size,
    )
