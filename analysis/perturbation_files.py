"""Perturbations on disk: ours with their provenance, other people's as they come.

Ours are safetensors with a line of JSON. A published perturbation is an array in one of six
formats, in one of two layouts, in units of [0, 1] or of 0 to 255: what is not stated is told from
the array, and said.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from analysis.perturbations import LEVELS, Perturbations, require_finite
from boundary.errors import InputError, as_input_error, did_you_mean, require_path
from boundary.files import (
    plain_dataset,
    require_plausible,
    require_plausible_zip,
    write_whole,
)
from boundary.weights import is_plain, unpickled

FILE = "file "
"""How the family of a perturbation from a file begins."""

Layout = Literal["CHW", "HWC"]

_RECORD = "boundary-perturbations"
"""Key of the line of JSON in our files."""

_VERSION = 1
_OF_NUMBERS = {"double", "single", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"}
"""Classes of `.mat` variables; others, such as structures, can hold anything, and are left out."""
_ZERO = 128
"""Grey level that stands for zero in a picture of a perturbation."""


@dataclass(frozen=True)
class LoadedPerturbations:
    """Perturbations from a file, and how it was read."""

    perturbations: Perturbations
    how_read: str
    """Key, layout and units, and which of them were told from the array."""


def save_perturbations(path: str | Path, perturbations: Perturbations) -> None:
    """Write perturbations with their provenance, whole, as a safetensors file.

    Args:
        path: Of the file; ends in ``.safetensors``.
        perturbations: The vectors are kept in float64.

    Raises:
        InputError: If the ending is another.
    """
    file = Path(path)
    if file.suffix.lower() != ".safetensors":
        raise InputError(f"`path` should end in .safetensors. Found {file}.")
    record = {
        "version": _VERSION,
        "family": perturbations.family,
        "norm": perturbations.norm,
        "p": str(perturbations.p),  # JSON has no infinity
        "subspace_dimension": perturbations.subspace_dimension,
        "sampled": perturbations.sampled,
        "per_draw": perturbations.per_draw,
        "source": dict(perturbations.source),
    }
    tensors = {"vectors": perturbations.vectors.contiguous()}
    metadata = {_RECORD: json.dumps(record)}
    write_whole(file, save(tensors, metadata))


def load_perturbations(
    path: str | Path,
    *,
    shape: tuple[int, ...] | None = None,
    key: str | None = None,
    layout: Layout | None = None,
    units: Literal[1, 255] | None = None,
    norm: float | None = None,
    p: float | None = None,
) -> LoadedPerturbations:
    """Return the perturbations of a file.

    Args:
        path: ``.safetensors``, ``.npy``, ``.npz``, ``.mat``, ``.pt`` or ``.pth`` (read as weights
            only: no code is run), or ``.png`` as `save_picture` writes it.
        shape: (C, H, W) of the images; tells the layout where the numbers of channels cannot.
        key: Of the array, where the file holds several.
        layout: ``CHW`` or ``HWC``, several vectors along a first axis; by default told from the
            shape.
        units: 255 where 255 is white, 1 where 1 is; by default 255 if any number is above 1, which
            would be a change from black to white.
        norm: lp length to scale each to; by default they stay as they are.
        p: In which norm they count; by default as the file says, or 2.

    Returns:
        The perturbations, in units of [0, 1], and how the file was read.

    Raises:
        InputError: If the file cannot be read, or it is not clear what it means.
    """
    file = Path(path).expanduser()
    require_path(file)
    suffix = file.suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"{file} should end in {', '.join(_READERS)}. Found `{suffix}`.")
    if suffix == ".safetensors":
        ours = _ours(file)
        if ours is not None:
            found = ours if norm is None else ours.scaled(norm, p)
            return LoadedPerturbations(found, "as this program wrote it")
    with as_input_error(f"{file} cannot be read as {suffix}"):
        arrays = _READERS[suffix](file)
    name = _chosen_key(arrays, key, file)
    values = np.asarray(arrays[name])
    if values.dtype.kind not in "if":
        raise InputError(
            f"a perturbation has two signs: `{name}` of {file} should hold floats or signed whole "
            f"numbers. Found {values.dtype}."
        )
    vectors, said_layout = _channels_first(values, shape, layout, file)
    # A picture counts in levels, which are units of 255 however few there are.
    scale, said_units = _scale(values, 255 if suffix == ".png" else units)
    source = {"file": file.name, "key": name, "layout": said_layout, "units": said_units}
    rows = torch.from_numpy(vectors.astype(np.float64) / scale)
    found = Perturbations.of(file.stem, rows, norm, p=p or 2.0, sampled=False, source=source)
    if norm is None and not torch.allclose(found.vectors, rows, rtol=1e-4, atol=0):
        lengths = torch.linalg.vector_norm(rows.flatten(1), found.p, dim=1)
        raise InputError(
            f"the {len(rows)} vectors of {file} should have one norm. Found l{found.p:g} norms "
            f"from {float(lengths.min()):.4g} to {float(lengths.max()):.4g}; give the `norm` to "
            "scale them to, or save them one by one."
        )
    return LoadedPerturbations(found, f"`{name}` {values.shape}, {said_layout}, {said_units}")


def save_picture(path: str | Path, vector: Tensor) -> None:
    """Write a perturbation as an 8-bit PNG: mid-grey (128) is zero, a level is 1/255.

    Args:
        path: Of the file; ends in ``.png``.
        vector: Shape (C, H, W), C 1 or 3, input units, no number beyond 127/255.

    Raises:
        InputError: If the vector does not fit.
    """
    file = Path(path)
    if file.suffix.lower() != ".png":
        raise InputError(f"`path` should end in .png, which loses nothing. Found {file}.")
    if vector.ndim != 3 or vector.shape[0] not in {1, 3}:
        raise InputError(
            f"`vector` should have shape (C, H, W), C 1 or 3. Found {tuple(vector.shape)}."
        )
    levels = (LEVELS * vector.double()).round()
    if float(levels.abs().max()) >= _ZERO:
        raise InputError(
            f"`vector` should change no number by more than {_ZERO - 1}/255, so that a picture of "
            f"8 bits can hold both signs. Found {float(levels.abs().max()):.0f}/255."
        )
    pixels = (levels + _ZERO).to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    write_whole(file, buffer.getbuffer())


def _ours(file: Path) -> Perturbations | None:
    """Return what `save_perturbations` wrote; None if the file is another's.

    Raises:
        InputError: If it is damaged, or of another version.
    """
    with as_input_error(f"{file} is not a safetensors file"), safe_open(file, "pt") as opened:
        text = (opened.metadata() or {}).get(_RECORD)
        if text is None:
            return None
        record = json.loads(text)
        if record["version"] != _VERSION:
            raise InputError(f"{file} was made by another version of this program.")
        norm, p = float(record["norm"]), float(record["p"])
        vectors = opened.get_tensor("vectors").double()
        require_finite(str(record["family"]), vectors)
        rows = vectors.flatten(1)
        lengths = torch.linalg.vector_norm(rows, p, dim=1)
        rounding = 0.5 / LEVELS * rows.shape[1] ** (1 / p)  # of vectors rounded to 8 bits
        if not ((lengths - norm).abs() <= 1e-4 * norm + rounding).all():
            raise InputError(
                f"the vectors of {file} should have the norm {norm:.4g} that it states. Found "
                f"{float(lengths.min()):.4g} to {float(lengths.max()):.4g}."
            )
        return Perturbations(  # as they are: rounded ones have their norm but for rounding
            family=str(record["family"]),
            directions=vectors / norm,
            norm=norm,
            subspace_dimension=int(record["subspace_dimension"]),
            p=p,
            sampled=bool(record["sampled"]),
            per_draw=int(record.get("per_draw", 1)),
            source=dict(record["source"]),
        )


def _from_npy(file: Path) -> dict[str, Any]:
    return {"array": np.load(file, allow_pickle=False)}


def _from_npz(file: Path) -> dict[str, Any]:
    require_plausible_zip(file)
    with np.load(file, allow_pickle=False) as archive:
        return dict(archive)


def _from_mat(file: Path) -> dict[str, Any]:
    if not h5py.is_hdf5(file):
        listed = scipy.io.whosmat(str(file))
        arrays = {name: shape for name, shape, kind in listed if kind in _OF_NUMBERS}
        claimed = sum(8 * prod(shape) for shape in arrays.values())
        require_plausible(f"`{file}`", claimed, file.stat().st_size)
        found = scipy.io.loadmat(str(file), variable_names=list(arrays))
        return {name: found[name] for name in arrays}
    with h5py.File(file) as opened:  # version 7.3, whose axes are the other way round
        names = [name for name in opened if not name.startswith("#")]
        datasets = {name: plain_dataset(opened, name) for name in names}
        claimed = sum(dataset.nbytes for dataset in datasets.values())
        require_plausible(f"`{file}`", claimed, file.stat().st_size)
        return {name: dataset[()].T for name, dataset in datasets.items()}


def _from_safetensors(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as opened:
        return {name: _array(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118


def _from_torch(file: Path) -> dict[str, Any]:
    loaded = unpickled(file)
    named = loaded if isinstance(loaded, Mapping) else {"tensor": loaded}
    found = {str(n): value for n, value in named.items() if isinstance(value, Tensor)}
    if not all(map(is_plain, found.values())):
        raise InputError(f"{file} should hold plain tensors, every number of which is stored.")
    return {name: _array(value) for name, value in found.items()}


def _from_png(file: Path) -> dict[str, Any]:
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            pixels, mode = np.asarray(picture), picture.mode
    except UnidentifiedImageError as error:
        raise InputError(f"{file} is no picture.") from error
    if mode not in {"L", "RGB"}:
        raise InputError(f"{file} should be grey or RGB, of 8 bits a channel. Found {mode}.")
    return {"picture, 128 being zero": pixels.astype(np.float64) - _ZERO}


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".safetensors": _from_safetensors,
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".mat": _from_mat,
    ".pt": _from_torch,
    ".pth": _from_torch,
    ".png": _from_png,
}


def _array(tensor: Tensor) -> NDArray[Any]:
    tensor = tensor.detach()
    return np.asarray((tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy())


def _chosen_key(arrays: Mapping[str, Any], key: str | None, file: Path) -> str:
    if key is not None:
        if key not in arrays:
            raise InputError(
                f"{file} has no array `{key}`. Found {_listed(arrays)}{did_you_mean(key, arrays)}."
            )
        return key
    # A number of a .mat file is an array of one row and one column.
    deep = [name for name, value in arrays.items() if np.squeeze(value).ndim >= 2]
    if len(deep) != 1:
        raise InputError(
            f"{file} should hold one array of a perturbation. Found {_listed(arrays)}; name one "
            "with `key`."
        )
    return deep[0]


def _listed(arrays: Mapping[str, Any]) -> str:
    shapes = [f"`{name}` {np.shape(value)}" for name, value in arrays.items()]
    return ", ".join(shapes[:8]) or "none"


def _channels_first(
    values: NDArray[Any], shape: tuple[int, ...] | None, layout: Layout | None, file: Path
) -> tuple[NDArray[Any], str]:
    """Return the vectors as (draws, C, H, W), and in words how the axes were read.

    Raises:
        InputError: If they can be read in no way, or in two.
    """
    if values.ndim == 2:
        return values[None, None], "one grey vector"
    if values.ndim not in {3, 4}:
        raise InputError(
            f"{file} should hold a vector (C, H, W) or (H, W, C), or several along a first axis. "
            f"Found shape {values.shape}."
        )
    several = values if values.ndim == 4 else values[None]
    readings = {"CHW": several, "HWC": several.transpose(0, 3, 1, 2)}
    if layout is not None:
        return readings[layout], f"{layout} as stated"
    fitting = [
        name
        for name, rows in readings.items()
        if (rows.shape[1] in {1, 3} if shape is None else rows.shape[1:] == tuple(shape))
    ]
    if len(fitting) == 1:
        return readings[fitting[0]], f"{fitting[0]} by its shape"
    wanted = "1 or 3 channels first or last" if shape is None else f"the images' shape {shape}"
    raise InputError(
        f"the array of {file} should have {wanted}. Found shape {values.shape}"
        + (", which can be read both ways; state `layout`." if fitting else _other_size(shape))
    )


def _other_size(shape: tuple[int, ...] | None) -> str:
    return "." if shape is None else "; bring images of its size (`--size`), it is not resized."


def _scale(values: NDArray[Any], units: Literal[1, 255] | None) -> tuple[float, str]:
    if units is not None:
        return float(units), f"units of 0 to {units} as stated"
    most = float(np.abs(values).max()) if values.size else 0.0
    told = 255 if most > 1 else 1
    return float(told), f"units of 0 to {told} by its largest number {most:.3g}"
