"""What the figures of prediction, margins, profile, sections and maps show, as numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.bounds import BoundRow
from analysis.curved_classes import ClassCurvature
from analysis.detector import Detector
from analysis.intervals import Interval
from analysis.planes import BoundarySections, RegionMap
from analysis.predicted import PredictionRow
from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult
from figures.curved_classes import class_means, held_out_classes
from figures.curves import space_label
from figures.predicted import margin_rows, prediction_scale
from figures.sections import section_heights

KEPT, BROKEN, OPEN = "kept", "broken", "open"
"""What became of a promise."""


@dataclass(frozen=True)
class MeasuredBound:
    """What a theorem promises at a norm, beside what random vectors of that norm do."""

    theorem: str
    """``flat`` or ``curved``."""
    family: str
    label: str
    dimension: int
    """R."""
    premise: float
    """Flat: median share of the normal in the subspace; curved: least curvature, 1 / input
    units."""
    excluded: float
    """Share of the pairs of vector and image of which the theorem says nothing."""
    norm: float
    """Input units."""
    promised: float
    """Share of images fooled."""
    measured: float
    interval: Interval
    draws: int
    images: int
    word: str
    """``kept`` where the interval lies at what is promised or above, ``broken`` where below, else
    ``open``."""


def measured_bounds(result: CurvatureResult) -> tuple[MeasuredBound, ...]:
    """Return the theorems' promises, in the result's order."""
    return tuple(map(_measured_bound, result.bounds))


def _measured_bound(row: BoundRow) -> MeasuredBound:
    bound = row.bound
    return MeasuredBound(
        theorem=bound.theorem,
        family=bound.family,
        label=space_label(bound.family),
        dimension=bound.dimension,
        premise=bound.premise,
        excluded=bound.excluded,
        norm=bound.norm,
        promised=bound.promised,
        measured=row.measured,
        interval=Interval(row.low, row.high),
        draws=row.draws,
        images=row.images,
        word=_word(row),
    )


def _word(row: BoundRow) -> str:
    if row.low >= row.bound.promised:
        return KEPT
    return BROKEN if row.high < row.bound.promised else OPEN


def geometry_numbers(result: CurvatureResult) -> dict[str, Any]:
    """Return everything that these figures are made of; empty lists where nothing was taken."""
    return {
        "classes": [_class_numbers(curved) for curved in result.classes],
        "predicted_by": result.predicted_by,
        "prediction_scale": prediction_scale(result),
        "quality": result.quality,
        "predictions": [_prediction_numbers(row) for row in result.predictions],
        "bounds": measured_bounds(result),
        "margins": [row._asdict() for row in margin_rows(result)],
        "profiles": [profile_numbers(profile) for profile in result.profiles],
        "detectors": [detector_numbers(detector) for detector in result.detectors],
        "sections": [_section_numbers(sections) for sections in result.sections],
        "maps": [_map_numbers(*one) for one in enumerate(result.maps, start=1)],
    }


def _class_numbers(curved: ClassCurvature) -> dict[str, Any]:
    return {
        "classes": curved.classes.tolist(),
        "images": curved.images.tolist(),
        "own": curved.own.tolist(),
        "held_out_classes": held_out_classes(curved).tolist(),
        "held_out": class_means(curved).tolist(),
        "energy": curved.energy.tolist(),
    }


def _prediction_numbers(row: PredictionRow) -> dict[str, Any]:
    return {
        "model": row.model,
        "family": row.family,
        "norm": row.norm,
        "scale": row.scale,
        "images": row.images,
        "predicted": row.predicted.tolist(),
        "measured": row.measured.tolist(),
        "agreement": row.agreement,
        "explained": row.explained,
        "false_alarms": row.false_alarms,
    }


def profile_numbers(profile: CurvatureProfile) -> dict[str, Any]:
    """Return a profile for ``numbers.json``."""
    return {
        "scale": profile.scale,
        "surface": profile.surface,
        "complete": profile.complete,
        "points": profile.points,
        "average": profile.average.tolist(),
        "mean": float(profile.mean.mean()),
        "tail_asymmetry": profile.tail_asymmetry,
        "own": profile.own.tolist(),
        "sharing": profile.sharing.tolist(),
        "typical": profile.typical,
        "operator_asymmetry": float(profile.asymmetry.mean()),
        "residual": profile.residual,
        "pairs": profile.pairs,
        "seed": profile.seed,
    }


def detector_numbers(detector: Detector) -> dict[str, Any]:
    """Return a detector for ``numbers.json``."""
    signs = detector.accuracy_by_sign
    return {
        "family": detector.family,
        "scale": detector.scale,
        "count": detector.count,
        "auc": detector.auc,
        "interval": detector.auc_interval,
        "orientation": signs.orientation,
        "accuracy": signs.accuracy,
        "accuracy_interval": signs.interval,
        "judged": signs.judged,
    }


def _section_numbers(sections: BoundarySections) -> dict[str, Any]:
    offsets, heights, censored = section_heights(sections)
    return {
        "family": sections.family,
        "surface": sections.surface,
        "points": len(sections.margin),
        "offsets": offsets.tolist(),
        "median_height": np.median(heights, axis=1).tolist(),
        "censored_share": censored.mean(1).tolist(),
    }


def _map_numbers(image: int, one: RegionMap) -> dict[str, Any]:
    indices, counts = np.unique(one.classes, return_counts=True)
    shares = (counts / one.classes.size).tolist()
    return {
        "image": image,
        "first": one.first,
        "second": one.second,
        "extent": float(one.coordinates[-1]),
        "source": one.source,
        "shares": dict(zip(indices.tolist(), shares, strict=True)),
    }
