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
    targets = target.view(len(logits), -1)
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


def leading_gap_gradient(
    classifier: Classifier, points: Tensor, source: Tensor, allowed: Tensor | None = None
) -> GapGradient:
    """Return gap and gradient for the class that leads at each point: 1 forward, 1 backward pass.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
        source: Source class of each point, shape (N,).
        allowed: Classes that may lead, bool of shape (N, K); all of them if None.
    """
    with torch.enable_grad():
        inputs = points.detach().requires_grad_()
        logits = classifier(inputs)
        target = leading_class(logits.detach(), source, allowed)
        gap = logit_gap(logits, source, target)
        gradient = _input_gradient(gap, inputs)
    return GapGradient(gap.detach(), gradient, target)


def class_gap_gradients(
    classifier: Classifier, points: Tensor, source: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return gaps (N, T) and gradients (N, T, C, H, W): 1 forward and T backward passes.

    Args:
        classifier: Gives the logits.
        points: Shape (N, C, H, W).
        source: Source class of each point, shape (N,).
        targets: T other classes of each point, shape (N, T).
    """
    with torch.enable_grad():
        inputs = points.detach().requires_grad_()
        gaps = logit_gap(classifier(inputs), source, targets)
        last = targets.shape[1] - 1
        gradients = [
            _input_gradient(gaps[:, k], inputs, keep_graph=k < last)
            for k in range(targets.shape[1])
        ]
    return gaps.detach(), torch.stack(gradients, 1)


def _input_gradient(gap: Tensor, inputs: Tensor, *, keep_graph: bool = False) -> Tensor:
    if not gap.requires_grad:  # the logits do not depend on the input
        return torch.zeros_like(inputs)
    (gradient,) = torch.autograd.grad(
        gap.sum(), inputs, retain_graph=keep_graph, materialize_grads=True
    )
    return gradient
