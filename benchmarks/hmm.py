#!/usr/bin/env python3
"""Measures stage 3: aligning at 12k Gaussians, the E step, a tree of Switchboard's size, and what 309 hours would take.

Usage: benchmarks/hmm.py <recipe>        (a folder where run.sh has finished stage 3; about five minutes, 2 GB)
 e.g.: benchmarks/hmm.py egs/switchboard

Alignment and E step run on one thread over the recipe's data/train, with tri1's alignments and a system of 1200 leaves whose
Gaussians are split until they are 12000: the time is that of a system of this size, its words are not. The tree is grown from
simulated statistics: triphones of the recipe's phones drawn as often as Zipf's law has it, 200 000 different states, 111 million frames
(309 hours). Rates are frames per second of processor time.
"""

import os
import resource
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from recipe import commit, machine

from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.hmm import gmm
from pytorch_nnet.hmm.align import Aligner
from pytorch_nnet.hmm.graphs import GraphCompiler, weighted
from pytorch_nnet.hmm.jobs import speakers
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.hmm.questions import phone_sets
from pytorch_nnet.hmm.stats import StatsAccumulator, TreeStats
from pytorch_nnet.hmm.train import DeltasOptions, MonoOptions
from pytorch_nnet.hmm.train_transforms import LdaMlltOptions, SatOptions
from pytorch_nnet.hmm.tree import TreeBuilder
from pytorch_nnet.io.archives import read_alignments
from pytorch_nnet.lang.lang_dir import LangDir

LEAVES, GAUSSIANS = 1200, 12000
EVENTS, HOURS, TREE_LEAVES = 200_000, 309, 9000
FRAMES = HOURS * 360_000


class Clock:
    """Processor seconds by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def __call__(self, name, function, *arguments):
        start = time.process_time()
        result = function(*arguments)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


def lists(lang, name):
    return [tuple(map(int, line.split())) for line in (lang.folder / "phones" / name).read_text().splitlines() if line.strip()]


def builder(stats, lang, topology, **options):
    roots = lists(lang, "sets.int")
    return TreeBuilder(stats, topology, roots, phone_sets(stats, roots, lists(lang, "extra_questions.int")), **options)


def system_of(size, recipe, lang, data, alignments):
    """A model of `size` Gaussians, as Trainer.grow makes it, with the Gaussians split at once."""
    source = AcousticModel.load(recipe / "exp/tri1_ali")
    accumulator = StatsAccumulator(source, lang.silence_phones)
    for own in speakers(data, source.features, alignments):
        accumulator.add_speaker(own.features, np.concatenate([accumulator.events(alignments[utt], utt) for utt in own.utts]))
    topology = source.table.topology
    built = builder(accumulator.result(), lang, topology, min_count=30.0).build(LEAVES)
    gaussians = gmm.single_gaussians(built.sums)
    targets = gmm.split_targets(built.sums[:, 0], np.ones(len(built.sums), int), size, power=0.25, min_count=0.0)
    return AcousticModel.create(topology, built.tree, source.features).replaced(gmm=gmm.split(gaussians, targets, perturb=0.2))


def align(recipe, lang, clock):
    """Frames of data/train, aligned and accumulated by a system of GAUSSIANS."""
    data = DataDir.load(recipe / "data/train", need=("text", "feats.scp"))
    alignments = read_alignments(recipe / "exp/tri1_ali")
    model = system_of(GAUSSIANS, recipe, lang, data, alignments)
    aligner, compiler = Aligner(model), GraphCompiler(model, lang)
    source, paths = model.features.open(data), {}
    for utt in data.utts:
        features = clock("features", source.__getitem__, utt)
        graph = clock("graphs", compiler.compile, utt, data.text[utt])
        graph = clock("transition probabilities", weighted, graph, model)
        path = clock("alignment", aligner.with_gaussians, utt, graph, features)
        if path is not None:
            paths[utt] = path
    for own in speakers(data, model.features, paths):
        clock("E step", gmm.accumulate, model.gmm, own.features, model.pdf_of[own.path])
    print(f"{model.num_pdfs} pdfs, {model.gmm.num_gauss} Gaussians; {len(paths)} of {len(data.utts)} utterances aligned, "
          f"{aligner.frames} frames\n")
    return aligner.frames


def simulated(lang, topology, events=EVENTS, frames=FRAMES):
    """Statistics of `events` different (left, phone, right, pdf-class): Gaussians of a phone, moved by its neighbours."""
    rng = np.random.default_rng(1)
    phones = np.array([phone for phone in topology.phones if phone not in lang.silence_phones])
    neighbours = np.array([0, *topology.phones])
    number = rng.permutation(len(neighbours) ** 2 * len(phones))[:events // 3]
    outer, own = np.divmod(number, len(phones))
    windows = np.stack([neighbours[outer // len(neighbours)], phones[own], neighbours[outer % len(neighbours)]], 1)
    rows = np.concatenate([np.repeat(windows, 3, 0), np.tile(np.arange(3), len(windows))[:, None]], 1).astype(np.int32)
    rows = np.concatenate([rows, [(0, phone, 0, state) for phone in lang.silence_phones for state in range(topology.num_pdf_classes(phone))]])
    rows = rows[np.lexsort(rows.T[::-1])]
    rank = rng.permutation(len(rows)) + 10
    count = np.maximum(np.rint(frames / rank / np.sum(1 / rank)), 1)
    dim, largest = 39, int(rows.max()) + 1
    own, left, right, state = (rng.standard_normal((largest, dim)) * scale for scale in (3.0, 1.0, 1.0, 0.5))
    mean = own[rows[:, 1]] + left[rows[:, 0]] + right[rows[:, 2]] + state[rows[:, 3]] + 0.2 * rng.standard_normal((len(rows), dim))
    return TreeStats(rows, np.concatenate([np.ones((len(rows), 1)), mean, mean * mean + 4.0], 1) * count[:, None])


def main(argv):
    if len(argv) != 1 or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe = Path(argv[0])
    lang, clock = LangDir(recipe / "data/lang"), Clock()
    print(f"{machine()}, commit {commit()}\n")
    frames = align(recipe, lang, clock)
    print("| | frames per cpu-second |\n| --- | ---: |")
    for name, seconds in clock.seconds.items():
        print(f"| {name} | {frames / seconds:,.0f} |")
    topology = AcousticModel.load(recipe / "exp/tri1_ali").table.topology
    stats = simulated(lang, topology)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    built = builder(stats, lang, topology).build(TREE_LEAVES)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\ntree: {built.report}\n{seconds:.0f} s, peak memory {peak / 1e6:.2f} GB ({before / 1e6:.2f} before)\n")
    print("| 309 hours | alignments | E steps | core-hours |\n| --- | ---: | ---: | ---: |")
    cost = {name: seconds / frames * FRAMES / 3600 for name, seconds in clock.seconds.items()}
    features = cost.pop("features")
    e_step = cost.pop("E step") + features
    alignment = sum(cost.values()) + features
    whole = seconds / 3600
    for name, options in {"mono": MonoOptions(), "tri1": DeltasOptions(), "tri2": LdaMlltOptions(), "tri3": SatOptions()}.items():
        alignments, e_steps = len(options.realign_iters) + 1, options.num_iters
        hours = alignments * alignment + e_steps * e_step
        whole += hours
        print(f"| {name} | {alignments} | {e_steps} | {hours:.0f} |")
    print(f"| all | | | {whole:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
