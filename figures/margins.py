"""How far the boundary is, how well its nearest points satisfy the condition of a minimum."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.results import CollectionResult
from boundary.points import ON_BOUNDARY, Status
from figures.formats import cosine, number
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


@styled
def plot_margins(result: CollectionResult) -> Figure:
    """Return the histogram of margins, the distribution of alignment, and counts by status.

    The first two are of the points on the boundary alone.
    """
    on_boundary = result.on_boundary
    figure = new_figure(TWO_COLUMNS, 2.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    _draw_margins(left, result.margin[on_boundary])
    _draw_alignment(middle, result.alignment[on_boundary])
    _draw_status(right, result)
    add_caption(
        figure,
        f"{len(result.status)} images; margins and alignment of the {int(on_boundary.sum())} "
        "points on the boundary. Euclidean norm, input units.",
    )
    return figure


def _draw_margins(axes: Axes, margin: NDArray[np.float64]) -> None:
    if len(margin):
        axes.hist(margin, bins=_bins(margin), color=BLUE, alpha=0.75)
        median = float(np.median(margin))
        axes.axvline(median, color=BLACK, ls="--", lw=1)
        axes.set_title(f"median {number(median)} (dashed)", fontsize=7)
    axes.set_xlabel("margin (input units)")
    axes.set_ylabel("images")


def _bins(values: NDArray[np.float64]) -> list[float]:
    """Return thirty bins, wide enough to be told apart where all values are nearly one."""
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(min(low, high * (1 - 1e-6)), high, 31)
    return [float(edge) for edge in edges]


def _draw_alignment(axes: Axes, alignment: NDArray[np.float64]) -> None:
    if len(alignment):
        axes.hist(alignment, bins=_bins(alignment), color=BLUE, alpha=0.75)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        plain_log_ticks(axes.yaxis, *axes.get_ylim())
        tenth, median = (float(value) for value in np.quantile(alignment, [0.1, 0.5]))
        axes.axvline(median, color=BLACK, ls="--", lw=1)
        axes.axvline(tenth, color=BLACK, ls=":", lw=1)
        axes.set_title(
            f"median {cosine(median)} (dashed)\n10th percentile {cosine(tenth)} (dotted)",
            fontsize=7,
        )
    axes.xaxis.set_major_locator(MaxNLocator(3))  # "0.9995" is wide
    axes.set_xlabel("alignment (cosine)")
    axes.set_ylabel("images (log scale)")


def _draw_status(axes: Axes, result: CollectionResult) -> None:
    count = {status: int((result.status == status).sum()) for status in Status}
    shown = [*ON_BOUNDARY, *(s for s in Status if count[s] and not s.on_boundary)]
    names, counts = [s.name.lower().replace("_", " ") for s in shown], [count[s] for s in shown]
    bars = axes.barh(names, counts, color=[BLUE if s.on_boundary else GREY for s in shown])
    axes.bar_label(bars, padding=2, fontsize=7)
    axes.set_xlim(0, 1.25 * max(*counts, 1))
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel("images by status")
