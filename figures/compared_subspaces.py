"""How much the subspaces of every two runs share, as a matrix."""

import numpy as np
from matplotlib.figure import Figure

from boundary.errors import InputError
from figures.compared import Comparison
from figures.compared_differences import shared_subspaces
from figures.formats import drawable, number
from figures.style import ONE_COLUMN, add_caption, new_figure, styled
from figures.transfer import MatrixPanel, draw_matrix

_SIDE = 0.42
"""Inches of a row."""


@styled
def plot_compared_subspaces(comparison: Comparison) -> Figure:
    """Return the mean squared cosine between the subspaces of two runs.

    On the diagonal is what two halves of the normals of one run share.

    Raises:
        InputError: If no two runs have images of one shape.
    """
    pairs = shared_subspaces(comparison)
    if not pairs:
        raise InputError("two runs should have images of one shape. Found none.")
    names = comparison.names
    values = np.full((len(names), len(names)), np.nan)
    for pair in pairs:
        row, column = names.index(pair.first), names.index(pair.second)
        values[row, column] = values[column, row] = pair.shared
    for place, run in enumerate(comparison.runs):
        values[place, place] = run.stability(comparison.dimension).shared
    figure = new_figure(ONE_COLUMN, 1.6 + max(3, len(names)) * _SIDE)
    axes = figure.subplots()
    panel = MatrixPanel("two subspaces, mean cos²", values, number, 1.0, "run", "run")
    draw_matrix(axes, panel, tuple(map(drawable, names)), named=True)
    chance = " or ".join(dict.fromkeys(number(pair.random) for pair in pairs))
    largest = number(max(pair.random_largest for pair in pairs))
    lacking = " A dash: images of another shape." if np.isnan(values).any() else ""
    add_caption(
        figure,
        f"R = {comparison.dimension}; R/D = {chance} at random, at most {largest} in simulated "
        "pairs. Diagonal: two halves of the normals of one run, each of half as many."
        f"{lacking}",
    )
    return figure
