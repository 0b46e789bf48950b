"""Packages, pieces of long audio, forms of a transcript. The recogniser itself is tested on the smoke recipe (tests/smoke)."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytorch_nnet.decoding.decode import ScaledSearchOptions
from pytorch_nnet.features.fbank import FbankConfig
from pytorch_nnet.frames.store import write_frame_store
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.models import load_model
from pytorch_nnet.models.model_dir import make_ensemble
from pytorch_nnet.recognition.cli import SystemOptions
from pytorch_nnet.recognition.cli import system as experiment
from pytorch_nnet.recognition.package import Package, open_package, write_package
from pytorch_nnet.recognition.pauses import LONGEST, SHORTEST, cut_at_pauses, largest_around, with_speech
from pytorch_nnet.recognition.recognizer import Recognizer, resample
from pytorch_nnet.recognition.transcript import Transcript, Word, to_ctm, to_json, to_srt, to_text
from pytorch_nnet.scoring.wer import Counts, write_wer
from pytorch_nnet.training.trainer import Trainer
from test_training import CLASSES, make_store, tiny_options

EXTRACTOR = {"feature_type": "root-fbank", **FbankConfig().to_dict()}


@given(st.integers(1, 12_000), st.integers(0, 9))
def test_pieces_cover_the_recording_and_are_short(frames, seed):
    pieces = cut_at_pauses(np.random.default_rng(seed).random(frames), 100)
    assert pieces[0][0] == 0 and pieces[-1][1] == frames
    assert all(one[1] == two[0] for one, two in zip(pieces, pieces[1:]))
    lengths = [end - begin for begin, end in pieces]
    assert max(lengths) <= LONGEST * 100 and min(lengths[:-1], default=LONGEST * 100) >= SHORTEST * 100 and lengths[-1] > 0


def test_cuts_are_in_pauses():
    energy = np.ones(6000)
    for begin in (1250, 2890, 3500, 5000):  # pauses of 0.4 s; and one quiet frame, which is no pause
        energy[begin:begin + 40] = 0.1
    energy[800] = 0
    cuts = [begin for begin, _ in cut_at_pauses(energy, 100)[1:]]
    assert [min(abs(cut - middle) for middle in (1270, 2910, 3520, 5020)) <= 8 for cut in cuts] == [True] * len(cuts) and len(cuts) >= 3


def test_frames_with_speech_and_a_little_around_them():
    energy = np.random.default_rng(0).random(1000)
    energy[400:500] += 9
    energy[700:850] += 8
    found = np.flatnonzero(np.diff(with_speech(energy, 100).astype(int))) + 1
    np.testing.assert_allclose(found, [370, 530, 670, 880], atol=2)
    assert with_speech(np.ones(50), 100).shape == (50,)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=30), st.integers(0, 12))
def test_largest_around_is_that_of_a_window(values, width):
    values = np.array(values)
    before, after = (width // 2, (width - 1) // 2) if width > 1 else (0, 0)
    expected = [values[max(t - before, 0):t + after + 1].max() for t in range(len(values))]
    np.testing.assert_array_equal(largest_around(values, width), expected)


@pytest.mark.slow
def test_resampling_keeps_a_tone_and_removes_what_the_new_rate_cannot_hold():
    time = np.arange(44_100) / 44_100
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (1000, 6000))
    heard = resample(low + high, 44_100, 8000)
    assert heard.dtype == np.float32 and len(heard) == 8000
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(8000)))
    assert spectrum.argmax() == 1000 and np.delete(spectrum, range(990, 1011)).max() < 0.01 * spectrum[1000]
    assert resample(low, 8000, 8000) is low


@pytest.fixture
def system(tmp_path):
    """A trained network and a graph folder; what is in graph.npz does not matter here."""
    stores = []
    for name in ("train", "dev"):
        source = make_store(tmp_path / f"{name}0")
        stores.append(write_frame_store(tmp_path / name, ((source.utts[i], rows, labels) for i, rows, labels in source.utterances()),
                                        num_classes=CLASSES, label_map="tree", cmvn=source.cmvn, extractor=EXTRACTOR))
    for name, seed in (("cnn", 1), ("lstm", 2)):
        Trainer(tiny_options(max_epochs=1, seed=seed), *stores, tmp_path / "exp" / name).run()
    graph = tmp_path / "graph"
    graph.mkdir()
    for name, content in (("graph.npz", "arcs"), ("words.txt", "<eps> 0\nyes 1\n"), ("phones.txt", "<eps> 0\n"), ("num_pdfs", f"{CLASSES}\n")):
        (graph / name).write_text(content)
    return tmp_path


def package(system, name="cnn"):
    return Package(name, load_model(system / "exp" / name), system / "graph", 9.0, 0.5, ScaledSearchOptions(beam=11.0, prior_scale=0.7))


@pytest.mark.parametrize("name", ["cnn", "both"])
def test_a_package_computes_what_the_experiment_did(system, name):
    make_ensemble(system / "exp/both", [f"{system}/exp/cnn:3", f"{system}/exp/lstm"])
    made = package(system, name)
    write_package(made, system / "my:system")
    shutil.move(system / "exp", system / "elsewhere")
    shutil.move(system / "my:system", system / "on_another_machine")
    again = open_package(system / "on_another_machine")
    assert (again.name, again.lmwt, again.wip, again.search) == (name, 9.0, 0.5, ScaledSearchOptions(beam=11.0, prior_scale=0.7))
    features = np.random.default_rng(0).standard_normal((30, 31)).astype(np.float32)
    np.testing.assert_array_equal(again.model.posteriors(features), made.model.posteriors(features))
    np.testing.assert_array_equal(again.model.priors, made.model.priors)
    assert again.model.extractor == EXTRACTOR
    assert str(system) not in (system / "on_another_machine/package.json").read_text()
    first = (system / "on_another_machine/package.json").read_bytes()
    write_package(again, system / "copy")
    assert (system / "copy/package.json").read_bytes() == first


@pytest.mark.parametrize("file", ["graph/graph.npz", "networks/1/model.safetensors", "networks/1/prior_counts", "graph/words.txt"])
def test_a_damaged_package_is_not_opened(system, file):
    write_package(package(system), system / "pkg")
    path = system / "pkg" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="damaged") as error:
        open_package(system / "pkg")
    assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(RecipeError, match="missing from a package"):
        open_package(system / "pkg")


@pytest.mark.parametrize("change, message", [
    (lambda facts: facts.update(format="pytorch_nnet package 2"), "another format"), (lambda facts: facts.pop("search"), "not a package"),
    (lambda facts: facts["files"].pop("graph/graph.npz"), "missing from a package"),
    (lambda facts: facts["search"].update(beams=3), "unknown option")])
def test_a_package_that_is_not_understood_is_refused(system, change, message):
    write_package(package(system), system / "pkg")
    facts = json.loads((system / "pkg/package.json").read_text())
    change(facts)
    (system / "pkg/package.json").write_text(json.dumps(facts))
    with pytest.raises(RecipeError, match=message):
        open_package(system / "pkg")


def test_model_and_graph_must_belong_together(system):
    (system / "graph/num_pdfs").write_text("7\n")
    with pytest.raises(RecipeError, match="graph and model disagree"):
        package(system)
    (system / "graph/num_pdfs").write_text(f"{CLASSES}\n")
    info = system / "exp/cnn/info.json"
    info.write_text(info.read_text().replace("root-fbank", "kaldi-mfcc"))
    with pytest.raises(RecipeError, match="how to make its features"):
        package(system)


def test_the_search_is_that_of_the_decoding_it_was_tuned_on(system):
    tuned = system / "exp/cnn/decode_dev"
    tuned.mkdir()
    write_wer(tuned / "wer_9_0.5", Counts(words=10, sub=1, sentences=2, wrong=1), "compute-wer", {})
    options = SystemOptions(model=str(system / "exp/cnn"), graph=str(system / "graph"), tuned_on=str(tuned))
    with pytest.raises(RecipeError, match="decode again"):
        experiment(options)
    (tuned / "search.yaml").write_text("{acwt: 0.125, beam: 9.0, lattice_beam: 3.0, max_active: 1500, min_active: 200, prior_scale: 0.7}")
    found = experiment(options)
    assert (found.lmwt, found.wip) == (9, 0.5) and found.search == ScaledSearchOptions(0.125, 9.0, 3.0, 1500, 200, prior_scale=0.7)
    assert experiment(dataclasses.replace(options, beam=11.0)).search == dataclasses.replace(found.search, beam=11.0)
    np.testing.assert_allclose(Recognizer(found).loglikes(found.model.priors[None]), 0.3 * np.log(found.model.priors)[None], atol=1e-5)


@pytest.mark.parametrize("arguments, sides", [
    (["listen", "a.wav"], ("unknown command", "transcribe or package")),
    (["transcribe", "a.wav"], ("which system?", "--model, --graph, --tuned-on")),
    (["transcribe", "--package", "none", "a.wav"], ("missing input", "none/package.json")),
    (["transcribe", "--package", "pkg", "--format", "mp4", "a.wav"], ("format", "srt")),
    (["transcribe", "--package", "pkg", "--format", "srt", "a.wav", "b.wav"], ("subtitles are of one file",)),
    (["package", "--model", "exp/cnn", "--graph", "graph", "--tuned-on", "none", "graph"], ("a folder that is no package", "graph"))])
def test_the_program_says_what_is_wrong(run, system, arguments, sides):
    done = run("utils/pytorch-nnet", *arguments, cwd=system)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for side in sides:
        assert side in done.stderr


WORDS = [Word("yes", 0.5, 0.3, 0.991), Word("no", 0.9, 0.25, 0.5), Word("well", 3.0, 0.5, 1.0)]


def test_forms_of_a_transcript():
    one, two = Transcript("a b.wav", 1, 4.0, WORDS), Transcript("a b.wav", 2, 4.0, [Word("hm", 0.7, 0.2, 0.25)], [(2.0, 3.0)])
    assert to_text([one]) == "yes no well\n" and to_text([one, two]) == "a b.wav 1 yes no well\na b.wav 2 hm\n"
    assert to_ctm([one, two]).splitlines()[:2] == ["a_b.wav 1 0.50 0.30 yes 0.99", "a_b.wav 1 0.90 0.25 no 0.50"]
    assert to_srt([one, two]).split("\n\n")[:3] == [
        "1\n00:00:00,500 --> 00:00:01,150\nspeaker 1: yes no", "2\n00:00:00,700 --> 00:00:00,900\nspeaker 2: hm",
        "3\n00:00:03,000 --> 00:00:03,500\nspeaker 1: well"]
    assert to_srt([one]).startswith("1\n00:00:00,500 --> 00:00:01,150\nyes no\n")
    parsed = json.loads(to_json([one, two]))
    assert parsed[0]["text"] == "yes no well" and parsed[0]["words"][1] == {"word": "no", "begin": 0.9, "duration": 0.25, "confidence": 0.5}
    assert parsed[1]["failed"] == [[2.0, 3.0]] and parsed[1]["channel"] == 2
    assert to_srt([Transcript("x", 1, 9000.0, [Word("late", 7384.001, 0.5, 1.0)])]).startswith("1\n02:03:04,001 --> 02:03:04,501\n")


def test_captions_are_short():
    words = [Word(f"w{k}", 0.4 * k, 0.4, 1.0) for k in range(25)]
    captions = to_srt([Transcript("x", 1, 10.0, words)]).strip().split("\n\n")
    assert [len(caption.split("\n")[2].split()) for caption in captions] == [10, 10, 5]


def test_the_library_offers_the_recogniser():
    import pytorch_nnet

    assert pytorch_nnet.Recognizer.__module__ == "pytorch_nnet.recognition.recognizer"
    with pytest.raises(AttributeError, match="no attribute"):
        pytorch_nnet.Recogniser  # noqa: B018
