"""How many directions stand out, and how many the spectrum fills, beside every null."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from analysis.results import SpectrumResult
from figures.listed import NULL_LABELS
from figures.spectrum_tables import dimension_rows, null_rows
from figures.style import (
    BLACK,
    BLUE,
    NULL_COLOURS,
    TWO_COLUMNS,
    add_caption,
    new_figure,
    plain_log_ticks,
    styled,
)


@styled
def plot_dimensions(result: SpectrumResult) -> Figure:
    """Return the dimensions of the spectrum by every definition, and the counts above the nulls."""
    figure = new_figure(TWO_COLUMNS, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _draw_dimensions(left, result)
    _draw_leading(right, result)
    found = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    labels = ["normals", *(label for label in found if label != "normals")]
    figure.legend(
        [found[label] for label in labels],
        labels,
        loc="outside upper left",
        ncols=3,
        fontsize=6.5,
        columnspacing=2.0,
    )
    halves = result.halves
    add_caption(
        figure,
        f"n = {result.spectrum.count} normals, D = {result.spectrum.dimension}. Whiskers: 95 % "
        f"intervals from {len(halves.singular_values)} random halves of {halves.count} normals, "
        f"seed {halves.seed}. Bars of the nulls: smallest and largest draw; "
        "counts of 0 have no place on the axis.",
    )
    return figure


def _draw_dimensions(axes: Axes, result: SpectrumResult) -> None:
    rows = dimension_rows(result)
    names = [null.name for null in result.nulls]
    step = 0.75 / (len(names) + 1)
    for place, row in enumerate(rows):
        first = place == 0
        axes.errorbar(
            row.value,
            place,
            xerr=[[row.value - row.interval.low], [row.interval.high - row.value]],
            fmt="o",
            color=BLUE,
            capsize=2,
            label="normals" if first else None,
        )
        for turn, (name, drawn) in enumerate(zip(names, row.nulls, strict=True), start=1):
            axes.plot(
                [drawn.low, drawn.high],
                [place + turn * step] * 2,
                color=NULL_COLOURS[name],
                marker="|",
                lw=3,
                label=NULL_LABELS[name] if first else None,
            )
        if row.noise:
            axes.plot(
                row.noise,
                place + step,
                marker="x",
                color=BLACK,
                ls="",
                ms=3.5,
                zorder=4,
                label="random directions, closed form" if first else None,
            )
    axes.set_xscale("log")
    _, high = axes.get_xlim()
    # A count of 0 has no place on a log axis; the table has it.
    shown = [row.value for row in rows] + [drawn.low for row in rows for drawn in row.nulls]
    low = 0.8 * min(value for value in shown if value > 0)
    axes.set_xlim(low, high)
    plain_log_ticks(axes.xaxis, low, high)
    middle = len(names) * step / 2
    axes.set_yticks([place + middle for place in range(len(rows))], [row.label for row in rows])
    axes.grid(visible=False, axis="y", which="major")
    axes.grid(visible=True, axis="y", which="minor")
    axes.yaxis.set_minor_locator(FixedLocator([place - step for place in range(1, len(rows))]))
    axes.set_ylim(len(rows) - step, -step)
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_xlabel("dimension (number of directions)")
    axes.set_ylabel("definition")


def _draw_leading(axes: Axes, result: SpectrumResult) -> None:
    rows = null_rows(result)
    for place, row in enumerate(rows):
        axes.errorbar(
            row.leading,
            place,
            xerr=[
                [row.leading - row.leading_interval.low],
                [row.leading_interval.high - row.leading],
            ],
            fmt="o",
            color=NULL_COLOURS[row.name],
            capsize=2,
        )
        axes.annotate(
            f"{row.leading}", (row.leading, place), (0, 5), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    most = max(1.0, *(row.leading_interval.high for row in rows))
    axes.set_xlim(-0.06 * most, 1.12 * most)
    axes.set_xlabel("leading values above the null")
    axes.set_ylabel("null")
