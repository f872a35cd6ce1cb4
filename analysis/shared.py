"""Which directions the normals share: their spectrum beside every null, and on what it rests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.energy import captured_energy
from analysis.gram import HERE, Matrix, Where
from analysis.groups import class_means, group_by_class, group_spectra
from analysis.halves import random_overlaps, spectrum_and_halves
from analysis.nulls import isotropic_null, permuted_null, phase_null, untrained_null
from analysis.results import SpectrumResult
from analysis.spectrum import DIRECTIONS, singular_spectrum
from boundary.errors import InputError


def shared_directions(
    normals: Matrix,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    image_shape: tuple[int, ...],
    *,
    evaluated: Matrix,
    directions: int | None = None,
    null_draws: int = 20,
    splits: int = 10,
    untrained: Sequence[Matrix] = (),
    not_reset: Sequence[str] = (),
    left_out: int = 0,
    seed: int = 0,
    method: Literal["gram", "lapack"] = "gram",
    where: Where = HERE,
    scratch: Path | None = None,
) -> SpectrumResult:
    """Return the spectrum of the normals, its nulls, and what other images and classes share.

    Args:
        normals: Unit rows, (n, D).
        source: (n,), class of each image.
        target: (n,), class on the other side of the boundary.
        image_shape: (C, H, W) with D numbers.
        evaluated: Normals of images that make nothing, (m, D), for captured energy.
        directions: How many right vectors to keep, by default 100 or as many as there can be.
        null_draws: Of each null that is simulated.
        splits: How many times to split the normals in two halves.
        untrained: Normals of untrained networks of the same architecture, (n', D) each; those with
            n' below n / 2 are left out, and none leaves that null out.
        not_reset: Parameters that these networks have from training.
        left_out: Points without a normal, to be told of.
        seed: Of all splits, and of the nulls.
        method: ``gram`` or ``lapack``, for the whole spectrum.
        where: On which device, by which processes.
        scratch: Folder for rows of nulls that are not held in memory; the system's by default.

    Raises:
        InputError: If there are too few normals for what is asked.
    """
    count, dimension = normals.shape
    kept = _directions(directions, min(count, dimension))
    judging = max(1, min(kept, count // 2))
    spectrum, halves = spectrum_and_halves(
        normals, directions=kept, splits=splits, seed=seed, where=where
    )
    if method == "lapack":
        spectrum = where.ranks.from_first(
            lambda: singular_spectrum(normals, directions=kept, method="lapack")
        )
    quiet = where.quietly()
    nulls = [
        isotropic_null(count, dimension, draws=null_draws, seed=seed, where=where),
        permuted_null(normals, draws=null_draws, seed=seed, where=where, scratch=scratch),
        phase_null(normals, image_shape, draws=null_draws, seed=seed, where=where, scratch=scratch),
    ]
    comparable = [rows for rows in untrained if 2 * rows.shape[0] >= count]
    if comparable:
        nulls.append(untrained_null(comparable, count, seed=seed, where=where))
    by_source, by_pair = (
        group_spectra(normals, group_by_class(by, source, target), quiet)
        for by in ("source", "pair")
    )
    return SpectrumResult(
        spectrum=spectrum,
        halves=halves,
        random=random_overlaps(dimension, judging, seed=seed),
        nulls=tuple(nulls),
        energy=captured_energy(spectrum, evaluated),
        by_source=by_source,
        by_pair=by_pair,
        means=class_means(normals, source, target, directions=judging, seed=seed, where=quiet),
        not_reset=tuple(not_reset),
        networks_left_out=len(untrained) - len(comparable),
        left_out=left_out,
        image_shape=tuple(image_shape),
        seed=seed,
    )


def _directions(asked: int | None, available: int) -> int:
    if asked is not None and not 1 <= asked <= available:
        raise InputError(
            f"`--spectrum.directions` should lie in 1..{available}, as the normals span no "
            f"more. Found {asked}."
        )
    return min(DIRECTIONS, available) if asked is None else asked
