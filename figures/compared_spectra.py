"""The singular spectra of several runs on one scale."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.compared import ComparedRun, Comparison, told_of_runs
from figures.formats import drawable
from figures.spectrum import places_on_log_axis
from figures.style import (
    TWO_COLUMNS,
    RunLook,
    add_caption,
    add_legend,
    new_figure,
    plain_log_ticks,
    run_looks,
    styled,
)

_MOST_POINTS = 400
_DECADES = 4
"""Shown below the largest share."""


@styled
def plot_compared_spectra(comparison: Comparison) -> Figure:
    """Return the share of the energy along each singular direction, and of the first R together.

    The squares of the singular values of n unit normals sum to n, so divided by n they are shares,
    whatever n is. Beside each run are random directions of its own n and D, faint.
    """
    figure = new_figure(TWO_COLUMNS, 3.4)
    left, right = figure.subplots(1, 2)
    looks = run_looks(comparison.names)
    for run in comparison.runs:
        _draw_values(left, run, looks[run.name])
        _draw_sums(right, run, looks[run.name])
    longest = max(len(run.results.spectrum.spectrum.singular_values) for run in comparison.runs)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(0.9, longest * 1.1)
        plain_log_ticks(axes.xaxis, 1, longest + 1)
    left.set_yscale("log")
    top = max(_shares(run)[0] for run in comparison.runs)
    low, high = 100 * top / 10**_DECADES, 150 * top
    left.set_ylim(low, high)
    plain_log_ticks(left.yaxis, low, high)
    left.set_xlabel("index of singular value")
    left.set_ylabel("share of the energy, σ²/n (%)")
    right.set_ylim(0, 102)
    right.set_xlabel("R, leading singular directions")
    right.set_ylabel("share of the energy in the first R (%)")
    add_legend(figure, [left], min(4, len(comparison.runs)))
    add_caption(figure, _caption(comparison))
    return figure


def _shares(run: ComparedRun) -> NDArray[np.float64]:
    spectrum = run.results.spectrum.spectrum
    values = spectrum.singular_values
    return np.asarray(np.where(values >= spectrum.floor, values, 0.0) ** 2 / spectrum.count)


def _draw_values(axes: Axes, run: ComparedRun, look: RunLook) -> None:
    spectrum, null = run.results.spectrum.spectrum, run.results.spectrum.isotropic
    low, high = (band**2 / spectrum.count * 100 for band in null.band)
    index = places_on_log_axis(len(low), _MOST_POINTS)
    axes.fill_between(index + 1, low[index], high[index], color=look.colour, alpha=0.3, lw=1)
    shares = _shares(run)
    index = places_on_log_axis(int((shares > 0).sum()), _MOST_POINTS)
    _draw(axes, index, 100 * shares[index], look, drawable(run.name))


def _draw_sums(axes: Axes, run: ComparedRun, look: RunLook) -> None:
    spectrum, null = run.results.spectrum.spectrum, run.results.spectrum.isotropic
    random = np.cumsum((null.singular_values**2).mean(0)) / spectrum.count
    index = places_on_log_axis(len(random), _MOST_POINTS)
    axes.plot(index + 1, 100 * random[index], color=look.colour, ls=look.line, lw=0.8, alpha=0.45)
    sums = np.cumsum(_shares(run))
    index = places_on_log_axis(len(sums), _MOST_POINTS)
    _draw(axes, index, 100 * sums[index], look, drawable(run.name))


def _draw(
    axes: Axes, index: NDArray[np.int64], shares: NDArray[np.float64], look: RunLook, name: str
) -> None:
    axes.plot(
        index + 1,
        shares,
        color=look.colour,
        ls=look.line,
        marker=look.marker,
        markevery=0.1,  # of the panel's diagonal
        ms=3.5,
        label=name,
    )


def _caption(comparison: Comparison) -> str:
    sizes = told_of_runs(
        [*map(drawable, comparison.names)],
        [
            f"n = {run.results.spectrum.spectrum.count}, "
            f"D = {run.results.spectrum.spectrum.dimension}"
            for run in comparison.runs
        ],
    )
    return (
        f"{sizes}. Faint: random directions of the same n and D, the band of the draws (left) and "
        "their mean (right). In the sample that made the directions."
    )
