"""What the sliders of the report step through: singular vectors, and the dimension R."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.intervals import Interval
from analysis.results import FoolingResult, SpectrumResult
from figures.family import SUBSPACES, family
from figures.formats import (
    number,
    number_interval,
    percent,
    percent_interval,
    round_numbers,
)
from figures.rates import rates_by_dimension
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
    for of in SUBSPACES:
        for rate in rates_by_dimension(fooling, of):
            name = f"fooled by {family(of).label}"
            value = f"{percent(rate.rate)} ({percent_interval(rate.interval)})"
            rows.setdefault(rate.subspace_dimension, []).append([name, value])
    measured = tuple(rows)
    energy, overlaps, D = spectrum.energy, spectrum.halves.overlaps, spectrum.spectrum.dimension
    low, high = energy.interval()
    for R in round_numbers(len(energy.in_sample), *measured):
        ends, times = Interval(low[R - 1], high[R - 1]), D / R
        ratio = Interval(times * ends.low, times * ends.high)
        held = energy.mean[R - 1]
        rows.setdefault(R, []).extend(
            [
                [
                    "energy of held-out normals in them",
                    f"{percent(held)} ({percent_interval(ends)})",
                ],
                ["random directions would hold R / D", percent(R / D)],
                ["so many times as much", f"{number(times * held)} ({number_interval(ratio)})"],
            ]
        )
    for R in round_numbers(len(overlaps.dimensions), *measured):
        shared = overlaps.mean_squared_cosine[:, R - 1]
        splits = number_interval(Interval(shared.min(), shared.max()))
        rows.setdefault(R, []).extend(
            [
                [
                    "shared by two halves of the normals",
                    f"{number(shared.mean())} ({splits} over splits)",
                ],
                ["random subspaces would share R / D", number(R / D)],
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
