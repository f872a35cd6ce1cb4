"""A curve in one line of text."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCKS, LETTERS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
"""Lowest first; letters for where blocks cannot be printed."""

_DEPTH = 1e-3
"""Smallest value that is told from less, over the largest."""


def binned(values: ArrayLike, width: int) -> NDArray[np.float64]:
    """Return at most so many values: geometric means of neighbours, all of them where they fit.

    Args:
        values: Not negative, at least one, the largest positive.
        width: The most to return.
    """
    given = np.asarray(values, dtype=np.float64)
    floored = np.log(np.maximum(given, _DEPTH * given.max()))
    parts = np.array_split(floored, min(width, len(floored)))
    return np.exp([part.mean() for part in parts])


def sparkline(values: ArrayLike, low: float, high: float, marks: str = BLOCKS) -> str:
    """Return one mark a value, on a logarithmic scale.

    Args:
        values: Positive; those beyond the ends get the marks of these.
        low: What the lowest mark stands for.
        high: What the highest mark stands for.
        marks: Lowest first.
    """
    span = np.log(high / low) if high > low else 1.0
    places = np.log(np.asarray(values, dtype=np.float64) / low) / span * len(marks)
    return "".join(marks[int(place)] for place in np.clip(places, 0, len(marks) - 1))
