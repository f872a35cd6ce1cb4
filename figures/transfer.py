"""What one model's perturbations and subspace are worth on another model, as matrices."""

from collections.abc import Callable
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.transfer import TransferMatrix, TransferResult
from boundary.errors import InputError
from figures.family import family
from figures.formats import number
from figures.style import TWO_COLUMNS, add_caption, new_figure, styled

_TITLE = 30
"""Characters in a line of a panel's title."""

_LONGEST = 14
"""Letters of a model's name on an axis."""


class MatrixPanel(NamedTuple):
    """One matrix, and how its cells and axes are told."""

    title: str
    values: NDArray[np.float64]
    said: Callable[[float], str]
    top: float | None
    row: str
    column: str


@styled
def plot_transfer(result: TransferResult) -> Figure:
    """Return a matrix of fooling rates for each family, and what the subspaces share.

    Raises:
        InputError: If there are no rates.
    """
    if not result.matrices:
        raise InputError("`result.matrices` should hold fooling rates. Found none.")
    panels = [
        *(
            MatrixPanel(_title(matrix), _rates(matrix, result), _share, 1.0, "made on", "tried on")
            for matrix in result.matrices
        ),
        MatrixPanel(
            "normals in a subspace",
            result.geometry.energy,
            _share,
            None,
            "normals of",
            "subspace of",
        ),
        MatrixPanel(
            "two subspaces, mean cos²",
            result.geometry.shared,
            number,
            1.0,
            "subspace of",
            "subspace of",
        ),
    ]
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    side = TWO_COLUMNS / columns
    figure = new_figure(TWO_COLUMNS, lines * (side + 0.1) + 0.5)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for place, (axes, panel) in enumerate(zip(grid, panels, strict=False)):
        draw_matrix(axes, panel, result.models, named=place % columns == 0)
    add_caption(figure, _caption(result))
    return figure


def _title(matrix: TransferMatrix) -> str:
    return fill(family(matrix.family).label, _TITLE)


def _rates(matrix: TransferMatrix, result: TransferResult) -> NDArray[np.float64]:
    models = range(len(result.models))
    return np.array([[matrix.at(row, column).rate for column in models] for row in models])


def _share(value: float) -> str:
    digits = 0 if value >= 0.1 else 1
    return f"{100 * value:.{digits}f} %"


def draw_matrix(axes: Axes, panel: MatrixPanel, models: tuple[str, ...], *, named: bool) -> None:
    """Draw a matrix of two kinds of models, each cell with its number.

    Args:
        axes: Of the panel.
        panel: What is drawn.
        models: Names, of rows and columns.
        named: Write them beside the rows too.
    """
    values = panel.values
    highest = panel.top or float(np.nanmax(values, initial=0.0)) or 1.0
    axes.set_title(panel.title, fontsize=7.5)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=highest, interpolation="nearest")
    for row, column in np.ndindex(values.shape):
        value = float(values[row, column])
        text = panel.said(value) if np.isfinite(value) else "–"
        dark = np.isfinite(value) and value > 0.6 * highest
        axes.text(
            column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "k"
        )
    names = [name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}" for name in models]
    places = range(len(models))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xticks(places)
    axes.set_xticklabels(names, rotation=30, ha="right", fontsize=6.5, parse_math=False)
    axes.set_yticks(places)
    axes.set_yticklabels(names if named else [""] * len(names), fontsize=6.5, parse_math=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(panel.column, fontsize=7)
    axes.set_ylabel(panel.row, fontsize=7)


def _caption(result: TransferResult) -> str:
    noise = {matrix.p: matrix.noise for matrix in result.matrices}
    listed = "; ".join(
        f"random {'directions' if p == 2 else 'signs'} of the same norm fool "
        + ", ".join(
            f"{name} {_share(rate.rate)}" for name, rate in zip(result.models, rates, strict=True)
        )
        for p, rates in noise.items()
    )
    counts = sorted({rate.fooled.shape[1] for rates in noise.values() for rate in rates})
    images = " to ".join(str(count) for count in {counts[0]: 0, counts[-1]: 0})
    geometry = result.geometry
    chance = " or ".join(dict.fromkeys(map(number, geometry.chance)))
    resized = " Perturbations are resized where image sizes differ." if _sizes(result) > 1 else ""
    return (
        f"Not clipped, on {images} images of the column that made nothing; Euclidean perturbations "
        f"at the column's reference norm. For comparison {listed}. Last two: "
        f"R = {geometry.dimension}; at random R/D = {chance}; normals at images that made no "
        f"subspace.{resized}"
    )


def _sizes(result: TransferResult) -> int:
    return len({tuple(size) for size in result.sizes.tolist()})
