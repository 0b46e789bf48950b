import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytorch_nnet.decoding.k2_decode import K2Decoder, lattice_of_frames
from pytorch_nnet.decoding.k2_graph import K2Graph
from pytorch_nnet.decoding.lattice import LatticeReader, best_paths, one_best
from pytorch_nnet.decoding.openfst import ARC, FstArrays
from pytorch_nnet.decoding.search import SearchOptions, decode_stream
from pytorch_nnet.io.archives import write_archive
from reference_search import k2_graph_rows, viterbi

ROOT = Path(__file__).resolve().parents[2]
PDFS = 4


def word_loop(seed: int) -> K2Graph:
    """Three words of two or three states over four pdfs, epsilons between them that say a word of their own, uneven
    costs."""
    rng = np.random.default_rng(seed)
    rows, state = [], 2
    for word, labels in enumerate([(1, 2), (3, 1, 4), (2, 4)], 1):
        at = 0
        for position, label in enumerate(labels):
            following = 1 if position == len(labels) - 1 else state
            rows.append((at, label, word if position == 0 else 0, rng.uniform(0, 2), following))
            if following != 1:
                rows.append((following, label, 0, rng.uniform(0, 1), following))
                at, state = state, state + 1
    rows += [(1, 0, 0, 0.9, 0), (1, 0, 9, 0.4 + seed % 2, 0)]  # nothing, or the filler word 9, between two words
    rows.sort()
    final = np.full(state, np.inf, np.float32)
    final[1] = 0.3
    arcs = np.array([row[1:] for row in rows], dtype=ARC)
    fst = FstArrays(0, np.array([row[0] for row in rows], np.int32), arcs, final)
    return K2Graph.from_hclg(fst, np.arange(-1, PDFS), PDFS)


WIDE = dict(beam=1000.0, lattice_beam=1000.0, max_active=10000, min_active=0)


@pytest.mark.parametrize("seed", range(4))
def test_best_path_and_every_sweep_equal_exhaustive_search(seed):
    graph = word_loop(seed)
    assert len(graph.seq_offsets) > 1, "no arc with several words: the graph tests nothing"
    decode = K2Decoder(graph, SearchOptions(acwt=0.1, **WIDE))
    matrix = np.random.default_rng(seed).normal(size=(9, PDFS), scale=8).astype(np.float32)
    lattice = decode(matrix, 1)
    assert lattice.num_frames == 9
    for lmwt in (1.0, 5.0, 10.0, 20.0):
        cost, said = viterbi(*k2_graph_rows(graph), matrix / lmwt)
        words, am, graph_score = one_best(lattice, lmwt)
        assert tuple(word for word, _ in words) == said and -am / lmwt - graph_score == pytest.approx(cost, abs=1e-4)
        assert [frame for _, frame in words] == sorted(frame for _, frame in words)
        assert best_paths(lattice, [lmwt], [0.0])[lmwt, 0.0] == list(said)
    costly = best_paths(lattice, [10.0], [0.0, 1000.0])
    assert len(costly[10.0, 1000.0]) <= len(costly[10.0, 0.0])


def test_an_utterance_too_short_for_any_word_gives_none():
    decode = K2Decoder(word_loop(0), SearchOptions(acwt=0.1, **WIDE))
    assert decode(np.zeros((1, PDFS), np.float32), 1) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_path_may_end_anywhere_where_none_ends_well(seed):
    """One frame: less than any word has. With every state final the best path is that of exhaustive search."""
    graph = word_loop(seed)
    anywhere = graph.ending_anywhere()
    anywhere.check()
    states = np.arange(graph.num_states - 1)
    assert set(states) == set(anywhere.arcs[anywhere.arcs[:, 2] == -1, 0]) and (np.diff(anywhere.arcs[:, 0]) >= 0).all()
    decode = K2Decoder(graph, SearchOptions(acwt=0.1, **WIDE))
    matrix = np.random.default_rng(seed).normal(size=(1, PDFS), scale=8).astype(np.float32)
    assert decode(matrix, 4) is None
    lattice = decode.anywhere(matrix)
    assert lattice.num_frames == 1
    cost, said = viterbi(*k2_graph_rows(anywhere), matrix / 10)
    words, am, graph_score = one_best(lattice, 10.0)
    assert tuple(word for word, _ in words) == said and -am / 10 - graph_score == pytest.approx(cost, abs=1e-4)


def test_two_minutes():
    decode = K2Decoder(word_loop(0), SearchOptions(acwt=0.1, beam=13.0, lattice_beam=8.0, max_active=7000, min_active=0))
    lattice = decode(np.random.default_rng(0).normal(size=(12000, PDFS), scale=8).astype(np.float32), 1)
    assert lattice.num_frames == 12000 and len(one_best(lattice, 10.0)[0]) > 1000


def test_scores_in_the_lattice_are_unscaled():
    graph = word_loop(1)
    matrix = np.random.default_rng(1).normal(size=(2, PDFS)).astype(np.float32)
    words, am, _ = one_best(K2Decoder(graph, SearchOptions(acwt=0.01, **WIDE))(matrix, 1), 100.0)
    assert any(am == pytest.approx(float(matrix[0, a] + matrix[1, b])) for a in range(PDFS) for b in range(PDFS))


def test_lattice_arcs_with_several_words_are_split_in_order():
    graph = K2Graph(
        np.array([[0, 1, 1, 0], [1, 2, -1, 0]], np.int32),
        np.array([-1, 0], np.int32),
        np.array([0, 3], np.int32),
        np.array([5, 6, 7], np.int32),
        1,
    )
    lattice = lattice_of_frames(
        graph, np.array([[-2.0]], np.float32), np.array([0, 1]), np.array([1, 2]), np.array([0, 1]), np.array([0, 1])
    )
    words, am, _ = one_best(lattice, 1.0)
    assert words == [(5, 0), (6, 0), (7, 0)] and am == -2


@pytest.fixture
def process(tmp_path):
    """Runs the decoder process on bytes: (CompletedProcess, folder)."""
    word_loop(0).save(tmp_path / "graph.npz")

    def run(stream: bytes, *folders):
        command = [
            sys.executable,
            "-m",
            "pytorch_nnet.decoding.k2_decode",
            "--acwt",
            "0.1",
            str(tmp_path),
            "1",
            *map(str, folders or [tmp_path]),
        ]
        return subprocess.run(command, input=stream, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})

    return run


def archive(*entries, **matrices) -> bytes:
    stream = io.BytesIO()
    for utt, matrix in [*entries, *matrices.items()]:
        write_archive(stream, utt, matrix)
    return stream.getvalue()


def test_one_process_decodes_several_systems(process, tmp_path):
    rng = np.random.default_rng(1)
    systems = [{utt: rng.normal(size=(size, PDFS)) for utt, size in (("a", 30), ("b", 25))} for _ in range(2)]
    apart, together = [], [tmp_path / "x", tmp_path / "y"]
    for number, system in enumerate(systems):
        apart.append(tmp_path / str(number))
        apart[-1].mkdir()
        assert process(archive(**system), apart[-1]).returncode == 0
    for folder in together:
        folder.mkdir()
    mixed = [(utt, system[utt]) for utt in ("a", "b") for system in systems]
    assert process(archive(*mixed), *together).returncode == 0
    lattices = [(folder / "lat.1.npz").read_bytes() for folder in apart]
    assert lattices == [(folder / "lat.1.npz").read_bytes() for folder in together] and lattices[0] != lattices[1]
    done = process(archive(*mixed[:-1]), *together)
    assert done.returncode == 1 and b"every utterance once for each system" in done.stderr


def test_process_decodes_counts_and_reports_what_failed(process, tmp_path):
    rng = np.random.default_rng(0)
    done = process(
        archive(good=rng.normal(size=(30, PDFS)), short=np.zeros((1, PDFS)), other=rng.normal(size=(20, PDFS)))
    )
    assert done.returncode == 0, done.stderr
    assert LatticeReader(tmp_path / "lat.1.npz").utts == ["good", "short", "other"]
    assert (tmp_path / "failed.1.txt").read_text() == ""
    partial = (tmp_path / "partial.1.txt").read_text()
    assert partial.startswith("short no path") and partial.count("\n") == 1
    assert b"decoded 3 utterances, 51 frames: 0 failed, 1 end in no final state, 1 with wider beams" in done.stderr and b"RTF" in done.stderr


def test_without_any_path_an_utterance_failed(tmp_path):
    rng = np.random.default_rng(0)
    matrices = dict(good=rng.normal(size=(30, PDFS)), long=rng.normal(size=(31, PDFS)))
    decode = K2Decoder(word_loop(0), SearchOptions(acwt=0.1, **WIDE))
    nothing = lambda matrix, factor: None if len(matrix) > 30 else decode(matrix.astype(np.float32), factor)  # noqa: E731
    decode_stream(io.BytesIO(archive(**matrices)), PDFS, nothing, 1, [str(tmp_path)], anywhere=lambda matrix: None)
    assert LatticeReader(tmp_path / "lat.1.npz").utts == ["good"]
    assert (tmp_path / "failed.1.txt").read_text().startswith("long no path") and (tmp_path / "partial.1.txt").read_text() == ""


def test_process_ends_on_a_bad_stream_with_a_clear_error(process, tmp_path):
    good = np.random.default_rng(0).normal(size=(30, PDFS))
    nan = good.copy()
    nan[7, 2] = np.nan
    infinite = good.copy()
    infinite[3] = -np.inf
    for stream, words in (
        (archive(good=good, bad=nan), "not finite|bad|frame 7"),
        (archive(bad=infinite), "not finite|bad|frame 3"),
        (archive(good=good, narrow=good[:, :3]), "different numbers of pdfs|narrow|4 (graph)|3 (scorer)"),
        (archive(good=good, none=good[:0]), "without frames|none"),
        (b"", "empty archive"),
        (archive(good=good, cut=good)[:-50], "stream ends or breaks"),
    ):
        done = process(stream)
        report = done.stderr.decode()
        assert done.returncode == 1 and "Traceback" not in report, report
        assert all(word in report for word in words.split("|")), report
        assert not (tmp_path / "lat.1.npz").exists(), "a half-written archive was published"
