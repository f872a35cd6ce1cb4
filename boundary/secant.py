"""Roots of many scalar functions at once, by secant steps that never leave their bracket."""

import torch
from torch import Tensor

_LONGEST_STEP = 2.0
"""A step may at most double the present position."""


class BracketedSecant:
    """Where N functions of a length change sign from negative to positive.

    Each function starts from a guess and the slope expected there. The caller evaluates the
    functions at ``length`` and hands the values to `update`, until none is `unsettled`.

    Args:
        length: First guess of each root, positive, shape (N,).
        slope: Expected slope of each function at its guess, positive, shape (N,).
    """

    def __init__(self, length: Tensor, slope: Tensor) -> None:
        self.length = length.clone()
        self._slope = slope.clone()
        self._last_length = length.clone()
        self._last_value = torch.full_like(length, torch.nan)
        self._change = torch.full_like(length, torch.inf)
        self._lower = torch.zeros_like(length)
        self._upper = torch.full_like(length, torch.inf)

    def unsettled(self, tolerance: float) -> Tensor:
        """Return the rows whose last step was longer than ``tolerance`` times their length."""
        return (self._change > tolerance * self.length).nonzero().squeeze(1)

    def update(self, rows: Tensor, value: Tensor) -> None:
        """Take the values of the functions ``rows`` at their present lengths, and step.

        Args:
            rows: Which functions, shape (M,).
            value: Their values, shape (M,).
        """
        length = self.length[rows]
        slope = self._slope_through(rows, value)
        lower, upper = narrow_bracket(self._lower, self._upper, rows, length, value)
        step = length - value / slope
        usable = (step >= lower) & (step <= upper) & (step < _LONGEST_STEP * length)
        usable |= value == 0
        self._change[rows] = torch.where(usable, (step - length).abs(), torch.inf)
        self._last_length[rows], self._last_value[rows] = length, value
        self._slope[rows] = slope
        self.length[rows] = torch.where(usable, step, bisect(lower, upper, length))

    def _slope_through(self, rows: Tensor, value: Tensor) -> Tensor:
        run = self.length[rows] - self._last_length[rows]
        rise = value - self._last_value[rows]
        return torch.where(rise / run > 0, rise / run, self._slope[rows])


def narrow_bracket(
    lower: Tensor, upper: Tensor, rows: Tensor, length: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Narrow the brackets of ``rows`` in place by one evaluation each, and return them.

    Args:
        lower: Largest length known to have a negative value, for all functions, shape (N,).
        upper: Smallest length known to have another value, infinite if none, shape (N,).
        rows: Which functions were evaluated, shape (M,).
        length: Where, shape (M,).
        value: What was found, shape (M,).

    Returns:
        The new ``lower[rows]`` and ``upper[rows]``.
    """
    negative = value < 0
    low, high = lower[rows], upper[rows]
    lower[rows] = torch.where(negative, torch.maximum(low, length), low)
    upper[rows] = torch.where(negative, high, torch.minimum(high, length))
    return lower[rows], upper[rows]


def bisect(lower: Tensor, upper: Tensor, length: Tensor) -> Tensor:
    """Return the middle of each bracket, or twice ``length`` where there is no upper end yet."""
    return torch.where(upper.isfinite(), (lower + upper) / 2, _LONGEST_STEP * length)
