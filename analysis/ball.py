"""The l2 and l-infinity balls that a universal perturbation is confined to."""

from dataclasses import dataclass
from math import inf

from torch import Tensor

from boundary.errors import InputError


@dataclass(frozen=True)
class Ball:
    """All vectors of lp norm at most ``norm``, p being 2 or infinity."""

    norm: float
    """Input units, before any normalisation."""
    p: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.norm < inf:
            raise InputError(f"`norm` should be positive and finite. Found {self.norm}.")
        if self.p not in {2.0, inf}:
            raise InputError(f"`p` should be 2 or infinity (`math.inf`). Found {self.p}.")

    def length(self, vector: Tensor) -> float:
        """Return the lp norm of a vector."""
        return float(vector.norm() if self.p == 2 else vector.abs().max())

    def project(self, vector: Tensor) -> Tensor:
        """Return the nearest point of the ball, in the Euclidean sense."""
        return self.shrink(vector) if self.p == 2 else vector.clamp(-self.norm, self.norm)

    def shrink(self, vector: Tensor) -> Tensor:
        """Return the vector itself, or if it lies outside the same direction on the surface."""
        length = self.length(vector)
        return vector if length <= self.norm else vector * (self.norm / length)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the vector of lp norm 1 along which a function rises most; 0 for a zero one."""
        return self.unit(gradient) if self.p == 2 else gradient.sign()

    def unit(self, vector: Tensor) -> Tensor:
        """Return the same direction at lp norm 1; a zero vector stays."""
        length = self.length(vector)
        return vector / length if length > 0 else vector
