"""Exact curvature along families of directions, and what curvature at a scale keeps of it.

A network of ReLUs has none: its boundary is piecewise linear, and all is zero. That of a smooth one
is the limit of a small scale, and says how far from it a scale is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr

from analysis.curvature_sweep import CurvatureCurve, DirectionFamily
from boundary.anchors import PAIR, Anchors
from boundary.classifier import Classifier
from boundary.curvature import ShapeOperator
from boundary.progress import progress_bar

EXACT = "exact"
"""Estimator of curves at the scale 0."""


def exact_curvatures(
    classifier: Classifier,
    at: Anchors,
    families: Sequence[DirectionFamily],
    *,
    anchor: str,
    batch_size: int = 64,
    progress: bool = False,
) -> list[CurvatureCurve]:
    """Return v'Sv / v'v along every family, of the pair, as curves of the one scale 0.

    Args:
        classifier: Whose boundary it is.
        at: Anchors.
        families: Along which directions.
        anchor: Kind of the anchors.
        batch_size: Anchors in one pass.
        progress: Show a progress bar on standard error.

    Raises:
        InputError: If the classifier cannot be differentiated twice.
    """
    vectors = torch.from_numpy(np.concatenate([family.directions for family in families]))
    directions = vectors.to(at.point).view(-1, *at.point.shape[1:])
    parts = [np.zeros((len(directions), 0))]
    with progress_bar("exact curvature", len(at), "points", shown=progress) as bar:
        for start in range(0, len(at), batch_size):
            part = at.subset(slice(start, start + batch_size))
            found = ShapeOperator(classifier, part).normal_curvatures(directions)
            parts.append(found.double().cpu().numpy())
            bar.update(len(part))
    curvature = np.concatenate(parts, axis=1)[None]
    ends = np.cumsum([0, *(len(family.directions) for family in families)])
    return [
        CurvatureCurve(
            family=family.name,
            anchor=anchor,
            estimator=EXACT,
            surface=PAIR,
            scales=np.zeros(1),
            curvature=curvature[:, low:high],
            censored=np.zeros((1, high - low, len(at)), dtype=bool),
            residual=0.0,
            sampled=family.sampled,
        )
        for family, low, high in zip(families, ends[:-1], ends[1:], strict=True)
    ]


@dataclass(frozen=True)
class ExactAgreement:
    """What curvature by one estimator at one scale keeps of exact curvature."""

    estimator: str
    scale: float
    """Input units."""
    correlation: float
    """Spearman's, over pairs of direction and point; 0 if either is all one number."""
    same_sign: float
    """Share of the pairs."""
    pairs: int


def exact_agreement(
    exact: Sequence[CurvatureCurve], curves: Sequence[CurvatureCurve]
) -> list[ExactAgreement]:
    """Return how curvature at every scale agrees with the exact one, by each estimator.

    Args:
        exact: As `exact_curvatures` returns them.
        curves: Of the same families and points; those of other anchors or surfaces are left out.
    """
    if not exact:
        return []
    wanted = {(curve.family, curve.anchor, curve.surface) for curve in exact}
    known = {
        (curve.estimator, curve.family): curve
        for curve in curves
        if (curve.family, curve.anchor, curve.surface) in wanted
    }
    truth = np.concatenate([curve.curvature[0].ravel() for curve in exact])
    found = []
    for estimator in dict.fromkeys(estimator for estimator, _ in known):
        own = [known[estimator, curve.family] for curve in exact]
        for place, scale in enumerate(own[0].scales.tolist()):
            bends = np.concatenate([curve.curvature[place].ravel() for curve in own])
            spread = np.ptp(truth) > 0 and np.ptp(bends) > 0
            found.append(
                ExactAgreement(
                    estimator=estimator,
                    scale=scale,
                    correlation=float(spearmanr(truth, bends).statistic) if spread else 0.0,
                    same_sign=float((np.sign(truth) == np.sign(bends)).mean()),
                    pairs=len(truth),
                )
            )
    return found
