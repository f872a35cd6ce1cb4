"""The normals that make subspaces, and the matched noise of S_f, as several stages need them."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.gram import Matrix, Where, rows_of
from analysis.results import CollectionResult
from analysis.rivals import matched_spectra
from analysis.saved import load_result
from analysis.spectrum import SingularSpectrum
from boundary.store import NormalsStore
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import device_named


def choosing_positions(run: RunDirectory) -> NDArray[np.int64]:
    """Return the positions of the collected images that choose R."""
    collection = load_result(run.result("collect"), CollectionResult)
    positions: NDArray[np.int64] = run.store().column("position")[collection.choosing]
    return positions


def making_rows(store: NormalsStore, choosing: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the rows, among those with a normal, of the images that make subspaces."""
    positions = store.column("position")[store.on_boundary]
    return np.flatnonzero(~np.isin(positions, choosing))


def making_normals(run: RunDirectory) -> Matrix:
    """Return the normals that make S_f, unit rows."""
    store = run.store()
    return rows_of(store.normals(), making_rows(store, choosing_positions(run)))


def twin_normals(run: RunDirectory, count: int) -> list[Matrix | None]:
    """Return the same images' normals of each untrained network; None of one that decides nothing.

    Args:
        run: Of the study.
        count: How many untrained networks there are.
    """
    choosing, found = choosing_positions(run), []
    for draw, twin in enumerate(run.twins(count)):
        store = NormalsStore.open(run.untrained(draw))
        rows = making_rows(store, choosing)
        found.append(None if twin.reason else rows_of(run.untrained_normals(draw), rows))
    return found


def matched_noise(
    run: RunDirectory, config: StudyConfig, directions: int
) -> tuple[SingularSpectrum, ...]:
    """Return the spectra of the normals that make S_f with random phases, drawn several times."""
    return _matched_noise(run, run.identity("spectrum"), config.seed, config.device, directions)


@lru_cache(maxsize=1)
def _matched_noise(
    run: RunDirectory, _: str, seed: int, device: str, directions: int
) -> tuple[SingularSpectrum, ...]:
    return tuple(
        matched_spectra(
            making_normals(run),
            run.store().shape,
            directions=directions,
            seed=seed,
            where=Where(device=str(device_named(device)), ranks=run.ranks),
            scratch=run.path,
        )
    )
