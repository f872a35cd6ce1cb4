"""The leading singular vectors of the normals as pictures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.results import SpectrumResult
from boundary.errors import InputError
from figures.formats import number
from figures.style import TWO_COLUMNS, add_caption, new_figure, styled

_MOST, _COLUMNS = 12, 6


@styled
def plot_singular_vectors(result: SpectrumResult) -> Figure:
    """Return the leading singular vectors, twelve at most, as images with their singular values.

    Each is scaled by its own largest component, symmetrically about mid-grey (three channels) or
    white (one channel); a vector's sign means nothing.

    Raises:
        InputError: If no directions were kept.
    """
    vectors = result.spectrum.directions[:_MOST]
    if not len(vectors):
        raise InputError("`result.spectrum` should hold directions to draw. Found none.")
    images = vectors.reshape(-1, *result.image_shape)
    columns = min(_COLUMNS, len(images))
    lines = -(-len(images) // columns)
    width = TWO_COLUMNS * max(columns, 3) / _COLUMNS
    figure = new_figure(width, lines * width / columns + 0.35)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    values = result.spectrum.singular_values
    for place, (axes, image) in enumerate(zip(grid, images, strict=False)):
        _draw_vector(axes, image)
        axes.set_title(f"{place + 1}:  σ = {number(float(values[place]))}", fontsize=7)
    add_caption(
        figure,
        f"Leading right singular vectors of n = {result.spectrum.count} normals, "
        f"D = {result.spectrum.dimension}. {_scale(result.image_shape[0])}",
    )
    return figure


def _draw_vector(axes: Axes, image: NDArray[np.float64]) -> None:
    if len(image) == 3:
        unit = image / (np.abs(image).max() or 1.0)
        axes.imshow(0.5 + 0.5 * unit.transpose(1, 2, 0), interpolation="nearest")
        return
    plane = image.mean(0)
    limit = float(np.abs(plane).max()) or 1.0
    axes.imshow(plane, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")


def _scale(channels: int) -> str:
    if channels == 3:
        return "Each is scaled by its largest component, symmetrically about mid-grey (zero)."
    what = "" if channels == 1 else f"Mean of {channels} channels. "
    return (
        f"{what}Each is scaled by its largest component, symmetrically about white (zero): "
        "orange is negative, purple positive."
    )
