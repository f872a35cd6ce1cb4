"""What the figures and tables of curvature show, as numbers."""

from typing import Any

import numpy as np

from analysis.curvature_sweep import CurvatureCurve
from analysis.planes import BoundarySections, RegionMap
from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult
from figures.curves import mean_interval
from figures.sections import section_heights


def curvature_numbers(result: CurvatureResult) -> dict[str, Any]:
    """Return everything that the section of curvature and its figures are made of."""
    return {
        "frames": [
            {
                "third": place,
                "images": frame.images,
                "own": float(frame.values.mean()),
                "values": frame.values.tolist(),
            }
            for place, frame in enumerate(result.frames, start=1)
        ],
        "shared": result.shared.tolist(),
        "curves": [*map(_curve_numbers, result.curves)],
        "theory": result.theory,
        "profiles": [*map(_profile_numbers, result.profiles)],
        "sections": [*map(_section_numbers, result.sections)],
        "maps": [_map_numbers(*one) for one in enumerate(result.maps, start=1)],
        "anchors": dict(zip(result.anchor_kinds, map(int, result.met), strict=True)),
        "tried": result.tried,
        "dimension": result.dimension,
        "scale": result.scale,
        "reference_norm": result.reference_norm,
        "median_margin": result.median_margin,
        "seed": result.seed,
    }


def _curve_numbers(curve: CurvatureCurve) -> dict[str, Any]:
    low, high = mean_interval(curve)
    return {
        "family": curve.family,
        "anchor": curve.anchor,
        "estimator": curve.estimator,
        "surface": curve.surface,
        "draws": curve.curvature.shape[1],
        "points": curve.curvature.shape[2],
        "scales": curve.scales.tolist(),
        "mean": curve.mean.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "positive_share": curve.positive_share.tolist(),
        "zero_share": curve.zero_share.tolist(),
        "censored_share": curve.censored.mean((1, 2)).tolist(),
    }


def _profile_numbers(profile: CurvatureProfile) -> dict[str, Any]:
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
