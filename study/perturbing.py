"""The stage of fooling rates, and what it shares with that of universal perturbations.

Several processes share the images; the perturbations are made by the first, or by each alike.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.algorithms import universal_parts
from analysis.baselines import (
    displacement_sum,
    gradient_sign,
    mean_image,
    single_displacements,
    singular_pairs,
)
from analysis.fooling import FoolingRate, fooling_rates, joined_rates
from analysis.perturbation_files import FILE, load_perturbations, save_perturbations
from analysis.perturbations import SPHERE, SUBSPACE, Perturbations, in_subspace
from analysis.questions import SharedNormals
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.rivals import PHASE_DRAWS, UNTRAINED
from analysis.saved import load_result, save_result
from analysis.spectrum import singular_spectrum
from analysis.survey import placed_batches, survey
from analysis.sweep import (
    dimension_sweep,
    norm_sweep,
    vectors_of,
    vectors_of_noise,
    vectors_of_sphere,
)
from boundary.collect import changed_settings, collection_settings
from boundary.errors import InputError, StoreError
from boundary.images import sha256_of_ids
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import Subject
from study.subspaces import making_normals, matched_noise, twin_normals

_log = logging.getLogger(__name__)

CURVE_DRAWS = 10
"""Random vectors at each point of a curve, on which no answer rests."""

EXAMPLES = 6
"""Images shown with and without a perturbation."""


def fooling(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Measure the fooling rates of all families, on images that made none and that made them."""
    begun = time.monotonic()
    loaded = run.ranks.from_first(lambda: _from_files(config.fooling.files, subject.images.shape))
    settings = run.ranks.from_first(
        lambda: {
            "universal": run.identity("universal"),
            **judging(config, subject),
            "untrained": config.untrained,
            **asdict(config.fooling),
            "files": {family.family: _sha256(family) for family in loaded},
        }
    )
    run.ranks.from_first(lambda: require_same_subject(run, config, subject))
    if run.ranks.from_first(lambda: run.is_done("fooling", settings, redo=redo)):
        return
    collection, normals = basis(run)
    made = load_result(run.result("universal"), UniversalResult)
    families = _Families(run, config, subject, collection, normals, made, loaded)
    free = rates_on(run, subject, subject.evaluating, families.all(), clips=(False,))
    clipped = rates_on(run, subject, subject.evaluating, families.clipped(), clips=(True,))
    shared = families.shared()
    if not run.ranks.first:
        return
    clean = survey(
        subject.classifier, subject.images, subject.evaluating, batch_size=subject.batch_size
    )
    reference = families.at_reference()
    _save_families(run, reference)
    result = FoolingResult(
        rates=(*free, *clipped),
        shared=shared,
        examples=_examples(subject, reference),
        image_ids=clean.ids,
        predictions=clean.predictions,
        labels=clean.labels,
        class_names=subject.class_names,
        mean_image_norm=collection.mean_image_norm,
        reference_norm=made.reference_norm,
        reference_dimension=made.reference_dimension,
        noise_dimension=made.choice.noise_best,
        median_margin=collection.median_margin,
        seed=config.seed,
    )
    save_result(run.result("fooling"), result, settings)
    run.record_done("fooling", begun, subject.device_name)


def require_same_subject(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Refuse a model or images other than those of the normals.

    Raises:
        StoreError: If they differ.
    """
    settings = collection_settings(
        subject.classifier, subject.images, subject.collecting, asdict(config.search)
    )
    changed = changed_settings(run.store(), settings)
    if changed:
        raise StoreError(
            f"the model and the images should be those of the normals in `{run.normals}`. Found "
            f"{'; '.join(changed)}; collect again in another directory."
        )


def judging(config: StudyConfig, subject: Subject) -> dict[str, Any]:
    """Return what fooling rates depend on, beside the perturbations."""
    return {
        "images": sha256_of_ids([subject.images.ids[place] for place in subject.evaluating]),
        "seed": config.seed,
    }


def basis(run: RunDirectory) -> tuple[CollectionResult, SpectrumResult]:
    """Return what was collected, and its spectrum."""
    return (
        load_result(run.result("collect"), CollectionResult),
        load_result(run.result("spectrum"), SpectrumResult),
    )


def origin(subject: Subject, positions: NDArray[np.int64]) -> dict[str, Any]:
    """Return from which model and images perturbations were made, for their source."""
    return {
        "model": subject.model.name,
        "model sha256": subject.model.sha256,
        "images": subject.images.spec,
        "images used": len(positions),
        "ids sha256": sha256_of_ids([subject.images.ids[place] for place in positions]),
    }


def rates_on(
    run: RunDirectory,
    subject: Subject,
    positions: NDArray[np.int64],
    families: Sequence[Perturbations],
    clips: Sequence[bool] = (False, True),
) -> list[FoolingRate]:
    """Return fooling rates on some images, each process taking as many of their batches.

    Raises:
        InputError: If none of them can be read.
    """
    if not families:
        return []
    size, ranks = subject.batch_size, run.ranks
    starts = np.array_split(np.arange(0, len(positions), size), ranks.count)[ranks.rank]
    own = positions[starts[0] : starts[-1] + size] if len(starts) else positions[:0]
    batches = placed_batches(subject.classifier, subject.images, own, size)
    first = next(batches, None)  # none where every image of this process is unreadable
    part = (
        None
        if first is None
        else fooling_rates(
            subject.classifier,
            chain([first], batches),
            families,
            clips=clips,
            images=len(own),
            progress=ranks.first,
        )
    )
    parts = [found for found in ranks.gather(part) if found is not None]
    if not parts:
        raise InputError(
            f"none of {len(positions)} images of `{subject.images.spec}` can be read; bring them "
            "back, or begin another run."
        )
    return joined_rates(parts)


class _Families:
    """Every family of perturbations of the stage, at the norms and dimensions where it is tried."""

    def __init__(
        self,
        run: RunDirectory,
        config: StudyConfig,
        subject: Subject,
        collection: CollectionResult,
        normals: SpectrumResult,
        made: UniversalResult,
        loaded: Sequence[Perturbations],
    ) -> None:
        options, spectrum = config.fooling, normals.spectrum
        self._run, self._config, self._subject = run, config, subject
        self._collection, self._spectrum, self._made = collection, spectrum, made
        self._loaded, self._shape = loaded, subject.images.shape
        self._norm, self._dimension = made.reference_norm, made.reference_dimension
        self._norms = norm_sweep(
            options.norms, collection.mean_image_norm, collection.median_margin, self._norm
        )
        self._dimensions = dimension_sweep(
            options.dimensions, len(spectrum.directions), self._dimension
        )
        self._noise = matched_noise(run, config, max(*self._dimensions, made.choice.noise_best))

    def all(self) -> list[Perturbations]:
        """Return all, without clipping: curves over the norm and over R, and what is judged."""
        draws, best = self._config.fooling.draws, self._made.choice.noise_best
        at_norms = [
            *self._of_dimension(self._dimension, CURVE_DRAWS),
            vectors_of_sphere(self._shape, CURVE_DRAWS, self._config.seed),
            *self._universals,
            *self._loaded,
        ]
        at_dimensions = {R: self._of_dimension(R, CURVE_DRAWS) for R in self._dimensions}
        at_dimensions[best] = [self._of_normals(best, CURVE_DRAWS), *self._of_noise(best, draws)]
        at_dimensions[self._dimension] = self._of_dimension(self._dimension, draws)
        return [
            *(
                family.scaled(norm)
                for norm in self._norms
                if norm != self._norm
                for family in at_norms
            ),
            *(
                family.scaled(self._norm)
                for _, families in sorted(at_dimensions.items())
                for family in families
            ),
            *(family.scaled(self._norm) for family in self._others),
        ]

    def clipped(self) -> list[Perturbations]:
        """Return those that are tried with clipping too, at the reference norm."""
        return self.at_reference(CURVE_DRAWS)

    def at_reference(self, draws: int | None = None) -> list[Perturbations]:
        """Return one family of each kind, at the reference norm and dimension."""
        count = self._config.fooling.draws if draws is None else draws
        families = [*self._of_dimension(self._dimension, count), *self._others]
        return [family.scaled(self._norm) for family in families]

    @cached_property
    def _others(self) -> list[Perturbations]:
        """Families that are tried at one R alone."""
        sphere = vectors_of_sphere(self._shape, CURVE_DRAWS, self._config.seed)
        return [
            sphere,
            *self._untrained(),
            *self._baselines(),
            *self._universals,
            *self._loaded,
        ]

    def _of_dimension(self, R: int, draws: int) -> list[Perturbations]:
        """Return random vectors of S_f and as many of matched noise."""
        return [self._of_normals(R, draws), *self._of_noise(R, draws)]

    def _of_normals(self, R: int, draws: int) -> Perturbations:
        found = vectors_of(self._spectrum, R, self._shape, draws, self._config.seed)
        return found.described(**self._origin)

    def _of_noise(self, R: int, draws: int) -> list[Perturbations]:
        """Return random vectors of each draw of matched noise that has so many dimensions."""
        if len(self._noise[0].directions) < R:
            return []
        subspaces, per_draw = [one.subspace(R) for one in self._noise], -(-draws // PHASE_DRAWS)
        noise = vectors_of_noise(subspaces, self._shape, per_draw, self._config.seed)
        return [noise.described(**self._origin)]

    def _untrained(self) -> list[Perturbations]:
        """Return random vectors of the subspace of an untrained network that has one."""
        for draw, rows in enumerate(twin_normals(self._run, self._config.untrained)):
            if rows is None or rows.shape[0] < self._dimension:
                continue
            spectrum = singular_spectrum(rows, directions=self._dimension)
            unit = in_subspace(
                spectrum.subspace(self._dimension),
                self._shape,
                CURVE_DRAWS,
                1.0,
                torch.Generator().manual_seed(self._config.seed),
                family=UNTRAINED,
            )
            model = f"{self._subject.model.name}, untrained {draw}"
            return [unit.described(**{**self._origin, "model": model, "model sha256": ""})]
        return []

    @cached_property
    def _origin(self) -> dict[str, Any]:
        return origin(self._subject, self._subject.making)

    @cached_property
    def _universals(self) -> list[Perturbations]:
        """The Euclidean universal perturbations."""
        return [
            Perturbations.of(
                found.family,
                torch.from_numpy(found.vector),
                subspace_dimension=found.own[0].subspace_dimension,
            )
            for found in self._made.found
            if found.own[0].p == 2
        ]

    def _baselines(self) -> list[Perturbations]:
        """Return families that need no subspace, tried at the reference norm alone."""
        run, subject, seed, shape = self._run, self._subject, self._config.seed, self._shape
        rows = making_normals(run)
        batch = subject.images.read(subject.making[: self._config.universal.images])
        chosen = self._collection.on_boundary & ~self._collection.choosing
        of_normals = [
            single_displacements(rows, shape, CURVE_DRAWS, 1.0, seed=seed),
            displacement_sum(rows, self._collection.margin[chosen], shape, 1.0),
            singular_pairs(self._spectrum, shape, CURVE_DRAWS, 1.0),
        ]
        of_images = [
            run.ranks.from_first(
                lambda: gradient_sign(
                    subject.classifier, batch.images, 1.0, batch_size=subject.batch_size
                )
            ),
            mean_image(batch.images, 1.0),
        ]
        return [
            *(family.described(**self._origin, seed=seed) for family in of_normals),
            *(family.described(**origin(subject, batch.positions.numpy())) for family in of_images),
        ]

    def shared(self) -> SharedNormals:
        """Return the energies of evaluated images' normals that question 1 rests on."""
        R, run = self._dimension, self._run
        normals = np.asarray(run.evaluated_store().normals()[:], dtype=np.float64)
        noise = [one.subspace(R).energy(normals) for one in self._noise]
        untrained, undecided = [], []
        count, kept = self._config.untrained, run.not_reset() or ()
        if kept:
            undecided.append(
                f"{len(kept)} of their tensors are the trained ones, first `{kept[0]}`"
            )
            count = 0
        twins = zip(run.twins(count), twin_normals(run, count), strict=True)
        for draw, (twin, rows) in enumerate(twins):
            if rows is None or rows.shape[0] < R:
                undecided.append(twin.reason or f"it has fewer than {R} normals")
                continue
            own = singular_spectrum(rows, directions=R).subspace(R)
            evaluated = np.asarray(run.untrained_evaluated(draw)[:], dtype=np.float64)
            untrained.append(own.energy(evaluated).mean())
        return SharedNormals(
            dimension=R,
            own=self._spectrum.subspace(R).energy(normals),
            noise=np.stack(noise),
            untrained=np.array(untrained),
            undecided=tuple(undecided),
        )


def _from_files(files: Sequence[str], shape: tuple[int, ...]) -> list[Perturbations]:
    """Return perturbations from files, of Euclidean norm 1, and log how each was read.

    Raises:
        InputError: If one cannot be read, or two have one name.
    """
    found: dict[str, Perturbations] = {}
    for file in files:
        family = f"{FILE}{Path(file).stem}"
        if family in found:
            raise InputError(
                "`--fooling.files` should have different names, by which they are told apart. "
                f"Found `{Path(file).stem}` twice; copy one to another name."
            )
        loaded = load_perturbations(file, shape=shape, norm=1.0, p=2.0)
        _log.info("%s: %s", Path(file).name, loaded.how_read)
        found[family] = replace(loaded.perturbations, family=family)
    return list(found.values())


def _sha256(family: Perturbations) -> str:
    return hashlib.sha256(family.vectors.numpy().tobytes()).hexdigest()


def _save_families(run: RunDirectory, families: Sequence[Perturbations]) -> None:
    """Leave one file for each made here, at the reference norm, and none of earlier ones."""
    run.perturbations.mkdir(exist_ok=True)
    for file in run.perturbations.glob("*.safetensors"):
        if not file.name.startswith("universal-"):
            file.unlink()
    for family in families:
        if not (family.family.startswith(FILE) or universal_parts(family.family)):
            save_perturbations(run.perturbation(family.family), family)


def _examples(subject: Subject, families: Sequence[Perturbations]) -> Examples:
    """Return the first images, perturbed by the first draw of some families, clipped."""
    classifier = subject.classifier
    clean = next(placed_batches(classifier, subject.images, subject.evaluating, EXAMPLES))
    universals = [family.family for family in families if universal_parts(family.family)]
    wanted = {*universals[:1], SUBSPACE, SPHERE}
    shown = {family.family: family for family in reversed(families) if family.family in wanted}
    perturbed = [
        (clean + classifier.place(family.vectors[0])).clamp(*classifier.bounds)
        for family in shown.values()
    ]
    return Examples(
        clean=clean.float().cpu().numpy(),
        predictions=classifier.predict(clean).cpu().numpy(),
        perturbed=torch.stack(perturbed).float().cpu().numpy(),
        perturbed_predictions=np.stack([classifier.predict(p).cpu().numpy() for p in perturbed]),
        families=tuple(shown),
        norm=families[0].norm,
    )
