"""What the stage of curvature shows beside its curves: laws, normal sections, maps, profiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.bounds import Bound, TheoryRow, bound_row, curved_bounds, flat_bounds, margin_rows
from analysis.curvature_sweep import NEAREST, CurvatureCurve, DirectionFamily
from analysis.curved import CURVED
from analysis.fooling import fooling_rate
from analysis.perturbations import SPHERE, SUBSPACE, in_subspace, on_sphere
from analysis.planes import BoundarySections, RegionMap, boundary_sections, region_map
from analysis.profile import CurvatureProfile, curvature_profile
from analysis.subspace import Subspace
from analysis.theorems import subspace_margins
from boundary.anchors import PAIR
from boundary.ranks import Ranks
from boundary.sections import SECTION
from study.anchoring import HeldOut
from study.subject import Subject

PROFILE_POINTS, MARGIN_IMAGES, SECTION_POINTS, SECTION_OFFSETS, MAPS = 8, 40, 40, 12, 3
BOUND_VECTORS = 20
"""Random vectors at the norm of a theorem."""
_LARGEST_RANDOM = 512
"""R of the largest random subspace: it is held, and made orthonormal, whole."""


@dataclass(frozen=True, eq=False)
class Exploring:
    """What is measured at held-out images; all but `theory` by one process, at its own anchors."""

    subject: Subject
    ranks: Ranks
    held_out: HeldOut
    norm: float
    """The reference norm, input units."""
    seed: int

    def theory(
        self, shared: Subspace, curved: Subspace, curves: Sequence[CurvatureCurve]
    ) -> list[TheoryRow]:
        """Return the laws beside what is measured.

        Args:
            shared: S_f.
            curved: S_c.
            curves: Of these families; normal sections of pairs are used, at the norm.
        """
        normal = self.held_out.anchors[NEAREST].normal.flatten(1).double().cpu().numpy()
        lengths = np.linalg.norm(normal @ shared.basis.T, axis=1)
        margin, captured = (
            np.concatenate(self.ranks.gather(own)) for own in (self.held_out.margins, lengths)
        )
        spaces = {SUBSPACE: shared, CURVED: curved}
        bounds = flat_bounds(SUBSPACE, shared.dimension, margin, captured)
        for curve in curves:
            key = (curve.anchor, curve.estimator, curve.surface)
            if key == (NEAREST, SECTION, PAIR) and curve.family in spaces:
                bends = curve.curvature[abs(curve.scales - self.norm).argmin()]
                R = spaces[curve.family].dimension
                bounds += curved_bounds(curve.family, R, margin, bends)
        return self.ranks.from_first(
            lambda: [*self._margins(), *(self._rate(one, spaces[one.family]) for one in bounds)]
        )

    def _margins(self) -> list[TheoryRow]:
        """Return margins within nested random subspaces."""
        shape = self.subject.images.shape
        largest = min(int(np.prod(shape)) // 4, _LARGEST_RANDOM)
        parts = sorted({part for share in (16, 4, 1) if (part := largest // share) > 1})
        if not parts or not len(self.held_out.images):
            return []
        random = on_sphere(shape, parts[-1], 1.0, self._generator())
        basis = Subspace.spanned_by(random.directions.flatten(1).numpy()).basis
        margins = subspace_margins(
            self.subject.classifier,
            self.held_out.images[:MARGIN_IMAGES],
            [Subspace(basis[:part]) for part in parts],
            batch_size=self.subject.batch_size,
            progress=True,
        )
        return margin_rows(SPHERE, margins)

    def _rate(self, bound: Bound, space: Subspace) -> TheoryRow:
        """Return a bound beside the rate at its norm."""
        images, shape = self.held_out.images, self.subject.images.shape
        tried = in_subspace(
            space, shape, BOUND_VECTORS, bound.norm, self._generator(), family=bound.family
        )
        size = self.subject.batch_size
        return bound_row(
            bound, fooling_rate(self.subject.classifier, images, tried, batch_size=size)
        )

    def sections(self, families: Sequence[DirectionFamily]) -> list[BoundarySections]:
        """Return normal sections along the first direction of each family."""
        nearest = self.held_out.anchors[NEAREST].subset(slice(SECTION_POINTS))
        if not len(nearest):
            return []
        offsets = np.linspace(0, 2 * self.norm, SECTION_OFFSETS + 1)[1:].tolist()
        margins = self.held_out.margins[:SECTION_POINTS]
        return boundary_sections(
            self.subject.classifier, nearest, margins, families, offsets, surface=PAIR
        )

    def maps(self, curved: Subspace) -> list[RegionMap]:
        """Return maps of class regions in the plane of the first two directions of S_c."""
        if curved.dimension < 2:
            return []
        first, second = (
            DirectionFamily(f"direction {place + 1} of S_c", curved.basis[place : place + 1])
            for place in range(2)
        )
        classifier, size, extent = self.subject.classifier, self.subject.batch_size, 2 * self.norm
        return [
            region_map(classifier, image, first, second, extent, batch_size=size)
            for image in self.held_out.images[:MAPS]
        ]

    def profiles(self, scales: Sequence[float]) -> list[CurvatureProfile]:
        """Return the curvature profile of a few nearest boundary points at each scale."""
        some = self.held_out.anchors[NEAREST].subset(slice(PROFILE_POINTS))
        if len(some) < 2:
            return []
        return [
            curvature_profile(
                self.subject.classifier, some, scale, surface=PAIR, seed=self.seed, progress=True
            )
            for scale in scales
        ]

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)
