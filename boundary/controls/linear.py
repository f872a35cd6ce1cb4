"""Softmax regression on the built-in digits."""

import numpy as np
import torch
from torch import Tensor, nn

from boundary.controls.planted import Control
from boundary.digits import CLASS_NAMES, repeatable, training_digits
from boundary.images import DIGITS, open_images

_DECAY = 1e-3
"""Weight of the squared norm of the weights in the loss."""

_LEFT_OUT = 100
"""Training digits that a seed leaves out, which tells one network from another."""


def linear(seed: int = 0) -> Control:
    """Return softmax regression, trained on digits, and the digits that it has not seen.

    Logits are W x + b. What is known of it:

    - *the boundary does not bend*: that of classes s and t is the hyperplane
      <w_t - w_s, x> + b_t - b_s = 0, and every derivative of the gap beyond the first is 0. The
      region is a polytope, whose corners are not curvature.
    - *normals share directions beyond smoothness*: each is one of 90 vectors +-(w_t - w_s) to unit
      length, which span K - 1 = 9 dimensions of 64.
    - *random vectors of S_f fool beyond matched noise*: a gap changes by <w_t - w_s, v>, hence by
      nothing but the part of v in these 9 dimensions, which is all of it for S_f, of R up to 9, and
      a share of it for noise of any one spectrum.
    - *planes tell all of the fooling*: an image is fooled if and only if <w_t - w_s, x + v> + b_t -
      b_s > 0 for some t, which is beyond the plane of t at its targeted nearest boundary point.

    Args:
        seed: From 0 on; of the training digits that are left out.
    """
    digits = training_digits()
    kept = np.random.default_rng(seed).permutation(len(digits.labels))[_LEFT_OUT:]
    images = torch.from_numpy(digits.images[kept])
    labels = torch.from_numpy(digits.labels[kept])
    with repeatable(seed=0), torch.enable_grad():
        module = _fitted(images, labels)
    return Control(module.eval(), open_images(DIGITS))


def _fitted(images: Tensor, labels: Tensor) -> nn.Module:
    """Return the regression at the minimum of its convex loss, to the tolerance of L-BFGS."""
    layer = nn.Linear(images[0].numel(), len(CLASS_NAMES), dtype=torch.float32)
    module = nn.Sequential(nn.Flatten(), layer)
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = nn.functional.cross_entropy(module(images), labels)
        value = fit + _DECAY * layer.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()
    return module
