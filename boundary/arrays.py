"""Array files: images and labels as arrays of ``.npy``, ``.npz``, ``.h5`` and ``.safetensors``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from boundary.errors import InputError, as_input_error
from boundary.files import plain_dataset, require_plausible_zip
from boundary.image_source import ImageSource, UnreadableError, of_the_file
from boundary.labels import ClassLines, checked_labels

_IMAGE_KEYS = ("images", "x", "data")
_LABEL_KEYS = ("labels", "y", "targets")

_RANGE_TOLERANCE = 1e-6
"""How far outside [0, 1] a float may lie: rounding, which is then clipped."""

_RANGE_SAMPLE = 256
"""Rows that are looked at when an array is opened; the others when they are read."""


class _Rows(Protocol):
    """An array, in memory or on disk, whose first axis counts images."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, row: int, /) -> Any: ...


@final
class ArrayImages(ImageSource):
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
            if not of_the_file(error):
                raise
            raise UnreadableError(f"its bytes cannot be read: {error}") from error
        return self._to_channels_first(_in_unit_range(raw))


def open_arrays(file: Path, lines: ClassLines | None) -> ArrayImages:
    """Return the images of an array file, whose ids are their rows.

    Args:
        file: Its ending is one of `ARRAY_FILES`.
        lines: Give the classes their names.

    Raises:
        InputError: If it cannot be read, or holds no images, or labels that do not fit them.
    """
    with as_input_error(f"{file} cannot be read as an array file"):
        rows, labels = ARRAY_FILES[file.suffix.lower()](file)
    count = rows.shape[0] if rows.shape else 0
    if count == 0:
        raise InputError(f"{file} should hold at least one image. Found shape {rows.shape}.")
    known = torch.full((count,), -1) if labels is None else checked_labels(labels, count, file)
    names = None if lines is None else lines.names
    if lines is not None and int(known.max()) >= len(lines.names):
        raise InputError(
            f"{lines.file} should name every class of {file}. Found {len(lines.names)} lines and "
            f"the label {int(known.max())}."
        )
    return ArrayImages(str(file), tuple(map(str, range(count))), rows, known, names)


def _from_npy(file: Path) -> tuple[_Rows, None]:
    rows: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return rows, None


def _from_npz(file: Path) -> tuple[_Rows, NDArray[Any] | None]:
    require_plausible_zip(file)
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
        return _images_and_labels(_members(opened), file, partial(plain_dataset, opened))
    except BaseException:
        opened.close()
        raise


def _members(opened: h5py.File) -> dict[str, Any]:
    # a link is named and not followed: `plain_dataset` refuses the one that is wanted
    links = {key: opened.get(key, getlink=True) for key in opened}
    members = {
        key: opened[key] if isinstance(link, h5py.HardLink) else link for key, link in links.items()
    }
    return {key: found for key, found in members.items() if not isinstance(found, h5py.Group)}


def _images_and_labels(
    arrays: Mapping[str, Any], file: Path, take: Callable[[str], Any] | None = None
) -> tuple[_Rows, NDArray[Any] | None]:
    take = take or arrays.__getitem__
    images = take(_images_key(arrays, file))
    label_key = next((key for key in _LABEL_KEYS if key in arrays), None)
    return images, None if label_key is None else take(label_key)[...]


def _images_key(arrays: Mapping[str, Any], file: Path) -> str:
    named = next((key for key in _IMAGE_KEYS if key in arrays), None)
    if named is not None:
        return named
    deep = [key for key in arrays if getattr(arrays[key], "ndim", None) == 4]
    if len(deep) != 1:
        raise InputError(
            f"{file} should hold its images under `images`, `x` or `data`, or as its only 4-d "
            f"array. Found {', '.join(f'`{key}`' for key in arrays) or 'no arrays'}."
        )
    return deep[0]


ARRAY_FILES: dict[str, Callable[[Path], tuple[_Rows, NDArray[Any] | None]]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".h5": _from_hdf5,
    ".hdf5": _from_hdf5,
    ".safetensors": _from_safetensors,
}


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
    if not all(rows.shape[1:]):
        raise InputError(f"the images of {spec} should have pixels. Found shape {rows.shape}.")
    if rows.dtype != np.uint8 and rows.dtype.kind != "f":
        raise InputError(
            f"the images of {spec} should be uint8 in 0..255 or floats in [0, 1]. "
            f"Found {rows.dtype}."
        )
    if rows.dtype == np.uint8:
        if max((image.max(initial=0) for image in _sample(rows)), default=0) == 1:
            raise InputError(
                f"the images of {spec} are uint8, where 255 should be white. Found none above 1; "
                "multiply them by 255, or store them as floats in [0, 1]."
            )
        return
    ranges = [
        (v.min(), v.max()) for image in _sample(rows) if (v := image[np.isfinite(image)]).size
    ]
    if ranges and not _lies_in_unit_range(np.array(ranges)):
        raise InputError(
            f"the images of {spec} should lie in [0, 1]. Found minimum {np.min(ranges):.4g}, "
            f"maximum {np.max(ranges):.4g}; undo their normalisation, which belongs inside the "
            "model, or store them as uint8 where 255 is white."
        )


def _sample(rows: _Rows) -> Iterator[NDArray[Any]]:
    """Yield rows from all over an array, without those that cannot be read."""
    count = rows.shape[0]
    for row in range(0, count, -(-count // _RANGE_SAMPLE)):
        with suppress(OSError):
            yield np.asarray(rows[row])


def _in_unit_range(raw: NDArray[Any]) -> NDArray[np.float32]:
    if raw.dtype == np.uint8:
        return raw.astype(np.float32) / np.float32(255)
    if not np.isfinite(raw).all():
        raise UnreadableError("it holds NaN or infinity")
    if not _lies_in_unit_range(raw):
        raise UnreadableError(f"it lies in [{raw.min():.4g}, {raw.max():.4g}], outside [0, 1]")
    return np.clip(raw.astype(np.float32), 0, 1)


def _lies_in_unit_range(values: NDArray[Any]) -> bool:
    least, most = float(values.min()), float(values.max())
    return least >= -_RANGE_TOLERANCE and most <= 1 + _RANGE_TOLERANCE
