"""The rows of the hypothesis test, from what a study has measured at held-out images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.curvature_sweep import CurvatureCurve, DirectionFamily
from analysis.curved_checks import CURVED, CurvedSubspace, LearnedCurvature
from analysis.fooling import FoolingRate
from analysis.hypothesis import HypothesisRow
from analysis.hypothesis_items import (
    correlation_rows,
    curvature_rows,
    fooling_rows,
    half_rows,
    mirror_rows,
    sharing_rows,
)
from analysis.predicted import Planes, flat
from study.directions import PLAIN_RIVALS, RIVALS


def rows_of_items(
    curved: CurvedSubspace,
    learned: Sequence[LearnedCurvature],
    curves: Sequence[CurvatureCurve],
    rates: Sequence[FoolingRate],
    mirrored: Sequence[FoolingRate],
    random: NDArray[np.float64],
    others: Mapping[str, CurvedSubspace],
) -> list[HypothesisRow]:
    """Return the rows of items 1 to 4, and of item 6 for the S_c of other models.

    Args:
        curved: The S_c that is tested.
        learned: Those of fewer images, whose vectors are tried for item 3.
        curves: Of all families at all anchors.
        rates: Of all families.
        mirrored: Of the opposite vectors.
        random: Mean squared cosine of pairs of random subspaces.
        others: S_c of other models, by family.
    """
    facts: dict[str, Any] = {"dimension": len(curved.directions), "images": curved.images}
    rows = curvature_rows(curves, CURVED, RIVALS, **facts)
    rows += sharing_rows(curves, CURVED, PLAIN_RIVALS, **facts)
    rivals = {"random subspaces": random, "random phases": curved.halves_by_phases}
    if len(curved.halves):
        rows += half_rows(curved.halves, rivals, scale=curved.scale, **facts)
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
    for name, other in others.items():
        facts = {"dimension": other.subspace(facts["dimension"]).dimension, "images": other.images}
        rows += curvature_rows(curves, name, PLAIN_RIVALS, item=6, **facts)
        rows += fooling_rows(rates, name, PLAIN_RIVALS, item=6, images=other.images)
    return rows


def rows_of_prediction(
    families: Sequence[DirectionFamily],
    curves: Sequence[CurvatureCurve],
    fooled: Mapping[str, NDArray[np.bool_]],
    planes: Planes,
    norm: float,
    surface: str,
    seed: int,
) -> list[HypothesisRow]:
    """Return the rows of item 5: curvature at judged images, fooling at others.

    Args:
        families: Directions along which curvature was measured.
        curves: Of these families.
        fooled: By family, which of the others its first draws fool, (draws, N).
        planes: Tangent planes at the others, for the flat model's prediction of the same images.
        norm: Of the fooling rates, input units.
        surface: Whose curvature is used.
        seed: Of the permutations.
    """
    told, rates = {}, {}
    for family in (family for family in families if family.name in fooled):
        told[family.name] = flat(planes, planes.along(family.directions), norm).mean(1)
        rates[family.name] = fooled[family.name].mean(1)[: len(family.directions)]
    known = {(c.family, c.anchor, c.estimator): c for c in curves if c.surface == surface}
    rows = []
    for anchor, estimator in dict.fromkeys((anchor, by) for _, anchor, by in known):
        chosen = [
            known[one, anchor, estimator] for one in told if (one, anchor, estimator) in known
        ]
        if not chosen:
            continue
        families_of = [curve.family for curve in chosen]
        names = [curve.family for curve in chosen for _ in range(curve.curvature.shape[1])]
        for place, scale in enumerate(chosen[0].scales):
            bent = np.concatenate([curve.curvature[place].mean(1) for curve in chosen])
            rows += correlation_rows(
                bent,
                np.concatenate([rates[one] for one in families_of]),
                np.concatenate([told[one] for one in families_of]),
                names,
                anchor=anchor,
                estimator=estimator,
                surface=surface,
                scale=float(scale),
                seed=seed,
            )
    return rows
