"""Where images come from: a folder, an array file, a dataset, the built-in digits."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boundary.arrays import ARRAY_FILES, ArrayImages, open_arrays
from boundary.errors import InputError, require_path
from boundary.hub import open_hf
from boundary.image_source import ImageBatch, ImageSource, Unreadable
from boundary.labels import ClassLines
from boundary.pictures import Decoder, open_folder

__all__ = [
    "ImageBatch",
    "ImageSource",
    "Unreadable",
    "open_images",
    "sha256_of_ids",
    "split_images",
]


def open_images(
    spec: str, *, size: int | None = None, channels: int = 3, classes: str | None = None
) -> ImageSource:
    """Return the images that a short text names.

    A picture (of a folder or a dataset) is turned upright by its EXIF tag and made RGB or grey.
    With ``size`` S its shorter side becomes ``clip(shorter, S, round(8 S / 7))``, by bicubic
    interpolation with antialiasing, the longer side in proportion and rounded; then the central
    S x S is cut out, from offset ``(side - S) // 2``. An image whose shorter side already lies in
    between is only cut.

    Args:
        spec: ``digits``; a folder of class folders, or of images; a ``.npy``, ``.npz``, ``.h5``,
            ``.hdf5`` or ``.safetensors`` file; ``hf:NAME`` or ``hf:NAME:SPLIT``.
        size: Side S of the square images, in pixels; by default pictures keep their own size, which
            is that of the first one. For pictures only.
        channels: 3 for RGB, 1 for grey. For pictures only: arrays have their own.
        classes: File with one class a line: line i, from 0, is class i. The name of a class folder
            is a whole line or the first word of one. For an array file it gives names alone.

    Raises:
        InputError: If the text names no images, or they cannot be used as they are.
    """
    if channels not in {1, 3}:
        raise InputError(f"`channels` should be 1 (grey) or 3 (RGB). Found {channels}.")
    if size is not None and size < 1:
        raise InputError(f"`size` should be at least 1. Found {size}.")
    if spec == "digits":
        _refuse_options("the built-in digits", size=size, classes=classes)
        return _open_digits()
    lines = None if classes is None else ClassLines.read(Path(classes).expanduser())
    if spec.startswith("hf:"):
        return open_hf(spec.removeprefix("hf:"), Decoder(channels, size), lines)
    path = Path(spec).expanduser().resolve()
    require_path(path)
    if path.is_dir():
        return open_folder(path, Decoder(channels, size), lines)
    if path.suffix.lower() in ARRAY_FILES:
        _refuse_options(f"the array file {path}", size=size)
        return open_arrays(path, lines)
    raise InputError(
        f"`{spec}` should be a folder of images, or a file ending in {', '.join(ARRAY_FILES)}; "
        "put a single picture in a folder."
    )


def split_images(
    source: ImageSource, *, collect: int, evaluate: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return disjoint random rows of a source: some to collect normals at, some to evaluate on.

    The first are the head and the second the tail of one seeded permutation: asking for more of
    either keeps those already there.

    Args:
        source: At least ``collect + evaluate`` images.
        collect: How many of the first, at least 1.
        evaluate: How many of the second, at least 0.
        seed: Of the permutation.

    Returns:
        Rows, shapes (collect,) and (evaluate,), int64, in random order.

    Raises:
        InputError: If there are too few images.
    """
    if collect < 1 or evaluate < 0:
        raise InputError(
            "`collect` should be at least 1 and `evaluate` at least 0. "
            f"Found {collect} and {evaluate}."
        )
    if collect + evaluate > len(source):
        raise InputError(
            f"{source.spec} should hold at least {collect + evaluate} images, {collect} to collect "
            f"normals at and {evaluate} others to evaluate on. Found {len(source)}; lower either."
        )
    order = np.random.default_rng(seed).permutation(len(source)).astype(np.int64)
    return order[:collect], order[len(order) - evaluate :]


def sha256_of_ids(ids: Sequence[str]) -> str:
    """Return the SHA-256 of a list of ids in their order, written as JSON."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


def _open_digits() -> ImageSource:
    # Imported here because scikit-learn is slow to import.
    from boundary.digits import CLASS_NAMES, digits_images

    digits = digits_images()
    ids = tuple(f"digits/{row:04d}" for row in digits.rows)
    return ArrayImages("digits", ids, digits.images, torch.from_numpy(digits.labels), CLASS_NAMES)


def _refuse_options(what: str, **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"`{given[0]}` does not apply to {what}.")
