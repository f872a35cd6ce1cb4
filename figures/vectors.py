"""The leading singular vectors of the normals as pictures."""

import numpy as np
from matplotlib import colormaps
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
        axes.imshow(vector_pixels(image), interpolation="nearest")
        axes.set_title(f"{place + 1}:  σ = {number(float(values[place]))}", fontsize=7)
    add_caption(
        figure,
        f"Leading right singular vectors of n = {result.spectrum.count} normals, "
        f"D = {result.spectrum.dimension}. {_scale(result.image_shape[0])}",
    )
    return figure


def vector_pixels(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a singular vector, (C, H, W), as a picture, (H, W, 3), its sign without meaning.

    Scaled by its largest component, symmetrically about mid-grey (three channels) or, as the mean
    of its channels, about white.
    """
    plane = image if len(image) == 3 else image.mean(0)
    shares = 0.5 + 0.5 * plane / (np.abs(plane).max() or 1.0)
    if len(image) == 3:
        return np.round(255 * shares.transpose(1, 2, 0)).astype(np.uint8)
    return np.asarray(colormaps["PuOr"](shares, bytes=True)[..., :3], dtype=np.uint8)


def _scale(channels: int) -> str:
    if channels == 3:
        return "Each is scaled by its largest component, symmetrically about mid-grey (zero)."
    what = "" if channels == 1 else f"Mean of {channels} channels. "
    return (
        f"{what}Each is scaled by its largest component, symmetrically about white (zero): "
        "orange is negative, purple positive."
    )
