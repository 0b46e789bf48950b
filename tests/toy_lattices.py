"""Lattices with known paths, and the directories around them."""

from pytorch_nnet.decoding import lattice

WORDS = ["<eps>", "<unk>", "a", "b", "c", "#0", "<s>", "</s>"]


def decoded(tmp_path, text, jobs, failed=()):
    """A data, a graph and a decoding directory. A lattice is a choice of paths (words, am, graph) an utterance."""
    for name in ("data", "graph", "decode"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data/text").write_text("".join(f"{utt} {line}\n" for utt, line in text.items()))
    (tmp_path / "graph/words.txt").write_text("".join(f"{word} {i}\n" for i, word in enumerate(WORDS)))
    for number, utterances in enumerate(jobs, 1):
        with lattice.LatticeWriter(tmp_path / f"decode/lat.{number}.npz") as writer:
            for utt, paths in utterances.items():
                writer.write(utt, parallel_paths(paths))
    (tmp_path / "decode/num_jobs").write_text(f"{len(jobs)}\n")
    if failed:
        (tmp_path / "decode/failed.txt").write_text("".join(f"{line}\n" for line in failed))


def parallel_paths(paths):
    """Paths side by side from the first to the last state; each starts with an arc that holds its scores."""
    src, dst, word, am, graph, state = [], [], [], [], [], 1
    end = 1 + sum(len(line.split()) for line, _, _ in paths)
    for line, acoustic, language in paths:
        rest = [WORDS.index(w) for w in line.split()]
        at = 0
        for position, number in enumerate([0, *rest]):
            src.append(at)
            at = end if position == len(rest) else state
            state += at != end
            dst.append(at)
            word.append(number)
            am.append(acoustic if position == 0 else 0.0)
            graph.append(language if position == 0 else 0.0)
    return lattice.Lattice.build(src, dst, word, am, graph, [0] * state + [9] * (end - state + 1))
