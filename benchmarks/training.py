#!/usr/bin/env python3
"""Times the parts of training against what they replace or serve, on one thread.

Usage: benchmarks/training.py                (five minutes, 3 GB)
 e.g.: benchmarks/training.py

 - the peephole BLSTM of the paper's size (4 layers of 512 units each way, 41 frames, 9000 classes) against torch.nn.LSTM of the same
   shape, which has no peepholes; forward, and forward with backward. The last layer alone too, which runs half the frames each way, where
   nn.LSTM needs all of them;
 - a BLSTM over whole utterances, eight of different lengths, against torch's bidirectional layers over packed sequences, training;
 - the sampler's windows per second beside the smallest training step of the mini preset, and against a DataLoader that
   assembles items;
 - the loss of 90 soft labels among 9000 classes against the hard labels' cross-entropy, forward and backward;
 - the paper's CNN, training, against the product of two matrices of 2048 x 2048: the share of the multiplications a second that it reaches. A
   training step counts as three forward passes.

Ways take turns; a turn is processor time. Prints medians of the times and of the ratios of neighbouring turns.
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from ratios import ratio as report
from recipe import ROOT, commit, machine
from torch import nn
from torch.nn.functional import cross_entropy, linear
from torch.nn.utils.rnn import pack_padded_sequence

from pytorch_nnet.frames.sampler import FrameSampler
from pytorch_nnet.frames.softlabels import SparseLabels, top_classes
from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW
from pytorch_nnet.io.options import load_config
from pytorch_nnet.models.architecture import Architecture, shape_from
from pytorch_nnet.models.networks.blstm import Blstm
from pytorch_nnet.models.operations import multiplications
from pytorch_nnet.models.recurrence import RecurrentOptions, RecurrentStack
from pytorch_nnet.models.registry import build_network
from pytorch_nnet.training.losses import blended_loss

CLASSES, UNITS, LAYERS, BATCH = 9000, 512, 4, 128
PEAK_GOAL = 0.5  # of what one product of matrices reaches


class TorchLstm(nn.Module):
    """torch's own BLSTM with the same output: the middle frame of the last layer."""

    def __init__(self, layers=LAYERS):
        super().__init__()
        self.layers = nn.LSTM(DIM, UNITS, layers, bidirectional=True)
        self.output = nn.Linear(2 * UNITS, CLASSES)

    def forward(self, windows):
        return self.output(self.layers(windows.transpose(0, 1))[0][WINDOW // 2])


class MemoryStore:
    """What FrameSampler needs of a frame store: fp16 features with zero rows between utterances, in memory."""

    def __init__(self, utts, frames):
        rng = np.random.default_rng(1)
        self.num_frames = utts * frames
        self.features = np.zeros((self.num_frames + CONTEXT * (utts + 1), DIM), np.float16)
        for utt in range(utts):
            first = CONTEXT + utt * (frames + CONTEXT)
            self.features[first:first + frames] = rng.standard_normal((frames, DIM))
        self.labels = rng.integers(0, 300, self.num_frames).astype(np.uint16)
        self.offsets = np.arange(utts + 1) * frames


class Items(torch.utils.data.Dataset):
    """The same windows, one at a time."""

    def __init__(self, store):
        self.store, self.features = store, torch.from_numpy(store.features)

    def __len__(self):
        return self.store.num_frames

    def __getitem__(self, frame):
        start = frame + CONTEXT * (np.searchsorted(self.store.offsets, frame, side="right") - 1)
        return self.features[start:start + WINDOW].float(), int(self.store.labels[frame])


def turns(ways, count):
    """Seconds of each way in every turn, after one turn that is not timed."""
    times = [[] for _ in ways]
    for turn in range(count + 1):
        for way, kept in zip(ways, times):
            start = time.process_time()
            way()
            if turn:
                kept.append(time.process_time() - start)
    return times


def row(name, ways, count, goal):
    """Prints medians and the ratio of the first way's time to the second's; returns the first median."""
    ours, other = turns(ways, count)
    ratio = statistics.median(a / b for a, b in zip(ours, other))
    verdict = "meets" if ratio <= goal else "misses"
    print(f"| {name} | {statistics.median(ours) * 1e3:.2f} | {statistics.median(other) * 1e3:.2f} | {ratio:.2f} | {goal} | {verdict} |", flush=True)
    report(name, ratio, goal, smaller=True)
    return statistics.median(ours)


def forward(network, windows):
    def run():
        with torch.inference_mode():
            network(windows)
    return run


def training(network, windows, labels):
    def run():
        cross_entropy(network(windows), labels).backward()
        network.zero_grad()
    return run


def networks():
    windows, labels = torch.randn(BATCH, WINDOW, DIM), torch.randint(CLASSES, (BATCH,))
    ours, other = Blstm([UNITS] * LAYERS, CLASSES, DIM), TorchLstm()
    row(f"peephole BLSTM {LAYERS}x{UNITS} / nn.LSTM, forward", [forward(n, windows) for n in (ours, other)], 3, 1.25)
    row(f"peephole BLSTM {LAYERS}x{UNITS} / nn.LSTM, training", [training(n, windows, labels) for n in (ours, other)], 3, 1.25)


def utterances():
    """Two layers of 128 units each way over eight utterances of 150 to 300 frames."""
    hidden, lengths = [128, 128], torch.linspace(150, 300, 8).long()
    x = torch.randn(8, 300, DIM)
    ours = RecurrentStack(DIM, hidden, RecurrentOptions(), bidirectional=True)
    other = nn.LSTM(DIM, hidden[0], len(hidden), batch_first=True, bidirectional=True)

    def stacked():
        ours(x, lengths)[0].sum().backward()

    def packed():
        other(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0].data.sum().backward()

    row("BLSTM 2x128 over utterances / nn.LSTM over packed sequences, training", [stacked, packed], 5, 1.0)


def sampler():
    store = MemoryStore(1000, 400)
    config = load_config(ROOT / "egs/switchboard/conf/mini/cnn.yaml")
    network = build_network(shape_from(config), 300)
    items, draws, batch = Items(store), FrameSampler(store, 256, 1), 10 * 256
    loader = iter(torch.utils.data.DataLoader(items, 256, sampler=torch.utils.data.RandomSampler(items, replacement=True)))

    def ours():
        for _ in range(10):
            draws.draw()

    def assembled():
        for _ in range(10):
            next(loader)

    seconds = row("sampler / DataLoader, 10 batches of 256 windows", [ours, assembled], 10, 1.0)
    windows, labels, _ = draws.draw()
    step = statistics.median(turns([training(network, windows, labels)], 10)[0])
    print(f"| sampler: {batch / seconds / 1e6:.2f} M windows a second (goal 1); share of the mini CNN's training step | {seconds * 100:.3f} | "
          f"{step * 1e3:.2f} | {seconds / 10 / step:.4f} | 0.01 | {'meets' if seconds / 10 / step <= 0.01 else 'misses'} |")
    report("sampler / training step of the mini CNN", seconds / 10 / step, 0.01, smaller=True)


def peak():
    """The share of the measured peak of sgemm that the vision-style CNN's training reaches, at the paper's widths.

    The peak is the faster of torch's two libraries: a product of plain tensors takes MKL, one of oneDNN's own tensors takes oneDNN.
    """
    size, batch = 2048, 64
    left, right = torch.randn(size, size), torch.randn(size, size)
    products = [lambda: left @ right]
    if torch.backends.mkldnn.is_available():
        theirs, weights = left.to_mkldnn(), right.to_mkldnn()
        products.append(lambda: linear(theirs, weights))
    network = build_network(Architecture("vision", "paper"), CLASSES)
    windows, labels = torch.randn(batch, WINDOW, DIM), torch.randint(CLASSES, (batch,))
    with torch.inference_mode():
        sgemm = min(turns(products, 5), key=statistics.median)
    step = turns([training(network, windows, labels)], 3)[0]
    top, reached = (2 * count / statistics.median(times) / 1e9
                    for count, times in ((size ** 3, sgemm), (3 * batch * multiplications(network, DIM), step)))
    share = reached / top
    print(f"| vision-style CNN's training, {reached:.0f} GFLOP/s; sgemm {top:.0f}: share | {statistics.median(step) * 1e3:.0f} | | {share:.2f} | {PEAK_GOAL} | "
          f"{'meets' if share >= PEAK_GOAL else 'misses'} |", flush=True)
    report("vision CNN's training / sgemm, multiplications a second", share, PEAK_GOAL)


def soft_loss(classes):
    """(loss of 90 soft labels, loss of hard labels), each forward and backward over 256 windows."""
    logits = (3 * torch.randn(256, classes)).requires_grad_()
    labels = torch.randint(classes, (256,))
    counts, kept, probs = top_classes(torch.softmax(logits.detach(), 1), 90, 0.99)
    soft = SparseLabels(torch.from_numpy(np.repeat(np.arange(256), counts)), torch.from_numpy(kept.astype(np.int64)),
                        torch.from_numpy(probs.astype(np.float32)))

    def sparse():
        blended_loss(logits, labels, soft, 0.75).backward()

    def hard():
        cross_entropy(logits, labels).backward()

    return sparse, hard


def losses():
    row("loss of 90 soft labels / hard cross-entropy, 9000 classes", soft_loss(CLASSES), 30, 1.5)


def main(argv):
    if argv:
        print(__doc__)
        return 0 if "--help" in argv else 2
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{machine()}, commit {commit()}\n")
    print("| | ours: ms | other: ms | ratio | goal | |\n| --- | ---: | ---: | ---: | ---: | --- |")
    losses()
    sampler()
    peak()
    networks()
    utterances()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
