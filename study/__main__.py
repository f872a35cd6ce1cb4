"""The command ``boundary``, also ``python -m study``."""

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Load the program and run it on the words of the command line.

    Returns:
        The exit status.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # An interrupt inside an import can come out as any error.
        signal.signal(signal.SIGINT, _leave)
    from boundary.memory import keep_freed_memory
    from boundary.termination import end_at_sigterm
    from study.cli import main as run_command

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    keep_freed_memory()
    end_at_sigterm()
    return run_command()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, b"\nInterrupted before anything was begun.\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
