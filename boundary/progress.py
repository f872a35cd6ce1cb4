"""The one progress bar of the project: in a terminal a bar, in a log file a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Any, NoReturn

from tqdm import tqdm

REDRAWN_EVERY, LOGGED_EVERY = 0.2, 30.0
"""Seconds: of a bar in a terminal, and of the lines in a log file."""

_LINE = (
    "{desc}: {percentage:.0f} %, {n_fmt} of {total_fmt}{unit}, {elapsed} gone, "
    "{remaining} left{postfix}"
)
_LINE_OF_UNKNOWN = "{desc}: {n_fmt}{unit}, {elapsed} gone{postfix}"

_hidden: ContextVar[bool] = ContextVar("hidden", default=False)


class _Lines(tqdm):  # type: ignore[type-arg]
    """A bar for a log file: whole lines, one at most every so often, and one at the end."""

    @staticmethod
    def status_printer(file: Any) -> Any:
        """Return what writes a status: as a line, without a carriage return."""

        def write(status: str) -> None:
            if status:
                file.write(f"{status}\n")
                file.flush()

        return write

    _said: float | None = None
    """When the last line was written, or else the bar begun."""

    def refresh(self, nolock: bool = False, lock_args: Any = None) -> None:
        """Write a line, if the last one is old enough: a postfix asks for one each time."""
        now = time.monotonic()
        if self.disable:
            return
        if self._said is not None:
            if now - self._said < LOGGED_EVERY:
                return
            self.display()
        self._said = now

    def close(self) -> None:
        """Write the last line."""
        if not self.disable and self._said is not None:
            self.display()
        self.delay = inf  # what tqdm itself writes at the end is for a terminal
        super().close()


def progress_bar(title: str, total: int | None, unit: str, *, shown: bool) -> "tqdm[NoReturn]":
    """Return a bar with rate and time left, on standard error.

    Where that is no terminal it writes a line every half minute, and one at its end.

    Args:
        title: What is being done.
        total: How many units there are; None if that is not known.
        unit: Their name.
        shown: False for a bar that prints nothing.
    """
    terminal = sys.stderr.isatty()
    line = _LINE_OF_UNKNOWN if total is None else _LINE
    return (tqdm if terminal else _Lines)(
        total=total,
        desc=title,
        unit=f" {unit}",
        disable=not shown or _hidden.get(),
        mininterval=REDRAWN_EVERY if terminal else LOGGED_EVERY,
        miniters=0,
        bar_format=None if terminal else line,
    )


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Show no bar within the block, whoever asks for one: for programs that are to be quiet."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def advance(bar: "tqdm[NoReturn]", units: int) -> None:
    """Move a bar on, not beyond its end: of several processes the first speaks for all."""
    bar.update(min(units, (bar.total or 0) - bar.n))
