"""The stage of curvature: the curved subspace, curvature over scales, and the hypothesis test.

Several processes share the anchors: each makes its part of every product, and measures at its own
held-out images.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.curvature_sweep import (
    NEAREST,
    CurvatureCurve,
    DirectionFamily,
    joined_curves,
    measure_curvatures,
)
from analysis.curved import (
    REFERENCE_DEPTH,
    MeanShapeOperator,
    reference_step,
)
from analysis.curved_checks import (
    ASCENT,
    EIGENVECTORS,
    REFERENCE,
    CurvedSubspace,
    LearnedCurvature,
    curved_by,
    learned_curvature,
)
from analysis.fooling import FoolingRate
from analysis.gram import Where
from analysis.halves import random_overlaps
from analysis.hypothesis import (
    HypothesisRow,
    corrected_rows,
    curvature_rows,
    fooling_rows,
    half_rows,
    item_verdicts,
    mirror_rows,
    prediction_rows,
    sharing_rows,
)
from analysis.learning import counts_below
from analysis.perturbations import Perturbations, in_subspace, on_sphere
from analysis.results import (
    CurvatureResult,
    UniversalResult,
    load_result,
    load_settings,
    save_result,
)
from analysis.rivals import MATCHED, rival_spectra
from analysis.spectrum import SingularSpectrum
from analysis.subspace import Subspace
from boundary.anchors import Anchors
from boundary.errors import StoreError
from boundary.sections import GRADIENTS, VALUES
from boundary.store import NormalsStore
from study.anchoring import HeldOut, collected_anchors, held_out_anchors
from study.config import CurvatureOptions, StudyConfig
from study.perturbing import basis, judging, rates_on, require_same_subject
from study.predicting import (
    Judged,
    detectors,
    maps,
    margins_within,
    predictions,
    profiles,
    sections,
)
from study.run import RunDirectory, digest
from study.subject import Subject, device_named

Part = TypeVar("Part")

CURVED, SUBSPACE, SPHERE = "curved", "subspace", "sphere"
RIVALS = (SPHERE, SUBSPACE, MATCHED)
"""What S_c is held against."""

_SCALES = 6
_FEWEST_OTHERS = 30
"""Evaluated images beyond those whose curvature is measured, for item 5."""
_RANDOM_PAIRS = 50
_PARTS_OF_NORM = (0.5, 1.0, 2.0)
"""Norms of the fooling rates, over the reference norm."""


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
    making = _Curving(run, config, subject, digest(settings))
    result = making.result()
    if ranks.first:
        save_result(run.result("curvature"), result, settings)
        making.forget()
        run.record_done("curvature", begun, subject.device_name)


@dataclass(frozen=True, eq=False)
class _Curves:
    """Curves at one kind of anchor."""

    curves: tuple[CurvatureCurve, ...]


class _Curving:
    """One run of the stage; what takes minutes is kept as soon as it is made."""

    def __init__(
        self, run: RunDirectory, config: StudyConfig, subject: Subject, identity: str
    ) -> None:
        self._run, self._config, self._subject = run, config, subject
        self._identity = identity
        self._options: CurvatureOptions = config.curvature
        self._collection, self._spectrum = basis(run)
        made = load_result(run.result("universal"), UniversalResult)
        self._norm, self._made = made.reference_norm, made
        self._scale = self._options.scale or self._norm
        self._shape = subject.images.shape
        self._draws = max(config.fooling.draws, self._options.draws)
        self._noisy = run.ranks.first

    def result(self) -> CurvatureResult:
        """Return what every step in turn has found."""
        options, seed = self._options, self._config.seed
        making = self._operator(collected_anchors(self._run, self._subject, options.images))
        held_out = held_out_anchors(self._run, self._config, self._subject, self._collection)
        judged = self._operator(held_out.anchors[NEAREST])
        kinds = [ASCENT, *((EIGENVECTORS, REFERENCE) if options.passes else ())]
        subspaces = [
            self._kept(method, CurvedSubspace, partial(self._curved, method, making, judged))
            for method in kinds
        ]
        counts = counts_below(options.counts, making.count)
        learning = [
            self._kept(
                f"{count}-images", LearnedCurvature, partial(self._learned, count, making, judged)
            )
            for count in (counts if options.counts is not None else counts[1:])
        ]
        learning.append(subspaces[0].learned())
        families = self._families(subspaces)
        curves = self._curves(held_out.anchors, families)
        rates, mirrored = self._fooling(subspaces, learning)
        random = random_overlaps(
            int(np.prod(self._shape)), options.dimension, pairs=_RANDOM_PAIRS, seed=seed
        ).mean_squared_cosine[:, -1]
        rows = corrected_rows(
            [
                *self._rows(subspaces[0], curves, rates, mirrored, random),
                *self._prediction_rows(families, curves, rates, held_out),
            ]
        )
        beyond = self._run.ranks.from_first(
            lambda: self._beyond(subspaces, families, curves, rates, held_out)
        )
        return CurvatureResult(
            **beyond,
            subspaces=tuple(subspaces),
            learning=tuple(learning),
            curves=tuple(curves),
            anchor_kinds=tuple(held_out.anchors),
            met=np.array(
                [sum(self._run.ranks.gather(len(at))) for at in held_out.anchors.values()]
            ),
            tried=len(held_out.images),
            rates=tuple(rates),
            mirrored=tuple(mirrored),
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

    def _beyond(
        self,
        subspaces: list[CurvedSubspace],
        families: list[DirectionFamily],
        curves: list[CurvatureCurve],
        rates: list[FoolingRate],
        held_out: HeldOut,
    ) -> dict[str, Any]:
        """Return the fields of the result that the geometry of judged images gives."""
        subject, surface, seed = self._subject, self._options.surface, self._config.seed
        judged, nearest = Judged(held_out.images, held_out.places), held_out.anchors[NEAREST]
        curved, spectrum = subspaces[0].directions, self._spectrum.spectrum
        universal = next((one.vector for one in self._made.found if one.own[0].p == 2), None)
        scales, extent = [self._collection.median_margin, self._scale], 2 * self._norm
        spaces = {
            SUBSPACE: spectrum.subspace(len(spectrum.directions)),
            CURVED: Subspace(curved),
        }
        told, quality = predictions(
            subject, judged, families, curves, rates, surface, progress=True
        )
        margins, names = margins_within(subject, judged, spaces, seed, progress=True)
        found = detectors(subject, judged, curved, universal, scales, surface, seed)
        cuts = sections(subject, nearest, held_out.margins, families, extent, surface)
        return {
            "predictions": tuple(told),
            "quality": tuple(quality),
            "margins": tuple(margins),
            "margin_families": tuple(names),
            "profiles": tuple(profiles(subject, nearest, scales, surface, seed)),
            "detectors": tuple(found),
            "sections": tuple(cuts),
            "maps": tuple(maps(subject, judged, curved, extent)),
        }

    def _kept(self, name: str, kind: type[Part], make: Callable[[], Part]) -> Part:
        """Return a part that an interrupted command of the same settings has left, or make it."""
        path, settings = self._folder / f"{name}.h5", {"settings": self._identity}

        def there() -> Part | None:
            known = path.exists() and load_settings(path) == settings
            return load_result(path, kind) if known else None

        found = self._run.ranks.from_first(there)
        if found is None:
            found = make()
            if self._run.ranks.first:
                self._folder.mkdir(exist_ok=True)
                save_result(path, found, settings)
        return found

    @property
    def _folder(self) -> Path:
        return self._run.path / "unfinished"

    def forget(self) -> None:
        """Delete the parts, of which the result now holds all."""
        if self._folder.is_dir():
            shutil.rmtree(self._folder)

    def _learned(
        self, count: int, making: MeanShapeOperator, judged: MeanShapeOperator
    ) -> LearnedCurvature:
        return learned_curvature(
            making,
            judged,
            count,
            self._options.dimension,
            steps=self._options.steps,
            seed=self._config.seed,
            progress=self._noisy,
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

    def _curved(
        self, method: str, making: MeanShapeOperator, judged: MeanShapeOperator
    ) -> CurvedSubspace:
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
        return curved_by(
            method,
            making,
            judged,
            self._options.dimension,
            steps=self._options.steps,
            passes=max(1, self._options.passes),
            seed=self._config.seed,
            progress=self._noisy,
        )

    def _random(self, family: str, subspace: Subspace) -> Perturbations:
        """Return random vectors of a subspace: those whose curvature is measured come first."""
        generator = torch.Generator().manual_seed(self._config.seed)
        return in_subspace(subspace, self._shape, self._draws, 1.0, generator, family=family)

    def _on_sphere(self) -> Perturbations:
        generator = torch.Generator().manual_seed(self._config.seed)
        return on_sphere(self._shape, self._draws, 1.0, generator)

    def _spaces(self, subspaces: list[CurvedSubspace], dimension: int) -> dict[str, Subspace]:
        """Return the subspaces that are compared, each of one dimension."""
        curved = {
            CURVED if one.method == ASCENT else f"{CURVED} ({one.method})": one.subspace(dimension)
            for one in subspaces
        }
        return {
            **curved,
            **{name: Subspace(rows[:dimension]) for name, rows in self._of_others.items()},
            SUBSPACE: self._spectrum.spectrum.subspace(dimension),
            MATCHED: self._matched.subspace(dimension),
        }

    @cached_property
    def _matched(self) -> SingularSpectrum:
        store = NormalsStore.open(self._run.normals)
        return rival_spectra(
            store.normals(),
            None,
            self._shape,
            directions=self._options.dimension,
            seed=self._config.seed,
            where=Where(device=str(device_named(self._config.device)), ranks=self._run.ranks),
            scratch=self._run.path,
        )[MATCHED]

    @cached_property
    def _of_others(self) -> dict[str, NDArray[np.float64]]:
        """Directions of the S_c of other models, by family.

        Raises:
            StoreError: If their images have another size.
        """
        found = {}
        for path in self._options.others:
            other = load_result(RunDirectory(path).finished("curvature"), CurvatureResult)
            directions = other.subspaces[0].directions
            if directions.shape[1] != int(np.prod(self._shape)):
                raise StoreError(
                    f"`--curvature.others` should name runs on images of the same shape. Found "
                    f"{directions.shape[1]} numbers in `{path}`, not {int(np.prod(self._shape))}."
                )
            found[f"{CURVED} of {other.model_name} ({Path(path).resolve().name})"] = directions
        return found

    def _families(self, subspaces: list[CurvedSubspace]) -> list[DirectionFamily]:
        """Return the directions along which curvature is measured."""
        spaces = self._spaces(subspaces, self._options.dimension)
        found = [self._random(name, space) for name, space in spaces.items()]
        directions = [
            DirectionFamily(
                family.family, family.directions.flatten(1)[: self._options.draws].numpy()
            )
            for family in [*found, self._on_sphere()]
        ]
        universal = next((one for one in self._made.found if one.own[0].p == 2), None)
        if universal is not None:
            unit = universal.vector.reshape(1, -1) / np.linalg.norm(universal.vector)
            directions.append(DirectionFamily(universal.family, unit, sampled=False))
        return directions

    def _curves(
        self, held_out: dict[str, Anchors], families: list[DirectionFamily]
    ) -> list[CurvatureCurve]:
        near = self._collection.median_margin / 4
        up_to_norm = np.geomspace(near, self._norm, _SCALES - 1).tolist()
        scales = self._options.scales or [*up_to_norm, 2 * self._norm]

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

        parts = [self._kept(f"at-{kind}", _Curves, partial(measured, kind)) for kind in held_out]
        return [curve for part in parts for curve in part.curves]

    def _fooling(
        self, subspaces: list[CurvedSubspace], learned: list[LearnedCurvature]
    ) -> tuple[list[FoolingRate], list[FoolingRate]]:
        """Return fooling rates over norms and dimensions, and of the opposite vectors."""
        options = self._options
        norms = [part * self._norm for part in _PARTS_OF_NORM]
        dimensions = sorted({1, 2, 5, options.dimension} & set(range(options.dimension + 1)))
        families = []
        for dimension in dimensions:
            for name, space in self._spaces(subspaces, dimension).items():
                unit = self._random(name, space)
                whole = dimension == options.dimension
                families += [unit.scaled(norm) for norm in (norms if whole else [self._norm])]
        families += [self._on_sphere().scaled(norm) for norm in norms]
        of_few = [
            self._random(few_images(frame.images), Subspace(frame.directions)).scaled(self._norm)
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
        return rates[: -len(opposite)], rates[-len(opposite) :]

    def _rows(
        self,
        curved: CurvedSubspace,
        curves: list[CurvatureCurve],
        rates: list[FoolingRate],
        mirrored: list[FoolingRate],
        random: NDArray[np.float64],
    ) -> list[HypothesisRow]:
        facts: dict[str, Any] = {"dimension": self._options.dimension, "images": curved.images}
        rows = curvature_rows(curves, CURVED, RIVALS, **facts)
        rows += sharing_rows(curves, CURVED, [SPHERE], **facts)
        rows += half_rows(curved.halves, random, scale=self._scale, **facts)
        rows += fooling_rows(rates, CURVED, RIVALS, images=curved.images)
        for behind in mirrored:
            if behind.family == CURVED:
                ahead = next(
                    rate
                    for rate in rates
                    if (rate.family, rate.norm, rate.subspace_dimension)
                    == (behind.family, behind.norm, behind.subspace_dimension)
                )
                rows += mirror_rows(ahead, behind, images=curved.images)
        for name in self._of_others:
            rows += curvature_rows(curves, name, [SPHERE], item=6, **facts)
            rows += fooling_rows(rates, name, [SPHERE], item=6)
        return rows

    def _prediction_rows(
        self,
        families: list[DirectionFamily],
        curves: list[CurvatureCurve],
        rates: list[FoolingRate],
        held_out: HeldOut,
    ) -> list[HypothesisRow]:
        """Return item 5: curvature at judged images, fooling at the others that are evaluated."""
        others = slice(len(held_out.images), None)
        known = {
            rate.family: rate.fooled[:, others]
            for rate in rates
            if rate.norm == self._norm
            and rate.subspace_dimension in {self._options.dimension, int(np.prod(self._shape))}
        }
        used = [family for family in families if family.name in known]
        if not used or known[used[0].name].shape[1] < _FEWEST_OTHERS:
            return []
        flat = self._flat_rates(np.concatenate([family.directions for family in used]), held_out)
        fooled = np.concatenate(
            [known[family.name].mean(1)[: len(family.directions)] for family in used]
        )
        names = [family.name for family in used for _ in family.directions]
        rows = []
        for estimator, surface in (
            (VALUES, self._options.surface),
            (GRADIENTS, self._options.surface),
        ):
            chosen = [
                next(
                    curve
                    for curve in curves
                    if (curve.family, curve.anchor, curve.estimator, curve.surface)
                    == (family.name, NEAREST, estimator, surface)
                )
                for family in used
            ]
            for place, scale in enumerate(chosen[0].scales):
                bent = np.concatenate([curve.curvature[place].mean(1) for curve in chosen])
                rows += prediction_rows(
                    bent,
                    fooled,
                    flat,
                    names,
                    anchor=NEAREST,
                    estimator=estimator,
                    surface=surface,
                    scale=float(scale),
                    seed=self._config.seed,
                )
        return rows

    def _flat_rates(
        self, directions: NDArray[np.float64], held_out: HeldOut
    ) -> NDArray[np.float64]:
        """Return the share of judged images that each direction takes beyond its tangent plane."""
        normal = held_out.anchors[NEAREST].normal.flatten(1).double().cpu().numpy()
        beyond = self._norm * directions @ normal.T >= held_out.margins
        counts = self._run.ranks.gather((beyond.sum(1), beyond.shape[1]))
        return np.asarray(sum(c for c, _ in counts) / sum(n for _, n in counts))


def few_images(count: int) -> str:
    """Return the family of random vectors of the S_c that so many images make."""
    return f"{CURVED}, {count} images"
