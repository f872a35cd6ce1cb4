"""Images, clean and perturbed, with what the classifier calls them."""

from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.results import FoolingResult
from boundary.errors import InputError
from figures.family import family
from figures.formats import class_label, number, percent
from figures.style import TWO_COLUMNS, VERMILION, add_caption, new_figure, styled

_INCHES_PER_LETTER = 0.062
_WIDEST = 1.1
_NAME = 18
"""Characters in a line of a row's name."""


@styled
def plot_examples(result: FoolingResult) -> Figure:
    """Return a row of clean images and a row for each family, the predicted class under each.

    A changed prediction has an arrow before its name, which is bold, and a frame around the image.

    Raises:
        InputError: If the result holds no examples.
    """
    examples = result.examples
    count = len(examples.clean)
    if count == 0:
        raise InputError("`result.examples` should hold images to draw. Found none.")
    rows = [("clean", examples.clean, examples.predictions)]
    labels = [fill(family(name).label, _NAME) for name in examples.families]
    rows += zip(labels, examples.perturbed, examples.perturbed_predictions, strict=True)
    column = min(_WIDEST, (TWO_COLUMNS - 0.3) / count)
    figure = new_figure(
        max(3.0, count * column + 0.3), len(rows) * (column * _tallness(examples.clean) + 0.2) + 0.4
    )
    grid = figure.subplots(len(rows), count, squeeze=False)
    # One scale for every image, so that rows can be compared.
    low = float(min(examples.clean.min(), examples.perturbed.min(initial=np.inf)))
    high = float(max(examples.clean.max(), examples.perturbed.max(initial=-np.inf)))
    letters = int(column / _INCHES_PER_LETTER) - 2
    for line, (name, images, predictions) in zip(grid, rows, strict=True):
        line[0].set_ylabel(name, parse_math=False, fontsize=6.5)
        for place, axes in enumerate(line):
            _draw_image(axes, images[place], low, high)
            label = class_label(result.class_names, int(predictions[place]), letters)
            _name(axes, label, changed=bool(predictions[place] != examples.predictions[place]))
    share = examples.norm / result.mean_image_norm if result.mean_image_norm > 0 else np.nan
    relative = f" ({percent(share)} of the mean image norm)" if np.isfinite(share) else ""
    add_caption(
        figure,
        f"Norm of every perturbation: {number(examples.norm)} input units{relative}, before "
        f"clipping to the bounds; seed {result.seed}. Below: predicted class; arrow, bold and "
        f"frame: changed. Shown from {number(low)} (black) to {number(high)}.",
    )
    return figure


def _draw_image(axes: Axes, image: NDArray[np.float32], low: float, high: float) -> None:
    unit = (image.astype(np.float64) - low) / ((high - low) or 1.0)
    if len(image) == 3:
        axes.imshow(unit.transpose(1, 2, 0).clip(0, 1), interpolation="nearest")
    else:
        axes.imshow(unit.mean(0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _name(axes: Axes, label: str, *, changed: bool) -> None:
    axes.set_xlabel(
        f"→ {label}" if changed else label,
        parse_math=False,
        fontsize=6.5,
        fontweight="bold" if changed else "normal",
        labelpad=2.5,
    )
    if changed:
        axes.spines[:].set(visible=True, color=VERMILION, linewidth=2)


def _tallness(images: NDArray[np.float32]) -> float:
    return float(images.shape[2] / images.shape[3])
