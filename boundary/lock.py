"""One process at a time in a folder; the next is told which one is there."""

import json
import logging
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

if sys.platform != "win32":
    import fcntl

from boundary.errors import StoreError

_NAME = ".lock"

_log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder meanwhile.

    The lock is the system's and ends with its process, however that ends: a file that a killed one
    has left locks nothing.

    Args:
        folder: Is there.

    Raises:
        StoreError: If another process is at work there; the message names it. If the file of the
            lock is a link, which would have another file overwritten.
    """
    with _opened(folder / _NAME) as file:
        if sys.platform != "win32":
            _take(file, folder)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(_owner()))
        file.flush()
        yield


def _opened(path: Path) -> TextIO:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.fdopen(os.open(path, flags, 0o666), "r+", encoding="utf-8", errors="replace")
    except OSError as error:
        if path.is_symlink():
            raise StoreError(f"`{path}` is a link, which is refused; delete it.") from error
        raise


def _take(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(
            f"another process is working in `{folder}`{_told(file)}; wait for it, or name another "
            "folder."
        ) from error
    except OSError as error:
        _log.warning(
            "`%s` cannot be locked (%s): see to it that no other command works there.",
            folder,
            error.strerror,
        )


def _owner() -> dict[str, str | int]:
    return {
        "process": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }


def _told(file: TextIO) -> str:
    """Return who wrote into a lock, as far as that can be read."""
    with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
        file.seek(0)
        owner = json.loads(file.read())
        return (
            f": process {int(owner['process'])} on {owner['host']} since {owner['since']}, "
            f"`{owner['command']}`"
        )
    return ""
