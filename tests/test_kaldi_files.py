"""Kaldi's files both ways: what Kaldi writes is read, and comes back byte for byte."""

import gzip
import io

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import kaldi_by_hand as hand
from pytorch_nnet.decoding.openfst import read_fst, write_fst
from pytorch_nnet.hmm.topology import read_topology
from pytorch_nnet.io.archives import read_ali, read_alignments, read_matrix, write_ali
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.kaldi_ark import int_vectors_to_bytes, read_matrices, write_matrices
from pytorch_nnet.io.kaldi_binary import HEADER, BinaryReader, read_matrix_file, write_matrix_file
from pytorch_nnet.io.kaldi_model import read_model, read_transitions, write_model
from pytorch_nnet.io.kaldi_tree import Tree
from pytorch_nnet.lang.lang_dir import read_symbols, write_symbols
from toy_hmm import make_lang

floats = st.floats(-2.0 ** 60, 2.0 ** 60, width=32)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 5))
matrices = arrays.arrays(st.sampled_from([np.float32, np.float64]), shapes, elements=floats)


@settings(max_examples=30, deadline=None)
@given(matrices)
def test_matrix_file_both_ways(tmp_path_factory, matrix):
    path = tmp_path_factory.mktemp("mat") / "final.mat"
    content = hand.HEADER + hand.floats(matrix)
    path.write_bytes(content)
    found = read_matrix_file(path)
    assert found.dtype == matrix.dtype and np.array_equal(found, matrix)
    write_matrix_file(path, found)
    assert path.read_bytes() == content and np.array_equal(kaldiio.load_mat(str(path)), matrix)
    write_matrix_file(path, matrix, binary=False)
    assert np.array_equal(read_matrix_file(path), matrix.astype(np.float32))
    assert np.allclose(kaldiio.load_mat(str(path)), matrix.astype(np.float32), rtol=1e-6)


def test_matrix_text_of_kaldi(tmp_path):
    path = tmp_path / "final.mat"
    path.write_text(" [\n  1 -2.5 3e-05 \n  0 4 nan ]\n")
    assert np.array_equal(read_matrix_file(path), np.array([[1, -2.5, 3e-5], [0, 4, np.nan]], np.float32), equal_nan=True)
    path.write_text(" [ ]\n")
    assert read_matrix_file(path).shape == (0, 0)


@pytest.mark.parametrize("content, says", [
    (b" [\n  1 2 \n  3 ]\n", "one length"), (b" [\n  1 x ]\n", "number"), (b" [\n  1 2", "']'"),
    (b" [\n 1 ]\n [\n 2 ]\n", "more than one"),
    (HEADER + b"FM " + hand.i32(2, 3) + bytes(20), "24 more bytes"), (HEADER + b"FM " + hand.i32(-2, -3), "size"),
    (HEADER + b"FV " + hand.i32(1) + bytes(4), "FM or DM"), (HEADER + b"FM " + hand.i32(2 ** 31 - 1, 2 ** 31 - 1), "more bytes"),
    (hand.HEADER + hand.floats(np.ones((1, 1))) + b"x", "end of the file"), (b"\xff\xfe\0", "text")])
def test_bad_matrix_files_are_refused(tmp_path, content, says):
    (tmp_path / "final.mat").write_bytes(content)
    with pytest.raises(RecipeError, match=says) as error:
        read_matrix_file(tmp_path / "final.mat")
    assert str(tmp_path / "final.mat") in error.value.report()


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.from_regex("[abAB01_][abAB01_-]*", fullmatch=True), matrices, min_size=1))
def test_transforms_both_ways(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("trans") / "trans.1"
    content = b"".join(key.encode() + b" " + hand.HEADER + hand.floats(matrix) for key, matrix in table.items())
    path.write_bytes(content)
    found = read_matrices(path)
    assert list(found) == list(table) and all(np.array_equal(found[key], table[key]) for key in table)
    write_matrices(path, found)
    assert path.read_bytes() == content
    write_matrices(path, table, binary=False)
    found = read_matrices(path)
    assert list(found) == list(table) and all(np.array_equal(found[key], table[key].astype(np.float32)) for key in table)
    assert list(dict(kaldiio.load_ark(str(path)))) == list(table)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.from_regex("[abAB01_é][abAB01_é-]*", fullmatch=True), st.lists(st.integers(-2 ** 31, 2 ** 31 - 1)), min_size=1))
def test_alignments_both_ways(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("ali") / "ali.1.gz"
    table = {key: table[key] for key in sorted(table, key=str.encode)}
    content = hand.ali(table)
    path.write_bytes(gzip.compress(content))
    found = read_ali(path)
    assert {key: values.tolist() for key, values in found.items()} == table
    write_ali(path, found)
    assert gzip.decompress(path.read_bytes()) == content
    text = "".join(f"{key} " + "".join(f"{value} " for value in values) + "\n" for key, values in table.items()).encode()
    path.write_bytes(text)  # not gzipped: both are read
    found = read_ali(path)
    assert {key: values.tolist() for key, values in found.items()} == table
    assert int_vectors_to_bytes(found, binary=False) == text


@pytest.mark.parametrize("content", [
    hand.ali({"a": [1, 2, 3]})[:-3], hand.ali({"a": [1, 2, 3]})[:5], hand.ali({"a": [1]}) + b"b", hand.ali({"a": [1]}) * 2,
    b"a " + hand.HEADER + hand.i32(-1), b"a " + hand.HEADER + hand.i32(2) + hand.f32(1.0) + b"\x08\0\0\0\0",
    b"a 1 2 x \n", b"a 1 2",
    b"a " + hand.HEADER + hand.i32(1) + hand.i32(7) + b"\xff\xfe " + hand.HEADER, b"a PKL" + bytes(20),
    b"a " + hand.HEADER + hand.floats(np.ones((2, 2), np.float32))])
def test_garbled_alignments_are_refused(tmp_path, content):
    for raw in (content, gzip.compress(content)):
        (tmp_path / "ali.1.gz").write_bytes(raw)
        with pytest.raises(RecipeError, match="cut short or damaged") as error:
            read_ali(tmp_path / "ali.1.gz")
        assert error.value.expected and error.value.found
    whole = gzip.compress(hand.ali({"a": list(range(1000))}))
    for raw in (whole[:-20], whole[:40] + b"garbage" + whole[47:]):
        (tmp_path / "ali.1.gz").write_bytes(raw)
        with pytest.raises(RecipeError, match="cut short or damaged"):
            read_ali(tmp_path / "ali.1.gz")


def test_an_utterance_in_two_archives_is_refused(tmp_path):
    (tmp_path / "num_jobs").write_text("2\n")
    for job in (1, 2):
        write_ali(tmp_path / f"ali.{job}.gz", {"a": np.array([job])})
    with pytest.raises(RecipeError, match="two archives"):
        read_alignments(tmp_path)


@pytest.mark.parametrize("rest", [b"", hand.gaussians()])
def test_model_both_ways(tmp_path, rest):
    content = hand.HEADER + hand.transition_model() + rest
    (tmp_path / "final.mdl").write_bytes(content)
    transitions, gmm = read_model(tmp_path / "final.mdl")
    write_model(tmp_path / "final.mdl", transitions, gmm)
    assert (tmp_path / "final.mdl").read_bytes() == content
    assert read_transitions(tmp_path / "final.mdl")[1] == ("<DIMENSION>" if rest else "")
    assert transitions.tuples[:, :3].tolist() == [list(row) for row in hand.transition_states()]
    if rest:
        assert gmm.num_pdfs == gmm.num_gauss == transitions.num_pdfs and gmm.dim == hand.GAUSS_DIM


MODEL_TEXT = """<TransitionModel> 
<Topology> 
<TopologyEntry> 
<ForPhones> 
1 2 
</ForPhones> 
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State> 
<State> 1 </State> 
</TopologyEntry> 
</Topology> 
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


def test_model_in_text_form(tmp_path):
    (tmp_path / "final.txt").write_text(MODEL_TEXT)
    transitions, gmm = read_model(tmp_path / "final.txt")
    assert transitions.tuples.tolist() == [[1, 0, 0, 0], [2, 0, 1, 1]]
    assert transitions.tables()["pdf"].tolist() == [-1, 0, 0, 1, 1]
    assert gmm.offsets.tolist() == [0, 1, 3] and gmm.means_invvars.tolist() == [[0.5, 1], [0, 1], [2, 3]]
    write_model(tmp_path / "final.mdl", transitions, gmm)
    again, same = read_model(tmp_path / "final.mdl")
    assert np.array_equal(again.log_probs, transitions.log_probs) and np.array_equal(same.inv_vars, gmm.inv_vars)
    (tmp_path / "final.txt").write_text(MODEL_TEXT[: MODEL_TEXT.index("0.25 0.75")])
    with pytest.raises(RecipeError, match="in line"):
        read_model(tmp_path / "final.txt")


@pytest.mark.parametrize("old, new", [("1 0 0 \n", "3 0 0 \n"), ("1 0 0 \n", "1 1 0 \n"), ("1 0 0 \n", "1 0 -1 \n"),
                                      ("0 -0.2876821", "-0.2876821"), ("-1.386294", "nan"), ("<Transition> 1", "<Transition> 2")])
def test_model_that_contradicts_itself_is_refused(tmp_path, old, new):
    (tmp_path / "final.mdl").write_text(MODEL_TEXT.replace(old, new, 1))
    with pytest.raises(RecipeError, match="not the Kaldi file|contradicts"):
        read_model(tmp_path / "final.mdl")


def test_tree_both_ways(tmp_path):
    (tmp_path / "tree").write_bytes(hand.tree())
    tree = Tree.read(tmp_path / "tree")
    tree.write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == hand.tree()
    assert tree.phones() == set(range(1, 7))
    for (phone, state), pdfs in hand.pdfs().items():
        assert tree.possible_pdfs(phone, state) == set(pdfs)
        assert tree.pdf((4, phone, 1), state) == pdfs[0] and tree.pdf((1, phone, 1), state) == pdfs[-1]
    assert tree.possible_pdfs(7, 0) == set() == tree.possible_pdfs(3, 3)


def test_negative_sizes_and_surplus_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="-20 more bytes"):
        BinaryReader(hand.HEADER + hand.i32(-5) + bytes(40)).int_vector()
    (tmp_path / "tree").write_bytes(hand.tree() + b"x")
    with pytest.raises(RecipeError, match="more after it"):
        Tree.read(tmp_path / "tree")


def test_tree_in_text_form(tmp_path):
    (tmp_path / "tree").write_text("ContextDependency 3 1 ToPdf TE 1 2 ( NULL SE -1 [ 0 1 ]\n{ CE 4 \nSE 2 [ 0 3 ]\n"
                                   "{ CE 5 \nCE 6 \n} \n} \n) \nEndContextDependency ")
    tree = Tree.read(tmp_path / "tree")
    assert [tree.pdf((0, 1, right), state) for state in (1, 2) for right in (0, 1)] == [4, 4, 5, 6]
    assert tree.phones() == {1, 3}


def test_topology_both_ways(tmp_path):
    (tmp_path / "topo").write_bytes(hand.HEADER + hand.topology())
    topology = read_topology(tmp_path / "topo")
    assert hand.HEADER + topology.to_bytes() == (tmp_path / "topo").read_bytes()
    (tmp_path / "topo").write_text(topology.text())
    assert read_topology(tmp_path / "topo").entries == topology.entries
    ours = read_topology(make_lang(tmp_path) / "topo")
    assert all(ours.shape(phone) == topology.shape(phone) for phone in range(1, 7))
    (tmp_path / "topo").write_text("<Topology> <TopologyEntry> <ForPhones> 1 </ForPhones> <State> 0 <ForwardPdfClass> 0 "
                                   "<SelfLoopPdfClass> 1 <Transition> 0 0.5 <Transition> 1 0.5 </State> <State> 1 </State> "
                                   "</TopologyEntry> </Topology>")
    chain = read_topology(tmp_path / "topo")
    assert chain.num_pdf_classes(1) == 2 and chain.shape(1)[0] == (0, 1, (0, 1))
    (tmp_path / "topo").write_bytes(hand.HEADER + chain.to_bytes())
    assert read_topology(tmp_path / "topo").shape(1) == chain.shape(1)


def test_symbol_tables_both_ways(tmp_path):
    path = make_lang(tmp_path) / "phones.txt"
    write_symbols(tmp_path / "phones.txt", read_symbols(path))
    assert (tmp_path / "phones.txt").read_bytes() == path.read_bytes()


def library_fsts(folder):
    """L.fst as steps/prepare_lang leaves it, and the same in the other types and from an empty transducer."""
    import kaldifst

    lexicon = kaldifst.StdVectorFst.read(str(make_lang(folder) / "L.fst"))
    odd = kaldifst.compile("0 1 1 0 0.5\n0 2 0 4\n1 2 0 0 1.5\n2 0.25\n1 3\n")
    for name, fst in (("L", lexicon), ("odd", odd), ("empty", kaldifst.StdVectorFst())):
        for kind, value in (("vector", fst), ("const", kaldifst.StdConstFst(fst))):
            path = folder / f"{name}.{kind}"
            value.write(str(path))
            yield path, fst


def test_transducers_both_ways(tmp_path):
    import kaldifst

    for path, fst in library_fsts(tmp_path):
        arrays = read_fst(path)
        write_fst(tmp_path / "again", arrays, arrays.header)
        assert (tmp_path / "again").read_bytes() == path.read_bytes(), path
        write_fst(tmp_path / "again", arrays)
        assert kaldifst.StdVectorFst.read(str(tmp_path / "again")).to_str() == fst.to_str(), path


@pytest.mark.parametrize("version, flags", [(1, 0), (2, 4)])
def test_aligned_const_transducers(tmp_path, version, flags):
    plain = next(path for path, _ in library_fsts(tmp_path) if path.name == "odd.const")
    arrays = read_fst(plain)
    header = type(arrays.header)("const", version, flags, arrays.header.properties, 3, 3)
    write_fst(tmp_path / "aligned", arrays, header)
    content = (tmp_path / "aligned").read_bytes()
    # 65 bytes of header, 3 x 20 of states, 3 x 16 of arcs; both blocks begin at the next multiple of 16.
    states, arcs = plain.read_bytes()[65:125], plain.read_bytes()[125:]
    assert content[65:80] == bytes(15) and content[80:140] == states and content[140:144] == bytes(4) and content[144:] == arcs
    again = read_fst(tmp_path / "aligned")
    assert (again.arcs == arrays.arcs).all() and again.start == arrays.start


@pytest.mark.parametrize("spoil", [
    lambda c: c[:-4], lambda c: c[:70], lambda c: c[:30], lambda c: c.replace(b"standard", b"lattice4"),
    lambda c: c.replace(b"vector", b"compac").replace(b"const", b"conzt"), lambda c: c[:-4] + b"\x63\0\0\0"])
def test_broken_transducers_are_refused(tmp_path, spoil):
    for path, _ in list(library_fsts(tmp_path)):
        if path.name.startswith("odd"):
            path.write_bytes(spoil(path.read_bytes()))
            with pytest.raises(RecipeError, match="not a readable FST"):
                read_fst(path)


def test_streams_of_other_programs_read_what_we_write():
    found = dict(kaldiio.load_ark(io.BytesIO(int_vectors_to_bytes({"a": np.array([1, -2]), "b": np.zeros(0, int)}))))
    assert found["a"].tolist() == [1, -2] and found["b"].tolist() == []


@pytest.mark.parametrize("method, kind", [(2, b"CM"), (3, b"CM2"), (5, b"CM3")])
def test_compressed_matrices_are_read_as_elsewhere(tmp_path, method, kind):
    matrix = np.random.default_rng(1).normal(size=(23, 13)).astype(np.float32)
    with open(tmp_path / "x.ark", "wb") as file:
        kaldiio.save_ark(file, {"u": matrix}, compression_method=method)
    content = (tmp_path / "x.ark").read_bytes()
    assert content.startswith(b"u \0B" + kind + b" ")
    found = read_matrix(f"{tmp_path}/x.ark:2")
    assert found.dtype == np.float32 and np.allclose(found, kaldiio.load_mat(f"{tmp_path}/x.ark:2"), atol=1e-6)
    assert np.array_equal(read_matrix(f"{tmp_path}/x.ark:2[3:5]"), found[3:6])
    for damaged in (content[:-1], content[:20], content.replace(kind, b"CX"), content[:15] + b"\xff" * 8 + content[23:]):
        (tmp_path / "x.ark").write_bytes(damaged)
        with pytest.raises(RecipeError, match="cannot be read"):
            read_matrix(f"{tmp_path}/x.ark:2")


def test_matrices_and_vectors_of_text_are_read(tmp_path):
    content = b"u  [\n  1 2.5\n  -3 4e2 ]\nv  [ 1 2 3 ]\nw  [ 1 x ]\n"
    (tmp_path / "x.ark").write_bytes(content)
    u, v, w = (f"{tmp_path}/x.ark:{content.index(key) + 2}" for key in (b"u ", b"v ", b"w "))
    assert read_matrix(u).tolist() == [[1, 2.5], [-3, 400]] and read_matrix(v).tolist() == [1, 2, 3]
    with pytest.raises(RecipeError, match="cannot be read") as error:
        read_matrix(w, file="feats.scp", id="w")
    assert "'x'" in error.value.found and error.value.id == "w"
