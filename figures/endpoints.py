"""The three endpoints of the curvature hypothesis: every comparison that they need."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.curvature_test import BENDS, FOOLS, PREDICTS, EndpointRow
from analysis.results import CurvatureResult
from figures.formats import number
from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    TWO_COLUMNS,
    VERMILION,
    Percentages,
    add_caption,
    add_legend,
    new_figure,
    styled,
)

_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))
_APART = 0.22


class _Panel(NamedTuple):
    title: str
    label: str
    endpoint: str
    zero: bool | None = None
    """Of P1, whether curvature is compared with zero, or with noise."""


_PANELS = (
    _Panel("bends: curvature of the pair", "median curvature (1 / input units)", BENDS, True),
    _Panel("bends: more than matched noise", "share of images, less a half (points)", BENDS, False),
    _Panel("fools: S_c less a rival", "difference of fooling rates (points)", FOOLS),
    _Panel("predicts: with bending less planes alone", "pairs told right (points)", PREDICTS),
)


@styled
def plot_endpoints(result: CurvatureResult) -> Figure:
    """Return the comparisons of the three endpoints with their intervals."""
    figure = new_figure(TWO_COLUMNS, 4.2)
    panels = figure.subplots(2, 2, height_ratios=(2, 3)).ravel()
    least = {one.name: one.least for one in result.test.endpoints}
    for axes, panel in zip(panels, _PANELS, strict=True):
        rows = [row for row in result.test.rows if _shown(row, panel)]
        _draw_rows(axes, rows)
        axes.axvline(0, color=BLACK, lw=0.8, zorder=1)
        if panel.zero is not False:
            label = "smallest effect of interest"
            axes.axvline(least[panel.endpoint], color=VERMILION, ls="--", lw=0.9, label=label)
        if panel.zero:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        else:
            axes.xaxis.set_major_formatter(Percentages())
        axes.set_title(panel.title)
        axes.set_xlabel(panel.label)
    add_legend(figure, panels, columns=4)
    add_caption(
        figure,
        "Bars: 95 % intervals, each comparison by itself; an endpoint holds if all of its "
        "comparisons do. S_c was made three times, from disjoint thirds of the images. Median "
        f"margin {number(result.test.median_margin)}, reference norm "
        f"{number(result.reference_norm)} (input units); seed {result.seed}.",
    )
    return figure


def _shown(row: EndpointRow, panel: _Panel) -> bool:
    return row.endpoint == panel.endpoint and (
        panel.zero is None or panel.zero == (row.rival == "zero")
    )


def _draw_rows(axes: Axes, rows: Sequence[EndpointRow]) -> None:
    names = list(dict.fromkeys(map(_name, rows)))
    frames = sorted({row.frame for row in rows})
    for place, frame in enumerate(frames):
        own = [row for row in rows if row.frame == frame]
        colour, marker = _LOOKS[place % len(_LOOKS)]
        axes.errorbar(
            [row.estimate for row in own],
            [names.index(_name(row)) + (place - (len(frames) - 1) / 2) * _APART for row in own],
            xerr=[
                [row.estimate - row.low for row in own],
                [row.high - row.estimate for row in own],
            ],
            fmt=marker,
            ms=4,
            color=colour,
            elinewidth=0.9,
            capsize=2,
            label=f"S_c, third {place + 1}",
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _name(row: EndpointRow) -> str:
    if row.endpoint == BENDS:
        return f"s = {number(row.scale)}"
    return row.rival
