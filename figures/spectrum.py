"""The singular spectrum of the normals beside that of random directions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.nulls import (
    Null,
    marchenko_pastur_edges,
    marchenko_pastur_values,
)
from analysis.results import SpectrumResult
from figures.formats import number
from figures.listed import NULL_LABELS
from figures.style import (
    BLACK,
    BLUE,
    NULL_COLOURS,
    ONE_COLUMN,
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
    """Return the singular values against their index.

    The values stand beside the band of each null's draws and the law of Marchenko and Pastur. A dot
    marks the last leading value above every draw of a null. Values below the floor of the
    arithmetic are not drawn, and said so.
    """
    figure = new_figure(ONE_COLUMN, 4.1)
    axes = figure.subplots()
    _draw_values(axes, result)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", fontsize=7)
    add_caption(figure, _caption(result))
    return figure


def _draw_values(axes: Axes, result: SpectrumResult) -> None:
    values = result.spectrum.singular_values
    bottom = _bottom(result)
    axes.set(xscale="log", yscale="log")
    index = places_on_log_axis(len(values))
    drawn = shown_places(result)
    axes.plot(drawn + 1, values[drawn], color=BLUE, lw=1.6, label="normals", zorder=4)
    for null in result.nulls:
        _draw_null(axes, null, values, bottom)
    spectrum = result.spectrum
    law = marchenko_pastur_values(spectrum.count, spectrum.dimension)
    axes.plot(index + 1, law[index], color=BLACK, ls="--", lw=0.8, label="Marchenko–Pastur law")
    edges = marchenko_pastur_edges(spectrum.count, spectrum.dimension)
    for edge in edges:
        axes.axhline(edge, color=BLACK, ls=":", lw=0.8)
    axes.plot([], [], color=BLACK, ls=":", lw=0.8, label=_edges_label(edges))
    top = max(float(values[0]), *(float(null.band[1][0]) for null in result.nulls))
    axes.set_ylim(bottom, 1.25 * top)
    axes.set_xlim(0.9, len(values) * 1.1)
    plain_log_ticks(axes.xaxis, 1, len(values) + 1)
    plain_log_ticks(axes.yaxis, bottom, top)
    axes.set_xlabel("index of singular value")
    axes.set_ylabel("singular value (dimensionless)")


def _draw_null(axes: Axes, null: Null, values: NDArray[np.float64], bottom: float) -> None:
    """Draw a null's band, and a dot where the values first meet it."""
    low, high = null.band
    index = places_on_log_axis(len(low))
    leading = null.leading(values)
    colour = NULL_COLOURS[null.name]
    draws = len(null.singular_values)
    axes.fill_between(
        index + 1,
        low[index],
        high[index],
        color=colour,
        alpha=0.6,
        linewidth=1.3,
        label=f"{NULL_LABELS[null.name]} ({draws}): {leading} above",
    )
    if leading:
        at = values[leading - 1]
        axes.plot(leading, at, "o", color=colour, mec="white", ms=5.5, zorder=5)
        axes.vlines(leading, bottom, at, color=colour, lw=0.8)


def _bottom(result: SpectrumResult) -> float:
    """Return the lowest singular value that the axis shows."""
    values = result.spectrum.singular_values
    lowest_null = float(result.isotropic.singular_values.min())
    kept = values[values >= max(result.spectrum.floor, values[0] * 10.0**-_DECADES)]
    return 0.7 * min(float(kept[-1]), max(lowest_null, float(values[0]) * 10.0**-_DECADES))


def shown_places(result: SpectrumResult) -> NDArray[np.intp]:
    """Return the places of the singular values to draw, from 0: none below the arithmetic's."""
    places = places_on_log_axis(len(result.spectrum.singular_values))
    return places[result.spectrum.singular_values[places] >= result.spectrum.floor]


def places_on_log_axis(count: int, most: int = _MOST_POINTS) -> NDArray[np.intp]:
    """Return places of 0 ... count - 1: all, or as many as a log axis can show, evenly on it."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.geomspace(1, count, most).round().astype(np.intp)) - 1


def _edges_label(edges: tuple[float, float]) -> str:
    return f"Marchenko–Pastur edges {number(edges[0])} and {number(edges[1])}"


def _caption(result: SpectrumResult) -> str:
    spectrum = result.spectrum
    parts = [
        f"n = {spectrum.count} unit normals, not centred; D = {spectrum.dimension}. Bands: "
        "smallest and largest of a null's draws, their number in brackets; above: leading "
        f"values of the normals above every draw, up to the dot. Seed {result.seed}.",
    ]
    other = [null for null in result.nulls if (null.counts != spectrum.count).any()]
    for null in other:
        least = int(null.counts.min())
        parts.append(
            f"Of {NULL_LABELS[null.name]} as few as {least} points gave normals; values are scaled "
            "to n."
        )
    if result.left_out:
        parts.append(f"{result.left_out} images without a usable normal are left out.")
    below = int((spectrum.singular_values < spectrum.floor).sum())
    if below:
        parts.append(f"{below} values below {number(spectrum.floor)} (rounding) are not drawn.")
    hidden = int((spectrum.singular_values < _bottom(result)).sum()) - below
    if hidden > 0:
        parts.append(f"{hidden} values lie below the axis.")
    return " ".join(parts)
