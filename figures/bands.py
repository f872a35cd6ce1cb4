"""Fooling rates with their 95 % intervals: a curve with a band, and the lengths of bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from analysis.fooling import FoolingRate


def draw_curve(
    axes: Axes,
    where: Sequence[float],
    rates: Sequence[FoolingRate],
    label: str,
    *,
    colour: str,
    marker: str,
    line: str,
    hollow: bool = False,
) -> None:
    """Draw rates as a curve with marks, within the band of their intervals.

    Args:
        axes: Of the panel.
        where: (rates,), places on the horizontal axis.
        rates: In the order of these places.
        label: In the legend.
        colour: Of the curve and its band.
        marker: In matplotlib's words.
        line: Dashes, in matplotlib's words.
        hollow: Whether the marks are white inside.
    """
    axes.plot(
        where,
        [rate.rate for rate in rates],
        color=colour,
        marker=marker,
        ls=line,
        ms=6 if marker == "*" else 4,
        mfc="white" if hollow else colour,
        label=label,
    )
    axes.fill_between(
        where,
        [rate.interval.low for rate in rates],
        [rate.interval.high for rate in rates],
        color=colour,
        alpha=0.12,
        lw=0,
    )


def bar_lengths(rates: Sequence[FoolingRate]) -> NDArray[np.float64]:
    """Return how far the intervals reach below and above the rates, (2, rates).

    A percentile interval need not hold the rate itself; a bar has no negative length.
    """
    reach = [(rate.rate - rate.interval.low, rate.interval.high - rate.rate) for rate in rates]
    return np.clip(np.array(reach, dtype=np.float64).reshape(-1, 2).T, 0, None)
