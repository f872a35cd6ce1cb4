from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.saved import load_result, load_settings, save_result
from boundary import StoreError


@dataclass(frozen=True, eq=False)
class Part:
    flags: NDArray[np.bool_]
    name: str


@dataclass(frozen=True, eq=False)
class Whole:
    values: NDArray[np.float64]
    count: int
    share: float
    parts: tuple[Part, ...]
    part: Part
    names: tuple[str, ...]
    shape: tuple[int, ...]


def a_result(names: tuple[str, ...] = ("é", "<b>", "")) -> Whole:
    parts = tuple(Part(np.array([True, False]), name) for name in ("one", "two"))
    return Whole(np.arange(6.0).reshape(2, 3), 7, 0.25, parts, parts[0], names, (3, 32, 32))


@pytest.mark.parametrize("names", [("é", "<b>", ""), ()])
def test_what_is_saved_is_loaded(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "result.h5"
    saved = a_result(names)
    save_result(path, saved, {"seed": 3, "nested": {"a": [1, 2]}})
    loaded = load_result(path, Whole)
    np.testing.assert_array_equal(loaded.values, saved.values)
    assert (loaded.count, loaded.share, loaded.shape) == (7, 0.25, (3, 32, 32))
    assert loaded.names == names
    assert [part.name for part in loaded.parts] == ["one", "two"]
    assert loaded.part.flags.tolist() == [True, False]
    assert load_settings(path) == {"seed": 3, "nested": {"a": [1, 2]}}


def test_no_parts_are_loaded_as_none(tmp_path: Path) -> None:
    save_result(tmp_path / "result.h5", replace(a_result(), parts=()), {})
    assert load_result(tmp_path / "result.h5", Whole).parts == ()


def test_another_kind_a_link_and_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.h5"
    with pytest.raises(StoreError, match="is missing"):
        load_result(path, Whole)
    save_result(path, a_result(), {})
    with pytest.raises(StoreError, match="should be a Part"):
        load_result(path, Part)
    with h5py.File(path, "a") as file:
        del file["values"]
        file["values"] = h5py.SoftLink("/part/flags")
    with pytest.raises(StoreError, match="points elsewhere"):
        load_result(path, Whole)
    path.write_bytes(b"no HDF5")
    with pytest.raises(StoreError, match="cannot be read"):
        load_settings(path)
