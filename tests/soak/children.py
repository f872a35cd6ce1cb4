"""Commands in forked children, which begin with everything imported and can be killed.

The parent must not have computed anything with torch: its threads do not survive a fork.
"""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    status: int
    """Exit status, or minus the signal."""
    said: str
    """What it printed."""
    seconds: float

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


UNEXPECTED = 70
"""Exit status of a child whose work raised what it should not."""


def child(
    work: Callable[[], int],
    log: Path,
    *,
    kill_after: float | None = None,
    ask_after: float | None = None,
    at_most: float = 300.0,
    memory: int | None = None,
) -> Ended:
    """Run some work in a forked child.

    Args:
        work: Returns the exit status.
        log: Where it prints to.
        kill_after: Seconds until SIGKILL.
        ask_after: Seconds until SIGTERM.
        at_most: Seconds after which it counts as hanging, and is ended by SIGALRM.
        memory: Bytes that it may allocate.
    """
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_child(work, log, at_most, memory)
    for seconds, number in ((kill_after, signal.SIGKILL), (ask_after, signal.SIGTERM)):
        if seconds is not None and not _ends_within(pid, seconds):
            os.kill(pid, number)
    _, raw = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(raw)
    return Ended(status, log.read_text(errors="replace"), time.monotonic() - began)


def _ends_within(pid: int, seconds: float) -> bool:
    """Return whether a child ends in time, without collecting it."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(min(left, 0.002))
    return False


def _be_child(work: Callable[[], int], log: Path, at_most: float, memory: int | None) -> None:
    with log.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    signal.alarm(int(at_most) + 1)
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    status = UNEXPECTED
    try:
        status = work()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
