"""Gradients of the logit gap with respect to the input: the only places that differentiate.

The *logit gap* of a pair of classes is g_t(x) = f_t(x) - f_s(x), s the source class: negative
inside the source region, zero on the boundary. The gradients of several classes at one point come
from a loop over one kept graph: on convolutional networks the fastest form on a CPU, and the one
that needs the least memory (measured by ``benchmarks/gradients.py``).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from boundary.classifier import Classifier
from boundary.memory import halving


class GapGradient(NamedTuple):
    """Logit gap and its gradient for one target class an image."""

    gap: Tensor
    """(N,)"""
    gradient: Tensor
    """(N, C, H, W)"""
    target: Tensor
    """(N,) int64"""


def logit_gap(logits: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return f_target - f_source, shape of ``target``.

    Args:
        logits: Shape (N, K).
        source: Class of each row, shape (N,).
        target: Other class or classes of each row, shape (N,) or (N, T).
    """
    targets = target[:, None] if target.dim() == 1 else target
    gaps = logits.gather(1, targets) - logits.gather(1, source.view(-1, 1))
    return gaps.view(target.shape)


def leading_class(logits: Tensor, source: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return the class other than ``source`` with the largest logit, shape (N,).

    Args:
        logits: Shape (N, K).
        source: Class of each row, shape (N,).
        allowed: Classes that may lead, bool of shape (N, K); all of them if None.
    """
    barred = torch.zeros_like(logits, dtype=torch.bool) if allowed is None else ~allowed
    barred = barred.scatter(1, source.view(-1, 1), value=True)
    return logits.masked_fill(barred, -torch.inf).argmax(1)


def gap_gradient(
    classifier: Classifier,
    points: Tensor,
    source: Tensor,
    target: Tensor | None = None,
    allowed: Tensor | None = None,
) -> GapGradient:
    """Return gap and gradient for one class a point: 1 forward and 1 backward pass.

    Where memory runs out, of one half of the points after the other.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
        source: Source class of each point, shape (N,).
        target: Other class of each point, shape (N,); where negative or None, the one that leads.
        allowed: Classes that may lead, bool of shape (N, K); all of them if None.
    """

    def of(rows: slice) -> GapGradient:
        with torch.enable_grad():
            inputs = points[rows].detach().requires_grad_()
            logits = classifier(inputs).to(points.dtype)
            other = leading_class(
                logits.detach(), source[rows], None if allowed is None else allowed[rows]
            )
            if target is not None:
                other = torch.where(target[rows] >= 0, target[rows], other)
            gap = logit_gap(logits, source[rows], other)
            gradient = _input_gradient(gap, inputs)
        return GapGradient(gap.detach(), gradient, other)

    return halving(of, len(points), _joined)


def _joined(parts: list[GapGradient]) -> GapGradient:
    return GapGradient(*(torch.cat(column) for column in zip(*parts, strict=True)))


class KeptGraph:
    """Logits with their graph kept, for the gradient of one class after another: 1 forward pass.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
    """

    def __init__(self, classifier: Classifier, points: Tensor) -> None:
        with torch.enable_grad():
            self._inputs = points.detach().requires_grad_()
            self._logits = classifier(self._inputs)
        self.logits = self._logits.detach()
        """(N, K)"""

    def gap_gradient(self, source: Tensor, target: Tensor) -> GapGradient:
        """Return gap and gradient for one pair of classes a point: 1 backward pass.

        Args:
            source: Source class of each point, shape (N,).
            target: Other class of each point, shape (N,).
        """
        with torch.enable_grad():
            gap = logit_gap(self._logits, source, target)
            gradient = _input_gradient(gap, self._inputs, keep_graph=True)
        return GapGradient(gap.detach(), gradient, target)


def _input_gradient(gap: Tensor, inputs: Tensor, *, keep_graph: bool = False) -> Tensor:
    if not gap.requires_grad:  # the logits do not depend on the input
        return torch.zeros_like(inputs)
    (gradient,) = torch.autograd.grad(
        gap.sum(), inputs, retain_graph=keep_graph, materialize_grads=True
    )
    return gradient
