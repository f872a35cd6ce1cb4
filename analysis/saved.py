"""Results on disk: one self-describing HDF5 file, read back as the same dataclass.

A result is a frozen dataclass of arrays, numbers, texts and other results. In the file an array is
a dataset, a number or a text an attribute, a nested result a group and a tuple of results a group
of groups. A class whose fields have changed has a number `FORMAT`.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import h5py
import numpy as np

from boundary.errors import StoreError
from boundary.files import as_damaged, hdf5_content, open_hdf5, read_array, write_whole

Result = TypeVar("Result")

_TEXTS = "S"


def save_result(path: Path, result: Any, settings: Mapping[str, Any]) -> None:
    """Write a result whole, with the settings that made it.

    Args:
        path: Of the HDF5 file.
        result: A dataclass of such fields.
        settings: JSON values; `load_settings` returns them.
    """

    def fill(file: h5py.File) -> None:
        file.attrs["settings"] = json.dumps(dict(settings))
        file.attrs["version"] = _version(type(result))
        _write(file, result)

    write_whole(path, hdf5_content(fill))


def load_result(path: Path, kind: type[Result]) -> Result:
    """Return the result that `save_result` wrote.

    Args:
        path: Of the HDF5 file.
        kind: Its dataclass.

    Returns:
        The result, equal to what was saved.

    Raises:
        StoreError: If the file is missing, damaged, or holds another kind of result.
    """
    with as_damaged(path), open_hdf5(path) as file:
        found = file.attrs.get("version", 1)
        if found != _version(kind):
            raise StoreError(
                f"`{path}` was made by another version of this program (format {found}, not "
                f"{_version(kind)}); make it anew with `boundary {path.stem} {path.parent} --redo`."
            )
        result: Result = _read(file, kind)
    return result


def _version(kind: type[Any]) -> int:
    """Return the format of a result; what differs cannot be read."""
    return getattr(kind, "FORMAT", 1)


def load_settings(path: Path) -> dict[str, Any]:
    """Return the settings that made a result.

    Raises:
        StoreError: If the file is missing or damaged.
    """
    with as_damaged(path), open_hdf5(path) as file:
        if "settings" not in file.attrs:
            raise StoreError(f"`{path}` is damaged: it does not say what made it.")
        settings = json.loads(str(file.attrs["settings"]))
        if not isinstance(settings, dict):
            raise StoreError(f"`{path}` is damaged: its settings should be a mapping.")
    return settings


def _write(group: h5py.Group, result: Any) -> None:
    group.attrs["kind"] = type(result).__name__
    hints = get_type_hints(type(result))
    for field in fields(result):
        _write_value(group, field.name, getattr(result, field.name), hints[field.name])


def _write_value(group: h5py.Group, name: str, value: Any, hint: Any) -> None:
    if is_dataclass(value):
        _write(group.create_group(name), value)
    elif get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        members = group.create_group(name)
        for place, member in enumerate(value):
            _write(members.create_group(str(place)), member)
    elif isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        group[name] = np.array([item.encode("utf-8") for item in value], dtype=_TEXTS)
    elif isinstance(value, (tuple, np.ndarray)):
        group[name] = np.asarray(value)
    else:
        group.attrs[name] = value


def _read(group: h5py.Group, kind: type[Any]) -> Any:
    found = group.attrs["kind"]
    if found != kind.__name__:
        raise ValueError(f"`{group.name}` should be a {kind.__name__}, found {found!r}")
    hints = get_type_hints(kind)
    return kind(
        **{field.name: _read_value(group, field.name, hints[field.name]) for field in fields(kind)}
    )


def _read_value(group: h5py.Group, name: str, hint: Any) -> Any:
    if is_dataclass(hint):
        return _read(_own_group(group, name), hint)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if is_dataclass(item):
            members = _own_group(group, name)
            return tuple(
                _read(_own_group(members, str(place)), item)  # type: ignore[arg-type]
                for place in range(len(members))
            )
        values = read_array(group, name)
        return tuple(raw.decode("utf-8") if item is str else item(raw) for raw in values.tolist())
    if hint in {int, float, str, bool}:
        return hint(group.attrs[name])
    return read_array(group, name)


def _own_group(group: h5py.Group, name: str) -> h5py.Group:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"`{name}` is missing or points elsewhere")
    child = group[name]
    if not isinstance(child, h5py.Group):
        raise ValueError(f"`{name}` should be a group")
    return child
