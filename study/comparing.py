"""The stages that hold perturbations against nature, and models against each other."""

import logging
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.fooling import FoolingRate, fooling_rates
from analysis.natural import FEWEST_IMAGES, naturalness
from analysis.perturbations import Perturbations, in_subspace, on_sphere
from analysis.results import (
    SpectrumResult,
    UniversalResult,
    load_result,
    save_result,
)
from analysis.survey import placed_batches
from analysis.transfer import (
    ModelNormals,
    TransferMatrix,
    TransferResult,
    check_models,
    resized,
    shared_geometry,
)
from boundary.errors import InputError, StoreError
from boundary.images import sha256_of_ids
from boundary.store import NormalsStore
from study.config import StudyConfig
from study.perturbing import require_same_subject
from study.run import RunDirectory
from study.subject import Subject, load_subject

_log = logging.getLogger(__name__)

IMAGES = 1000
"""The most natural images to hold perturbations against."""

NORMALS = 200
"""Normals, and random vectors of the subspace, that are held against natural images."""


def natural(
    run: RunDirectory, config: StudyConfig, subject: Subject, *, redo: bool = False
) -> None:
    """Hold the subspace and the perturbations against natural images that made none of them."""
    begun = time.monotonic()
    others = np.setdiff1d(np.arange(len(subject.images)), subject.collecting)
    chosen = np.random.default_rng(config.seed).permutation(others)[:IMAGES]
    settings = {
        "universal": run.identity("universal"),
        "images": sha256_of_ids([subject.images.ids[place] for place in chosen]),
        "seed": config.seed,
    }
    require_same_subject(run, config, subject)
    if run.is_done("natural", settings, redo=redo):
        return
    images = subject.images.read(chosen).images
    if len(images) < FEWEST_IMAGES:
        _log.warning(
            "%d images made no normal, too few to hold perturbations against nature; that is left "
            "out.",
            len(images),
        )
        return
    spectrum = load_result(run.result("spectrum"), SpectrumResult)
    made = load_result(run.result("universal"), UniversalResult)
    subspace = spectrum.spectrum.subspace(made.reference_dimension)
    shape = spectrum.image_shape
    generator = torch.Generator().manual_seed(config.seed)
    store = NormalsStore.open(run.normals)
    families: dict[str, NDArray[np.float64]] = {
        "random in S_f": in_subspace(subspace, shape, NORMALS, 1.0, generator).vectors.numpy(),
        "normals": np.asarray(store.normals()[:NORMALS], np.float64).reshape(-1, *shape),
    }
    families |= {found.family: found.vector[None] for found in made.found}
    result = naturalness(
        images.numpy(),
        subspace,
        families,
        norm=made.reference_norm,
        seed=config.seed,
    )
    save_result(run.result("natural"), result, settings)
    run.record_done("natural", begun, "cpu")


@dataclass(frozen=True, eq=False)
class _Contender:
    """One run among those that are compared."""

    run: RunDirectory
    config: StudyConfig
    shape: tuple[int, ...]
    """(C, H, W) of its images."""
    norm: float
    """The l2 norm at which perturbations are tried on this model."""
    dimension: int
    """R of its subspace."""
    families: tuple[Perturbations, ...]
    """The same in every run: universal ones, and random ones of the subspace."""

    def model_normals(self) -> ModelNormals:
        """Return the normals of the model, and at which images."""
        store = NormalsStore.open(self.run.normals)
        used = store.on_boundary
        ids = [name for name, on in zip(store.ids, used, strict=True) if on]
        return ModelNormals(store.normals(), ids, self.shape)


def transfer(runs: list[RunDirectory], configs: list[StudyConfig], *, redo: bool = False) -> None:
    """Try what every model made on every other; the result goes to the first run.

    Args:
        runs: Of two models at least, each with its universal perturbations made.
        configs: Of these runs.
        redo: Replace a result made from others.

    Raises:
        InputError: If the models cannot be compared.
    """
    begun = time.monotonic()
    home = runs[0]
    settings = {
        "universal": home.identity("universal"),
        "others": [run.identity("universal") for run in runs[1:]],
        "draws": [config.fooling.draws for config in configs],
    }
    if home.is_done("transfer", settings, redo=redo):
        return
    contenders = [_contender(run, config) for run, config in zip(runs, configs, strict=True)]
    names = _names(runs)
    check_models(names, [contender.shape for contender in contenders])
    _same_families(contenders)
    columns: list[list[FoolingRate]] = []
    sizes = []
    device = ""
    for place, column in enumerate(contenders):
        subject = load_subject(column.config)
        require_same_subject(column.run, column.config, subject)
        columns.append(_column(contenders, place, subject))
        sizes.append(subject.images.shape)
        device = subject.device_name
    models = range(len(contenders))
    result = TransferResult(
        models=names,
        matrices=tuple(
            TransferMatrix(
                family.family,
                family.p,
                tuple(
                    columns[j][len(contenders[0].families) * i + place]
                    for i in models
                    for j in models
                ),
            )
            for place, family in enumerate(contenders[0].families)
        ),
        noise=tuple(column[-1] for column in columns),
        norms=np.array([contender.norm for contender in contenders]),
        sizes=np.array(sizes),
        geometry=shared_geometry(
            [contender.model_normals() for contender in contenders],
            dimension=min(contender.dimension for contender in contenders),
            seed=configs[0].seed,
        ),
    )
    save_result(home.result("transfer"), result, settings)
    home.record_done("transfer", begun, device)


def _contender(run: RunDirectory, config: StudyConfig) -> _Contender:
    spectrum = load_result(run.finished("spectrum"), SpectrumResult)
    made = load_result(run.finished("universal"), UniversalResult)
    generator = torch.Generator().manual_seed(config.seed)
    families = [
        Perturbations.of(
            found.family, torch.from_numpy(found.vector), found.own[0].norm, p=found.own[0].p
        )
        for found in made.found
    ]
    subspace = spectrum.spectrum.subspace(made.reference_dimension)
    random = in_subspace(subspace, spectrum.image_shape, config.fooling.draws, 1.0, generator)
    return _Contender(
        run=run,
        config=config,
        shape=tuple(spectrum.image_shape),
        norm=made.reference_norm,
        dimension=made.reference_dimension,
        families=(*families, random),
    )


def _column(contenders: list[_Contender], place: int, subject: Subject) -> list[FoolingRate]:
    """Return the rates of every row's families on one model, and of random directions last."""
    column = contenders[place]
    shape = subject.images.shape
    tried = [
        (moved if family.p == inf else moved.scaled(column.norm))
        for row in contenders
        for family in row.families
        for moved in [resized(family, shape)]
    ]
    generator = torch.Generator().manual_seed(column.config.seed)
    noise = on_sphere(shape, column.config.fooling.draws, column.norm, generator)
    judged = _judged(contenders, subject)
    return fooling_rates(
        subject.classifier,
        placed_batches(subject.classifier, subject.images, judged, subject.batch_size),
        [*tried, noise],
        clips=(False,),
        images=len(judged),
        progress=True,
    )


def _judged(contenders: list[_Contender], subject: Subject) -> NDArray[np.int64]:
    """Return the held-out images of a model whose ids made nothing in any run.

    Raises:
        InputError: If none is left.
    """
    used = {
        name for contender in contenders for name in NormalsStore.open(contender.run.normals).ids
    }
    left = np.array(
        [place for place in subject.evaluating if subject.images.ids[place] not in used],
        dtype=np.int64,
    )
    if not len(left):
        raise InputError(
            f"no held-out image of `{subject.images.spec}` is left whose id made no perturbation "
            "of another run; begin the runs with the same --seed, so that they share their split."
        )
    return left


def _same_families(contenders: list[_Contender]) -> None:
    """Refuse runs whose perturbations cannot be put in one matrix.

    Raises:
        StoreError: If families, or norms of l-infinity ones, differ.
    """
    first, *others = contenders
    wanted = _described(first)
    for contender in others:
        if _described(contender) != wanted:
            raise StoreError(
                f"the runs should have the same universal perturbations. Found "
                f"{', '.join(wanted)} in `{first.run.path}` and "
                f"{', '.join(_described(contender))} in `{contender.run.path}`; make them alike "
                "with `boundary universal`."
            )


def _described(contender: _Contender) -> list[str]:
    return [
        f"{family.family} {family.norm:.6g}" if family.p == inf else family.family
        for family in contender.families
    ]


def _names(runs: list[RunDirectory]) -> tuple[str, ...]:
    """Return the names of the models, told apart by their folders where they are the same."""
    names = [run.model_name() for run in runs]
    folders = [Path(run.path).resolve().name for run in runs]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    )
