"""The singular spectrum of the normals beside that of random directions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.nulls import marchenko_pastur_density, marchenko_pastur_edges
from analysis.results import SpectrumResult
from figures.formats import number
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    TWO_COLUMNS,
    add_caption,
    new_figure,
    plain_log_ticks,
    styled,
)

_MOST_POINTS = 3000
_DECADES = 4
"""Of singular values shown below the largest."""


@styled
def plot_spectrum(result: SpectrumResult) -> Figure:
    """Return the singular values against their index, and the histogram of their squares.

    Both stand beside the isotropic null: the band of its simulated draws, and the law of Marchenko
    and Pastur. Values below the floor of the float64 arithmetic are not drawn, and said so.
    """
    figure = new_figure(TWO_COLUMNS, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_values(left, result)
    _draw_squares(right, result)
    add_caption(figure, _caption(result))
    return figure


def _draw_values(axes: Axes, result: SpectrumResult) -> None:
    values, null = result.spectrum.singular_values, result.null
    drawn = values >= result.spectrum.floor
    bottom = _bottom(result)
    index = _shown(len(values))
    low, high = null.band
    draws = len(null.singular_values)
    axes.set(xscale="log", yscale="log")
    axes.fill_between(
        index + 1,
        low[index],
        high[index],
        color=GREY,
        alpha=0.55,
        linewidth=1.5,
        label=f"isotropic null, {draws} draws (min to max)",
    )
    axes.plot(
        index + 1, null.expected[index], color=BLACK, ls="--", lw=0.9, label="Marchenko–Pastur law"
    )
    edges = marchenko_pastur_edges(null.count, null.dimension)
    for edge in edges:
        axes.axhline(edge, color=BLACK, ls=":", lw=0.9)
    axes.plot([], [], color=BLACK, ls=":", lw=0.9, label=_edges_label(edges))
    above = index[drawn[index]]
    axes.plot(above + 1, values[above], color=BLUE, label="normals")
    leading = null.leading(values)
    if leading:
        label = f"{leading} leading values above every draw"
        axes.plot(leading, values[leading - 1], "o", color=BLUE, mec="white", ms=6, label=label)
        axes.vlines(leading, bottom, values[leading - 1], color=BLUE, lw=0.7)
    else:
        axes.plot([], [], " ", label="no leading value above every draw")
    top = max(float(values[0]), float(high[0]))
    axes.set_ylim(bottom, top * (top / bottom) ** 0.42)  # room for the legend
    axes.set_xlim(0.9, len(values) * 1.1)
    plain_log_ticks(axes.xaxis, 1, len(values) + 1)
    plain_log_ticks(axes.yaxis, bottom, top)
    axes.set_xlabel("index of singular value")
    axes.set_ylabel("singular value (dimensionless)")
    axes.legend(loc="upper right", fontsize=6.5)


def _draw_squares(axes: Axes, result: SpectrumResult) -> None:
    squares = result.spectrum.singular_values**2
    count, dimension = result.null.count, result.null.dimension
    low, high = (edge**2 for edge in marchenko_pastur_edges(count, dimension))
    end = 2 * high
    inside = squares[squares <= end]
    bins = np.linspace(0, end, 41)
    # Weights make the bars a density over all values, those beyond the axis included.
    weights = np.full(len(inside), 1 / (len(squares) * (bins[1] - bins[0])))
    axes.hist(inside, bins=bins.tolist(), weights=weights, color=BLUE, alpha=0.75, label="normals")
    grid = np.linspace(low, high, 400)[1:-1]
    density = marchenko_pastur_density(grid, count, dimension)
    axes.plot(grid, density, color=BLACK, ls="--", lw=1.1, label="Marchenko–Pastur law")
    axes.set_xlim(0, end)
    axes.set_xlabel("squared singular value (dimensionless)")
    axes.set_ylabel("density of values")
    beyond = len(squares) - len(inside)
    title = f"{beyond} values beyond the axis, up to {number(float(squares[0]))}" if beyond else ""
    axes.legend(loc="upper right", title=title or None, title_fontsize=6.5, alignment="right")


def _bottom(result: SpectrumResult) -> float:
    """Return the lowest singular value that the axis shows."""
    values = result.spectrum.singular_values
    lowest_null = float(result.null.singular_values.min())
    kept = values[values >= max(result.spectrum.floor, values[0] * 10.0**-_DECADES)]
    return 0.7 * min(float(kept[-1]), max(lowest_null, float(values[0]) * 10.0**-_DECADES))


def _shown(count: int) -> NDArray[np.intp]:
    """Return the places to draw: all, or as many as a log axis can show."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    return np.unique(np.geomspace(1, count, _MOST_POINTS).round().astype(np.intp)) - 1


def _edges_label(edges: tuple[float, float]) -> str:
    return f"Marchenko–Pastur edges {number(edges[0])} and {number(edges[1])}"


def _caption(result: SpectrumResult) -> str:
    spectrum, null = result.spectrum, result.null
    parts = [
        f"n = {spectrum.count} unit normals, not centred; D = {spectrum.dimension}.",
        f"Isotropic null: {len(null.singular_values)} draws, seed {null.seed}.",
    ]
    if result.left_out:
        parts.append(f"{result.left_out} images without a usable normal are left out.")
    below = int((spectrum.singular_values < spectrum.floor).sum())
    if below:
        parts.append(f"{below} values below {number(spectrum.floor)} (rounding) are not drawn.")
    hidden = int((spectrum.singular_values < _bottom(result)).sum()) - below
    if hidden > 0:
        parts.append(f"{hidden} values lie below the axis.")
    return " ".join(parts)
