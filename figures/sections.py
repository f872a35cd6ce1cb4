"""The boundary itself, in the plane of a direction and the normal, at many images."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from analysis.algorithms import universal_parts
from analysis.curved import CURVED
from analysis.perturbations import SPHERE, SUBSPACE
from analysis.planes import BoundarySections
from analysis.results import CurvatureResult
from analysis.rivals import MATCHED
from boundary.errors import InputError
from figures.family import family
from figures.formats import SPACE, drawable, number, percent
from figures.style import BLACK, TWO_COLUMNS, add_caption, add_legend, new_figure, styled

_HEIGHTS = (0.02, 0.98)
"""Quantiles of the heights over all panels that the axes hold."""

Array = NDArray[np.float64]


@styled
def plot_sections(result: CurvatureResult) -> Figure:
    """Return the boundary above each image, a panel for each of at most four families.

    Raises:
        InputError: If there are no sections of them.
    """
    drawn = drawn_sections(result)
    if not drawn:
        raise InputError("`result.sections` should hold sections of S_c or a rival. Found none.")
    columns = min(2, len(drawn))
    lines = -(-len(drawn) // columns)
    low, high = _heights(drawn)
    extent = max(float(sections.offsets.max()) for sections in drawn)
    panel_height = TWO_COLUMNS / columns * 0.86 * (high - low) / (2 * extent)
    figure = new_figure(TWO_COLUMNS, (min(4.2, panel_height) + 0.5) * lines + 1.3)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(drawn) :]:
        axes.set_axis_off()
    for place, (axes, sections) in enumerate(zip(grid, drawn, strict=False)):
        _draw_panel(axes, sections, result.reference_norm)
        axes.set_xlim(-extent, extent)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        if place >= len(drawn) - columns:
            axes.set_xlabel("along v (input units)")
            axes.tick_params(labelbottom=True)
        if place % columns == 0:
            axes.set_ylabel("along n (input units)")
    add_legend(figure, grid[: len(drawn)], columns=4)
    add_caption(figure, _caption(result, drawn))
    return figure


def drawn_sections(result: CurvatureResult) -> list[BoundarySections]:
    """Return the sections of S_c, S_f, noise of S_f's spectrum (else one universal), the sphere."""
    found = {sections.family: sections for sections in result.sections}
    universal = [name for name in found if universal_parts(name)]
    third = MATCHED if MATCHED in found else next(iter(universal), "")
    return [found[family] for family in (CURVED, SUBSPACE, third, SPHERE) if family in found]


def _draw_panel(axes: Axes, sections: BoundarySections, reference_norm: float) -> None:
    offsets, heights, censored = sections.heights
    colour = family(sections.family).colour
    label = drawable(family(sections.family).short)
    axes.set_title(
        f"{label}, n = {len(sections.margin)}, censored {percent(sections.censored.mean())}"
    )
    axes.plot(
        offsets, np.where(censored, np.nan, heights), color=colour, lw=0.6, alpha=0.35, zorder=2
    )
    axes.plot(offsets, np.median(heights, axis=1), color=colour, lw=2.4, zorder=3)
    for width, words in ((0.6, "boundary of one image"), (2.4, "median")):
        axes.plot([], [], color=BLACK, lw=width, label=words)
    axes.plot(0, 0, ls="none", marker="P", ms=7, color=BLACK, mec="white", zorder=4, label="image")
    axes.add_patch(Circle((0, 0), reference_norm, fill=False, ls="--", lw=0.9))
    axes.plot([], [], color=BLACK, ls="--", lw=0.9, label="reference norm")


def _heights(drawn: list[BoundarySections]) -> tuple[float, float]:
    """Return ends of the vertical axis: nearly all of the boundary, the image and room below."""
    found = []
    for sections in drawn:
        _, heights, censored = sections.heights
        found.append(heights[~censored])
    extent = max(float(sections.offsets.max()) for sections in drawn)
    low, high = np.quantile(np.concatenate(found), _HEIGHTS)
    return max(min(float(low), -0.25 * extent), -extent), min(
        max(float(high), 0.5 * extent), extent
    )


def _caption(result: CurvatureResult, drawn: list[BoundarySections]) -> str:
    first = drawn[0]
    return (
        "The plane of one direction v of a family, its tangent part, and the normal n at the "
        f"nearest boundary point, surface of the {first.surface}, seed {result.seed}. "
        "Thin: the boundary of one image, "
        "moved so that the image is at the cross, its margin below its nearest boundary point; "
        "upwards is out of the source region, so a line that comes down at the sides bends "
        "towards the image, and within the circle the far side of a line is in reach of the "
        f"reference norm{SPACE}{number(result.reference_norm)}. Thick: median over all n points at "
        "each offset. Not divided by the margin (median "
        f"{number(float(np.median(first.margin)))}): both axes have one unit, so shapes are true; "
        "parts beyond the axes are cut. Ends that met no boundary within twice the offset are "
        "censored: not drawn, but in the median at that bound; titles tell their share."
    )
