"""Fooling rates of several runs against norm, and every common family at the reference norms."""

from collections.abc import Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.fooling import FoolingRate
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.rivals import MATCHED
from boundary.errors import InputError
from figures.bands import bar_lengths, draw_curve
from figures.compared import ComparedRun, Comparison, told_of_runs
from figures.families import LONGEST_FAMILY
from figures.fooling import show_percentages
from figures.formats import drawable, number, percent
from figures.rates import family_label, rates_by_norm, reference_rate
from figures.style import (
    TWO_COLUMNS,
    Percentages,
    RunLook,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    run_looks,
    styled,
)
from figures.table import CLIPPED

_FAMILIES = (SUBSPACE, MATCHED, SPHERE)
_ROW, _EACH = 0.1, 0.115
"""Inches of a family in the dot plot, without runs and for each of them."""


@styled
def plot_compared_rates(comparison: Comparison) -> Figure:
    """Return fooling rate against norm, a panel for each family and clip policy.

    Raises:
        InputError: If there is no family to draw.
    """
    families = [name for name in _FAMILIES if name in comparison.families]
    if not families or not comparison.clips:
        raise InputError("the runs should share a family of random perturbations. Found none.")
    clips = comparison.clips
    figure = new_figure(TWO_COLUMNS, 0.9 + 2.05 * len(clips))
    grid = figure.subplots(len(clips), len(families), sharex=True, sharey=True, squeeze=False)
    looks = run_looks(comparison.names)
    for row, clipped in zip(grid, clips, strict=True):
        row[0].set_ylabel(f"fooling rate (%), {CLIPPED[clipped]}")
        for axes, family in zip(row, families, strict=True):
            for run in comparison.runs:
                _draw_run(axes, run, family, clipped, looks[run.name])
            show_percentages(axes)
    for axes, family in zip(grid[0], families, strict=True):
        axes.set_title(family_label(family))
    shares = [100 * _share(rate.norm, run) for run in comparison.runs for rate in _swept(run)]
    low, high = min(shares) / 1.2, max(shares) * 1.2
    for axes in grid[-1]:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)
        axes.set_xlabel("norm (% of the mean image norm)")
    grid[0][0].set_ylim(-0.02, 1.02)
    add_legend(figure, [grid[0][0]], min(4, len(comparison.runs)))
    add_caption(figure, _caption(comparison))
    return figure


def _draw_run(axes: Axes, run: ComparedRun, family: str, clipped: bool, look: RunLook) -> None:
    fooling = run.results.fooling
    rates = rates_by_norm(fooling, family, clipped)
    draw_curve(
        axes,
        [100 * _share(rate.norm, run) for rate in rates],
        rates,
        drawable(run.name),
        colour=look.colour,
        marker=look.marker,
        line=look.line,
        hollow=True,
    )
    reference = reference_rate(fooling, family, clipped)
    if reference is not None:
        axes.plot(
            100 * _share(reference.norm, run),
            reference.rate,
            color=look.colour,
            marker=look.marker,
            ms=5,
            zorder=4,
        )


def _swept(run: ComparedRun) -> list[FoolingRate]:
    return [rate for rate in run.results.fooling.rates if rate.family in _FAMILIES]


def _share(norm: float, run: ComparedRun) -> float:
    return norm / run.results.fooling.mean_image_norm


def _caption(comparison: Comparison) -> str:
    names = [*map(drawable, comparison.names)]
    judged = told_of_runs(
        names,
        [
            f"{len(run.results.fooling.image_ids)} images, "
            f"R = {run.results.fooling.reference_dimension}, reference norm "
            f"{number(run.results.fooling.reference_norm)}, mean image norm "
            f"{number(run.results.fooling.mean_image_norm)}"
            for run in comparison.runs
        ],
    )
    return f"{judged} (input units). Filled: at the reference norm. Bands: 95 % intervals."


@styled
def plot_compared_families(comparison: Comparison) -> Figure:
    """Return every common family at the reference norm of each run, as dots with intervals.

    Raises:
        InputError: If the runs have no family in common.
    """
    families, clips = comparison.families, comparison.clips
    if not families or not clips:
        raise InputError("the runs should share a family of perturbations. Found none.")
    height = len(families) * (_ROW + _EACH * len(comparison.runs))
    figure = new_figure(TWO_COLUMNS, 1.2 + height)
    panels = figure.subplots(1, len(clips), sharex=True, sharey=True, squeeze=False)[0]
    looks = run_looks(comparison.names)
    step = 0.8 / len(comparison.runs)
    for axes, clipped in zip(panels, clips, strict=True):
        for place, run in enumerate(comparison.runs):
            shift = (place - (len(comparison.runs) - 1) / 2) * step
            _draw_dots(axes, run, families, clipped, looks[run.name], shift)
        axes.set_title(CLIPPED[clipped])
        axes.set_xlabel("fooling rate (%)")
        axes.xaxis.set_major_formatter(Percentages())
        axes.grid(visible=False, axis="y")
        for border in range(1, len(families)):
            axes.axhline(border - 0.5, color="#e6e6e6", lw=0.6, zorder=0)
    panels[0].set_xlim(left=-0.02)
    panels[0].set_yticks(
        range(len(families)),
        [fill(drawable(family_label(family), LONGEST_FAMILY), 34) for family in families],
    )
    panels[0].set_ylim(len(families) - 0.5, -0.5)
    panels[0].set_ylabel("family")
    add_legend(figure, [panels[0]], min(4, len(comparison.runs)))
    add_caption(figure, _dots_caption(comparison))
    return figure


def _draw_dots(
    axes: Axes,
    run: ComparedRun,
    families: Sequence[str],
    clipped: bool,
    look: RunLook,
    shift: float,
) -> None:
    found = [
        (place, rate)
        for place, family in enumerate(families)
        if (rate := reference_rate(run.results.fooling, family, clipped)) is not None
    ]
    axes.errorbar(
        [rate.rate for _, rate in found],
        [place + shift for place, _ in found],
        xerr=bar_lengths([rate for _, rate in found]),
        fmt=look.marker,
        color=look.colour,
        ms=4,
        capsize=0,
        elinewidth=1,
        label=drawable(run.name),
    )


def _dots_caption(comparison: Comparison) -> str:
    norms = told_of_runs(
        [*map(drawable, comparison.names)],
        [
            number(run.results.fooling.reference_norm)
            + (f", {percent(run.share)} of the mean image norm" if run.share else "")
            for run in comparison.runs
        ],
    )
    return (
        f"At the reference norm of each run (input units; {norms}). Bars: 95 % intervals. Families "
        "that two runs or more have, in the order of the first."
    )
