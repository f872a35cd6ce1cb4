"""The stage of curvature: the curved subspace, curvature over scales, and the hypothesis test.

Several processes share the anchors: each makes its part of every product, and measures at its own
held-out images.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.checkpoints import Checkpoint
from analysis.curvature_sweep import (
    NEAREST,
    CurvatureCurve,
    DirectionFamily,
    joined_curves,
    measure_curvatures,
)
from analysis.curved import REFERENCE_DEPTH, MeanShapeOperator, reference_step
from analysis.curved_checks import (
    ASCENT,
    CURVED,
    EIGENVECTORS,
    REFERENCE,
    CurvedSubspace,
    LearnedCurvature,
    curved_by,
    learned_curvature,
)
from analysis.curved_classes import FEWEST, ClassCurvature, class_curvature
from analysis.exact_curvature import exact_curvatures
from analysis.fooling import FoolingRate
from analysis.halves import random_overlaps
from analysis.hypothesis import corrected_rows, item_verdicts
from analysis.learning import counts_below
from analysis.perturbations import Perturbations
from analysis.predicted import tangent_planes
from analysis.results import CurvatureResult, UniversalResult
from analysis.saved import load_result, save_result
from analysis.subspace import Subspace
from boundary.anchors import Anchors
from boundary.errors import InputError
from study.anchoring import HeldOut, collected_anchors, held_out_anchors
from study.config import CurvatureOptions, StudyConfig
from study.directions import RIVALS, SUBSPACE, Directions
from study.perturbing import basis, judging, rates_on, require_same_subject
from study.predicting import (
    Judged,
    bound_rows,
    curvatures_at,
    detectors,
    maps,
    margins_within,
    predictions,
    profiles,
    sections,
)
from study.run import RunDirectory, digest
from study.subject import Subject
from study.testing import rows_of_items, rows_of_prediction

_log = logging.getLogger(__name__)

_SCALES = 6
_RANDOM_PAIRS = 50
_PARTS_OF_NORM = (0.5, 1.0, 2.0)
"""Norms of the fooling rates, over the reference norm."""
_SMALLER = (1, 2, 5)
"""R below that of S_c at which it and its rivals are tried."""


def curvature(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Make the curved subspace, measure curvature over scales, and test the hypothesis."""
    begun = time.monotonic()
    options, ranks = config.curvature, run.ranks
    settings = ranks.from_first(
        lambda: {
            "universal": run.identity("universal"),
            **judging(config, subject),
            **asdict(options),
            "others": [RunDirectory(other).identity("curvature") for other in options.others],
        }
    )
    ranks.from_first(lambda: require_same_subject(run, config, subject))
    if ranks.from_first(lambda: run.is_done("curvature", settings, redo=redo)):
        return
    unfinished = Checkpoint(run.path / "unfinished", {"settings": digest(settings)}, ranks)
    result = _Curving(run, config, subject, unfinished).result()
    if ranks.first:
        save_result(run.result("curvature"), result, settings)
        unfinished.forget()
        run.record_done("curvature", begun, subject.device_name)


@dataclass(frozen=True, eq=False)
class _Subspaces:
    """S_c by one method, and perhaps the other ends of its spectrum."""

    subspaces: tuple[CurvedSubspace, ...]


@dataclass(frozen=True, eq=False)
class _Curves:
    """Curves at one kind of anchor."""

    curves: tuple[CurvatureCurve, ...]


@dataclass(frozen=True, eq=False)
class _Rates:
    """Fooling rates over norms and dimensions, and those of opposite vectors."""

    rates: tuple[FoolingRate, ...]
    mirrored: tuple[FoolingRate, ...]


class _Curving:
    """One run of the stage; what takes minutes is kept as soon as it is made."""

    def __init__(
        self, run: RunDirectory, config: StudyConfig, subject: Subject, checkpoint: Checkpoint
    ) -> None:
        self._run, self._config, self._subject = run, config, subject
        self._checkpoint = checkpoint
        self._options: CurvatureOptions = config.curvature
        self._collection, spectrum = basis(run)
        self._spectrum = spectrum.spectrum
        self._made = load_result(run.result("universal"), UniversalResult)
        self._norm = self._made.reference_norm
        self._scale = self._options.scale or self._norm
        self._shape = subject.images.shape
        self._noisy = run.ranks.first

    def result(self) -> CurvatureResult:
        """Return what every step in turn has found."""
        options, seed, ranks = self._options, self._config.seed, self._run.ranks
        making = self._operator(collected_anchors(self._run, self._subject, options.images))
        held_out = held_out_anchors(self._run, self._config, self._subject, self._collection)
        judged = self._operator(held_out.anchors[NEAREST])
        subspaces = self._subspaces(making, judged)
        learning = [*self._learning(making, judged), subspaces[0].learned()]
        classes = self._of_classes(judged, subspaces[0]) if options.per_class else []
        directions = Directions(
            self._run, self._config, self._subject, self._spectrum, self._made, subspaces
        )
        families = directions.families()
        curves = self._curves(held_out.anchors, families)
        fooled = self._checkpoint.within("fooling").made(
            _Rates, partial(self._fooling, directions, learning)
        )
        random = random_overlaps(
            int(np.prod(self._shape)), options.dimension, pairs=_RANDOM_PAIRS, seed=seed
        ).mean_squared_cosine[:, -1]
        rows = corrected_rows(
            [
                *rows_of_items(
                    subspaces[0],
                    learning[:-1],
                    curves,
                    fooled.rates,
                    fooled.mirrored,
                    random,
                    directions.of_others,
                ),
                *rows_of_prediction(
                    families,
                    curves,
                    fooled.rates,
                    held_out,
                    self._norm,
                    options.dimension,
                    options.surface,
                    seed,
                    ranks,
                ),
            ]
        )
        beyond = ranks.from_first(
            lambda: self._beyond(subspaces[0].directions, families, curves, fooled.rates, held_out)
        )
        return CurvatureResult(
            **beyond,
            subspaces=tuple(subspaces),
            learning=tuple(learning),
            classes=tuple(classes),
            curves=tuple(curves),
            exact=self._exact(held_out.anchors[NEAREST], families),
            anchor_kinds=tuple(held_out.anchors),
            met=np.array([sum(ranks.gather(len(at))) for at in held_out.anchors.values()]),
            tried=len(held_out.images),
            rates=fooled.rates,
            mirrored=fooled.mirrored,
            rows=rows,
            verdicts=item_verdicts(rows, options.surface),
            random_energy=random,
            dimension=options.dimension,
            ambient_dimension=int(np.prod(self._shape)),
            scale=self._scale,
            reference_norm=self._norm,
            median_margin=self._collection.median_margin,
            model_name=self._run.model_name(),
            seed=seed,
        )

    def _operator(self, anchors: Anchors) -> MeanShapeOperator:
        return MeanShapeOperator(
            self._subject.classifier,
            anchors,
            self._scale,
            surface=self._options.surface,
            batch_size=self._subject.batch_size,
            ranks=self._run.ranks,
        )

    def _subspaces(
        self, making: MeanShapeOperator, judged: MeanShapeOperator
    ) -> list[CurvedSubspace]:
        methods = [ASCENT, *((EIGENVECTORS, REFERENCE) if self._options.passes else ())]
        parts = [
            self._checkpoint.within(method).made(
                _Subspaces, partial(self._curved, method, making, judged)
            )
            for method in methods
        ]
        return [one for part in parts for one in part.subspaces]

    def _curved(
        self, method: str, making: MeanShapeOperator, judged: MeanShapeOperator
    ) -> _Subspaces:
        if method == REFERENCE:
            making = MeanShapeOperator(
                self._subject.classifier,
                collected_anchors(self._run, self._subject, self._options.images, REFERENCE_DEPTH),
                reference_step(self._shape, self._subject.classifier.bounds),
                surface="pair",
                batch_size=self._subject.batch_size,
                projected=False,
                ranks=self._run.ranks,
            )
        return _Subspaces(
            curved_by(
                method,
                making,
                judged,
                self._options.dimension,
                steps=self._options.steps,
                passes=max(1, self._options.passes),
                seed=self._config.seed,
                progress=self._noisy,
                checkpoint=self._checkpoint.within(method),
            )
        )

    def _learning(
        self, making: MeanShapeOperator, judged: MeanShapeOperator
    ) -> list[LearnedCurvature]:
        """Return what fewer images make."""
        options = self._options
        counts = counts_below(options.counts, making.count)

        def learned(count: int, place: Checkpoint) -> LearnedCurvature:
            return learned_curvature(
                making,
                judged,
                count,
                options.dimension,
                steps=options.steps,
                seed=self._config.seed,
                progress=self._noisy,
                checkpoint=place.within("ascent"),
            )

        found = []
        for count in counts if options.counts is not None else counts[1:]:
            place = self._checkpoint.within(f"{count} images")
            found.append(place.made(LearnedCurvature, partial(learned, count, place)))
        return found

    def _of_classes(
        self, judged: MeanShapeOperator, pooled: CurvedSubspace
    ) -> list[ClassCurvature]:
        """Return the S_c of each class, of all its collected images; none of too few classes."""
        place = self._checkpoint.within("classes")

        def make() -> ClassCurvature:
            return class_curvature(
                self._operator(collected_anchors(self._run, self._subject, None)),
                judged,
                pooled.directions,
                self._options.dimension,
                steps=self._options.steps,
                seed=self._config.seed,
                fewest=FEWEST,
                progress=self._noisy,
                checkpoint=place,
            )

        found = place.made(ClassCurvature, make)
        if len(found.classes) < 2:
            _log.warning(
                "fewer than two classes have %d collected boundary points: no curved subspace of "
                "a class was made; collect more with `boundary collect --collect`",
                FEWEST,
            )
            return []
        return [found]

    def _curves(
        self, held_out: dict[str, Anchors], families: list[DirectionFamily]
    ) -> list[CurvatureCurve]:
        near = self._collection.median_margin / 4
        norms = [part * self._norm for part in _PARTS_OF_NORM]
        below = np.geomspace(near, norms[0], _SCALES - len(norms) + 1)[:-1].tolist()
        scales = self._options.scales or [*below, *norms]

        def measured(kind: str) -> _Curves:
            own = measure_curvatures(
                self._subject.classifier,
                {kind: held_out[kind]},
                families,
                scales,
                sections_at=self._options.sections_at,
                batch_size=self._subject.batch_size,
                title=f"curvature, {kind}",
                progress=self._noisy,
            )
            return _Curves(tuple(joined_curves(self._run.ranks.gather(own))))

        parts = [
            self._checkpoint.within(f"at {kind}").made(_Curves, partial(measured, kind))
            for kind in held_out
        ]
        return [curve for part in parts for curve in part.curves]

    def _exact(
        self, nearest: Anchors, families: list[DirectionFamily]
    ) -> tuple[CurvatureCurve, ...]:
        """Return exact curvature; nothing, with the reason, if the classifier has none."""

        def made() -> list[CurvatureCurve] | InputError:
            try:
                return exact_curvatures(
                    self._subject.classifier,
                    nearest,
                    families,
                    anchor=NEAREST,
                    batch_size=self._subject.batch_size,
                    progress=self._noisy,
                )
            except InputError as error:
                return error

        parts = self._run.ranks.gather(made())
        taken = [part for part in parts if not isinstance(part, InputError)]
        if len(taken) == len(parts):
            return tuple(joined_curves(taken))
        if self._noisy:
            reason = next(part for part in parts if isinstance(part, InputError))
            _log.warning("no exact curvature was taken: %s", reason)
        return ()

    def _fooling(self, directions: Directions, learned: list[LearnedCurvature]) -> _Rates:
        options = self._options
        norms = [part * self._norm for part in _PARTS_OF_NORM]
        families = [
            directions.random(name, space).scaled(norm)
            for name, space in directions.spaces(options.dimension).items()
            for norm in norms
        ]
        families += [directions.sphere().scaled(norm) for norm in norms]
        families += [
            directions.random(name, space).scaled(self._norm)
            for dimension in _SMALLER
            if dimension < options.dimension
            for name, space in directions.spaces(dimension).items()
            if name in {CURVED, *RIVALS}
        ]
        of_few = [
            directions.random(frame.family, Subspace(frame.directions)).scaled(self._norm)
            for frame in learned[:-1]
        ]
        opposite = [
            Perturbations.of(
                family.family,
                -family.directions,
                family.norm,
                subspace_dimension=family.subspace_dimension,
            )
            for family in families
            if family.norm == self._norm
            and family.subspace_dimension in {options.dimension, int(np.prod(self._shape))}
        ]
        tried = [*families, *of_few, *opposite]
        rates = rates_on(self._run, self._subject, self._subject.evaluating, tried, clips=(False,))
        return _Rates(tuple(rates[: -len(opposite)]), tuple(rates[-len(opposite) :]))

    def _beyond(
        self,
        curved: NDArray[np.float64],
        families: list[DirectionFamily],
        curves: list[CurvatureCurve],
        rates: Sequence[FoolingRate],
        held_out: HeldOut,
    ) -> dict[str, Any]:
        """Return the fields of the result that the geometry of judged images gives."""
        subject, surface, seed = self._subject, self._options.surface, self._config.seed
        judged, nearest = Judged(held_out.images, held_out.places), held_out.anchors[NEAREST]
        universal = next((one.vector for one in self._made.found if one.own[0].p == 2), None)
        scales, extent = [self._collection.median_margin, self._scale], 2 * self._norm
        spaces = {
            SUBSPACE: self._spectrum.subspace(len(self._spectrum.directions)),
            CURVED: Subspace(curved),
        }
        planes = tangent_planes(
            subject.classifier, judged.images, batch_size=subject.batch_size, progress=True
        )
        bends, estimator = curvatures_at(judged, curves, surface)
        told, quality = predictions(planes, families, bends, rates)
        compared = {
            SUBSPACE: self._spectrum.subspace(self._options.dimension),
            CURVED: Subspace(curved),
        }
        bounds = bound_rows(subject, judged, planes, families, bends, compared, self._norm)
        margins, names = margins_within(subject, judged, spaces, seed, progress=True)
        found = detectors(subject, judged, curved, universal, scales, surface, seed)
        cuts = sections(subject, nearest, held_out.margins, families, extent, surface)
        return {
            "predictions": tuple(told),
            "quality": tuple(quality),
            "predicted_by": estimator,
            "bounds": tuple(bounds),
            "margins": tuple(margins),
            "margin_families": tuple(names),
            "profiles": tuple(profiles(subject, nearest, scales, surface, seed)),
            "detectors": tuple(found),
            "sections": tuple(cuts),
            "maps": tuple(maps(subject, judged, curved, extent)),
        }
