"""What geometry predicts at judged images: fooling, margins in subspaces, profile and detector.

One process does it all: it takes a small part of the stage's time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.bounds import BoundRow, bound_row, curved_bounds, flat_bounds
from analysis.curvature_sweep import NEAREST, CurvatureCurve, DirectionFamily
from analysis.curved_checks import CURVED
from analysis.detector import Detector, curvature_scores, minimal_perturbations
from analysis.fooling import FoolingRate, fooling_rate
from analysis.perturbations import SUBSPACE, Perturbations, on_sphere
from analysis.planes import (
    BoundarySections,
    RegionMap,
    boundary_sections,
    region_map,
)
from analysis.predicted import (
    Planes,
    PredictionQuality,
    PredictionRow,
    prediction_quality,
    prediction_rows,
    tangent_planes,
)
from analysis.profile import CurvatureProfile, curvature_profile
from analysis.results import JudgedGeometry, UniversalResult
from analysis.spectrum import SingularSpectrum
from analysis.subspace import Subspace
from analysis.theorems import SubspaceMargins, subspace_margins
from boundary.anchors import Anchors
from boundary.sections import SECTION, VALUES
from study.anchoring import HeldOut
from study.config import SearchOptions, StudyConfig
from study.subject import Subject

Bends = dict[float, NDArray[np.float64]]
"""Curvature by scale, (draws, N), 1 / input units."""

PROFILE_POINTS = 16
"""Nearest boundary points whose principal curvatures are taken."""

MARGIN_IMAGES = 60
"""Images whose margins within subspaces are taken."""

SECTION_POINTS, SECTION_OFFSETS = 40, 12
"""Nearest boundary points whose normal sections are taken, and at how many offsets of each sign."""

MAPS = 3
"""Images around which classes are mapped."""

_LARGEST_RANDOM = 512
"""R of the largest random subspace: it is held, and made orthonormal, whole."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Images whose geometry is known."""

    images: Tensor
    """(N, C, H, W), placed."""
    nearest: NDArray[np.int64]
    """Places of those with a nearest anchor; the curves are at these, in this order."""


def geometry(
    subject: Subject,
    config: StudyConfig,
    held_out: HeldOut,
    families: Sequence[DirectionFamily],
    curves: Sequence[CurvatureCurve],
    rates: Sequence[FoolingRate],
    spectrum: SingularSpectrum,
    curved: NDArray[np.float64],
    made: UniversalResult,
    median_margin: float,
) -> JudgedGeometry:
    """Return everything that the geometry of judged images says.

    Args:
        subject: Whose classifier it is.
        config: Of the study.
        held_out: Judged images, and this process's anchors at them.
        families: Directions along which curvature was measured.
        curves: Of these families.
        rates: Of the same draws, at several norms.
        spectrum: Of the normals, whose leading directions are S_f.
        curved: Directions of S_c, (R, D).
        made: Universal perturbations.
        median_margin: Of the collected points, input units.
    """
    surface, seed, norm = config.curvature.surface, config.seed, made.reference_norm
    judged, nearest = Judged(held_out.images, held_out.places), held_out.anchors[NEAREST]
    universal = None if made.euclidean is None else made.euclidean.vector
    scales, extent = [median_margin, config.curvature.scale or norm], 2 * norm
    s_c = Subspace(curved)
    planes = planes_at(subject, judged, config.search)
    bends, estimator = curvatures_at(judged, curves, surface)
    told, quality = predictions(planes, families, bends, rates)
    tried = {SUBSPACE: spectrum.subspace(len(curved)), CURVED: s_c}
    bounds = bound_rows(subject, judged, planes, families, bends, tried, norm)
    whole = {SUBSPACE: spectrum.subspace(len(spectrum.directions)), CURVED: s_c}
    margins, names = margins_within(subject, judged, whole, seed, progress=True)
    return JudgedGeometry(
        predictions=tuple(told),
        quality=tuple(quality),
        predicted_by=estimator,
        bounds=tuple(bounds),
        margins=tuple(margins),
        margin_families=tuple(names),
        profiles=tuple(profiles(subject, nearest, scales, surface, seed)),
        detectors=tuple(detectors(subject, judged, curved, universal, scales, surface, seed)),
        sections=tuple(sections(subject, nearest, held_out.margins, families, extent, surface)),
        maps=tuple(maps(subject, judged, curved, extent)),
    )


def planes_at(subject: Subject, judged: Judged, search: SearchOptions) -> Planes:
    """Return the tangent planes at judged images, of those that have a nearest anchor.

    Args:
        subject: Whose classifier it is.
        judged: Images.
        search: Options with which the anchors were found, so that the planes are at these points.
    """
    found = tangent_planes(
        subject.classifier,
        judged.images,
        search=asdict(search),
        batch_size=subject.batch_size,
        progress=True,
    )
    anchored = np.zeros(len(found), dtype=bool)
    anchored[judged.nearest] = True
    return found.only(anchored)


def curvatures_at(
    judged: Judged, curves: Sequence[CurvatureCurve], surface: str
) -> tuple[dict[str, Bends], str]:
    """Return the curvature along each family at the judged images, and its estimator.

    By sections where they were taken at the nearest boundary points, else by values.

    Args:
        judged: Images.
        curves: Of all families.
        surface: Whose curvature is used.

    Returns:
        Family -> scale -> (draws, N), NaN for images without a nearest boundary point.
    """
    here = [curve for curve in curves if (curve.anchor, curve.surface) == (NEAREST, surface)]
    estimator = SECTION if any(curve.estimator == SECTION for curve in here) else VALUES
    found: dict[str, Bends] = {}
    for curve in (curve for curve in here if curve.estimator == estimator):
        by_scale = found.setdefault(curve.family, {})
        for scale, bends in zip(curve.scales.tolist(), curve.curvature, strict=True):
            by_scale[scale] = np.full((len(bends), len(judged.images)), np.nan)
            by_scale[scale][:, judged.nearest] = bends
    return found, estimator


def predictions(
    planes: Planes,
    families: Sequence[DirectionFamily],
    bends: Mapping[str, Bends],
    rates: Sequence[FoolingRate],
) -> tuple[list[PredictionRow], list[PredictionQuality]]:
    """Return fooling rates predicted from tangent planes and curvature, beside those measured.

    Args:
        planes: At the judged images, the first of those that rates were taken on.
        families: Directions along which curvature was measured.
        bends: As `curvatures_at` returns them.
        rates: Of the same draws, at several norms.
    """
    rows: list[PredictionRow] = []
    for family in families:
        draws = len(family.directions)
        measured = {
            rate.norm: rate.fooled[:draws, : len(planes)]
            for rate in rates
            if rate.family == family.name
            and rate.subspace_dimension == _largest_dimension(rates, family.name)
            and len(rate.fooled) >= draws
        }
        if measured and family.name in bends:
            rows += prediction_rows(
                planes, family, list(measured), list(measured.values()), bends[family.name]
            )
    return rows, prediction_quality(rows) if rows else []


def bound_rows(
    subject: Subject,
    judged: Judged,
    planes: Planes,
    families: Sequence[DirectionFamily],
    bends: Mapping[str, Bends],
    subspaces: Mapping[str, Subspace],
    scale: float,
) -> list[BoundRow]:
    """Return the norms at which the theorems promise fooling, beside the rates measured there.

    Args:
        subject: Whose classifier it is.
        judged: Images.
        planes: At these images.
        families: Directions along which curvature was measured.
        bends: As `curvatures_at` returns them.
        subspaces: By family; the flat theorem is applied to `SUBSPACE`, the curved to all.
        scale: At which curvature is taken, of those there the nearest.
    """
    met = judged.images[torch.from_numpy(planes.met).to(judged.images.device)]
    if not len(met):
        return []
    rows = []
    for family in (family for family in families if family.name in subspaces):
        space, by_scale = subspaces[family.name], bends.get(family.name, {})
        bounds = flat_bounds(family.name, space, planes) if family.name == SUBSPACE else []
        if by_scale:
            nearest = min(by_scale, key=lambda one: abs(one - scale))
            bounds += curved_bounds(family.name, space.dimension, by_scale[nearest], planes)
        directions = torch.from_numpy(family.directions).view(-1, *judged.images.shape[1:])
        for bound in bounds:
            tried = Perturbations.of(
                family.name,
                bound.norm * directions,
                bound.norm,
                subspace_dimension=space.dimension,
            )
            rate = fooling_rate(subject.classifier, met, tried, batch_size=subject.batch_size)
            rows.append(bound_row(bound, rate))
    return rows


def _largest_dimension(rates: Sequence[FoolingRate], family: str) -> int:
    """Return the R at which the norm was varied."""
    return max(rate.subspace_dimension for rate in rates if rate.family == family)


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
    largest = max(2, min(numbers // 4, _LARGEST_RANDOM))
    dimensions = sorted({max(2, largest // share) for share in (16, 4, 1)})
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
    if not len(nearest):
        return []
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
