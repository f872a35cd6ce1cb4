"""Files that are there whole or not at all, and HDF5 read as input from a stranger.

A file is made in memory, written under a temporary name, synced and renamed, and its folder synced:
a kill at any instant, or a fault of the disk, leaves the old file or the new one.
"""

import errno
import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from boundary.errors import BoundaryError, StoreError

TEMPORARY = ".tmp"
"""Ending of a file that is being written; one that is left over belongs to a killed run."""

_INFLATION, _ALWAYS_ALLOWED = 100, 1 << 26
"""Compressed data may claim this many times its bytes on disk, and 64 MiB in any case."""


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file, and only then put it in the place of ``path``.

    Args:
        path: Where the file will be; its folder exists.
        content: All of it.

    Raises:
        OSError: If the disk is full or fails; what was at ``path`` is still there.
    """
    # With the process in its name: two may make the same file, such as the cached digits network.
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # of a folder that has vanished, or may not be written any more
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, that stay when the power fails.

    Raises:
        OSError: If it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        _sync_folder(folder.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, UTF-8."""
    write_whole(path, text.encode("utf-8"))


def append_line(path: Path, line: str) -> None:
    """Append one line to a text file and sync it; a kill leaves at most one torn last line.

    Raises:
        OSError: If the disk is full or fails; what was written of the line is taken back.
    """
    left = memoryview(f"{line}\n".encode())
    new = not path.exists()
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(before)
            raise
    if new:
        _sync_folder(path.parent)


def hdf5_content(fill: Callable[[h5py.File], object]) -> memoryview:
    """Return the bytes of an HDF5 file.

    Made in memory, as an error of the disk inside the HDF5 library can come late, or as a crash.

    Args:
        fill: Writes into the file it is given.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getbuffer()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def as_damaged(path: Path) -> Iterator[None]:
    """Turn any error of reading a file into a StoreError that names it.

    Raises:
        StoreError: If the code within raised an error, of whatever type: HDF5 has many. Want of
            memory says nothing of the file.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, BoundaryError | MemoryError):
            raise
        raise StoreError(f"`{path}` is damaged: {type(error).__name__}: {error}.") from error


def open_hdf5(path: Path) -> h5py.File:
    """Return an HDF5 file opened to read.

    Raises:
        StoreError: If the file is missing or is no HDF5.
    """
    try:
        return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StoreError(f"`{path}` is missing.") from error
    except OSError as error:
        raise StoreError(f"`{path}` cannot be read as HDF5: {error}.") from error


def read_array(group: h5py.Group, name: str) -> NDArray[Any]:
    """Return a plain array of numbers or fixed-length bytes, in the dtype that is stored.

    Args:
        group: The file or group that should hold it.
        name: Of the dataset, directly in the group.

    Raises:
        StoreError: If it is missing, lies in another file, or is of a type that a result never is.
    """
    return np.asarray(plain_dataset(group, name)[()])


def plain_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset that lies in this very file and holds plain numbers or bytes.

    Raises:
        StoreError: If it is missing, is a link, is kept elsewhere, holds objects, or claims more
            than the file stores.
    """
    where = f"`{name}` of `{group.file.filename}`"
    link = group.get(name, getlink=True)
    if link is None:
        raise StoreError(f"{where} is missing; the file is not what this program writes.")
    if not isinstance(link, h5py.HardLink):
        raise StoreError(
            f"{where} is a link and points elsewhere, which is refused; copy the data into "
            "the file."
        )
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biufS":
        raise StoreError(f"{where} should be a plain dataset of numbers or bytes; it is refused.")
    if dataset.is_virtual or dataset.external:
        raise StoreError(f"{where} should be a plain dataset and is kept in another file.")
    stored = dataset.id.get_storage_size()
    if dataset.id.get_create_plist().get_nfilters():
        # A chunk is unpacked whole, however little of it the dataset has.
        chunk = prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
        require_plausible(where, max(dataset.nbytes, chunk), stored)
    elif dataset.nbytes > stored:
        raise StoreError(f"{where} claims {dataset.nbytes} bytes and stores {stored}: refused.")
    return dataset


def require_plausible_zip(path: Path) -> None:
    """Refuse a zip file, such as `.npz` and `.pt`, whose members claim far more than it stores.

    Raises:
        StoreError: If they do.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        require_plausible(f"`{path}`", claimed, path.stat().st_size)


def require_plausible(what: str, claimed: int, stored: int) -> None:
    """Refuse compressed data that claims far more bytes than it stores.

    Raises:
        StoreError: If it does.
    """
    if claimed > max(_ALWAYS_ALLOWED, _INFLATION * stored):
        raise StoreError(f"{what} claims {claimed} bytes and stores {stored}: refused.")


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of file systems that do not sync folders
            raise
    finally:
        os.close(descriptor)
