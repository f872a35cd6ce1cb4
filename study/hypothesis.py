"""The causes of fooling and the three endpoints of curvature, measured on evaluated images.

Several processes share the images; vectors are drawn by each alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.causes import FoolingCauses, causes_of_fooling
from analysis.curvature_sweep import NEAREST, DirectionFamily, joined_curves, measure_curvatures
from analysis.curvature_test import (
    CurvatureTest,
    EndpointRow,
    bending_rows,
    fooling_rows,
    prediction_row,
)
from analysis.curved import CURVED
from analysis.perturbations import Perturbations, in_subspace
from analysis.rivals import matched_frames
from analysis.spectrum import SingularSpectrum
from analysis.subspace import Subspace
from analysis.sweep import vectors_of, vectors_of_noise, vectors_of_sphere
from boundary.anchors import PAIR, Anchors
from boundary.classifier import Classifier
from boundary.sections import SECTION
from study.anchoring import HeldOut
from study.perturbing import rates_on
from study.run import RunDirectory
from study.subject import Subject

CAUSE_VECTORS = 5
"""Random vectors of each family, whose causes of fooling are asked for."""

SECTION_VECTORS = 2
"""Random vectors of each subspace, along which normal sections are taken."""

FOOLING_VECTORS, NOISE_VECTORS = 30, 6
"""Random vectors of S_c and S_f, and of each draw of matched noise."""

OF_CURVED, OF_NORMALS = "matched noise of S_c", "matched noise of S_f"

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """What the test needs: who is judged, along which subspaces, at which norm."""

    run: RunDirectory
    subject: Subject
    held_out: HeldOut
    frames: Sequence[Subspace]
    """S_c of each third."""
    spectrum: SingularSpectrum
    """Of the normals: S_f."""
    noise: Sequence[SingularSpectrum]
    """Of each draw of matched noise."""
    universal: Perturbations | None
    dimension: int
    """R of S_f; S_c has its own."""
    norm: float
    """The reference norm."""
    margin: float
    """The median margin of the collected images."""
    seed: int

    def causes(self) -> list[FoolingCauses]:
        """Return the causes of fooling of the universal perturbation and of random vectors."""
        shape, seed = self.subject.images.shape, self.seed
        noise = [one.subspace(self.dimension) for one in self.noise]
        families = [
            *([] if self.universal is None else [self.universal]),
            vectors_of(self.spectrum, self.dimension, shape, CAUSE_VECTORS, seed),
            *self._of_frames(CAUSE_VECTORS),
            vectors_of_noise(noise, shape, 1, seed),
            vectors_of_sphere(shape, CAUSE_VECTORS, seed),
        ]
        ranks, images = self.run.ranks, self.held_out.images
        parts = ranks.gather(
            causes_of_fooling(
                self.subject.classifier,
                images[ranks.rank :: ranks.count],
                [family.scaled(self.norm) for family in families],
                batch_size=self.subject.batch_size,
                progress=ranks.first,
            )
        )
        return [_joined(same) for same in zip(*parts, strict=True)]

    def test(self, causes: Sequence[FoolingCauses]) -> CurvatureTest:
        """Return the rows of the three endpoints."""
        by_frame = [one for one in causes if one.family.startswith(CURVED)]
        predicted = [prediction_row(place, one) for place, one in enumerate(by_frame)]
        rows = (*self._bending(), *self._fooling(), *predicted)
        return CurvatureTest(rows, self.margin)

    def _of_frames(self, count: int) -> list[Perturbations]:
        shape = self.subject.images.shape
        return [
            in_subspace(
                frame,
                shape,
                count,
                1.0,
                torch.Generator().manual_seed(self.seed),
                family=f"{CURVED} {place + 1}",
            )
            for place, frame in enumerate(self.frames)
        ]

    def _noise_of_frames(self, count: int) -> list[Perturbations]:
        shape, seed = self.subject.images.shape, self.seed
        return [
            vectors_of_noise(
                matched_frames(frame.basis, shape, seed=seed), shape, count, seed, family=OF_CURVED
            )
            for frame in self.frames
        ]

    def _bending(self) -> list[EndpointRow]:
        """Return the rows of P1: normal sections of the pair at nearest boundary points."""
        anchors, ranks = self.held_out.anchors[NEAREST], self.run.ranks
        own, noise = self._of_frames(SECTION_VECTORS), self._noise_of_frames(SECTION_VECTORS)
        families = [
            DirectionFamily(str(place), one.directions.flatten(1).numpy())
            for place, one in enumerate([*own, *noise])
        ]
        scales = [self.margin / 2, self.norm / 2]
        classifier, size = self.subject.classifier, self.subject.batch_size
        measured = measure_curvatures(
            classifier,
            {NEAREST: anchors},
            families,
            scales,
            estimators=[SECTION],
            surfaces=[PAIR],
            batch_size=size,
            title="normal sections",
            progress=ranks.first,
        )
        curves = joined_curves(ranks.gather(measured))
        rounding = np.concatenate(ranks.gather(_rounding(classifier, anchors, size)))
        rows = []
        for place, scale in enumerate(curves[0].scales):
            for frame in range(len(own)):
                sections = curves[len(own) + frame].curvature[place]
                rows += bending_rows(
                    frame,
                    float(scale),
                    curves[frame].curvature[place],
                    sections.reshape(-1, SECTION_VECTORS, sections.shape[1]),
                    rounding / scale**2,
                )
        return rows

    def _fooling(self) -> list[EndpointRow]:
        """Return the rows of P2."""
        shape, seed, R = self.subject.images.shape, self.seed, self.frames[0].dimension
        families = [
            *self._of_frames(FOOLING_VECTORS),
            *self._noise_of_frames(NOISE_VECTORS),
            vectors_of(self.spectrum, R, shape, FOOLING_VECTORS, seed),
            vectors_of_noise([one.subspace(R) for one in self.noise], shape, NOISE_VECTORS, seed),
        ]
        rates = rates_on(
            self.run,
            self.subject,
            self.held_out.positions,
            [family.scaled(self.norm) for family in families],
            clips=(False,),
        )
        *rest, of_normals, noise = rates
        own, of_curved = rest[: len(self.frames)], rest[len(self.frames) :]
        return [
            row
            for frame, (one, other) in enumerate(zip(own, of_curved, strict=True))
            for row in fooling_rows(
                frame,
                self.norm,
                one.fooled,
                {OF_CURVED: other.by_subspace, OF_NORMALS: noise.by_subspace},
                {"S_f": of_normals.fooled},
            )
        ]


@torch.no_grad()
def _rounding(classifier: Classifier, anchors: Anchors, batch_size: int) -> Array:
    """Return the displacement of the boundary that rounding of a logit makes, (N,), input units."""
    sizes = [classifier(part).abs().amax(1) for part in torch.split(anchors.point, batch_size)] or [
        anchors.slope
    ]
    eps = torch.finfo(anchors.point.dtype).eps
    found: Array = (32 * eps * torch.cat(sizes) / anchors.slope).double().cpu().numpy()
    return found


def _joined(parts: Sequence[FoolingCauses]) -> FoolingCauses:
    """Return the causes that several processes took, each at its own images."""
    return replace(
        parts[0],
        fooled=np.concatenate([part.fooled for part in parts], axis=1),
        own_plane=np.concatenate([part.own_plane for part in parts], axis=1),
        planes=np.concatenate([part.planes for part in parts], axis=1),
        bending=np.concatenate([part.bending for part in parts], axis=1),
        found=np.concatenate([part.found for part in parts]),
    )
