"""How many directions stand out, and how many the spectrum fills, beside every null."""

from dataclasses import asdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from analysis.dimension import (
    estimated_dimensions,
    leading_estimate,
    noise_dimensions,
    null_dimensions,
)
from analysis.intervals import Estimate
from analysis.results import SpectrumResult
from figures.listed import DIMENSION_LABELS, NULL_LABELS
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
    spectrum = result.spectrum
    rows = estimated_dimensions(spectrum, result.halves)
    noise = asdict(noise_dimensions(spectrum.count, spectrum.dimension))
    nulls = {null.name: null_dimensions(null) for null in result.nulls}
    step = 0.75 / (len(nulls) + 1)
    for place, (name, found) in enumerate(rows.items()):
        first = place == 0
        _draw_bar(axes, found, place, BLUE, label="normals" if first else None)
        for turn, (null, draws) in enumerate(nulls.items(), start=1):
            axes.plot(
                [draws[name].min(), draws[name].max()],
                [place + turn * step] * 2,
                color=NULL_COLOURS[null],
                marker="|",
                lw=3,
                label=NULL_LABELS[null] if first else None,
            )
        if noise.get(name):
            axes.plot(
                noise[name],
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
    shown = [found.value for found in rows.values()]
    shown += [draws.min() for of in nulls.values() for draws in of.values()]
    low = 0.8 * min(value for value in shown if value > 0)
    axes.set_xlim(low, high)
    plain_log_ticks(axes.xaxis, low, high)
    middle = len(nulls) * step / 2
    axes.set_yticks(
        [place + middle for place in range(len(rows))], [DIMENSION_LABELS[name] for name in rows]
    )
    axes.grid(visible=False, axis="y", which="major")
    axes.grid(visible=True, axis="y", which="minor")
    axes.yaxis.set_minor_locator(FixedLocator([place - step for place in range(1, len(rows))]))
    axes.set_ylim(len(rows) - step, -step)
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_xlabel("dimension (number of directions)")
    axes.set_ylabel("definition")


def _draw_leading(axes: Axes, result: SpectrumResult) -> None:
    values, most = result.spectrum.singular_values, 1.0
    for place, null in enumerate(result.nulls):
        found = leading_estimate(null, values, result.halves)
        _draw_bar(axes, found, place, NULL_COLOURS[null.name])
        axes.annotate(
            f"{found.value:.0f}",
            (found.value, place),
            (0, 5),
            textcoords="offset points",
            ha="center",
        )
        most = max(most, found.interval.high)
    axes.set_yticks(range(len(result.nulls)), [NULL_LABELS[null.name] for null in result.nulls])
    axes.set_ylim(len(result.nulls) - 0.5, -0.6)
    axes.set_xlim(-0.06 * most, 1.12 * most)
    axes.set_xlabel("leading values above the null")
    axes.set_ylabel("null")


def _draw_bar(
    axes: Axes, found: Estimate, place: float, colour: str, label: str | None = None
) -> None:
    reach = [[found.value - found.interval.low], [found.interval.high - found.value]]
    axes.errorbar(found.value, place, xerr=reach, fmt="o", color=colour, capsize=2, label=label)
