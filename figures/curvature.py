"""Curvature against scale: along families of directions, and along S_c by every estimator."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.curvature_sweep import CurvatureCurve
from analysis.curved import CURVED
from analysis.results import CurvatureResult
from boundary.anchors import PAIR, REGION
from boundary.errors import InputError
from boundary.sections import GRADIENTS, SECTION, VALUES
from figures.curves import (
    ANCHOR_LABELS,
    ESTIMATOR_LABELS,
    censored_told,
    curves_of,
    drawn_anchors,
    residual_told,
    zeros_told,
)
from figures.family import family
from figures.formats import SPACE, drawable, number
from figures.style import (
    BLACK,
    GREEN,
    ORANGE,
    TWO_COLUMNS,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    styled,
)

_LINES = {VALUES: "-", GRADIENTS: "--", SECTION: ":"}
_MARKERS = {VALUES: "o", GRADIENTS: "s", SECTION: "^"}
_SURFACES = {REGION: GREEN, PAIR: ORANGE}
_OPACITY, _FEW = 0.5, 5
"""Of all bands of a panel together, and how many share it at least."""
_MOST_TICKS = 4
"""Of one sign, on the axis of curvature."""


@styled
def plot_curvature(result: CurvatureResult) -> Figure:
    """Return mean curvature against scale by the values estimator, a panel for each anchor.

    Raises:
        InputError: If there are no curves by values.
    """
    curves = curves_of(result, estimator=VALUES, surface=PAIR)

    def look(curve: CurvatureCurve) -> tuple[str, str, str, str]:
        label = drawable(family(curve.family).short)
        return label, family(curve.family).colour, "-", "o" if curve.sampled else "*"

    figure = _panels(result, curves, look)
    add_caption(
        figure,
        f"By values, on the surface of the pair; {_count(curves)}; {_lines(result)}"
        f"{zeros_told(curves)}",
    )
    return figure


@styled
def plot_estimators(result: CurvatureResult) -> Figure:
    """Return mean curvature along S_c against scale, by every estimator on both surfaces.

    Raises:
        InputError: If there are no curves along S_c.
    """
    curves = curves_of(result, family=CURVED)

    def look(curve: CurvatureCurve) -> tuple[str, str, str, str]:
        label = f"{ESTIMATOR_LABELS[curve.estimator]}, {curve.surface}"
        return (
            label,
            _SURFACES[curve.surface],
            _LINES[curve.estimator],
            _MARKERS[curve.estimator],
        )

    figure = _panels(result, curves, look)
    add_caption(
        figure,
        f"Along S_c (R = {result.dimension}); pair: the boundary with one other class, region: "
        f"with any; {curves[0].curvature.shape[1]} random directions of it; {_lines(result)}"
        f"{residual_told(curves)}{censored_told(curves)}{zeros_told(curves)}",
    )
    return figure


def _panels(
    result: CurvatureResult,
    curves: Sequence[CurvatureCurve],
    look: Callable[[CurvatureCurve], tuple[str, str, str, str]],
) -> Figure:
    """Return a figure of curves, a panel for each kind of anchor.

    Args:
        result: Of the stage.
        curves: What to draw.
        look: Label, colour, line and marker of a curve.

    Raises:
        InputError: If there are none.
    """
    if not curves:
        raise InputError("`result.curves` should hold the curves to draw. Found none.")
    kinds = drawn_anchors(result)
    columns = min(2, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = new_figure(TWO_COLUMNS, 2.2 * lines + 1.0)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(kinds) :]:
        axes.set_axis_off()
    for axes, kind in zip(grid, kinds, strict=False):
        own = [curve for curve in curves if curve.anchor == kind]
        axes.set_title(f"{ANCHOR_LABELS[kind]}, n = {own[0].curvature.shape[2] if own else 0}")
        for curve in own:
            _draw_curve(axes, curve, *look(curve), opacity=_OPACITY / max(len(own), _FEW))
        _draw_marks(axes, result)
    panels = list(grid[: len(kinds)])
    _draw_axes(panels, columns, curves)
    add_legend(figure, panels, columns=4)
    return figure


def _draw_curve(
    axes: Axes,
    curve: CurvatureCurve,
    label: str,
    colour: str,
    line: str,
    marker: str,
    opacity: float,
) -> None:
    low = np.array([one.low for one in curve.intervals])
    high = np.array([one.high for one in curve.intervals])
    axes.fill_between(curve.scales, low, high, color=colour, alpha=opacity, lw=0)
    axes.plot(
        curve.scales,
        curve.mean,
        color=colour,
        ls=line,
        marker=marker,
        ms=5 if marker == "*" else 3,
        label=label,
    )


def _draw_marks(axes: Axes, result: CurvatureResult) -> None:
    """Draw zero, the median margin, the scale of S_c and the reference norm."""
    axes.axhline(0, color=BLACK, lw=0.8, zorder=1)
    apart = number(result.scale) != number(result.reference_norm)
    marks = [(result.median_margin, ":"), (result.scale, "--")]
    for where, line in [*marks, *([(result.reference_norm, "-.")] if apart else [])]:
        if np.isfinite(where):
            axes.axvline(where, color=BLACK, ls=line, lw=0.8, zorder=1)


def _draw_axes(panels: Sequence[Axes], columns: int, curves: Sequence[CurvatureCurve]) -> None:
    """Give all panels, which share their axes, scales that hold every mean, and labels."""
    scales = np.concatenate([curve.scales for curve in curves])
    low, high = float(scales.min()) / 1.15, float(scales.max()) * 1.15
    means = np.abs(np.concatenate([curve.mean for curve in curves]))
    width = float(np.median(means[means > 0])) if (means > 0).any() else 1.0
    for place, axes in enumerate(panels):
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)
        axes.set_yscale("asinh", linear_width=width)
        if place >= len(panels) - columns:
            axes.set_xlabel("scale s (input units)")
            axes.tick_params(labelbottom=True)
        if place % columns == 0:
            axes.set_ylabel("curvature (1 / input units)")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ticks = FixedLocator(_ticks(*panels[0].get_ylim(), width))
    panels[0].yaxis.set_major_locator(ticks)
    panels[0].yaxis.set_minor_locator(NullLocator())


def _ticks(low: float, high: float, width: float) -> list[float]:
    """Return 0 and plain numbers beyond the linear part of an axis that is logarithmic there."""
    powers = [10.0**power for power in range(-12, 13)]
    sizes = [size for power in powers for size in (power, 3 * power)]
    for chosen in (sizes, powers, powers[::2], powers[::4]):
        beyond = [size for size in chosen if width <= size <= max(-low, high)]
        if len(beyond) <= _MOST_TICKS:
            break
    return [
        0.0,
        *(sign * size for size in beyond for sign in (-1, 1) if low <= sign * size <= high),
    ]


def _count(curves: Sequence[CurvatureCurve]) -> str:
    draws = max(curve.curvature.shape[1] for curve in curves)
    return f"{draws} direction{'' if draws == 1 else 's'} of a family at most"


def _lines(result: CurvatureResult) -> str:
    made, norm = number(result.scale), number(result.reference_norm)
    both = (
        f"scale at which S_c was made and reference norm{SPACE}{norm} (dashed)"
        if made == norm
        else f"scale at which S_c was made{SPACE}{made} (dashed), reference norm{SPACE}{norm} "
        "(dash-dotted)"
    )
    return (
        f"n of {result.tried} held-out images, seed {result.seed}. Positive: the boundary bends "
        "towards the image. Bands: 95 % intervals of the mean, over draws and points. "
        f"Vertical lines: median margin{SPACE}{number(result.median_margin)} (dotted), {both}, "
        "input units. The axis of curvature is linear near zero and logarithmic beyond."
    )
