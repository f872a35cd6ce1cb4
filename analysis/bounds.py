"""What three laws of the papers say, beside what is measured: one table.

- *margins*: within a random subspace of dimension R the boundary is sqrt(D / R) times as far, if it
  is flat (NIPS 2016);
- *flat* and *curved*: the theorems of the ICLR 2018 paper name a norm at which random vectors of a
  subspace fool a share of the images.

The flat theorem takes one margin |r| and one captured length |P_S r| for all images. Of images
that differ the mean over them of P(|v'r| < |r|^2), v uniform of norm rho in S of dimension R, is at
most sqrt(e R) / rho times the mean of |r|^2 / |P_S r|: so does the norm here follow from it.

The curved theorem asks for a curvature of at least kappa along all but a share of the pairs of
vector and image; of the pairs beyond it says nothing, and they count as not fooled. Its form takes
the whole vector, while curvature is measured along the part beside the normal, which is at least
sqrt(1 - t^2) of it but for the share delta that is let go: kappa is taken times 1 - t^2, and there
is no bound where t = sqrt(2 ln(2 / delta) / R) is 1 or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import FoolingRate
from analysis.intervals import median_estimate
from analysis.theorems import SubspaceMargins, curved_bound, flat_bound

MARGINS, FLAT, CURVED_THEOREM = "margins", "flat", "curved"

_DELTAS = (0.5, 0.2)
"""Shares of vectors that the flat theorem lets go."""
_CURVED_DELTA = 0.1
"""Share of vectors that the curved theorem lets go, for pointing inwards."""
_EXCLUDED = (0.25, 0.5, 0.75)
"""Shares of the pairs of least curvature that the curved theorem is applied without."""
_FARTHEST = 0.9
"""Quantile of the margins that the curved theorem is applied with."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """A norm at which a theorem promises that a share of images is fooled."""

    theorem: str
    """``flat`` or ``curved``."""
    family: str
    """Whose random vectors."""
    dimension: int
    """R of their subspace."""
    premise: float
    """Flat: median of |P_S r| / |r|, the share of the normal in the subspace. Curved: the least
    normal curvature of the pairs that it is applied to, 1 / input units."""
    norm: float
    """rho, input units."""
    promised: float
    """Share of images fooled."""


@dataclass(frozen=True)
class TheoryRow:
    """What a law says of random vectors or subspaces, beside what is measured."""

    law: str
    """``margins``, ``flat`` or ``curved``."""
    family: str
    dimension: int
    """R."""
    premise: float
    """As of `Bound`; 0 for margins."""
    norm: float
    """Input units; 0 for margins."""
    predicted: float
    """Margins: sqrt(D / R), times the full margin; else the least share of images fooled."""
    measured: float
    """Margins: median over images; else a fooling rate."""
    low: float
    """End of its 95 % interval."""
    high: float
    images: int


def flat_bounds(
    family: str,
    dimension: int,
    margin: Array,
    captured: Array,
    deltas: Sequence[float] = _DELTAS,
) -> list[Bound]:
    """Return the norms of the flat theorem for a subspace, for each share let go.

    Args:
        family: Name of the subspace's random vectors.
        dimension: R.
        margin: Of each image, (N,), input units.
        captured: Length of each unit normal's part in the subspace, (N,).
        deltas: Shares let go.
    """
    if not len(margin) or not captured.all():
        return []
    reach = float((margin / captured).mean())  # |r|^2 / |P_S r|
    premise = float(np.median(captured))
    return [
        Bound(FLAT, family, dimension, premise, flat_bound(dimension, delta, 1) * reach, 1 - delta)
        for delta in deltas
    ]


def curved_bounds(
    family: str,
    dimension: int,
    margin: Array,
    curvature: Array,
    excluded: Sequence[float] = _EXCLUDED,
    delta: float = _CURVED_DELTA,
) -> list[Bound]:
    """Return the norms of the curved theorem, for each share of the pairs that it is without.

    Shares whose least curvature is not positive have no bound: the premise fails. Nor has a
    subspace of too few dimensions.

    Args:
        family: Name of the vectors along which curvature was measured.
        dimension: R of their subspace.
        margin: Of each image, (N,), input units.
        curvature: At each image's nearest boundary point, (draws, N), 1 / input units.
        excluded: Shares of the pairs of least curvature.
        delta: Share of the vectors let go for pointing inwards.
    """
    inwards = 2 * log(2 / delta) / dimension  # t^2
    if not curvature.size or inwards >= 1:
        return []
    farthest = float(np.quantile(margin, _FARTHEST))
    found = []
    for share in excluded:
        least = float(np.quantile(curvature, share))
        if least > 0 and farthest > 0:
            norm = curved_bound(dimension, (1 - inwards) * least, delta, margin=farthest)
            applied = float(((curvature >= least) & (margin <= farthest)).mean())
            found.append(Bound(CURVED_THEOREM, family, dimension, least, norm, applied - delta))
    return found


def bound_row(bound: Bound, rate: FoolingRate) -> TheoryRow:
    """Return a bound beside the rate at its norm.

    Args:
        bound: Its norm is that of the rate.
        rate: Of random vectors of the same family.
    """
    return TheoryRow(
        law=bound.theorem,
        family=bound.family,
        dimension=bound.dimension,
        premise=bound.premise,
        norm=bound.norm,
        predicted=bound.promised,
        measured=rate.rate,
        low=rate.interval.low,
        high=rate.interval.high,
        images=rate.fooled.shape[1],
    )


def margin_rows(family: str, margins: SubspaceMargins) -> list[TheoryRow]:
    """Return the law of margins for each subspace, nothing if no image met the boundary in all.

    Args:
        family: Of the subspaces.
        margins: Within them.
    """
    count = int(margins.met.sum())
    if not count:
        return []
    ratios = margins.margins[:, margins.met] / margins.full[margins.met]
    rows = zip(margins.dimensions, margins.law, map(median_estimate, ratios), strict=True)
    return [
        TheoryRow(
            MARGINS,
            family,
            int(R),
            0.0,
            0.0,
            float(law),
            found.value,
            found.interval.low,
            found.interval.high,
            count,
        )
        for R, law, found in rows
    ]
