"""A flipped bit or a cut, anywhere in a file with a checksum, is an error that names the file, or changes nothing that is read."""

import gzip
import json
import random

import numpy as np
import pytest
import torch

from pytorch_nnet.io.errors import RecipeError

FLIPS = 60


def frame_store(folder):
    from pytorch_nnet.frames.store import FrameStore, write_frame_store

    rows = np.random.default_rng(1).normal(size=(90, 31))
    write_frame_store(folder / "x", [("utt1", rows, np.arange(90) % 5)], num_classes=5, label_map="", cmvn={"norm_means": True})

    def read():
        store = FrameStore.open(folder / "x")
        return store.features.tobytes(), store.labels.tobytes(), store.utts, store.num_classes

    return sorted((folder / "x").iterdir()), read


def network(folder):
    from pytorch_nnet.io.options import record
    from pytorch_nnet.models.model_dir import load_network, save_model
    from pytorch_nnet.models.registry import build_network
    from pytorch_nnet.training.options import TrainOptions

    options = TrainOptions(arch="dnn", hidden=[4], splice=1).resolved()
    torch.manual_seed(1)
    save_model(folder, build_network(options, 3, 31), options=record(options), counts=np.array([3, 4, 5]), info={
        "num_classes": 3, "dim": 31, "cmvn": {"norm_means": True, "norm_vars": False}, "label_map": ""})
    return [folder / "model.safetensors"], lambda: load_network(folder).posteriors(np.ones((4, 31), np.float32)).tobytes()


def checkpoint(folder):
    from pytorch_nnet.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint

    values = torch.from_numpy(np.random.default_rng(1).normal(size=100))
    save_checkpoint(folder, {"weights": {"w": values}, "velocity": {"w": values + 1}}, torch.zeros(7, dtype=torch.uint8), {"epoch": 3})

    def read():
        groups, sampler, state = load_checkpoint(folder)
        return {name: group["w"].numpy().tobytes() for name, group in groups.items()}, sampler.numpy().tobytes(), state

    return [checkpoint_path(folder)], read


def lattices(folder):
    from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter

    with LatticeWriter(folder / "lat.1.npz") as writer:
        for utt in ("a", "b"):
            scores = np.random.default_rng(1).normal(size=(2, 30))
            writer.write(utt, Lattice.build(np.arange(30), np.arange(1, 31), np.arange(1, 31), *scores, np.arange(31)))
    return [folder / "lat.1.npz"], lambda: [(utt, lattice.arcs.tobytes()) for utt, lattice in LatticeReader(folder / "lat.1.npz")]


def graph(folder):
    from pytorch_nnet.decoding.k2_graph import K2Graph

    arcs = np.array([[0, 1, 1, 0], [1, 2, -1, 0]], np.int32)
    K2Graph(arcs, np.zeros(2, np.int32), np.zeros(1, np.int32), np.zeros(0, np.int32), 1).save(folder / "graph.npz")
    return [folder / "graph.npz"], lambda: K2Graph.load(folder / "graph.npz").arcs.tobytes()


def alignment(folder):
    from pytorch_nnet.io.archives import read_ali, write_ali

    write_ali(folder / "ali.1.gz", {f"utt{n}": np.arange(50) * n for n in range(5)})
    return [folder / "ali.1.gz"], lambda: {utt: path.tolist() for utt, path in read_ali(folder / "ali.1.gz").items()}


def cuts(folder):
    from pytorch_nnet.corpus.maintain import read_cut_lines

    with gzip.open(folder / "cuts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": f"utt{n}"}) + "\n" for n in range(100))
    return [folder / "cuts.jsonl.gz"], lambda: list(read_cut_lines(folder / "cuts.jsonl.gz"))


def arpa(folder):
    from pytorch_nnet.lang.arpa import read_arpa

    words = ["<s>", "</s>", *(f"w{n}" for n in range(60))]
    with gzip.open(folder / "x.arpa.gz", "wt") as file:
        lines = "".join(f"-{n + 1}.5\t{word}\n" for n, word in enumerate(words))
        file.write(f"\\data\\\nngram 1={len(words)}\n\n\\1-grams:\n{lines}\n\\end\\\n")

    def read():
        model = read_arpa(folder / "x.arpa.gz")
        return model.words, repr(model.orders)

    return [folder / "x.arpa.gz"], read


@pytest.mark.parametrize("kind", [frame_store, network, checkpoint, lattices, graph, alignment, cuts, arpa])
def test_damage_is_found_or_harmless(tmp_path, kind):
    paths, read = kind(tmp_path)
    expected, draw, found = read(), random.Random(1), 0
    for path in paths:
        whole = path.read_bytes()
        places = range(len(whole)) if len(whole) <= FLIPS else sorted(draw.sample(range(len(whole)), FLIPS))
        damaged = [whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1:] for place in places]
        damaged += [whole[:place] for place in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 9)]
        for content in damaged:
            path.write_bytes(content)
            try:
                assert read() == expected, "damage that passed in silence"
            except RecipeError as error:
                assert error.file and str(tmp_path) in str(error.file)
                found += 1
        path.write_bytes(whole)
    assert found > 20 and read() == expected


def test_graphs_of_utterances_cut_short_are_not_fewer_graphs(tmp_path):
    import kaldifst

    from pytorch_nnet.hmm.graphs import read_graphs, write_graphs

    def fst(size):
        made = kaldifst.StdVectorFst()
        for _ in range(size):
            made.add_state()
        made.start = 0
        return made

    path = tmp_path / "fsts.1.ark"
    write_graphs(path, [(f"utt{n}", fst(n + 1)) for n in range(5)])
    assert [(utt, graph.num_states) for utt, graph in read_graphs(path)] == [(f"utt{n}", n + 1) for n in range(5)]
    whole = path.read_bytes()
    for place in (1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place])
        with pytest.raises(RecipeError, match="cut short"):
            list(read_graphs(path))


def test_a_resumed_training_names_a_checkpoint_that_is_damaged_in_a_weight(tmp_path):
    (path,), read = checkpoint(tmp_path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # among the numbers, where safetensors itself sees nothing
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="checkpoint is damaged") as error:
        read()
    assert "train from the start" in error.value.next
