"""SIGTERM, which schedulers send before they kill: the work at hand is finished, then it ends.

Only programs ask for it, by `end_at_sigterm`; without it a SIGTERM ends the process at once, which
no store minds either.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 128 + signal.SIGTERM


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


class _Requests:
    """Whether a SIGTERM has come, and whether something must be finished first."""

    def __init__(self) -> None:
        self._busy = 0
        self._asked = False

    def receive(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._obey()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Let the work inside end before a SIGTERM does: it raises `Terminated` behind it.

        Raises:
            Terminated: If a SIGTERM has come meanwhile.
        """
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
        self._obey()

    def _obey(self) -> None:
        if self._asked and not self._busy:
            self._asked = False
            raise Terminated


_requests = _Requests()
finishing = _requests.finishing


def end_at_sigterm() -> None:
    """Have SIGTERM raise `Terminated` in the main thread, outside `finishing` at once."""
    signal.signal(signal.SIGTERM, _requests.receive)
