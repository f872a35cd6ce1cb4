"""Memory: whether it ran out, and keeping what was freed for the next batch."""

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of ``mallopt``, in glibc's malloc.h."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether a smaller batch may do what failed: on a CPU torch has no error of its own."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def keep_freed_memory() -> None:
    """Have this process reuse freed memory instead of returning it to the system.

    By default glibc gives each large tensor fresh pages, which the system fills with zeros: up to a
    third of the time of a forward pass on a CPU (docs/benchmarks.md). The setting is the whole
    process's, so programs set it, never a library; elsewhere than under glibc nothing happens.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is None:
        return
    # Older ones refuse more than 32 MiB, and one option alone would make things worse.
    if any(set_option(_MMAP_THRESHOLD, most) for most in (1 << 30, 1 << 25)):
        set_option(_TRIM_THRESHOLD, (1 << 31) - 1)
