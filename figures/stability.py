"""Whether two disjoint halves of the normals find the same directions."""

import numpy as np
from matplotlib.figure import Figure

from analysis.results import SpectrumResult
from figures.formats import round_numbers
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    TWO_COLUMNS,
    add_caption,
    add_legend_above,
    new_figure,
    plain_log_ticks,
    styled,
)


@styled
def plot_stability(result: SpectrumResult) -> Figure:
    """Return what the first R directions of two halves share, and their principal angles."""
    figure = new_figure(TWO_COLUMNS, 3.3)
    left, right = figure.subplots(1, 2)
    overlaps, random = result.halves.overlaps, result.random
    R = overlaps.dimensions
    marker = "o" if len(R) == 1 else ""
    left.set(xscale="log", yscale="log")
    for found, colour, label in (
        (overlaps, BLUE, "two halves"),
        (random, GREY, "random subspaces"),
    ):
        shared = found.mean_squared_cosine
        left.fill_between(R, shared.min(0), shared.max(0), color=colour, alpha=0.3, lw=0)
        left.plot(R, shared.mean(0), color=colour, marker=marker, label=label)
    left.plot(R, R / result.spectrum.dimension, color=BLACK, ls=":", marker=marker, label="R / D")
    bottom = 0.5 / result.spectrum.dimension
    top = max(1.0, float(overlaps.mean_squared_cosine.max()))
    left.set_ylim(bottom, 1.3 * top)
    plain_log_ticks(left.yaxis, bottom, top)
    left.set_ylabel("shared: mean cos² of the angles")
    chosen = round_numbers(len(R))
    for found, colour, label in (
        (overlaps, BLUE, "two halves"),
        (random, GREY, "random subspaces"),
    ):
        angles = [float(np.degrees(np.median(found.angles(size)))) for size in chosen]
        right.plot(chosen, angles, color=colour, marker="o", ms=2.5, label=label)
    right.set(xscale="log", ylim=(0, 93), yticks=[0, 15, 30, 45, 60, 75, 90])
    right.set_ylabel("median principal angle (degrees)")
    for axes in (left, right):
        plain_log_ticks(axes.xaxis, 1, len(R) + 1)
        axes.set_xlabel("R, number of leading directions")
    add_legend_above(left)
    add_caption(
        figure,
        f"Leading singular directions of two disjoint random halves of {result.halves.count} "
        f"normals each, {len(overlaps.cosines)} splits, seed {result.halves.seed}; D = "
        f"{result.spectrum.dimension}. Left: mean, and smallest to largest, over the splits. "
        "Right: medians over angles and splits. Random: "
        f"{len(random.cosines)} pairs of subspaces.",
    )
    return figure
