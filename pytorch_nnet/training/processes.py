"""Training by several processes, one GPU each, as torchrun starts them; one process alone is the case without torchrun.

    torchrun --standalone --nproc-per-node 4 steps/train_nnet --config conf/paper/cnn.yaml exp/frames_train exp/frames_dev exp/cnn

Every process draws the same batch, learns from its share of it, and gradients are averaged (DistributedDataParallel): the
training is that of one process with the same --batch, up to rounding. Only the first process writes.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator

import torch
from torch import distributed, nn

from ..io.errors import RecipeError


@dataclass(frozen=True)
class Processes:
    """This process among `count`; `local` is its number on its own machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def turns(self) -> slice:
        """Of batches in a row, those that are this process's."""
        return slice(self.rank, None, self.count)

    def device(self, name: str) -> str:
        """cuda stands for the GPU of this process."""
        return f"cuda:{self.local}" if name == "cuda" and self.count > 1 else name

    def share(self, batch: int) -> slice:
        """This process's part of a batch. Raises RecipeError if the parts would differ in size."""
        if batch % self.count:
            raise RecipeError("batch cannot be shared out evenly", id="batch", expected=f"a multiple of the {self.count} processes",
                              found=batch)
        part = batch // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over the processes; its parameters are `module`'s own."""
        return nn.parallel.DistributedDataParallel(module) if self.count > 1 else module

    def totals(self, *values: float, device: torch.device) -> list[float]:
        """Sums over the processes, equal in all of them."""
        if self.count == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(sums)
        return sums.tolist()


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that torchrun has started (by its environment variables), connected while the context lasts."""
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    processes = Processes(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if device.startswith("cuda:") and processes.count > 1:
        raise RecipeError("one GPU for several processes", id="device", expected="cuda: each process takes its own", found=device)
    if device == "cuda" and processes.local >= torch.cuda.device_count():
        raise RecipeError("more processes than GPUs", id=f"local rank {processes.local}", expected=f"at most {torch.cuda.device_count()}",
                          found=f"--nproc-per-node above {processes.local}", next="torchrun with fewer processes")
    if device == "cuda":
        torch.cuda.set_device(processes.local)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
