"""All families of perturbations on one axis.

After Fig. 8 of Moosavi-Dezfooli et al. (CVPR 2017).
"""

from itertools import cycle
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import FoolingResult
from analysis.rivals import MATCHED, UNTRAINED
from boundary.errors import InputError
from figures.bands import draw_curve
from figures.fooling import draw_norm_axis, show_percentages
from figures.formats import SPACE, drawable, number
from figures.rates import family_label, ranked_rates, rates_by_norm
from figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    SKY,
    TWO_COLUMNS,
    VERMILION,
    YELLOW,
    add_caption,
    new_figure,
    styled,
    universal_colours,
)

LONGEST_FAMILY = 80
"""Letters of its name in a figure; of those that this package names none is cut."""


class FamilyLook(NamedTuple):
    """How a family is drawn, in matplotlib's words."""

    colour: str
    marker: str
    line: str


_LOOKS = {
    SUBSPACE: FamilyLook(BLUE, "o", "-"),
    MATCHED: FamilyLook(PINK, "o", "-"),
    UNTRAINED: FamilyLook(ORANGE, "o", "-"),
    SPHERE: FamilyLook(VERMILION, "s", "-"),
    "displacement": FamilyLook(GREEN, "D", "-"),
    "displacement sum": FamilyLook(GREEN, "D", "--"),
    "singular vectors": FamilyLook(SKY, "^", "-"),
    "gradient sign": FamilyLook(YELLOW, "v", "--"),
    "mean image": FamilyLook(GREY, "x", "--"),
}

_UNIVERSAL = "*"
"""Marker of universal perturbations; each has a colour of its own, and is dashed within S_f."""

_FILES = ("P", "X", "p", "h")
"""Markers of perturbations of others, which are grey and dotted."""


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
    looks = family_looks(ranked)
    show_percentages(axes)
    for family in ranked:
        _draw_family(axes, result, family, looks[family])
    draw_norm_axis(axes, [rate.norm for rate in rates_by_norm(result, SPHERE, False)], result)
    axes.set_ylabel("fooling rate (%)")
    axes.set_ylim(-0.02, 1.02)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    add_caption(figure, _caption(result, axes.get_xlim()))
    return figure


def family_looks(families: list[str]) -> dict[str, FamilyLook]:
    """Return how to draw the families known by name, and those given."""
    files = sorted(family for family in families if family.startswith("file "))
    universal = sorted(family for family in families if family.startswith("universal "))
    colours = universal_colours(universal)
    return {
        **_LOOKS,
        **{
            family: FamilyLook(colours[family], _UNIVERSAL, "--" if "subspace" in family else "-")
            for family in universal
        },
        **{
            family: FamilyLook(GREY, marker, ":")
            for family, marker in zip(files, cycle(_FILES), strict=False)
        },
    }


def _draw_family(axes: Axes, result: FoolingResult, family: str, look: FamilyLook) -> None:
    rates = rates_by_norm(result, family, False)
    draw_curve(
        axes,
        [rate.norm for rate in rates],
        rates,
        drawable(family_name(family, result), LONGEST_FAMILY),
        colour=look.colour,
        marker=look.marker,
        line=look.line,
    )


def family_name(family: str, result: FoolingResult) -> str:
    """Return a family in words, with R where it is the reference one."""
    label = family_label(family)
    return f"{label}, R = {result.reference_dimension}" if family == SUBSPACE else label


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
