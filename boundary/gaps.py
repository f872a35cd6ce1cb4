"""The logit gap around each image, as a function of a displacement; counts the passes spent."""

import torch
from torch import Tensor

from boundary.classifier import Classifier
from boundary.gradients import GapGradient, gap_gradient, leading_class, logit_gap
from boundary.space import SearchSpace


class GapFunctions:
    """max over t of f_t(x + d) - f_s(x + d) for N images x, s their predicted classes.

    Args:
        classifier: Gives the logits.
        space: Holds the images, and says where d may lie.
        source: Predicted class of each image, shape (N,).
        allowed: Classes t that count, bool of shape (N, K); all if None.
    """

    def __init__(
        self, classifier: Classifier, space: SearchSpace, source: Tensor, allowed: Tensor | None
    ) -> None:
        self.classifier, self.space = classifier, space
        self.source, self.allowed = source, allowed
        self.forward_passes = torch.zeros_like(source)
        self.backward_passes = torch.zeros_like(source)

    def others(self, logits: Tensor) -> Tensor:
        """Return the logits with -inf for the source and for classes that do not count."""
        masked = logits if self.allowed is None else logits.masked_fill(~self.allowed, -torch.inf)
        return masked.scatter(1, self.source[:, None], -torch.inf)

    def gradient(
        self,
        rows: Tensor,
        displacement: Tensor,
        target: Tensor | None = None,
        precision: torch.dtype | None = None,
    ) -> GapGradient:
        """Return gap and gradient of images ``rows``: one pass each way.

        Args:
            rows: Which images, shape (n,).
            displacement: From each, shape (n, coordinates).
            target: Class whose gap is meant, shape (n,); where negative or None, the leading one.
            precision: dtype to which torch casts the passes where it may; None: their own.
        """
        self.forward_passes[rows] += 1
        self.backward_passes[rows] += 1
        points = self.space.points(rows, displacement)
        source, allowed = self.source[rows], self._allowed(rows)
        with torch.autocast(points.device.type, precision, enabled=precision is not None):
            return gap_gradient(self.classifier, points, source, target, allowed)

    @torch.no_grad()
    def value(self, rows: Tensor, displacement: Tensor) -> Tensor:
        """Return the gap of images ``rows`` to the leading class: one forward pass."""
        self.forward_passes[rows] += 1
        logits = self.classifier(self.space.points(rows, displacement))
        leader = leading_class(logits, self.source[rows], self._allowed(rows))
        return logit_gap(logits, self.source[rows], leader)

    def _allowed(self, rows: Tensor) -> Tensor | None:
        return None if self.allowed is None else self.allowed[rows]
