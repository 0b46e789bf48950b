"""The fuzzer: a few hundred cases of every reader, and that it would see a failure (long form: tests/fuzz.sh)."""

import os
import random
import time

import numpy as np
import pytest

from fuzz import everything  # noqa: F401  (registers the targets)
from fuzz.__main__ import shares
from fuzz.harness import TARGETS, Target, case, keep, one, repeat, run
from fuzz.mutate import BYTES, TEXT, mutate
from pytorch_nnet.io.errors import RecipeError, reading

CASES, SEED = 250, 7


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_valid_files_are_read(tmp_path, name):
    target = TARGETS[name]
    assert one(target.check, target.seed(), tmp_path / "case") == ("read", "")


@pytest.mark.slow
def test_no_mutated_file_is_more_than_an_error_or_a_result():
    numbers = shares(CASES, list(TARGETS.values()))
    failed = [
        f"{repeat(outcome, SEED)}\n{outcome.kind}\n{outcome.detail}"
        for target in TARGETS.values()
        for outcome in run(target, range(numbers[target.name]), SEED)
        if outcome.failed
    ]
    assert not failed, "\n".join(failed)


# What the fuzzer has found, or reading for it: each had ended in a traceback, in a hang or in a result that was wrong.
FOUND = [
    ("data_directory", "data/utt2num_frames", b" 5\n", b" -5\n"),
    ("data_directory", "data/utt2num_frames", b" 5\n", b" 1_0\n"),
    ("data_directory", "data/segments", b" 0.00 ", b" nan "),
    ("data_directory", "data/segments", b" 0.00 0.070", b" 0.00 inf"),
    ("data_directory", "data/segments", b" 0.00 0.070", b" 0 0.0003"),
    ("data_directory", "data/reco2file_and_channel", b"sw02001 A", b"sw02001"),
    ("data_directory", "data/reco2file_and_channel", b"sw02001 A", b"../sw02001 A"),
    ("data_directory", "data/feats.scp", b" data/feats.ark:24", b" touch sprung |:24"),
    ("fixed_data_directory", "data/text", b"hello", b"h\xe9llo"),
    ("placed_utterances", "data/wav.scp", b" audio/sw02001.sph", b" touch sprung |"),
    ("audio", "a.sph", b"sample_count -i 1600", b"sample_count -i -160"),
    ("audio", "d.sph", b"channel_count -i 2", b"channel_count -i 0"),
    ("ldc_release", "eval/hub5e00.english.000405.stm", b"0.02 2.00", b"0.02 inf"),
    ("ldc_release", "eval/hub5e_00.pem", b"0.02 2.00", b"0.02 inf"),
    ("ldc_release", "eval/hub5e00.english.000405.stm", b"sw_4390 A", b"../sw_4390 A"),
    ("transcripts", "text", b"utt1 hello", b"-utt1 hello"),
    ("transcripts", "text", b"utt1 hello", b"utt1\xe2\x80\xa8x hello\n utt1"),
    ("integer_vectors", "text", b"utt1 1", b"utt1 99999999999"),
    ("integer_vectors", "text", b"utt1 1", b"utt1 1_0"),
    ("integer_vectors", "binary", b"utt1", b"#end"),
    ("matrices", "text", b"1e-5", b"1_0"),
    ("feature_archives", "feats.ark", b"FM \x04\x04\0\0\0", b"FM \x04\xff\xff\xff\xff"),
    ("feature_archives", "feats.ark", b"FM \x04\x04\0\0\0", b"FM \x04\xff\xff\xff\x7f"),
    ("feature_archives", "feats.ark", b" [\n 1 2", b" [\n 1 nan"),
    ("feature_archives", "data/feats.scp", b"u0 feats.ark:3", b"u0 -"),
    ("archive_stream", "stream", b"FM \x04\x04\0\0\0", b"FM \x04\xff\xff\xff\x7f"),
    ("archive_stream", "stream", b"a \0B", b"a PKL\0B"),
    ("archive_stream", "stream", b"a \0B", b" \0B"),
    ("posteriors", "text", b"[ 3 0.7", b"[ 99999999999 0.7"),
    ("model", "text", b"<NUMPDFS> 2", b"<NUMPDFS> 0"),
    ("model", "text", b"0.25 0.75", b"nan 0.75"),
    ("model", "text", b"[ -2 -3 ]", b"[ -2 ]"),
    ("model", "text", b"1 0 0", b"1 0 9999999999"),
    ("tree", "text", b"SE 2 [ 0 3", b"SE 3 [ 0 3"),
    ("tree", "text", b"CE 4", b"CE -4"),
    ("tree", "text", b"CE 5", b"SE 0 [ 1 ] { " * 2000 + b"CE 5"),
    ("topology", "text", b"<Transition> 1 0.25", b"<Transition> 1 nan"),
    ("alignment_directory", "ali/num_jobs", b"1", b"one"),
    ("alignment_directory", "ali/cmvn_opts", b"true", b"tr\xfce"),
    ("alignment_directory", "lang/phones/align_lexicon.txt", b"one one a b", b"one one a x"),
    ("lang_directory", "lang/phones/silence.int", b"1", b"x"),
    ("lang_directory", "lang/oov.int", b"2", b" "),
    ("lang_directory", "lang/words.txt", b"#0 7", b"#0 6"),
    ("lang_directory", "lang/phones/align_lexicon.txt", b"is is i s", b"is is"),
    ("dictionary", "dict/lexicon.txt", b"hello", b"h\xe9llo"),
    ("dictionary", "dict/silence_phones.txt", b"NSN", b"N\xe9N"),
    ("dictionary", "dict/optional_silence.txt", b"SIL", b"S\xcfL"),
    ("networks", "exp/both/ensemble.yaml", b"0.25", b"3.5"),
    ("networks", "exp/both/ensemble.yaml", b"0.25", b"-0.25"),
    ("networks", "exp/one/info.json", b'"num_classes": 3', b'"num_classes": 3.5'),
    ("networks", "exp/one/info.json", b'"dim": 31', b'"dim": 99999999999'),
    ("networks", "exp/one/config.yaml", b"hidden: [4]", b"hidden: [999999999]"),
    ("networks", "exp/one/prior_counts", b" 4 ", b" nan "),
    ("yaml", "config.yaml", b"nj: 4", b"nj: .inf"),
    ("yaml", "config.yaml", b"nj: 4", b"nj: true"),
    ("yaml", "config.yaml", b"beam: 13", b"beam: .nan"),
    ("yaml", "config.yaml", b"cmd: utils/run.py", b"cmd:"),
    ("yaml", "config.yaml", b"cmd: utils/run.py", b"cmd: [a, b]"),
    ("yaml", "config.yaml", b"cmd: utils/run.py", b'cmd: "a\\0b"'),
    ("yaml", "config.yaml", b"nj: 4", b"nj: 4\nnj: 5"),
    ("yaml", "config.yaml", b"nj: 4", b"x: 2001-99-99"),
    ("arguments", "arguments", b"conf.yaml", b"x" * 5000),
    ("arguments", "arguments", b"13.5", b"nan"),
    ("nist", "x.stm", b"0.50 1.00", b"inf inf"),
    ("nist", "x.stm", b"0.50 1.00", b"0.50 nan"),
    ("nist", "x.ctm", b"hello", b"h\xe9llo"),
    ("nist", "x.ctm", b"0.60 0.20", b"0.60 inf"),
    ("nist", "x.glm", b'"stm"', b'"s(tm"'),
    ("nist", "x.glm", b"max_nrules = '40'", b"max_nrules = 'x'"),
    ("scores", "wer_9_0.0", b"title", b"t\xeftle"),
    ("scores", "x.sgml", b"word_cnt", b"word_count"),
    ("scores", "acronyms.map", b"i b m", b"\xef b m"),
    ("scores", "dict.map", b"i b m", b"\xef b m"),
    ("stores", "soft/meta.json", b'"frame_store"', b'"frame_stor"'),
    ("stores", "frames/meta.json", b'"<f2"', b'"O"'),
    ("stores", "frames/meta.json", b'"num_classes": 5', b'"num_classes": 99999999999999999999'),
]


@pytest.mark.parametrize("name, file, old, new", FOUND, ids=lambda value: str(value)[:30])
def test_what_was_found_is_refused(tmp_path, name, file, old, new):
    files = TARGETS[name].seed()
    assert old in files[file]
    kind, detail = one(TARGETS[name].check, {**files, file: files[file].replace(old, new, 1)}, tmp_path / "case")
    assert kind == "refused", detail


@pytest.mark.parametrize(
    "change",
    [
        {"arcs": lambda a: a - np.array([0, 9, 0, 0], np.int32)},
        {"arcs": lambda a: a[::-1]},
        {"arcs": lambda a: a * np.array([1, 1, 0, 1], np.int32)},
        {"arcs": lambda a: a[:, :3]},
        {"arcs": lambda a: a[:0]},
        {"words": lambda w: w[:1]},
        {"words": lambda w: w - 5},
        {"seq_offsets": lambda o: o + 1},
        {"seq_offsets": lambda o: -o},
        {"seq_words": lambda w: w[:1]},
    ],
)
def test_a_graph_that_leads_outside_itself_is_refused(tmp_path, monkeypatch, change):
    from fuzz.stores import write_graph

    write_graph(tmp_path)
    with np.load(tmp_path / "graph.npz") as whole:
        np.savez(tmp_path / "graph.npz", **{name: change.get(name, lambda array: array)(whole[name]) for name in whole.files})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as error:
        TARGETS["k2_graph"].check()
    assert "graph.npz" in str(error.value.file)


@pytest.mark.parametrize(
    "name, change",
    [
        ("arcs", ("dst", 99)),
        ("arcs", ("dst", 0)),
        ("arcs", ("src", -1)),
        ("arcs", ("word", -1)),
        ("arcs", ("am", np.nan)),
        ("states", ("level", 99)),
        ("states", ("level", 0)),
        ("states", ("frame", -1)),
    ],
)
def test_a_lattice_that_leads_outside_itself_is_refused(tmp_path, name, change):
    from pytorch_nnet.decoding.lattice import Lattice, LatticeReader, LatticeWriter

    lattice = Lattice.build(np.arange(9), np.arange(1, 10), np.arange(1, 10), np.zeros(9), np.zeros(9), np.arange(10))
    getattr(lattice, name)[change[0]][5] = change[1]
    with LatticeWriter(tmp_path / "lat.1.npz") as writer:
        writer.write("u", lattice)
    with pytest.raises(RecipeError, match="contradicts itself") as error:
        LatticeReader(tmp_path / "lat.1.npz")["u"]
    assert error.value.id == "u"


def stumbling(change):
    """A target whose check calls `change`."""
    return Target("stumbling", lambda: {"x": b"one 1\ntwo 2\n"}, change)


def endless():
    with reading("x"):
        while True:
            time.sleep(0.01)


def greedy():
    with reading("x"):
        bytearray(1 << 33)


def refusing():
    raise RecipeError("no")


@pytest.mark.parametrize(
    "change, kind",
    [
        (lambda: None, "read"),
        (refusing, "refused"),
        (lambda: {}["x"], "KeyError in the check"),
        (greedy, "memory"),
        (endless, "too long"),
        (lambda: os.kill(os.getpid(), 9), "process ended (SIGKILL)"),
        (lambda: os._exit(3), "process ended (code 3)"),
        (lambda: open("sprung", "w").close(), "a command ran"),
    ],
)
def test_every_kind_of_failure_is_seen(monkeypatch, change, kind):
    monkeypatch.setattr("fuzz.harness.SECONDS", 0.2)
    outcomes = list(run(stumbling(change), range(3), 1))
    assert [(outcome.number, outcome.kind) for outcome in outcomes] == [(0, kind), (1, kind), (2, kind)]
    assert all(outcome.failed == (kind not in ("read", "refused")) for outcome in outcomes)


def test_cases_are_what_their_seed_says(tmp_path, monkeypatch):
    files = {"x": b"one 1\ntwo 2\n", "y": b"three 3\n"}
    assert case(files, "t", 1, 5) == case(files, "t", 1, 5) and files["x"] == b"one 1\ntwo 2\n"
    assert len({str(case(files, "t", seed, number)) for seed in (1, 2) for number in range(20)}) > 30
    for change in (*BYTES, *TEXT):
        for content in (b"", b"\n", b"a", b"a b\nc 1\n", bytes(range(256))):
            assert change(content, random.Random(1)) == change(content, random.Random(1)), change.__name__
    assert mutate(b"a 1\n", random.Random(3)) == mutate(b"a 1\n", random.Random(3))
    target = stumbling(lambda: {}["x"])
    monkeypatch.setitem(TARGETS, "stumbling", target)
    outcome = next(run(target, [4], 9))
    keep(outcome, 9, tmp_path)
    report = (tmp_path / "stumbling-9-4/report.txt").read_text()
    assert "tests/fuzz.sh --target stumbling --seed 9 --case 4" in report and "KeyError" in report
    assert {path.name: path.read_bytes() for path in (tmp_path / "stumbling-9-4/files").iterdir()} == case(target.seed(), "stumbling", 9, 4)
