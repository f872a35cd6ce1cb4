"""The table of a run as smaller tables, for the page and for LaTeX: chosen rows, cells as text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from analysis.intervals import Interval
from figures.curves import ANCHOR_LABELS, ESTIMATOR_LABELS, space_label
from figures.formats import (
    class_label,
    cosine,
    number,
    number_interval,
    percent,
    percent_interval,
)
from figures.table import CLIPPED, CONTROL, KEYS, PRIMARY, RATE, SHARE

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
_LISTED_VALUES = 10

Chooser = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Listed:
    """A table that a page shows."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
            "Of a null the smallest and the largest draw.",
            _quantities("singular values above", "largest singular value over that of a null"),
        ),
        (
            "How many directions the spectrum fills",
            "By five definitions, none of which is the only right one.",
            _quantities("dimensions filled"),
        ),
        (
            "Leading singular values",
            "",
            lambda rows: (rows["quantity"] == "singular value") & (rows["index"] <= _LISTED_VALUES),
        ),
        ("Captured energy", "", _quantities("captured energy")),
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
    keys = [key for key in KEYS if rows[key].nunique(dropna=False) > 1]
    several = rows["quantity"].nunique() > 1
    ends = ["95 % interval"] * bool(rows["low"].notna().any())
    counts = [name for name in ("n", "draws") if rows[name].notna().any()]
    head = (
        *["quantity"] * several,
        *(_HEADS.get(key, key) for key in keys),
        "value",
        *ends,
        *counts,
    )
    return Listed(
        title,
        note,
        head,
        tuple(
            (
                *[row["quantity"]] * several,
                *(key_told(key, row[key], names) for key in keys),
                value_told(row["value"], row["unit"]),
                *[interval_told(row)] * len(ends),
                *(_count(row[name]) for name in counts),
            )
            for row in rows.to_dict("records")
        ),
    )


def key_told(key: str, value: Any, names: Sequence[str]) -> str:
    """Return a key of a row as text."""
    if pd.isna(value):
        return "–"
    if key in ("source", "target"):
        return class_label(names, int(value))
    if key == "clipped":
        return "yes" if value else "no"
    if isinstance(value, str):
        return _WORDS.get(value) or space_label(value)
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
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return "–"
    interval = Interval(row["low"], row["high"])
    return (percent_interval if row["unit"].startswith(SHARE) else number_interval)(interval)


def _count(value: float) -> str:
    return "–" if pd.isna(value) else str(int(value))
