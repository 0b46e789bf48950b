"""Corpora: data directories, the LDC's releases, Fisher, audio."""

import contextlib
import gzip
import io
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from fuzz.harness import Files, taken, target
from pytorch_nnet.corpus.audio import inspect_audio, read_audio
from pytorch_nnet.corpus.datadir import DataDir, read_text
from pytorch_nnet.corpus.fisher import prepare_fisher
from pytorch_nnet.corpus.maintain import fix_data_dir, read_cut_lines, split_data_dir, subset_data_dir
from pytorch_nnet.corpus.placement import place_utterances
from pytorch_nnet.corpus.speed import perturb_data_dir_speed
from pytorch_nnet.corpus.sphere import read_sphere
from pytorch_nnet.corpus.switchboard import prepare
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.io.ids import fault
from pytorch_nnet.lang.lexicon import Dictionary

UTTS = ["sw02001-A_000010-000085", "sw02001-A_000090-000175", "sw02001-B_000010-000085", "sw02002-A_000100-000150"]


def sound(channels: int = 2, samples: int = 1600, form: str = "NIST", subtype: str = "ULAW") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(1).standard_normal((samples, channels)), 8000, format=form, subtype=subtype)
    return file.getvalue()


def data_dir() -> Files:
    recording = {utt: utt[:9] for utt in UTTS}
    sides = sorted(set(recording.values()))
    tables = {
        "utt2spk": [f"{utt} {recording[utt]}" for utt in UTTS],
        "spk2utt": [" ".join([side, *(utt for utt in UTTS if recording[utt] == side)]) for side in sides],
        "text": [f"{utt} hello the[re]- {n} it's" for n, utt in enumerate(UTTS)],
        "segments": [f"{utt} {recording[utt]} {n / 10:.2f} {n / 10 + 0.07 * (n + 1):.3f}" for n, utt in enumerate(UTTS)],
        "wav.scp": [f"{side} audio/{side[:7]}.sph" for side in sides],
        "reco2file_and_channel": [f"{side} {side[:7]} {side[-1]}" for side in sides],
        "reco2speed": [f"{side} 0.9" for side in sides],
        "feats.scp": [f"{utt} data/feats.ark:{24 + 100 * n}" for n, utt in enumerate(UTTS)],
        "cmvn.scp": [f"{side} data/cmvn.ark:{n}" for n, side in enumerate(sides)],
        "utt2num_frames": [f"{utt} {5 * n + 5}" for n, utt in enumerate(UTTS)]}
    cuts = "".join(json.dumps({"id": utt}) + "\n" for utt in UTTS)
    return {**{f"data/{name}": "".join(f"{line}\n" for line in lines).encode() for name, lines in tables.items()},
            "data/cuts.jsonl.gz": gzip.compress(cuts.encode(), mtime=0)}


def sensible(data: DataDir) -> None:
    """What every step expects of a data directory that could be read."""
    for id in (*data.utt2spk, *data.utt2spk.values(), *data.wav, *data.channel, *(word for pair in data.channel.values() for word in pair)):
        assert fault(id) is None, id
    assert data.utts and data.utts == sorted(data.utts, key=str.encode)
    assert all(words and all(word.split() == [word] for word in words) for words in data.text.values())
    assert all(math.isfinite(s.end) and 0 <= s.start < s.end for s in data.segments.values())
    assert all(count >= 0 for count in data.num_frames.values()) and all(0.5 <= factor <= 2 for factor in data.speed.values())


@target(data_dir)
def data_directory():
    data = DataDir.load("data")
    sensible(data)
    data.write("again")
    again = DataDir.load("again")
    assert (again.utt2spk, again.text, again.wav, again.channel, again.feats, again.cmvn, again.num_frames) == (
        data.utt2spk, data.text, data.wav, data.channel, data.feats, data.cmvn, data.num_frames)
    assert again.segments.keys() == data.segments.keys() and all(abs(again.segments[utt].start - s.start) < 1e-3 for utt, s in data.segments.items())
    with contextlib.suppress(RecipeError):
        validate_data_dir("data")
        validate_data_dir("again")  # has no cuts, but nothing wrong
    for job in range(1, min(2, len(again.spk2utt)) + 1):
        split = split_data_dir("again", job)
        assert [utt for number in range(1, job + 1) for utt in DataDir.load(split / str(number)).utts] == data.utts
    assert len(DataDir.load(subset_data_dir("again", 1, "one").path).utts) == 1
    with contextlib.suppress(RecipeError):
        Path("again/reco2speed").unlink(missing_ok=True)
        perturb_data_dir_speed("again", [0.9, 1], "fast")
        sensible(DataDir.load("fast"))


@target(data_dir)
def fixed_data_directory():
    before = taken("data")
    dropped = fix_data_dir("data")
    after = taken("data")
    for name, content in before.items():
        assert after.get(name) == content or after[f".backup/{name}"] == content, f"{name} is lost"
    with contextlib.suppress(RecipeError):  # it may still hold what nobody can mend, such as bad times
        data = DataDir.load("data")
        sensible(data)
        assert not set(dropped) & set(data.utts)
    assert fix_data_dir("data") == {}


@target(lambda: {"cuts.jsonl.gz": data_dir()["data/cuts.jsonl.gz"]})
def cuts():
    assert all(isinstance(utt, str) and line.strip() for utt, line in read_cut_lines("cuts.jsonl.gz"))


def recordings() -> Files:
    return {"a.sph": sound(), "b.wav": sound(1, 800, "WAV", "PCM_16"), "c.flac": sound(1, 800, "FLAC", "PCM_16"), "d.sph": sound(2, 300, "NIST", "PCM_16")}


@target(recordings)
def audio():
    refused = 0
    for name in recordings():
        try:
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(".sph") and Path(name).exists():
                    assert read_sphere(name).samples > 0
            info = inspect_audio(name, sampling_rate=8000)
            samples, rate = read_audio(name)
            assert samples.shape == (info.channels, info.samples) and rate == 8000 and np.isfinite(samples).all() and np.abs(samples).max() <= 1
        except RecipeError:
            refused += 1
    if refused:
        raise RecipeError("refused")


@target(lambda: {**data_dir(), "audio/sw02001.sph": sound(2, 8000), "audio/sw02002.sph": sound(2, 8000)})
def placed_utterances():
    data = DataDir.load("data")
    for place in place_utterances(data):
        assert 0 <= place.start < place.end and place.samples.start <= place.samples.stop and place.channel < place.audio.channels


def release() -> Files:
    import ldc

    files: Files = {}
    for side in "AB":
        files[f"ms98/20/sw2001{side}-ms98-a-trans.text"] = "".join(line.format(n=2001, s=side) + "\n" for line in ldc.TRANSCRIPT * 1).encode()
        files[f"ms98/20/sw2002{side}-ms98-a-trans.text"] = "".join(line.format(n=2002, s=side) + "\n" for line in ldc.TRANSCRIPT * 1).encode()
    for name, lines in (("ms98/sw-ms98-dict.text", ldc.DICTIONARY), ("eval/hub5e_00.pem", ldc.PEM), ("eval/hub5e00.english.000405.stm", ldc.STM),
                        ("eval/en20000405_hub5.glm", [";; rules", "UH => %HESITATION / [ ] __ [ ]"])):
        files[name] = "".join(f"{line}\n" for line in lines).encode()
    audio = sound(2, 16000)
    return files | {"swbd/sw02001.sph": audio, "swbd/sw02002.sph": audio, "eval/sw_4390.sph": audio}


@target(release, cost=3)
def ldc_release():
    report = prepare("swbd", "ms98", ["eval"], "out", max_bad_percent=20, max_oov_percent=90)
    for name, part in report.sets.items():
        data = DataDir.load(f"out/{name}", need=("text", "segments", "wav.scp"))
        sensible(data)
        assert data.utts == part.utts and data.text == part.text
    Dictionary.load("out/local/dict", "<unk>")


FISHER = "# fe_03_00001.sph\n\n0.35 2.01 A: hello (( there )) [laugh]\n1.90 3.1 B: ((an-)) *mark i'm 'em\n3.5 4 A: <german ja> so, the topic?\n"


@target(lambda: {"fisher/fe_03_00001.txt": FISHER.encode(), "fisher/x/FE_03_00002.TXT": FISHER.replace("A:", "B:").encode()})
def fisher():
    prepare_fisher(["fisher"], "text", max_bad_percent=40)
    if Path("text").stat().st_size:
        for utt, words in read_text("text").items():
            assert utt.startswith("fe_03_") and words


@target(lambda: {"text": b"utt1 hello there\nutt2 a b\nutt3 c\n"})
def transcripts():
    text = read_text("text")
    assert text and all(fault(utt) is None and words for utt, words in text.items()) and list(text) == sorted(text, key=str.encode)


def temporary(write) -> Files:
    """The files that `write` makes in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return taken(folder)
