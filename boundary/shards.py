"""One shard: the boundary points of some images, as an HDF5 file that is read as a stranger's."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from boundary.errors import StoreError
from boundary.files import as_damaged, hdf5_content, open_hdf5, plain_dataset, sha256_of_file
from boundary.images import ImageBatch
from boundary.manifest import FORMAT, VERSION, WAY_OUT, Shard
from boundary.points import ON_BOUNDARY, BoundaryPoints, Status

NORMALS, POINTS = "normals", "points"
VECTORS = (NORMALS, POINTS)

_REAL = ("margin", "residual", "alignment", "runner_up")
_WHOLE = ("source", "target", "status", "forward_passes", "backward_passes")
COLUMNS = (*_REAL, *_WHOLE)
"""The fields of `BoundaryPoints` that have one number a row."""

_KINDS = {
    **dict.fromkeys(_REAL, "f"),
    **dict.fromkeys((*_WHOLE, "label", "position"), "i"),
    "ids": "S",
}
"""Kind of the numbers of each column."""

_CHUNK = (64, 1024)  # rows, columns: 256 KiB of float32, read well by rows and by columns
_UNIT_TOLERANCE = 1e-3
_BLOCK = 2**22
"""Numbers of vectors that are checked at once."""


def shard_content(batch: ImageBatch, points: BoundaryPoints) -> memoryview:
    """Return the bytes of a shard."""

    def fill(file: h5py.File) -> None:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for name, images in ((NORMALS, points.normal), (POINTS, points.point)):
            rows = images.flatten(1).to("cpu").float().numpy()
            chunks = tuple(min(n, c) for n, c in zip(rows.shape, _CHUNK, strict=True))
            file.create_dataset(name, data=rows, chunks=chunks if len(rows) else None)
        for name in COLUMNS:
            file[name] = getattr(points, name).cpu().numpy()
        file["ids"] = np.array([name.encode("utf-8") for name in batch.ids], dtype=np.bytes_)
        file["label"], file["position"] = batch.labels.numpy(), batch.positions.numpy()

    return hdf5_content(fill)


def require_present(folder: Path, shard: Shard) -> None:
    """Refuse a shard that is missing or of another size.

    Raises:
        StoreError: If it is.
    """
    path = folder / shard.name
    found = path.stat().st_size if path.is_file() else None
    if found != shard.bytes:
        what = "is missing" if found is None else f"has {found} bytes, not {shard.bytes}"
        raise StoreError(f"shard `{path}` {what}; restore it{WAY_OUT}")


def require_checksum(folder: Path, shard: Shard) -> None:
    """Refuse a shard that has changed since it was written.

    Raises:
        StoreError: If its checksum differs.
    """
    path = folder / shard.name
    if sha256_of_file(path) != shard.sha256:
        raise StoreError(
            f"shard `{path}` is damaged: its checksum differs from the manifest's; restore it"
            f"{WAY_OUT}"
        )


def read_column(folder: Path, shard: Shard, name: str) -> NDArray[Any]:
    """Return one number (or id) of every row of a shard.

    Raises:
        StoreError: If the shard is not what this program writes.
    """
    path = folder / shard.name
    with as_damaged(path), open_hdf5(path) as file:
        dataset = plain_dataset(file, name)
        if dataset.shape != (shard.rows,) or (shard.rows and dataset.dtype.kind != _KINDS[name]):
            raise StoreError(
                f"shard `{path}` should hold {shard.rows} numbers `{name}`. Found "
                f"{dataset.shape} of {dataset.dtype}."
            )
        return np.asarray(dataset[()])


def open_vectors(folder: Path, shard: Shard, dimension: int, name: str) -> h5py.Dataset:
    """Return the vectors of a shard, (rows, D), to be read; its file is open while it lives.

    Args:
        folder: Of the store.
        shard: Of it.
        dimension: D.
        name: One of `VECTORS`.

    Raises:
        StoreError: If the shard is not what this program writes.
    """
    path = folder / shard.name
    with as_damaged(path):
        dataset = plain_dataset(open_hdf5(path), name)
        if dataset.shape != (shard.rows, dimension) or dataset.dtype != np.float32:
            raise StoreError(
                f"shard `{path}` should hold {name} of shape {(shard.rows, dimension)}, float32. "
                f"Found {dataset.shape}, {dataset.dtype}."
            )
        return dataset


def require_sound(folder: Path, shard: Shard, dimension: int) -> None:
    """Refuse a shard that is not, number by number, what this program writes.

    Args:
        folder: Of the store.
        shard: Of it.
        dimension: D.

    Raises:
        StoreError: If anything is missing, of another kind, or out of its range.
    """
    require_present(folder, shard)
    require_checksum(folder, shard)
    columns = {name: read_column(folder, shard, name) for name in _KINDS}
    used = np.isin(columns["status"], ON_BOUNDARY)
    faults = {
        "a status that is none": ~np.isin(columns["status"], list(Status)),
        "a margin, residual or alignment that is not finite": used
        & ~np.isfinite([columns[name] for name in _REAL[:3]]).all(0),
        "a negative margin": columns["margin"] < 0,
        "a class below 0": (columns["source"] < 0) | (columns["target"] < 0),
        "a number of passes below 0": (columns["forward_passes"] < 0)
        | (columns["backward_passes"] < 0),
    }
    path = folder / shard.name
    _require_none(path, faults)
    with as_damaged(path):
        for raw in columns["ids"].tolist():
            raw.decode("utf-8")
    for name in VECTORS:
        dataset = open_vectors(folder, shard, dimension, name)
        step = max(1, _BLOCK // dimension)
        for start in range(0, shard.rows, step):
            part = slice(start, start + step)
            with as_damaged(path):
                rows = np.asarray(dataset[part])
            faults = {f"{name} that are not finite": ~np.isfinite(rows).all(1)}
            if name == NORMALS:
                lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
                off = np.abs(lengths - 1) > _UNIT_TOLERANCE
                faults["a normal that is not of length 1"] = used[part] & off
            _require_none(path, faults)


def _require_none(path: Path, faults: dict[str, NDArray[np.bool_]]) -> None:
    for what, rows in faults.items():
        if rows.any():
            raise StoreError(
                f"shard `{path}` is damaged: row {int(np.argmax(rows))} has {what}{WAY_OUT}"
            )
