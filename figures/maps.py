"""Maps of the classes around images, in the plane of two directions."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch
from numpy.typing import NDArray

from analysis.planes import RegionMap
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.formats import SPACE, drawable, number, percent
from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    SKY,
    TWO_COLUMNS,
    VERMILION,
    YELLOW,
    add_caption,
    new_figure,
    styled,
)

_SOURCE, _REST = "#e8e8e8", "#6b6b6b"
_COLOURS = (SKY, VERMILION, GREEN, YELLOW, PINK, BLUE, ORANGE)
"""Of the other classes, the one of largest area first."""
_MOST_PANELS = 3
_LEAST_DEPTH = 4
"""Points from the border of a region at which its number is written."""


@styled
def plot_maps(result: CurvatureResult) -> Figure:
    """Return the predicted classes around a few images, the source class in light grey.

    Raises:
        InputError: If there are no maps.
    """
    maps = result.maps[:_MOST_PANELS]
    if not maps:
        raise InputError("`result.maps` should hold a map. Found none.")
    colours = class_colours(maps)
    figure = new_figure(TWO_COLUMNS, TWO_COLUMNS / len(maps) + 1.1 if len(maps) > 1 else 4.6)
    grid = figure.subplots(1, len(maps), sharex=True, sharey=True, squeeze=False).ravel()
    for place, (axes, one) in enumerate(zip(grid, maps, strict=True)):
        _draw_map(axes, one, colours, result.reference_norm)
        axes.set_title(
            f"image {place + 1}, class {one.source}: {percent(_own_share(one))}", fontsize=7.5
        )
        axes.set_xlabel(f"{drawable(one.first)} (input units)")
    grid[0].set_ylabel(f"{drawable(maps[0].second)} (input units)")
    handles = [Patch(facecolor=_SOURCE, label="class of the image")]
    handles += [
        Patch(facecolor=colour, label=f"class {index}") for index, colour in colours.items()
    ]
    if _foreign(maps) - set(colours):
        handles.append(Patch(facecolor=_REST, label="other classes"))
    figure.legend(handles=handles, loc="outside upper center", ncols=8, handlelength=1.2)
    add_caption(figure, _caption(result, maps))
    return figure


def class_colours(maps: Sequence[RegionMap]) -> dict[int, str]:
    """Return a colour for each class that is not the image's own, by class; rare ones have none."""
    areas: Counter[int] = Counter()
    for one in maps:
        indices, counts = np.unique(one.classes[one.classes != one.source], return_counts=True)
        areas.update(dict(zip(indices.tolist(), counts.tolist(), strict=True)))
    ranked = [index for index, _ in areas.most_common(len(_COLOURS))]
    return dict(sorted(zip(ranked, _COLOURS, strict=False)))


def _foreign(maps: Sequence[RegionMap]) -> set[int]:
    return {int(index) for one in maps for index in np.unique(one.classes) if index != one.source}


def _draw_map(axes: Axes, one: RegionMap, colours: dict[int, str], reference_norm: float) -> None:
    where = one.coordinates
    half = (where[1] - where[0]) / 2
    shades = {**colours, one.source: _SOURCE}
    picture = np.empty((*one.classes.shape, 3))
    for index in np.unique(one.classes):
        inside = one.classes == index
        picture[inside] = to_rgb(shades.get(int(index), _REST))
        if not inside.all():
            axes.contour(where, where, inside, levels=[0.5], colors=BLACK, linewidths=0.5)
        if index != one.source:
            _write_number(axes, where, inside, int(index))
    ends = (where[0] - half, where[-1] + half)
    axes.imshow(picture, origin="lower", extent=(*ends, *ends), interpolation="nearest", zorder=0)
    axes.add_patch(Circle((0, 0), reference_norm, fill=False, ls="--", lw=1.0, zorder=3))
    axes.plot(0, 0, ls="none", marker="P", ms=7, color=BLACK, mec="white", zorder=4)
    axes.grid(visible=False)


def _write_number(
    axes: Axes, where: NDArray[np.float64], inside: NDArray[np.bool_], index: int
) -> None:
    """Write a class's number where its region is deepest, unless that is too narrow."""
    row, column, depth = _deepest(inside)
    if depth >= _LEAST_DEPTH:
        axes.text(
            where[column],
            where[row],
            str(index),
            ha="center",
            va="center",
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75},
        )


def _deepest(inside: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return row, column and depth of the point of a region that is farthest from its border."""
    left, depth = inside, 0
    while True:
        around = np.pad(left, 1)
        fewer = left & around[2:, 1:-1] & around[:-2, 1:-1] & around[1:-1, 2:] & around[1:-1, :-2]
        if not fewer.any():
            deepest = np.argwhere(left)
            row, column = deepest[len(deepest) // 2]
            return int(row), int(column), depth
        left, depth = fewer, depth + 1


def _own_share(one: RegionMap) -> float:
    return float((one.classes == one.source).mean())


def _caption(result: CurvatureResult, maps: Sequence[RegionMap]) -> str:
    extent, side = float(maps[0].coordinates[-1]), len(maps[0].coordinates)
    return (
        "Predicted class at image + a v + b w, v and w the two directions, made orthonormal; "
        f"{side} × {side} points to {number(extent)} input units each way, not clipped to the "
        f"bounds. Cross: the image. Circle: reference norm{SPACE}{number(result.reference_norm)}. "
        "Titles: the share of the plane that the image's own class has, in light grey; other "
        "colours are one class each in all panels, numbers their indices. "
        f"S_c of R = {result.dimension} made at s = {number(result.scale)}; the first {len(maps)} "
        f"of {result.tried} held-out images; seed {result.seed}. A few images show what a plane "
        "looks like, not how often."
    )
