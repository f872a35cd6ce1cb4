"""Ascent of the mean curvature of an orthonormal frame at a scale, by stochastic steps.

The gradient of the values estimator along v at the scale s is twice a central difference of
gradients at z + s v and z - s v: a step adds that product, averaged over a few anchors, and makes
the frame orthonormal again (Oja's rule). The operator need not be linear.

Where it is not, the ascent of a single direction may end at a maximum of little curvature beside
others of much. Two things are done against that:

- it starts from directions of the normals' own power spectra, where the maxima of much curvature
  are, with random phases, which say nothing of any image;
- directions that lag behind half the leading one are *renewed*: put at the leading directions that
  the products of the others have beyond the frame.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.checkpoints import NOT_KEPT, Checkpoint
from analysis.curved import MeanShapeOperator
from analysis.surrogates import phase_randomised_rows
from boundary.errors import InputError
from boundary.progress import progress_bar

_RENEWED_EVERY = 10
"""Steps."""
_LAST_RENEWAL = 0.6
"""Share of all steps; the rest are for what was renewed to climb."""
_MEMORY = 0.8
"""Weight of the past in the running mean of a direction's curvature."""


@dataclass(frozen=True, eq=False)
class AscendedFrame:
    """An orthonormal frame of large mean curvature, found by stochastic ascent."""

    values: NDArray[np.float64]
    """(R,), mean curvature along each direction in the sample, descending, 1 / input units."""
    directions: NDArray[np.float64]
    """(R, D), orthonormal: those of the mean shape operator seen in their span."""
    images: int
    """n that made it."""


@dataclass(frozen=True, eq=False)
class AscentState:
    """An ascent between two steps."""

    steps: int
    """Made."""
    directions: NDArray[np.float64]
    """(R, D), orthonormal."""
    curvature: NDArray[np.float64]
    """(R,), running mean along each of them, 1 / input units."""
    order: NDArray[np.int64]
    """Places of the anchors that are next."""
    generator: NDArray[np.uint8]
    """State of what puts them in order."""


def ascended_span(
    operator: MeanShapeOperator,
    dimension: int,
    *,
    steps: int = 100,
    batch_size: int = 20,
    step: float = 1.0,
    seed: int = 0,
    title: str = "curved frame",
    progress: bool = False,
    checkpoint: Checkpoint = NOT_KEPT,
) -> AscentState:
    """Return the last state of an ascent: orthonormal rows along which mean curvature is large.

    Each step adds to the frame V the mean products of a few anchors, of spectral norm 1 and without
    their part in V, times a size that shrinks to nothing as a half cosine, and makes it orthonormal
    again. Every ten steps the directions that lag are renewed instead, where there are any. The
    number of steps is the stopping rule.

    Args:
        operator: Of the images that make the frame.
        dimension: R.
        steps: How many.
        batch_size: Anchors of one step.
        step: Size of the first step.
        seed: Of the start and of the order of the anchors.
        title: Of the progress bar.
        progress: Show one on standard error.
        checkpoint: Where the state after some steps is kept, and looked for.

    Raises:
        InputError: If an option is out of range.
    """
    side = int(np.prod(operator.shape))
    if not 1 <= dimension < side:
        raise InputError(f"`dimension` should lie in 1..{side - 1}. Found {dimension}.")
    for name, number in (("steps", steps), ("batch_size", batch_size)):
        if number < 1:
            raise InputError(f"`{name}` should be at least 1. Found {number}.")
    state = checkpoint.load(AscentState)
    if state is None:
        state = _start(operator, dimension, seed)
    with progress_bar(title, steps, "steps", shown=progress and operator.ranks.first) as bar:
        bar.update(state.steps)
        while state.steps < steps:
            state = _stepped(operator, state, batch_size, step, steps)
            checkpoint.keep_state(state, last=state.steps == steps)
            bar.update(1)
    return state


def ascended_frame(operator: MeanShapeOperator, last: AscentState) -> AscendedFrame:
    """Return the frame that an ascent has ended with, and its mean curvature in the sample.

    Its directions are those of the mean shape operator seen in their span.

    Args:
        operator: That of the ascent.
        last: Its last state.
    """
    frame = torch.from_numpy(last.directions.T)
    seen = frame.T @ operator.products(frame.T).T
    values, turns = torch.linalg.eigh((seen + seen.T) / 2)
    return AscendedFrame(
        values.flip(0).numpy(),
        (frame @ turns.flip(1)).T.contiguous().numpy(),  # as it is read: products round alike
        operator.count,
    )


def _start(operator: MeanShapeOperator, dimension: int, seed: int) -> AscentState:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(operator.count, (dimension,), generator=generator)
    order = torch.randperm(operator.count, generator=generator)
    rows = phase_randomised_rows(
        operator.normals(places).numpy(), operator.shape, np.random.default_rng(seed)
    )
    frame = torch.linalg.qr(torch.from_numpy(rows.T).double()).Q
    return _state(0, frame, torch.zeros(dimension), order, generator)


def _state(
    steps: int,
    frame: Tensor,
    curvature: Tensor,
    order: Tensor,
    generator: torch.Generator,
) -> AscentState:
    return AscentState(
        steps,
        frame.T.contiguous().numpy(),  # as it is read: products round alike
        curvature.double().numpy(),
        order.numpy(),
        generator.get_state().numpy(),
    )


def _stepped(
    operator: MeanShapeOperator, state: AscentState, batch_size: int, step: float, steps: int
) -> AscentState:
    """Return the state after one more step."""
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(state.generator))
    count, turn = operator.count, state.steps
    frame, order = torch.from_numpy(state.directions).T, torch.from_numpy(state.order)
    if len(order) < min(batch_size, count):
        order = torch.randperm(count, generator=generator)
    batch, order = order[:batch_size], order[batch_size:]
    product = operator.subset(batch).products(frame.T).T
    seen = frame.T @ product
    beyond = product - frame @ seen
    curvature = seen.diag()
    if turn:
        curvature = _MEMORY * torch.from_numpy(state.curvature) + (1 - _MEMORY) * curvature
    lagging = curvature < curvature.max().clamp(min=0) / 2
    due = turn % _RENEWED_EVERY == _RENEWED_EVERY - 1 and turn < _LAST_RENEWAL * steps
    length = float(torch.linalg.matrix_norm(beyond, 2))
    if due and lagging.any() and not lagging.all():
        frame, curvature = _renewed(frame, curvature, beyond, lagging)
    elif length > 0:
        size = step * 0.5 * (1 + np.cos(np.pi * turn / steps))
        frame = torch.linalg.qr(frame + (size / length) * beyond).Q
    return _state(turn + 1, frame, curvature, order, generator)


def _renewed(
    frame: Tensor, curvature: Tensor, beyond: Tensor, lagging: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the frame with what lags put at the leading directions of the other products."""
    found = torch.linalg.svd(beyond[:, ~lagging], full_matrices=False).U
    places = curvature.argsort()[: min(int(lagging.sum()), found.shape[1])]
    frame, curvature = frame.clone(), curvature.clone()
    frame[:, places] = found[:, : len(places)]
    curvature[places] = curvature.max()
    return frame, curvature
