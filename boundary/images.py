"""Where images come from: a folder, an array file, a dataset, the built-in digits."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    "DIGITS",
    "ImageBatch",
    "ImageSource",
    "Unreadable",
    "open_images",
    "sha256_of_ids",
    "split_images",
]

DIGITS = "digits"
"""Names the built-in images, also where a folder of that name is there."""

CONTROL = "control:"
"""Begins the name of a planted network, and of its images."""


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
        spec: ``digits``; ``control:NAME`` or ``control:NAME:SEED``, those of a planted network; a
            folder of class folders, or of images; a ``.npy``, ``.npz``, ``.h5``,
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
    options = _Options(size, channels, classes)
    for origin in IMAGE_ORIGINS:
        if origin.holds(spec):
            return origin.open(spec, options)
    require_path(_path(spec))
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
            f"normals at and {evaluate} others to evaluate on. Found {len(source)}; lower "
            "`collect`, `evaluate` or both."
        )
    order = np.random.default_rng(seed).permutation(len(source)).astype(np.int64)
    return order[:collect], order[len(order) - evaluate :]


def sha256_of_ids(ids: Sequence[str]) -> str:
    """Return the SHA-256 of a list of ids in their order, written as JSON."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


def _refuse_options(what: str, **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"`{given[0]}` does not apply to {what}.")


def _path(spec: str) -> Path:
    return Path(spec).expanduser().resolve()


@dataclass(frozen=True)
class _Options:
    """As given to `open_images`."""

    size: int | None
    channels: int
    classes: str | None

    @property
    def decoder(self) -> Decoder:
        return Decoder(self.channels, self.size)

    @property
    def lines(self) -> ClassLines | None:
        return None if self.classes is None else ClassLines.read(Path(self.classes).expanduser())


def _open_digits(_: str, options: _Options) -> ImageSource:
    # Imported here because scikit-learn is slow to import.
    from boundary.digits import CLASS_NAMES, digits_images

    _refuse_options("the built-in digits", size=options.size, classes=options.classes)
    digits = digits_images()
    ids = tuple(f"digits/{row:04d}" for row in digits.rows)
    return ArrayImages(DIGITS, ids, digits.images, torch.from_numpy(digits.labels), CLASS_NAMES)


def _open_hf(spec: str, options: _Options) -> ImageSource:
    return open_hf(spec.removeprefix("hf:"), options.decoder, options.lines)


def _open_folder(spec: str, options: _Options) -> ImageSource:
    return open_folder(_path(spec), options.decoder, options.lines)


def _open_arrays(spec: str, options: _Options) -> ImageSource:
    lines, path = options.lines, _path(spec)
    require_path(path)
    _refuse_options(f"the array file {path}", size=options.size)
    return open_arrays(path, lines)


@dataclass(frozen=True)
class ImageOrigin:
    """A place that images come from."""

    patterns: tuple[str, ...]
    """How they are named."""
    text: str
    """What they are, in a line."""
    holds: Callable[[str], bool]
    """Whether a name is of this kind."""
    open: Callable[[str, _Options], ImageSource]
    package: str | None = None
    """That has to be installed."""
    extra: str | None = None
    """Of this project, which installs it."""


def _open_control(spec: str, options: _Options) -> ImageSource:
    # Imported here because the linear one needs the digits.
    from boundary.controls import named_control

    _refuse_options("the images of a control", size=options.size, classes=options.classes)
    return named_control(spec).images


IMAGE_ORIGINS = (
    ImageOrigin(
        (DIGITS,),
        "built in: 8 x 8 grey handwritten digits of scikit-learn",
        lambda spec: spec == DIGITS,
        _open_digits,
    ),
    ImageOrigin(
        ("control:NAME", "control:NAME:SEED"),
        "built in: the images of a planted network, taken by default with its model",
        lambda spec: spec.startswith(CONTROL),
        _open_control,
    ),
    ImageOrigin(
        ("hf:NAME", "hf:NAME:SPLIT"),
        "a data set of Hugging Face: on the hub, or a folder where one was saved",
        lambda spec: spec.startswith("hf:"),
        _open_hf,
        "datasets",
        "hf",
    ),
    ImageOrigin(
        ("FOLDER",),
        "pictures in class folders, or pictures alone",
        lambda spec: _path(spec).is_dir(),
        _open_folder,
    ),
    ImageOrigin(
        (f"FILE{'|'.join(ARRAY_FILES)}",),
        "arrays of images in [0, 1] or of bytes, with or without labels",
        lambda spec: _path(spec).suffix.lower() in ARRAY_FILES,
        _open_arrays,
    ),
)
"""All of them; the first that holds a name opens it."""
