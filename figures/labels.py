"""Where the images of each class go under one perturbation, as a matrix."""

from math import inf

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.labels import LabelFlows
from figures.family import family
from figures.formats import class_label, number, percent, percent_interval
from figures.style import GREY, ONE_COLUMN, add_caption, new_figure, styled

_MOST_CLASSES = 12
_LETTERS = 12
"""Of a name."""
_CELL = 0.19
"""Inches."""


@styled
def plot_labels(result: LabelFlows) -> Figure:
    """Return how many images of each class before have which class after.

    Of many classes those with most images before or after are shown, and all others as one.
    """
    counts, names = _counted(result)
    figure = new_figure(ONE_COLUMN, 1.7 + _CELL * len(names))
    axes = figure.subplots()
    fooled = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    highest = max(int(fooled.max()), 1)
    axes.imshow(fooled, cmap="Blues", vmin=0, vmax=highest, interpolation="nearest", aspect="auto")
    for row, column in np.argwhere(counts):
        dark = fooled[row, column] > 0.6 * highest
        colour = GREY if row == column else "white" if dark else "k"
        axes.text(
            column,
            row,
            str(counts[row, column]),
            color=colour,
            ha="center",
            va="center",
            fontsize=6,
        )
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("class with the perturbation")
    axes.set_ylabel("class without it")
    add_caption(figure, _caption(result))
    return figure


def _counted(result: LabelFlows) -> tuple[NDArray[np.int64], list[str]]:
    """Return the images that go from class (row) to class, and the names of the classes."""
    seen = result.before + result.after
    shown = np.sort(np.argsort(-seen, kind="stable")[: min(_MOST_CLASSES, np.count_nonzero(seen))])
    names = [class_label(result.class_names, int(label), _LETTERS) for label in shown]
    place = np.full(result.classes, len(shown))
    place[shown] = np.arange(len(shown))
    if np.count_nonzero(seen) > len(shown):
        names.append("all others")
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (place[result.source], place[result.moved]), 1)
    return counts, names


def _caption(result: LabelFlows) -> str:
    sink, n, fooled = result.top_sink, len(result.source), int(result.fooled.sum())
    said = (
        f"n = {n} images, {fooled} fooled ({percent(fooled / n)}); grey: not fooled. "
        f"Perturbation: {family(result.family).label}, "
        f"{'l∞' if result.p == inf else f'l{result.p:g}'} norm {number(result.norm)} input units, "
        f"{'' if result.clipped else 'not '}clipped."
    )
    if sink is None:
        return said
    most = class_label(result.class_names, sink.label)
    share, ends = sink.of_fooled.value, sink.of_fooled.interval
    return (
        f"{said} Most frequent class {most}: {percent(share)} of them ({percent_interval(ends)})."
    )
