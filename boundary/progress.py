"""The one progress bar of the project."""

import sys
from typing import NoReturn

from tqdm import tqdm


def progress_bar(title: str, total: int | None, unit: str, *, shown: bool) -> "tqdm[NoReturn]":
    """Return a bar with rate and time left, on standard error; in a log file, a line a minute.

    Args:
        title: What is being done.
        total: How many units there are; None if that is not known.
        unit: Their name.
        shown: False for a bar that prints nothing.
    """
    pause = 0.2 if sys.stderr.isatty() else 60.0
    return tqdm(
        total=total, desc=title, unit=f" {unit}", disable=not shown, mininterval=pause, miniters=0
    )


def advance(bar: "tqdm[NoReturn]", units: int) -> None:
    """Move a bar on, not beyond its end: of several processes the first speaks for all."""
    bar.update(min(units, (bar.total or 0) - bar.n))
