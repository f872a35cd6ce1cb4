"""The theorems of the ICLR 2018 paper applied to what was measured, beside the rates they bound.

The flat theorem takes one margin |r| and one captured length |P_S r| for all images. Of images
that differ the mean over them of P(|v'r| < |r|^2), v uniform of norm rho in S of dimension R, is at
most sqrt(e R) / rho times the mean of |r|^2 / |P_S r|: so does the norm here follow from it.

The curved theorem asks for a curvature of at least kappa along all but a share of the pairs of
vector and image; the pairs beyond are *excluded*, and the theorem says nothing of them. Its form
takes the whole vector, while curvature is measured along the part beside the normal, which is at
least sqrt(1 - t^2) of it but for the share delta that is let go: kappa is taken times 1 - t^2, and
there is no bound where t = sqrt(2 ln(2 / delta) / R) is 1 or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import FoolingRate
from analysis.predicted import Planes
from analysis.subspace import Subspace
from analysis.theorems import curved_bound, flat_bound

FLAT_THEOREM, CURVED_THEOREM = "flat", "curved"

DELTAS = (0.5, 0.2)
"""Shares of vectors that the flat theorem lets go."""
CURVED_DELTA = 0.1
"""Share of vectors that the curved theorem lets go, for pointing inwards."""
EXCLUDED = (0.25, 0.5, 0.75)
"""Shares of the pairs of least curvature that the curved theorem is applied without."""

_FARTHEST = 0.9
"""Quantile of the margins that the curved theorem is applied with; images beyond are excluded."""

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
    delta: float
    """Share of the vectors that is let go."""
    excluded: float
    """Share of the pairs of vector and image to which the theorem does not apply."""
    premise: float
    """Flat: median of |P_S r| / |r|, the share of the normal in the subspace. Curved: the least
    normal curvature of the pairs that are not excluded, 1 / input units."""
    norm: float
    """rho, input units."""

    @property
    def promised(self) -> float:
        """Share of images fooled."""
        return 1 - self.delta - self.excluded


@dataclass(frozen=True)
class BoundRow:
    """A bound beside the fooling rate at its norm."""

    bound: Bound
    measured: float
    """Fooling rate of random vectors of the family at that norm."""
    low: float
    """End of the 95 % interval."""
    high: float
    draws: int
    images: int


def flat_bounds(
    family: str, subspace: Subspace, planes: Planes, deltas: Sequence[float] = DELTAS
) -> list[Bound]:
    """Return the norms of the flat theorem for a subspace, for each share let go.

    Args:
        family: Name of the subspace's random vectors.
        subspace: S.
        planes: Tangent planes at the images' nearest boundary points; images without are left out.
        deltas: Shares let go.
    """
    margin, normal = _nearest(planes)
    captured = np.linalg.norm(normal @ subspace.basis.T, axis=1)
    if not len(margin) or not captured.all():
        return []
    reach = float((margin / captured).mean())  # |r|^2 / |P_S r|
    return [
        Bound(
            theorem=FLAT_THEOREM,
            family=family,
            dimension=subspace.dimension,
            delta=delta,
            excluded=0.0,
            premise=float(np.median(captured)),
            norm=flat_bound(subspace.dimension, delta, 1.0) * reach,
        )
        for delta in deltas
    ]


def curved_bounds(
    family: str,
    dimension: int,
    curvature: Array,
    planes: Planes,
    excluded: Sequence[float] = EXCLUDED,
    delta: float = CURVED_DELTA,
) -> list[Bound]:
    """Return the norms of the curved theorem, for each share of the pairs that is excluded.

    Shares whose least curvature is not positive have no bound: the premise fails. Nor has a
    subspace of too few dimensions.

    Args:
        family: Name of the vectors along which curvature was measured.
        dimension: R of their subspace.
        curvature: At each image's nearest boundary point, (draws, N), 1 / input units; ignored
            where that point was not found.
        planes: Of the same N images.
        excluded: Shares of the pairs of least curvature.
        delta: Share of the vectors let go for pointing inwards.
    """
    margin, _ = _nearest(planes)
    bends = curvature[:, planes.met]
    inwards = inwards_share(dimension, delta)
    if not bends.size or inwards >= 1:
        return []
    farthest = float(np.quantile(margin, _FARTHEST))
    found = []
    for share in excluded:
        least = float(np.quantile(bends, share))
        if least > 0 and farthest > 0:
            beyond = 1 - float(((bends >= least) & (margin <= farthest)).mean())
            norm = curved_bound(dimension, (1 - inwards) * least, delta, margin=farthest)
            found.append(Bound(CURVED_THEOREM, family, dimension, delta, beyond, least, norm))
    return found


def inwards_share(dimension: int, delta: float = CURVED_DELTA) -> float:
    """Return t^2, the most of a vector's square that lies along the normal, but for a share delta.

    Of 1 or more the curved theorem says nothing.
    """
    return 2 * log(2 / delta) / dimension


def _nearest(planes: Planes) -> tuple[Array, Array]:
    """Return the margins and normals of the images whose nearest boundary point was found."""
    return planes.margin[planes.met, 0], planes.normal[planes.met, 0].astype(np.float64)


def bound_row(bound: Bound, rate: FoolingRate) -> BoundRow:
    """Return a bound with what was measured.

    Args:
        bound: Its norm is that of the rate.
        rate: Of random vectors of the same family.
    """
    draws, images = rate.fooled.shape
    interval = rate.interval
    return BoundRow(bound, rate.rate, interval.low, interval.high, draws, images)
