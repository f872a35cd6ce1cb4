"""Means over crossed random draws and points, and how sure they are: variance components.

An outcome is a mean plus an effect of its draw, one of its point, and a rest. ANOVA estimates the
variance of each (Searle, Casella and McCulloch 1992, chapter 4): of the mean of d draws and n
points it is s2_draw / d + s2_point / n + s2_rest / (d n).

A bootstrap over few draws has not the tail of Student's law, which the correction for many rows
needs. Nor has Satterthwaite's law for the sum, where points are many and draws few: of 4 draws
whose variance is small by chance it takes the degrees of freedom of the points. So draws keep
theirs, and the rest is counted with them: at each level the reach is the root of the sum of
squares of Student's reach of the draws, and of that of the points (Banerjee 1960), which is not too
short whatever the share of the two. Draws of two families are added as Welch does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import bisect
from scipy.special import stdtrit

from analysis.intervals import TAILS, Interval, bound_of_none

LEAST_P = 1e-300
"""In place of p-values that are too small for floating point."""

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
    points: int
    """n, which bound what is known where there is no spread."""
    deviation: float = 0.0
    """Standard deviation between points, of their means over draws."""
    shares: bool = False
    """Whether outcomes are 0 or 1, or differences of such."""

    @property
    def error(self) -> float:
        """Standard error; 0 without spread."""
        return float(np.sqrt(sum(part.variance for part in self.components)))

    @property
    def effect(self) -> float:
        """Estimate over the standard deviation between points; 0 without spread."""
        return self.estimate / self.deviation if self.deviation > 0 else 0.0

    @property
    def interval(self) -> Interval:
        """95 % interval; of shares without spread, as far as that of an event never seen in n."""
        unseen = bound_of_none(self.points) if self.shares and not self.error else 0.0
        reach = self._reach(TAILS[0]) + unseen
        return Interval(self.estimate - reach, self.estimate + reach)

    @property
    def p(self) -> float:
        """Two-sided, of the estimate being 0.

        Without spread, and of shares at least, it is that of n points that all have one sign.
        """
        if self.estimate == 0:
            return 1.0
        least = 2 * 0.5**self.points if self.shares or not self.error else 0.0
        return min(1.0, max(least, LEAST_P, self._two_sided() if self.error else 0.0))

    def _reach(self, tail: float) -> float:
        return hypot(
            *(
                abs(stdtrit(part.freedom, tail)) * part.variance**0.5
                for part in self.components
                if part.variance > 0
            )
        )

    def _two_sided(self) -> float:
        """Return twice the tail whose reach is the estimate."""

        def beyond(logarithm: float) -> float:
            return self._reach(exp(logarithm) / 2) - abs(self.estimate)

        least = log(LEAST_P)
        return exp(bisect(beyond, least, 0.0, xtol=1e-9)) if beyond(least) > 0 else LEAST_P


def of_mean(outcomes: ArrayLike, sampled: bool = True, *, shares: bool = False) -> Uncertain:
    """Return the mean of outcomes of crossed draws and points.

    Of a single point nothing is known of others: it shows no spread.

    Args:
        outcomes: (draws, points).
        sampled: Whether the draws are a sample of more. Those of a fixed list vary no more, and of
            a single one it is not known how much.
        shares: Whether outcomes are 0 or 1, or differences of such.
    """
    values = np.asarray(outcomes, dtype=np.float64)
    return _uncertain(values.mean(0), [(values, sampled)], shares)


def of_difference(
    own: ArrayLike,
    rival: ArrayLike,
    sampled: tuple[bool, bool] = (True, True),
    *,
    shares: bool = False,
) -> Uncertain:
    """Return the mean of a family less that of a rival, of other draws at the same points.

    Args:
        own: Outcomes of the family, (draws, points).
        rival: Of the rival, (its draws, points).
        sampled: Of each, see `of_mean`.
        shares: See `of_mean`.
    """
    one, other = (np.asarray(outcomes, dtype=np.float64) for outcomes in (own, rival))
    families = list(zip((one, other), sampled, strict=True))
    return _uncertain(one.mean(0) - other.mean(0), families, shares)


def _uncertain(by_point: Array, families: Sequence[tuple[Array, bool]], shares: bool) -> Uncertain:
    points = len(by_point)
    deviation = float(by_point.std(ddof=1)) if points > 1 else 0.0
    parts = [_of_draws(values) for values, sampled in families if sampled and len(values) > 1]
    # The rest is in the means of draws and in those of points, and is counted once.
    between_points = max(deviation**2 / points, sum(rest for _, rest in parts)) - sum(
        min(draws.variance, rest) for draws, rest in parts
    )
    components = (
        _welch([draws for draws, _ in parts]),
        Component(between_points, points - 1),
    )
    rounding = _ROUNDING * max(float(np.abs(values).max()) for values, _ in families)
    spread = points > 1 and sum(part.variance for part in components) > rounding**2
    return Uncertain(
        estimate=float(by_point.mean()),
        components=components if spread else (),
        points=points,
        deviation=deviation if deviation > rounding else 0.0,
        shares=shares,
    )


def _of_draws(outcomes: Array) -> tuple[Component, float]:
    """Return the variance of the mean that draws and the rest make, and the part of the rest."""
    draws, points = outcomes.shape
    by_draw = outcomes.mean(1)
    rest = outcomes - by_draw[:, None] - outcomes.mean(0) + outcomes.mean()
    freedom = (draws - 1) * max(points - 1, 1)
    return (
        Component(float(by_draw.var(ddof=1)) / draws, draws - 1),
        float((rest**2).sum()) / freedom / outcomes.size,
    )


def _welch(parts: Sequence[Component]) -> Component:
    """Return the sum of components with Satterthwaite's degrees of freedom."""
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return Component()
    return Component(variance, variance**2 / sum(part.variance**2 / part.freedom for part in parts))
