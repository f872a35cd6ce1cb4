"""What the sliders of the report step through: singular vectors, and the dimension R."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.results import FoolingResult, SpectrumResult
from figures.formats import number, number_interval, percent, percent_interval
from figures.rates import SUBSPACES, family_label, rates_by_dimension
from figures.spectrum_tables import energy_rows, stability_rows
from figures.vectors import vector_pixels

_ALL_PICTURES = 1_500_000
"""Bytes, in the page."""
_LONGEST_SIDE = 112
"""Pixels of a picture."""

Step = dict[str, Any]
"""``at``, where a slider stands; ``rows`` of names and values; perhaps a ``picture``."""


def vector_steps(result: SpectrumResult) -> list[Step]:
    """Return the leading singular vectors as pictures, with their singular values.

    Large pictures are made smaller, and those that would make the page too large are left out.
    """
    values, count = result.spectrum.singular_values, result.spectrum.count
    energy = np.cumsum(values**2) / count
    images = result.spectrum.directions.reshape(-1, *result.image_shape)
    steps: list[Step] = []
    room = _ALL_PICTURES
    for place, image in enumerate(images):
        picture = _picture(image)
        room -= len(picture)
        if room < 0:
            break
        rows = [
            ["singular value", number(float(values[place]))],
            ["energy along it, in the sample", percent(float(values[place] ** 2 / count))],
            ["energy of all up to it", percent(float(energy[place]))],
        ]
        steps.append({"at": place + 1, "picture": picture, "rows": rows})
    return steps


def dimension_steps(spectrum: SpectrumResult, fooling: FoolingResult) -> list[Step]:
    """Return what was measured of the first R directions, at every R where something was."""
    rows: dict[int, list[list[str]]] = {}
    for family in SUBSPACES:
        for rate in rates_by_dimension(fooling, family):
            name = f"fooled by {family_label(family)}"
            value = f"{percent(rate.rate)} ({percent_interval(rate.interval)})"
            rows.setdefault(rate.subspace_dimension, []).append([name, value])
    measured = tuple(rows)
    for held in energy_rows(spectrum, *measured):
        value = f"{percent(held.held_out)} ({percent_interval(held.interval)})"
        times = f"{number(held.ratio)} ({number_interval(held.ratio_interval)})"
        rows.setdefault(held.dimension, []).extend(
            [
                ["energy of held-out normals in them", value],
                ["random directions would hold R / D", percent(held.isotropic)],
                ["so many times as much", times],
            ]
        )
    for halves in stability_rows(spectrum, *measured):
        value = f"{number(halves.shared)} ({number_interval(halves.spread)} over splits)"
        rows.setdefault(halves.dimension, []).extend(
            [
                ["shared by two halves of the normals", value],
                ["random subspaces would share R / D", number(halves.random)],
            ]
        )
    return [{"at": R, "rows": rows[R]} for R in sorted(rows)]


def _picture(image: NDArray[np.float64]) -> str:
    """Return a singular vector, (C, H, W), as a data URI."""
    picture = Image.fromarray(vector_pixels(image))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
