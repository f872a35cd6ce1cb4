"""Perturbations from files, tried on any classifier without a run directory."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import numpy as np
import torch

from analysis.fooling import FoolingRate, fooling_rates
from analysis.perturbation_files import (
    LoadedPerturbations,
    load_perturbations,
    save_perturbations,
    save_picture,
)
from analysis.perturbations import Perturbations
from analysis.survey import placed_batches
from boundary.errors import InputError
from figures.formats import number, percent, percent_interval
from study.config import TrialConfig
from study.subject import batch_size_of, load_classifier

_CLIPPED = {False: "not clipped", True: "clipped"}


def try_files(files: Sequence[str], config: TrialConfig) -> str:
    """Return a table of the fooling rates of perturbations from files, as text.

    Each is tried as it is, rounded to the 8 bits of a picture, and with its pixels shuffled, which
    is noise of the same norms; each with and without clipping to the bounds.

    Raises:
        InputError: If a file, the model or the images cannot be used, or not together.
    """
    _check(files, config)
    model, classifier, images = load_classifier(config)
    loaded = [_loaded(file, images.shape, config) for file in files]
    chosen = np.random.default_rng(config.seed).permutation(len(images))[: config.count]
    if config.save is not None:
        _save(Path(config.save), loaded[0].perturbations)
    families = [family for found in loaded for family in _trials(found.perturbations, config.seed)]
    rates = fooling_rates(
        classifier,
        placed_batches(classifier, images, chosen, batch_size_of(config, images.shape)),
        families,
        images=len(chosen),
        progress=True,
    )
    lines = [f"{model.name} on {rates[0].fooled.shape[1]} images of {Path(images.spec).name}"]
    for place, (file, found) in enumerate(zip(files, loaded, strict=True)):
        own = rates[6 * place : 6 * place + 6]
        lines += ["", *_table(file, found, own)]
    return "\n".join(lines)


def _check(files: Sequence[str], config: TrialConfig) -> None:
    for name, count in (("count", config.count), ("batch_size", config.batch_size)):
        if count is not None and count < 1:
            raise InputError(f"`--{name}` should be at least 1. Found {count}.")
    if config.save is not None:
        if Path(config.save).suffix.lower() not in {".png", ".safetensors"}:
            raise InputError(f"`--save` should end in .png or .safetensors. Found `{config.save}`.")
        if len(files) > 1:
            raise InputError(f"`--save` is for one file. Found {len(files)}; name one.")


def _loaded(file: str, shape: tuple[int, int, int], config: TrialConfig) -> LoadedPerturbations:
    return load_perturbations(
        file,
        shape=shape,
        key=config.key,
        layout=config.layout,
        units=config.units,
        norm=config.norm,
        p={None: None, "2": 2.0, "inf": inf}[config.lp],
    )


def _trials(given: Perturbations, seed: int) -> tuple[Perturbations, ...]:
    generator = torch.Generator().manual_seed(seed)
    return given, given.rounded(), given.shuffled(generator)


def _save(path: Path, found: Perturbations) -> None:
    if path.suffix.lower() == ".safetensors":
        save_perturbations(path, found)
    elif len(found.vectors) > 1:
        raise InputError(
            f"`--save` should end in .safetensors for {len(found.vectors)} vectors, as a picture "
            "holds one."
        )
    else:
        save_picture(path, found.vectors[0])


def _table(file: str, found: LoadedPerturbations, rates: Sequence[FoolingRate]) -> list[str]:
    vectors = found.perturbations.vectors
    l2, most = float(vectors.flatten(1).norm(dim=1).mean()), float(vectors.abs().max())
    many = "" if len(vectors) == 1 else f"{len(vectors)} vectors, mean "
    titles = ("as it is", "in 8 bits", "pixels shuffled")
    rows = zip((title for title in titles for _ in range(2)), rates, strict=True)
    return [
        f"{Path(file).name}: {found.how_read}",
        f"  {many}l2 {number(l2)}, l-infinity {number(most)}",
        *(
            f"  {title:16} {_CLIPPED[rate.clipped]:12} fools {rate.count:6} of {rate.total:<6} "
            f"{percent(rate.rate):>7} (95 % {percent_interval(rate.interval)})"
            for title, rate in rows
        ),
    ]
