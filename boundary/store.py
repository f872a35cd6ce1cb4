"""The normals on disk: immutable HDF5 shards and a manifest that acknowledges them.

``manifest.jsonl`` begins with one line that says what the store is (format, version, image shape
and the settings that every row depends on); each further line acknowledges one shard. A shard is
written whole before its line is, so a row that the manifest names survives a kill at any instant.
A shard that no line names is the work of a killed run and is written again. Where several processes
collect together, each writes shards and a manifest of its own (``manifest-0001.jsonl``, without the
first line), so that no file has two writers; which process wrote a row means nothing afterwards.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

if sys.platform != "win32":
    import resource

from boundary.errors import StoreError
from boundary.files import (
    TEMPORARY,
    append_line,
    as_damaged,
    make_folder,
    write_text,
    write_whole,
)
from boundary.images import ImageBatch
from boundary.manifest import (
    MANIFEST,
    WAY_OUT,
    Header,
    Shard,
    manifest_of,
    manifests,
    read_manifests,
)
from boundary.points import ON_BOUNDARY, BoundaryPoints
from boundary.ranks import ALONE, Ranks
from boundary.shards import (
    NORMALS,
    POINTS,
    open_vectors,
    read_column,
    require_present,
    require_sound,
    shard_content,
)

_LONGEST_LIST = 60
_STORES, _OTHER_FILES = 8, 100
"""Stores that may be read at once, and files that the process may need beside them."""


class NormalsStore:
    """Boundary points and normals of many images, in a directory.

    Opened with `open`, made with `create`, or filled by `boundary.collect_normals`.
    """

    def __init__(self, directory: Path, header: Header, shards: list[Shard]) -> None:
        self.directory = directory
        self.shape = header.shape
        self.settings = header.settings
        self.shards = shards
        self._datasets: dict[tuple[str, str], h5py.Dataset] = {}

    @classmethod
    def create(
        cls, directory: str | Path, shape: Sequence[int], settings: Mapping[str, Any]
    ) -> "NormalsStore":
        """Begin an empty store.

        Args:
            directory: Made if it is not there.
            shape: (C, H, W) of an image.
            settings: What every row depends on, as JSON values.

        Returns:
            The store, without rows.

        Raises:
            StoreError: If the directory holds a store already.
        """
        folder = Path(directory)
        make_folder(folder)
        if (folder / MANIFEST).exists():
            raise StoreError(f"`{folder}` holds a store already; open it or name another folder.")
        for stale in manifests(folder)[1:]:
            stale.unlink()
        header = Header(tuple(shape), dict(settings))
        write_text(folder / MANIFEST, header.line() + "\n")
        return cls(folder, header, [])

    @classmethod
    def open(cls, directory: str | Path) -> "NormalsStore":
        """Return a store as it is on disk, with the rows that its manifest acknowledges.

        Raises:
            StoreError: If there is no store, or its manifest or the size of a shard is wrong.
        """
        folder = Path(directory)
        header, shards = read_manifests(folder)
        for shard in shards:
            require_present(folder, shard)
        return cls(folder, header, shards)

    def append(
        self, start: int, stop: int, batch: ImageBatch, points: BoundaryPoints, rank: int = 0
    ) -> None:
        """Write the rows of images ``start`` to ``stop`` as one shard, then acknowledge it.

        Args:
            start: First place, in the order of collecting, that the shard covers.
            stop: The place after the last.
            batch: The images of that stretch that could be read, and those that could not.
            points: Their boundary points.
            rank: Of this process among those that write to the store.
        """
        path = self.directory / f"shard-{start:08d}.h5"
        content = shard_content(batch, points)
        write_whole(path, content)
        shard = Shard(
            name=path.name,
            start=start,
            stop=stop,
            rows=len(points),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            unreadable=tuple((image.id, image.reason) for image in batch.unreadable),
        )
        append_line(self.directory / manifest_of(rank), json.dumps(asdict(shard)))
        self.shards.append(shard)
        self.shards.sort(key=lambda shard: shard.start)

    def clean(self) -> None:
        """Remove what a killed run left: temporary files and torn last lines of manifests."""
        for path in self.directory.glob(f"*{TEMPORARY}"):
            path.unlink()
        for manifest in manifests(self.directory):
            text = manifest.read_bytes()
            if not text.endswith(b"\n"):
                write_whole(manifest, text[: text.rfind(b"\n") + 1])

    def verify(self, ranks: Ranks = ALONE) -> None:
        """Compare every shard with its checksum, and its numbers with what they can be.

        Each process takes its share.

        Raises:
            StoreError: If a shard is not what was written, or could not have been.
        """
        for shard in ranks.share(self.shards):
            require_sound(self.directory, shard, self.dimension)

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def covered(self) -> int:
        """How many images the shards cover, those that could not be read included."""
        return sum(shard.stop - shard.start for shard in self.shards)

    @property
    def dimension(self) -> int:
        """D, the numbers of one image."""
        return prod(self.shape)

    @property
    def ids(self) -> list[str]:
        """Id of each row."""
        return [raw.decode("utf-8") for raw in self.column("ids")]

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """Id and reason of each image that could not be read and has no row."""
        return [pair for shard in self.shards for pair in shard.unreadable]

    def column(self, name: str) -> NDArray[Any]:
        """Return one number (or id) of every row, shape (rows,).

        Args:
            name: ``ids``, ``label``, ``position`` or one of `COLUMNS`.
        """
        parts = [read_column(self.directory, shard, name) for shard in self.shards]
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def on_boundary(self) -> NDArray[np.bool_]:
        """Whether each row is a point on the boundary with a usable normal, shape (rows,)."""
        return np.isin(self.column("status"), ON_BOUNDARY)

    def dataset(self, shard: Shard, name: str = NORMALS) -> h5py.Dataset:
        """Return the vectors of a shard, (rows, D), to be read; its file is open while it lives.

        Args:
            shard: Of this store.
            name: ``normals``, or ``points`` of the boundary.

        Raises:
            StoreError: If the shard is not what this program writes.
        """
        if (shard.name, name) in self._datasets:
            return self._datasets[shard.name, name]
        dataset = open_vectors(self.directory, shard, self.dimension, name)
        if len(self._datasets) < _kept_open():
            self._datasets[shard.name, name] = dataset
        return dataset

    def normals(self) -> "NormalMatrix":
        """Return the matrix of all usable unit normals; rows that failed are left out."""
        return NormalMatrix(self, np.flatnonzero(self.on_boundary))

    def points(self) -> "NormalMatrix":
        """Return the matrix of the boundary points of the same rows."""
        return NormalMatrix(self, np.flatnonzero(self.on_boundary), POINTS)


class NormalMatrix:
    """Unit normals, or points, of chosen rows of a store, (n, D): read by rows or by columns.

    Index it as an array with one slice: ``matrix[a:b]`` reads rows, ``matrix[:, a:b]`` columns;
    both give float32 arrays.
    """

    def __init__(self, store: NormalsStore, rows: NDArray[np.intp], name: str = NORMALS) -> None:
        self.store = store
        self.rows = rows
        self._name = name
        self.shape = (len(rows), store.dimension)

    def subset(self, places: NDArray[np.intp]) -> "NormalMatrix":
        """Return the matrix of some of these rows, by their places here, in the order given."""
        return NormalMatrix(self.store, self.rows[places], self._name)

    def __len__(self) -> int:
        return len(self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it in memory."""
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, key: slice | tuple[slice, slice]) -> NDArray[np.float32]:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        wanted = self.rows[rows]
        order = np.argsort(wanted, kind="stable")
        found = np.empty((len(wanted), len(range(*columns.indices(self.shape[1])))), np.float32)
        ends = np.cumsum([0, *(shard.rows for shard in self.store.shards)])
        cuts = np.searchsorted(wanted[order], ends)
        for shard, first, start, stop in zip(
            self.store.shards, ends[:-1], cuts[:-1], cuts[1:], strict=True
        ):
            if start < stop:
                here = order[start:stop]
                self._read(shard, wanted[here] - first, columns, found, here)
        return found

    def _read(
        self,
        shard: Shard,
        rows: NDArray[np.intp],
        columns: slice,
        found: NDArray[np.float32],
        places: NDArray[np.intp],
    ) -> None:
        """Read rows of a shard, ascending, into these places.

        Raises:
            StoreError: If the shard is damaged, or a number is not finite.
        """
        dataset = self.store.dataset(shard, self._name)
        low, high = int(rows[0]), int(rows[-1]) + 1
        first, last = int(places[0]), int(places[-1]) + 1
        with as_damaged(self.store.directory / shard.name):
            # Most often rows and places are stretches, and nothing is copied.
            if (np.diff(rows) == 1).all() and (np.diff(places) == 1).all():
                dataset.read_direct(found, np.s_[low:high, columns], np.s_[first:last])
            else:
                found[places] = dataset[low:high, columns][rows - low]
        if not np.isfinite(found[first:last]).all():
            raise StoreError(
                f"shard `{self.store.directory / shard.name}` is damaged: {self._name} that are "
                f"not finite{WAY_OUT}"
            )


def _kept_open() -> int:
    """Return how many shards of a store stay open while it is read; others open for each block."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if sys.platform != "win32" else 512
    return max(1, (min(limit, 2**14) - _OTHER_FILES) // _STORES)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what has changed between two nested dictionaries: ``name was 1, is 2``.

    Logits are the same if they differ by no more than another device may make them.
    """
    found = []
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{name}.")
        elif name == "logits" and _nearly(before, after):
            continue
        elif before != after:
            found.append(f"{prefix}{name} was {_brief(before)}, is {_brief(after)}")
    return found


def _brief(value: Any) -> str:
    """Return a value as text, a long list cut short."""
    text = str(value)
    return text if len(text) <= _LONGEST_LIST or isinstance(value, str) else f"{text[:40]}...]"


def _nearly(before: Any, after: Any) -> bool:
    try:
        one, other = np.array(before, dtype=float), np.array(after, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return False
    same_shape = one.shape == other.shape
    return same_shape and bool(
        np.abs(one - other).max(initial=0) <= 1e-2 * np.abs(one).max(initial=0)
    )
