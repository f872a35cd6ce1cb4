"""Singular spectra of several runs on one scale, and their fooling rates against norm."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.perturbations import SPHERE, SUBSPACE
from analysis.rivals import MATCHED
from boundary.errors import InputError
from figures.bands import draw_curve
from figures.compared import ComparedRun, Comparison, told_of_runs
from figures.family import family
from figures.fooling import show_percentages
from figures.formats import drawable, number
from figures.rates import rates_by_norm, reference_rate
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
_FAMILIES = (SUBSPACE, MATCHED, SPHERE)


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
        _draw_spectrum(left, right, run, looks[run.name])
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
    spectra = [run.results.spectrum.spectrum for run in comparison.runs]
    sizes = [f"n = {spectrum.count}, D = {spectrum.dimension}" for spectrum in spectra]
    add_caption(
        figure,
        f"{told_of_runs([*map(drawable, comparison.names)], sizes)}. Faint: random directions of "
        "the same n and D, the band of the draws (left) and their mean (right). In the sample "
        "that made the directions.",
    )
    return figure


def _shares(run: ComparedRun) -> NDArray[np.float64]:
    spectrum = run.results.spectrum.spectrum
    values = spectrum.singular_values
    return np.asarray(np.where(values >= spectrum.floor, values, 0.0) ** 2 / spectrum.count)


def _draw_spectrum(left: Axes, right: Axes, run: ComparedRun, look: RunLook) -> None:
    count, null = run.results.spectrum.spectrum.count, run.results.spectrum.isotropic
    shares = 100 * _shares(run)
    low, high = (100 * band**2 / count for band in null.band)
    index = places_on_log_axis(len(low), _MOST_POINTS)
    left.fill_between(index + 1, low[index], high[index], color=look.colour, alpha=0.3, lw=1)
    random = 100 * np.cumsum((null.singular_values**2).mean(0)) / count
    right.plot(index + 1, random[index], color=look.colour, ls=look.line, lw=0.8, alpha=0.45)
    for axes, values in ((left, shares[shares > 0]), (right, np.cumsum(shares))):
        index = places_on_log_axis(len(values), _MOST_POINTS)
        axes.plot(
            index + 1,
            values[index],
            color=look.colour,
            ls=look.line,
            marker=look.marker,
            markevery=0.1,  # of the panel's diagonal
            ms=3.5,
            label=drawable(run.name),
        )


@styled
def plot_compared_rates(comparison: Comparison) -> Figure:
    """Return fooling rate against norm, not clipped, a panel for each family.

    Raises:
        InputError: If there is no family to draw.
    """
    families = [name for name in _FAMILIES if name in comparison.families]
    if not families:
        raise InputError("the runs should share a family of random perturbations. Found none.")
    figure = new_figure(TWO_COLUMNS, 2.9)
    panels = figure.subplots(1, len(families), sharex=True, sharey=True, squeeze=False)[0]
    looks = run_looks(comparison.names)
    shares = []
    for axes, name in zip(panels, families, strict=True):
        for run in comparison.runs:
            shares += _draw_rates(axes, run, name, looks[run.name])
        show_percentages(axes)
        axes.set_title(family(name).label)
    low, high = min(shares) / 1.2, max(shares) * 1.2
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        plain_log_ticks(axes.xaxis, low, high)
        axes.set_xlabel("norm (% of the mean image norm)")
    panels[0].set_ylabel("fooling rate (%)")
    panels[0].set_ylim(-0.02, 1.02)
    add_legend(figure, [panels[0]], min(4, len(comparison.runs)))
    of_runs = [run.results.fooling for run in comparison.runs]
    judged = [
        f"{len(of.image_ids)} images, R = {of.reference_dimension}, reference norm "
        f"{number(of.reference_norm)}, mean image norm {number(of.mean_image_norm)}"
        for of in of_runs
    ]
    add_caption(
        figure,
        f"{told_of_runs([*map(drawable, comparison.names)], judged)} (input units). Filled: at "
        "the reference norm. Bands: 95 % intervals.",
    )
    return figure


def _draw_rates(axes: Axes, run: ComparedRun, name: str, look: RunLook) -> list[float]:
    """Draw the rates of a family in one run.

    Returns:
        The norms, in percent of the mean image norm.
    """
    fooling = run.results.fooling
    unit = fooling.mean_image_norm / 100
    rates = rates_by_norm(fooling, name, False)
    where = [rate.norm / unit for rate in rates]
    draw_curve(
        axes,
        where,
        rates,
        drawable(run.name),
        colour=look.colour,
        marker=look.marker,
        line=look.line,
        hollow=True,
    )
    reference = reference_rate(fooling, name, False)
    if reference is not None:
        axes.plot(
            reference.norm / unit,
            reference.rate,
            color=look.colour,
            marker=look.marker,
            ms=5,
            zorder=4,
        )
    return where
