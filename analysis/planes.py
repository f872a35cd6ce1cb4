"""Pictures of the boundary in planes: normal sections of many points, and maps of class regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.curvature_sweep import DirectionFamily
from boundary.anchors import REGION, Anchors
from boundary.classifier import Classifier
from boundary.errors import InputError
from boundary.sections import normal_section


@dataclass(frozen=True, eq=False)
class BoundarySections:
    """The boundary in the planes of a direction v and the normals of N nearest boundary points.

    In each plane the boundary point is the origin and the image lies at (0, -margin).
    """

    family: str
    """Of the direction."""
    surface: str
    """``pair`` or ``region``."""
    offsets: NDArray[np.float64]
    """(2 S,), s along v, ascending, both signs, input units."""
    displacement: NDArray[np.float64]
    """(2 S, N), t(s) along the normal, input units; at the reach where the boundary was not met."""
    censored: NDArray[np.bool_]
    """(2 S, N), where it was not."""
    margin: NDArray[np.float64]
    """(N,), input units."""

    @property
    def heights(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Offsets with 0 among them, heights over the image, and which are censored.

        Shapes (2 S + 1,), (2 S + 1, N), (2 S + 1, N), input units; where censored, at the reach.
        """
        middle = int(np.searchsorted(self.offsets, 0.0))
        offsets = np.insert(self.offsets, middle, 0.0)
        displacement = np.insert(self.displacement, middle, 0.0, axis=0)
        censored = np.insert(self.censored, middle, values=False, axis=0)
        return offsets, displacement + self.margin, censored


def boundary_sections(
    classifier: Classifier,
    nearest: Anchors,
    margins: NDArray[np.float64],
    families: Sequence[DirectionFamily],
    offsets: Sequence[float],
    *,
    surface: str = REGION,
) -> list[BoundarySections]:
    """Return normal sections along the first direction of each family.

    Args:
        classifier: Whose boundary it is.
        nearest: Anchors at nearest boundary points, N.
        margins: Of their images, (N,), input units.
        families: Of directions.
        offsets: s > 0, input units.
        surface: ``pair`` or ``region``.
    """
    ascending = np.array(sorted(offsets))
    found = []
    for family in families:
        direction = torch.from_numpy(family.directions[0]).to(nearest.point)
        displacement, censored = normal_section(
            classifier,
            nearest,
            direction.view(nearest.point.shape[1:]),
            ascending.tolist(),
            surface=surface,
        )
        found.append(
            BoundarySections(
                family=family.name,
                surface=surface,
                offsets=np.concatenate([-ascending[::-1], ascending]),
                displacement=displacement.double().cpu().numpy(),
                censored=censored.cpu().numpy(),
                margin=margins,
            )
        )
    return found


@dataclass(frozen=True, eq=False)
class RegionMap:
    """Predicted classes in the plane through an image that two directions span."""

    first: str
    """Name of the horizontal direction."""
    second: str
    """Name of the vertical direction."""
    coordinates: NDArray[np.float64]
    """(side,), along each direction, input units; the image lies at (0, 0)."""
    classes: NDArray[np.int64]
    """(side, side), second direction by first, both ascending."""
    source: int
    """Class of the image."""


@torch.no_grad()
def region_map(
    classifier: Classifier,
    image: Tensor,
    first: DirectionFamily,
    second: DirectionFamily,
    extent: float,
    *,
    side: int = 81,
    batch_size: int = 64,
) -> RegionMap:
    """Return the predicted classes around an image, not clipped to the bounds.

    Args:
        classifier: Whose classes they are.
        image: Shape (C, H, W).
        first: Its first direction is the horizontal one.
        second: Its first direction, less its part along the other, is the vertical one.
        extent: Largest coordinate, input units.
        side: Points along each axis, odd so that the image is one of them.
        batch_size: Images of one pass.

    Raises:
        InputError: If ``side`` is even, or the directions are parallel.
    """
    if side < 3 or side % 2 == 0:
        raise InputError(f"`side` should be odd, at least 3. Found {side}.")
    one, other = first.directions[0], second.directions[0]
    other = other - (one @ other) * one
    length = float(np.linalg.norm(other))
    if not length > 1e-6:
        raise InputError("the two directions should not be parallel. Found that they are.")
    axes = torch.from_numpy(np.stack([one, other / length])).to(image).view(2, *image.shape)
    coordinates = torch.linspace(-extent, extent, side).to(image)
    rows, columns = torch.meshgrid(coordinates, coordinates, indexing="ij")
    places = torch.stack([columns.flatten(), rows.flatten()], 1)
    found = [
        classifier.predict(image + torch.tensordot(part, axes, dims=1))
        for part in torch.split(places, batch_size)
    ]
    classes = torch.cat(found).view(side, side).cpu().numpy()
    return RegionMap(
        first.name,
        second.name,
        coordinates.double().cpu().numpy(),
        classes,
        int(classes[side // 2, side // 2]),
    )
