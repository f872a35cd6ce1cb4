"""What a run has collected: stores of boundary points, of the model and of untrained networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boundary.errors import StoreError
from boundary.files import write_text
from boundary.manifest import MANIFEST
from boundary.ranks import ALONE, Ranks
from boundary.store import NormalMatrix, NormalsStore


@dataclass(frozen=True)
class Twin:
    """What an untrained network makes of the images, by which it decides something or nothing."""

    draw: int
    """Which of them, from 0."""
    share: float
    """Of the collected images, how many have its most frequent prediction; 1: it is constant."""
    collected: int
    """Images, without those that cannot be read."""
    found: int
    """Boundary points of them that were found."""
    evaluated: int
    """Other images, on which it is compared."""
    evaluated_found: int
    """Boundary points of them that were found."""

    @property
    def reason(self) -> str:
        """Why it decides nothing, in words; empty if it does decide."""
        if self.share == 1:
            return f"it predicts one class for all {self.collected} collected images"
        for kind, images, found in (
            ("collected", self.collected, self.found),
            ("evaluated", self.evaluated, self.evaluated_found),
        ):
            if 2 * found < images:
                return f"only {found} of {images} {kind} images have a boundary point"
        return ""


class Collected:
    """The stores of a study.

    Args:
        path: Of its directory.
        ranks: The processes that work in it together.
    """

    def __init__(self, path: str | Path, ranks: Ranks = ALONE) -> None:
        self.path = Path(path)
        self.ranks = ranks

    @property
    def config_file(self) -> Path:
        """The whole configuration, resolved."""
        return self.path / "study.yaml"

    @property
    def normals(self) -> Path:
        """Directory of the store of normals."""
        return self.path / "normals"

    @property
    def evaluated(self) -> Path:
        """Directory of the store of the normals at evaluated images."""
        return self.path / "evaluated"

    def untrained(self, draw: int, *, evaluated: bool = False) -> Path:
        """Return the directory of the normals of an untrained network."""
        return self.path / "untrained" / f"{draw}{'-evaluated' if evaluated else ''}"

    def statistics(self, draw: int) -> Path:
        """Return the file of the running statistics of an untrained network."""
        return self.path / "untrained" / f"{draw}-statistics.safetensors"

    def stores(self) -> list[Path]:
        """Return the directories of all stores that are there."""
        folders = [self.normals, self.evaluated, *sorted((self.path / "untrained").glob("*"))]
        return [folder for folder in folders if (folder / MANIFEST).exists()]

    def store(self) -> NormalsStore:
        """Return the store of normals, complete.

        Raises:
            StoreError: If rows are missing, or the store is damaged.
        """
        return self._complete(self.normals, "the normals of all images")

    def evaluated_store(self) -> NormalsStore:
        """Return the store of the normals at evaluated images, complete.

        Raises:
            StoreError: If rows are missing, or the store is damaged.
        """
        return self._complete(self.evaluated, "the normals at all evaluated images")

    def untrained_normals(self, draw: int) -> NormalMatrix:
        """Return the normals of an untrained network.

        Raises:
            StoreError: If they have not all been collected.
        """
        return self._of_untrained(self.untrained(draw))

    def untrained_evaluated(self, draw: int) -> NormalMatrix:
        """Return the normals of an untrained network at evaluated images.

        Raises:
            StoreError: If they have not all been collected.
        """
        return self._of_untrained(self.untrained(draw, evaluated=True))

    def twins(self, count: int) -> list[Twin]:
        """Return what so many untrained networks make of the images.

        Raises:
            StoreError: If their boundary points have not all been collected.
        """
        return self.ranks.from_first(lambda: [self._twin(draw) for draw in range(count)])

    def _twin(self, draw: int) -> Twin:
        collected = self._complete_untrained(self.untrained(draw))
        evaluated = self._complete_untrained(self.untrained(draw, evaluated=True))
        _, counts = np.unique(collected.column("source"), return_counts=True)
        return Twin(
            draw=draw,
            share=int(counts.max(initial=0)) / max(len(collected), 1),
            collected=len(collected),
            found=int(collected.on_boundary.sum()),
            evaluated=len(evaluated),
            evaluated_found=int(evaluated.on_boundary.sum()),
        )

    def _of_untrained(self, folder: Path) -> NormalMatrix:
        store = self.ranks.from_first(lambda: self._complete_untrained(folder))
        store.verify(self.ranks)
        return store.normals()

    def _complete_untrained(self, folder: Path) -> NormalsStore:
        return self._complete(
            folder,
            "the normals of an untrained network yet",
            ", and with `--untrained 0` this null is left out",
        )

    def _complete(self, folder: Path, what: str, way_out: str = "") -> NormalsStore:
        store = NormalsStore.open(folder) if (folder / MANIFEST).exists() else None
        count = None if store is None else store.settings.get("count")
        if store is None or type(count) is not int or store.covered < count:
            raise StoreError(
                f"`{folder}` does not hold {what}; `boundary collect --config {self.config_file} "
                f"--out {self.path}` collects what is missing{way_out}."
            )
        return store

    def not_reset(self) -> tuple[str, ...] | None:
        """Return the tensors that untrained networks have from training; None if not known."""
        try:
            text = self._not_reset.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return tuple(text.splitlines())

    def keep_not_reset(self, names: Sequence[str]) -> None:
        """Write down which tensors untrained networks have from training."""
        write_text(self._not_reset, "".join(f"{name}\n" for name in names))

    @property
    def _not_reset(self) -> Path:
        return self.path / "untrained" / "not_reset.txt"
