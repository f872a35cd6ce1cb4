"""The stages that perturb images: universal perturbations, and the fooling rates of all families.

Several processes share the images; the perturbations are made by the first, or by each alike.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.algorithms import Algorithm, Recipe, family_name, make_universal
from analysis.ball import Ball
from analysis.baselines import (
    displacement_sum,
    gradient_sign,
    mean_image,
    single_displacements,
    singular_pairs,
)
from analysis.fooling import FoolingRate, fooling_rates, joined_rates
from analysis.gram import Where
from analysis.labels import LabelFlows, label_flows
from analysis.learning import LearnedRate, counts_below, subspaces_of_few, universal_of_few
from analysis.perturbation_files import save_perturbations
from analysis.perturbations import Perturbations
from analysis.results import (
    CollectionResult,
    Examples,
    FoolingResult,
    MadeUniversal,
    SpectrumResult,
    UniversalResult,
    load_result,
    save_result,
)
from analysis.rivals import rival_spectra
from analysis.survey import placed_batches, survey
from analysis.sweep import dimension_sweep, norm_sweep, random_families
from boundary.collect import changed_settings, collection_settings
from boundary.errors import StoreError
from boundary.images import sha256_of_ids
from boundary.store import NormalsStore
from study.config import DIMENSION, REFERENCE, REFERENCE_IN_MARGINS, StudyConfig
from study.run import RunDirectory
from study.subject import Subject

EXAMPLES = 6
"""Images shown with and without a perturbation."""

WATCHED = 64
"""Held-out images on which the fooling rate is shown while a perturbation is made."""


def universal(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Make universal perturbations from the collected images, and judge them on others."""
    begun = time.monotonic()
    options = config.universal
    settings = run.ranks.from_first(
        lambda: {
            "spectrum": run.identity("spectrum"),
            **_judging(config, subject),
            "reference": config.fooling.reference,
            "dimension": config.fooling.dimension,
            **asdict(options),
        }
    )
    run.ranks.from_first(lambda: require_same_subject(run, config, subject))
    if run.ranks.from_first(lambda: run.is_done("universal", settings, redo=redo)):
        return
    collection, normals = _basis(run)
    images = subject.images.read(subject.collecting[: options.images]).images
    recipe = Recipe(
        gradients=options.gradients or 10 * len(images),
        target=options.target,
        mirror=options.mirror,
        layer=options.layer,
        q=options.q,
        seed=config.seed,
    )
    dimension = reference_dimension(config, normals)
    families = run.ranks.from_first(
        lambda: _universal_families(config, subject, collection, normals, dimension, images, recipe)
    )
    few = run.ranks.from_first(
        lambda: _from_few(run, config, subject, collection, normals, dimension, images, recipe)
    )
    own = _rates(run, subject, subject.collecting[: options.images], [f for f, _ in families])
    made_of = [family for family, _ in families] + [family for _, family in few]
    others = _rates(run, subject, subject.evaluating, made_of)
    if not run.ranks.first:
        return
    result = UniversalResult(
        found=tuple(
            MadeUniversal(
                own=tuple(own[2 * place : 2 * place + 2]),
                others=tuple(others[2 * place : 2 * place + 2]),
                vector=family.vectors[0].numpy(),
                **facts,
            )
            for place, (family, facts) in enumerate(families)
        ),
        learning=tuple(
            LearnedRate(count, others[2 * place])
            for place, (count, _) in enumerate(few, start=len(families))
        ),
        labels=_labels(config, subject, [family for family, _ in families]),
        reference_dimension=dimension,
        mean_image_norm=collection.mean_image_norm,
        seed=config.seed,
    )
    run.perturbations.mkdir(exist_ok=True)
    for family, _ in families:
        name = family.family.replace(" ", "-")
        save_perturbations(run.perturbations / f"{name}.safetensors", family)
    save_result(run.result("universal"), result, settings)
    run.record_done("universal", begun, subject.device_name)


def fooling(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Measure the fooling rates of all families, on images that made none and that made them."""
    begun = time.monotonic()
    settings = run.ranks.from_first(
        lambda: {
            "universal": run.identity("universal"),
            **_judging(config, subject),
            "untrained": config.untrained,
            **asdict(config.fooling),
        }
    )
    run.ranks.from_first(lambda: require_same_subject(run, config, subject))
    if run.ranks.from_first(lambda: run.is_done("fooling", settings, redo=redo)):
        return
    collection, normals = _basis(run)
    reference = reference_norm(config, collection)
    dimension = reference_dimension(config, normals)
    families = _families(run, config, subject, collection, normals, reference, dimension)
    at_every_norm = [
        family
        for family in families
        if family.subspace_dimension in {dimension, normals.spectrum.dimension}
    ]
    rates = _rates(run, subject, subject.evaluating, families)
    like = subject.collecting[: len(subject.evaluating)]
    own = _rates(run, subject, like, at_every_norm, clips=(False,))
    if not run.ranks.first:
        return
    clean = survey(
        subject.classifier, subject.images, subject.evaluating, batch_size=subject.batch_size
    )
    result = FoolingResult(
        rates=tuple(rates),
        own=tuple(own),
        examples=_examples(subject, families, reference, dimension),
        image_ids=clean.ids,
        predictions=clean.predictions,
        labels=clean.labels,
        class_names=subject.class_names,
        mean_image_norm=collection.mean_image_norm,
        reference_norm=reference,
        reference_dimension=dimension,
        median_margin=collection.median_margin,
        seed=config.seed,
    )
    save_result(run.result("fooling"), result, settings)
    run.record_done("fooling", begun, subject.device_name)


def reference_norm(config: StudyConfig, collection: CollectionResult) -> float:
    """Return the norm at which families are ranked, input units."""
    mean = collection.mean_image_norm
    if config.fooling.reference is not None:
        return config.fooling.reference * mean
    return max(REFERENCE * mean, REFERENCE_IN_MARGINS * collection.median_margin)


def reference_dimension(config: StudyConfig, normals: SpectrumResult) -> int:
    """Return the R at which norms are varied: as asked for, else what the normals allow."""
    if config.fooling.dimension is not None:
        return config.fooling.dimension
    spectrum = normals.spectrum
    most = min(spectrum.count // 2, spectrum.dimension // 4, len(spectrum.directions))
    return max(1, min(DIMENSION, most))


def require_same_subject(run: RunDirectory, config: StudyConfig, subject: Subject) -> None:
    """Refuse a model or images other than those of the normals.

    Raises:
        StoreError: If they differ.
    """
    settings = collection_settings(
        subject.classifier, subject.images, subject.collecting, asdict(config.search)
    )
    changed = changed_settings(NormalsStore.open(run.normals), settings)
    if changed:
        raise StoreError(
            f"the model and the images should be those of the normals in `{run.normals}`. Found "
            f"{'; '.join(changed)}; collect again in another directory."
        )


def _judging(config: StudyConfig, subject: Subject) -> dict[str, Any]:
    """Return what fooling rates depend on, beside the perturbations."""
    return {
        "images": sha256_of_ids([subject.images.ids[place] for place in subject.evaluating]),
        "seed": config.seed,
    }


def _basis(run: RunDirectory) -> tuple[CollectionResult, SpectrumResult]:
    return (
        load_result(run.result("collect"), CollectionResult),
        load_result(run.result("spectrum"), SpectrumResult),
    )


def _rates(
    run: RunDirectory,
    subject: Subject,
    positions: NDArray[np.int64],
    families: Sequence[Perturbations],
    clips: Sequence[bool] = (False, True),
) -> list[FoolingRate]:
    """Return fooling rates on some images, each process taking as many of their batches."""
    if not families:
        return []
    size, ranks = subject.batch_size, run.ranks
    starts = np.array_split(np.arange(0, len(positions), size), ranks.count)[ranks.rank]
    own = positions[starts[0] : starts[-1] + size] if len(starts) else positions[:0]
    part = (
        fooling_rates(
            subject.classifier,
            placed_batches(subject.classifier, subject.images, own, size),
            families,
            clips=clips,
            images=len(own),
            progress=ranks.first,
        )
        if len(own)
        else None
    )
    return joined_rates([found for found in ranks.gather(part) if found is not None])


def _universal_families(
    config: StudyConfig,
    subject: Subject,
    collection: CollectionResult,
    normals: SpectrumResult,
    dimension: int,
    images: Tensor,
    recipe: Recipe,
) -> list[tuple[Perturbations, dict[str, Any]]]:
    """Return each universal perturbation with what it took, the one in the subspace last."""
    options = config.universal
    euclidean = Ball(reference_norm(config, collection))
    watch = subject.images.read(subject.evaluating[:WATCHED]).images
    trials: list[tuple[Algorithm, Ball, bool]] = []
    for algorithm in options.algorithms:
        trials.append((algorithm, euclidean, False))
        if options.linf is not None:
            trials.append((algorithm, Ball(options.linf, inf), False))
    if options.algorithms:
        trials.append(("smooth_rate", euclidean, True))
    found = []
    for algorithm, ball, inside in trials:
        subspace = normals.spectrum.subspace(dimension) if inside else None
        made = make_universal(
            algorithm,
            subject.classifier,
            images,
            ball,
            recipe,
            subspace=subspace,
            watch=watch if len(watch) else None,
            progress=True,
        )
        name = family_name(algorithm, ball.p, inside=inside)
        source = {
            "algorithm": algorithm,
            "model": subject.model.name,
            "model sha256": subject.model.sha256,
            "images": subject.images.spec,
            "images used": len(images),
            **asdict(recipe),
        }
        family = made.as_perturbations(name, source, dimension if inside else None)
        spent, watched = (
            (np.array(column) for column in zip(*made.trace, strict=True))
            if (made.trace)
            else (np.empty(0, np.int64), np.empty(0))
        )
        facts = {
            "algorithm": algorithm,
            "images_used": len(images),
            "forward_passes": made.forward_passes,
            "backward_passes": made.backward_passes,
            "spent": spent,
            "watched": watched,
        }
        found.append((family, facts))
    return found


def _from_few(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject,
    collection: CollectionResult,
    normals: SpectrumResult,
    dimension: int,
    images: Tensor,
    recipe: Recipe,
) -> list[tuple[int, Perturbations]]:
    """Return perturbations made from fewer images, with how many."""
    options, norm = config.universal, reference_norm(config, collection)
    if not options.algorithms:
        return []
    counts = counts_below(options.counts, len(images))
    of_images = universal_of_few(
        subject.classifier,
        images,
        counts,
        options.algorithms[0],
        Ball(norm),
        recipe,
        progress=True,
    )
    store = NormalsStore.open(run.normals)
    fewer = [*(count for count in counts if count < normals.spectrum.count), normals.spectrum.count]
    of_normals = subspaces_of_few(
        store.normals(),
        store.shape,
        fewer,
        dimension=dimension,
        draws=config.fooling.draws,
        norm=norm,
        seed=config.seed,
    )
    return [*zip(counts, of_images, strict=True), *zip(fewer, of_normals, strict=True)]


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


def _families(
    run: RunDirectory,
    config: StudyConfig,
    subject: Subject,
    collection: CollectionResult,
    normals: SpectrumResult,
    reference: float,
    dimension: int,
) -> list[Perturbations]:
    """Return every family: the random ones, the baselines and the Euclidean universal ones."""
    options, spectrum, shape = config.fooling, normals.spectrum, normals.image_shape
    norms = norm_sweep(
        options.norms, collection.mean_image_norm, collection.median_margin, reference
    )
    dimensions = dimension_sweep(options.dimensions, len(spectrum.directions), dimension)
    store = NormalsStore.open(run.normals)
    rows = store.normals()
    network = run.untrained_normals(0) if config.untrained else None
    where = Where(ranks=run.ranks)
    rivals = rival_spectra(
        rows,
        network,
        shape,
        directions=dimensions[-1],
        seed=config.seed,
        where=where,
        scratch=run.path,
    )
    random = random_families(
        {"subspace": spectrum, **rivals},
        shape,
        norms=norms,
        dimensions=dimensions,
        reference_norm=reference,
        reference_dimension=dimension,
        draws=options.draws,
        seed=config.seed,
    )
    images = subject.images.read(subject.collecting[: config.universal.images]).images
    margins = collection.margin[collection.on_boundary]
    made = load_result(run.result("universal"), UniversalResult).found
    single = [
        single_displacements(rows, shape, options.draws, 1.0, seed=config.seed),
        displacement_sum(rows, margins, shape, 1.0),
        gradient_sign(subject.classifier, images, 1.0, batch_size=subject.batch_size),
        mean_image(images, 1.0),
        singular_pairs(spectrum, shape, options.draws, 1.0),
        *(
            Perturbations.of(
                found.family,
                torch.from_numpy(found.vector),
                subspace_dimension=found.own[0].subspace_dimension,
            )
            for found in made
            if found.own[0].p == 2
        ),
    ]
    return [*random, *(family.scaled(norm) for family in single for norm in norms)]


def _examples(
    subject: Subject, families: Sequence[Perturbations], norm: float, dimension: int
) -> Examples:
    """Return the first images, perturbed by the first draw of some families at a norm, clipped."""
    classifier = subject.classifier
    batch = subject.images.read(subject.evaluating[:EXAMPLES])
    clean = classifier.place(batch.images)
    whole = clean[0].numel() if len(clean) else 0
    universals = [family.family for family in families if family.family.startswith("universal")]
    wanted = {*universals[:1], "subspace", "sphere"}
    shown = {
        family.family: family
        for family in reversed(families)
        if family.norm == norm
        and family.family in wanted
        and family.subspace_dimension in {dimension, whole}
    }
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
        norm=norm,
    )
