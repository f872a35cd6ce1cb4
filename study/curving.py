"""The stage of curvature: the curved subspace, curvature over scales, and the hypothesis test.

Several processes share the anchors: each makes its part of every product, and measures at its own
held-out images.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from analysis.checkpoints import Checkpoint
from analysis.curvature_sweep import (
    NEAREST,
    CurvatureCurve,
    DirectionFamily,
    joined_curves,
    measure_curvatures,
)
from analysis.curved import REFERENCE_DEPTH, MeanShapeOperator, reference_step, require_room
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
from analysis.curved_classes import ClassCurvature, class_curvature
from analysis.exact_curvature import exact_curvatures
from analysis.fooling import FoolingRate
from analysis.halves import random_overlaps
from analysis.hypothesis import HypothesisRow, corrected_rows, item_verdicts
from analysis.learning import counts_below
from analysis.perturbations import Perturbations
from analysis.predicted import tangent_planes
from analysis.results import CurvatureResult, JudgedGeometry, UniversalResult
from analysis.saved import load_result, save_result
from analysis.subspace import Subspace
from boundary.anchors import Anchors
from boundary.errors import InputError
from study.anchoring import HeldOut, collected_anchors, held_out_anchors, rows_by_class
from study.config import CurvatureOptions, StudyConfig
from study.directions import RIVALS, Directions, draws_of
from study.perturbing import basis, judging, rates_on, require_same_subject
from study.predicting import geometry
from study.provenance import DISTRIBUTION, digest
from study.run import RunDirectory
from study.subject import Subject
from study.testing import rows_of_items, rows_of_prediction

_log = logging.getLogger(__name__)

_SCALES = 5
_RANDOM_PAIRS = 50
_PARTS_OF_NORM = (0.5, 1.0, 2.0)
"""Norms of the fooling rates, over the reference norm."""
_SPLITS = 3
"""In two halves of the images, of the S_c that is tested."""
_FEWEST_OF_CLASS = 20
"""Collected boundary points of a class that has an S_c of its own."""
_FEWEST_OTHERS, _MOST_OTHERS = 30, 400
"""Evaluated images beyond those judged, for item 5."""
_MEMORY_OF_SECOND_ORDER = 4
"""Times that of a gradient, about, which the graph of two derivatives takes."""
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
            "fooling_draws": draws_of(config),
            "others": [RunDirectory(other).identity("curvature") for other in options.others],
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
        self._require_room()

    def _require_room(self) -> None:
        """Refuse what could only fail at the end.

        Raises:
            InputError: If the dimension does not fit the run.
        """
        options, numbers = self._options, int(np.prod(self._shape))
        if options.passes:
            require_room(options.dimension, options.passes, numbers)
        known = len(self._spectrum.directions)
        if options.dimension > known:
            raise InputError(
                f"`--curvature.dimension` should be at most {known}, the directions of S_f that "
                f"the run has kept. Found {options.dimension}; ask for no more, or, where the "
                "normals span more, keep more with `boundary spectrum "
                f"{self._run.path} --directions {options.dimension} --redo`."
            )

    def result(self) -> CurvatureResult:
        """Return what every step in turn has found."""
        options, seed, ranks = self._options, self._config.seed, self._run.ranks
        making = self._made_of(self._rows())
        held_out = held_out_anchors(self._run, self._config, self._subject, self._collection)
        judged = self._operator(held_out.anchors[NEAREST])
        subspaces = self._subspaces(making, judged)
        learning = [*self._learning(making, judged), subspaces[0].learned()]
        classes = self._of_classes(judged, subspaces[0]) if options.per_class else []
        directions = Directions(
            self._run, self._config, self._subject, self._spectrum, self._made, subspaces
        )
        families, beside = directions.families(), directions.families_beside()
        curves = [
            *self._curves(held_out.anchors, families),
            *self._curves(
                {NEAREST: held_out.anchors[NEAREST]}, beside, "other methods, ", sections_at=()
            ),
        ]
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
                *self._rows_of_prediction(
                    [*families, *beside], curves, fooled.rates, len(held_out.images)
                ),
            ]
        )
        known = self._geometry(held_out, families, curves, fooled.rates, subspaces[0])
        return CurvatureResult(
            **vars(known),
            subspaces=tuple(subspaces),
            learning=tuple(learning),
            classes=tuple(classes),
            curves=tuple(curves),
            exact=self._checkpoint.within("exact")
            .made(_Curves, partial(self._exact, held_out.anchors[NEAREST], families))
            .curves,
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

    def _geometry(
        self,
        held_out: HeldOut,
        families: list[DirectionFamily],
        curves: list[CurvatureCurve],
        rates: Sequence[FoolingRate],
        curved: CurvedSubspace,
    ) -> JudgedGeometry:
        return self._checkpoint.within("geometry").made(
            JudgedGeometry,
            lambda: self._run.ranks.from_first(
                lambda: geometry(
                    self._subject,
                    self._config,
                    held_out,
                    families,
                    curves,
                    rates,
                    self._spectrum,
                    curved.directions,
                    self._made,
                    self._collection.median_margin,
                )
            ),
        )

    def _operator(self, anchors: Anchors, places: Tensor | None = None) -> MeanShapeOperator:
        return MeanShapeOperator(
            self._subject.classifier,
            anchors,
            self._scale,
            surface=self._options.surface,
            batch_size=self._subject.batch_size,
            ranks=self._run.ranks,
            places=places,
        )

    def _rows(self) -> NDArray[np.int64]:
        """Return the rows of the collected boundary points that make S_c."""
        return np.arange(min(self._options.images, self._collection.on_boundary.sum()))

    def _made_of(self, rows: NDArray[np.int64]) -> MeanShapeOperator:
        return self._operator(*collected_anchors(self._run, self._subject, rows))

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
            anchors, places = collected_anchors(
                self._run, self._subject, self._rows(), REFERENCE_DEPTH
            )
            making = MeanShapeOperator(
                self._subject.classifier,
                anchors,
                reference_step(self._shape, self._subject.classifier.bounds),
                surface="pair",
                batch_size=self._subject.batch_size,
                projected=False,
                ranks=self._run.ranks,
                places=places,
            )
        return _Subspaces(
            curved_by(
                method,
                making,
                judged,
                self._options.dimension,
                steps=self._options.steps,
                passes=max(1, self._options.passes),
                splits=_SPLITS if method == ASCENT else 1,
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
        by_class = rows_by_class(self._run, _FEWEST_OF_CLASS)
        if len(by_class) < 2:
            _log.warning(
                "fewer than two classes have %d collected boundary points: no curved subspace of "
                "a class was made; collect more than %d in a new directory (--collect)",
                _FEWEST_OF_CLASS,
                self._config.collect,
            )
            return []
        place = self._checkpoint.within("classes")

        def make() -> ClassCurvature:
            return class_curvature(
                {number: partial(self._made_of, rows) for number, rows in by_class.items()},
                judged,
                pooled.directions,
                self._options.dimension,
                steps=self._options.steps,
                seed=self._config.seed,
                progress=self._noisy,
                checkpoint=place,
            )

        return [place.made(ClassCurvature, make)]

    def _curves(
        self,
        held_out: dict[str, Anchors],
        families: list[DirectionFamily],
        name: str = "",
        sections_at: Sequence[str] | None = None,
    ) -> list[CurvatureCurve]:
        if not families:
            return []
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
                sections_at=self._options.sections_at if sections_at is None else sections_at,
                batch_size=self._subject.batch_size,
                title=f"curvature, {name}{kind}",
                progress=self._noisy,
            )
            return _Curves(tuple(joined_curves(self._run.ranks.gather(own))))

        parts = [
            self._checkpoint.within(f"{name}at {kind}").made(_Curves, partial(measured, kind))
            for kind in held_out
        ]
        return [curve for part in parts for curve in part.curves]

    def _exact(self, nearest: Anchors, families: list[DirectionFamily]) -> _Curves:
        """Return exact curvature; nothing, with the reason, if the classifier has none."""

        def made() -> list[CurvatureCurve] | InputError:
            try:
                return exact_curvatures(
                    self._subject.classifier,
                    nearest,
                    families,
                    anchor=NEAREST,
                    batch_size=max(1, self._subject.batch_size // _MEMORY_OF_SECOND_ORDER),
                    progress=self._noisy,
                )
            except InputError as error:
                return error

        parts = self._run.ranks.gather(made())
        taken = [part for part in parts if not isinstance(part, InputError)]
        if len(taken) == len(parts):
            return _Curves(tuple(joined_curves(taken)))
        if self._noisy:
            reason = next(part for part in parts if isinstance(part, InputError))
            _log.warning("no exact curvature was taken: %s", reason)
        return _Curves(())

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

    def _rows_of_prediction(
        self,
        families: list[DirectionFamily],
        curves: list[CurvatureCurve],
        rates: Sequence[FoolingRate],
        judged: int,
    ) -> list[HypothesisRow]:
        """Return the rows of item 5, of images that are evaluated beyond those judged."""
        others = slice(judged, judged + _MOST_OTHERS)
        fooled = {
            rate.family: rate.fooled[:, others]
            for rate in rates
            if rate.norm == self._norm
            and rate.subspace_dimension in {self._options.dimension, int(np.prod(self._shape))}
        }
        images = self._subject.images.read(self._subject.evaluating[others]).images
        if len(images) < _FEWEST_OTHERS or any(
            one.shape[1] != len(images) for one in fooled.values()
        ):
            return []
        planes = self._run.ranks.from_first(
            lambda: tangent_planes(
                self._subject.classifier,
                images,
                runners_up=0,
                search=asdict(self._config.search),
                batch_size=self._subject.batch_size,
                progress=self._noisy,
            )
        )
        return rows_of_prediction(
            families,
            curves,
            fooled,
            planes,
            self._norm,
            self._options.surface,
            self._config.seed,
        )
