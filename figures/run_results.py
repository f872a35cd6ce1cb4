"""What the stages of a run have found, read from its directory."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from analysis.results import (
    CollectionResult,
    CurvatureResult,
    FoolingResult,
    SpectrumResult,
    UniversalResult,
)
from analysis.saved import load_result
from analysis.transfer import TransferResult

OPTIONAL = ("transfer",)
"""Stages that a run may lack."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class RunResults:
    """What the stages of a run have found."""

    collection: CollectionResult
    spectrum: SpectrumResult
    universal: UniversalResult
    fooling: FoolingResult
    curvature: CurvatureResult
    transfer: TransferResult | None

    @classmethod
    def read(cls, directory: Path, optional: Collection[str] = OPTIONAL) -> "RunResults":
        """Return the results in a run directory.

        Args:
            directory: Holds ``collect.h5``, ``spectrum.h5``, ``universal.h5``, ``fooling.h5`` and
                ``curvature.h5``.
            optional: Stages whose results are read too, where they are there.

        Raises:
            StoreError: If one of the files is missing or damaged.
        """

        def of(stage: str, kind: type[Result]) -> Result | None:
            path = directory / f"{stage}.h5"
            return load_result(path, kind) if stage in optional and path.exists() else None

        return cls(
            load_result(directory / "collect.h5", CollectionResult),
            load_result(directory / "spectrum.h5", SpectrumResult),
            load_result(directory / "universal.h5", UniversalResult),
            load_result(directory / "fooling.h5", FoolingResult),
            load_result(directory / "curvature.h5", CurvatureResult),
            of("transfer", TransferResult),
        )
