"""The normals on disk: immutable HDF5 shards and a manifest that acknowledges them.

``manifest.jsonl`` begins with one line that says what the store is (format, version, image shape
and the settings that every row depends on); each further line acknowledges one shard. A shard is
written whole before its line is, so a row that the manifest names survives a kill at any instant.
A shard that no line names is the work of a killed run and is written again. Where several processes
collect together, each writes shards and a manifest of its own (``manifest-0001.jsonl``, without the
first line), so that no file has two writers; which process wrote a row means nothing afterwards.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
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
    open_hdf5,
    plain_dataset,
    read_array,
    sha256_of_file,
    write_text,
    write_whole,
)
from boundary.images import ImageBatch
from boundary.points import ON_BOUNDARY, BoundaryPoints
from boundary.ranks import ALONE, Ranks

FORMAT, VERSION = "boundary-normals", 1
MANIFEST = "manifest.jsonl"
_LONGEST_LIST = 60
_SHARD_NAME = re.compile(r"shard-\d{8}\.h5")
_OTHER_MANIFEST = re.compile(r"manifest-\d{4,}\.jsonl")
_CHUNK = (64, 1024)  # rows, columns: 256 KiB of float32, read well by rows and by columns
_STORES, _OTHER_FILES = 8, 100
"""Stores that may be read at once, and files that the process may need beside them."""

COLUMNS = (
    "margin",
    "residual",
    "alignment",
    "runner_up",
    "source",
    "target",
    "status",
    "forward_passes",
    "backward_passes",
)
"""The fields of `BoundaryPoints` that have one number a row."""


@dataclass(frozen=True)
class Shard:
    """One line of the manifest: a file with the rows of images ``start`` to ``stop``."""

    name: str
    start: int
    stop: int
    rows: int
    bytes: int
    sha256: str
    unreadable: tuple[tuple[str, str], ...] = ()
    """Images of this stretch that could not be read: id and reason. They have no row."""


class NormalsStore:
    """Boundary points and normals of many images, in a directory.

    Opened with `open`, made with `create`, or filled by `boundary.collect_normals`.
    """

    def __init__(self, directory: Path, header: Mapping[str, Any], shards: list[Shard]) -> None:
        self.directory = directory
        self.shape: tuple[int, ...] = tuple(int(n) for n in header["shape"])
        self.settings: dict[str, Any] = dict(header["settings"])
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
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST).exists():
            raise StoreError(f"`{folder}` holds a store already; open it or name another folder.")
        for stale in _other_manifests(folder):
            stale.unlink()
        header = {
            "format": FORMAT,
            "version": VERSION,
            "shape": list(shape),
            "settings": dict(settings),
        }
        write_text(folder / MANIFEST, json.dumps(header) + "\n")
        return cls(folder, header, [])

    @classmethod
    def open(cls, directory: str | Path) -> "NormalsStore":
        """Return a store as it is on disk, with the rows that its manifest acknowledges.

        Raises:
            StoreError: If there is no store, or its manifest or the size of a shard is wrong.
        """
        folder = Path(directory)
        lines = _lines(folder / MANIFEST)
        for path in _other_manifests(folder):
            lines += _lines(path)
        try:
            header, *rest = [json.loads(line) for line in lines]
            known = header["format"] == FORMAT and header["version"] == VERSION
            shards = sorted(map(_shard_from, rest), key=lambda shard: shard.start)
            store = cls(folder, header, shards)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"`{folder / MANIFEST}` is damaged: {error}.") from error
        if not known:
            raise StoreError(
                f"`{folder}` should be a {FORMAT} store of version {VERSION}. Found "
                f"{header['format']} {header['version']}."
            )
        if any(one.stop > other.start for one, other in pairwise(shards)):
            raise StoreError(
                f"`{folder / MANIFEST}` is damaged: two shards cover the same images; collect in a "
                "new folder."
            )
        for shard in shards:
            path = folder / shard.name
            found = path.stat().st_size if path.is_file() else None
            if found != shard.bytes:
                what = "is missing" if found is None else f"has {found} bytes, not {shard.bytes}"
                raise StoreError(f"shard `{path}` {what}; restore it, or collect in a new folder.")
        return store

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
        write_whole(path, lambda temporary: _write_shard(temporary, batch, points))
        shard = Shard(
            name=path.name,
            start=start,
            stop=stop,
            rows=len(points),
            bytes=path.stat().st_size,
            sha256=sha256_of_file(path),
            unreadable=tuple((image.id, image.reason) for image in batch.unreadable),
        )
        manifest = MANIFEST if rank == 0 else f"manifest-{rank:04d}.jsonl"
        append_line(self.directory / manifest, json.dumps(asdict(shard)))
        self.shards.append(shard)
        self.shards.sort(key=lambda shard: shard.start)

    def clean(self) -> None:
        """Remove what a killed run left: temporary files and torn last lines of manifests."""
        for path in self.directory.glob(f"*{TEMPORARY}"):
            path.unlink()
        for manifest in (self.directory / MANIFEST, *_other_manifests(self.directory)):
            text = manifest.read_text(encoding="utf-8")
            if not text.endswith("\n"):
                write_text(manifest, text[: text.rfind("\n") + 1])

    def verify(self, ranks: Ranks = ALONE) -> None:
        """Compare every shard with its checksum, each process its share.

        Raises:
            StoreError: If the content of a shard is not what was written.
        """
        for shard in ranks.share(self.shards):
            path = self.directory / shard.name
            if sha256_of_file(path) != shard.sha256:
                raise StoreError(
                    f"shard `{path}` is damaged: its checksum differs from the manifest's; "
                    "restore it, or collect in a new folder."
                )

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def covered(self) -> int:
        """How many images the shards cover, those that could not be read included."""
        return sum(shard.stop - shard.start for shard in self.shards)

    @property
    def dimension(self) -> int:
        """D, the numbers of one image."""
        return int(np.prod(self.shape))

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
        parts = []
        for shard in self.shards:
            with open_hdf5(self.directory / shard.name) as file:
                parts.append(read_array(file, name))
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def on_boundary(self) -> NDArray[np.bool_]:
        """Whether each row is a point on the boundary with a usable normal, shape (rows,)."""
        return np.isin(self.column("status"), ON_BOUNDARY)

    def dataset(self, shard: Shard, name: str = "normals") -> h5py.Dataset:
        """Return the vectors of a shard, (rows, D), to be read; its file is open while it lives.

        Args:
            shard: Of this store.
            name: ``normals``, or ``points`` of the boundary.

        Raises:
            StoreError: If the shard is not what this program writes.
        """
        if (shard.name, name) in self._datasets:
            return self._datasets[shard.name, name]
        file = open_hdf5(self.directory / shard.name)
        dataset = plain_dataset(file, name)
        if dataset.shape != (shard.rows, self.dimension):
            raise StoreError(
                f"shard `{file.filename}` should hold {name} of shape "
                f"{(shard.rows, self.dimension)}. Found {dataset.shape}."
            )
        if len(self._datasets) < _kept_open():
            self._datasets[shard.name, name] = dataset
        return dataset

    def normals(self) -> "NormalMatrix":
        """Return the matrix of all usable unit normals; rows that failed are left out."""
        return NormalMatrix(self, np.flatnonzero(self.on_boundary))

    def points(self) -> "NormalMatrix":
        """Return the matrix of the boundary points of the same rows."""
        return NormalMatrix(self, np.flatnonzero(self.on_boundary), "points")


class NormalMatrix:
    """Unit normals, or points, of chosen rows of a store, (n, D): read by rows or by columns.

    Index it as an array with one slice: ``matrix[a:b]`` reads rows, ``matrix[:, a:b]`` columns;
    both give float32 arrays.
    """

    def __init__(self, store: NormalsStore, rows: NDArray[np.intp], name: str = "normals") -> None:
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
        """Read rows of a shard, ascending, into these places."""
        dataset = self.store.dataset(shard, self._name)
        low, high = int(rows[0]), int(rows[-1]) + 1
        first, last = int(places[0]), int(places[-1]) + 1
        # Most often rows and places are stretches, and nothing is copied.
        if (np.diff(rows) == 1).all() and (np.diff(places) == 1).all():
            dataset.read_direct(found, np.s_[low:high, columns], np.s_[first:last])
        else:
            found[places] = dataset[low:high, columns][rows - low]


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
    one, other = np.array(before, dtype=float), np.array(after, dtype=float)
    same_shape = one.shape == other.shape
    return same_shape and bool(
        np.abs(one - other).max(initial=0) <= 1e-2 * np.abs(one).max(initial=0)
    )


def _lines(manifest: Path) -> list[str]:
    """Return the whole lines of a manifest; of one that a kill tore nothing was acknowledged.

    Raises:
        StoreError: If it cannot be read.
    """
    try:
        text = manifest.read_text(encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"`{manifest.parent}` holds no store of normals: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(f"`{manifest}` is damaged: it is not UTF-8.") from error
    return text[: text.rfind("\n") + 1].splitlines()


def _other_manifests(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _OTHER_MANIFEST.fullmatch(path.name))


def _shard_from(entry: dict[str, Any]) -> Shard:
    shard = Shard(**{**entry, "unreadable": tuple(map(tuple, entry["unreadable"]))})
    if not _SHARD_NAME.fullmatch(shard.name):
        raise ValueError(f"`{shard.name}` is no name of a shard")
    return shard


def _write_shard(path: Path, batch: ImageBatch, points: BoundaryPoints) -> None:
    ids = np.array([name.encode("utf-8") for name in batch.ids], dtype=np.bytes_)
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for name, images in (("normals", points.normal), ("points", points.point)):
            rows = images.flatten(1).to("cpu").float().numpy()
            chunks = tuple(min(n, c) for n, c in zip(rows.shape, _CHUNK, strict=True))
            file.create_dataset(name, data=rows, chunks=chunks if len(rows) else None)
        for name in COLUMNS:
            file[name] = getattr(points, name).cpu().numpy()
        file["ids"], file["label"] = ids, batch.labels.numpy()
        file["position"] = batch.positions.numpy()
