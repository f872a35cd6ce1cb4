"""Pictures: decoded to arrays by one rule, and found in a folder."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from boundary.errors import InputError
from boundary.image_source import ImageSource, UnreadableError, of_the_file
from boundary.labels import ClassLines

_CLOSED_FORMATS = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow only names, or hands to another program (EPS to Ghostscript)."""

_Encoded = Callable[[int], Path | BytesIO]
"""Row to the file or the bytes of a picture; may raise an `UnreadableError`."""


@dataclass(frozen=True)
class Decoder:
    """From an encoded picture to an array in [0, 1], by the rule that `open_images` states.

    Args:
        channels: 3 for RGB, 1 for grey.
        size: Side of the square that is cut out; without it a picture keeps its own size.
    """

    channels: int
    size: int | None

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of every picture, where it is known before one is decoded."""
        return None if self.size is None else (self.channels, self.size, self.size)

    def __call__(self, encoded: Path | BytesIO) -> NDArray[np.float32]:
        """Return one picture, shape (C, H, W).

        Raises:
            UnreadableError: If it cannot be decoded.
            OSError: If the disk fails, or is away.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(encoded, formats=_formats()) as picture:
                    pixels = np.asarray(self._prepared(picture), np.uint8)
        except UnreadableError:
            raise
        except Exception as error:  # decoders of damaged files raise errors of many types
            folder = encoded.parent if isinstance(encoded, Path) else None
            if not of_the_file(error, folder):
                raise
            raise UnreadableError(_reason(error, encoded)) from error
        channels_last = pixels.reshape(*pixels.shape[:2], self.channels)
        return np.ascontiguousarray(channels_last.transpose(2, 0, 1), np.float32) / np.float32(255)

    def _prepared(self, picture: Image.Image) -> Image.Image:
        upright = _in_mode(ImageOps.exif_transpose(picture), "RGB" if self.channels == 3 else "L")
        return upright if self.size is None else _central_square(upright, self.size)


@final
class Pictures(ImageSource):
    """Images that are encoded pictures: files, or bytes of a dataset."""

    def __init__(
        self,
        spec: str,
        ids: tuple[str, ...],
        labels: Tensor,
        class_names: tuple[str, ...] | None,
        encoded: _Encoded,
        decoder: Decoder,
    ) -> None:
        self._encoded, self._decoder = encoded, decoder
        shape = decoder.shape or self._first_shape(len(ids), spec)
        super().__init__(spec, ids, labels, class_names, shape)

    def _first_shape(self, count: int, spec: str) -> tuple[int, int, int]:
        reason = ""
        for position in range(count):
            try:
                channels, height, width = self._decoder(self._encoded(position)).shape
            except UnreadableError as error:
                reason = reason or str(error)
            else:
                return channels, height, width
        raise InputError(f"none of the {count} images of {spec} can be read; the first: {reason}.")

    def _image(self, position: int) -> NDArray[np.float32]:
        image = self._decoder(self._encoded(position))
        if image.shape != self.shape:
            raise InputError(
                f"the images of {self.spec} should all have {_by(*self.shape[1:])}, as the first "
                f"one has. Found {_by(*image.shape[1:])} for {self.ids[position]}; give a `size` "
                "(`--size`) to bring all to one."
            )
        return image


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode in {"I", "F"}:
        raise UnreadableError("it has 32-bit pixels, whose range is not known")
    if picture.mode.startswith("I;16"):  # Pillow would clip at 255
        picture = Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert(mode)


def _central_square(picture: Image.Image, size: int) -> Image.Image:
    shorter = min(picture.size)
    target = min(max(shorter, size), round(8 * size / 7))
    if target != shorter:
        width, height = (round(side * target / shorter) for side in picture.size)
        if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
            raise UnreadableError(f"it is too long for its width, {_by(*picture.size)}")
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


def _by(first: int, second: int) -> str:
    return f"{first} x {second} pixels"


def _reason(error: Exception, encoded: Path | BytesIO) -> str:
    if isinstance(encoded, Path) and encoded.is_file() and encoded.stat().st_size == 0:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture that Pillow can read"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"it has more pixels than Pillow's limit of {Image.MAX_IMAGE_PIXELS}"
    return str(error) or type(error).__name__


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _CLOSED_FORMATS))


@functools.cache
def _suffixes() -> frozenset[str]:
    known = set(_formats())
    return frozenset(suffix for suffix, kind in Image.EXTENSION.items() if kind in known)


def open_folder(root: Path, decoder: Decoder, lines: ClassLines | None) -> Pictures:
    """Return the pictures of a folder, sorted by id: loose ones, or class folders.

    A class is the rank of its folder, or its line in the file of classes.

    Raises:
        InputError: If there are none, or loose ones beside class folders, or a folder without its
            line or pictures.
    """
    loose, by_class = _pictures_of(root)
    filled = {name: ids for name, ids in by_class.items() if ids}
    if not loose and not filled:
        raise InputError(
            f"{root} should hold images, or folders of images, one a class. Found no file that "
            "ends as a picture does (.jpg, .png, ...)."
        )
    if loose and filled:
        raise InputError(
            f"{root} should hold either images or class folders. Found both, {loose[0]} and the "
            f"folder {next(iter(filled))}; put every image in the folder of its class."
        )
    names = None if lines is None else lines.shown(filled)
    labels = dict.fromkeys(loose, -1)
    if filled and lines is None:
        names = tuple(by_class)
        _require_filled(by_class, root)
    for rank, (name, pictures) in enumerate(filled.items()):
        labels |= dict.fromkeys(pictures, rank if lines is None else lines.index(name))
    ids = tuple(sorted(labels))
    return Pictures(
        str(root),
        ids,
        torch.tensor([labels[id_] for id_ in ids]),
        names,
        lambda position: root / ids[position],
        decoder,
    )


def _pictures_of(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    # ids of the loose pictures, and of those in each class folder; all sorted
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"{root} cannot be listed: {error.strerror}.") from error
    loose = [p.name for p in entries if _is_picture(p.name) and p.is_file()]
    inside = [p.name for p in entries if p.is_dir() and not p.name.startswith(".")]
    by_class = {name: _walk(root, name) for name in inside}
    for id_ in chain(loose, *by_class.values()):
        _require_text(id_, root)
    return loose, by_class


def _walk(root: Path, name: str) -> list[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}.") from error

    found: list[str] = []
    for folder, folders, files in os.walk(root / name, onerror=refuse):
        folders[:] = [inner for inner in folders if not inner.startswith(".")]
        place = Path(folder).relative_to(root)
        found += [(place / file).as_posix() for file in files if _is_picture(file)]
    return sorted(found)


def _is_picture(file: str) -> bool:
    return not file.startswith(".") and Path(file).suffix.lower() in _suffixes()


def _require_text(id_: str, root: Path) -> None:
    try:
        id_.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the names in {root} should be UTF-8, to serve as ids. Found {id_!a}; rename it."
        ) from error


def _require_filled(by_class: Mapping[str, list[str]], root: Path) -> None:
    empty = next((name for name, ids in by_class.items() if not ids), None)
    if empty is not None:
        raise InputError(
            f"every folder of {root} should hold images of its class, since a class is the rank of "
            f"its folder. Found none in {empty}; remove it, or give a file of `classes`."
        )
