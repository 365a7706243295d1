"""One process, or several that ``torchrun`` started: who writes, who takes which images, and sums over all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

# One process prepares the examples while the others wait, which takes as long as reading the data set.
_PATIENCE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's ``rank`` (0 writes and prints) among ``count``; ``device`` is its own."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, positions: list[int]) -> list[int]:
        """Return this process's part of a batch; it may be empty."""
        return positions[self.rank :: self.count]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over the processes; all must call it, in the same order."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the other processes if ``torchrun`` started this one: over NCCL on GPUs (one each), over Gloo on CPUs.

    torch reads rank and meeting point from the environment that torchrun makes.
    """
    if not distributed.is_torchelastic_launched():
        yield Processes(device=device)
        return
    kind = torch.device(device)
    if kind.type == "cuda":
        device = f"cuda:{distributed.get_node_local_rank()}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if kind.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
