"""Nothing that a corpus, an archive, a configuration or a package holds runs, and nothing of it leads out of its folder (docs/security.md)."""

import ast
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from pytorch_nnet.corpus.datadir import DataDir, Segment, write_table
from pytorch_nnet.corpus.maintain import fix_data_dir
from pytorch_nnet.corpus.placement import place_utterances
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.frames.store import FrameStore, write_frame_store
from pytorch_nnet.io.archives import read_archive, read_matrix, write_ali, write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.ids import MAX_BYTES, check_id, fault
from pytorch_nnet.io.kaldi_ark import int_vectors_to_bytes
from pytorch_nnet.io.launcher import run_jobs
from pytorch_nnet.io.options import load_config

REFUSED = ["", "-rf", "--config=x", ".", "..", "../x", ".hidden", "a/b", "/etc/passwd", "a b", "a\tb", "a\nb", "a\u00a0b", "a\u2028b", "a\x00b",
           "a\x07", "a\u202eb", "#end", ";;x", "x" * (MAX_BYTES + 1), "é" * (MAX_BYTES // 2 + 1), "\udc80"]
# What a shell, a printf or an XML reader would make something of; the shell would write the file `sprung`.
HOSTILE = ["$(touch${IFS}sprung)", "`touch${IFS}sprung`", "';touch${IFS}sprung;'", '"&&touch${IFS}sprung&&"', "|touch${IFS}sprung|", ">sprung",
           "~root", "*", "%s%n", "<!ENTITY>", "{a,b}", "a\\nb", "日本語", "ñ\u0303", "x=y", "a:b"]


@pytest.mark.parametrize("id", REFUSED)
def test_what_could_leave_its_line_or_its_folder_is_no_id(id):
    assert fault(id)
    with pytest.raises(RecipeError, match="not an id") as error:
        check_id(id, file="data/x/utt2spk:3")
    assert error.value.file == "data/x/utt2spk:3" and str(error.value).isprintable() is False and "\x07" not in str(error.value)


@given(st.text(max_size=20))
@settings(deadline=None)
def test_an_id_stays_one_word_of_a_line_and_a_file_of_a_folder(id):
    if fault(id) is None:
        assert id.split() == id.splitlines() == [id] and Path("exp", id).resolve().parent == Path("exp").resolve() and not id.startswith("-")


@pytest.mark.parametrize("id", HOSTILE)
def test_signs_of_the_shell_are_letters_like_others(id):
    assert check_id(id) == id


def data_of(folder, names):
    """A data directory with features, an utterance for each name."""
    data = DataDir(folder / "data", {})
    rng = np.random.default_rng(1)
    feats = {f"{name}_u": rng.normal(size=(9, 31)).astype(np.float32) for name in sorted(names, key=str.encode)}
    for name in names:
        data.utt2spk[f"{name}_u"], data.text[f"{name}_u"], data.num_frames[f"{name}_u"] = name, ["one"], 9
        data.wav[name], data.segments[f"{name}_u"], data.channel[name] = "x.wav", Segment(name, 0.5, 0.6), (name, "A")
    data.path.mkdir(parents=True)
    write_ark_scp(data.path / "feats.ark", data.path / "feats.scp", sorted(feats.items(), key=lambda pair: pair[0].encode()))
    data.feats = dict(line.rsplit(" ", 1) for line in (data.path / "feats.scp").read_text().splitlines())
    data.write()
    data = DataDir.load(data.path)
    compute_cmvn_stats(FeatureReader(data, None))
    return DataDir.load(data.path), feats


def test_hostile_ids_go_through_the_recipe_unchanged(tmp_path, monkeypatch):
    """Data directory, features, frame store, posteriors, alignment, lattices, CTM and TextGrid, each read again."""
    from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter
    from pytorch_nnet.hmm.ctm import write_ctm
    from pytorch_nnet.hmm.graphs import read_graphs, write_graphs
    from pytorch_nnet.hmm.model import AcousticModel
    from pytorch_nnet.hmm.textgrid import write_textgrids
    from pytorch_nnet.hmm.topology import read_topology
    from pytorch_nnet.io.kaldi_posterior import Posterior, posterior_to_bytes, read_posteriors
    from pytorch_nnet.io.kaldi_tree import monophone_tree
    from pytorch_nnet.lang.lang_dir import LangDir
    from toy_hmm import make_lang

    monkeypatch.chdir(tmp_path)
    data, feats = data_of(tmp_path, HOSTILE)
    validate_data_dir(data.path)
    assert fix_data_dir(data.path) == {} and DataDir.load(data.path).utts == data.utts == list(feats)
    reader = FeatureReader(data, None)
    assert all((reader[utt] == feats[utt]).all() for utt in feats)

    write_frame_store("store", [(utt, rows, np.zeros(9, int)) for utt, rows in feats.items()], num_classes=2, label_map="", cmvn={})
    assert FrameStore.open("store").utts == data.utts
    one = Posterior(np.array([1]), np.array([0], np.int32), np.array([1], np.float32))
    for binary in (True, False):
        Path("post").write_bytes(b"".join(posterior_to_bytes(utt, one, binary=binary) for utt in data.utts))
        assert [utt for utt, _ in read_posteriors("post")] == data.utts

    lang = LangDir(make_lang(tmp_path))
    topology = read_topology(lang.path("topo"))
    model = AcousticModel.create(topology, monophone_tree({int(phone): topology.num_pdf_classes(phone) for phone in topology.phones}))
    model.save("ali")
    arrays, phones = model.table.tables(), [lang.phones[phone] for phone in "ab"]  # 'one' is a b
    forward = [int(np.flatnonzero((arrays["phone"] == phone) & (arrays["hmm_state"] == state) & ~arrays["is_loop"])[0])
               for phone in phones for state in range(3)]
    write_ali("ali/ali.1.gz", {utt: np.array(forward, np.int32) for utt in data.utts})
    Path("ali/num_jobs").write_text("1\n")
    write_ctm("data", "lang", "ali", "ctm", words=True)
    found = [line.rsplit(" ", 4) for line in Path("ctm").read_text(encoding="utf-8").splitlines()]
    assert sorted(fields[0] for fields in found) == sorted(HOSTILE) and {fields[1] for fields in found} == {"A"}
    for per_utterance in (False, True):
        write_textgrids("data", "lang", "ali", "grids", per_utterance=per_utterance)
    assert {path.name for path in Path("grids").iterdir()} == {f"{name}{end}.TextGrid" for name in HOSTILE for end in ("", "_u")}

    with LatticeWriter("lat.1.npz") as writer:
        for utt in data.utts:
            writer.write(utt, Lattice.build(np.arange(2), np.arange(1, 3), np.ones(2, int), np.zeros(2), np.zeros(2), np.arange(3)))
    assert [utt for utt, _ in LatticeReader("lat.1.npz")] == data.utts
    import kaldifst

    write_graphs("fsts.ark", [(utt, kaldifst.StdVectorFst()) for utt in data.utts])
    assert [utt for utt, _ in read_graphs("fsts.ark")] == data.utts
    assert not Path("sprung").exists() and {path.name for path in tmp_path.iterdir()} == {
        "data", "store", "post", "dict", "lang", "ali", "ctm", "grids", "lat.1.npz", "fsts.ark"}


@pytest.mark.slow
def test_hostile_ids_go_through_steps_that_start_jobs(tmp_path, run):
    """Features through the launcher, its shell and Lhotse."""
    import soundfile

    names, data = sorted(HOSTILE, key=str.encode)[::2], DataDir(tmp_path / "data", {})
    soundfile.write(tmp_path / "a$(touch sprung) 'b'.wav", np.random.default_rng(1).uniform(-0.5, 0.5, 4000), 8000)
    for name in names:
        data.utt2spk[f"{name}_u"], data.text[f"{name}_u"] = name, ["one"]
        data.wav[name], data.segments[f"{name}_u"] = str(tmp_path / "a$(touch sprung) 'b'.wav"), Segment(name, 0.1, 0.4)
    data.write()
    for command in (["steps/make_fbank", "--nj", 1, "--cmd", ROOT / "utils/run.py"], ["steps/compute_cmvn_stats"]):
        done = run(*command, data.path)
        assert done.returncode == 0, done.stderr
    assert [utt for utt, _ in FeatureReader(data.path)] == sorted(data.utts, key=str.encode)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "a$(touch sprung) 'b'.wav"}


@pytest.mark.parametrize("table, line", [("utt2spk", "../x ../x"), ("utt2spk", "a/b a"), ("utt2spk", "-rf -rf"), ("utt2spk", "u\u00a0v u"),
                                         ("utt2spk", "good-u ../good"), ("segments", "good-u ../good 0 1"),
                                         ("reco2file_and_channel", "good ../x A"), ("text", "../x one"), ("wav.scp", "../x x.wav")])
def test_a_table_with_a_bad_id_is_refused_with_its_place(tmp_path, table, line):
    DataDir(tmp_path, {"good-u": "good"}, {"good-u": ["one"]}, {"good": "x.wav"}, {"good-u": Segment("good", 0, 1)}, {"good": ("x", "A")}).write()
    (tmp_path / table).write_text(line + "\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="not an id") as error:
        DataDir.load(tmp_path)
    assert table in str(error.value.file) and error.value.next


def test_no_writer_makes_a_table_with_more_lines_than_it_has_keys(tmp_path):
    for table in ({"a\nb": "x"}, {"a": "x\nb y"}, {"a": "x\r"}, {"a": " "}):
        with pytest.raises(RecipeError):
            write_table(tmp_path / "wav.scp", table)
    assert not (tmp_path / "wav.scp").exists()


@pytest.mark.parametrize("entry", ["touch sprung |", "| touch sprung", "touch sprung |:5", "touch sprung | :5", "touch sprung |[0:1]",
                                   "touch sprung |:5[0:1]", "-", "-:0", "/dev/zero", "/dev/zero:3", "fifo", "."])
def test_nothing_in_an_index_runs_or_hangs(tmp_path, monkeypatch, entry):
    import os

    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises(RecipeError):
        read_matrix(entry, file="feats.scp", id="u")
    data, _ = data_of(tmp_path, ["u"])
    (data.path / "feats.scp").write_text(f"u_u {entry}\n")
    with pytest.raises(RecipeError) as error:
        FeatureReader(data.path, None)["u_u"]
    assert "feats.scp" in str(error.value.file) and error.value.id == "u_u"
    assert not Path("sprung").exists()


def test_a_pipe_of_wav_scp_is_refused_by_name_unless_allowed(tmp_path):
    data = DataDir(tmp_path, {"u": "u"}, wav={"u": f"touch {tmp_path}/sprung; false |"}).write()
    with pytest.raises(RecipeError, match="runs a shell command") as error:
        place_utterances(DataDir.load(tmp_path))
    assert error.value.id == "u" and str(error.value.file).endswith("wav.scp") and "--allow-pipes" in error.value.next
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(RecipeError, match="a wav.scp command failed"):
        place_utterances(DataDir.load(data.path), allow_pipes=True)
    assert (tmp_path / "sprung").exists()


def test_objects_in_archives_are_numbers(tmp_path):
    for content in (b"u PKL\x80\x04.", b"u NPY\x01\x00", b"u AUDIO\x01\x00", b"u RIFF0000WAVE", b"u fLaC"):
        (tmp_path / "x.ark").write_bytes(content)
        with pytest.raises(RecipeError):
            read_matrix(f"{tmp_path}/x.ark:2")
        with open(tmp_path / "x.ark", "rb") as stream, pytest.raises(RecipeError):
            list(read_archive(stream))
    with pytest.raises(RecipeError, match="not an id"):
        int_vectors_to_bytes({"../x": np.zeros(1, np.int32)})


def test_a_store_holds_the_types_its_names_say(tmp_path):
    write_frame_store(tmp_path / "s", [("u", np.zeros((3, 31)), np.zeros(3, int))], num_classes=2, label_map="", cmvn={})
    path = tmp_path / "s/meta.json"
    meta = json.loads(path.read_text())
    for name, entry in (("features.f16", {"dtype": "O"}), ("features.f16", {"dtype": "<f8"}), ("../../etc/passwd", {"dtype": "|u1"})):
        changed = {**meta, "arrays": {**meta["arrays"], name: {**meta["arrays"]["features.f16"], **entry}}}
        path.write_text(json.dumps(changed))
        with pytest.raises(RecipeError, match="another kind than stores have") as error:
            FrameStore.open(tmp_path / "s")
        assert error.value.id == name


def test_a_configuration_cannot_build_objects_or_grow(tmp_path):
    path = tmp_path / "x.yaml"
    bomb = "a: &a [x, x]\n" + "".join(f"{one}: &{one} [*{two}, *{two}]\n" for two, one in zip("abcdefgh", "bcdefghi"))
    for content in ("beam: !!python/object/apply:os.system [touch sprung]\n", bomb, "[" * 3000, "beam: 1\nbeam: 2\n", "b-c: 1\nb_c: 2\n"):
        path.write_text(content)
        with pytest.raises(RecipeError) as error:
            load_config(path)
        assert error.value.file == path


def package_of(folder):
    """The files of a package as far as their names go."""
    from pytorch_nnet.recognition.package import GRAPH_FILES, NETWORK_FILES, digest

    names = [*(f"graph/{name}" for name in GRAPH_FILES), *(f"networks/1/{name}" for name in NETWORK_FILES)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return {"format": "pytorch_nnet package 1", "name": "x", "lmwt": 1, "wip": 0, "search": {},
            "files": {name: {"bytes": 0, "sha256": digest(folder / name)} for name in names}}


def test_a_package_reaches_nothing_outside_its_folder(tmp_path):
    from pytorch_nnet.recognition.package import open_package

    (tmp_path / "outside").write_text("x")
    folder = tmp_path / "package"
    facts = package_of(folder)
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

    def refused(match, **changes):
        (folder / "package.json").write_text(json.dumps({**facts, "files": {**facts["files"], **changes}}))
        with pytest.raises(RecipeError, match=match) as error:
            open_package(folder)
        return error.value.id

    assert refused("no part of the package", **{"../outside": {"sha256": digest}}) == "../outside"
    assert refused("no part of the package", **{str(tmp_path / "outside"): {"sha256": digest}}) == str(tmp_path / "outside")
    (folder / "networks/ensemble").mkdir()
    (folder / "networks/ensemble/ensemble.yaml").write_text("members: [../../outside]\nweights: [1]\n")
    assert refused("no part of the package") == "networks/ensemble/ensemble.yaml"
    (folder / "networks/ensemble/ensemble.yaml").unlink()
    (folder / "link").symlink_to(tmp_path / "outside")
    assert refused("no part of the package", link={"sha256": digest}) == "link"


def test_a_folder_cannot_be_mistaken_for_a_jobs_number(tmp_path):
    with pytest.raises(RecipeError, match="JOB inside a name"):
        run_jobs("utils/run.py", 2, f"{tmp_path}/JOBS/log.JOB", ["true"])


CALLS = re.compile(r"^(pickle|cPickle|dill|joblib|marshal|shelve)\.|^torch\.(load|save)$|^(eval|exec|compile|__import__)$|^os\.(system|popen|exec\w*|spawn\w*)$"
                   r"|^yaml\.(load|load_all|unsafe_load|full_load)$|extractall$|unpack_archive$|^kaldiio\.")


def sources():
    """Tracked Python files of the product, as trees, and shell files, as text."""
    names = subprocess.run(["git", "ls-files", "pytorch_nnet", "steps", "utils", "local", "egs", "setup.py"], cwd=ROOT, capture_output=True,
                           text=True, check=True).stdout.split()
    for name in names:
        path = ROOT / name
        if path.is_symlink() or not path.is_file() or path.suffix in (".md", ".tsv", ".yaml", ".png"):
            continue
        yield name, path.read_text(encoding="utf-8")


def dotted(node):
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "?"


def test_no_source_unpickles_evaluates_or_opens_a_shell():
    shells, seen = [], 0
    for name, text in sources():
        if not (name.endswith(".py") or text.startswith("#!/usr/bin/env python3")):
            assert not re.search(r"(^|[;&|]|\bthen|\bdo)\s*eval\b", re.sub(r"(?m)^\s*#.*$", "", text)), name
            continue
        seen += 1
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, "module", None) or ""
                names = {module.split(".")[0], *(alias.name.split(".")[0] for alias in node.names if isinstance(node, ast.Import))}
                assert not names & {"pickle", "dill", "joblib", "marshal", "shelve", "kaldiio"}, name
            if not isinstance(node, ast.Call):
                continue
            called, keywords = dotted(node.func), {word.arg: word.value for word in node.keywords}
            assert not CALLS.search(called), f"{name}:{node.lineno}: {called}"
            assert ast.unparse(keywords.get("allow_pickle", ast.Constant(False))) == "False", f"{name}:{node.lineno}"
            if "shell" in keywords:
                shells.append(name)
        for command in re.findall(r'\["bash", "-c", (.*)\]', text):  # a pipe between two of our own processes, each word quoted
            quoted = r"\{unless_done\(last\)\} \|\| |\{shlex\.join\(\w+\)\}( \| )?|\{pipe\}"
            assert re.fullmatch(rf'f"set -[eu]*o pipefail; ({quoted})+"', command), f"{name}: {command}"
    assert seen > 150
    assert shells == ["pytorch_nnet/corpus/audio.py"], "wav.scp's commands alone, after refuse_pipe"
