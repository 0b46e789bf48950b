"""mkgraph and decode as a user calls them, on a toy language with a triphone GMM and utterances drawn from it."""

import os
import shutil

import numpy as np
import pytest

import toy_language as toy
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.decoding.decode import DecodeOptions, ScaledSearchOptions, account, decode_data, k2_python, search_of
from pytorch_nnet.decoding.forward import open_scorer, scaled_loglikes
from pytorch_nnet.decoding.kaldi_decode import KaldiDecoder
from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter, one_best
from pytorch_nnet.decoding.search import SearchOptions, check_loglikes
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.io.errors import RecipeError

pytest.importorskip("kaldi_hmm_gmm")
DIM, UTTS = 6, 12


def triphone_model():
    """Three states a phone, each split by whether the left neighbour is W or X, the last also by whether the right one
    is silence."""
    from pytorch_nnet.hmm.features import FeatureOptions
    from pytorch_nnet.hmm.gmm import gaussians_from_moments
    from pytorch_nnet.hmm.model import AcousticModel
    from pytorch_nnet.io.kaldi_topology import HmmState, Topology
    from pytorch_nnet.io.kaldi_tree import PDF_CLASS, Leaf, Split, Table, Tree

    count = len(toy.PHONES)
    pdfs = iter(range(1000))
    branches = [None]
    for phone in range(1, count + 1):
        states = [
            Leaf(next(pdfs)) if phone == 1 else Split(0, (2, 3), Leaf(next(pdfs)), Leaf(next(pdfs))) for _ in range(2)
        ]
        right = Split(2, (0, 1), Leaf(next(pdfs)), Leaf(next(pdfs)))
        branches.append(Table(PDF_CLASS, [*states, right]))
    tree = Tree(3, 1, Table(1, branches))
    states = [HmmState(i, [(i, p), (i + 1, 1 - p)]) for i, p in enumerate((0.75, 0.6, 0.5))] + [HmmState(-1, [])]
    phones = np.arange(1, count + 1, dtype=np.int32)
    model = AcousticModel.create(
        Topology(phones, np.array([-1] + [0] * count, np.int32), [states]),
        tree,
        FeatureOptions(norm_means=False, deltas=False),
    )
    means = np.random.default_rng(5).normal(size=(tree.num_pdfs, DIM), scale=3)
    return model.replaced(
        gmm=gaussians_from_moments(np.ones(len(means)), means, np.ones(means.shape), np.arange(len(means) + 1))
    ), means


def speak(model, means, rng):
    """(words, features) of a random sentence: silence, words, silence."""
    words = [toy.LEXICON[i][0] for i in rng.integers(0, len(toy.LEXICON), rng.integers(1, 4))]
    words = ["bat" if word == "bad" else word for word in words]  # homophones: the grammar would have to choose
    phones = [0, 1, *(1 + toy.PHONES.index(p) for word in words for p in dict(toy.LEXICON)[word].split()), 1, 0]
    pdfs = [model.tree_map.pdf(phones[i - 1 : i + 2], state) for i in range(1, len(phones) - 1) for state in range(3)]
    track = np.repeat(pdfs, rng.integers(1, 5, len(pdfs)))
    return words, (means[track] + rng.normal(size=(len(track), DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A folder with lang, exp/tri (final.mdl, tree) and data (12 utterances of 3 speakers)."""
    root = tmp_path_factory.mktemp("recipe")
    toy.write_lang(root / "lang")
    model, means = triphone_model()
    model.save(root / "exp/tri")
    rng = np.random.default_rng(0)
    spoken = {f"s{i % 3}_{i:02d}": speak(model, means, rng) for i in range(UTTS)}
    spoken = dict(sorted(spoken.items()))
    write_ark_scp(
        root / "data/feats.ark", root / "data/feats.scp", ((utt, feats) for utt, (_, feats) in spoken.items())
    )
    DataDir(
        root / "data", {utt: utt.split("_")[0] for utt in spoken}, {utt: words for utt, (words, _) in spoken.items()}
    ).write()
    return root


@pytest.fixture(scope="module")
def graph(recipe):
    from pytorch_nnet.decoding.graph import GraphOptions, make_graph

    make_graph(recipe / "lang", recipe / "exp/tri", recipe / "exp/tri/graph", GraphOptions())
    return recipe / "exp/tri/graph"


@pytest.fixture
def has_k2():
    try:
        k2_python()
    except RecipeError:
        pytest.skip("no Python with k2 (K2_PYTHON)")


def hypotheses(folder, acwt):
    """{utt: (words, cost)} of a decode directory."""
    words = {
        int(i): w for w, i in (line.split() for line in (folder.parent / "graph/words.txt").read_text().splitlines())
    }
    found = {}
    for job in range(1, int((folder / "num_jobs").read_text()) + 1):
        for utt, lattice in LatticeReader(folder / f"lat.{job}.npz"):
            said, am, graph = one_best(lattice, 1 / acwt)
            found[utt] = [words[word] for word, _ in said], -graph - am * acwt
    return found


def test_mkgraph_step_writes_the_same_graph_again(run, recipe, graph, tmp_path):
    done = run("steps/mkgraph", "lang", "exp/tri", tmp_path / "graph", cwd=recipe)
    assert done.returncode == 0 and "HCLG: " in done.stderr, done.stderr
    for name in ("HCLG.fst", "graph.npz", "num_pdfs", "words.txt", "phones.txt", "sizes.tsv", "pdf_of.npy"):
        assert (tmp_path / "graph" / name).read_bytes() == (graph / name).read_bytes(), name
    assert "k2 form" in (graph / "sizes.tsv").read_text()


def test_mkgraph_names_a_missing_grammar(run, recipe, tmp_path):
    shutil.copytree(recipe / "lang", tmp_path / "lang")
    (tmp_path / "lang/G.fst").unlink()
    done = run("steps/mkgraph", "lang", recipe / "exp/tri", "graph")
    assert done.returncode == 1 and "G.fst" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "graph").exists()


@pytest.mark.slow
def test_kaldi_decoder_finds_what_was_said_whatever_nj(run, recipe, graph):
    data = DataDir.load(recipe / "data")
    for nj in (1, 3):
        done = run(
            "steps/decode",
            "--nj",
            nj,
            "--decoder",
            "kaldi",
            "--acwt",
            0.3,
            "--skip-scoring",
            "true",
            "exp/tri/graph",
            "data",
            f"exp/tri/decode_kaldi{nj}",
            cwd=recipe,
            K2_PYTHON="/nonexistent",
        )
        assert done.returncode == 0, done.stderr
    one, three = (hypotheses(recipe / f"exp/tri/decode_kaldi{nj}", 0.3) for nj in (1, 3))
    assert one == three
    said = {utt: ["bat" if word == "bad" else word for word in words] for utt, (words, _) in one.items()}
    assert said == {utt: data.text[utt] for utt in data.utts}
    assert search_of(recipe / "exp/tri/decode_kaldi3") == ScaledSearchOptions(acwt=0.3)


@pytest.mark.slow
def test_k2_and_kaldi_decoders_agree_on_words_and_costs(run, recipe, graph, has_k2):
    found = {}
    for decoder in ("k2", "kaldi"):
        done = run(
            "steps/decode",
            "--nj",
            2,
            "--decoder",
            decoder,
            "--acwt",
            0.05,
            "--beam",
            30,
            "--skip-scoring",
            "true",
            "exp/tri/graph",
            "data",
            f"exp/tri/decode_{decoder}",
            cwd=recipe,
        )
        assert done.returncode == 0, done.stderr
        found[decoder] = hypotheses(recipe / f"exp/tri/decode_{decoder}", 0.05)
    assert found["k2"].keys() == found["kaldi"].keys() and len(found["k2"]) == UTTS
    for utt, (words, cost) in found["k2"].items():
        assert words == found["kaldi"][utt][0] and abs(cost - found["kaldi"][utt][1]) < 0.01
    log = (recipe / "exp/tri/decode_k2/log/decode.1.log").read_text()
    assert "RTF" in log and (recipe / "exp/tri/decode_k2/failed.txt").read_text() == ""


def test_decode_without_a_k2_python_names_the_ways_out(run, recipe, graph):
    done = run(
        "steps/decode",
        "--nj",
        1,
        "exp/tri/graph",
        "data",
        "exp/tri/decode_x",
        cwd=recipe,
        K2_PYTHON="/nonexistent/python",
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert all(way in done.stderr for way in ("Python 3.10", "K2_PYTHON", "--decoder kaldi"))


@pytest.mark.slow
def test_a_python_without_k2_is_named_in_the_log(run, recipe, graph):
    import sys

    done = run(
        "steps/decode", "--nj", 1, "exp/tri/graph", "data", "exp/tri/decode_y", cwd=recipe, K2_PYTHON=sys.executable
    )
    assert done.returncode == 1 and not (recipe / "exp/tri/decode_y/num_jobs").exists()
    assert "this Python has no k2" in (recipe / "exp/tri/decode_y/log/decode.1.log").read_text()


@pytest.mark.slow
def test_utterances_without_a_final_state_stop_the_step(run, recipe, graph, tmp_path):
    data = DataDir.load(recipe / "data")
    short = {utt: np.zeros((2, DIM), np.float32) for utt in data.utts}
    write_ark_scp(tmp_path / "data/feats.ark", tmp_path / "data/feats.scp", short.items())
    DataDir(tmp_path / "data", data.utt2spk, data.text).write()
    done = run("steps/decode", "--nj", 1, "--decoder", "kaldi", "--model", recipe / "exp/tri", graph, "data", "decode")
    assert done.returncode == 1 and "too many utterances without a path to a final state" in done.stderr and "2 frames" in done.stderr
    assert len((tmp_path / "decode/partial.txt").read_text().splitlines()) == UTTS and not (tmp_path / "decode/failed.txt").read_text()
    assert not (tmp_path / "decode/num_jobs").exists()


def test_an_utterance_that_left_no_trace_is_an_error(recipe, tmp_path):
    parts = DataDir.load(recipe / "data").split(2)
    lattice = Lattice.build([0], [1], [1], [0.0], [0.0], [0, 5])
    for job, part in enumerate(parts, 1):
        with LatticeWriter(tmp_path / f"lat.{job}.npz") as writer:
            for utt in part.utts[1:] if job == 2 else part.utts:
                writer.write(utt, lattice)
        for name in ("failed", "partial"):
            (tmp_path / f"{name}.{job}.txt").write_text("")
    with pytest.raises(RecipeError, match="neither decoded nor reported") as error:
        account(tmp_path, parts)
    assert error.value.id == parts[1].utts[0] and not (tmp_path / "failed.txt").exists()


def test_forward_stops_quietly_when_its_reader_dies(run, recipe, tmp_path):
    (tmp_path / "pipe").write_text(
        "#!/usr/bin/env bash\nset -o pipefail\n"
        f"python -m pytorch_nnet.decoding.forward {recipe}/exp/tri {recipe}/data ark:- | head -c 10 > /dev/null\n"
    )
    os.chmod(tmp_path / "pipe", 0o755)
    done = run(str(tmp_path / "pipe"))
    assert done.returncode == 1 and "ended early" in done.stderr and "Traceback" not in done.stderr


def test_a_scorer_with_other_pdfs_than_the_graph_is_refused(graph):
    decoder = KaldiDecoder(graph, SearchOptions())
    with pytest.raises(RecipeError, match="different numbers of pdfs"):
        check_loglikes("u", np.zeros((3, decoder.num_pdfs - 1), np.float32), decoder.num_pdfs)


def test_a_directory_without_a_model_is_refused(recipe):
    with pytest.raises(RecipeError, match="no acoustic model here"):
        open_scorer([recipe / "lang"], DataDir.load(recipe / "data"))


def test_systems_that_cannot_be_decoded_together(recipe, tmp_path):
    with pytest.raises(RecipeError, match="a GMM is scored alone"):
        open_scorer([recipe / "exp/tri", recipe / "exp/tri"], DataDir.load(recipe / "data"))
    with pytest.raises(RecipeError, match="--model names one system"):
        decode_data(recipe / "graph", recipe / "data", [tmp_path / "a", tmp_path / "b"], DecodeOptions(model="exp/tri"))


def test_networks_are_scaled_by_their_priors():
    posteriors, priors = np.array([[0.5, 0.5, 0.0]], np.float32), np.array([0.25, 0.5, 0.25])
    found = scaled_loglikes(posteriors, 1.0 * np.log(priors))
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert found[0, :2] == pytest.approx([np.log(2), 0.0], abs=1e-6) and found[0, 2] < -40
    assert np.isnan(scaled_loglikes(np.array([[np.nan, 1, 0]], np.float32), np.log(priors))[0, 0])


def test_bad_search_options_are_refused():
    for values in (dict(acwt=0.0), dict(beam=-1.0), dict(max_active=100, min_active=200)):
        with pytest.raises(RecipeError, match="bad value"):
            SearchOptions(**values).check()


@pytest.mark.slow
def test_a_killed_decoding_keeps_the_jobs_that_were_done(recipe, graph, monkeypatch):
    from pytorch_nnet.decoding import decode

    run_jobs, whole, killed = decode.run_jobs, recipe / "exp/tri/decode_whole", recipe / "exp/tri/decode_killed"
    options = DecodeOptions(nj=3, decoder="kaldi", acwt=0.3)
    decode.decode_data(graph, recipe / "data", [whole], options)

    def two_of_three(cmd, jobs, log, command):
        run_jobs(cmd, 2, log, command)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decode, "run_jobs", two_of_three)
        with pytest.raises(KeyboardInterrupt):
            decode.decode_data(graph, recipe / "data", [killed], options)
    kept = [(killed / f"lat.{job}.npz").stat().st_ino for job in (1, 2)]
    decode.decode_data(graph, recipe / "data", [killed], options)
    assert [(killed / f"lat.{job}.npz").stat().st_ino for job in (1, 2)] == kept
    assert "\ndone before" in (killed / "log/decode.1.log").read_text()
    assert "\ndone before" not in (killed / "log/decode.3.log").read_text()
    names = [sorted(path.name for path in folder.iterdir()) for folder in (whole, killed)]
    assert names[0] == names[1]
    for name in names[0]:
        assert name == "log" or (whole / name).read_bytes() == (killed / name).read_bytes(), name
    # What was done with other options is done again.
    with monkeypatch.context() as patch:
        patch.setattr(decode, "run_jobs", two_of_three)
        with pytest.raises(KeyboardInterrupt):
            decode.decode_data(graph, recipe / "data", [killed], options)
    decode.decode_data(graph, recipe / "data", [killed], DecodeOptions(nj=3, decoder="kaldi", acwt=0.3, beam=9.0))
    assert "\ndone before" not in (killed / "log/decode.1.log").read_text()
