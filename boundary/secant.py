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
        length: First guess of each root, positive, shape (N,); cut to ``longest``.
        slope: Expected slope of each function at its guess, positive, shape (N,).
        longest: Length at which a function that is still negative is given up. A step beyond is cut
            to it.
    """

    def __init__(self, length: Tensor, slope: Tensor, longest: float = torch.inf) -> None:
        self.length = length.clamp(max=longest)
        self._longest = longest
        self._slope = slope.clone()
        self._last_length = self.length.clone()
        self._last_value = torch.full_like(length, torch.nan)
        self._change = torch.full_like(length, torch.inf)
        self._lower = torch.zeros_like(length)
        self._upper = torch.full_like(length, torch.inf)

    def unsettled(self, tolerance: float) -> Tensor:
        """Return the rows whose last step was longer than ``tolerance`` times their length.

        Args:
            tolerance: Share of the length.
        """
        given_up = self._upper.isinf() & (self._lower >= self._longest)
        return ((self._change > tolerance * self.length) & ~given_up).nonzero().squeeze(1)

    def unmet(self, tolerance: float) -> Tensor:
        """Return which rows have neither settled nor met a value that is not negative, (N,)."""
        return (self._change > tolerance * self.length) & self._upper.isinf()

    def update(self, rows: Tensor, value: Tensor) -> None:
        """Take the values of the functions ``rows`` at their present lengths, and step.

        Args:
            rows: Which functions, shape (M,).
            value: Their values, shape (M,).
        """
        length = self.length[rows]
        slope = self._slope_through(rows, value)
        lower, upper = narrow_bracket(self._lower[rows], self._upper[rows], length, value)
        self._lower[rows], self._upper[rows] = lower, upper
        step = length - value / slope
        usable = (step >= lower) & (step <= upper) & (step < _LONGEST_STEP * length)
        usable |= value == 0
        step = torch.where(usable, step, bisect(lower, upper, length))
        usable &= step <= self._longest  # what is cut has not converged
        self._change[rows] = torch.where(usable, (step - length).abs(), torch.inf)
        self._last_length[rows], self._last_value[rows] = length, value
        self._slope[rows] = slope
        self.length[rows] = step.clamp(max=self._longest)

    def _slope_through(self, rows: Tensor, value: Tensor) -> Tensor:
        run = self.length[rows] - self._last_length[rows]
        rise = value - self._last_value[rows]
        return torch.where(rise / run > 0, rise / run, self._slope[rows])


def narrow_bracket(
    lower: Tensor, upper: Tensor, length: Tensor, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Return brackets narrowed by one evaluation each.

    Args:
        lower: Largest length known to have a negative value, shape (N,).
        upper: Smallest length known to have another value, infinite if none, shape (N,).
        length: Where the functions were evaluated, shape (N,).
        value: What was found, shape (N,).
    """
    negative = value < 0
    return (
        torch.where(negative, torch.maximum(lower, length), lower),
        torch.where(negative, upper, torch.minimum(upper, length)),
    )


def bisect(lower: Tensor, upper: Tensor, length: Tensor) -> Tensor:
    """Return the middle of each bracket, or twice ``length`` where there is no upper end yet."""
    return torch.where(upper.isfinite(), (lower + upper) / 2, _LONGEST_STEP * length)
