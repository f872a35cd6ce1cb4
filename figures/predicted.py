"""Fooling rates predicted from geometry beside those measured, and margins within subspaces."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.intervals import RESAMPLES, TAILS, Interval, percentile_interval
from analysis.predicted import (
    CURVED,
    CURVED_AT_NORM,
    FLAT,
    MANY_PLANES,
    MODELS,
    SHARED_CURVATURE,
    PredictionQuality,
    PredictionRow,
)
from analysis.results import CurvatureResult
from analysis.theorems import SubspaceMargins
from boundary.errors import InputError
from figures.curves import ESTIMATOR_LABELS, family_colours, space_label
from figures.formats import SPACE, drawable, number
from figures.style import (
    BLACK,
    BLUE,
    GREY,
    ONE_COLUMN,
    ORANGE,
    TWO_COLUMNS,
    Percentages,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    styled,
)

_LOOKS = {
    FLAT: (GREY, "--"),
    MANY_PLANES: (BLACK, "-."),
    CURVED: (BLUE, "-"),
    CURVED_AT_NORM: (BLUE, ":"),
    SHARED_CURVATURE: (ORANGE, "-"),
}
_COLUMNS = 3
_SIZES = (2.5, 6.5)
"""Points of the page of the markers of the least and the largest norm."""
RANDOM = "random"
"""Whose subspaces are spanned by random directions."""
_BEYOND = 0.05
"""Probability with which the ratio of a random subspace passes either end of the flat band."""

Array = NDArray[np.float64]


@styled
def plot_predicted(result: CurvatureResult) -> Figure:
    """Return predicted against measured rates by every model, and R2 against the scale.

    Without curvature the last panel is left out.

    Raises:
        InputError: If there are no predictions.
    """
    told = told_quality(result)
    if not told or not result.predictions:
        raise InputError("`result.predictions` should hold predictions. Found none.")
    bent = prediction_scale(result) > 0
    names = [*(quality.model for quality in told), *["scale"] * bent]
    columns = min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    figure = new_figure(TWO_COLUMNS, 2.4 * lines + 1.5)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    panels = dict(zip(names, grid, strict=False))
    highest = max(max(row.predicted.max(), row.measured.max()) for row in result.predictions)
    room = min(1.0, 1.06 * float(highest) or 0.05)
    for place, quality in enumerate(told):
        axes = panels[quality.model]
        _draw_model(axes, result, quality, room)
        axes.set_aspect("equal")
        if place:
            axes.sharex(panels[told[0].model])
            axes.sharey(panels[told[0].model])
        axes.set_xlabel("predicted rate (%)")
        if place % columns == 0:
            axes.set_ylabel("measured rate (%)")
    if bent:
        _draw_scales(panels["scale"], result)
    add_legend(figure, panels.values(), columns=4)
    add_caption(figure, _caption(result))
    return figure


def prediction_scale(result: CurvatureResult) -> float:
    """Return the scale of curvature whose predictions are told: that of S_c, or the nearest."""
    scales = {quality.scale for quality in result.quality if quality.scale > 0}
    return min(scales, key=lambda scale: abs(np.log(scale / result.scale)), default=0.0)


def told_quality(result: CurvatureResult) -> list[PredictionQuality]:
    """Return the quality of every model, of those with curvature at one scale."""
    scale = prediction_scale(result)
    found = {one.model: one for one in result.quality if one.scale in {0.0, scale}}
    return [found[model] for model in MODELS if model in found]


def predictions_of(result: CurvatureResult, quality: PredictionQuality) -> list[PredictionRow]:
    """Return the rows that a quality is of."""
    return [
        row
        for row in result.predictions
        if (row.model, row.scale) == (quality.model, quality.scale)
    ]


def _draw_model(
    axes: Axes, result: CurvatureResult, quality: PredictionQuality, room: float
) -> None:
    """Draw a point a family, norm and draw, above the diagonal where too few were predicted."""
    rows = predictions_of(result, quality)
    colours = family_colours(dict.fromkeys(row.family for row in result.predictions))
    norms = sorted({row.norm for row in rows})
    sizes = dict(zip(norms, np.linspace(*_SIZES, len(norms)), strict=True))
    at = f", s = {number(quality.scale)}" if quality.scale else ""
    axes.set_title(f"{quality.model}{at}")
    axes.plot([0, 1], [0, 1], color=BLACK, lw=0.8, zorder=1)
    for row in sorted(rows, key=lambda row: -row.norm):
        axes.plot(
            row.predicted,
            row.measured,
            ls="none",
            marker="o",
            ms=sizes[row.norm],
            color=colours[row.family],
            mec="white",
            mew=0.4,
            alpha=0.8,
            label=drawable(space_label(row.family)),
        )
    axes.text(
        0.97,
        0.04,
        f"R² = {number(quality.r_squared)}\nerror {100 * quality.mean_error:.1f} points",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=7,
    )
    axes.set_xlim(-0.03 * room, room)
    axes.set_ylim(-0.03 * room, room)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(Percentages())
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _draw_scales(axes: Axes, result: CurvatureResult) -> None:
    """Draw R2 against the scale of curvature; the models without it are level lines."""
    axes.set_title("R² by scale of curvature")
    bends = [quality.scale for quality in result.quality if quality.scale > 0]
    for model in MODELS:
        own = sorted(
            (quality for quality in result.quality if quality.model == model),
            key=lambda quality: quality.scale,
        )
        colour, line = _LOOKS[model]
        if own and not own[-1].scale:
            axes.axhline(own[0].r_squared, color=colour, ls=line, label=model)
        elif own:
            marker = "o" if model == CURVED else "s"
            shown = [quality.r_squared for quality in own]
            scales = [quality.scale for quality in own]
            axes.plot(scales, shown, color=colour, ls=line, marker=marker, label=model)
    axes.set_ylabel("R² over all rates")
    axes.set_xlabel("scale s (input units)")
    axes.axvline(prediction_scale(result), color=BLACK, ls=":", lw=0.8, zorder=1)
    axes.set_xscale("log")
    low, high = min(bends) / 1.25, max(bends) * 1.25
    axes.set_xlim(low, high)
    plain_log_ticks(axes.xaxis, low, high)
    least = min(quality.r_squared for quality in result.quality)
    axes.set_ylim(min(0.0, max(least - 0.05, -1.0)), 1.0)


def _caption(result: CurvatureResult) -> str:
    told = told_quality(result)
    rows = predictions_of(result, told[0])
    norms = ", ".join(map(number, sorted({row.norm for row in rows})))
    scale = prediction_scale(result)
    same = "the scale of S_c" if np.isclose(scale, result.scale) else "the one nearest that of S_c"
    by = ESTIMATOR_LABELS[result.predicted_by]
    at = (
        f" Curvature by {by} at s = {number(scale)}, {same} (dotted, last panel), not chosen by R²."
        if scale
        else ""
    )
    cut = " (axis cut at −1)" * any(quality.r_squared < -1 for quality in result.quality)
    return (
        f"A point: one draw of a family at one norm ({norms}; larger marker, larger norm), "
        f"{told[0].count} rates over n = {rows[0].images} images, seed {result.seed}; not clipped. "
        "No prediction takes a forward pass at a perturbed image; above the diagonal more is "
        f"fooled than predicted.{at} Error: mean of |measured − predicted|. R² is 0 for the mean "
        f"rate and negative below that{cut}. No intervals: all rates are on the same images."
    )


class MarginRow(NamedTuple):
    """Median margins within the subspaces of one family, over full margins."""

    family: str
    dimensions: list[int]
    ratio: list[float]
    low: list[float]
    high: list[float]
    """Ends of 95 % intervals over images."""
    law: list[float]
    """sqrt(D / R)."""
    flat_low: list[float]
    flat_high: list[float]
    """Between what the ratio of a random subspace lies, with a probability of at least 90 %, if
    all is flat."""
    slope: float
    slope_interval: Interval
    images: int
    """n that met the boundary in every subspace."""
    tried: int


def margin_rows(result: CurvatureResult) -> tuple[MarginRow, ...]:
    """Return the margins of every family; of one that no image met, nothing."""
    pairs = zip(result.margin_families, result.margins, strict=True)
    return tuple(_margin_row(family, margins) for family, margins in pairs if margins.met.any())


def margin_label(family: str) -> str:
    """Return whose subspaces they are, in words."""
    return "random subspaces" if family == RANDOM else drawable(space_label(family))


def _margin_row(family: str, margins: SubspaceMargins) -> MarginRow:
    resampled = _resampled_ratios(margins)
    low, high = np.quantile(resampled, TAILS, axis=0)
    centred = np.log(margins.dimensions) - np.log(margins.dimensions).mean()
    slopes = np.log(resampled) @ centred / (centred**2).sum()
    flat_low, flat_high = margins.bounds(_BEYOND).tolist()
    return MarginRow(
        family,
        margins.dimensions.tolist(),
        margins.median_ratio.tolist(),
        low.tolist(),
        high.tolist(),
        margins.law.tolist(),
        flat_low,
        flat_high,
        margins.slope,
        percentile_interval(slopes),
        int(margins.met.sum()),
        len(margins.full),
    )


def _resampled_ratios(margins: SubspaceMargins) -> Array:
    """Return median ratios of resampled images, (resamples, subspaces)."""
    ratios = margins.margins[:, margins.met] / margins.full[margins.met]
    count = ratios.shape[1]
    generator = np.random.default_rng(0)
    places = generator.integers(count, size=(RESAMPLES, count))
    return np.stack([np.median(own[places], axis=1) for own in ratios], axis=1)


@styled
def plot_subspace_margins(result: CurvatureResult) -> Figure:
    """Return margins within subspaces over full margins, against R, beside sqrt(D / R).

    Raises:
        InputError: If there are none.
    """
    rows = margin_rows(result)
    if not rows:
        raise InputError("`result.margins` should hold margins that were met. Found none.")
    figure = new_figure(ONE_COLUMN, 4.2)
    axes = figure.subplots()
    names = [row.family for row in rows if row.family != RANDOM]
    colours = family_colours(names) | {RANDOM: GREY}
    for row, marker in zip(rows, "osD^v", strict=False):
        axes.errorbar(
            row.dimensions,
            row.ratio,
            yerr=np.clip([_less(row.ratio, row.low), _less(row.high, row.ratio)], 0, None),
            color=colours[row.family],
            marker=marker,
            elinewidth=0.8,
            label=f"{margin_label(row.family)}, slope {number(row.slope)}",
        )
    banded = _draw_flat(axes, rows)
    _draw_law(axes, rows, result.ambient_dimension)
    add_legend(figure, [axes], columns=1)
    add_caption(
        figure,
        f"Median over images, bars 95 % intervals (bootstrap over images); n = "
        f"{_counts(rows)} images that met the boundary in every subspace; D = "
        f"{result.ambient_dimension}; seed {result.seed}. Slope of log ratio against log R, "
        f"−1/2 for random subspaces and a flat boundary.{banded}",
    )
    return figure


def _draw_flat(axes: Axes, rows: Sequence[MarginRow]) -> str:
    """Draw between what the ratios of random subspaces lie if all is flat, where there are some.

    Returns:
        A sentence of the band; empty without one.
    """
    random = next((row for row in rows if row.family == RANDOM), None)
    if random is None:
        return ""
    share = f"{100 * (1 - 2 * _BEYOND):.0f}{SPACE}%"
    axes.fill_between(
        random.dimensions,
        random.flat_low,
        random.flat_high,
        color=GREY,
        alpha=0.2,
        lw=0,
        label=f"flat boundary, ≥ {share} of random subspaces",
    )
    return (
        f" Band: for one image and a flat boundary, the ratio of a random subspace lies between "
        f"both ends with a probability of at least {share} (NIPS 2016, theorem 1)."
    )


def _draw_law(axes: Axes, rows: Sequence[MarginRow], ambient_dimension: int) -> None:
    dimensions = [R for row in rows for R in row.dimensions]
    ends = np.array([min(dimensions), max(dimensions)])
    law = np.sqrt(ambient_dimension / ends)
    axes.plot(ends, law, color=BLACK, ls="--", lw=1.0, label="√(D/R), slope −0.5")
    axes.set_xscale("log")
    axes.set_yscale("log")
    heights = [*law.tolist(), *(end for row in rows for end in (*row.low, *row.high))]
    for row in rows:
        heights += [*row.flat_low, *row.flat_high] * (row.family == RANDOM)
    for axis, limits, values in (
        (axes.xaxis, axes.set_xlim, dimensions),
        (axes.yaxis, axes.set_ylim, heights),
    ):
        low, high = min(values) / 1.2, max(values) * 1.2
        limits(low, high)
        plain_log_ticks(axis, low, high)
    axes.set_xlabel("R, dimension of the subspace")
    axes.set_ylabel("margin within it / full margin")


def _less(one: Sequence[float], other: Sequence[float]) -> Array:
    return np.subtract(one, other, dtype=np.float64)


def _counts(rows: Sequence[MarginRow]) -> str:
    counts = sorted({row.images for row in rows})
    shown = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{shown} of {max(row.tried for row in rows)}"
