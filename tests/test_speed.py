"""Speed perturbation: data directories, audio, features, and the way to Lhotse and back."""

import lhotse
import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.audio import read_audio
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.corpus.maintain import fix_data_dir
from pytorch_nnet.corpus.manifests import from_lhotse, to_lhotse
from pytorch_nnet.corpus.placement import place_utterances
from pytorch_nnet.corpus.speed import change_speed, perturb_data_dir_speed, samples_after
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.features.compute import MakeFbankOptions, make_features
from pytorch_nnet.io.archives import read_matrix
from pytorch_nnet.io.errors import RecipeError
from speech import telephone
from test_manifests import tables


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_a_tone_is_higher_and_shorter_by_the_factor(factor):
    time = np.arange(8000) / 8000
    audio = np.stack([np.sin(2 * np.pi * 500 * time), np.zeros(8000)]).astype(np.float32)
    changed = change_speed(audio, factor, 8000)
    assert changed.shape == (2, samples_after(8000, factor)) == (2, round(8000 / factor))
    spectrum = np.abs(np.fft.rfft(changed[0] * np.hanning(changed.shape[1])))
    assert spectrum.argmax() * 8000 / changed.shape[1] == pytest.approx(500 * factor, abs=1)
    inside = np.abs(changed[0, 500:-500])
    assert inside.max() == pytest.approx(1, abs=0.02) and not changed[1].any()


def test_a_perturbed_directory_has_kaldis_ids_and_whole_speakers(tmp_path, run):
    data = telephone(tmp_path)
    done = run("utils/perturb_data_dir_speed", "0.9,1,1.1", data.path, tmp_path / "sp")
    assert done.returncode == 0, done.stderr
    found = validate_data_dir(tmp_path / "sp", feats=False)
    assert len(found.utts) == 3 * len(data.utts) and len(found.spk2utt) == 3 * len(data.spk2utt)
    assert found.utt2spk["sp0.9-sw02001-A_000010-000085"] == "sp0.9-sw02001-A"
    assert found.utt2spk["sw02001-A_000010-000085"] == "sw02001-A"
    segment = found.segments["sp1.1-sw02001-A_000090-000175"]
    assert (segment.recording, segment.start, segment.end) == ("sp1.1-sw02001-A", pytest.approx(0.9 / 1.1, abs=1e-3), pytest.approx(1.75 / 1.1, abs=1e-3))
    assert found.wav["sp1.1-sw02001-A"] == data.wav["sw02001-A"] and found.channel["sp1.1-sw02001-B"] == ("sp1.1-sw02001", "B")
    assert found.speed == {prefix + r: factor for prefix, factor in (("sp0.9-", 0.9), ("", 1.0), ("sp1.1-", 1.1)) for r in data.wav}
    for utt, words in data.text.items():
        assert found.text[utt] == found.text[f"sp0.9-{utt}"] == found.text[f"sp1.1-{utt}"] == words


@pytest.mark.slow
def test_features_are_those_of_the_changed_audio(tmp_path):
    """A perturbed directory against one of files that were resampled beforehand."""
    data = telephone(tmp_path, conversations=1)
    perturbed = perturb_data_dir_speed(data.path, [1.1, 0.9], tmp_path / "sp")
    beforehand = perturb_data_dir_speed(data.path, [1.1, 0.9], tmp_path / "files")
    for recording, factor in perturbed.speed.items():
        audio, _ = read_audio(data.wav[recording.split("-", 1)[1]])
        path = tmp_path / f"{recording}.wav"
        soundfile.write(path, change_speed(audio, factor, 8000).T, 8000, subtype="FLOAT")
        beforehand.wav[recording] = str(path)
    beforehand.speed = {}
    (tmp_path / "files/reco2speed").unlink()
    beforehand.write(tmp_path / "files")
    for folder in ("sp", "files"):
        make_features(tmp_path / folder, MakeFbankOptions(num_mel_bins=31, nj=2))
    found, expected = (DataDir.load(tmp_path / folder) for folder in ("sp", "files"))
    for factor in (0.9, 1.1):
        assert found.num_frames[f"sp{factor}-sw02001-A_000090-000175"] == 1 + int(8000 * 0.85 / factor - 200) // 80
    for utt in expected.utts:
        np.testing.assert_array_equal(read_matrix(found.feats[utt]), read_matrix(expected.feats[utt]))


def test_lhotse_reads_the_same_samples_and_the_way_back_is_exact(tmp_path, monkeypatch):
    monkeypatch.setenv("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")
    data = perturb_data_dir_speed(telephone(tmp_path, conversations=1).path, [1, 0.9], tmp_path / "sp")
    recordings, supervisions, cuts = to_lhotse(DataDir.load(data.path))
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions)
    for place in place_utterances(DataDir.load(data.path)):
        audio = change_speed(read_audio(place.audio.source)[0], place.speed, 8000)[place.channel, place.samples]
        found = cuts[place.utt].load_audio()[0]
        # Lhotse resamples the cut, from the nearest whole sample on, and we the recording: a shift of half a sample at most.
        assert len(found) == len(audio) and np.corrcoef(found, audio)[0, 1] > (0.92 if place.speed != 1 else 1 - 1e-9)
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    back = from_lhotse(lhotse.load_manifest(tmp_path / "cuts.jsonl.gz"), tmp_path / "back")
    assert tables(back.path) == tables(data.path)
    louder = lhotse.CutSet.from_cuts(cut.perturb_volume(2.0) for cut in cuts)
    with pytest.raises(RecipeError, match="transform") as error:
        from_lhotse(louder, tmp_path / "louder")
    assert "Volume" in str(error.value)


@pytest.mark.parametrize("factors", [[], [0.9, 0.9], [0.4], [3], [float("nan")]])
def test_bad_factors_are_refused(tmp_path, factors):
    with pytest.raises(RecipeError, match="bad speeds"):
        perturb_data_dir_speed(telephone(tmp_path).path, factors, tmp_path / "sp")
    assert not (tmp_path / "sp").exists()


def test_speed_is_changed_once_and_its_table_checked(tmp_path):
    data = telephone(tmp_path)
    perturb_data_dir_speed(data.path, [0.9, 1], tmp_path / "sp")
    with pytest.raises(RecipeError, match="changed before"):
        perturb_data_dir_speed(tmp_path / "sp", [0.9], tmp_path / "again")
    table = tmp_path / "sp" / "reco2speed"
    whole = table.read_text()
    for content, message in ((whole.replace("0.9\n", "fast\n", 1), "not a speed"), (whole.replace("0.9\n", "9\n", 1), "not a speed"),
                             (whole.split("\n", 1)[1], "wav.scp and reco2speed disagree")):
        table.write_text(content)
        with pytest.raises(RecipeError, match=message):
            DataDir.load(tmp_path / "sp")
    # fix_data_dir drops the recording without a speed.
    assert fix_data_dir(tmp_path / "sp") and DataDir.load(tmp_path / "sp").speed.keys() == DataDir.load(tmp_path / "sp").wav.keys()
