"""Data sets of Hugging Face: by name from the hub, or from a folder where one was saved."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boundary.errors import InputError, as_input_error, import_extra
from boundary.image_source import UnreadableError
from boundary.labels import ClassLines, checked_labels
from boundary.pictures import Decoder, Pictures


def open_hf(text: str, decoder: Decoder, lines: ClassLines | None) -> Pictures:
    """Return the pictures of a data set; an id is the split and the row.

    Args:
        text: ``NAME`` or ``NAME:SPLIT``; a name may be a folder.
        decoder: Of the pictures.
        lines: Give the classes their indices, by name.

    Raises:
        InputError: If it cannot be loaded, or has no such split, or not one column of images.
    """
    datasets = import_extra("datasets", "hf")
    place, _, split = text.partition(":")
    folder = Path(place).expanduser()
    place = str(folder.resolve()) if folder.is_dir() else place
    table, split = _one_split(_load(datasets, place), split, place)
    column = _image_column(table.features, datasets.Image, place)
    table = table.cast_column(column, datasets.Image(decode=False))
    labels, names = _labels(table, datasets.ClassLabel, lines, place)
    return Pictures(
        f"hf:{place}{':' if split else ''}{split}",
        tuple(f"{split or 'row'}/{row}" for row in range(len(table))),
        labels,
        names,
        lambda position: _encoded_cell(table[position][column]),
        decoder,
    )


def _load(datasets: Any, place: str) -> Any:
    with as_input_error(f"datasets could not load `{place}`"):
        if any((Path(place) / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return datasets.load_from_disk(place)
        return datasets.load_dataset(place)


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


def _labels(
    table: Any, kind: type[Any], lines: ClassLines | None, place: str
) -> tuple[Tensor, tuple[str, ...] | None]:
    named = [name for name, feature in table.features.items() if isinstance(feature, kind)]
    column = next((name for name in ("label", "labels", *named) if name in table.features), None)
    if column is None or len(table) == 0:
        return torch.full((len(table),), -1), None if lines is None else lines.names
    values = np.array([-1 if value is None else value for value in table[column]])
    labels = checked_labels(values, len(table), place)
    if column not in named:
        return labels, None if lines is None else lines.names
    names = tuple(table.features[column].names)
    if lines is None:
        return labels, names
    indices = torch.tensor([*(lines.index(name) for name in names), -1])
    return indices[labels], lines.shown(names)


def _encoded_cell(cell: Mapping[str, Any] | None) -> Path | BytesIO:
    if cell is None or (cell["bytes"] is None and cell["path"] is None):
        raise UnreadableError("the row holds no image")
    return Path(cell["path"]) if cell["bytes"] is None else BytesIO(cell["bytes"])
