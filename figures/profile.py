"""The curvature profile at several points, what they share of it, and the detector made of it."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.detector import Detector
from analysis.profile import CurvatureProfile
from analysis.results import CurvatureResult
from boundary.errors import InputError
from figures.formats import drawable, number, number_interval
from figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    SKY,
    TWO_COLUMNS,
    VERMILION,
    Percentages,
    add_caption,
    add_legend,
    new_figure,
    styled,
)

_BAND = (0.1, 0.9)
"""Quantiles over points."""
_SCALES = (BLUE, ORANGE, GREEN, PINK)
_KINDS = (VERMILION, SKY, BLACK)
"""Of what perturbed the images."""
_LINES = ("-", "--", ":", "-.")
"""Of the scales of a detector."""


@styled
def plot_profile(result: CurvatureResult) -> Figure:
    """Return principal curvatures, how points share their directions, and the ROC of detectors.

    What was not taken has no panel.

    Raises:
        InputError: If there are neither profiles nor detectors.
    """
    profiles, detectors = result.profiles, result.detectors
    if not profiles and not detectors:
        raise InputError("`result` should hold profiles or detectors. Found neither.")
    count = 2 * bool(profiles) + bool(detectors)
    figure = new_figure(TWO_COLUMNS, 4.0)
    panels = list(figure.subplots(1, count, squeeze=False).ravel())
    if profiles:
        _draw_curvatures(panels[0], profiles)
        _draw_sharing(panels[1], profiles)
    if detectors:
        _draw_detectors(panels[-1], detectors)
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


def _draw_detectors(axes: Axes, detectors: Sequence[Detector]) -> None:
    counts = sorted({detector.count for detector in detectors})
    told = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    axes.set_title(f"detectors, n = {told} pairs")
    colours = dict(zip(dict.fromkeys(one.family for one in detectors), cycle(_KINDS), strict=False))
    scales = sorted({detector.scale for detector in detectors})
    axes.plot([0, 1], [0, 1], color=BLACK, lw=0.8, zorder=1)
    for detector in detectors:
        false, true = detector.roc
        axes.step(
            false,
            true,
            where="post",
            color=colours[detector.family],
            ls=_LINES[scales.index(detector.scale) % len(_LINES)],
            label=f"{drawable(detector.family)}, s = {number(detector.scale)}: AUC "
            f"{number(detector.auc)} ({number_interval(detector.auc_interval)})",
        )
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(Percentages())
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("clean called perturbed (%)")
    axes.set_ylabel("perturbed called so (%)")


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
    said = []
    if result.profiles:
        first = result.profiles[0]
        taken = "all" if first.complete else "those at both ends, parted by the dotted line,"
        said.append(
            f"Left: mean over n nearest boundary points of the j-th principal curvature ({taken} "
            f"of D − 1 = {result.ambient_dimension - 1}), surface of the {first.surface}; positive "
            "bends towards the image; bands: 10 to 90 % of points. Middle: mean |curvature| along "
            f"one point's j-th direction at another point ({first.pairs} ordered pairs), over that "
            "along random directions (dashed): above 1 directions are shared."
        )
    if result.detectors:
        said.append(
            "ROC: images told from their perturbed versions by the mean curvature of the level set "
            f"along S_c (R = {result.dimension}), high scores called perturbed. AUC 0.5 is chance "
            "(diagonal); below 0.5 perturbed images score lower. In brackets: 95 % intervals, "
            "bootstrap over images (Wilson's where scores do not overlap). Minimal: moved just "
            "across the nearest boundary; universal: one perturbation added to all."
        )
    return f"{' '.join(said)} Scales s in input units; seed {result.seed}."
