"""Universal perturbations: fooling rate against gradients spent, and against images used."""

from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.fooling import FoolingRate
from analysis.perturbations import SUBSPACE
from analysis.results import MadeUniversal, UniversalResult
from boundary.errors import InputError
from figures.bands import bar_lengths
from figures.family import Family, family
from figures.fooling import show_percentages
from figures.formats import number
from figures.style import (
    TWO_COLUMNS,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    styled,
)


@styled
def plot_universal(result: UniversalResult) -> Figure:
    """Return how fooling rates grow while a perturbation is made, and with the images it is of.

    Raises:
        InputError: If there is no universal perturbation.
    """
    if not result.found:
        raise InputError("`result.found` should hold a universal perturbation. Found none.")
    figure = new_figure(TWO_COLUMNS, 3.4)
    panels = figure.subplots(1, 2 if result.learning else 1, squeeze=False)[0]
    for made in result.found:
        _draw_trace(panels[0], made, family(made.family))
    panels[0].set_title("while it is made")
    panels[0].set_xlabel("image gradients spent")
    panels[0].set_ylabel("fooling rate on other images (%)")
    if result.learning:
        _draw_learning(panels[1], result)
    for axes in panels:
        show_percentages(axes)
        axes.set_ylim(bottom=0)
    add_legend(figure, panels, columns=2)
    add_caption(figure, _caption(result))
    return figure


def _draw_trace(axes: Axes, made: MadeUniversal, look: Family) -> None:
    """Draw the rate on a few images on the way, and that on all of them at the end."""
    axes.plot(made.spent, made.watched, color=look.colour, ls=look.line, lw=1.2, label=look.label)
    _draw_rates(axes, [made.backward_passes], [made.others[0]], look)


def _draw_learning(axes: Axes, result: UniversalResult) -> None:
    axes.set_title("from how many images")
    axes.set_xlabel("images used")
    first = result.found[0]
    by_family = {
        name: list(rows) for name, rows in groupby(result.learning, lambda r: r.rate.family)
    }
    counts: list[int] = []
    for name, rows in by_family.items():
        inside = name == SUBSPACE
        at = [row.images_used for row in rows]
        rates = [row.rate for row in rows]
        if not inside:
            at, rates = [*at, first.images_used], [*rates, first.others[0]]
        look = family(SUBSPACE if inside else first.family)
        values = [rate.rate for rate in rates]
        axes.plot(at, values, color=look.colour, ls=look.line, lw=1.2, label=look.label)
        _draw_rates(axes, at, rates, look)
        counts += at
    if counts and max(counts) > min(counts):
        axes.set_xscale("log")
        low, high = min(counts) / 1.2, max(counts) * 1.2
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)


def _draw_rates(axes: Axes, at: list[int], rates: list[FoolingRate], look: Family) -> None:
    axes.errorbar(
        at,
        [rate.rate for rate in rates],
        yerr=bar_lengths(rates),
        color=look.colour,
        marker=look.marker,
        ls="none",
        capsize=2.5,
        elinewidth=0.9,
    )


def _caption(result: UniversalResult) -> str:
    rates = [made.own[0] for made in result.found]
    norms = [f"{'l2' if rate.p == 2 else 'l∞'} {number(rate.norm)}" for rate in rates]
    named = ", ".join(dict.fromkeys(norms))
    learned = (
        " Right: made from fewer images at the same gradients, and random vectors of the subspace "
        f"(R = {result.reference_dimension} at most) that so many normals make."
        if result.learning
        else ""
    )
    return (
        f"Norms {named} (input units); not clipped; seed {result.seed}. Lines: rate on a few other "
        f"images on the way; points with 95 % intervals: on "
        f"{result.found[0].others[0].fooled.shape[1]} others at the end.{learned}"
    )
