"""The shared curved subspace S_c: what it keeps on other images, and how often it fools."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.curved_checks import CURVED, REFERENCE, CurvedSubspace
from analysis.fooling import FoolingRate
from analysis.intervals import TAILS, bootstrap_means
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.results import CurvatureResult
from analysis.rivals import MATCHED
from boundary.errors import InputError
from figures.curves import family_colours, space_label, tested_surface
from figures.fooling import draw_rates, show_percentages
from figures.formats import number
from figures.rates import same_norm
from figures.style import (
    BLACK,
    GREEN,
    GREY,
    TWO_COLUMNS,
    VERMILION,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    styled,
)

_MARKERS = ("o", "s", "P", "X", "D")
"""Of the methods that make S_c."""
_RIVALS = ((SUBSPACE, "v"), (MATCHED, "^"))
_SHIFT = 6.0
"""Points of the page by which neighbouring families are moved to either side."""

Array = NDArray[np.float64]


@styled
def plot_curved(result: CurvatureResult) -> Figure:
    """Return how S_c learns, what its directions keep on held-out images, and how it fools.

    Raises:
        InputError: If there is no S_c.
    """
    if not result.subspaces:
        raise InputError("`result.subspaces` should hold an S_c. Found none.")
    figure = new_figure(TWO_COLUMNS, 5.6)
    panels = figure.subplot_mosaic([["learning", "directions"], ["fooling", "fooling"]])
    _draw_learning(panels["learning"], result)
    _draw_directions(panels["directions"], result)
    _draw_fooling(panels["fooling"], result)
    add_legend(figure, (panels[name] for name in ("learning", "fooling", "directions")), columns=4)
    add_caption(figure, _caption(result))
    return figure


def _draw_learning(axes: Axes, result: CurvatureResult) -> None:
    """Draw mean curvature in the sample and beyond, against the images that made S_c."""
    counts = [learned.images for learned in result.learning]
    ends = [mean_with_ends(learned.held_out[:, None]) for learned in result.learning]
    mean, low, high = (np.concatenate(part) for part in zip(*ends, strict=True))
    axes.set_title("from how many images")
    axes.axhline(0, color=BLACK, lw=0.8, zorder=1)
    own = [learned.own for learned in result.learning]
    axes.plot(counts, own, color=GREY, ls="--", marker="o", mfc="white", label="in the sample")
    axes.fill_between(counts, low, high, color=GREEN, alpha=0.2, lw=0)
    axes.plot(counts, mean, color=GREEN, marker="o", label="held-out images")
    axes.set_xlabel("images that made S_c")
    axes.set_ylabel("curvature (1 / input units)")
    _log_axis(axes, counts)


def _draw_directions(axes: Axes, result: CurvatureResult) -> None:
    """Draw each direction's curvature beyond the sample against that in it, and their mean."""
    axes.set_title("each direction")
    axes.axhline(0, color=BLACK, lw=0.8, zorder=1)
    seen = [0.0]
    marked = [*zip(result.subspaces, _MARKERS, strict=False)]
    for subspace, marker in reversed(marked):  # what is tested lies on top
        family = subspace.family
        colour, label = family_colours([family])[family], space_label(family)
        (mean,), (low,), (high,) = mean_with_ends(subspace.held_out.mean(1)[:, None])
        axes.axhspan(low, high, color=colour, alpha=0.15, lw=0, zorder=0)
        axes.axhline(mean, color=colour, lw=1.0, ls="--", zorder=1)
        if subspace.method != REFERENCE:
            seen += subspace.values.tolist()
            _draw_points(axes, subspace, colour, marker, label)
    ends = np.array([min(seen), max(seen)])
    axes.plot(ends, ends, color=GREY, lw=0.9, ls=":", label="held-out as in the sample")
    axes.set_xlabel("in the sample (1 / input units)")
    axes.set_ylabel("held-out (1 / input units)")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _draw_points(
    axes: Axes, subspace: CurvedSubspace, colour: str, marker: str, label: str
) -> None:
    mean, low, high = mean_with_ends(subspace.held_out)
    axes.errorbar(
        subspace.values,
        mean,
        yerr=np.clip([mean - low, high - mean], 0, None),
        color=colour,
        marker=marker,
        ls="none",
        elinewidth=0.8,
        label=label,
    )


def _draw_fooling(axes: Axes, result: CurvatureResult) -> None:
    """Draw fooling rates against R at the reference norm, and that of the sphere."""
    axes.set_title("fooling at the reference norm")
    show_percentages(axes)
    top = 0.0
    for rate in reference_rates(result, SPHERE):
        interval = rate.interval
        top = interval.high
        axes.axhspan(interval.low, interval.high, color=VERMILION, alpha=0.25, lw=0)
        axes.axhline(rate.rate, color=VERMILION, label=space_label(SPHERE))
    methods = [subspace.family for subspace in result.subspaces]
    families = [*zip(methods, _MARKERS, strict=False), *_RIVALS]
    colours = family_colours(family for family, _ in families)
    dimensions: list[int] = []
    for place, (family, marker) in enumerate(families):
        rates = reference_rates(result, family)
        R = [rate.subspace_dimension for rate in rates]
        shift = (2 * place - len(families) + 1) * _SHIFT / 2
        if rates:
            label = space_label(family)
            top = max(top, draw_rates(axes, R, rates, colours[family], marker, label, shift))
        dimensions += R
    room = 1.06 * top or 0.05
    axes.set_ylim(-0.03 * room, room)  # a marker at zero is whole
    axes.set_xlabel("R, dimension of the subspace")
    axes.set_ylabel("fooling rate (%)")
    _log_axis(axes, dimensions)


def reference_rates(result: CurvatureResult, family: str) -> list[FoolingRate]:
    """Return the rates of a family at the reference norm, not clipped, by dimension."""
    found = [
        rate
        for rate in result.rates
        if rate.family == family
        and not rate.clipped
        and same_norm(rate.norm, result.reference_norm)
    ]
    return sorted(found, key=lambda rate: rate.subspace_dimension)


def mean_with_ends(held_out: Array) -> tuple[Array, Array, Array]:
    """Return means over points, of an array (points, columns), and their 95 % intervals' ends."""
    low, high = np.quantile(bootstrap_means(held_out), TAILS, axis=0)
    return held_out.mean(0), low, high


def _log_axis(axes: Axes, values: Sequence[int]) -> None:
    if values and max(values) > min(values):
        axes.set_xscale("log")
        low, high = min(values) / 1.4, max(values) * 1.4
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)


def _caption(result: CurvatureResult) -> str:
    first = result.subspaces[0]
    fooled = [rate.fooled.shape for rate in result.rates if rate.family == CURVED]
    reference = (
        " The reference mode's own values, in other units, are not drawn."
        if any(subspace.method == REFERENCE for subspace in result.subspaces)
        else ""
    )
    rates = (
        f" Below: norm {number(result.reference_norm)} (input units), not clipped, "
        f"{max(draws for draws, _ in fooled)} draws of a family on "
        f"{max(images for _, images in fooled)} held-out images, side by side."
        if fooled
        else ""
    )
    return (
        f"S_c: R = {result.dimension}, made at s = {number(first.scale)} (input units) on the "
        f"surface of the {tested_surface(result)}, {first.images} images; curvature by gradients "
        f"at that scale, held-out at n = {len(first.held_out)} nearest boundary points; seed "
        f"{result.seed}. Bands and bars: 95 % intervals, bootstrap over points (below: and draws). "
        f"Right, dashed with band: mean over the directions of a method.{reference}{rates}"
    )
