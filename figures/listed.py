"""The table of a run as smaller tables, for the page and for LaTeX: chosen rows, cells as text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from analysis.intervals import Interval
from figures.curves import ANCHOR_LABELS, ESTIMATOR_LABELS
from figures.family import family
from figures.formats import (
    class_label,
    cosine,
    number,
    number_interval,
    percent,
    percent_interval,
)
from figures.table import CLIPPED, CONTROL, KEYS, LISTED, PRIMARY, RATE, SHARE

NULL_LABELS = {
    "isotropic": "random directions",
    "permuted": "coordinates permuted",
    "phases": "phases randomised",
    "untrained": "untrained networks",
}

DIMENSION_LABELS = {
    "stable_rank": "stable rank",
    "participation_ratio": "participation ratio",
    "energy_rank": "energy rank",
    "effective_rank": "effective rank",
    "gavish_donoho": "above Gavish–Donoho",
}

_WORDS = {**NULL_LABELS, **DIMENSION_LABELS, **ANCHOR_LABELS, **ESTIMATOR_LABELS}
_HEADS = {"made_on": "made on", "tried_on": "tried on", "p": "lp", "third": "S_c of third"}
"""Names of keys where they are others."""

Chooser = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Listed:
    """A table that a page shows."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    """Columns at the left that hold words."""


def listed_tables(table: pd.DataFrame, names: Sequence[str]) -> list[Listed]:
    """Return the tables of a run, those that have rows.

    Args:
        table: Of `figures.table.table_of_run`.
        names: Of the classes.
    """
    reference = float(table.loc[table["quantity"] == "reference norm", "value"].iloc[0])
    choices: tuple[tuple[str, str, Chooser], ...] = (
        ("What the answers rest on", "", lambda rows: rows["role"] == PRIMARY),
        *(
            (
                f"Fooling rates at the reference norm, {words}",
                "The highest first; n images, each with every draw.",
                partial(_families, norm=reference, clipped=clipped),
            )
            for clipped, words in CLIPPED.items()
        ),
        (
            "Universal perturbations",
            "How each was made, and what it fools of the images that made it.",
            _quantities("Euclidean norm", "gradients spent", images="made it"),
        ),
        ("On other models", "Not clipped.", lambda rows: rows["tried_on"].notna()),
        (
            "Causes of fooling, and what planes and bending tell",
            "",
            lambda rows: (
                _quantities("cause of fooling", "pairs told right", "false alarms")(rows)
                & (rows["role"] != PRIMARY)
            ),
        ),
        (
            "Against every null",
            "Of a null the mean, the smallest and the largest draw.",
            _quantities("singular values above", "largest singular value over that of a null"),
        ),
        (
            "How many directions the spectrum fills",
            "By five definitions, none of which is the only right one.",
            _quantities("dimensions filled"),
        ),
        (
            "Leading singular values",
            "A dash: the normals.",
            lambda rows: (rows["quantity"] == "singular value") & (rows["index"] <= LISTED),
        ),
        (
            "Captured energy",
            "Share of a unit normal in the first R directions.",
            _quantities("captured energy"),
        ),
        (
            "What two halves of the normals share",
            "Over splits: the mean, the smallest and the largest.",
            _quantities("squared cosine of two halves", "median angle of two halves"),
        ),
        (
            "Classes and pairs of classes",
            "",
            _quantities(
                "energy of a mean normal",
                "S_f of one half in that of the other",
                "dimensions filled by a class",
            ),
        ),
        (
            "Laws beside what is measured",
            "Margins within a random subspace (NIPS 2016); the least share of images that random "
            "vectors fool (ICLR 2018).",
            lambda rows: rows["quantity"].str.startswith("law of "),
        ),
        ("What was measured, and on what", "", lambda rows: rows["role"] == CONTROL),
        ("Every fooling rate", "", lambda rows: (rows["quantity"] == RATE) & rows["rival"].isna()),
    )
    found = []
    for title, note, choose in choices:
        chosen = table[choose(table)]
        if len(chosen):
            found.append(_listed(title, note, chosen, names))
    return found


def _quantities(*wanted: str, images: str | None = None) -> Chooser:
    def choose(rows: pd.DataFrame) -> pd.Series:
        found = rows["quantity"].isin(wanted)
        return found if images is None else found | (rows["images"] == images)

    return choose


def _families(rows: pd.DataFrame, norm: float, clipped: bool) -> pd.Series:
    plain = rows[["images", "source", "tried_on", "rival"]].isna().all(axis=1)
    return (
        (rows["quantity"] == RATE) & (rows["norm"] == norm) & (rows["clipped"] == clipped) & plain
    )


def _listed(title: str, note: str, rows: pd.DataFrame, names: Sequence[str]) -> Listed:
    if title.startswith("Fooling rates"):
        rows = rows.sort_values("value", ascending=False, kind="stable")
    every = [key for key in KEYS if rows[key].notna().all() and rows[key].nunique() > 1]
    some = [key for key in KEYS if rows[key].notna().any() and not rows[key].notna().all()]
    several = rows["quantity"].nunique() > 1
    ends = ["95 % interval"] * bool(rows["low"].notna().any())
    counts = [name for name in ("n", "draws") if rows[name].notna().any()]
    told = [_HEADS.get(key, key) for key in every]
    head = (*["quantity"] * several, *["of"] * bool(some), *told, "value", *ends, *counts)
    return Listed(
        title,
        note,
        head,
        tuple(
            (
                *[row["quantity"]] * several,
                *[_some(row, some, names)] * bool(some),
                *(key_told(key, row[key], names) for key in every),
                value_told(row["value"], row["unit"]),
                *[interval_told(row)] * len(ends),
                *(_count(row[name]) for name in counts),
            )
            for row in rows.to_dict("records")
        ),
        several + bool(some) + sum(rows[key].dtype == object for key in every[:2]),
    )


def _some(row: Mapping[Any, Any], keys: Sequence[str], names: Sequence[str]) -> str:
    """Return the keys that a row has, as text."""
    told = []
    for key in keys:
        if pd.notna(row[key]):
            word = key_told(key, row[key], names)
            plain = isinstance(row[key], str) and key in ("family", "rival", "images", "model")
            told.append(word if plain or key == "clipped" else f"{_HEADS.get(key, key)} {word}")
    return ", ".join(told) or "–"


def key_told(key: str, value: Any, names: Sequence[str]) -> str:
    """Return a key of a row as text."""
    if pd.isna(value):
        return "–"
    if key in ("source", "target"):
        return class_label(names, int(value))
    if key == "clipped":
        return CLIPPED[bool(value)]
    if isinstance(value, str):
        words = DIMENSION_LABELS if key == "family" else _WORDS
        return words.get(value) or family(value).short
    return "∞" if value == float("inf") else number(value)


def value_told(value: float, unit: str) -> str:
    """Return a value in its unit as text."""
    if pd.isna(value):
        return "–"
    if unit.startswith(SHARE):
        return percent(value)
    return cosine(value) if unit == "cosine" else number(value)


def interval_told(row: Mapping[str, Any]) -> str:
    """Return the ends of a row as text."""
    if pd.isna(row["low"]):
        return "–"
    share = row["unit"].startswith(SHARE)
    if pd.isna(row["high"]):
        return f"{(percent if share else number)(row['low'])} or more"
    return (percent_interval if share else number_interval)(Interval(row["low"], row["high"]))


def row_told(row: Mapping[Any, Any], keys: Sequence[str], names: Sequence[str]) -> str:
    """Return what a row is of as text: its quantity, but of a fooling rate, and its keys."""
    told = _some(row, keys, names)
    if row["quantity"] == RATE:
        return told
    return str(row["quantity"]) if told == "–" else f"{row['quantity']}: {told}"


def cell_told(row: Mapping[Any, Any]) -> str:
    """Return the value of a row and its interval, where it has one, as text."""
    value = value_told(row["value"], row["unit"])
    return value if pd.isna(row["low"]) else f"{value} ({interval_told(row)})"


def _count(value: float) -> str:
    return "–" if pd.isna(value) else str(int(value))
