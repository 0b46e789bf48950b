"""The trained system taken home: a package, and words from audio files with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kaldialign
import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.audio import read_audio
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.recognition.recognizer import resample

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def package(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "system"
    call(recipe, "package", "--model", "exp/dnn", "--graph", "exp/tri3/graph", "--tuned-on", "exp/dnn/decode_dev_tg", folder)
    assert json.loads((folder / "package.json").read_text())["search"]["beam"] == 8, "as conf/smoke/sizes.sh has it"
    return folder


def call(cwd, *arguments):
    done = subprocess.run([ROOT / "utils/pytorch-nnet", *map(str, arguments)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def conversation(recipe):
    """A two-sided test file, and the words of each side's segments, from its transcript."""
    data = DataDir.load(recipe / "data/eval2000")
    side = next(iter(data.wav))
    name = data.channel[side][0]
    words = {"A": [], "B": []}
    for utt in sorted(data.utts, key=lambda utt: data.segments[utt].start):
        file, channel = data.channel[data.segments[utt].recording]
        if file == name:
            words[channel] += data.text[utt]
    return data.wav[side], words


def test_a_telephone_call_becomes_words_with_times(package, conversation, tmp_path):
    path, said = conversation
    heard = json.loads(call(tmp_path, "transcribe", "--package", package, "--format", "json", path))
    audio, rate = read_audio(path)
    assert [(t["file"], t["channel"]) for t in heard] == [(path, 1), (path, 2)] and not heard[0]["failed"]
    ours, theirs = [], []
    for transcript, side in zip(heard, "AB"):
        assert transcript["duration"] == pytest.approx(audio.shape[1] / rate, abs=1e-3)
        begins = [word["begin"] for word in transcript["words"]]
        assert begins == sorted(begins) and 0 <= begins[0] and transcript["words"][-1]["begin"] < transcript["duration"]
        assert all(0 <= word["confidence"] <= 1 and word["duration"] >= 0 for word in transcript["words"])
        found = transcript["text"].split()
        ours.append(kaldialign.edit_distance(said[side], found)["total"] / len(said[side]))
        theirs.append(kaldialign.edit_distance(said["BA"["AB".index(side)]], found)["total"] / len(said[side]))
    # The smoke system gets most words wrong, but the words of the other side it would get wrong almost all.
    assert np.mean(ours) < 0.85 and np.mean(ours) < np.mean(theirs) - 0.1, (ours, theirs)


def test_a_network_of_ctc_is_taken_home_too(recipe, conversation, tmp_path):
    network = "exp/ctc/bigru"
    call(recipe, "package", "--model", network, "--graph", f"{network}/graph", "--tuned-on", f"{network}/decode_dev_tg", tmp_path / "system")
    heard = json.loads(call(tmp_path, "transcribe", "--package", "system", "--format", "json", conversation[0]))
    assert len(heard) == 2 and all(not transcript["failed"] for transcript in heard)
    for transcript in heard:
        begins = [word["begin"] for word in transcript["words"]]
        assert begins == sorted(begins) and all(begin >= 0 for begin in begins)  # few or none: the smoke network has learned little
        assert all(word["begin"] + word["duration"] <= transcript["duration"] + 0.05 for word in transcript["words"])


def test_any_sampling_rate_and_format_gives_about_the_same_words(package, conversation, tmp_path):
    audio, rate = read_audio(conversation[0])
    soundfile.write(tmp_path / "call.flac", np.stack([resample(side, rate, 22_050) for side in audio], 1), 22_050)
    first, second = (call(tmp_path, "transcribe", "--package", package, path).splitlines() for path in (conversation[0], "call.flac"))
    for one, two in zip(first, second, strict=True):
        one, two = one.split()[2:], two.split()[2:]
        assert kaldialign.edit_distance(one, two)["total"] <= 0.25 * len(one)


def test_ctm_and_subtitles_are_written(package, conversation, tmp_path):
    call(tmp_path, "transcribe", "--package", package, "--format", "srt", "--out", "call.srt", conversation[0])
    ctm = call(tmp_path, "transcribe", "--package", package, "--format", "ctm", conversation[0])
    assert (tmp_path / "call.srt").read_text().startswith("1\n00:00:") and "speaker 2: " in (tmp_path / "call.srt").read_text()
    assert all(len(line.split()) == 6 for line in ctm.splitlines()) and len(ctm.splitlines()) > 20


def test_bad_audio_is_named(package, tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(300), 8000)
    (tmp_path / "text.wav").write_text("no audio")
    for name, message in (("short.wav", "too short to recognise"), ("text.wav", "text.wav"), ("none.wav", "none.wav")):
        done = subprocess.run([ROOT / "utils/pytorch-nnet", "transcribe", "--package", package, name], cwd=tmp_path, capture_output=True,
                              text=True)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_decoder_that_dies_is_reported(package, conversation, tmp_path):
    """A Python without k2 in the place of the one that has it."""
    done = subprocess.run([ROOT / "utils/pytorch-nnet", "transcribe", "--package", package, conversation[0]], cwd=tmp_path, text=True,
                          capture_output=True, env={**os.environ, "K2_PYTHON": sys.executable})
    assert done.returncode == 1 and "this Python has no k2" in done.stderr and "Traceback" not in done.stderr
