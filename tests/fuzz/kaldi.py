"""Kaldi's binary and text files."""

import contextlib
import gzip

import numpy as np

import kaldi_by_hand as hand
from fuzz.corpus import temporary
from fuzz.harness import Files, target
from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.decoding.openfst import FstArrays, const_header, read_fst, write_fst
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.hmm.ctm import write_ctm
from pytorch_nnet.hmm.features import FeatureOptions
from pytorch_nnet.hmm.model import AcousticModel
from pytorch_nnet.hmm.textgrid import write_textgrids
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.io.archives import read_ali, read_alignments, read_archive, read_matrix, write_ali
from pytorch_nnet.io.errors import RecipeError, require_file
from pytorch_nnet.io.ids import fault
from pytorch_nnet.io.kaldi_ark import read_matrices, write_matrices
from pytorch_nnet.io.kaldi_binary import read_matrix_file, write_matrix_file
from pytorch_nnet.io.kaldi_model import read_model, write_model
from pytorch_nnet.io.kaldi_posterior import posterior_to_bytes, read_posteriors
from pytorch_nnet.io.kaldi_tree import Tree

VECTORS = {"utt1": [1, 2, 2, 2, 3], "utt2": [], "utt3": [7] * 40}
MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
POST = "utt1 [ 3 0.7 12 0.3 ] [ 5 1 ] \nutt2 [ ] [ 7 0.25 ] \n"
MODEL_TEXT = """<TransitionModel>
<Topology> <TopologyEntry> <ForPhones> 1 2 </ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>
<State> 1 </State> </TopologyEntry> </Topology>
<Triples> 2
1 0 0
2 0 1
</Triples>
<LogProbs>
 [ 0 -0.2876821 -1.386294 -0.2876821 -1.386294 ]
</LogProbs>
</TransitionModel>
<DIMENSION> 2 <NUMPDFS> 2 <DiagGMM>
<GCONSTS>  [ -1.5 ]
<WEIGHTS>  [ 1 ]
<MEANS_INVVARS>  [
  0.5 1 ]
<INV_VARS>  [
  1 2 ]
</DiagGMM>
<DiagGMM>
<GCONSTS>  [ -2 -3 ]
<WEIGHTS>  [ 0.25 0.75 ]
<MEANS_INVVARS>  [
  0 1
  2 3 ]
<INV_VARS>  [
  1 1
  2 2 ]
</DiagGMM>
"""
TREE_TEXT = (
    "ContextDependency 3 1 ToPdf TE 1 2 ( NULL SE -1 [ 0 1 ]\n{ CE 4 \nSE 2 [ 0 3 ]\n{ CE 5 \nCE 6 \n} \n} \n) \nEndContextDependency "
)
TOPO_TEXT = (
    "<Topology>\n<TopologyEntry>\n<ForPhones>\n1 2\n</ForPhones>\n<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>\n"
    "<State> 1 <ForwardPdfClass> 1 <SelfLoopPdfClass> 2 <Transition> 1 0.5 <Transition> 2 0.5 </State>\n<State> 2 </State>\n</TopologyEntry>\n</Topology>\n"
)


def each(*names):
    """For every file of a case: a check that may refuse one and must still look at the others."""

    def wrap(check):
        def checked():
            refused = None
            for name in names:
                try:
                    check(name)
                except RecipeError as error:
                    refused = error
            if refused:
                raise refused

        checked.__name__ = check.__name__
        return checked

    return wrap


def same(one, two) -> None:
    assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key], equal_nan=one[key].dtype.kind == "f") for key in one)


@target(
    lambda: {"binary": hand.ali(VECTORS), "text": b"utt1 1 2 2\nutt2 \nutt3 4\n", "ali.1.gz": gzip.compress(hand.ali(VECTORS), mtime=0)}
)
@each("binary", "text", "ali.1.gz")
def integer_vectors(name):
    found = read_ali(name)
    assert all(vector.dtype == np.int32 for vector in found.values()) and all(fault(key) is None for key in found)
    write_ali("again.gz", found)
    same(found, read_ali("again.gz"))


@target(
    lambda: {
        "binary": b"spk1 " + hand.HEADER + hand.floats(MATRIX) + b"spk2 " + hand.HEADER + hand.floats(MATRIX.astype(np.float64)),
        "text": b"spk1  [\n  1 2.5\n  -3 1e-5 ]\nspk2  [\n  1 2 ]\n",
    }
)
@each("binary", "text")
def matrices(name):
    found = read_matrices(name)
    write_matrices("again", found)
    same(found, read_matrices("again"))


@target(lambda: {"binary": hand.HEADER + hand.floats(MATRIX), "text": b" [\n  1 2.5\n  -3 1e-5 ]\n"})
@each("binary", "text")
def matrix_file(name):
    found = read_matrix_file(name)
    write_matrix_file("again", found)
    same({"": found}, {"": read_matrix_file("again")})


def features() -> Files:
    compressed = (
        b"CM "
        + np.array([-1, 2], "<f4").tobytes()
        + np.array([4, 2], "<i4").tobytes()
        + np.array([0, 9, 90, 900] * 2, "<u2").tobytes()
        + bytes(range(0, 256, 32))
    )
    coarse = b"CM2 " + np.array([-1, 2], "<f4").tobytes() + np.array([2, 3], "<i4").tobytes() + np.arange(6, dtype="<u2").tobytes()
    objects = [
        hand.HEADER + hand.floats(MATRIX),
        hand.HEADER + hand.floats(MATRIX.astype(np.float64)),
        hand.HEADER + compressed,
        hand.HEADER + coarse,
        b" [\n 1 2\n 3 4 ]\n",
    ]
    archive, index, sizes = b"", [], (4, 4, 4, 2, 2)
    for number, entry in enumerate(objects):
        archive += f"u{number} ".encode()
        index.append(f"u{number} feats.ark:{len(archive)}\n")
        archive += entry
    table = "".join(f"u{number} u{number}\n" for number in range(5)).encode()
    return {
        "feats.ark": archive,
        "data/feats.scp": "".join(index).encode(),
        "data/utt2spk": table,
        "data/utt2num_frames": "".join(f"u{number} {size}\n" for number, size in enumerate(sizes)).encode(),
    }


@target(features)
def feature_archives():
    data = DataDir.load("data", need=("feats.scp",))
    with contextlib.suppress(RecipeError):
        for utt, entry in data.feats.items():
            assert read_matrix(entry, id=utt).dtype in (np.float32, np.float64)
    for _, rows in FeatureReader(data, None):
        assert rows.ndim == 2 and rows.dtype == np.float32 and np.isfinite(rows).all()


@target(lambda: {"stream": b"".join(key + b" " + hand.HEADER + hand.floats(MATRIX) for key in (b"a", b"b", b"c"))})
def archive_stream():
    with open(require_file("stream"), "rb") as stream:
        for key, value in read_archive(stream):
            assert key and value.dtype in (np.float32, np.float64)


def posterior_files() -> Files:
    def write(folder):
        (folder / "text").write_text(POST)
        content = b"".join(posterior_to_bytes(*pair) for pair in read_posteriors(folder / "text"))
        (folder / "binary").write_bytes(content)
        (folder / "post.1.gz").write_bytes(gzip.compress(content, mtime=0))

    return temporary(write)


@target(posterior_files)
@each("binary", "text", "post.1.gz")
def posteriors(name):
    found = dict(read_posteriors(name))
    for binary in (True, False):
        with open("again", "wb") as file:
            file.write(b"".join(posterior_to_bytes(*pair, binary=binary) for pair in found.items()))
        again = dict(read_posteriors("again")) if found else {}
        assert found.keys() == again.keys()
        for key in found:
            assert all(np.array_equal(one, two, equal_nan=one.dtype.kind == "f") for one, two in zip(found[key], again[key]))
            assert found[key].counts.sum() == len(found[key].ids) == len(found[key].weights)


@target(
    lambda: {
        "text": MODEL_TEXT.encode(),
        "binary": hand.HEADER + hand.transition_model({1: hand.BAKIS, 3: hand.BAKIS}) + hand.gaussians(2, {1: hand.BAKIS, 3: hand.BAKIS}),
    }
)
@each("text", "binary")
def model(name):
    transitions, gaussians = read_model(name)
    write_model("again", transitions, gaussians)
    again, mixtures = read_model("again")
    assert np.array_equal(again.tuples, transitions.tuples) and np.array_equal(again.log_probs, transitions.log_probs)
    same(again.tables(), transitions.tables())
    assert transitions.num_pdfs > 0 and np.isfinite(transitions.log_probs).all()
    assert (gaussians is None) == (mixtures is None)
    if gaussians is not None:
        for part in ("gconsts", "weights", "means_invvars", "inv_vars"):
            assert np.array_equal(getattr(gaussians, part), getattr(mixtures, part)) and np.isfinite(getattr(gaussians, part)).all()


@target(lambda: {"binary": hand.tree(), "text": TREE_TEXT.encode()})
@each("binary", "text")
def tree(name):
    found = Tree.read(name)
    assert Tree.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()
    assert found.num_pdfs > 0 and min(leaf.pdf for leaf in found.leaves()) >= 0
    for phone in found.phones():
        for pdf_class in range(3):
            found.possible_pdfs(phone, pdf_class)
            with contextlib.suppress(RecipeError):
                found.pdf((1, phone, 1)[: found.width] + (1,) * (found.width - 3), pdf_class)


@target(lambda: {"text": TOPO_TEXT.encode(), "binary": hand.HEADER + hand.topology()})
@each("text", "binary")
def topology(name):
    found = read_topology(name)
    with open("again", "wb") as file:
        file.write(hand.HEADER + found.to_bytes())
    again = read_topology("again")
    assert [again.shape(phone) for phone in again.phones] == [found.shape(phone) for phone in found.phones]
    with open("text again", "w") as file:
        file.write(found.text())
    again = read_topology("text again")
    assert [again.shape(phone) for phone in again.phones] == [found.shape(phone) for phone in found.phones]


def fsts() -> Files:
    from pytorch_nnet.decoding.openfst import ARC

    arcs = np.zeros(3, ARC)
    for name, values in zip(ARC.names, ((1, 2, 0), (3, 0, 4), (0.5, 1, 2), (1, 2, 2))):
        arcs[name] = values
    fst = FstArrays(0, np.array([0, 0, 1], np.int32), arcs, np.array([np.inf, np.inf, 0.5], np.float32))

    def write(folder):
        write_fst(folder / "vector.fst", fst)
        write_fst(folder / "const.fst", fst, const_header(fst))

    return temporary(write)


@target(fsts)
@each("vector.fst", "const.fst")
def graphs(name):
    found = read_fst(name)
    write_fst("again", found)
    again = read_fst("again")
    assert again.start == found.start and np.array_equal(again.src, found.src) and again.arcs.tobytes() == found.arcs.tobytes()


def experiment() -> Files:
    from toy_hmm import make_lang

    def write(folder):
        make_lang(folder)
        alignments = {}
        data = DataDir(folder / "data", {})
        for number, (utt, words, phones) in enumerate(
            (("c1-A_1", ["one"], [(1, 6), (3, 4), (4, 4)]), ("c1-A_2", ["two"], [(5, 5), (6, 5), (1, 8)]))
        ):
            alignments[utt] = hand.path(phones)[0]
            data.utt2spk[utt], data.text[utt], data.segments[utt] = "c1-A", words, Segment("c1-A", float(number), number + 0.5)
        data.wav["c1-A"], data.channel["c1-A"] = "c1.wav", ("c1", "A")
        data.write()
        hand.write_experiment(folder / "ali", alignments, jobs=1)
        for path in (folder / "dict").iterdir():
            path.unlink()
        for name in ("L.fst", "L_disambig.fst"):
            (folder / "lang" / name).unlink()

    return temporary(write)


@target(experiment, cost=2)
def alignment_directory():
    AcousticModel.load("ali")
    FeatureOptions.read("ali")
    read_alignments("ali")
    write_ctm("data", "lang", "ali", "ctm", words=True)
    write_ctm("data", "lang", "ali", "ctm", words=False)
    assert write_textgrids("data", "lang", "ali", "grids", per_utterance=False)[0] >= 0
