"""The stage that tries what each of several models made on the others."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isclose
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.fooling import FoolingRate, fooling_rates
from analysis.perturbation_files import load_perturbations
from analysis.perturbations import Perturbations
from analysis.results import SpectrumResult, UniversalResult
from analysis.saved import load_result, save_result
from analysis.survey import placed_batches
from analysis.sweep import noise_beside
from analysis.transfer import (
    ModelNormals,
    TransferMatrix,
    TransferResult,
    check_models,
    resized,
    shared_geometry,
)
from boundary.errors import InputError, StoreError
from study.config import StudyConfig
from study.perturbing import require_same_subject
from study.run import STAGES, RunDirectory
from study.subject import Subject, load_subject

_log = logging.getLogger(__name__)


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
    """The same in every run: universal ones, then others by name."""

    def model_normals(self) -> ModelNormals:
        """Return the normals of the model, and at which images."""
        store = self.run.store()
        used = store.on_boundary
        ids = [name for name, on in zip(store.ids, used, strict=True) if on]
        return ModelNormals(store.normals(), ids, self.shape)


def transfer(
    runs: list[RunDirectory],
    configs: list[StudyConfig],
    families: list[str],
    *,
    redo: bool = False,
) -> None:
    """Try what every model made on every other; the result goes to the first run.

    Args:
        runs: Of two models at least, each with its fooling rates taken.
        configs: Of these runs.
        families: To try beside the universal ones, as their files are named.
        redo: Replace a result made from others.

    Raises:
        InputError: If the models cannot be compared.
    """
    begun = time.monotonic()
    home = runs[0]
    _check_runs(runs)
    families = list(dict.fromkeys(families))
    settings = {
        "fooling": home.identity("fooling"),
        "others": [run.identity("fooling") for run in runs[1:]],
        "families": families,
    }
    if home.is_done("transfer", settings, redo=redo):
        return
    contenders = [
        _contender(run, config, families) for run, config in zip(runs, configs, strict=True)
    ]
    names = names_of(runs)
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
                tuple(
                    _noise_of(family, contender, column)
                    for contender, column in zip(contenders, columns, strict=True)
                ),
            )
            for place, family in enumerate(contenders[0].families)
        ),
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


def _contender(run: RunDirectory, config: StudyConfig, families: list[str]) -> _Contender:
    spectrum = load_result(run.finished("spectrum"), SpectrumResult)
    made = load_result(run.finished("universal"), UniversalResult)
    own = [run.perturbation(one.family) for one in made.found]
    files = list(dict.fromkeys([*own, *map(run.perturbation, families)]))
    for file in files:
        if not file.exists():
            there = sorted(one.stem for one in run.perturbations.glob("*.safetensors"))
            stage = "universal" if file in own else "fooling"
            raise StoreError(
                f"`--families` should name files of `{run.perturbations}`: {', '.join(there)}. "
                f"Found `{file.stem}`; `boundary {stage} {run.path} --redo` makes what is missing."
            )
    return _Contender(
        run=run,
        config=config,
        shape=tuple(spectrum.image_shape),
        norm=made.reference_norm,
        dimension=made.reference_dimension,
        families=tuple(load_perturbations(file).perturbations for file in files),
    )


def _column(contenders: list[_Contender], place: int, subject: Subject) -> list[FoolingRate]:
    """Return the rates of every row's families on one model, then of noise of each norm."""
    column = contenders[place]
    shape = subject.images.shape
    tried = [
        (moved if family.p == inf else moved.scaled(column.norm))
        for row in contenders
        for family in row.families
        for moved in [resized(family, shape)]
    ]
    noise = noise_beside(tried, shape, column.config.seed)
    judged = _judged(contenders, subject)
    return fooling_rates(
        subject.classifier,
        placed_batches(subject.classifier, subject.images, judged, subject.batch_size),
        [*tried, *noise],
        clips=(False,),
        images=len(judged),
        progress=True,
    )


def _noise_of(
    family: Perturbations, contender: _Contender, column: list[FoolingRate]
) -> FoolingRate:
    """Return the rate of random directions, or signs, of the norm at which a family is tried."""
    norm = family.norm if family.p == inf else contender.norm
    return next(
        rate
        for rate in reversed(column)
        if rate.p == family.p and isclose(rate.norm, norm, rel_tol=1e-6)
    )


def _check_runs(runs: list[RunDirectory]) -> None:
    """Refuse a run that is named twice, or whose results do not rest on each other.

    Raises:
        InputError: If one is named twice.
        StoreError: If a result was made from another than is there.
    """
    paths = [run.path.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError(
                f"`boundary transfer` takes runs of other models. Found `{path}` twice."
            )
    for run in runs:
        outdated = run.out_of_date(STAGES)
        if outdated:
            raise StoreError(outdated)


def _judged(contenders: list[_Contender], subject: Subject) -> NDArray[np.int64]:
    """Return the held-out images of a model whose ids made nothing in any run.

    Raises:
        InputError: If none is left.
    """
    used = {name for contender in contenders for name in contender.run.store().ids}
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
                f"with `boundary universal {contender.run.path} --redo` and the settings of the "
                "first."
            )


def _described(contender: _Contender) -> list[str]:
    return [
        f"{family.family} {family.source.get('ball', family.norm):.6g}"
        if family.p == inf
        else family.family
        for family in contender.families
    ]


def names_of(runs: Sequence[RunDirectory]) -> tuple[str, ...]:
    """Return the names of the models, told apart by their folders where they are the same."""
    names = [run.model_name() for run in runs]
    folders = [Path(run.path).resolve().name for run in runs]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({folder})"
        for name, folder in zip(names, folders, strict=True)
    )
