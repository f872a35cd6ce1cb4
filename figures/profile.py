"""The curvature profile at several points, and what they share of it."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.formats import number
from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    TWO_COLUMNS,
    add_caption,
    add_legend,
    new_figure,
    styled,
)

_BAND = (0.1, 0.9)
"""Quantiles over points."""
_SCALES = (BLUE, ORANGE, GREEN, PINK)


@styled
def plot_profile(result: CurvatureResult) -> Figure:
    """Return principal curvatures, and how points share their directions.

    Raises:
        InputError: If there are no profiles.
    """
    if not result.profiles:
        raise InputError("`result.profiles` should hold a profile. Found none.")
    figure = new_figure(TWO_COLUMNS, 4.0)
    panels = list(figure.subplots(1, 2))
    _draw_curvatures(panels[0], result.profiles)
    _draw_sharing(panels[1], result.profiles)
    add_legend(figure, panels, columns=2)
    add_caption(figure, _caption(result))
    return figure


def _draw_curvatures(axes: Axes, profiles: Sequence[CurvatureProfile]) -> None:
    """Draw the mean of the j-th principal curvature over points, with a band of the points."""
    axes.set_title(f"principal curvatures, n = {profiles[0].points}")
    axes.axhline(0, color=BLACK, lw=0.8, zorder=1)
    for profile, colour in zip(profiles, cycle(_SCALES), strict=False):
        places = _with_gap(profile, np.arange(1.0, profile.values.shape[1] + 1))
        low, high = np.quantile(profile.values, _BAND, axis=0)
        axes.fill_between(
            places, _with_gap(profile, low), _with_gap(profile, high), color=colour, alpha=0.2, lw=0
        )
        axes.plot(places, _with_gap(profile, profile.average), color=colour, label=_label(profile))
    _mark_gap(axes, profiles)
    axes.set_xlabel(_index_label(profiles))
    axes.set_ylabel("curvature (1 / input units)")


def _draw_sharing(axes: Axes, profiles: Sequence[CurvatureProfile]) -> None:
    """Draw how curved other points are along one point's directions, random ones being 1."""
    axes.set_title("shared with other points")
    axes.axhline(1, color=BLACK, lw=0.8, ls="--", zorder=1, label="a random direction")
    for profile, colour in zip(profiles, cycle(_SCALES), strict=False):
        places = _with_gap(profile, np.arange(1.0, len(profile.sharing) + 1))
        axes.plot(places, _with_gap(profile, profile.sharing), color=colour)
    _mark_gap(axes, profiles)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(_index_label(profiles))
    axes.set_ylabel("|curvature| / random ones")


def _label(profile: CurvatureProfile) -> str:
    return f"principal curvatures at s = {number(profile.scale)}"


def _with_gap(profile: CurvatureProfile, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with NaN between both ends, where the curvatures between are left out."""
    return values if profile.complete else np.insert(values, len(values) // 2, np.nan)


def _mark_gap(axes: Axes, profiles: Sequence[CurvatureProfile]) -> None:
    """Draw where the curvatures between both ends are left out."""
    if not profiles[0].complete:
        axes.axvline(profiles[0].values.shape[1] / 2 + 0.5, color=BLACK, ls=":", lw=0.8, zorder=1)


def _index_label(profiles: Sequence[CurvatureProfile]) -> str:
    if profiles[0].complete:
        return "index j, largest first"
    each = profiles[0].values.shape[1] // 2
    return f"{each} largest, then {each} smallest"


def _caption(result: CurvatureResult) -> str:
    first = result.profiles[0]
    taken = "all" if first.complete else "those at both ends, parted by the dotted line,"
    return (
        f"Left: mean over n nearest boundary points of the j-th principal curvature ({taken} "
        f"of D − 1 = {result.ambient_dimension - 1}), surface of the {first.surface}; positive "
        "bends towards the image; bands: 10 to 90 % of points. Right: mean |curvature| along "
        f"one point's j-th direction at another point ({first.pairs} ordered pairs), over that "
        "along random directions (dashed): above 1 directions are shared. Scales s in input "
        f"units; seed {result.seed}."
    )
