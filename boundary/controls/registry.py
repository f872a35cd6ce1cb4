"""The planted networks by name."""

import re
from collections.abc import Callable

from boundary.controls.curved import curved
from boundary.controls.linear import linear
from boundary.controls.planted import Control
from boundary.controls.ridge import ridge
from boundary.controls.sink import sink
from boundary.controls.smooth import smooth
from boundary.errors import InputError, did_you_mean

CONTROLS: dict[str, Callable[[int], Control]] = {
    "linear": linear,
    "ridge": ridge,
    "smooth": smooth,
    "sink": sink,
    "curved": curved,
}
"""By name, each made from a seed."""


def named_control(spec: str) -> Control:
    """Return a planted network and its images.

    Args:
        spec: ``control:NAME``, of seed 0, or ``control:NAME:SEED``.

    Raises:
        InputError: If there is none of that name, or its seed is not of one to nine digits.
    """
    _, name, *rest = spec.split(":", 2)
    if name not in CONTROLS:
        hint = did_you_mean(name, CONTROLS, "control:") or f"; there are {', '.join(CONTROLS)}."
        raise InputError(f"there is no planted network `{spec}`{hint}")
    seed = rest[0] if rest else "0"
    if not re.fullmatch("[0-9]{1,9}", seed):
        raise InputError(
            f"the seed of `control:{name}` should be a whole number of at most nine digits. Found "
            f"`{seed}`."
        )
    return CONTROLS[name](int(seed))
