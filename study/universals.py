"""The stage of universal perturbations: made from the collected images, judged on others."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf, nan
from pathlib import Path

import numpy as np
from torch import Tensor

from analysis.algorithms import Algorithm, Recipe, check_recipe, family_name, make_universal
from analysis.ball import Ball
from analysis.choice import ChosenDimension, choose_dimension
from analysis.fooling import FoolingRate
from analysis.labels import LabelFlows, label_flows
from analysis.learning import LearnedRate, counts_below, universal_of_few
from analysis.paths import FoolingPath, path_of_fooling, rate_without_sink
from analysis.perturbation_files import load_perturbations, save_perturbations
from analysis.perturbations import Perturbations
from analysis.questions import Within
from analysis.results import (
    CollectionResult,
    MadeUniversal,
    SpectrumResult,
    UniversalResult,
)
from analysis.rivals import MATCHED
from analysis.saved import save_result
from analysis.subspace import Subspace
from analysis.survey import placed_batches
from analysis.sweep import dimension_sweep, noise_beside, vectors_of, vectors_of_noise
from analysis.universal import UniversalPerturbation
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.images import ImageBatch
from study.config import REFERENCE, REFERENCE_IN_MARGINS, StudyConfig
from study.perturbing import basis, judging, origin, rates_on, require_same_subject
from study.provenance import digest
from study.run import RunDirectory
from study.subject import Subject
from study.subspaces import matched_noise

CHOOSING_VECTORS, CHOOSING_NOISE = 30, 3
"""Random vectors of S_f, and of each draw of matched noise, at each R that choosing images try."""

WATCHED = 64
"""Held-out images on which the fooling rate is shown while a perturbation is made."""


def universal(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Make universal perturbations from the collected images, and judge them on others."""
    begun = time.monotonic()
    options, ranks = config.universal, run.ranks
    settings = ranks.from_first(
        lambda: {
            "spectrum": run.identity("spectrum"),
            **judging(config, subject),
            **asdict(options),
        }
    )
    ranks.from_first(lambda: require_same_subject(run, config, subject))
    if ranks.from_first(lambda: run.is_done("universal", settings, redo=redo)):
        ranks.from_first(lambda: _keep_what_is_left(run, digest(settings)))
        return
    collection, normals = basis(run)
    choice = _choice(run, config, subject, collection, normals)
    making = _Making(run, config, subject, collection, normals, choice, digest(settings))
    made = ranks.from_first(making.all)
    few = ranks.from_first(making.from_few)
    own = rates_on(run, subject, making.positions, [one.family for one in made])
    noise = ranks.from_first(lambda: making.noise(made))
    tried = [*(one.family for one in made), *(family for _, family in few), *noise]
    others = rates_on(run, subject, subject.evaluating, tried)
    within = making.within(made, others)
    if not ranks.first:
        return
    paths, without_sink = making.path_and_sink(made)
    result = UniversalResult(
        choice=choice,
        within=within,
        paths=paths,
        rate_without_sink=without_sink,
        found=tuple(
            one.judged(own[2 * place : 2 * place + 2], others[2 * place : 2 * place + 2])
            for place, one in enumerate(made)
        ),
        learning=tuple(
            LearnedRate(count, others[2 * place])
            for place, (count, _) in enumerate(few, start=len(made))
        ),
        noise=tuple(others[2 * (len(made) + len(few)) :]),
        target=-1 if config.universal.target is None else config.universal.target,
        labels=_labels(config, subject, [one.family for one in made]),
        reference_norm=making.norm,
        reference_dimension=making.dimension,
        mean_image_norm=collection.mean_image_norm,
        seed=config.seed,
    )
    save_result(run.result("universal"), result, settings)
    _keep(run, digest(settings))
    run.record_done("universal", begun, subject.device_name)


@dataclass(frozen=True, eq=False)
class _Made:
    """A universal perturbation, and the algorithm that made it."""

    algorithm: Algorithm
    family: Perturbations
    found: UniversalPerturbation

    def judged(self, own: Sequence[FoolingRate], others: Sequence[FoolingRate]) -> MadeUniversal:
        """Return what is saved of it; of its own images those count that made it."""
        trace = np.array(self.found.trace).reshape(-1, 2)
        return MadeUniversal(
            algorithm=self.algorithm,
            vector=self.family.vectors[0].numpy(),
            images_used=self.found.images_used,
            forward_passes=self.found.forward_passes,
            backward_passes=self.found.backward_passes,
            spent=trace[:, 0].astype(np.int64),
            watched=trace[:, 1],
            own=tuple(
                rate.among(np.arange(rate.fooled.shape[1]) < self.found.images_used) for rate in own
            ),
            others=tuple(others),
        )


class _Making:
    """What universal perturbations of a run are made of; options are checked before any is."""

    def __init__(
        self,
        run: RunDirectory,
        config: StudyConfig,
        subject: Subject,
        collection: CollectionResult,
        normals: SpectrumResult,
        choice: ChosenDimension,
        identity: str,
    ) -> None:
        options = config.universal
        self._run, self._config, self._subject = run, config, subject
        self._spectrum, self._identity = normals.spectrum, identity
        self.norm = reference_norm(config, collection.mean_image_norm, collection.median_margin)
        self.dimension = choice.chosen
        self.positions = subject.making[: options.images]
        self._recipe = Recipe(
            gradients=options.gradients or gradients_for(len(self.positions)),
            target=options.target,
            mirror=options.mirror,
            layer=options.layer,
            q=options.q,
            seed=config.seed,
        )
        linf = options.linf
        self._balls = [Ball(self.norm), *([] if linf is None else [Ball(linf, inf)])]
        self._counts = counts_below(options.counts, len(self.positions))
        for algorithm in options.algorithms:
            check_recipe(algorithm, subject.classifier, self._recipe)

    def all(self) -> list[_Made]:
        """Return each universal perturbation, the one within the subspace last.

        Each is saved as soon as it is made, beside those of the present result, which stay until
        all are there; one that an interrupted command of the same settings has left is taken.
        """
        algorithms = list(dict.fromkeys(self._config.universal.algorithms))
        if not algorithms:
            return []
        self._run.unfinished.mkdir(parents=True, exist_ok=True)
        found = [
            self._made(algorithm, ball, None) for algorithm in algorithms for ball in self._balls
        ]
        subspace = self._spectrum.subspace(self.dimension)
        return [*found, self._made("smooth_rate", self._balls[0], subspace)]

    def noise(self, made: Sequence[_Made]) -> list[Perturbations]:
        """Return random directions, or signs, of each norm that was made."""
        shape = self._subject.images.shape
        return noise_beside([one.family for one in made], shape, self._config.seed)

    def from_few(self) -> list[tuple[int, Perturbations]]:
        """Return what the first algorithm makes of fewer images, where that was asked for."""
        algorithms = self._config.universal.algorithms
        if not algorithms or not self._counts:
            return []
        found = universal_of_few(
            self._subject.classifier,
            self._batch().images,
            self._counts,
            algorithms[0],
            self._balls[0],
            self._recipe,
            progress=True,
        )
        return list(zip(self._counts, found, strict=True))

    def within(self, made: Sequence[_Made], rates: Sequence[FoolingRate]) -> tuple[Within, ...]:
        """Return the best vector inside S_f, and inside each draw of noise, beside any."""
        places = {one.family.family: place for place, one in enumerate(made)}
        free = [name for name in places if " l2" in name and "subspace" not in name]
        inside = [name for name in places if "subspace" in name]
        if not free or not inside:
            return ()
        noise = [
            one.subspace(self.dimension)
            for one in matched_noise(self._run, self._config, self.dimension)
            if len(one.directions) >= self.dimension
        ]
        vectors = self._run.ranks.from_first(
            lambda: [self._inside_noise(draw, one) for draw, one in enumerate(noise)]
        )
        matched = rates_on(
            self._run, self._subject, self._subject.evaluating, vectors, clips=(False,)
        )
        images = rates[0].fooled.shape[1]
        return (
            Within(
                dimension=self.dimension,
                anywhere=rates[2 * places[free[0]]].fooled[0],
                inside=rates[2 * places[inside[0]]].fooled[0],
                matched=np.concatenate(
                    [np.zeros((0, images), dtype=np.bool_), *(rate.fooled for rate in matched)]
                ),
            ),
        )

    def _inside_noise(self, draw: int, subspace: Subspace) -> Perturbations:
        subject, ball = self._subject, self._balls[0]

        def make() -> Perturbations:
            images = self._batch().images
            found = make_universal(
                "smooth_rate",
                subject.classifier,
                images,
                ball,
                self._recipe,
                subspace=subspace,
                progress=True,
            )
            return found.as_perturbations(MATCHED)

        return self._kept(f"inside noise {draw + 1}", make)

    def path_and_sink(self, made: Sequence[_Made]) -> tuple[tuple[FoolingPath, ...], float]:
        """Return the path account of the first Euclidean one, and the rate without its sink."""
        first = next((one.family for one in made if one.family.p == 2), None)
        if first is None:
            return (), nan
        subject, size = self._subject, self._subject.batch_size
        judged = subject.images.read(subject.evaluating).images
        path = path_of_fooling(subject.classifier, judged, first.vectors[0], batch_size=size)

        def make(classifier: Classifier, images: Tensor) -> Tensor:
            ball = self._balls[0]
            kept = self._kept(
                "without the sink",
                lambda: make_universal(
                    "smooth_rate", classifier, images, ball, self._recipe, progress=True
                ).as_perturbations(),
            )
            return kept.vectors[0]

        left = rate_without_sink(
            subject.classifier, path.sink, self._batch().images, judged, make, batch_size=size
        )
        return (path,), nan if left is None else left.value

    def _batch(self) -> ImageBatch:
        return self._subject.images.read(self.positions)

    def _made(self, algorithm: Algorithm, ball: Ball, subspace: Subspace | None) -> _Made:
        subject, target = self._subject, self._recipe.target
        name = family_name(algorithm, ball.p, inside=subspace is not None, target=target)

        def make() -> Perturbations:
            batch = self._batch()
            watch = subject.images.read(subject.evaluating[:WATCHED]).images
            found = make_universal(
                algorithm,
                subject.classifier,
                batch.images,
                ball,
                self._recipe,
                subspace=subspace,
                watch=watch if len(watch) else None,
                progress=True,
            )
            source = {
                **origin(subject, batch.positions.numpy()[: found.images_used]),
                "algorithm": algorithm,
                "ball": ball.norm,
                **self._recipe.used_by(algorithm),
                **({"q": self._recipe.q_in(ball)} if algorithm == "hidden_layer" else {}),
            }
            dimension = None if subspace is None else subspace.dimension
            return found.as_perturbations(name, source, dimension)

        family = self._kept(name, make)
        return _Made(algorithm, family, UniversalPerturbation.from_perturbations(family))

    def _kept(self, name: str, make: Callable[[], Perturbations]) -> Perturbations:
        """Return what a command of the same settings has left under a name, or make and save it."""
        file = self._run.unfinished / self._run.perturbation(name).name
        if _made_with(file) == self._identity:
            return load_perturbations(file).perturbations
        made = make()
        save_perturbations(file, made.described(settings=self._identity))
        return load_perturbations(file).perturbations


def _labels(
    config: StudyConfig, subject: Subject, families: Sequence[Perturbations]
) -> tuple[LabelFlows, ...]:
    """Return where images go under the first perturbation of each norm."""
    order = np.random.default_rng(config.seed).permutation(len(subject.images))
    judged = order[~np.isin(order, subject.collecting)][: config.accuracy_images]
    first = {family.p: family for family in reversed(families) if "subspace" not in family.family}
    return tuple(
        label_flows(
            subject.classifier,
            placed_batches(subject.classifier, subject.images, judged, subject.batch_size),
            first[p].vectors[0],
            p=p,
            family=first[p].family,
            class_names=subject.class_names,
            images=len(judged),
            progress=True,
        )
        for p in sorted(first)
    )


def _keep(run: RunDirectory, identity: str) -> None:
    """Put the files of a finished result in the place of those of an earlier one.

    A second call ends what a killed one has begun.
    """
    run.perturbations.mkdir(exist_ok=True)
    for file in run.perturbations.glob("universal-*.safetensors"):
        if _made_with(file) != identity:
            file.unlink()
    for file in run.unfinished.glob("universal-*.safetensors"):
        file.replace(run.perturbations / file.name)
    if run.unfinished.is_dir():
        shutil.rmtree(run.unfinished)


def _keep_what_is_left(run: RunDirectory, identity: str) -> None:
    """Do so for a command that was killed with its result written."""
    left = run.unfinished.glob("universal-*.safetensors")
    if any(_made_with(file) == identity for file in left):
        _keep(run, identity)


def _made_with(file: Path) -> str | None:
    try:
        made_with = load_perturbations(file).perturbations.source.get("settings")
    except InputError:  # it is damaged
        return None
    return str(made_with)


def gradients_for(images: int) -> int:
    """Return how many image gradients a universal perturbation of so many images may spend."""
    return min(10 * images, max(4000, 4 * images))


def reference_norm(config: StudyConfig, mean_image_norm: float, median_margin: float) -> float:
    """Return the norm at which families are ranked, input units."""
    if config.universal.reference is not None:
        return config.universal.reference * mean_image_norm
    return max(REFERENCE * mean_image_norm, REFERENCE_IN_MARGINS * median_margin)


def _choice(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject,
    collection: CollectionResult,
    normals: SpectrumResult,
) -> ChosenDimension:
    """Return R of S_f, as stated or as the choosing images decide.

    Raises:
        InputError: If more is stated than directions were kept.
    """
    spectrum, stated = normals.spectrum, config.universal.dimension
    kept = len(spectrum.directions)
    if stated is not None and stated > kept:
        raise InputError(
            f"`--universal.dimension` should lie in 1..{kept}, the directions of S_f that the run "
            f"has kept. Found {stated}."
        )
    norm = reference_norm(config, collection.mean_image_norm, collection.median_margin)
    dimensions = dimension_sweep(None, kept, stated or 1)
    noise = matched_noise(run, config, dimensions[-1])
    shape, seed = subject.images.shape, config.seed + 1  # other vectors than those that judge
    families = []
    for R in dimensions:
        subspaces = [one.subspace(R) for one in noise if len(one.directions) >= R]
        families += [
            vectors_of(spectrum, R, shape, CHOOSING_VECTORS, seed).scaled(norm),
            vectors_of_noise(subspaces, shape, CHOOSING_NOISE, seed).scaled(norm),
        ]
    rates = rates_on(run, subject, subject.choosing, families, clips=(False,))
    by_draw = [list(rate.by_subspace.mean((1, 2))) for rate in rates[1::2]]
    return choose_dimension(rates[::2], np.array(by_draw).T, stated)
