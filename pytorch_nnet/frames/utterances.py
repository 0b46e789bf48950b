"""Draws whole utterances in batches, or runs many of them side by side, a chunk of each at a time.

Features and labels come from a store's memory map. A label stands where the network gives it: `delay` steps late, behind each
utterance as many frames of zeros. What CTC learns of an utterance has no place in it.
"""

from __future__ import annotations

import json
import warnings
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..io.errors import RecipeError
from .ctc_store import CtcStore
from .store import CONTEXT, FrameStore

BUCKETS = 10  # of utterances by their lengths
FRAME_S = 0.01


class Chunk(NamedTuple):
    """Steps of B utterances; N of all their steps have a label."""

    inputs: Tensor  # (B, L, dim) float32, zeros after an utterance's end
    lengths: Tensor  # (B,) int64, steps of each utterance, zeros of the delay among them
    labelled: Tensor  # (B, L) bool, the steps at which the network gives the class of a frame
    labels: Tensor  # (N,) int64, in the order of `labelled`
    frames: Tensor  # (N,) int64, positions in the store: keys of the soft labels
    first: Tensor  # (B,) bool: the utterance begins here

    @property
    def size(self) -> int:
        """Frames that are learnt from."""
        return len(self.labels)


class Transcribed(NamedTuple):
    """B whole utterances and the units spoken in them."""

    inputs: Tensor  # (B, L, dim) float32, zeros after an utterance's end
    lengths: Tensor  # (B,) int64, steps of each utterance, zeros of the delay among them
    frames: Tensor  # (B,) int64, without those
    labels: Tensor  # (N,) int64, utterances end to end
    label_lengths: Tensor  # (B,) int64

    @property
    def size(self) -> int:
        return int(self.frames.sum())


class Utterances:
    """An endless stream of chunks; every pass over the set has every utterance once, in an order of its own."""

    def __init__(self, store: FrameStore | CtcStore, utterances: int, seed: int, delay: int):
        self.store, self.count, self.seed, self.delay = store, utterances, seed, delay

    def steps(self, index: int) -> int:
        return int(self.store.offsets[index + 1] - self.store.offsets[index]) + self.delay

    def piece(self, places: list[tuple[int, int]], size: int) -> Chunk | Transcribed:
        """The steps begin to begin + size of each (utterance, begin)."""
        inputs = torch.zeros(len(places), size, self.store.dim)
        labels = torch.full((len(places), size), -1)
        frames = torch.zeros_like(labels)
        for row, (index, begin) in enumerate(places):
            whole = self.store.utt_slice(index)
            count = whole.stop - whole.start
            inputs[row] = self.features(index, begin, size)
            low, high = max(begin - self.delay, 0), min(begin - self.delay + size, count)  # frames whose classes come out here
            if low < high:
                here = slice(low + self.delay - begin, high + self.delay - begin)
                frames[row, here] = torch.arange(whole.start + low, whole.start + high)
                labels[row, here] = torch.from_numpy(self.store.utt_labels(index)[low:high].astype(np.int64))
        labelled = labels >= 0
        lengths = torch.tensor([min(size, max(0, self.steps(index) - begin)) for index, begin in places])
        return Chunk(inputs, lengths, labelled, labels[labelled], frames[labelled], torch.tensor([begin == 0 for _, begin in places]))

    def features(self, index: int, begin: int, size: int) -> Tensor:
        """(size, dim) float32: an utterance from frame `begin` on, with zeros after its end."""
        rows = self.store.padded(index)[CONTEXT:-CONTEXT][begin:begin + size]
        return pad(torch.from_numpy(rows.astype(np.float32)), (0, 0, 0, size - len(rows)))

    def draw(self) -> Chunk | Transcribed:
        raise NotImplementedError

    def place(self) -> Any:
        """Where the stream is, as JSON can have it."""
        raise NotImplementedError

    def go_to(self, place: Any) -> None:
        raise NotImplementedError

    def state(self) -> Tensor:
        """uint8"""
        return torch.frombuffer(bytearray(json.dumps(self.place()).encode()), dtype=torch.uint8)

    def restore(self, state: Tensor) -> None:
        self.go_to(json.loads(bytes(state.tolist())))


class UtteranceBatches(Utterances):
    """Batches of whole utterances that are about as long as each other, as Lhotse's DynamicBucketingSampler puts them together.

    Args:
      chosen: numbers of those to take; None: all.
    """

    def __init__(self, store: FrameStore | CtcStore, utterances: int, seed: int, delay: int = 0, chosen: Sequence[int] | None = None):
        super().__init__(store, utterances, seed, delay)
        chosen = range(store.num_utts) if chosen is None else chosen
        self.epoch, self.drawn = 0, 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that cuts in memory save none
            from lhotse import CutSet, MonoCut
            from lhotse.dataset.sampling import DynamicBucketingSampler

            # Cuts that stand for the store's utterances: their ids are the utterances' numbers.
            cuts = CutSet.from_cuts(MonoCut(id=str(index), start=0, duration=FRAME_S * int(store.offsets[index + 1] - store.offsets[index]),
                                            channel=0) for index in chosen)
            buckets = min(BUCKETS, max(2, len(chosen) // (2 * utterances)))
            self.sampler = DynamicBucketingSampler(cuts, max_cuts=utterances, num_buckets=buckets, shuffle=True, seed=seed, world_size=1, rank=0)
        self.batches = self.passes()

    def passes(self) -> Iterator[list[int]]:
        while True:
            self.sampler.set_epoch(self.epoch)
            for number, cuts in enumerate(self.sampler):
                if number >= self.drawn:
                    self.drawn = number + 1
                    yield [int(cut.id) for cut in cuts]
            self.epoch, self.drawn = self.epoch + 1, 0

    def draw(self) -> Chunk | Transcribed:
        batch = next(self.batches)
        return self.piece([(index, 0) for index in batch], max(map(self.steps, batch)))

    def place(self) -> Any:
        return self.epoch, self.drawn

    def go_to(self, place: Any) -> None:
        """place: passes that are done, and batches of this one."""
        self.epoch, self.drawn = place
        self.batches = self.passes()


class TranscribedBatches(UtteranceBatches):
    """The same with the units of a CTC store."""

    def piece(self, places: list[tuple[int, int]], size: int) -> Transcribed:
        indices = [index for index, _ in places]
        labels = [torch.from_numpy(self.store.utt_labels(index).astype(np.int64)) for index in indices]
        steps = torch.tensor([self.steps(index) for index in indices])
        return Transcribed(torch.stack([self.features(index, 0, size) for index in indices]), steps, steps - self.delay, torch.cat(labels),
                           torch.tensor([len(one) for one in labels]))


class UtteranceStreams(Utterances):
    """Many utterances side by side, a chunk of each at a time; where one ends, another begins with the next chunk.

    Errors are propagated back over a chunk's steps, a network's state is carried on (truncated backpropagation through time; many streams, as
    the beginnings of utterances, all silence, would else come together).
    """

    def __init__(self, store: FrameStore, utterances: int, seed: int, chunk: int, delay: int = 0):
        super().__init__(store, utterances, seed, delay)
        if chunk <= delay:
            raise RecipeError("a chunk as short as the delay", id="chunk", expected=f"above {delay}, the delay of the network", found=chunk)
        self.chunk, self.streams = chunk, list[tuple[int, int]]()
        self.begin_pass(0)

    def draw(self) -> Chunk | Transcribed:
        self.streams = [(index, begin + self.chunk) for index, begin in self.streams]
        for number in range(self.count):
            if number == len(self.streams):
                self.streams.append((self.following(), 0))
            elif self.streams[number][1] >= self.steps(self.streams[number][0]):
                self.streams[number] = (self.following(), 0)
        return self.piece(self.streams, self.chunk)

    def following(self) -> int:
        """The next utterance of the pass."""
        if self.taken == self.store.num_utts:
            self.begin_pass(self.epoch + 1)
        self.taken += 1
        return self.order[self.taken - 1]

    def place(self) -> Any:
        return self.epoch, self.taken, self.streams

    def go_to(self, place: Any) -> None:
        """place: passes that are done, utterances of this one that were begun, and (utterance, step) of each stream's last chunk."""
        epoch, taken, streams = place
        self.begin_pass(epoch)
        self.taken = taken
        self.streams = [(index, begin) for index, begin in streams]

    def begin_pass(self, epoch: int) -> None:
        self.epoch, self.taken = epoch, 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)  # of which torch takes 32 bits
        self.order: list[int] = torch.randperm(self.store.num_utts, generator=generator).tolist()
