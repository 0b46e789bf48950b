"""The sets of Switchboard: what is in them, their speakers, their figures, and the way to Lhotse and back."""

from collections import Counter
from pathlib import Path

import lhotse
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ldc import compress, fake_sph2pipe, prepared, release  # noqa: F401
from pytorch_nnet.corpus.audio import inspect_audio, read_audio
from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.corpus.maintain import split_data_dir
from pytorch_nnet.corpus.manifests import from_lhotse, to_lhotse
from pytorch_nnet.corpus.placement import place_utterances
from pytorch_nnet.corpus.sets import FIGURES, MAX_SAME_TEXT, compare, kaldi_sets, measure, without_repeats
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.io.errors import RecipeError
from speech import noise

SETS = ("train", "dev", "train_dev", "train_nodev", "train_nodup", "eval2000")


def said(texts) -> DataDir:
    """A data directory in memory with one text after the other."""
    data = DataDir(Path("all"), {})
    for number, text in enumerate(texts):
        utt = f"sw02001-A_{number:06d}-{number + 1:06d}"
        data.utt2spk[utt], data.text[utt] = "sw02001-A", text.split()
        data.segments[utt] = Segment("sw02001-A", number / 100, number / 100 + 0.01)
    data.wav["sw02001-A"], data.channel["sw02001-A"] = "a.sph", ("sw02001", "A")
    return data


def test_kaldis_sets():
    data = said(["yeah"] * 2000 + [f"text {number}" for number in range(40000)] + ["yeah"] * 500)
    sets = kaldi_sets(data)
    assert sets["train_dev"].utts == data.utts[:4000] and sets["train_nodev"].utts == data.utts[4000:]
    texts = Counter(" ".join(words) for words in sets["train_nodup"].text.values())
    assert texts.pop("yeah") == MAX_SAME_TEXT and set(texts.values()) == {1} and len(texts) == 38000
    assert len(kaldi_sets(said(["a", "b"] * 8))["train_dev"].utts) == 2, "an eighth of a small corpus"


@given(st.lists(st.sampled_from("aab"), min_size=1, max_size=60), st.integers(1, 7))
def test_repeats_are_thinned_evenly(texts, most):
    data = said(texts)
    kept = without_repeats(data, data.utts, most)
    assert kept == [utt for utt in data.utts if utt in set(kept)]
    for text, number in Counter(texts).items():
        places = [place for place, utt in enumerate(u for u in data.utts if data.text[u] == [text]) if utt in set(kept)]
        assert len(places) == min(number, most)
        assert max(np.diff([-1, *places]), default=0) <= -(-number // most) + 1


def figures(**changed) -> dict[str, dict[str, float]]:
    """Sizes as published, but for `changed`, whose keys are set__column."""
    sizes = {name: {} for name in ("all", *SETS)}
    for figure in FIGURES:
        sizes[figure.set][figure.what] = figure.value
    for key, value in changed.items():
        name, column = key.split("__")
        sizes[name][column.replace("_", " ")] = value
    return sizes


def test_a_complete_release_has_its_published_size():
    lines = compare(figures())
    assert len(lines) == len(FIGURES) and "eval2000: 1831 Switchboard segments, published 1831 (+0.0 %; its sw_ half)" in lines
    compare(figures(all__conversations=2438, all__sides=4876))
    assert any("-10.0 %" in line for line in compare(figures(train__segments=223200))), "printed, not asserted"


@pytest.mark.parametrize("changed", [{"all__segments": 260000}, {"all__hours": 300}, {"train_dev__segments": 3999}, {"eval2000__segments": 4458},
                                     {"eval2000__Switchboard_segments": 1830}, {"eval2000__CallHome_segments": 2629}, {"eval2000__sides": 79}])
def test_a_complete_release_of_another_size_is_refused(changed):
    with pytest.raises(RecipeError, match="published size") as error:
        compare(figures(**changed))
    assert error.value.id.replace(", ", "__").replace(" ", "_") in changed
    assert len(compare(figures(**changed), asserted=False)) == len(FIGURES)


def test_figures_do_not_apply_to_a_part():
    lines = compare(figures(all__conversations=2000, all__hours=3, eval2000__conversations=8, eval2000__segments=9))
    assert len(lines) == 2 and all("do not apply" in line for line in lines)


def test_every_set_is_written_and_counted(release):
    report = prepared(release)
    for name in SETS:
        data = validate_data_dir(release / "data" / name, feats=False)
        assert measure(data) == report.sizes[name] and set(data.utt2spk.values()) == set(data.wav)
    assert report.sizes["all"]["segments"] == 12 and report.sizes["train_nodev"]["segments"] == 11
    assert report.sizes["train"]["hours"] == pytest.approx(8 * 0.75 / 3600, rel=0.01) and report.sizes["train"]["words"] == 4 * 5
    train, dev = report.sets["train"], report.sets["dev"]
    assert not {file for file, _ in train.channel.values()} & {file for file, _ in dev.channel.values()}
    again = (release / "data/local/prepare_switchboard.txt").read_bytes()
    prepared(release)
    assert (release / "data/local/prepare_switchboard.txt").read_bytes() == again


@pytest.mark.parametrize("name", SETS)
def test_to_lhotse_and_back(release, name, monkeypatch):
    monkeypatch.setenv("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")
    prepared(release)
    data = DataDir.load(release / "data" / name)
    recordings, supervisions, cuts = to_lhotse(data, sampling_rate=8000)
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    lhotse.validate(cuts, read_data=True)
    assert {recording.num_channels for recording in recordings} == {2}
    cuts.to_file(release / "cuts.jsonl.gz")
    back = from_lhotse(lhotse.load_manifest(release / "cuts.jsonl.gz"), release / "back")
    for path in data.path.iterdir():
        if path.name not in ("stm", "glm", "acronyms.map"):
            assert (back.path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_two_sides_are_two_speakers(release):
    """Side B is a quiet tone, side A loud noise: their statistics are their own, whatever the order and the split."""
    for number, path in enumerate(sorted((release / "swbd").rglob("*.[sS][pP][hH]"))):
        tone = 0.01 * np.sin(np.arange(16000) * 0.3)
        soundfile.write(path, np.stack([noise(2, seed=number), tone], axis=1), 8000, format="NIST", subtype="ULAW")
    prepared(release)
    folder = release / "data/train"
    data, feats = DataDir.load(folder), {}
    for place in place_utterances(data):
        samples = read_audio(place.audio.source)[0][place.channel, place.samples]
        feats[place.utt] = np.log(samples[:len(samples) // 80 * 80].reshape(-1, 80).std(axis=1, keepdims=True) + 1e-4).astype(np.float32)
    write_ark_scp(folder / "data/energy.ark", folder / "feats.scp", feats.items())
    compute_cmvn_stats(FeatureReader(folder, cmvn=None))
    reader = FeatureReader(folder, cmvn=None)
    assert reader.data.cmvn.keys() == {"sw02001-A", "sw02001-B", "sw02003-A", "sw02003-B"}
    normalised = FeatureReader(folder)
    for speaker, utts in reader.data.spk2utt.items():
        assert {reader.data.segments[utt].recording for utt in utts} == {speaker}
        assert reader.data.channel[speaker] == (speaker[:-2], speaker[-1])
        own = np.concatenate([normalised[utt] for utt in utts])
        assert np.abs(own.mean(axis=0)).max() < 1e-3
    energy = {speaker: np.concatenate([reader[utt] for utt in utts])[:, 0].mean() for speaker, utts in reader.data.spk2utt.items()}
    assert min(energy["sw02001-A"], energy["sw02003-A"]) > max(energy["sw02001-B"], energy["sw02003-B"]) + 2
    for jobs in (2, 3, 4):
        parts = [DataDir.load(part) for part in sorted(split_data_dir(folder, jobs).iterdir())]
        speakers = [speaker for part in parts for speaker in part.spk2utt]
        assert sorted(speakers) == sorted(reader.data.spk2utt) and len(speakers) == 4
        assert [utt for part in parts for utt in part.utts] == reader.data.utts


def test_compressed_sphere_is_read_through_sph2pipe(release, monkeypatch, tmp_path):
    path = release / "swbd/DISC2001/sw02001.sph"
    plain, _ = read_audio(str(path))
    compress(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match="only sph2pipe can undo") as error:
        read_audio(str(path))
    assert error.value.file == str(path)
    fake_sph2pipe(tmp_path / "sph2pipe")
    samples, rate = read_audio(str(path))
    assert rate == 8000 and np.array_equal(samples, plain) and samples.shape == (2, 16000)
    assert inspect_audio(str(path), sampling_rate=8000).samples == 16000
    path.write_bytes(path.read_bytes()[:2000])
    (tmp_path / "sph2pipe").write_text("#!/bin/sh\necho half a file; echo broken >&2; exit 3\n")
    with pytest.raises(RecipeError, match="sph2pipe failed(.|\n)*exit code 3(.|\n)*broken"):
        read_audio(str(path))
