"""The rows of the hypothesis test, from what a study has measured at held-out images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.curvature_sweep import NEAREST, CurvatureCurve, DirectionFamily
from analysis.curved_checks import CURVED, CurvedSubspace, LearnedCurvature
from analysis.fooling import FoolingRate
from analysis.hypothesis import HypothesisRow
from analysis.hypothesis_items import (
    curvature_rows,
    fooling_rows,
    half_rows,
    mirror_rows,
    prediction_rows,
    sharing_rows,
)
from boundary.ranks import Ranks
from study.anchoring import HeldOut
from study.directions import RIVALS, SPHERE

_FEWEST_OTHERS = 30
"""Evaluated images beyond those whose curvature is measured, for item 5."""


def rows_of_items(
    curved: CurvedSubspace,
    learned: Sequence[LearnedCurvature],
    curves: Sequence[CurvatureCurve],
    rates: Sequence[FoolingRate],
    mirrored: Sequence[FoolingRate],
    random: NDArray[np.float64],
    others: Iterable[str],
) -> list[HypothesisRow]:
    """Return the rows of items 1 to 4, and of item 6 for the S_c of other models.

    Args:
        curved: The S_c that is tested.
        learned: Those of fewer images, whose vectors are tried for item 3.
        curves: Of all families at all anchors.
        rates: Of all families.
        mirrored: Of the opposite vectors.
        random: Mean squared cosine of pairs of random subspaces.
        others: Families of the S_c of other models.
    """
    facts: dict[str, Any] = {"dimension": len(curved.directions), "images": curved.images}
    rows = curvature_rows(curves, CURVED, RIVALS, **facts)
    rows += sharing_rows(curves, CURVED, [SPHERE], **facts)
    rows += half_rows(curved.halves, random, scale=curved.scale, **facts)
    for family, images in ((CURVED, curved.images), *((o.family, o.images) for o in learned)):
        rows += fooling_rows(rates, family, RIVALS, images=images)
    for behind in mirrored:
        if behind.family == CURVED:
            ahead = next(
                rate
                for rate in rates
                if (rate.family, rate.norm, rate.subspace_dimension)
                == (behind.family, behind.norm, behind.subspace_dimension)
            )
            rows += mirror_rows(ahead, behind, images=curved.images)
    for name in others:
        rows += curvature_rows(curves, name, [SPHERE], item=6, **facts)
        rows += fooling_rows(rates, name, [SPHERE], item=6)
    return rows


def rows_of_prediction(
    families: Sequence[DirectionFamily],
    curves: Sequence[CurvatureCurve],
    rates: Sequence[FoolingRate],
    held_out: HeldOut,
    norm: float,
    dimension: int,
    surface: str,
    seed: int,
    ranks: Ranks,
) -> list[HypothesisRow]:
    """Return the rows of item 5: curvature at judged images, fooling at the others evaluated.

    None where too few images are evaluated beyond those judged.

    Args:
        families: Directions along which curvature was measured.
        curves: Of these families.
        rates: Of the same draws.
        held_out: Judged images with this process's anchors.
        norm: Of the fooling rates, input units.
        dimension: R of the families of subspaces.
        surface: Whose curvature is used.
        seed: Of the permutations.
        ranks: The processes that share the anchors.
    """
    others = slice(len(held_out.images), None)
    known = {
        rate.family: rate.fooled[:, others]
        for rate in rates
        if rate.norm == norm
        and rate.subspace_dimension in {dimension, families[0].directions.shape[1]}
    }
    used = [family for family in families if family.name in known]
    if not used or known[used[0].name].shape[1] < _FEWEST_OTHERS:
        return []
    directions = np.concatenate([family.directions for family in used])
    flat = _flat_rates(norm * directions, held_out, ranks)
    fooled = np.concatenate(
        [known[family.name].mean(1)[: len(family.directions)] for family in used]
    )
    names = [family.name for family in used for _ in family.directions]
    rows = []
    places = dict.fromkeys((c.anchor, c.estimator) for c in curves if c.surface == surface)
    for anchor, estimator in places:
        chosen = [
            next(
                curve
                for curve in curves
                if (curve.family, curve.anchor, curve.estimator, curve.surface)
                == (family.name, anchor, estimator, surface)
            )
            for family in used
        ]
        for place, scale in enumerate(chosen[0].scales):
            bent = np.concatenate([curve.curvature[place].mean(1) for curve in chosen])
            rows += prediction_rows(
                bent,
                fooled,
                flat,
                names,
                anchor=anchor,
                estimator=estimator,
                surface=surface,
                scale=float(scale),
                seed=seed,
            )
    return rows


def _flat_rates(
    vectors: NDArray[np.float64], held_out: HeldOut, ranks: Ranks
) -> NDArray[np.float64]:
    """Return the share of judged images that each vector takes beyond its tangent plane."""
    normal = held_out.anchors[NEAREST].normal.flatten(1).double().cpu().numpy()
    beyond = vectors @ normal.T >= held_out.margins
    counts = ranks.gather((beyond.sum(1), beyond.shape[1]))
    return np.asarray(sum(c for c, _ in counts) / sum(n for _, n in counts))
