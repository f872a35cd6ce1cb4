"""Files that are there whole or not at all, and HDF5 read as input from a stranger.

A file is written under a temporary name, closed, synced and renamed, and its folder synced: a kill
at any instant leaves the old file or the new one.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from boundary.errors import StoreError

TEMPORARY = ".tmp"
"""Ending of a file that is being written; one that is left over belongs to a killed run."""

_CLAIMED_OVER_STORED = 1000
"""An HDF5 dataset that claims more than this many times its bytes on disk is refused."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file, then put it in the place of ``path``.

    Args:
        path: Where the file will be; its folder exists.
        write: Writes the whole content to the path it is given, and closes it.
    """
    # With the process in its name: two may make the same file, such as the cached digits network.
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, UTF-8."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def append_line(path: Path, line: str) -> None:
    """Append one line to a text file and sync it; a kill leaves at most one torn last line."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        StoreError: If it is missing, is a link, is kept elsewhere, holds objects, or claims far
            more than the file stores.
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
    if dataset.nbytes > _CLAIMED_OVER_STORED * stored:
        raise StoreError(f"{where} claims {dataset.nbytes} bytes and stores {stored}.")
    return dataset


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
