"""Whether an error means that memory ran out, on whichever device."""

import torch


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether a smaller batch may do what failed: on a CPU torch has no error of its own."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)
