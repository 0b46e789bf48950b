#!/usr/bin/env python3
"""How evaluation grows with frames, and the loss of soft labels with classes: each at three sizes, on one thread.

Usage: benchmarks/growth.py                (a minute, 1 GB; growth with the vocabulary: benchmarks/graph.py <recipe> cnn 60 10000)
 e.g.: benchmarks/growth.py

Evaluation is that of the vision-style CNN at the mini preset's widths over one utterance, work shared between windows. The loss is that of 90 soft labels,
256 windows, forward and backward. Sizes take turns; a turn is processor time. Prints medians.
"""

import os
import statistics
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from evaluate import shape
from recipe import commit, machine
from torch.nn.functional import pad
from training import soft_loss, turns

from pytorch_nnet.frames.store import CONTEXT, DIM
from pytorch_nnet.models.network import window_logits
from pytorch_nnet.models.registry import build_network

FRAMES, CLASSES, TURNS = (100, 1000, 10000), (1000, 3000, 9000), 7


def evaluation(frames):
    network, padded = build_network(shape("vision", "mini"), 300).eval(), pad(torch.randn(frames, DIM), (0, 0, CONTEXT, CONTEXT))

    def run():
        with torch.inference_mode():
            window_logits(network, padded)
    return run


def main(argv):
    if argv:
        print(__doc__)
        return 0 if "--help" in argv else 2
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{machine()}, commit {commit()}\n\n| | size | ms | ms by size, of the first |\n| --- | ---: | ---: | ---: |")
    for name, sizes, ways in (("evaluation, frames", FRAMES, [evaluation(frames) for frames in FRAMES]),
                              ("loss, classes", CLASSES, [soft_loss(classes)[0] for classes in CLASSES])):
        medians = [statistics.median(times) for times in turns(ways, TURNS)]
        for size, median in zip(sizes, medians):
            print(f"| {name} | {size} | {median * 1e3:.2f} | {median / size / (medians[0] / sizes[0]):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
