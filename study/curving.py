"""The stage of curvature: causes of fooling, the test of the hypothesis, and curves over scales.

The curves are exploratory: they have intervals and no answers. Several processes share the
anchors: each makes its part of the subspaces, and measures at its own held-out images.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import torch

from analysis.ascent import AscendedFrame, ascended_frame, ascended_span
from analysis.causes import FoolingCauses
from analysis.checkpoints import Checkpoint
from analysis.curvature_sweep import (
    NEAREST,
    CurvatureCurve,
    DirectionFamily,
    joined_curves,
    measure_curvatures,
)
from analysis.curvature_test import CurvatureTest
from analysis.curved import CURVED, MeanShapeOperator
from analysis.perturbations import SPHERE, SUBSPACE, Perturbations, on_sphere
from analysis.results import CurvatureResult, UniversalResult
from analysis.rivals import MATCHED
from analysis.saved import load_result, save_result
from analysis.subspace import Subspace
from boundary.anchors import PAIR
from boundary.errors import InputError
from boundary.sections import ESTIMATORS, VALUES
from study.anchoring import EXPLORED, HeldOut, collected_anchors, held_out_anchors
from study.config import CurvatureOptions, StudyConfig
from study.exploring import Exploring
from study.hypothesis import Hypothesis
from study.perturbing import basis, judging, require_same_subject
from study.provenance import DISTRIBUTION, digest
from study.run import RunDirectory
from study.subject import Subject
from study.subspaces import matched_noise

DIRECTIONS = 2
"""Of a family, along which curvature is measured."""
FRAMES, DIMENSION = 3, 5


def curvature(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Make three curved subspaces, test the hypothesis, and measure curvature over scales.

    Raises:
        InputError: If the run has too few boundary points or directions for what is asked.
    """
    begun, ranks = time.monotonic(), run.ranks
    settings = ranks.from_first(
        lambda: {
            "universal": run.identity("universal"),
            **judging(config, subject),
            **asdict(config.curvature),
        }
    )
    ranks.from_first(lambda: require_same_subject(run, config, subject))
    made_with = {"settings": digest(settings), "program": version(DISTRIBUTION)}
    unfinished = Checkpoint(run.path / "unfinished", made_with, ranks)
    if ranks.from_first(lambda: run.is_done("curvature", settings, redo=redo)):
        if ranks.first:
            unfinished.forget()  # of a command that was killed with its result written
        return
    result = _Curving(run, config, subject, unfinished).result()
    if ranks.first:
        save_result(run.result("curvature"), result, settings)
        unfinished.forget()
        run.record_done("curvature", begun, subject.device_name)


@dataclass(frozen=True, eq=False)
class _Causes:
    """Causes of fooling by every family."""

    causes: tuple[FoolingCauses, ...]


@dataclass(frozen=True, eq=False)
class _Curves:
    """Curves at one kind of anchor."""

    curves: tuple[CurvatureCurve, ...]


class _Curving:
    """One run of the stage; what takes long is kept as soon as it is made."""

    def __init__(
        self, run: RunDirectory, config: StudyConfig, subject: Subject, checkpoint: Checkpoint
    ) -> None:
        self._run, self._config, self._subject = run, config, subject
        self._checkpoint, self._ranks = checkpoint, run.ranks
        self._options: CurvatureOptions = config.curvature
        self._collection, spectrum = basis(run)
        self._spectrum = spectrum.spectrum
        self._made = load_result(run.result("universal"), UniversalResult)
        self._norm, self._margin = self._made.reference_norm, self._collection.median_margin
        self._scale = self._options.scale or self._norm / 2
        self._shape = subject.images.shape
        self._points = min(self._options.images, int(self._collection.on_boundary.sum()))
        self._dimension = self._possible_dimension()

    def _possible_dimension(self) -> int:
        """Return R of S_c; refuse at once what could only fail at the end.

        Raises:
            InputError: If there are too few directions or boundary points.
        """
        known, asked = len(self._spectrum.directions), self._options.dimension
        if self._points < FRAMES:
            raise InputError(
                f"three curved subspaces need {FRAMES} boundary points at least. Found "
                f"{self._points}; raise `--curvature.images`, or collect more in a new directory."
            )
        if asked is not None and asked > known:
            raise InputError(
                f"`--curvature.dimension` should be at most {known}, the directions of S_f that "
                f"the run has kept. Found {asked}; ask for no more, or, where the normals span "
                f"more, keep more with `boundary spectrum {self._run.path} --directions {asked} "
                "--redo`."
            )
        return asked or min(DIMENSION, known)

    def result(self) -> CurvatureResult:
        """Return what every step in turn has found."""
        frames = [self._frame(place) for place in range(FRAMES)]
        held_out = held_out_anchors(self._run, self._config, self._subject, self._collection)
        spaces = self._spaces(frames[0])
        families = self._families(spaces)
        curves = self._curves(held_out, families)
        explored = Exploring(self._subject, self._ranks, held_out, self._norm, self._config.seed)
        theory = explored.theory(spaces[SUBSPACE], spaces[CURVED], curves)
        hypothesis = self._hypothesis(held_out, frames)
        causes = self._checkpoint.within("causes").made(
            _Causes, lambda: _Causes(tuple(hypothesis.causes()))
        )
        test = self._checkpoint.within("test").made(
            CurvatureTest, lambda: hypothesis.test(causes.causes)
        )
        sections, maps, profiles = self._ranks.from_first(
            lambda: (
                explored.sections(families),
                explored.maps(spaces[CURVED]),
                explored.profiles(sorted({self._margin, self._scale})),
            )
        )
        return CurvatureResult(
            frames=tuple(frames),
            causes=causes.causes,
            test=test,
            curves=tuple(curves),
            sections=tuple(sections),
            maps=tuple(maps),
            profiles=tuple(profiles),
            theory=tuple(theory),
            anchor_kinds=tuple(held_out.anchors),
            met=np.array([sum(self._ranks.gather(len(at))) for at in held_out.anchors.values()]),
            tried=len(held_out.images),
            dimension=self._dimension,
            ambient_dimension=int(np.prod(self._shape)),
            scale=self._scale,
            reference_norm=self._norm,
            median_margin=self._margin,
            model_name=self._run.model_name(),
            seed=self._config.seed,
        )

    def _frame(self, place: int) -> AscendedFrame:
        """Return S_c of one third of the collected boundary points."""
        name = f"third {place + 1}"

        def make() -> AscendedFrame:
            anchors, places = collected_anchors(
                self._run, self._subject, np.arange(place, self._points, FRAMES)
            )
            operator = MeanShapeOperator(
                self._subject.classifier,
                anchors,
                self._scale,
                surface=PAIR,
                batch_size=self._subject.batch_size,
                ranks=self._ranks,
                places=places,
            )
            last = ascended_span(
                operator,
                self._dimension,
                steps=self._options.steps,
                seed=self._config.seed + place,
                title=f"S_c, {name}",
                progress=self._ranks.first,
                checkpoint=self._checkpoint.within(f"{name} ascent"),
            )
            return ascended_frame(operator, last)

        return self._checkpoint.within(name).made(AscendedFrame, make)

    def _hypothesis(self, held_out: HeldOut, frames: Sequence[AscendedFrame]) -> Hypothesis:
        first = self._made.euclidean
        universal = None
        if first is not None:
            universal = Perturbations.of(first.family, torch.from_numpy(first.vector))
        dimension = self._made.reference_dimension
        return Hypothesis(
            run=self._run,
            subject=self._subject,
            held_out=held_out,
            frames=[Subspace(frame.directions) for frame in frames],
            spectrum=self._spectrum,
            noise=matched_noise(self._run, self._config, max(self._dimension, dimension)),
            universal=universal,
            dimension=dimension,
            norm=self._norm,
            margin=self._margin,
            seed=self._config.seed,
        )

    def _spaces(self, frame: AscendedFrame) -> dict[str, Subspace]:
        """Return the subspaces whose curves are shown, each of dimension R, by family."""
        noise = matched_noise(self._run, self._config, self._dimension)[0]
        return {
            CURVED: Subspace(frame.directions),
            SUBSPACE: self._spectrum.subspace(self._dimension),
            MATCHED: noise.subspace(self._dimension),
        }

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self._config.seed)

    def _families(self, spaces: dict[str, Subspace]) -> list[DirectionFamily]:
        """Return the directions along which curvature is measured."""
        found = [
            DirectionFamily(name, space.sample(DIRECTIONS, 1.0, self._generator()).numpy())
            for name, space in spaces.items()
        ]
        sphere = on_sphere(self._shape, DIRECTIONS, 1.0, self._generator())
        found.append(DirectionFamily(SPHERE, sphere.directions.flatten(1).numpy()))
        if universal := self._made.euclidean:
            unit = universal.vector.reshape(1, -1) / np.linalg.norm(universal.vector)
            found.append(DirectionFamily(universal.family, unit, sampled=False))
        return found

    def _curves(
        self, held_out: HeldOut, families: Sequence[DirectionFamily]
    ) -> list[CurvatureCurve]:
        """Return curves at every kind of anchor; by values alone but at nearest points."""
        near = [self._margin / 4, self._margin / 2, self._margin]
        scales = self._options.scales or [*near, self._norm / 2, self._norm]

        def measured(kind: str) -> _Curves:
            own = measure_curvatures(
                self._subject.classifier,
                {kind: held_out.anchors[kind].subset(slice(EXPLORED))},
                families,
                scales,
                estimators=ESTIMATORS if kind == NEAREST else (VALUES,),
                batch_size=self._subject.batch_size,
                title=f"curvature, {kind}",
                progress=self._ranks.first,
            )
            return _Curves(tuple(joined_curves(self._ranks.gather(own))))

        parts = [
            self._checkpoint.within(f"at {kind}").made(_Curves, partial(measured, kind))
            for kind in held_out.anchors
        ]
        return [curve for part in parts for curve in part.curves]
