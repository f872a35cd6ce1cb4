"""Fooling rates of random perturbations, against their norm and against the subspace dimension."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from analysis.algorithms import universal_parts
from analysis.fooling import FoolingRate
from analysis.perturbations import SPHERE
from analysis.results import FoolingResult
from boundary.errors import InputError
from figures.bands import bar_lengths
from figures.family import SUBSPACES, Family, family
from figures.formats import SPACE, number, percent
from figures.rates import rates_by_dimension, rates_by_norm, reference_rate
from figures.style import (
    BLACK,
    TWO_COLUMNS,
    Percentages,
    add_caption,
    new_figure,
    plain_log_ticks,
    styled,
)

_LOG_FROM = 5.0
"""Ratio of the largest norm to the smallest from which the axis is logarithmic."""
_SHIFT = 1.2
"""Points of the page by which neighbouring families are moved to either side."""


@styled
def plot_fooling_norm(result: FoolingResult) -> Figure:
    """Return fooling rate against norm, S_f and its rivals; clipped at the reference norm beside.

    Raises:
        InputError: If there is no fooling rate.
    """
    _require_rates(result)
    figure = new_figure(TWO_COLUMNS, 3.2)
    axes, column = figure.subplots(1, 2, sharey=True, width_ratios=(6, 1))
    top, norms = 0.0, []
    for place, look in enumerate(map(family, (*SUBSPACES, SPHERE))):
        rates = rates_by_norm(result, look.name, False)
        shift = (2 * place - len(SUBSPACES)) * _SHIFT
        where = [rate.norm for rate in rates]
        norms += where
        top = max(top, draw_rates(axes, where, rates, look, shift=shift))
        clipped = reference_rate(result, look.name, True)
        if clipped is not None:
            top = max(top, draw_rates(column, [place], [clipped], look))
    draw_norm_axis(axes, norms, result)
    axes.set_title("not clipped")
    column.set(title="clipped", xlim=(-0.7, len(SUBSPACES) + 0.7), xticks=[])
    column.set_xlabel("reference norm")
    show_percentages(column)
    _finish(figure, axes, top)
    low, high = axes.get_xlim()
    dotted = " (dotted)" if low <= result.median_margin <= high else ""
    add_caption(
        figure,
        f"{_count(result)} R = {result.reference_dimension}. Dash-dotted: reference "
        f"norm{SPACE}{number(result.reference_norm)}; median margin{SPACE}"
        f"{number(result.median_margin)}{dotted}; mean image norm "
        f"{number(result.mean_image_norm)} (input units). Families are drawn side by side.",
    )
    return figure


@styled
def plot_fooling_dimension(result: FoolingResult) -> Figure:
    """Return fooling rate against R at the reference norm.

    Beside them as lines are the sphere of that norm and its universal perturbations.

    Raises:
        InputError: If there is no fooling rate.
    """
    _require_rates(result)
    figure = new_figure(TWO_COLUMNS, 3.2)
    axes = figure.subplots()
    dimensions: list[float] = []
    top, names = 0.0, dict.fromkeys(rate.family for rate in result.rates)
    for name in (SPHERE, *filter(universal_parts, names)):
        rate, look = reference_rate(result, name, False), family(name)
        if rate is not None and rate.p == 2:
            axes.axhspan(rate.interval.low, rate.interval.high, color=look.colour, alpha=0.15, lw=0)
            axes.axhline(rate.rate, color=look.colour, ls=look.line, label=look.label)
            top = max(top, rate.interval.high)
    for place, look in enumerate(map(family, SUBSPACES)):
        rates = rates_by_dimension(result, look.name)
        R = [float(rate.subspace_dimension) for rate in rates]
        dimensions += R
        top = max(top, draw_rates(axes, R, rates, look, shift=2 * (place - 1) * _SHIFT))
    draw_dimension_axis(axes, dimensions)
    _finish(figure, axes, top)
    add_caption(
        figure,
        f"{_count(result)} Not clipped; norm {number(result.reference_norm)} input units"
        f"{_share(result)}.",
    )
    return figure


def _require_rates(result: FoolingResult) -> None:
    if not result.rates:
        raise InputError("`result` should hold at least one fooling rate. Found none.")


def draw_dimension_axis(axes: Axes, dimensions: Sequence[float]) -> None:
    """Give an axis of R its logarithmic scale, its ticks and its label."""
    axes.set_xscale("log")
    if dimensions:
        low, high = min(dimensions) / 1.2, max(dimensions) * 1.2
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)
    axes.set_xlabel("R, dimension of the subspace")


def show_percentages(axes: Axes) -> None:
    """Give an axis of rates plain percentages, and no grid across it."""
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(Percentages())
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def draw_rates(
    axes: Axes,
    where: Sequence[float],
    rates: Sequence[FoolingRate],
    look: Family,
    *,
    shift: float = 0.0,
) -> float:
    """Draw rates with their 95 % intervals as error bars, hollow where clipped; none: nothing.

    A shift, in points of the page, keeps the bars of two families apart; the data stay what they
    are.

    Returns:
        The highest end of an interval; 0 if there are no rates.
    """
    if not rates:
        return 0.0
    beside = offset_copy(axes.transData, axes.get_figure(root=True), x=shift, units="points")
    clipped = any(rate.clipped for rate in rates)
    axes.errorbar(
        where,
        [rate.rate for rate in rates],
        yerr=bar_lengths(rates),
        color=look.colour,
        marker=look.marker,
        ls=look.line,
        mfc="white" if clipped else look.colour,
        capsize=2.5,
        elinewidth=0.9,
        label=look.label,
        transform=beside,
    )
    return max(rate.interval.high for rate in rates)


def is_wide(norms: Sequence[float]) -> bool:
    """Return whether norms span so much that their axis should be logarithmic."""
    low, high = min(norms, default=1.0), max(norms, default=1.0)
    return low > 0 and high >= _LOG_FROM * low


def draw_norm_axis(axes: Axes, norms: Sequence[float], result: FoolingResult) -> None:
    """Give an axis of norms its scale, its ticks, and the reference norm and median margin."""
    axes.axvline(result.reference_norm, color=BLACK, ls="-.", lw=0.8, zorder=0)
    if np.isfinite(result.median_margin):
        axes.axvline(result.median_margin, color=BLACK, ls=":", lw=0.9, zorder=0)
    axes.set_xlabel("norm of the perturbation (input units)")
    low, high = min(norms, default=1.0), max(norms, default=1.0)
    logarithmic = is_wide(norms)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.2, high * 1.2)
        plain_log_ticks(axes.xaxis, low / 1.2, high * 1.2)
    else:
        axes.set_xlim(0, 1.05 * high)
    mean = result.mean_image_norm
    if mean > 0:
        axes.spines.top.set_visible(True)
        share = axes.secondary_xaxis(
            "top",
            functions=(
                lambda norm: 100 * np.asarray(norm) / mean,
                lambda percentage: np.asarray(percentage) * mean / 100,
            ),
        )
        share.set_xlabel("% of the mean image norm", fontsize=7)
        if logarithmic:
            plain_log_ticks(share.xaxis, low / 1.2, high * 1.2)


def _finish(figure: Figure, axes: Axes, top: float) -> None:
    """Give an axis of rates its label, room up to ``top``, and the figure a legend."""
    show_percentages(axes)
    axes.set_ylabel("fooling rate (%)")
    room = 1.06 * top or 0.05
    axes.set_ylim(-0.03 * room, room)  # a marker at zero is whole
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)


def _share(result: FoolingResult) -> str:
    if result.mean_image_norm <= 0:
        return ""
    share = percent(result.reference_norm / result.mean_image_norm)
    return f", {share} of the mean image norm"


def _count(result: FoolingResult) -> str:
    shown = [rate for rate in result.rates if rate.family in {SPHERE, *SUBSPACES}]
    draws = sorted({len(rate.fooled) for rate in shown})
    many = " to ".join(str(count) for count in dict.fromkeys((draws[0], draws[-1])))
    return (
        f"{many} vector{'' if draws == [1] else 's'} of each family (seed {result.seed}) on "
        f"{len(result.image_ids)} images. Bars and bands: 95 % intervals over draws and images."
    )
