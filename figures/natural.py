"""Whether perturbations look like what occurs in nature: spectra, components, improbability."""

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.intervals import TAILS, bootstrap_means
from analysis.natural import (
    DIFFERENCES,
    DIRECTIONS,
    IMAGES,
    PHASES,
    REFERENCES,
    SPHERE,
    NaturalResult,
    SharedEnergy,
    VectorFamily,
)
from figures.formats import SPACE, number
from figures.rates import family_label
from figures.style import (
    BLACK,
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    PURPLE,
    SKY,
    TEAL,
    TWO_COLUMNS,
    VERMILION,
    add_caption,
    add_legend_above,
    new_figure,
    plain_log_ticks,
    styled,
)

_COLOURS = {
    IMAGES: BLACK,
    DIFFERENCES: "#b08d57",
    SPHERE: VERMILION,
    DIRECTIONS: BLUE,
    PHASES: PINK,
}
_OTHERS = (SKY, GREEN, PURPLE, ORANGE, BROWN, TEAL)
"""Of the families beyond the references, in turn."""
_STYLES = ("-", "--", ":")
"""Of their lines, one for each round of the colours."""
_LEAST = 1e-9
"""Of the energies for which the axis makes room."""
_ROW = 0.3
"""Inches for a family in the panel of improbabilities."""
_SPREAD = 0.22
"""Of the points of a family across its row."""


@styled
def plot_natural(result: NaturalResult) -> Figure:
    """Return radial power spectra, the energy that S_f shares with images, and improbabilities.

    Power at zero frequency, the mean of each channel, has no place on the logarithmic axis.
    """
    figure = new_figure(TWO_COLUMNS, max(3.9, 1.8 + _ROW * len(result.families)))
    left, middle, right = figure.subplots(1, 3)
    _draw_spectra(left, result)
    _draw_energy(middle, result.shared)
    _draw_improbability(right, result)
    add_caption(figure, _caption(result))
    return figure


def _style(place: int, family: VectorFamily) -> tuple[str, str]:
    """Return the colour and the line style of a family, by its place among all."""
    if family.name in _COLOURS:
        return _COLOURS[family.name], "-"
    turn, place = divmod(place - len(REFERENCES), len(_OTHERS))
    return _OTHERS[place], _STYLES[turn % len(_STYLES)]


def _draw_spectra(axes: Axes, result: NaturalResult) -> None:
    axes.set(xscale="log", yscale="log")
    frequencies = result.frequencies[1:]
    for place, family in enumerate(result.families):
        colour, style = _style(place, family)
        power = result.relative_power(family.name)[1:]
        low, high = np.quantile(bootstrap_means(family.spectrum), TAILS, axis=0) / result.white
        axes.fill_between(frequencies, low[1:], high[1:], color=colour, alpha=0.2, lw=0)
        axes.plot(
            frequencies,
            power,
            color=colour,
            ls=style,
            lw=2 if family.name in REFERENCES else 1,  # a family may lie on a reference
            marker=_marker(frequencies),
            label=family.name,
        )
    axes.axvline(0.5, color=BLACK, ls=":", lw=0.8)
    plain_log_ticks(axes.xaxis, *axes.get_xlim())
    plain_log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel("frequency (cycles per pixel)")
    axes.set_ylabel("power (white noise = 1)")


def _draw_energy(axes: Axes, shared: SharedEnergy) -> None:
    P, chance, ends = shared.components, shared.chance, shared.interval()
    axes.set(xscale="log", yscale="log")
    lowest = []
    for divisor, colour, marker, label, line in (
        (P, BLACK, "o", "components in S_f", "R / D"),
        (np.full(len(P), shared.directions), BLUE, "s", "S_f in components", "P / D"),
    ):
        share = shared.captured / divisor
        bars = np.abs([end / divisor - share for end in ends])
        axes.errorbar(P, share, bars, color=colour, marker=marker, ms=3, capsize=1.5, label=label)
        axes.plot(P, shared.of_phases / divisor, color=colour, ls="--", lw=0.8)
        axes.plot(P, chance / divisor, color=colour, ls=":", marker=_marker(P), label=line)
        lowest += [float((chance / divisor).min()), max(float(share.min()), _LEAST)]
    axes.plot([], [], color=GREY, ls="--", lw=0.8, label="random phases")
    axes.set_ylim(0.4 * min(lowest), None)
    plain_log_ticks(axes.xaxis, float(P[0]), float(P[-1]) + 1)
    plain_log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel("P, principal components")
    axes.set_ylabel("energy (share)")
    add_legend_above(axes)


def _draw_improbability(axes: Axes, result: NaturalResult) -> None:
    axes.set_xscale("log")
    for place, family in enumerate(result.families):
        colour, _ = _style(place, family)
        values = family.improbability
        rows = place + _SPREAD * np.linspace(-1, 1, len(values) + 2)[1:-1]
        axes.plot(values, rows, ".", color=colour, ms=2, alpha=0.4, label=family.name)
        axes.plot(np.quantile(values, TAILS), [place, place], color=colour, lw=1.5)
        axes.plot(family.median, place, "o", color=colour, mec="white", ms=5, zorder=4)
    axes.axvline(1, color=BLACK, ls=":", lw=0.8)
    axes.axvline(result.ceiling, color=BLACK, ls="--", lw=0.8)
    names = [
        f"{fill(family_label(family.name), 28)} ({len(family.improbability)})"
        for family in result.families
    ]
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    for place, tick in enumerate(axes.yaxis.get_major_ticks()):  # the key to the left panel
        colour, _ = _style(place, result.families[place])
        tick.set_pad(10)
        tick.tick1line.set(markeredgecolor=colour, markersize=9, markeredgewidth=2.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    plain_log_ticks(axes.xaxis, *axes.get_xlim())
    axes.set_xlabel("improbability m")


def _marker(points: NDArray[Any]) -> str:
    """Return a marker where a line of so few points would not be seen."""
    return "o" if len(points) == 1 else ""


def _caption(result: NaturalResult) -> str:
    shared = result.shared
    return (
        f"n = {result.images} images, {result.fitted} of which fit the Gaussian; R = "
        f"{shared.directions}, D = {shared.dimension}, seed {result.seed}. Left, colours as on the "
        f"right: means over vectors with 95{SPACE}% bootstrap bands; zero frequency is not drawn, "
        f"corners beyond 0.5 (dotted) are one band. Middle: bars are 95{SPACE}% intervals from "
        f"{len(shared.of_halves)} random halves of the images; dotted chance; dashed S_f with "
        "random phases. Right: m = μ v'Σ⁻¹v / |v|² of each vector (how many in brackets), median "
        f"and 95{SPACE}% range; dotted 1, draws of the Gaussian; dashed 1 / a = "
        f"{number(result.ceiling)}, all directions outside the span of the fitted images "
        f"(shrinkage a = {number(result.shrinkage)})."
    )
