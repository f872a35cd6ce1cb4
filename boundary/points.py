"""What is known of the nearest boundary point of each image."""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import torch
from torch import Tensor

from boundary.result import Result


class Status(IntEnum):
    """How the search for one nearest boundary point ended."""

    ALIGNED = 0
    """On the boundary, and the displacement is parallel to the normal: a smooth minimum."""
    FOUND = 1
    """On the boundary, the nearest point seen when the gradients ran out."""
    ZERO_GRADIENT = 2
    """No class can be reached: every logit gap has a zero gradient at the image."""
    NOT_FINITE = 3
    """The classifier returned NaN or infinity on the way."""
    NOT_FOUND = 4
    """No boundary was met within the allowed distance."""
    KINK = 5
    """On the boundary, not aligned, and small turns came no nearer: the normal jumps there."""
    OFF_BOUNDARY = 6
    """A crossing was met, but no point on it as near to the boundary as ``residual_tol`` asks."""

    @property
    def on_boundary(self) -> bool:
        """Whether the point lies on the boundary and has a normal."""
        return self in ON_BOUNDARY


ON_BOUNDARY = (Status.ALIGNED, Status.KINK, Status.FOUND)
"""The statuses of points on the boundary, with a normal."""


@dataclass(frozen=True, eq=False, repr=False)
class BoundaryPoints(Result):
    """Nearest boundary points of N images; a point that failed stays, flagged by its status.

    Where ``on_boundary`` is false, ``point`` is the image, ``normal`` is zero, ``margin`` and
    ``residual`` are infinite and ``alignment`` is zero: nothing is ever NaN.
    """

    AXES: ClassVar = {
        "point": "image channel height width",
        "normal": "image channel height width",
        "margin": "image",
        "residual": "image",
        "alignment": "image",
        "runner_up": "image",
        "source": "image",
        "target": "image",
        "status": "image",
        "on_boundary": "image",
        "forward_passes": "image",
        "backward_passes": "image",
    }
    ROWS = "image"

    point: Tensor
    """(N, C, H, W), on the boundary."""
    normal: Tensor
    """(N, C, H, W), unit gradient of the logit gap at ``point``, out of the source region."""
    margin: Tensor
    """(N,), Euclidean distance from the image to ``point``, input units."""
    residual: Tensor
    """(N,), |gap| / |grad gap| at ``point``: how far off the boundary, input units."""
    alignment: Tensor
    """(N,), distance from the image to the plane tangent to the boundary at ``point``, over the
    margin; 1 at a smooth minimum. For a free search this is the cosine between displacement and
    normal; a confined one takes the distance inside its limits."""
    runner_up: Tensor
    """(N,), first-order margin of the second class, input units: the smallest distance to the
    boundary of a class other than ``target``, linearised at the image or at a best crossing;
    infinite if no other gradient was taken."""
    source: Tensor
    """(N,) int64, predicted class of the image."""
    target: Tensor
    """(N,) int64, class on the other side of the boundary."""
    status: Tensor
    """(N,) int64, values of `Status`."""
    forward_passes: Tensor
    """(N,) int64, forward passes spent on the image."""
    backward_passes: Tensor
    """(N,) int64, backward passes spent on the image."""

    def __len__(self) -> int:
        return len(self.margin)

    @property
    def on_boundary(self) -> Tensor:
        """(N,) bool: the point is on the boundary and its normal can be used."""
        return torch.isin(self.status, self.status.new_tensor(ON_BOUNDARY))

    @classmethod
    def none(cls, images: Tensor) -> "BoundaryPoints":
        """Return the boundary points of no images, given as an empty tensor (0, C, H, W)."""
        number, whole = images.new_zeros(0), images.new_zeros(0, dtype=torch.int64)
        return cls(images, images, *[number] * 4, *[whole] * 5)

    @classmethod
    def joined(cls, parts: "list[BoundaryPoints]") -> "BoundaryPoints":
        """Return the points of several batches as those of one."""
        return cls(*(torch.cat(columns) for columns in zip(*map(_columns, parts), strict=True)))


def _columns(points: BoundaryPoints) -> list[Tensor]:
    return list(vars(points).values())
