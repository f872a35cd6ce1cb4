"""Where images come from: a folder, an array file, a dataset, the built-in digits."""

import functools
import hashlib
import importlib
import json
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, final
from zipfile import BadZipFile

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from boundary.errors import InputError
from boundary.models import did_you_mean, require_path

_IMAGE_KEYS = ("images", "x", "data")
_LABEL_KEYS = ("labels", "y", "targets")

_CLOSED_FORMATS = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow only names, or hands to another program (EPS to Ghostscript)."""

_RANGE_TOLERANCE = 1e-6
"""How far outside [0, 1] a float may lie: rounding, which is then clipped."""

_RANGE_SAMPLE = 256
"""Rows of a float array that are looked at when it is opened; the others when they are read."""

_DECLARED_OVER_STORED = 1000
"""An HDF5 dataset that claims more than this many times its bytes on disk is refused."""


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
            except _UnreadableError as error:
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
        """Return one image, shape (C, H, W), in [0, 1]; an `_UnreadableError` says why not."""


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
    lines = None if classes is None else _ClassLines.read(Path(classes).expanduser())
    if spec.startswith("hf:"):
        return _open_hf(spec.removeprefix("hf:"), _Decoder(channels, size), lines)
    path = Path(spec).expanduser().resolve()
    require_path(path)
    if path.is_dir():
        return _open_folder(path, _Decoder(channels, size), lines)
    if path.suffix.lower() in _ARRAY_FILES:
        _refuse_options(f"the array file {path}", size=size)
        return _open_arrays(path, lines)
    raise InputError(
        f"`{spec}` should be a folder of images, or a file ending in {', '.join(_ARRAY_FILES)}; "
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
            f"normals at and {evaluate} others to evaluate on. Found {len(source)}."
        )
    order = np.random.default_rng(seed).permutation(len(source)).astype(np.int64)
    return order[:collect], order[len(order) - evaluate :]


def sha256_of_ids(ids: Sequence[str]) -> str:
    """Return the SHA-256 of a list of ids in their order, written as JSON."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


class _UnreadableError(Exception):
    """Why one image cannot be read."""


class _Rows(Protocol):
    """An array, in memory or on disk, whose first axis counts images."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, row: int, /) -> Any: ...


@final
class _ArrayImages(ImageSource):
    """Images that are rows of an array."""

    def __init__(
        self,
        spec: str,
        ids: tuple[str, ...],
        rows: _Rows,
        labels: Tensor,
        class_names: tuple[str, ...] | None,
    ) -> None:
        self._rows = rows
        self._to_channels_first = _to_channels_first(rows.shape, spec)
        _require_pixels(rows, spec)
        blank = np.broadcast_to(np.float32(0), rows.shape[1:])
        channels, height, width = self._to_channels_first(blank).shape
        super().__init__(spec, ids, labels, class_names, (channels, height, width))

    def _image(self, position: int) -> NDArray[np.float32]:
        try:
            raw = np.asarray(self._rows[position])
        except OSError as error:
            raise _UnreadableError(f"its bytes cannot be read: {error}") from error
        return self._to_channels_first(_in_unit_range(raw))


@final
class _Pictures(ImageSource):
    """Images that are encoded pictures: files, or bytes of a dataset."""

    def __init__(
        self,
        spec: str,
        ids: tuple[str, ...],
        labels: Tensor,
        class_names: tuple[str, ...] | None,
        encoded: "_Encoded",
        decoder: "_Decoder",
    ) -> None:
        self._encoded, self._decoder = encoded, decoder
        shape = decoder.shape or _first_shape(encoded, decoder, len(ids), spec)
        super().__init__(spec, ids, labels, class_names, shape)

    def _image(self, position: int) -> NDArray[np.float32]:
        image = self._decoder(self._encoded(position))
        if image.shape != self.shape:
            raise InputError(
                f"the images of {self.spec} should all have {_pixels(self.shape)}, as the first "
                f"one has. Found {_pixels(image.shape)} for {self.ids[position]}; give a `size` "
                "(`--size`) to bring all to one."
            )
        return image


_Encoded = Callable[[int], Path | BytesIO]
"""Row to the file or the bytes of a picture; may raise an `_UnreadableError`."""


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[2]} pixels"


def _first_shape(
    encoded: _Encoded, decoder: "_Decoder", count: int, spec: str
) -> tuple[int, int, int]:
    reason = ""
    for position in range(count):
        try:
            channels, height, width = decoder(encoded(position)).shape
        except _UnreadableError as error:
            reason = reason or str(error)
        else:
            return channels, height, width
    raise InputError(f"none of the {count} images of {spec} can be read; the first: {reason}.")


# Pictures


@dataclass(frozen=True)
class _Decoder:
    """From an encoded picture to an array in [0, 1], by the rule that `open_images` states."""

    channels: int
    size: int | None

    @property
    def shape(self) -> tuple[int, int, int] | None:
        return None if self.size is None else (self.channels, self.size, self.size)

    def __call__(self, encoded: Path | BytesIO) -> NDArray[np.float32]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(encoded, formats=_formats()) as picture:
                    pixels = np.asarray(self._prepared(picture), np.uint8)
        except _UnreadableError:
            raise
        except Exception as error:  # decoders of damaged files raise errors of many types
            raise _UnreadableError(_reason(error, encoded)) from error
        channels_last = pixels.reshape(*pixels.shape[:2], self.channels)
        return np.ascontiguousarray(channels_last.transpose(2, 0, 1), np.float32) / np.float32(255)

    def _prepared(self, picture: Image.Image) -> Image.Image:
        upright = _in_mode(ImageOps.exif_transpose(picture), "RGB" if self.channels == 3 else "L")
        return upright if self.size is None else _central_square(upright, self.size)


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode in {"I", "F"}:
        raise _UnreadableError("it has 32-bit pixels, whose range is not known")
    if picture.mode.startswith("I;16"):  # Pillow would clip at 255
        picture = Image.fromarray(np.round(np.asarray(picture) / 257).astype(np.uint8))
    return picture.convert(mode)


def _central_square(picture: Image.Image, size: int) -> Image.Image:
    shorter = min(picture.size)
    target = min(max(shorter, size), round(8 * size / 7))
    if target != shorter:
        width, height = (round(side * target / shorter) for side in picture.size)
        if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
            raise _UnreadableError(f"it is too long for its width, {_by(picture)}")
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in picture.size)
    return picture.crop((left, top, left + size, top + size))


def _by(picture: Image.Image) -> str:
    return f"{picture.width} x {picture.height} pixels"


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


# Classes


@dataclass(frozen=True, eq=False)
class _ClassLines:
    """The lines of a file of classes; line i is class i."""

    file: Path
    names: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> "_ClassLines":
        require_path(file)
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} is not a text file of classes: {error}.") from error
        names = tuple(line.strip() for line in text.rstrip().splitlines())
        if not names:
            raise InputError(f"{file} should hold one class a line. Found none.")
        return cls(file, names)

    def index(self, name: str) -> int:
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


# Folders


def _open_folder(root: Path, decoder: _Decoder, lines: _ClassLines | None) -> ImageSource:
    by_folder = _pictures_of(root)
    loose = by_folder.pop("")
    filled = [name for name, found in by_folder.items() if found]
    if not loose and not filled:
        raise InputError(
            f"{root} should hold images, or folders of images, one a class. Found no file that "
            "ends as a picture does (.jpg, .png, ...)."
        )
    if loose and filled:
        raise InputError(
            f"{root} should hold either images or class folders. Found both, {loose[0]} and the "
            f"folder {filled[0]}; put every image in the folder of its class."
        )
    if loose:
        ids, labels = loose, [-1] * len(loose)
        names = None if lines is None else lines.names
    else:
        index = _class_indices(by_folder, root, lines)
        names = tuple(by_folder) if lines is None else lines.names
        pairs = sorted((id_, index[name]) for name in filled for id_ in by_folder[name])
        ids, labels = [id_ for id_, _ in pairs], [label for _, label in pairs]
    return _Pictures(
        str(root),
        tuple(ids),
        torch.tensor(labels, dtype=torch.int64),
        names,
        lambda position: root / ids[position],
        decoder,
    )


def _pictures_of(root: Path) -> dict[str, list[str]]:
    # class folder, in sorted order -> ids of its pictures; "" -> those in no folder
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"{root} cannot be listed: {error.strerror}.") from error
    inside = [p.name for p in entries if p.is_dir() and not p.name.startswith(".")]
    loose = [p.name for p in entries if _is_picture(p.name) and p.is_file()]
    found = {"": loose} | {name: _walk(root, name) for name in inside}
    for ids in found.values():
        for id_ in ids:
            _require_text(id_, root)
    return found


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


def _class_indices(
    by_folder: Mapping[str, list[str]], root: Path, lines: _ClassLines | None
) -> dict[str, int]:
    if lines is not None:
        return {name: lines.index(name) for name, found in by_folder.items() if found}
    empty = next((name for name, found in by_folder.items() if not found), None)
    if empty is not None:
        raise InputError(
            f"every folder of {root} should hold images of its class, since a class is the rank of "
            f"its folder. Found none in {empty}; remove it, or give a file of `classes`."
        )
    return {name: rank for rank, name in enumerate(by_folder)}


# Arrays


def _open_digits() -> ImageSource:
    # Imported here because scikit-learn is slow to import.
    from boundary.digits import CLASS_NAMES, digits_images

    digits = digits_images()
    ids = tuple(f"digits/{row:04d}" for row in digits.rows)
    return _ArrayImages("digits", ids, digits.images, torch.from_numpy(digits.labels), CLASS_NAMES)


def _open_arrays(file: Path, lines: _ClassLines | None) -> ImageSource:
    try:
        rows, labels = _ARRAY_FILES[file.suffix.lower()](file)
    except (OSError, ValueError, EOFError, BadZipFile, MemoryError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        cause = str(error).rstrip(".")
        raise InputError(f"{file} cannot be read as an array file: {cause}.") from error
    count = rows.shape[0] if rows.shape else 0
    if count == 0:
        raise InputError(f"{file} should hold at least one image. Found shape {rows.shape}.")
    known = torch.full((count,), -1) if labels is None else _checked_labels(labels, count, file)
    names = None if lines is None else lines.names
    if lines is not None and int(known.max()) >= len(lines.names):
        raise InputError(
            f"{lines.file} should name every class of {file}. Found {len(lines.names)} lines and "
            f"the label {int(known.max())}."
        )
    return _ArrayImages(str(file), tuple(map(str, range(count))), rows, known, names)


def _from_npy(file: Path) -> tuple[_Rows, None]:
    rows: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return rows, None


def _from_npz(file: Path) -> tuple[_Rows, NDArray[Any] | None]:
    with np.load(file, allow_pickle=False) as archive:
        return _images_and_labels(archive, file)


def _from_safetensors(file: Path) -> tuple[_Rows, NDArray[Any] | None]:
    tensors = load_file(file)
    if any(tensor.dtype is torch.bfloat16 for tensor in tensors.values()):
        raise InputError(f"{file} should hold uint8 or float arrays. Found bfloat16.")
    return _images_and_labels({key: tensor.numpy() for key, tensor in tensors.items()}, file)


def _from_hdf5(file: Path) -> tuple[_Rows, NDArray[Any] | None]:
    opened = h5py.File(file, "r")  # stays open: rows are read when they are asked for
    try:
        return _images_and_labels(_plain_datasets(opened, file), file, check=_require_plain)
    except BaseException:
        opened.close()
        raise


def _plain_datasets(opened: Any, file: Path) -> dict[str, Any]:
    datasets = {}
    for key in opened:
        plain = isinstance(opened.get(key, getlink=True), h5py.HardLink)
        if not plain and key in _IMAGE_KEYS + _LABEL_KEYS:
            raise InputError(f"`{key}` of {file} is a link; copy the data into the file.")
        if plain and isinstance(opened[key], h5py.Dataset):
            datasets[key] = opened[key]
    return datasets


def _require_plain(dataset: Any, file: Path) -> None:
    if dataset.is_virtual or dataset.external or dataset.dtype.kind not in "uif":
        raise InputError(
            f"`{dataset.name[1:]}` of {file} should be a plain dataset of numbers. Found virtual "
            f"or external storage, or the type {dataset.dtype}."
        )
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _DECLARED_OVER_STORED * stored:
        raise InputError(
            f"`{dataset.name[1:]}` of {file} claims {dataset.nbytes} bytes and stores {stored}."
        )


def _images_and_labels(
    arrays: Mapping[str, Any], file: Path, *, check: Callable[[Any, Path], None] | None = None
) -> tuple[_Rows, NDArray[Any] | None]:
    images = arrays[_images_key(arrays, file)]
    label_key = next((key for key in _LABEL_KEYS if key in arrays), None)
    labels = None if label_key is None else arrays[label_key]
    for array in (images, labels):
        if check is not None and array is not None:
            check(array, file)
    return images, None if labels is None else labels[...]


def _images_key(arrays: Mapping[str, Any], file: Path) -> str:
    named = next((key for key in _IMAGE_KEYS if key in arrays), None)
    if named is not None:
        return named
    deep = [key for key in arrays if arrays[key].ndim == 4]
    if len(deep) != 1:
        raise InputError(
            f"{file} should hold its images under `images`, `x` or `data`, or as its only 4-d "
            f"array. Found {', '.join(f'`{key}`' for key in arrays) or 'no arrays'}."
        )
    return deep[0]


_ARRAY_FILES: dict[str, Callable[[Path], tuple[_Rows, NDArray[Any] | None]]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".h5": _from_hdf5,
    ".hdf5": _from_hdf5,
    ".safetensors": _from_safetensors,
}


def _checked_labels(labels: NDArray[Any], count: int, origin: Path | str) -> Tensor:
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


def _to_channels_first(
    shape: tuple[int, ...], spec: str
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    if len(shape) == 3:
        return lambda image: image[None]
    first = len(shape) == 4 and shape[1] in {1, 3}
    last = len(shape) == 4 and shape[3] in {1, 3}
    if first == last:
        found = "both could be" if first else "neither is"
        raise InputError(
            f"the images of {spec} should have shape (N, C, H, W) or (N, H, W, C) with C 1 or 3, "
            f"or (N, H, W). Found {shape}, where {found} the channels."
        )
    if first:
        return lambda image: image
    return lambda image: np.ascontiguousarray(image.transpose(2, 0, 1))


def _require_pixels(rows: _Rows, spec: str) -> None:
    if rows.dtype == np.uint8:
        return
    if rows.dtype.kind != "f":
        raise InputError(
            f"the images of {spec} should be uint8 in 0..255 or floats in [0, 1]. "
            f"Found {rows.dtype}."
        )
    count = rows.shape[0]
    step = -(-count // _RANGE_SAMPLE)
    looked_at = (np.asarray(rows[row]) for row in range(0, count, step))
    ranges = [(v.min(), v.max()) for image in looked_at if (v := image[np.isfinite(image)]).size]
    if ranges and not _lies_in_unit_range(np.array(ranges)):
        raise InputError(
            f"the images of {spec} should lie in [0, 1]. Found minimum {np.min(ranges):.4g}, "
            f"maximum {np.max(ranges):.4g}; undo their normalisation, which belongs inside the "
            "model, or store them as uint8 where 255 is white."
        )


def _in_unit_range(raw: NDArray[Any]) -> NDArray[np.float32]:
    if raw.dtype == np.uint8:
        return raw.astype(np.float32) / np.float32(255)
    if not np.isfinite(raw).all():
        raise _UnreadableError("it holds NaN or infinity")
    if not _lies_in_unit_range(raw):
        raise _UnreadableError(f"it lies in [{raw.min():.4g}, {raw.max():.4g}], outside [0, 1]")
    return np.clip(raw.astype(np.float32), 0, 1)


def _lies_in_unit_range(values: NDArray[Any]) -> bool:
    least, most = float(values.min()), float(values.max())
    return least >= -_RANGE_TOLERANCE and most <= 1 + _RANGE_TOLERANCE


# Hugging Face datasets


def _open_hf(text: str, decoder: _Decoder, lines: _ClassLines | None) -> ImageSource:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise InputError(
            f"datasets could not be imported ({error}); "
            "install it with: pip install 'boundary-geometry[hf]'"
        ) from error
    place, _, split = text.partition(":")
    folder = Path(place).expanduser()
    place = str(folder.resolve()) if folder.is_dir() else place
    table, split = _one_split(_load_hf(datasets, place), split, place)
    column = _image_column(table.features, datasets.Image, place)
    table = table.cast_column(column, datasets.Image(decode=False))
    labels, names = _hf_labels(table, datasets.ClassLabel, lines, place)
    return _Pictures(
        f"hf:{place}{':' if split else ''}{split}",
        tuple(f"{split or 'row'}/{row}" for row in range(len(table))),
        labels,
        names,
        lambda position: _encoded_cell(table[position][column]),
        decoder,
    )


def _load_hf(datasets: Any, place: str) -> Any:
    try:
        if any((Path(place) / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return datasets.load_from_disk(place)
        return datasets.load_dataset(place)
    except Exception as error:  # hub, network and file errors of many types
        cause = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(f"datasets could not load `{place}`: {cause}.") from error


def _one_split(loaded: Any, split: str, place: str) -> tuple[Any, str]:
    if not isinstance(loaded, dict):
        if split:
            raise InputError(f"`{place}` is a single table without splits; leave out `:{split}`.")
        return loaded, ""
    if not split and len(loaded) == 1:
        split = next(iter(loaded))
    if split not in loaded:
        raise InputError(
            f"`hf:{place}` needs the name of one of its splits, as in `hf:{place}:"
            f"{next(iter(loaded))}`. Found {f'`{split}`' if split else 'none'}, and it has "
            f"{', '.join(loaded)}."
        )
    return loaded[split], split


def _image_column(features: Mapping[str, Any], kind: type[Any], place: str) -> str:
    columns = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(columns) != 1:
        raise InputError(
            f"the dataset `{place}` should have one column of images. Found "
            f"{', '.join(columns) or 'none'} among its columns {', '.join(features)}."
        )
    return columns[0]


def _hf_labels(
    table: Any, kind: type[Any], lines: _ClassLines | None, place: str
) -> tuple[Tensor, tuple[str, ...] | None]:
    named = [name for name, feature in table.features.items() if isinstance(feature, kind)]
    column = next((name for name in ("label", "labels", *named) if name in table.features), None)
    if column is None or len(table) == 0:
        return torch.full((len(table),), -1), None if lines is None else lines.names
    values = np.array([-1 if value is None else value for value in table[column]])
    labels = _checked_labels(values, len(table), place)
    if column not in named:
        return labels, None if lines is None else lines.names
    names = tuple(table.features[column].names)
    if lines is None:
        return labels, names
    indices = torch.tensor([*(lines.index(name) for name in names), -1])
    return indices[labels], lines.names


def _encoded_cell(cell: Mapping[str, Any] | None) -> Path | BytesIO:
    if cell is None or (cell["bytes"] is None and cell["path"] is None):
        raise _UnreadableError("the row holds no image")
    return Path(cell["path"]) if cell["bytes"] is None else BytesIO(cell["bytes"])


def _refuse_options(what: str, **options: object) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InputError(f"`{given[0]}` does not apply to {what}.")
