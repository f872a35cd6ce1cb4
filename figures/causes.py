"""What carries images across the boundary: causes of fooling by family, and models of it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.causes import CAUSES, MODELS, FoolingCauses
from analysis.curved import CURVED
from analysis.intervals import Estimate
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.family import family
from figures.formats import drawable, number
from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    SKY,
    TWO_COLUMNS,
    Percentages,
    add_caption,
    new_figure,
    styled,
)

_CAUSES = {
    "own_plane": ("own plane", BLUE),
    "other_plane": ("another class's plane", SKY),
    "bending": ("bending", GREEN),
    "unexplained": ("unexplained", GREY),
}
_MARKERS = dict(zip(MODELS, (("o", BLUE), ("s", SKY), ("^", GREEN)), strict=True))
_APART = 0.22


@styled
def plot_causes(result: CurvatureResult) -> Figure:
    """Return the causes of fooling by family, and the pairs that each model tells right.

    Raises:
        InputError: If no causes were looked for.
    """
    if not result.causes:
        raise InputError("`result.causes` should hold a family at least. Found none.")
    families = pooled_causes(result.causes)
    figure = new_figure(TWO_COLUMNS, 1.5 + 0.42 * len(families))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.3, 1))
    _draw_causes(left, families)
    _draw_models(right, families)
    left.set_yticks(range(len(families)), [_told(one) for one in families])
    left.set_ylim(len(families) - 0.5, -0.5)
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(Percentages())
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize=6.5)
    images = families[0].fooled.shape[1]
    add_caption(
        figure,
        f"Norm {number(families[0].norm)} input units, not clipped; curvature at the scale "
        f"{number(families[0].scale)}; {images} images that made nothing; S_c pooled over its "
        f"three frames; seed {result.seed}. Left: share of the fooled pairs of an image and a "
        "vector. Right: share of all pairs that a model says rightly are fooled or not; bars: "
        "95 % intervals.",
    )
    return figure


def pooled_causes(causes: Sequence[FoolingCauses]) -> list[FoolingCauses]:
    """Return the causes of each family, those of all S_c as one."""
    curved = [one for one in causes if one.family.startswith(CURVED)]
    others = [one for one in causes if one not in curved]
    if not curved:
        return others
    place = causes.index(curved[0])
    pooled = replace(
        curved[0],
        family=CURVED,
        fooled=np.concatenate([one.fooled for one in curved]),
        own_plane=np.concatenate([one.own_plane for one in curved]),
        planes=np.concatenate([one.planes for one in curved]),
        bending=np.concatenate([one.bending for one in curved]),
    )
    return [*others[:place], pooled, *others[place:]]


def _told(causes: FoolingCauses) -> str:
    name = drawable(family(causes.family).short, 34)
    return f"{name}\n{int(causes.fooled.sum())} of {causes.fooled.size} pairs fooled"


def _draw_causes(axes: Axes, families: Sequence[FoolingCauses]) -> None:
    fooled = [one for one in families if one.fooled.any()]
    rows = [families.index(one) for one in fooled]
    before = np.zeros(len(rows))
    for cause in CAUSES:
        label, colour = _CAUSES[cause]
        shares = np.array([one.cause(cause).value for one in fooled])
        axes.barh(rows, shares, 0.6, left=before, color=colour, label=label)
        before += shares
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the fooled pairs (%)")


def _draw_models(axes: Axes, families: Sequence[FoolingCauses]) -> None:
    for place, (model, (marker, colour)) in enumerate(_MARKERS.items()):
        right: list[Estimate] = [one.right(model) for one in families]
        axes.errorbar(
            [one.value for one in right],
            np.arange(len(right)) + (place - 1) * _APART,
            xerr=[
                [one.value - one.interval.low for one in right],
                [one.interval.high - one.value for one in right],
            ],
            fmt=marker,
            ms=4,
            color=colour,
            ecolor=BLACK,
            elinewidth=0.7,
            capsize=1.5,
            label=model,
        )
    axes.set_xlabel("pairs told right (%)")
