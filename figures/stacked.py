"""A drawn figure once more for a narrow screen: its panels below each other."""

from collections.abc import Iterable
from textwrap import fill
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend

from figures.style import ONE_COLUMN, STYLE, add_caption, set_subscripts

_LETTERS = 44
"""Of a line of a label below a panel."""
_LEGEND_SIZE = 6.5
_WIDEST_LEGEND = 0.96
"""Of the width of the figure."""
_LEAST, _MOST = 1.7, 3.4
"""Inches of a panel's height."""
_LABELS = (0.6, 0.55)
"""Inches that labels take beside and around a panel of true shape, at least."""
_TALLEST = 2.6
"""Inches of a panel of true shape."""
_ROOM = 0.25
"""Inches around the panels."""


def stack_panels(figure: Figure, columns: int = 1) -> None:
    """Make a drawn figure one column wide, its panels below each other, each with its labels.

    Args:
        figure: That a plot function returned; it is changed.
        columns: Of panels.
    """
    placed = [axes for axes in figure.axes if axes.get_subplotspec()]
    panels = [axes for axes in placed if axes.axison or axes.get_images()]
    for axes in set(placed) - set(panels):
        axes.remove()
    heights = [_height(figure, axes, ONE_COLUMN / columns) for axes in panels]
    lines = -(-len(panels) // columns)
    tallest = [max(heights[line * columns : (line + 1) * columns]) for line in range(lines)]
    with matplotlib.style.context(STYLE, after_reset=True):
        figure.set_layout_engine("constrained")
        figure.set_figwidth(ONE_COLUMN)
        grid = GridSpec(lines, columns, figure=figure, height_ratios=tallest)
        if columns == 1:
            for axes in panels:
                _label(axes)
        for place, axes in enumerate(panels):
            # Each in a grid of its own: long labels of one leave the others their room.
            axes.set_subplotspec(grid[divmod(place, columns)].subgridspec(1, 1)[0])
        beside = _refill_caption(figure) + sum(map(_rewrap_legend, list(figure.legends)))
        set_subscripts(figure)
        figure.set_figheight(sum(tallest) + beside + _ROOM)
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _height(figure: Figure, axes: Axes, width: float) -> float:
    """Return inches for a panel with its labels; of one of true shape, what its width asks for."""
    box, inner = axes.get_tightbbox(), axes.get_window_extent()
    assert box is not None, "a panel that is drawn has a box"
    if axes.get_aspect() == "auto":
        return float(np.clip(box.height / figure.dpi, _LEAST, _MOST))
    labels = _LABELS if axes.axison else (0.0, 0.0)
    beside = max((box.width - inner.width) / figure.dpi, labels[0])
    around = max((box.height - inner.height) / figure.dpi, labels[1])
    return float(min(max(width - beside, 1.0) * inner.height / inner.width, _TALLEST) + around)


def _label(axes: Axes) -> None:
    """Give a panel the labels and the title that it shared with its row and its column."""
    column = _lined_up(axes, axes.get_shared_x_axes().get_siblings(axes), "colspan")
    row = _lined_up(axes, axes.get_shared_y_axes().get_siblings(axes), "rowspan")
    axes.set_xlabel(fill(max((one.get_xlabel() for one in column), key=len), _LETTERS))
    axes.set_ylabel(max((one.get_ylabel() for one in row), key=len))
    if not axes.get_title("left"):
        axes.set_title(max((one.get_title("left") for one in column), key=len))
    if len(axes.get_shared_x_axes().get_siblings(axes)) > 1:
        axes.tick_params(labelbottom=True)
    if len(axes.get_shared_y_axes().get_siblings(axes)) > 1:
        axes.tick_params(labelleft=True)


def _lined_up(axes: Axes, others: Iterable[Axes], span: str) -> list[Axes]:
    """Return those of some panels that span the rows, or columns, that a panel spans."""
    own = getattr(axes.get_subplotspec(), span)
    return [one for one in others if getattr(one.get_subplotspec(), span) == own]


def _refill_caption(figure: Figure) -> float:
    """Break the line below the figure anew.

    Returns:
        Its height in inches.
    """
    caption = add_caption(figure, figure.get_supxlabel().replace("\n", " "))
    return float(caption.get_window_extent().height / figure.dpi) + 0.1


def _rewrap_legend(legend: Legend) -> float:
    """Write a legend again with as many columns as find room.

    Returns:
        Its height in inches.
    """
    figure = legend.get_figure(root=True)
    assert figure is not None, "a legend is of a figure"
    texts = [text.get_text() for text in legend.get_texts()]
    # A legend keeps but the line of a series with bars; its panel knows it whole.
    known = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        if isinstance(handle, ErrorbarContainer)
    }
    pairs = zip(texts, legend.legend_handles, strict=True)
    handles: list[Any] = [known.get(text, handle) for text, handle in pairs]
    columns, box = 4, None
    while columns > 1 and (box is None or box.width > _WIDEST_LEGEND * figure.bbox.width):
        legend.remove()
        columns -= 1
        legend = figure.legend(
            handles, texts, loc="outside upper left", ncols=columns, fontsize=_LEGEND_SIZE
        )
        box = legend.get_window_extent()
    assert box is not None, "at least one column is tried"
    return float(box.height / figure.dpi) + 0.1
