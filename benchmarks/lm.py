#!/usr/bin/env python3
"""Measures the language models: estimation, ARPA files, interpolation and pruning, in processor seconds and peak memory.

Usage: benchmarks/lm.py [million-words ...]          (default: 3; each size runs in a process of its own)
 e.g.: benchmarks/lm.py 3 6 12 23

The text is simulated: 30 000 words drawn independently as often as Zipf's law has it, sentences of ten words. Of as many words real
speech makes far fewer different n-grams, since it repeats itself: what is measured is the worst case. A second model of a tenth of
the words is what the big one is interpolated with.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from recipe import commit, machine

VOCABULARY, LENGTH = 30_000, 10


def sentences(count, seed):
    """`count` words as sentences."""
    rng = np.random.default_rng(seed)
    cumulated = np.cumsum(1 / (np.arange(VOCABULARY) + 3.0))
    names = np.array([f"word{number:05d}" for number in range(VOCABULARY)], dtype=object)
    for _ in range(count // (1000 * LENGTH)):
        words = np.searchsorted(cumulated, rng.random((1000, LENGTH)) * cumulated[-1])
        yield from names[words].tolist()


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(millions, order):
    """One line a step: processor seconds and the process's peak memory so far."""
    from pytorch_nnet.lang.arpa import read_arpa, write_arpa
    from pytorch_nnet.lang.mix import mix
    from pytorch_nnet.lang.model import perplexity
    from pytorch_nnet.lang.ngram import encode, estimate, estimate_encoded
    from pytorch_nnet.lang.prune import prune

    vocabulary = [f"word{number:05d}" for number in range(VOCABULARY)]
    dev = list(sentences(20_000, seed=1))
    results = {}

    def step(name, function, *arguments):
        start = time.process_time()
        results[name] = function(*arguments)
        print(f"| {millions} | {order} | {name} | {time.process_time() - start:.1f} | {peak():.2f} |", flush=True)
        return results[name]

    words = int(millions * 1e6)
    text = step("read the text", lambda: encode(sentences(words, seed=0), vocabulary))
    model = step("estimate", estimate_encoded, text, order)
    del text, results["read the text"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lm.arpa.gz")
        step("write ARPA", write_arpa, path, model)
        size = os.path.getsize(path)
        del model, results["estimate"]
        model = step("read ARPA", read_arpa, path)
    step("perplexity, 20 k words", perplexity, dev, model)
    other = estimate(sentences(words // 10, seed=2), vocabulary, order)
    mixed = step("interpolate", mix, [model, other], [0.8, 0.2])
    del mixed, results["interpolate"], other
    pruned = step("prune 1e-7", prune, model, 1e-7)
    print(f"{millions} M words: {model.sizes()}, {size / 1e6:.0f} MB; pruned: {pruned.sizes()}", file=sys.stderr)


def main(argv):
    if "--one" in argv:
        measure(float(argv[1]), int(argv[2]))
        return 0
    if any(word.startswith("-") for word in argv):
        print(__doc__)
        return 0 if "--help" in argv else 2
    print(f"{machine()}, commit {commit()}\n\n| M words | order | | cpu s | peak GB |\n| ---: | ---: | --- | ---: | ---: |", flush=True)
    for millions in argv or ["3"]:
        for order in (3, 4):
            subprocess.run([sys.executable, __file__, "--one", millions, str(order)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
