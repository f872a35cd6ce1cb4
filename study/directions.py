"""The directions that a study compares: random vectors of subspaces, of the sphere, universal."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.curvature_sweep import DirectionFamily
from analysis.curved_checks import CURVED, CurvedSubspace
from analysis.gram import Where
from analysis.perturbations import SPHERE, SUBSPACE, Perturbations, on_sphere
from analysis.results import CurvatureResult, UniversalResult
from analysis.rivals import MATCHED, rival_spectra
from analysis.saved import load_result
from analysis.spectrum import SingularSpectrum
from analysis.subspace import Subspace
from boundary.errors import StoreError
from study.config import StudyConfig
from study.run import RunDirectory
from study.subject import Subject, device_named

RIVALS = (SPHERE, SUBSPACE, MATCHED)
"""What S_c is held against."""
PLAIN_RIVALS = (SPHERE, MATCHED)
"""What is said of S_c alone, or of that of another model, is held against."""


def draws_of(config: StudyConfig) -> int:
    """Return how many random vectors of a family are tried; other numbers make other vectors."""
    return max(config.fooling.draws, config.curvature.draws, config.curvature.dimension)


def _rotation(R: int, generator: torch.Generator) -> torch.Tensor:
    """Return a uniform orthogonal matrix: QR alone fixes signs (Mezzadri 2007)."""
    normal = torch.randn(R, R, dtype=torch.float64, generator=generator)
    orthogonal, triangle = torch.linalg.qr(normal)
    turned: torch.Tensor = orthogonal * triangle.diagonal().sign()
    return turned


class Directions:
    """Families of directions, the same draws wherever they are asked for.

    Args:
        run: Of the study.
        config: Of the study.
        subject: Of the study.
        spectrum: Of the normals, whose leading directions are S_f.
        made: Universal perturbations.
        subspaces: S_c by several methods.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: StudyConfig,
        subject: Subject,
        spectrum: SingularSpectrum,
        made: UniversalResult,
        subspaces: Sequence[CurvedSubspace],
    ) -> None:
        self._run, self._config = run, config
        self._shape, self._spectrum = subject.images.shape, spectrum
        self._made, self._subspaces = made, subspaces
        self._draws = draws_of(config)

    def spaces(self, dimension: int) -> dict[str, Subspace]:
        """Return the subspaces that are compared, each of one dimension, by family."""
        return {
            **{one.family: one.subspace(dimension) for one in self._subspaces},
            **{name: other.subspace(dimension) for name, other in self.of_others.items()},
            SUBSPACE: self._spectrum.subspace(dimension),
            MATCHED: self._matched.subspace(dimension),
        }

    def random(self, family: str, subspace: Subspace) -> Perturbations:
        """Return random unit vectors: those along which curvature is measured come first.

        Each is uniform on the sphere of the subspace, and every R of them are a basis of it, along
        which mean curvature is that of the subspace.
        """
        generator = torch.Generator().manual_seed(self._config.seed)
        R = subspace.dimension
        turns = [_rotation(R, generator) for _ in range(-(-self._draws // R))]
        rows = torch.cat(turns)[: self._draws] @ torch.from_numpy(subspace.basis)
        vectors = rows.view(-1, *self._shape)
        return Perturbations.of(family, vectors, 1.0, subspace_dimension=R)

    def sphere(self) -> Perturbations:
        """Return random unit vectors of image space."""
        generator = torch.Generator().manual_seed(self._config.seed)
        return on_sphere(self._shape, self._draws, 1.0, generator)

    def families(self) -> list[DirectionFamily]:
        """Return the directions along which the test is made: bases of R, and universal ones."""
        spaces = self.spaces(self._config.curvature.dimension)
        directions = [
            DirectionFamily(
                name, self._first(self.random(name, space), space.dimension), sampled=False
            )
            for name, space in spaces.items()
            if name not in self._beside
        ]
        sphere = self._first(self.sphere(), self._config.curvature.dimension)
        directions.append(DirectionFamily(SPHERE, sphere))
        if universal := self._made.euclidean:
            unit = universal.vector.reshape(1, -1) / np.linalg.norm(universal.vector)
            directions.append(DirectionFamily(universal.family, unit, sampled=False))
        return directions

    def families_beside(self) -> list[DirectionFamily]:
        """Return a few directions of the subspaces that other methods make."""
        options = self._config.curvature
        return [
            DirectionFamily(name, self._first(self.random(name, space), options.draws))
            for name, space in self.spaces(options.dimension).items()
            if name in self._beside
        ]

    @property
    def _beside(self) -> set[str]:
        return {one.family for one in self._subspaces} - {CURVED}

    def _first(self, family: Perturbations, count: int) -> NDArray[np.float64]:
        return family.directions.flatten(1)[:count].numpy()

    @cached_property
    def of_others(self) -> dict[str, CurvedSubspace]:
        """S_c of other models, by family.

        Raises:
            StoreError: If their images have another size.
        """
        found = {}
        for path in self._config.curvature.others:
            other = load_result(RunDirectory(path).finished("curvature"), CurvatureResult)
            curved = other.subspaces[0]
            directions = curved.directions
            if directions.shape[1] != int(np.prod(self._shape)):
                raise StoreError(
                    f"`--curvature.others` should name runs on images of the same shape. Found "
                    f"{directions.shape[1]} numbers in `{path}`, not {int(np.prod(self._shape))}."
                )
            found[f"{CURVED} of {other.model_name} ({Path(path).resolve().name})"] = curved
        return found

    @cached_property
    def _matched(self) -> SingularSpectrum:
        store = self._run.store()
        return rival_spectra(
            store.normals(),
            None,
            self._shape,
            directions=self._config.curvature.dimension,
            seed=self._config.seed,
            where=Where(device=str(device_named(self._config.device)), ranks=self._run.ranks),
            scratch=self._run.path,
        )[MATCHED]
