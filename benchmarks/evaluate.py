#!/usr/bin/env python3
"""Times the CNNs on a whole utterance: window by window against work shared between windows, on one thread.

Usage: benchmarks/evaluate.py [mini] [paper]        (both by default; paper takes about a minute and 3 GB)
 e.g.: benchmarks/evaluate.py mini

Both ways take turns on the same utterance, after one turn that checks that they agree and is not timed. Prints a Markdown
table of medians: of each way's time, and of the ratios of neighbouring turns. A turn is processor time, so that other
processes disturb it less.
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from ratios import ratio as report
from recipe import ROOT, commit, machine
from torch.nn.functional import pad

from pytorch_nnet.frames.store import CONTEXT, DIM, WINDOW
from pytorch_nnet.io.options import load_config
from pytorch_nnet.models.architecture import Architecture, shape_from
from pytorch_nnet.models.network import window_logits
from pytorch_nnet.models.registry import build_network

NETWORKS = {"vision": "cnn.yaml", "sainath": "sainath.yaml"}
GOALS = {"vision": 1.45, "sainath": 5.0}
BATCH = 256  # windows at a time: the fastest for this way of 64, 128, 256, 512 at the mini widths
SIZES = {"mini": (300, 1000, 15), "paper": (9000, 300, 3)}  # classes, frames of the utterance, turns


def shape(arch, size):
    if size == "paper":
        return Architecture(arch, "paper")
    config = load_config(ROOT / "egs/switchboard/conf/mini" / NETWORKS[arch])
    return shape_from(config)


def by_window(network, padded):
    windows = padded.unfold(0, WINDOW, 1).transpose(1, 2)
    return torch.cat([network(part) for part in windows.split(BATCH)])


def seconds(evaluate, network, padded):
    start = time.process_time()
    evaluate(network, padded)
    return time.process_time() - start


@torch.inference_mode()
def main(argv):
    if not set(argv) <= set(SIZES):
        print(__doc__)
        return 0 if "--help" in argv else 2
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{machine()}, commit {commit()}\n")
    print("| network | frames | by window: ms a frame | shared: ms a frame | ratio | goal | | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |")
    for size in argv or SIZES:
        classes, frames, turns = SIZES[size]
        padded = pad(torch.randn(frames, DIM), (0, 0, CONTEXT, CONTEXT))
        for arch, goal in GOALS.items():
            network = build_network(shape(arch, size), classes).eval()
            difference = float((by_window(network, padded) - window_logits(network, padded)).abs().max())
            pairs = [(seconds(by_window, network, padded), seconds(window_logits, network, padded)) for _ in range(turns)]
            windowed, shared = (statistics.median(times) / frames * 1e3 for times in zip(*pairs))
            ratio = statistics.median(one / other for one, other in pairs)
            print(f"| {arch}, {size} | {frames} | {windowed:.3f} | {shared:.3f} | {ratio:.2f} | {goal} | "
                  f"{'meets' if ratio >= goal else 'misses'} | {difference:.0e} |", flush=True)
            report(f"{arch} CNN, {size} widths: windows apart / shared", ratio, goal)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
