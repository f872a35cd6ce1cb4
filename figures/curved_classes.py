"""S_c of each class alone: along whose directions whose boundary bends, and what two share."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from analysis.curved_classes import ClassCurvature
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.curves import tested_surface
from figures.formats import number
from figures.style import BLACK, SUPERSCRIPTS, TWO_COLUMNS, add_caption, new_figure, styled

_POOLED = "all"
"""Label of the row of the S_c of all classes together."""
_MOST_TOLD = 12
"""Classes whose cells hold their values."""
_MOST_LABELS = 20

Array = NDArray[np.float64]


class _Panel(NamedTuple):
    """One matrix, and how it is told."""

    title: str
    values: Array
    rows: list[str]
    columns: list[str]
    row: str
    column: str
    quantity: str
    unit: str
    colours: str
    low: float
    high: float


@styled
def plot_curved_classes(result: CurvatureResult) -> Figure:
    """Return curvature along each class's S_c at images of each class, and what two S_c share.

    Raises:
        InputError: If no class with held-out images has an S_c of its own.
    """
    if not has_curved_classes(result):
        raise InputError(
            "`result.classes` should hold an S_c of classes with held-out images. Found none."
        )
    curved = result.classes[0]
    figure = new_figure(TWO_COLUMNS, 4.6)
    for axes, panel in zip(
        figure.subplots(1, 2), (_curvature_panel(curved), _shared_panel(curved)), strict=True
    ):
        _draw_matrix(figure, axes, panel)
    add_caption(figure, _caption(result, curved))
    return figure


def has_curved_classes(result: CurvatureResult) -> bool:
    """Return whether a class has both an S_c of its own and held-out images."""
    return any(len(held_out_classes(curved)) for curved in result.classes)


def held_out_classes(curved: ClassCurvature) -> NDArray[np.int64]:
    """Return the classes that have an S_c of their own and held-out images, ascending."""
    return np.intersect1d(curved.classes, curved.sources)


def class_means(curved: ClassCurvature) -> Array:
    """Return mean held-out curvature along each class's S_c, and that of all classes, by class.

    Returns:
        Shape (K' + 1, classes of `held_out_classes`), 1 / input units.
    """
    along = np.column_stack([curved.held_out, curved.pooled])
    found = [along[curved.sources == one].mean(0) for one in held_out_classes(curved)]
    return np.array(found).reshape(-1, along.shape[1]).T


def shared_between(curved: ClassCurvature) -> Array:
    """Return what the subspaces of two classes share, for each pair of classes once."""
    return curved.energy[np.triu_indices(len(curved.classes), 1)]


def _curvature_panel(curved: ClassCurvature) -> _Panel:
    values = class_means(curved)
    limit = float(np.abs(values).max()) or 1.0
    return _Panel(
        title="mean curvature along S_c",
        values=values,
        rows=[*map(str, curved.classes), _POOLED],
        columns=[*map(str, held_out_classes(curved))],
        row="S_c of class",
        column="held-out images of class",
        quantity="curvature",
        unit=" / input units",
        colours="PuOr",
        low=-limit,
        high=limit,
    )


def _shared_panel(curved: ClassCurvature) -> _Panel:
    names = [*map(str, curved.classes)]
    return _Panel(
        title="what two S_c share",
        values=np.where(np.eye(len(names), dtype=bool), np.nan, curved.energy),
        rows=names,
        columns=names,
        row="S_c of class",
        column="S_c of class",
        quantity="mean squared cosine",
        unit="",
        colours="Blues",
        low=0.0,
        high=float(shared_between(curved).max(initial=0.0)) or 1.0,
    )


def _draw_matrix(figure: Figure, axes: Axes, panel: _Panel) -> None:
    power = _power(panel.values)
    image = axes.imshow(
        panel.values,
        cmap=panel.colours,
        vmin=panel.low,
        vmax=panel.high,
        interpolation="nearest",
    )
    axes.set_title(panel.title)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_facecolor("#d9d9d9")
    axes.set_xlabel(panel.column)
    axes.set_ylabel(panel.row)
    _label(axes, panel)
    if len(panel.columns) <= _MOST_TOLD and len(panel.rows) <= _MOST_TOLD + 1:
        _tell_values(axes, panel, power)
    bar = figure.colorbar(image, ax=axes, location="bottom", fraction=0.05, pad=0.02)
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value / 10.0**power)))
    bar.set_label(f"{panel.quantity}{_in_units(power, panel.unit)}")


def _label(axes: Axes, panel: _Panel) -> None:
    """Name rows and columns by class, some of them where there are many, and the last of all."""
    columns = range(0, len(panel.columns), -(-len(panel.columns) // _MOST_LABELS))
    axes.set_xticks(columns, [panel.columns[place] for place in columns])
    if len(columns) > _MOST_TOLD:
        axes.tick_params(axis="x", labelrotation=90)
    last, step = len(panel.rows) - 1, -(-len(panel.rows) // _MOST_LABELS)
    rows = [*range(0, last + 1, step)]
    if panel.rows[-1] == _POOLED:
        rows = [*range(0, last - step + 1, step), last]
        axes.axhline(last - 0.5, color=BLACK, lw=0.9)
    axes.set_yticks(rows, [panel.rows[place] for place in rows])


def _tell_values(axes: Axes, panel: _Panel, power: int) -> None:
    limit = max(panel.high, -panel.low)
    for row, column in np.argwhere(np.isfinite(panel.values)):
        value = float(panel.values[row, column])
        colour = "white" if abs(value) > 0.6 * limit else BLACK
        shown = round(value / 10.0**power, 1) + 0.0  # no minus before a zero
        text = f"{shown:.1f}".replace("-", "\N{MINUS SIGN}")
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)


def _power(values: Array) -> int:
    """Return the power of ten of the largest value."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return int(np.floor(np.log10(largest))) if largest > 0 else 0


def _in_units(power: int, unit: str) -> str:
    factor = f"10{str(power).translate(SUPERSCRIPTS)}" if power else "1" * bool(unit)
    return f" ({factor}{unit})" if factor else ""


def _caption(result: CurvatureResult, curved: ClassCurvature) -> str:
    judged = np.isin(curved.sources, curved.classes)
    counts = np.unique(curved.sources[judged], return_counts=True)[1]
    left_out = int((~judged).sum())
    others = f", {left_out} of classes without an S_c left out" if left_out else ""
    chance = number(result.dimension / result.ambient_dimension)
    return (
        f"S_c of R = {result.dimension} of each class alone, made by ascent from "
        f"{count_range(curved.images)} images of it; {_POOLED}: that of all classes together, "
        f"{result.subspaces[0].images} images. Left: by gradients at s = {number(result.scale)} "
        f"(input units), surface of the {tested_surface(result)}, mean over the directions and "
        f"over n = {int(judged.sum())} held-out nearest boundary points, {count_range(counts)} a "
        f"class{others}; positive bends towards the image. Right: mean squared cosine of the "
        f"principal angles, R/D = {chance} for random subspaces; 1 on the diagonal, not drawn. "
        f"Seed {result.seed}."
    )


def count_range(counts: NDArray[np.int64]) -> str:
    """Return the least and the largest of some counts, as text."""
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
