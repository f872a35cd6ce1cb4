"""All families of perturbations on one axis.

After Fig. 8 of Moosavi-Dezfooli et al. (CVPR 2017).
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import FoolingResult
from boundary.errors import InputError
from figures.bands import draw_curve
from figures.family import Family, family
from figures.fooling import draw_norm_axis, show_percentages
from figures.formats import SPACE, drawable, number
from figures.rates import ranked_rates, rates_by_norm
from figures.style import TWO_COLUMNS, add_caption, new_figure, styled

LONGEST_FAMILY = 80
"""Letters of its name in a figure; of those that this package names none is cut."""


@styled
def plot_families(result: FoolingResult) -> Figure:
    """Return fooling rate against norm of every family.

    Raises:
        InputError: If there is no rate without clipping.
    """
    ranked = [rate.family for rate in ranked_rates(result, clipped=False)]
    if not ranked:
        raise InputError("`result` should hold rates without clipping.")
    figure = new_figure(TWO_COLUMNS, 4.2)
    axes = figure.subplots()
    show_percentages(axes)
    for name in ranked:
        _draw_family(axes, result, family(name))
    draw_norm_axis(axes, [rate.norm for rate in rates_by_norm(result, SPHERE, False)], result)
    axes.set_ylabel("fooling rate (%)")
    axes.set_ylim(-0.02, 1.02)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    add_caption(figure, _caption(result, axes.get_xlim()))
    return figure


def _draw_family(axes: Axes, result: FoolingResult, look: Family) -> None:
    rates = rates_by_norm(result, look.name, False)
    draw_curve(
        axes,
        [rate.norm for rate in rates],
        rates,
        drawable(label_with_dimension(look, result), LONGEST_FAMILY),
        colour=look.colour,
        marker=look.marker,
        line=look.line,
    )


def label_with_dimension(of: Family, result: FoolingResult) -> str:
    """Return a family in words, with R where it is the reference one."""
    R = f", R = {result.reference_dimension}" if of.name == SUBSPACE else ""
    return of.label + R


def _caption(result: FoolingResult, shown: tuple[float, float]) -> str:
    draws = max(len(rate.fooled) for rate in result.rates)
    norm = number(result.reference_norm)
    dotted = " (dotted)" if shown[0] <= result.median_margin <= shown[1] else ""
    return (
        f"Not clipped; {len(result.image_ids)} images that made nothing; up to {draws} draws of a "
        f"family, seed {result.seed}. Bands: 95 % intervals. Dash-dotted: reference norm"
        f"{SPACE}{norm}, for which universal perturbations were made, and scaled to the others; "
        f"median margin{SPACE}{number(result.median_margin)}{dotted} (input units). Families by "
        "their rate at the reference norm."
    )
