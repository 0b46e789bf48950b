#!/usr/bin/env python3
"""Measures stage 9 at a real vocabulary: building HCLG, loading it, and k2's search beside LatticeFasterDecoder's.

Usage: benchmarks/graph.py <recipe> [system [utterances [words]]]      (a folder where run.sh has finished; ten minutes, 3 GB)
 e.g.: benchmarks/graph.py egs/switchboard cnn 60 30000

The recipe's dictionary is filled up to `words` (30 000) with made-up ones, drawn from the phone pairs of the real ones; the 3-gram of some
500 000 n-grams (in proportion to the words) is of the recipe's text and of made-up sentences, whose words follow Zipf's law, short ones first, and repeat one
another's pairs. The first graph has a tree of 9000 leaves, grown from simulated statistics; the searches run on a graph of the recipe's own tri3, with the
likelihoods of `system`, on the first `utterances` of the test set, so their words are real. Each search runs with several beams on one
core, both decoders in turns; a decoder's time is that of its search alone, without the network's, on the processor.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
ROOT = Path(__file__).resolve().parents[1]

import hmm  # noqa: E402
import numpy as np  # noqa: E402
from ratios import ratio  # noqa: E402
from recipe import commit, machine  # noqa: E402

from pytorch_nnet.corpus.datadir import read_text  # noqa: E402
from pytorch_nnet.decoding.k2_graph import K2Graph  # noqa: E402
from pytorch_nnet.hmm.model import AcousticModel  # noqa: E402
from pytorch_nnet.lang.arpa import read_arpa  # noqa: E402
from pytorch_nnet.lang.lang_dir import LangDir  # noqa: E402
from pytorch_nnet.lang.lexicon import Dictionary  # noqa: E402

WORDS, LEAVES = 30_000, 9000
SENTENCES, PER_SENTENCE = 36_000, 10  # made up; with them the model has about half a million n-grams
BEAMS = [(9, 2000), (11, 4000), (13, 7000)]  # beam and max_active


def words_of_phone_pairs(lexicon, number, rng):
    """Made-up words with the lengths and the neighbouring phones of a lexicon: {word: phones}."""
    followers = {}
    for _, phones in lexicon:
        for left, right in zip((None, *phones), (*phones, None)):
            followers.setdefault(left, []).append(right)
    made, known = {}, {tuple(phones) for _, phones in lexicon}
    while len(made) < number:
        phones, last = [], None
        while (last := followers[last][rng.integers(len(followers[last]))]) is not None:
            phones.append(last)
        if 3 <= len(phones) <= 10 and tuple(phones) not in known:
            known.add(tuple(phones))
            made["zz" + "".join(phones) + str(len(made))] = phones
    return made


def sentences(words, number, rng):
    """Made-up sentences: Zipf's words, each followed by one of its own twenty favourites three times out of four."""
    weights = 1 / (np.arange(len(words)) + 10)
    weights /= weights.sum()
    favourites = rng.choice(len(words), (len(words), 20), p=weights)
    drawn = rng.choice(len(words), number * PER_SENTENCE, p=weights)
    for start in range(0, len(drawn), PER_SENTENCE):
        row = drawn[start:start + PER_SENTENCE]
        for k in range(1, PER_SENTENCE):
            if rng.random() < 0.75:
                row[k] = favourites[row[k - 1], rng.integers(20)]
        yield [words[index] for index in row]


def large_lang(recipe, folder, words=WORDS):
    """folder/lang with so many words and its G.fst; the made-up text grows in proportion."""
    rng = np.random.default_rng(1)
    shutil.copytree(recipe / "data/local/dict", folder / "dict")
    old = Dictionary.load(folder / "dict", "<unk>")
    spoken = [(word, phones) for word, phones in old.lexicon if not set(phones) & set(old.silence_phones)]
    made = words_of_phone_pairs(spoken, words - len(old.words), rng)
    lines = (folder / "dict/lexicon.txt").read_text().splitlines() + [f"{word} {' '.join(phones)}" for word, phones in made.items()]
    (folder / "dict/lexicon.txt").write_text("\n".join(sorted(lines, key=str.encode)) + "\n")
    text = list(read_text(recipe / "data/train/text").values())
    text += sentences(sorted(made, key=lambda word: (len(made[word]), word)), SENTENCES * words // WORDS, rng)
    (folder / "text").write_text("".join(f"u{number:07d} {' '.join(words)}\n" for number, words in enumerate(text)))
    call("steps/prepare_lang", folder / "dict", "<unk>", folder / "lang")
    call("steps/train_lm", folder / "text", folder / "lang", folder / "3gram.arpa.gz")
    call("steps/format_lm", folder / "3gram.arpa.gz", folder / "lang")
    orders = read_arpa(folder / "3gram.arpa.gz").orders
    print(f"{words} words; n-grams: " + ", ".join(str(len(order.word)) for order in orders))


def large_tree(recipe, folder):
    """folder/model: a bare transition model on a tree of 9000 leaves."""
    source, lang = AcousticModel.load(recipe / "exp/tri3"), LangDir(recipe / "data/lang")
    built = hmm.builder(hmm.simulated(lang, source.table.topology), lang, source.table.topology).build(LEAVES)
    AcousticModel.create(source.table.topology, built.tree, source.features).save(folder / "model")


def call(*command):
    """Runs a step; returns its processor seconds and its peak memory in GB."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(ROOT / command[0]), *map(str, command[1:])], stdout=subprocess.DEVNULL, stderr=errors,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            errors.seek(0)
            sys.exit(errors.read().decode(errors="replace"))
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def search(recipe, folder, system, decoder, beam, active):
    """Real-time factor, of time on the processor, and the lowest WER over the sweep of word insertion penalties."""
    out = folder / f"{decoder}_{beam}"
    subprocess.run([ROOT / "steps/decode", "--nj", "1", "--decoder", decoder, "--model", recipe / "exp" / system, "--acwt", "0.125",
                    "--beam", str(beam), "--lattice-beam", "3", "--max-active", str(active), folder / "graph_own", folder / "test", out],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    rtf = float(re.search(r"([\d.]+) on the processor", (out / "log/decode.1.log").read_text())[1])
    wer = min(float(line.split()[1]) for path in out.glob("wer_8_*") for line in path.read_text().splitlines() if line.startswith("%WER"))
    return rtf, wer


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if "--help" in argv else 2
    recipe, system, utterances, words = Path(argv[0]), *[*argv[1:], *("cnn", "60", str(WORDS))[len(argv) - 1:]]
    print(f"{machine()}, commit {commit()}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        large_lang(recipe, folder, int(words))
        large_tree(recipe, folder)
        seconds, peak = call("steps/mkgraph", folder / "lang", folder / "model", folder / "graph")
        print((folder / "graph/sizes.tsv").read_text())
        start = time.process_time()
        graph = K2Graph.load(folder / "graph/graph.npz")
        loading, size = time.process_time() - start, (folder / "graph/graph.npz").stat().st_size / 1e6
        arcs = len(graph.arcs)
        del graph
        own, _ = call("steps/mkgraph", folder / "lang", recipe / "exp/tri3", folder / "graph_own")
        print(f"mkgraph, {words} words, {LEAVES} leaves: {seconds:.0f} s on the processor, {peak:.2f} GB; k2 form of {arcs} arcs, {size:.0f} MB, "
              f"loaded in {loading:.1f} s; a second model's graph: {own:.0f} s\n", flush=True)
        for name, value, goal in (("mkgraph, processor seconds", seconds, 60), ("mkgraph, peak memory in GB", peak, 2.5),
                                  ("k2 form, seconds to load", loading, 3)):
            ratio(f"{name} / {goal}", value / goal, 1, smaller=True)
        test = next(name for name in ("eval2000_fbank", "test_fbank") if (recipe / "data" / name).is_dir())
        call("utils/subset_data_dir", "--first", "true", recipe / "data" / test, utterances, folder / "test")
        print(f"{system}, {utterances} utterances, LMWT 8\n\n| beam, max_active | k2 RTF | WER % | kaldi RTF | WER % |\n| --- | ---: | ---: | ---: | ---: |")
        for beam, active in BEAMS:
            (k2, wer), (kaldi, other) = (search(recipe, folder, system, decoder, beam, active) for decoder in ("k2", "kaldi"))
            print(f"| {beam}, {active} | {k2:.4f} | {wer:.2f} | {kaldi:.4f} | {other:.2f} |", flush=True)
            ratio(f"search, beam {beam}, LatticeFasterDecoder / k2 (WER {other:.2f}, {wer:.2f})", kaldi / k2, 3)
        ratio("search with k2, widest beam, real-time factor / 0.10", k2 / 0.10, 1, smaller=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
