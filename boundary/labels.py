"""The true classes of images: the file that names them, and the labels beside the images."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from boundary.errors import InputError, did_you_mean, require_path


@dataclass(frozen=True, eq=False)
class ClassLines:
    """The lines of a file of classes; line i is class i."""

    file: Path
    names: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> "ClassLines":
        """Return the lines of a file, without the empty ones at its end.

        Raises:
            InputError: If it is missing, is no text, or is empty.
        """
        require_path(file)
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} is not a text file of classes: {error}.") from error
        names = tuple(line.strip() for line in text.rstrip().splitlines())
        if not names:
            raise InputError(f"{file} should hold one class a line. Found none.")
        return cls(file, names)

    def shown(self, folders: Iterable[str]) -> tuple[str, ...]:
        """Return what to call the classes: without the first words, where those are the folders.

        Args:
            folders: Names of the classes that have images.
        """
        rest = tuple(line.partition(" ")[2].strip() for line in self.names)
        return self.names if not all(rest) or set(folders) & set(self.names) else rest

    def index(self, name: str) -> int:
        """Return the class whose line is a name, or else begins with it as a word.

        Raises:
            InputError: If there is no such line, or more than one.
        """
        whole = [i for i, line in enumerate(self.names) if line == name]
        found = whole or [i for i, line in enumerate(self.names) if line.split()[:1] == [name]]
        if len(found) != 1:
            first_words = (line.split()[0] for line in self.names if line)
            seen = f"{len(found)} such lines" if found else "no such line"
            hint = "" if found else did_you_mean(name, {*self.names, *first_words})
            raise InputError(
                f"the class `{name}` should be a line of {self.file}, or the first word of one. "
                f"Found {seen}{hint or '.'}"
            )
        return found[0]


def checked_labels(labels: NDArray[Any], count: int, origin: Path | str) -> Tensor:
    """Return labels as int64, shape (N,): classes from 0, or -1 where unknown.

    Args:
        labels: As they were found beside the images.
        count: N.
        origin: What they are the labels of, for the message.

    Raises:
        InputError: If they are not N whole numbers from -1.
    """
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"the labels of {origin} should be {count} whole numbers, one an image. Found shape "
            f"{labels.shape}, type {labels.dtype}."
        )
    checked = torch.from_numpy(labels.astype(np.int64))
    if int(checked.min()) < -1:
        raise InputError(
            f"the labels of {origin} should be classes from 0, or -1 where unknown. "
            f"Found {int(checked.min())}."
        )
    return checked
