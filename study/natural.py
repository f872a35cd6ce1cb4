"""The stage that holds the subspace and the perturbations against natural images."""

import logging
import time

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.natural import FEWEST_IMAGES, naturalness
from analysis.perturbations import in_subspace
from analysis.results import SpectrumResult, UniversalResult
from analysis.saved import load_result, save_result
from boundary.errors import InputError
from boundary.images import sha256_of_ids
from study.config import StudyConfig
from study.perturbing import require_same_subject
from study.run import RunDirectory
from study.subject import Subject

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
    store = run.store()
    families: dict[str, NDArray[np.float64]] = {
        "random in S_f": in_subspace(subspace, shape, NORMALS, 1.0, generator).vectors.numpy(),
        "normals": np.asarray(store.normals()[:NORMALS], np.float64).reshape(-1, *shape),
    }
    families |= {found.family: found.vector[None] for found in made.found}
    try:
        result = naturalness(
            images.numpy(), subspace, families, norm=made.reference_norm, seed=config.seed
        )
    except InputError as error:  # of images that are too much alike
        _log.warning("The perturbations are not held against nature: %s", error)
        return
    save_result(run.result("natural"), result, settings)
    run.record_done("natural", begun, "cpu")
