"""All families of perturbations at the reference norm."""

from textwrap import fill

from matplotlib.figure import Figure

from analysis.perturbations import SUBSPACE
from analysis.results import FoolingResult
from boundary.errors import InputError
from figures.bands import bar_lengths
from figures.family import Family, family
from figures.formats import drawable, number
from figures.rates import ranked_rates
from figures.style import ONE_COLUMN, Percentages, add_caption, new_figure, styled

LONGEST_FAMILY = 80
"""Letters of its name in a figure; of those that this package names none is cut."""
_LINE = 26
"""Letters in a line of a name."""


@styled
def plot_families(result: FoolingResult) -> Figure:
    """Return the fooling rate of every family at the reference norm, the highest first.

    Raises:
        InputError: If there is no rate without clipping.
    """
    ranked = ranked_rates(result, clipped=False)
    if not ranked:
        raise InputError("`result` should hold rates without clipping.")
    names = [rate.family for rate in ranked]
    labels = [
        fill(drawable(label_with_dimension(family(name), result), LONGEST_FAMILY), _LINE)
        for name in names
    ]
    figure = new_figure(ONE_COLUMN, 1.1 + 0.145 * sum(2 + label.count("\n") for label in labels))
    axes = figure.subplots()
    for clipped, shift in ((False, -0.13), (True, 0.17)):
        for rate in ranked_rates(result, clipped):
            look = family(rate.family)
            axes.errorbar(
                rate.rate,
                names.index(rate.family) + shift,
                xerr=bar_lengths([rate]),
                color=look.colour,
                marker=look.marker,
                ms=5,
                mfc="white" if clipped else look.colour,
                capsize=2,
            )
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    top = max(rate.interval.high for rate in ranked)
    axes.set_xlim(-0.02 * top, min(1.02, 1.08 * top or 1.0))
    axes.xaxis.set_major_formatter(Percentages())
    axes.set_xlabel("fooling rate (%)")
    axes.grid(visible=False, axis="y")
    draws = max(len(rate.fooled) for rate in ranked)
    add_caption(
        figure,
        f"Norm {number(result.reference_norm)} input units; {len(result.image_ids)} images that "
        f"made nothing; up to {draws} draws of a family, seed {result.seed}. Bars: 95 % "
        "intervals. Hollow: clipped to the bounds.",
    )
    return figure


def label_with_dimension(of: Family, result: FoolingResult) -> str:
    """Return a family in words, with R where it is the reference one."""
    R = f", R = {result.reference_dimension}" if of.name == SUBSPACE else ""
    return of.label + R
