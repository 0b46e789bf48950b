"""A Kaldi experiment, packed by hand, enters the recipe; what does not belong together is refused with both sides named."""

import gzip
import shutil

import kaldiio
import numpy as np
import pytest

import kaldi_by_hand as hand
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.hmm.import_kaldi import import_system
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.io.archives import read_alignments, write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from toy_hmm import make_lang

PHONES = {"a": 3, "b": 4, "c": 5, "d": 6}
WORDS = {"one": "a b", "two": "c d", "three": "b c a", "four": "d a"}
UTTS = 40
DIM = 31


def spoken():
    """{utt: (words, [(phone, frames)])}: silence, words, silence."""
    rng = np.random.default_rng(0)
    table = {}
    for number in range(UTTS):
        words = [list(WORDS)[i] for i in rng.integers(0, len(WORDS), 3)]
        phones = [PHONES[phone] for word in words for phone in WORDS[word].split()]
        table[f"s{number % 4}-{number:02d}"] = words, [(phone, int(rng.integers(3, 9))) for phone in (1, *phones, 1)]
    return dict(sorted(table.items()))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """lang, data (31 channels, as a filterbank directory), the Kaldi experiment, and the true pdfs of every utterance."""
    root = tmp_path_factory.mktemp("world")
    make_lang(root)
    table, rng = spoken(), np.random.default_rng(1)
    paths = {utt: hand.path(phones) for utt, (_, phones) in table.items()}
    feats = {utt: rng.normal(size=(len(ids), DIM)).astype(np.float32) for utt, (ids, _) in paths.items()}
    data = DataDir(root / "data", {utt: utt[:2] for utt in table}, {utt: words for utt, (words, _) in table.items()})
    data.path.mkdir()
    write_ark_scp(data.path / "feats.ark", data.path / "feats.scp", feats.items())
    data.feats = dict(line.split() for line in (data.path / "feats.scp").read_text().splitlines())
    data.num_frames = {utt: len(rows) for utt, rows in feats.items()}
    data.write()
    compute_cmvn_stats(FeatureReader(data.path, None))
    hand.write_experiment(root / "kaldi", {utt: ids for utt, (ids, _) in paths.items()})
    return root, {utt: pdfs for utt, (_, pdfs) in paths.items()}


@pytest.fixture
def kaldi(world, tmp_path):
    """A copy of the Kaldi experiment to spoil."""
    return shutil.copytree(world[0] / "kaldi", tmp_path / "kaldi")


def take(world, kaldi, tmp_path, **more):
    return import_system(kaldi, world[0] / "data", world[0] / "lang", tmp_path / "out", **more)


def rewrite(kaldi, change, job=1):
    """Passes {utt: ids} of an archive through `change` and packs the result by hand."""
    path = kaldi / f"ali.{job}.gz"
    path.write_bytes(gzip.decompress(path.read_bytes()))
    table = {key: value.tolist() for key, value in kaldiio.load_ark(str(path))}
    path.write_bytes(gzip.compress(hand.ali(change(table))))


def test_a_kaldi_system_enters_at_the_frame_store(run, world, tmp_path):
    root, pdfs = world
    done = run("local/import_kaldi_system", root / "kaldi", root / "data", root / "lang", "exp/tri4_ali")
    assert done.returncode == 0 and "40 of 40 utterances" in done.stdout and "steps/make_frame_store" in done.stdout, done.stderr
    done = run("steps/make_frame_store", root / "data", "exp/tri4_ali", "exp/frames")
    assert done.returncode == 0, done.stderr

    from pytorch_nnet.frames.store import FrameStore

    store = FrameStore.open(tmp_path / "exp/frames")
    assert store.num_classes == sum(map(len, hand.pdfs().values()))
    assert {store.utts[i]: labels.tolist() for i, _, labels in store.utterances()} == pdfs
    for name in ("final.mdl", "tree"):
        assert (tmp_path / "exp/tri4_ali" / name).read_bytes() == (root / "kaldi" / name).read_bytes()


def test_counts_and_silence_are_reported(world, kaldi, tmp_path):
    root, _ = world
    result = take(world, kaldi, tmp_path)
    silence = sum(length for _, phones in spoken().values() for phone, length in phones if phone == 1)
    found = result.alignments
    assert (found.utts, found.missing, found.unknown) == (UTTS, [], []) and (tmp_path / "out/num_jobs").read_text() == "2\n"
    assert (found.silence_frames, found.frames) == (silence, sum(DataDir.load(root / "data").num_frames.values()))
    assert f"{100 * silence / found.frames:.1f} % of them in silence" in "\n".join(result.lines("data", "lang", "out"))


def test_text_alignments_and_no_frame_counts(world, tmp_path):
    """ali.JOB.gz in text, and a data directory with features alone: the same comes out."""
    root, _ = world
    binary = read_alignments(root / "kaldi")
    kaldi = hand.write_experiment(tmp_path / "text", {utt: ids.tolist() for utt, ids in binary.items()}, jobs=3, text=True)
    shutil.copytree(root / "data", tmp_path / "data")
    (tmp_path / "data/utt2num_frames").unlink()
    import_system(kaldi, tmp_path / "data", root / "lang", tmp_path / "out")
    found = read_alignments(tmp_path / "out")
    assert found.keys() == binary.keys() and all((found[utt] == binary[utt]).all() for utt in found)


def test_other_sets_of_utterances_are_counted(world, kaldi, tmp_path):
    gone = sorted(read_alignments(kaldi))[0]
    rewrite(kaldi, lambda table: {**{utt: ids for utt, ids in table.items() if utt != gone}, "zz-1": [1], "zz-2": [1, 2]})
    result = take(world, kaldi, tmp_path).alignments
    assert result.missing == [gone] and result.unknown == ["zz-1", "zz-2"] and result.utts == UTTS - 1
    assert (tmp_path / "out/failed").read_text() == f"{gone} no alignment in {kaldi}\n"
    assert [line.split()[0] for line in (tmp_path / "out/unknown").read_text().splitlines()] == ["zz-1", "zz-2"]
    assert len(read_alignments(tmp_path / "out")) == UTTS - 1


def test_alignments_of_unknown_utterances_alone_are_refused(world, kaldi, tmp_path):
    rewrite(kaldi, lambda table: {f"other-{utt}": ids for utt, ids in table.items()})
    with pytest.raises(RecipeError, match="too many utterances without") as error:
        take(world, kaldi, tmp_path)
    report = error.value.report()
    assert "s0-00" in report and "20 alignments of unknown utterances, such as other-s0-00" in report and "utterance ids" in report
    assert not (tmp_path / "out/num_jobs").exists() and not (tmp_path / "out/final.mdl").exists()


@pytest.mark.parametrize("gaps, cause, listed", [
    ([2], "snip_edges=false there and true here", "(40 by +2)"), ([-2], "snip_edges=true there and false in", "(40 by -2)"),
    ([1], "take the segments", "(40 by +1)"), ([2, -1], "take the segments", "(20 by +2, 20 by -1)")])
def test_other_frame_counts_are_refused(world, kaldi, tmp_path, gaps, cause, listed):
    shutil.copytree(world[0] / "data", tmp_path / "data")
    data = DataDir.load(tmp_path / "data")
    there = dict(data.num_frames)
    data.num_frames = {utt: count - gaps[i % len(gaps)] for i, (utt, count) in enumerate(there.items())}
    data.write()
    with pytest.raises(RecipeError, match="differ in length") as error:
        import_system(kaldi, tmp_path / "data", world[0] / "lang", tmp_path / "out")
    report = error.value.report()
    assert cause in report and f"{there['s0-00'] - gaps[0]} frames as in" in report and f"{there['s0-00']}; 40 utterances" in report
    assert listed in report and not (tmp_path / "out/num_jobs").exists()


def test_an_alignment_with_too_many_frames_is_refused(world, kaldi, tmp_path):
    """Silence ends every utterance; its last state is left first and then stays, so it can be made longer."""
    rewrite(kaldi, lambda table: {**table, "s0-00": table["s0-00"] + table["s0-00"][-1:] * 7})
    with pytest.raises(RecipeError, match="differ in length") as error:
        take(world, kaldi, tmp_path)
    assert "1 utterances differ (1 by +7)" in error.value.report() and error.value.id == "s0-00"


def test_without_alignments_the_model_alone_is_taken_over(world, kaldi, tmp_path):
    for job in (1, 2):
        (kaldi / f"ali.{job}.gz").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/num_jobs").write_text("7\n")
    result = take(world, kaldi, tmp_path)
    text = "\n".join(result.lines("data/train", "data/lang", "exp/tri4"))
    assert "steps/align_si data/train data/lang exp/tri4 exp/tri4_ali" in text and "stage 4" in text
    model = AcousticModel.load(tmp_path / "out")
    assert model.gmm.dim == 39 and model.features.deltas and not (tmp_path / "out/num_jobs").exists()
    assert model.transitions.num_pdfs == model.num_pdfs  # kaldi_hmm_gmm builds the same transition-states from the tree
    assert np.isfinite(model.loglikes(np.zeros((2, 39), np.float32))).all()


def adapted(kaldi, dim=39, wide=91):
    (kaldi / "final.mat").write_bytes(hand.HEADER + hand.floats(np.ones((dim, wide), np.float32)))
    (kaldi / "full.mat").write_bytes(hand.HEADER + hand.floats(np.ones((wide, wide), np.float32)))
    (kaldi / "splice_opts").write_text("--left-context=3 --right-context=3\n")
    shutil.copyfile(kaldi / "final.mdl", kaldi / "final.alimdl")
    for job in (1, 2):
        content = b"".join(f"s{i} ".encode() + hand.HEADER + hand.floats(np.eye(39, 40, dtype=np.float32)) for i in range(4))
        (kaldi / f"trans.{job}").write_bytes(content)


def test_transforms_come_along(world, kaldi, tmp_path):
    adapted(kaldi)
    result = take(world, kaldi, tmp_path)
    for name in ("final.mat", "full.mat", "splice_opts", "cmvn_opts", "final.alimdl", "trans.1", "trans.2"):
        assert (tmp_path / "out" / name).read_bytes() == (kaldi / name).read_bytes(), name
    features = AcousticModel.load(tmp_path / "out").features
    assert (features.left, features.right, features.deltas, features.matrix.shape) == (3, 3, False, (39, 91))
    result.alignments = None
    assert "steps/align_fmllr" in "\n".join(result.lines("data", "lang", "out"))
    for name in ("final.mat", "full.mat", "splice_opts", "final.alimdl", "trans.1", "trans.2"):
        (kaldi / name).unlink()
    take(world, kaldi, tmp_path)
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(("trans", "final.mat", "final.ali"))]


@pytest.mark.parametrize("file, content, says", [
    ("final.mdl", hand.HEADER + hand.transition_model() + b"<Nnet3> ...", "a network (<Nnet3>)"),
    ("delta_opts", b"--delta-order=3\n", "other deltas (--delta-order=3)"), ("cmvn_opts", b"--skip-dims=13\n", "--skip-dims=13")])
def test_what_cannot_be_computed_here_is_left_out_with_a_warning(world, kaldi, tmp_path, capsys, file, content, says):
    (kaldi / file).write_bytes(content)
    take(world, kaldi, tmp_path)
    assert says in capsys.readouterr().err
    model = AcousticModel.load(tmp_path / "out")
    assert model.gmm is None and len(read_alignments(tmp_path / "out")) == UTTS
    for job in (1, 2):
        (kaldi / f"ali.{job}.gz").unlink()
    with pytest.raises(RecipeError, match="neither alignments nor Gaussians"):
        take(world, kaldi, tmp_path)


SHORT = {**hand.STATES, 1: hand.BAKIS, 2: hand.BAKIS}
SKIPPING = {**hand.STATES, 4: [[0, 1, 2], [1, 2], [2, 3]]}
FEWER = {phone: hand.STATES[phone] for phone in range(1, 6)}
MORE = {**hand.STATES, 7: hand.BAKIS}


def model_of(states):
    return hand.HEADER + hand.transition_model(states) + hand.gaussians(states=states)


@pytest.mark.parametrize("file, content, sides", [
    ("final.mdl", model_of(SHORT), ("another topology", "SIL", "5 emitting states", "3 emitting states", "prepare_lang")),
    ("final.mdl", model_of(SKIPPING), ("another topology", "phone 4 (b)", "0 to 0 1,", "0 to 0 1 2,")),
    ("final.mdl", model_of(FEWER), ("different phones", "phone 6 (d)", "the 6 phones", "5 phones: 1 missing")),
    ("final.mdl", model_of(MORE), ("different phones", "phone 7", "the 6 phones", "7 phones: 0 missing, 1 unknown")),
    ("final.mdl", model_of(hand.STATES)[:5000], ("not the Kaldi file", "final.mdl", "more bytes", "the end of the file")),
    ("final.mdl", model_of(hand.STATES)[:300], ("not the Kaldi file", "final.mdl")),
    ("final.mdl", model_of(hand.STATES) + b"x", ("not the Kaldi file", "final.mdl", "the end of the file")),
    ("final.mdl", b"", ("empty input", "final.mdl")),
    ("tree", hand.tree(MORE), ("tree for another phone set", "phone 7", "the 6 phones", "1 phones more: [7]")),
    ("tree", hand.tree(FEWER), ("tree for another phone set", "phone 6 (d)", "none in the tree")),
    ("tree", hand.tree(split_on=(8, 9)), ("tree for another phone set", "phone 8", "[8, 9]")),
    ("tree", hand.tree({**hand.STATES, 6: hand.BAKIS[:2]}), ("another phone set", "phone 6 (d), state 2", "none in the tree")),
    ("tree", hand.tree(SHORT), ("SIL", "none in the tree")),
    ("tree", hand.tree().replace(hand.i32(19), hand.i32(3)), ("model and tree disagree", "[19]", "[3]")),
    ("tree", hand.tree()[:-30], ("not the Kaldi file", "tree")),
    ("phones.txt", b"<eps> 0\nSIL 1\nSPN 2\na 3\nb 5\nc 4\nd 6\n", ("different phones", "number 4 as in", "number 5")),
    ("phones.txt", b"<eps> 0\nSIL 1\nSPN 2\na 3\nb 4\nc 5\nd 6\ne 7\n", ("different phones", "number none", "number 7")),
    ("num_jobs", b"3\n", ("archives are missing", "ali.3.gz", "1 not there")), ("num_jobs", b"many\n", ("number of jobs", "many")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": [1, 2, 3]}))[:-9], ("cut short", "ali.1.gz", "whole gzip")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": [1, 2, 3]})[:-4]), ("cut short", "s0-00")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": [1, 2, 900]})), ("alignment and model disagree", "s0-00", "1 to 62", "1 to 900")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": [0, 1]})), ("alignment and model disagree", "s0-00", "0 to 1")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": []})), ("alignment and model disagree", "no frames")),
    ("ali.1.gz", gzip.compress(hand.ali({"s0-00": [1, 1, 1]})), ("not a sequence of whole phones", "s0-00", "own final.mdl")),
    ("ali.2.gz", gzip.compress(hand.ali({"s0-00": hand.path([(1, 5)])[0]})), ("two archives", "s0-00")),
    ("frame_subsampling_factor", b"3\n", ("chain", "found:    3")),
    ("final.mat", hand.HEADER + hand.floats(np.ones((40, 117), np.float32)), ("final.mat and final.mdl", "39 rows", "(40, 117)")),
    ("final.mat", hand.HEADER + hand.floats(np.ones((40, 117)))[:-1], ("not the Kaldi file", "final.mat")),
    ("trans.1", b"s0 " + hand.HEADER + hand.floats(np.eye(13, 14)), ("transform and Gaussians", "(39, 40)", "(13, 14)")),
    ("final.alimdl", model_of(FEWER), ("final.alimdl and final.mdl",)),
], ids=lambda value: value if isinstance(value, str) else None)
def test_what_does_not_belong_together_is_refused(world, kaldi, tmp_path, file, content, sides):
    (kaldi / file).write_bytes(content)
    with pytest.raises(RecipeError) as error:
        take(world, kaldi, tmp_path)
    for side in sides:
        assert side in error.value.report(), error.value.report()
    assert not (tmp_path / "out/num_jobs").exists()


def test_missing_files_and_a_foreign_output_are_refused(world, kaldi, tmp_path):
    with pytest.raises(RecipeError, match="overwrite"):
        import_system(kaldi, world[0] / "data", world[0] / "lang", kaldi)
    with pytest.raises(RecipeError, match="no such Kaldi directory"):
        import_system(tmp_path / "nowhere", world[0] / "data", world[0] / "lang", tmp_path / "out")
    (kaldi / "final.mdl").unlink()
    with pytest.raises(RecipeError, match="missing input") as error:
        take(world, kaldi, tmp_path)
    assert "final.mdl" in error.value.report() and not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def graphs(world, tmp_path_factory):
    """A graph of steps/mkgraph for the imported model, and the same one as Kaldi leaves it: HCLG.fst of type const."""
    import kaldifst

    from pytorch_nnet.decoding.graph import GraphOptions, make_graph
    from pytorch_nnet.lang.lang_dir import LangDir

    root, folder = world[0], tmp_path_factory.mktemp("graphs")
    import_system(root / "kaldi", root / "data", root / "lang", folder / "exp")
    shutil.copytree(root / "lang", folder / "lang")
    words = LangDir(folder / "lang").words
    lines = [f"0 0 {words[word]} {words[word]} 1.5" for word in WORDS]
    kaldifst.compile("\n".join([*lines, "0 0.5"]) + "\n").write(str(folder / "lang/G.fst"))
    make_graph(folder / "lang", folder / "exp", folder / "ours", GraphOptions())
    kaldi = folder / "kaldi"
    kaldi.mkdir()
    kaldifst.StdConstFst(kaldifst.StdVectorFst.read(str(folder / "ours/HCLG.fst"))).write(str(kaldi / "HCLG.fst"))
    for name in ("words.txt", "phones.txt", "num_pdfs"):
        shutil.copyfile(folder / "ours" / name, kaldi / name)
    return folder


def test_a_kaldi_graph_becomes_what_mkgraph_makes(run, world, graphs, tmp_path):
    from pytorch_nnet.decoding.kaldi_decode import KaldiDecoder
    from pytorch_nnet.decoding.lattice import one_best
    from pytorch_nnet.decoding.search import SearchOptions

    root, pdfs = world
    done = run("local/import_kaldi_system", "--graph", graphs / "kaldi", root / "kaldi", root / "data", root / "lang", "exp/ali")
    assert done.returncode == 0 and "steps/decode exp/ali/graph" in done.stdout, done.stderr
    graph = tmp_path / "exp/ali/graph"
    assert (graph / "HCLG.fst").read_bytes() == (graphs / "kaldi/HCLG.fst").read_bytes()
    for name in ("graph.npz", "pdf_of.npy", "words.txt", "phones.txt", "num_pdfs"):
        assert (graph / name).read_bytes() == (graphs / "ours" / name).read_bytes(), name
    decoder = KaldiDecoder(graph, SearchOptions(acwt=1.0))
    names = {int(number): word for word, number in map(str.split, (graph / "words.txt").read_text().splitlines())}
    for utt, (said, _) in list(spoken().items())[:5]:
        matrix = np.full((len(pdfs[utt]), decoder.num_pdfs), -5.0, np.float32)
        matrix[np.arange(len(matrix)), pdfs[utt]] = 0.0
        words, _, _ = one_best(decoder(matrix, 1), 1.0)
        assert [names[word] for word, _ in words] == said


@pytest.mark.parametrize("file, content, sides", [
    ("num_pdfs", b"9000\n", ("graph and model disagree", "23 pdfs", "9000")),
    ("HCLG.fst", b"\xd6\xfd\xb2~short", ("not a readable FST",)), ("phones.txt", b"<eps> 0\nSIL 1\n", ("different phones",)),
    ("words.txt", b"<eps> 0\none 1\n", ("graph and its words", "up to 1"))])
def test_a_foreign_graph_is_refused(world, graphs, tmp_path, file, content, sides):
    from pytorch_nnet.decoding.graph import import_graph

    shutil.copytree(graphs / "kaldi", tmp_path / "kaldi")
    (tmp_path / "kaldi" / file).write_bytes(content)
    with pytest.raises(RecipeError) as error:
        import_graph(tmp_path / "kaldi", world[0] / "lang", graphs / "exp", tmp_path / "graph")
    assert all(side in error.value.report() for side in sides), error.value.report()
    assert not (tmp_path / "graph").exists()


def test_a_graph_of_a_larger_model_is_refused(world, graphs, tmp_path):
    from pytorch_nnet.decoding.graph import import_graph
    from pytorch_nnet.decoding.openfst import read_fst, write_fst

    shutil.copytree(graphs / "kaldi", tmp_path / "kaldi")
    arrays = read_fst(tmp_path / "kaldi/HCLG.fst")
    arrays.arcs["ilabel"][5] = 5000
    write_fst(tmp_path / "kaldi/HCLG.fst", arrays)
    with pytest.raises(RecipeError, match="graph and model disagree") as error:
        import_graph(tmp_path / "kaldi", world[0] / "lang", graphs / "exp", tmp_path / "graph")
    assert error.value.found == 5000 and error.value.file == tmp_path / "kaldi/HCLG.fst"
