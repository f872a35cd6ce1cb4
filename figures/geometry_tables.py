"""What the figures of prediction, margins, profile, sections and maps show, as numbers."""

from typing import Any

import numpy as np

from analysis.detector import Detector
from analysis.planes import BoundarySections, RegionMap
from analysis.predicted import PredictionRow
from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult
from figures.predicted import margin_rows, prediction_scale
from figures.sections import section_heights


def geometry_numbers(result: CurvatureResult) -> dict[str, Any]:
    """Return everything that these figures are made of; empty lists where nothing was taken."""
    return {
        "prediction_scale": prediction_scale(result),
        "quality": result.quality,
        "predictions": [_prediction_numbers(row) for row in result.predictions],
        "margins": [row._asdict() for row in margin_rows(result)],
        "profiles": [profile_numbers(profile) for profile in result.profiles],
        "detectors": [detector_numbers(detector) for detector in result.detectors],
        "sections": [_section_numbers(sections) for sections in result.sections],
        "maps": [_map_numbers(one) for one in result.maps],
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


def _map_numbers(one: RegionMap) -> dict[str, Any]:
    indices, counts = np.unique(one.classes, return_counts=True)
    shares = (counts / one.classes.size).tolist()
    return {
        "first": one.first,
        "second": one.second,
        "extent": float(one.coordinates[-1]),
        "source": one.source,
        "shares": dict(zip(indices.tolist(), shares, strict=True)),
    }
