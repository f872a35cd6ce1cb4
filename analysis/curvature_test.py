"""The curvature hypothesis in three endpoints, on images that had no part in making any subspace.

Three S_c are made from disjoint thirds of the images, and an endpoint holds if it holds for each:

- P1, *bends*: the normal section of the *pair's* boundary along S_c is curved towards the image, in
  the median over images above 0 and above matched noise of S_c, at both scales;
- P2, *fools*: random vectors of S_c fool more than those of matched noise of S_c, of matched noise
  of S_f, and of S_f, all of equal dimension and norm;
- P3, *predicts*: bending measured beside the planes tells more (image, vector) pairs right.

Within an endpoint all must hold at 5 % (an intersection-union test: its p-value is the largest).
The three p-values are corrected together (Holm 1979). The pair and not the region is measured: a
polytope of flat faces bends as a region, although no boundary does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from analysis.causes import FoolingCauses
from analysis.components import Uncertain, beyond_draws, difference_of
from analysis.intervals import median_estimate
from boundary.result import Result

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
CONTRADICTED, NOT_DECIDED = "contradicted", "not decided"
MORE, LESS, NO_DIFFERENCE = "more", "less", "no difference shown"

LEVEL = 0.05
"""Of the corrected p-values."""

LEAST_CURVATURE, LEAST_RATE, LEAST_RIGHT, LEAST_ENERGY = 0.05, 0.02, 0.01, 0.1
"""Smallest effects of interest, stated before looking: a curvature over the median margin, points
of a fooling rate, of pairs told right, a share of energy."""

_TO_POWER = 1 + 0.8416 / 1.96
"""Size of an effect seen with a power of 0.8, over the half-width of a normal 95 % interval."""

BENDS, FOOLS, PREDICTS = "bends", "fools", "predicts"

Array = NDArray[np.float64]


def answer(low: float, high: float, null: float = 0.0) -> str:
    """Return the words that an interval allows beside the value of no difference."""
    return MORE if low > null else LESS if high < null else NO_DIFFERENCE


@dataclass(frozen=True, eq=False, repr=False)
class EndpointRow(Result):
    """One of the comparisons that an endpoint needs all of."""

    endpoint: str
    frame: int
    """Which S_c."""
    rival: str
    """What S_c is compared with, or zero."""
    scale: float
    """s of a curvature, input units; else the norm."""
    estimate: float
    """Curvature (1 / input units), share of images above noise less a half, or difference of
    rates or of shares of pairs."""
    low: float
    high: float
    p: float
    """Two-sided."""
    detectable: float
    """Effect that would have been seen with a power of 0.8."""

    @property
    def holds(self) -> bool:
        """Whether it is above zero at 5 %, for itself."""
        return self.estimate > 0 and self.p < LEVEL


@dataclass(frozen=True, eq=False, repr=False)
class Endpoint(Result):
    """One of P1, P2, P3: the comparison of its rows that is least sure decides."""

    name: str
    answer: str
    """``more``, ``less`` or ``no difference shown``."""
    estimate: float
    low: float
    high: float
    p: float
    """Corrected (Holm)."""
    detectable: float
    least: float
    """Smallest effect of interest, in the unit of the estimate."""


@dataclass(frozen=True, eq=False, repr=False)
class CurvatureTest(Result):
    """The rows of the test; endpoints and answer follow from them."""

    ROWS: ClassVar = "rows"

    rows: tuple[EndpointRow, ...]
    median_margin: float
    """Of the images whose boundary points made S_c, input units."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """P1, P2, P3, corrected together."""
        plain = [self._endpoint(name) for name in (BENDS, FOOLS, PREDICTS)]
        order = np.argsort([one.p for one in plain])
        least, corrected = 0.0, {}
        for rank, place in enumerate(order):
            least = max(least, min(1.0, plain[place].p * (len(plain) - rank)))
            corrected[int(place)] = least
        return tuple(
            replace(one, p=corrected[place], answer=self._words(one, corrected[place]))
            for place, one in enumerate(plain)
        )

    @property
    def answer(self) -> str:
        """Supported, not supported, contradicted or not decided."""
        bends, fools, predicts = self.endpoints
        if all(one.answer == MORE for one in (bends, fools, predicts)):
            return SUPPORTED
        if LESS in {bends.answer, predicts.answer}:
            return CONTRADICTED
        failed = [one for one in (bends, fools, predicts) if one.answer != MORE]
        blind = all(one.answer != LESS and one.detectable > one.least for one in failed)
        return NOT_DECIDED if blind else NOT_SUPPORTED

    @property
    def detectable(self) -> float:
        """Smallest effect that the weakest endpoint would have seen, over that of interest."""
        return max(one.detectable / one.least for one in self.endpoints)

    def _endpoint(self, name: str) -> Endpoint:
        rows = [row for row in self.rows if row.endpoint == name]
        shown = [row for row in rows if name != BENDS or row.rival == "zero"]
        weakest = min(shown, key=lambda row: row.low)
        p = max(row.p if row.estimate > 0 else 1.0 for row in rows)
        against = all(row.estimate < 0 and row.p < LEVEL for row in shown)
        least = {
            BENDS: LEAST_CURVATURE / self.median_margin,
            FOOLS: LEAST_RATE,
            PREDICTS: LEAST_RIGHT,
        }[name]
        return Endpoint(
            name=name,
            answer=LESS if against else NO_DIFFERENCE,
            estimate=weakest.estimate,
            low=weakest.low,
            high=weakest.high,
            p=p,
            detectable=max(row.detectable for row in shown),
            least=least,
        )

    @staticmethod
    def _words(plain: Endpoint, p: float) -> str:
        return MORE if p < LEVEL else plain.answer


def bending_rows(
    frame: int, scale: float, own: Array, noise: Array, rounding: Array
) -> list[EndpointRow]:
    """Return the rows of P1 of one S_c at one scale.

    Above zero: the sign test, and the median between order statistics. Above noise: in how many
    images S_c is more curved than a draw of it, with the draws a sample.

    Args:
        frame: Which S_c.
        scale: s, input units.
        own: Curvature of the pair along random vectors of S_c, (vectors, images).
        noise: The same of matched noise, (draws, vectors, images).
        rounding: Curvature below which rounding decides, (images,); it counts as none.
    """
    mean = own.mean(0)
    flat = np.where(np.abs(mean) <= rounding, 0.0, mean)
    median = median_estimate(flat)
    above, below = int((flat > 0).sum()), int((flat < 0).sum())
    sign = max(above, below)
    p = float(binomtest(sign, len(flat), 0.5, "two-sided").pvalue) if 2 * sign > len(flat) else 1.0
    half = max(median.interval.high - median.value, median.value - median.interval.low)
    zero = EndpointRow(
        BENDS,
        frame,
        "zero",
        scale,
        median.value,
        median.interval.low,
        median.interval.high,
        p,
        half * _TO_POWER,
    )
    apart = mean - noise.mean(1)
    signs = np.sign(np.where(np.abs(apart) <= rounding, 0.0, apart)) / 2
    found = beyond_draws(np.zeros_like(signs[:1]), -signs[:, None])
    return [zero, _row(BENDS, frame, "matched noise of S_c", scale, found)]


def fooling_rows(
    frame: int,
    norm: float,
    own: NDArray[np.bool_],
    draws: Mapping[str, NDArray[np.bool_]],
    rivals: Mapping[str, NDArray[np.bool_]],
) -> list[EndpointRow]:
    """Return the rows of P2 of one S_c.

    Args:
        frame: Which S_c.
        norm: Of all vectors, input units.
        own: Fooled by random vectors of S_c, (vectors, images).
        draws: By name, noise that was drawn several times, (draws, vectors, images).
        rivals: By name, one subspace, (vectors, images).
    """
    rows = [
        _row(FOOLS, frame, name, norm, beyond_draws(own, outcomes, shares=True))
        for name, outcomes in draws.items()
    ]
    return rows + [
        _row(FOOLS, frame, name, norm, difference_of(own, outcomes))
        for name, outcomes in rivals.items()
    ]


def prediction_row(frame: int, causes: FoolingCauses) -> EndpointRow:
    """Return the row of P3 of one S_c."""
    return _row(PREDICTS, frame, "planes alone", causes.norm, causes.gain)


def _row(endpoint: str, frame: int, rival: str, scale: float, found: Uncertain) -> EndpointRow:
    interval = found.interval
    return EndpointRow(
        endpoint,
        frame,
        rival,
        scale,
        found.estimate,
        interval.low,
        interval.high,
        found.p,
        found.detectable,
    )
