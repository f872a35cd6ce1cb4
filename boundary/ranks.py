"""The processes that share one piece of work, started by ``torchrun`` or alone.

Every process runs the same program. What all need is summed, gathered or broadcast, over gloo for
what is in host memory and nccl for what is on GPUs; alone, these are nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

Value = TypeVar("Value")

_PATIENCE = timedelta(days=7)
"""How long a process waits for the others: one may hold a long eigen-decomposition."""


@dataclass(frozen=True)
class Ranks:
    """One process's place among those that work together."""

    rank: int = 0
    """From 0."""
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes results and talks."""
        return self.rank == 0

    def share(self, parts: list[Value]) -> list[Value]:
        """Return this process's parts: every ``count``-th, from its own place."""
        return parts[self.rank :: self.count]

    def sum(self, values: Tensor) -> None:
        """Add the tensors of all processes, of one shape, in place."""
        if self.count > 1:
            dist.all_reduce(values)

    def sum_array(self, values: NDArray[np.float64]) -> None:
        """Add the arrays of all processes, of one shape, in place."""
        self.sum(torch.from_numpy(values))

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, in their order, to each of them."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    def spread(self, count: int, work: Callable[[int], Value]) -> list[Value]:
        """Return ``work(0)``, ... ``work(count - 1)`` to all, each made by one of the processes."""
        own = [(place, work(place)) for place in self.share(list(range(count)))]
        found = [made for part in self.gather(own) for made in part]
        return [value for _, value in sorted(found, key=lambda made: made[0])]

    def from_first(self, make: Callable[[], Value]) -> Value:
        """Return to all what the first process makes."""
        if self.count == 1:
            return make()
        box: list[Any] = [make() if self.first else None]
        dist.broadcast_object_list(box)
        value: Value = box[0]
        return value

    def first_goes_ahead(self, make: Callable[[], Value]) -> Value:
        """Return what every process makes, the first before the others: it may fill a cache."""
        if not self.first:
            self.wait()
        value = make()
        if self.first:
            self.wait()
        return value

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.count > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, if it did, until the block ends."""
    # Schedulers set WORLD_SIZE too; torchrun alone says that it was torchrun.
    if not dist.is_torchelastic_launched() or os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    devices = torch.cuda.device_count()
    if devices:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % devices)
    # nccl refuses two processes on one GPU; gloo sums what is on GPUs through the host.
    one_each = 0 < int(os.environ["LOCAL_WORLD_SIZE"]) <= devices
    backend = "cpu:gloo,cuda:nccl" if one_each else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
