"""What geometry predicts at judged images: fooling, margins in subspaces, profile and detector.

One process does it all: it takes a small part of the stage's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.curvature_sweep import NEAREST, CurvatureCurve, DirectionFamily
from analysis.detector import Detector, curvature_scores, minimal_perturbations
from analysis.fooling import FoolingRate
from analysis.perturbations import on_sphere
from analysis.planes import (
    BoundarySections,
    RegionMap,
    boundary_sections,
    region_map,
)
from analysis.predicted import (
    PredictionQuality,
    PredictionRow,
    prediction_quality,
    prediction_rows,
    tangent_planes,
)
from analysis.profile import CurvatureProfile, curvature_profile
from analysis.subspace import Subspace
from analysis.theorems import SubspaceMargins, subspace_margins
from boundary.anchors import Anchors
from boundary.sections import SECTION, VALUES
from study.subject import Subject

PROFILE_POINTS = 16
"""Nearest boundary points whose principal curvatures are taken."""

MARGIN_IMAGES = 60
"""Images whose margins within subspaces are taken."""

SECTION_POINTS, SECTION_OFFSETS = 40, 12
"""Nearest boundary points whose normal sections are taken, and at how many offsets of each sign."""

MAPS = 3
"""Images around which classes are mapped."""

_RANDOM_SHARES = (64, 16, 4)
"""D over R of the random subspaces."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Images whose geometry is known."""

    images: Tensor
    """(N, C, H, W), placed."""
    nearest: NDArray[np.int64]
    """Places of those with a nearest anchor; the curves are at these, in this order."""


def predictions(
    subject: Subject,
    judged: Judged,
    families: Sequence[DirectionFamily],
    curves: Sequence[CurvatureCurve],
    rates: Sequence[FoolingRate],
    surface: str,
    *,
    progress: bool,
) -> tuple[list[PredictionRow], list[PredictionQuality]]:
    """Return fooling rates predicted from tangent planes and curvature, beside those measured.

    Args:
        subject: Whose classifier it is.
        judged: The first images of those that rates were taken on.
        families: Directions along which curvature was measured.
        curves: Of these families.
        rates: Of the same draws, at several norms.
        surface: Whose curvature is used.
        progress: Show a progress bar on standard error.
    """
    planes = tangent_planes(
        subject.classifier, judged.images, batch_size=subject.batch_size, progress=progress
    )
    rows: list[PredictionRow] = []
    for family in families:
        draws = len(family.directions)
        measured = {
            rate.norm: rate.fooled[:draws, : len(judged.images)]
            for rate in rates
            if rate.family == family.name
            and rate.subspace_dimension == _largest_dimension(rates, family.name)
            and len(rate.fooled) >= draws
        }
        bends = _curvatures(curves, family.name, surface, judged)
        if measured and bends:
            rows += prediction_rows(planes, family, list(measured), list(measured.values()), bends)
    return rows, prediction_quality(rows) if rows else []


def _largest_dimension(rates: Sequence[FoolingRate], family: str) -> int:
    """Return the R at which the norm was varied."""
    return max(rate.subspace_dimension for rate in rates if rate.family == family)


def _curvatures(
    curves: Sequence[CurvatureCurve], family: str, surface: str, judged: Judged
) -> dict[float, NDArray[np.float64]]:
    """Return (draws, N) curvatures by scale, NaN without a nearest anchor; sections if taken."""
    found = {
        curve.estimator: curve
        for curve in curves
        if (curve.family, curve.anchor, curve.surface) == (family, NEAREST, surface)
    }
    curve = found.get(SECTION, found.get(VALUES))
    if curve is None:
        return {}
    by_scale = {}
    for scale, bends in zip(curve.scales.tolist(), curve.curvature, strict=True):
        by_scale[scale] = np.full((len(bends), len(judged.images)), np.nan)
        by_scale[scale][:, judged.nearest] = bends
    return by_scale


def margins_within(
    subject: Subject,
    judged: Judged,
    subspaces: Mapping[str, Subspace],
    seed: int,
    *,
    progress: bool,
) -> tuple[list[SubspaceMargins], list[str]]:
    """Return margins within nested random subspaces, and within the leading parts of given ones.

    Args:
        subject: Whose classifier it is.
        judged: The first of them are used.
        subspaces: Name -> subspace of leading directions.
        seed: Of the random subspaces.
        progress: Show progress bars on standard error.
    """
    images = judged.images[:MARGIN_IMAGES]
    numbers = images[0].numel()
    dimensions = sorted({max(2, numbers // share) for share in _RANDOM_SHARES})
    generator = torch.Generator().manual_seed(seed)
    random = on_sphere(tuple(images.shape[1:]), dimensions[-1], 1.0, generator)
    spaces = {"random": Subspace.spanned_by(random.directions.flatten(1).numpy()), **subspaces}
    found, names = [], []
    for name, space in spaces.items():
        parts = dimensions if name == "random" else _parts(space.dimension)
        if len(parts) > 1:
            nested = [Subspace(space.basis[:part]) for part in parts]
            found.append(
                subspace_margins(
                    subject.classifier,
                    images,
                    nested,
                    batch_size=subject.batch_size,
                    progress=progress,
                )
            )
            names.append(name)
    return found, names


def _parts(dimension: int) -> list[int]:
    return sorted({max(1, dimension // 4), max(1, dimension // 2), dimension})


def profiles(
    subject: Subject, nearest: Anchors, scales: Sequence[float], surface: str, seed: int
) -> list[CurvatureProfile]:
    """Return curvature profiles at a few nearest boundary points, one a scale."""
    some = nearest.subset(slice(PROFILE_POINTS))
    if len(some) < 2:
        return []
    return [
        curvature_profile(
            subject.classifier, some, scale, surface=surface, seed=seed, progress=True
        )
        for scale in scales
    ]


def detectors(
    subject: Subject,
    judged: Judged,
    directions: NDArray[np.float64],
    vector: NDArray[np.float64] | None,
    scales: Sequence[float],
    surface: str,
    seed: int,
) -> list[Detector]:
    """Return how well curvature along S_c tells perturbed images from clean ones.

    Args:
        subject: Whose classifier it is.
        judged: Images that had no part in S_c.
        directions: Of S_c, (R, D).
        vector: A universal perturbation, (C, H, W); None where none was made.
        scales: s of the scores.
        surface: Whose curvature is used.
        seed: Of resampling and halves.
    """
    classifier, size = subject.classifier, subject.batch_size
    moved, crossed = minimal_perturbations(classifier, judged.images, batch_size=size)
    kept = judged.images[crossed]
    pairs = {"minimal": (kept, moved[crossed])}
    if vector is not None:
        added = torch.from_numpy(vector).to(judged.images)
        pairs["universal"] = (judged.images, judged.images + added)
    found = []
    for scale in scales:
        for family, (clean, perturbed) in pairs.items():
            if len(clean) < 2:
                continue
            one, other = (
                curvature_scores(
                    classifier, part, directions, scale, surface=surface, batch_size=size
                )
                for part in (clean, perturbed)
            )
            found.append(Detector.of(family, one, other, scale, seed=seed))
    return found


def sections(
    subject: Subject,
    nearest: Anchors,
    margins: NDArray[np.float64],
    families: Sequence[DirectionFamily],
    extent: float,
    surface: str,
) -> list[BoundarySections]:
    """Return normal sections at some nearest boundary points, along a direction of each family.

    Args:
        subject: Whose classifier it is.
        nearest: Anchors.
        margins: Of their images, input units.
        families: Of directions.
        extent: Largest offset, input units.
        surface: ``pair`` or ``region``.
    """
    offsets = np.linspace(0, extent, SECTION_OFFSETS + 1)[1:]
    return boundary_sections(
        subject.classifier,
        nearest.subset(slice(SECTION_POINTS)),
        margins[:SECTION_POINTS],
        families,
        offsets.tolist(),
        surface=surface,
    )


def maps(
    subject: Subject, judged: Judged, directions: NDArray[np.float64], extent: float
) -> list[RegionMap]:
    """Return maps of class regions in the plane of the first two directions of S_c."""
    if len(directions) < 2:
        return []
    first, second = (
        DirectionFamily(f"direction {place + 1} of S_c", directions[place : place + 1])
        for place in range(2)
    )
    return [
        region_map(subject.classifier, image, first, second, extent, batch_size=subject.batch_size)
        for image in judged.images[:MAPS]
    ]
