"""Draws training windows: an utterance in proportion to its length, then a frame of it uniformly (paper, section 5).

That is a uniform draw over all frames of the set, which is how it is done.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .store import CONTEXT, WINDOW, FrameStore

CPU = torch.device("cpu")
ALL = slice(None)


class Batch(NamedTuple):
    windows: Tensor  # (B, 41, dim) float32
    labels: Tensor  # (B,) int64
    frames: Tensor  # (B,) int64, positions in the store: keys of the soft labels

    @property
    def size(self) -> int:
        """Frames that are learnt from."""
        return len(self.labels)


class Windows:
    """All windows of a store as one strided view; picking B of them is a single index_select.

    About ten times faster on one thread than a DataLoader that assembles items. On a GPU with room for it (22 MB an hour)
    the store lies there; windows come from where it lies.
    """

    def __init__(self, store: FrameStore, device: torch.device = CPU):
        self.store = store
        self.device = device if fits(store, device) else CPU
        features = torch.from_numpy(store.features).to(self.device)
        rows, dim = features.shape
        self.view = features.as_strided((rows - WINDOW + 1, WINDOW * dim), (dim, 1))
        # torch cannot pick from uint16: the same bytes as int16, brought back above zero in `pick`.
        self.labels = torch.from_numpy(store.labels.view(np.int16)).to(self.device)
        self.offsets = torch.from_numpy(store.offsets).to(self.device)
        self.shape = (-1, WINDOW, dim)

    def pick(self, frames: Tensor) -> Batch:
        """The windows around the given frames (B,) int64."""
        frames = frames.to(self.device)
        # Row f + 20 (u + 1) holds frame f, and its window starts 20 rows before; searchsorted gives u + 1.
        starts = frames + CONTEXT * (torch.searchsorted(self.offsets, frames, right=True) - 1)
        windows = self.view.index_select(0, starts).float().view(self.shape)
        return Batch(windows, self.labels.index_select(0, frames).long() & 0xFFFF, frames)

    def sweep(self, batch: int, limit: int = 0, turns: slice = ALL) -> Iterator[Batch]:
        """Every frame in order or, with a `limit`, that many frames at equal distances; of the batches those at `turns`."""
        total = self.store.num_frames
        count = min(limit, total) if limit else total
        frames = torch.arange(count) * total // count
        for part in frames.split(batch)[turns]:
            yield self.pick(part)


def fits(store: FrameStore, device: torch.device) -> bool:
    """Whether the device is a GPU with four times the store's size free: the network needs room too."""
    if device.type != "cuda":
        return False
    return 4 * (store.features.nbytes + store.labels.nbytes) < torch.cuda.mem_get_info(device)[0]


class FrameSampler:
    """An endless stream of batches, drawn with replacement; its state can be saved and restored.

    Args:
      share: the part of each batch to give; processes with the same seed and different shares draw one batch together.
      device: where the store may lie.
      masks: (channels, frames), the widest band of each that a window may lose to zeros, which are the features' mean: one band of
        channels and one of frames, of even chances from none to that (SpecAugment, Park et al. 2019). The middle frame, whose
        class is asked for, stays.
    """

    def __init__(self, store: FrameStore, batch: int, seed: int, share: slice = ALL, device: torch.device = CPU,
                 masks: tuple[int, int] = (0, 0)):
        self.windows, self.batch, self.share, self.masks = Windows(store, device), batch, share, masks
        # On the CPU whatever the device: the same seed draws the same frames everywhere.
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Batch:
        frames = torch.randint(self.windows.store.num_frames, (self.batch,), generator=self.generator)
        hidden = self.draw_masks() if any(self.masks) else None
        batch = self.windows.pick(frames[self.share])
        if hidden is not None:
            batch.windows.masked_fill_(hidden[self.share].to(batch.windows.device), 0)
        return batch

    def draw_masks(self) -> Tensor:
        """(B, 41, dim) bool: what the windows of a batch lose."""
        hidden = torch.zeros((self.batch, 1, 1), dtype=torch.bool)
        for most, size, axis in zip(self.masks, (self.windows.shape[2], WINDOW), (2, 1)):
            width, place = torch.rand((2, self.batch, 1), generator=self.generator)
            width = (width * (most + 1)).floor()
            first = (place * (size - width + 1)).floor()
            index = torch.arange(size)
            band = (index >= first) & (index < first + width)
            if axis == 1:
                band[:, CONTEXT] = False
            hidden = hidden | band.unsqueeze(3 - axis)
        return hidden

    def state(self) -> Tensor:
        """uint8 state of the generator."""
        return self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        self.generator.set_state(state)
