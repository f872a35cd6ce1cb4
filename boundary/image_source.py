"""What every source of images is: images in a fixed order, read a few at a time."""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from boundary.errors import InputError


class UnreadableError(Exception):
    """Why one image cannot be read."""


_OF_ONE_FILE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR}


def of_the_file(error: Exception, folder: Path | None = None) -> bool:
    """Return whether an error of reading an image is the image's own, for good.

    A disk that fails or is away, and want of memory, are not: the image may be read another time.

    Args:
        error: Of whatever reads it.
        folder: Of the image, if it is a file: where that is away too, the disk is.
    """
    if isinstance(error, MemoryError):
        return False
    if not isinstance(error, OSError):
        return True
    if error.errno is None:  # of a decoder; HDF5 has the disk's in its text
        return "errno =" not in str(error)
    return error.errno in _OF_ONE_FILE and folder is not None and os.access(folder, os.X_OK)


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    id: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Images that were read, and the list of those that were not."""

    images: Tensor  # (n, C, H, W) float32 in [0, 1]
    positions: Tensor  # (n,) int64, rows of the source
    ids: tuple[str, ...]  # n
    labels: Tensor  # (n,) int64, -1 where unknown
    unreadable: tuple[Unreadable, ...]


class ImageSource(ABC):
    """Images in a fixed order, each with an id that does not change from run to run.

    Args:
        spec: What opens it again from any folder.
        ids: One name an image, N of them.
        labels: True class of each image, shape (N,), int64; -1 where unknown.
        class_names: Index -> name, where known.
        shape: (C, H, W) of every image.
    """

    def __init__(
        self,
        spec: str,
        ids: tuple[str, ...],
        labels: Tensor,
        class_names: tuple[str, ...] | None,
        shape: tuple[int, int, int],
    ) -> None:
        self.spec = spec
        self.ids = ids
        self.labels = labels
        self.class_names = class_names
        self.shape = shape

    def __len__(self) -> int:
        return len(self.ids)

    @final
    def read(self, positions: Sequence[int] | NDArray[np.int64]) -> ImageBatch:
        """Return the images at some rows, in their order; those that cannot be read are listed.

        Args:
            positions: Rows from 0 to N - 1.

        Raises:
            InputError: If a row is out of range, or an image has another size than the first.
        """
        images: list[NDArray[np.float32]] = []
        kept: list[int] = []
        unreadable: list[Unreadable] = []
        for position in map(int, positions):
            if not 0 <= position < len(self):
                raise InputError(f"`positions` should lie in 0..{len(self) - 1}. Found {position}.")
            try:
                images.append(self._image(position))
            except UnreadableError as error:
                unreadable.append(Unreadable(self.ids[position], str(error)))
            else:
                kept.append(position)
        rows = torch.tensor(kept, dtype=torch.int64)
        stacked = np.stack(images) if images else np.empty((0, *self.shape), np.float32)
        return ImageBatch(
            images=torch.from_numpy(stacked),
            positions=rows,
            ids=tuple(self.ids[position] for position in kept),
            labels=self.labels[rows],
            unreadable=tuple(unreadable),
        )

    @abstractmethod
    def _image(self, position: int) -> NDArray[np.float32]:
        """Return one image, shape (C, H, W), in [0, 1]; an `UnreadableError` says why not."""
