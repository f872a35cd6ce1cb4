"""What classes and pairs of classes explain of the shared directions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.dimension import dimensions, random_participation_ratio
from analysis.results import SpectrumResult
from figures.formats import percent, percent_interval
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    TWO_COLUMNS,
    VERMILION,
    add_caption,
    add_legend_above,
    new_figure,
    plain_log_ticks,
    styled,
)

_TICKS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


@styled
def plot_classes(result: SpectrumResult) -> Figure:
    """Return what pair means explain of S_f, and how many directions classes and pairs fill."""
    figure = new_figure(TWO_COLUMNS, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_explained(left, result)
    _draw_groups(right, result)
    names = ("their mean", "means by class", "by pair")
    said = "; ".join(
        f"{name} {percent(share.value)} ({percent_interval(share.interval)})"
        for name, share in zip(names, result.means.shares, strict=True)
    )
    add_caption(
        figure,
        f"n = {result.spectrum.count} normals, D = {result.spectrum.dimension}. Left: mean, and "
        f"smallest to largest, over {len(result.means.rank)} splits, seed {result.halves.seed}. "
        f"Share of the normals' energy, with 95 % intervals from halves: {said}.",
    )
    return figure


def _draw_explained(axes: Axes, result: SpectrumResult) -> None:
    means = result.means
    R = np.arange(1, means.explained.shape[1] + 1)
    rank = float(means.rank.mean())
    marker = "o" if len(R) == 1 else ""
    axes.set_xlabel("R, number of leading directions of one half")
    axes.set_ylabel("share of them that is explained")
    if not rank:
        axes.text(
            0.5, 0.5, "no pair of classes has\ntwo normals in a half", ha="center", va="center"
        )
        axes.set(xticks=[], yticks=[])
        return
    axes.set(xscale="log", yscale="log")
    for shares, colour, label in (
        (means.rival, BLUE, "as many leading directions of the other half"),
        (means.explained, VERMILION, f"span of {rank:.0f} pair means of the other half"),
    ):
        axes.fill_between(R, shares.min(0), shares.max(0), color=colour, alpha=0.25, lw=0)
        axes.plot(R, shares.mean(0), color=colour, marker=marker, label=label)
    random = rank / result.spectrum.dimension
    axes.axhline(random, color=BLACK, ls=":", lw=1, label="as many random directions")
    bottom = 0.5 * min(random, max(float(means.explained.min()), 1e-4))
    axes.set_ylim(bottom, 1.15)
    axes.set_yticks([tick for tick in _TICKS if tick > bottom])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    plain_log_ticks(axes.xaxis, 1, len(R) + 1)
    add_legend_above(axes)


def _draw_groups(axes: Axes, result: SpectrumResult) -> None:
    axes.set(xscale="log", yscale="log")
    for groups, colour, marker, label in (
        (result.by_source, BLUE, "o", "classes"),
        (result.by_pair, VERMILION, "D", "pairs of classes"),
    ):
        if len(groups.counts):
            axes.plot(
                groups.counts, groups.participation_ratio, marker, color=colour, ms=4, label=label
            )
    ratio = dimensions(result.spectrum.singular_values).participation_ratio
    axes.plot(result.spectrum.count, ratio, "s", color=GREY, label="all normals")
    counts = [result.spectrum.count, *map(int, result.by_source.counts)]
    counts += map(int, result.by_pair.counts)
    low, high = 0.6 * min(counts), 1.4 * result.spectrum.count
    count = np.geomspace(low, high, 200)
    random = random_participation_ratio(count, result.spectrum.dimension)
    axes.plot(count, random, color=BLACK, ls=":", label="random directions")
    axes.set_xlabel("normals n in the group")
    axes.set_ylabel("participation ratio (directions)")
    plain_log_ticks(axes.xaxis, low, high)
    plain_log_ticks(axes.yaxis, low, high)
    add_legend_above(axes, columns=2)
