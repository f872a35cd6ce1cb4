"""Memory: halving a batch that does not fit, and keeping what was freed for the next one."""

import ctypes
import logging
import sys
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

Part = TypeVar("Part")

_WORDS = (
    "can't allocate memory",  # torch on a CPU
    "could not create a primitive",  # oneDNN
    "STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN
)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of ``mallopt``, in glibc's malloc.h."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether a smaller batch may do what failed: on a CPU torch has no error of its own."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(words in str(error) for words in _WORDS)


def halving(
    compute: Callable[[slice], Part], count: int, join: Callable[[list[Part]], Part]
) -> Part:
    """Compute for a whole batch at once, or where memory does not allow that, half after half.

    Args:
        compute: Given which rows of the batch.
        count: Rows of the batch.
        join: Makes the result of a batch of those of its parts.

    Returns:
        That of the batch.

    Raises:
        Exception: Of ``compute``, if not even one row fits, or if it is not for want of memory.
    """
    return _of_rows(compute, 0, count, join)


def _of_rows(
    compute: Callable[[slice], Part], start: int, stop: int, join: Callable[[list[Part]], Part]
) -> Part:
    try:
        return compute(slice(start, stop))
    except Exception as error:
        if stop - start <= 1 or not ran_out_of_memory(error):
            raise
    # Outside the handler, where the error no longer holds what the failed pass had allocated.
    middle = (start + stop) // 2
    _say_halved(stop - start)
    return join([_of_rows(compute, start, middle, join), _of_rows(compute, middle, stop, join)])


def summed(parts: list[Tensor]) -> Tensor:
    """Return the sum over a batch as that of its parts."""
    return torch.stack(parts).sum(0)


@cache  # said once of each size
def _say_halved(count: int) -> None:
    _log.warning(
        "memory ran out with %d images in one pass: half as many are taken, every time after such "
        "a failure; a smaller `--batch_size` spares the failures",
        count,
    )


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
