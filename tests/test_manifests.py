"""Audio checks, placements, and data directories to Lhotse and back."""

import lhotse
import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.audio import inspect_audio, read_audio
from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.corpus.manifests import from_lhotse, to_lhotse, write_manifests
from pytorch_nnet.corpus.placement import place_utterances
from pytorch_nnet.io.errors import RecipeError
from speech import noise, telephone

FORMATS = {"a.sph": ("NIST", "ULAW"), "b.sph": ("NIST", "PCM_16"), "c.wav": ("WAV", "PCM_16"),
           "d.flac": ("FLAC", "PCM_16")}


def tables(folder):
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def test_telephone_data_survives_the_way_to_lhotse_and_back(tmp_path):
    data = telephone(tmp_path)
    _, _, cuts = to_lhotse(data, sampling_rate=8000)
    cuts.to_file(tmp_path / "cuts.jsonl.gz")
    back = from_lhotse(lhotse.load_manifest(tmp_path / "cuts.jsonl.gz"), tmp_path / "back")
    assert tables(back.path) == tables(data.path)
    assert DataDir.load(back.path).channel["sw02002-B"] == ("sw02002", "B")


def test_manifests_are_valid_and_name_the_right_channel(tmp_path, monkeypatch):
    monkeypatch.setenv("LHOTSE_AUDIO_BACKEND", "LibsndfileBackend")
    data = telephone(tmp_path)
    recordings, supervisions, cuts = to_lhotse(data)
    lhotse.qa.validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    lhotse.validate(cuts, read_data=True)
    assert [recording.id for recording in recordings] == ["sw02001", "sw02002"], "one recording per file"
    assert [cut.id for cut in cuts] == data.utts
    audio, rate = read_audio(data.wav["sw02001-B"])
    cut = cuts["sw02001-B_000090-000175"]
    assert cut.channel == 1 and cut.supervisions[0].speaker == "sw02001-B"
    assert cut.supervisions[0].text == "hello sw02001 b"
    np.testing.assert_array_equal(cut.load_audio()[0], audio[1, 7200:14000])


def test_whole_files_need_no_segments(tmp_path):
    data = DataDir(tmp_path / "data", {})
    for utt in ("ann-1", "bob-1"):
        soundfile.write(tmp_path / f"{utt}.wav", noise(1), 8000)
        data.utt2spk[utt], data.text[utt], data.wav[utt] = utt[:3], ["yes"], str(tmp_path / f"{utt}.wav")
    data.write()
    _, _, cuts = to_lhotse(data)
    assert cuts["bob-1"].duration == 1.0 and cuts["bob-1"].channel == 0
    assert tables(from_lhotse(cuts, tmp_path / "back").path) == tables(data.path)


def test_a_part_of_a_recording_under_its_name_keeps_its_times(tmp_path):
    soundfile.write(tmp_path / "ann.wav", noise(3), 8000)
    source = lhotse.AudioSource("file", [0], str(tmp_path / "ann.wav"))
    recording = lhotse.Recording("ann", [source], sampling_rate=8000, num_samples=24000, duration=3.0)
    part = lhotse.SupervisionSegment(id="ann", recording_id="ann", start=0.0, duration=1.5, speaker="ann")
    cut = lhotse.MonoCut(id="ann", start=1.0, duration=1.5, channel=0, recording=recording, supervisions=[part])
    assert from_lhotse(lhotse.CutSet.from_cuts([cut]), tmp_path / "back").segments == {"ann": Segment("ann", 1.0, 2.5)}
    with pytest.raises(RecipeError, match="two cuts of one utterance"):
        from_lhotse(lhotse.CutSet.from_cuts([cut, cut.with_id("again")]), tmp_path / "none")


def test_a_second_conversion_leaves_nothing_of_the_first(tmp_path):
    data = telephone(tmp_path, conversations=1)
    _, _, cuts = to_lhotse(data)
    data.speed = dict.fromkeys(data.wav, 0.9)
    assert from_lhotse(to_lhotse(data)[2], tmp_path / "back").speed
    from_lhotse(cuts, tmp_path / "back")
    assert not DataDir.load(tmp_path / "back").speed


def test_no_conversion_replaces_its_source(tmp_path, run):
    data = telephone(tmp_path)
    before = tables(data.path)
    for target in (data.path, data.path.parent):
        done = run("utils/data_dir_to_lhotse", data.path, target)
        assert done.returncode == 1 and "would replace its source" in done.stderr
    write_manifests(data, data.path / "manifests")
    done = run("utils/lhotse_to_data_dir", data.path / "manifests/cuts.jsonl.gz", data.path)
    assert done.returncode == 1 and "would replace its source" in done.stderr
    assert tables(data.path) == before


def test_other_recipes_cuts_become_a_data_directory(tmp_path):
    """Cuts without our custom fields: sides are named after the recording."""
    _, _, cuts = to_lhotse(telephone(tmp_path, conversations=1))
    for cut in cuts:
        cut.supervisions[0].custom = None
    back = from_lhotse(cuts, tmp_path / "back")
    assert back.channel == {"sw02001-A": ("sw02001", "A"), "sw02001-B": ("sw02001", "B")}
    with pytest.raises(RecipeError, match="not one utterance"):
        from_lhotse(lhotse.CutSet.from_cuts(cut.drop_supervisions() for cut in cuts), tmp_path / "none")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("keep", [-2, 0.9, 0.5])
def test_audio_cut_short_is_found(tmp_path, name, keep):
    path = tmp_path / name
    soundfile.write(path, np.stack([noise(2), noise(2, seed=1)], axis=1), 8000, format=FORMATS[name][0],
                    subtype=FORMATS[name][1])
    info = inspect_audio(str(path), sampling_rate=8000)
    assert (info.samples, info.channels, info.sampling_rate) == (16000, 2, 8000)
    content = path.read_bytes()
    path.write_bytes(content[:keep] if keep < 0 else content[:int(len(content) * keep)])
    with pytest.raises(RecipeError, match="cut short") as error:
        inspect_audio(str(path), id="rec1")
    assert error.value.file == str(path) and error.value.id == "rec1" and error.value.next
    assert error.value.expected.startswith("16000 samples")


@pytest.mark.parametrize("name", FORMATS)
def test_unreadable_audio_is_reported(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, noise(1), 8000, format=FORMATS[name][0], subtype=FORMATS[name][1])
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(RecipeError, match="cannot be read|header is cut short"):
        inspect_audio(str(path))
    with pytest.raises(RecipeError, match="missing"):
        inspect_audio(str(tmp_path / "none.wav"))
    with pytest.raises(RecipeError, match="without samples"):
        soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
        inspect_audio(str(tmp_path / "empty.wav"))


def test_wrong_rate_and_compressed_sphere_are_reported(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1, 16000), 16000)
    with pytest.raises(RecipeError, match="sampling rate") as error:
        inspect_audio(str(path), id="rec1", sampling_rate=8000)
    assert (error.value.id, error.value.expected, error.value.found) == ("rec1", "8000 Hz", "16000 Hz")
    sphere = tmp_path / "b.sph"
    soundfile.write(sphere, noise(1), 8000, format="NIST", subtype="PCM_16")
    head, rest = sphere.read_bytes()[:1024], sphere.read_bytes()[1024:]
    coding = b"sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    sphere.write_bytes(head.replace(b"end_head\n", coding)[:1024].ljust(1024) + rest)
    with pytest.raises(RecipeError, match="shorten") as error:
        inspect_audio(str(sphere))
    assert "sph2pipe" in error.value.next


def change(data, **segments):
    data.segments.update(segments)
    return data.write()


def test_segment_beyond_the_end_is_refused(tmp_path):
    data = telephone(tmp_path, conversations=1)
    utt = data.utts[2]
    data.segments[utt] = Segment("sw02001-A", 2.0, 3.02)
    with pytest.raises(RecipeError, match="beyond the end") as error:
        place_utterances(data)
    assert error.value.id == utt and "3.000" in error.value.expected and "3.020" in error.value.found
    assert place_utterances(data, max_overshoot=0.05)[2].end == 3.0
    data.segments[utt] = Segment("sw02001-A", 2.0, 3.005)  # within the rounding of centiseconds
    place = place_utterances(data)[2]
    assert place.samples == slice(16000, 24000)


def test_sides_must_exist(tmp_path):
    data = telephone(tmp_path, conversations=1)
    data.channel["sw02001-B"] = ("sw02001", "C")
    with pytest.raises(RecipeError, match="no such side") as error:
        place_utterances(data)
    assert error.value.id == "sw02001-B"
    del data.channel["sw02001-B"]
    with pytest.raises(RecipeError, match="no side"):
        place_utterances(data)
    data.channel["sw02001-B"] = ("sw02001", "2")  # as NIST writes it
    assert place_utterances(data)[-1].channel == 1


def test_one_file_per_side_keeps_its_name(tmp_path):
    """Mono files: each side is its own Lhotse recording."""
    data = telephone(tmp_path, conversations=1)
    audio, rate = read_audio(data.wav["sw02001-A"])
    for row, side in zip(audio, "AB"):
        data.wav[f"sw02001-{side}"] = str(tmp_path / f"{side}.wav")
        soundfile.write(data.wav[f"sw02001-{side}"], row, rate)
    data.write()
    recordings, _, cuts = to_lhotse(data)
    assert [recording.id for recording in recordings] == ["sw02001-A", "sw02001-B"]
    assert {cut.channel for cut in cuts} == {0}
    assert tables(from_lhotse(cuts, tmp_path / "back").path) == tables(data.path)


def test_two_files_under_one_name_are_refused(tmp_path):
    data = telephone(tmp_path)
    data.channel["sw02002-A"] = ("sw02001", "A")
    with pytest.raises(RecipeError, match="two audio files under one name"):
        to_lhotse(data)


def test_commands_are_refused_unless_allowed(tmp_path):
    data = telephone(tmp_path, conversations=1)
    plain = data.wav["sw02001-A"]
    data.wav = dict.fromkeys(data.wav, f"cat {plain} |")
    data.write()
    with pytest.raises(RecipeError, match="pipe") as error:
        to_lhotse(data)
    assert error.value.id == "sw02001-A"
    recordings, _, cuts = to_lhotse(data, allow_pipes=True)
    assert cuts[data.utts[0]].load_audio().shape == (1, 6000)
    assert tables(from_lhotse(cuts, tmp_path / "back").path) == tables(data.path)


@pytest.mark.slow
def test_commands_write_and_read_manifests(tmp_path, run):
    data = telephone(tmp_path)
    done = run("utils/data_dir_to_lhotse", data.path, "manifests")
    assert done.returncode == 0 and "2 recordings, 12 cuts" in done.stdout, done.stderr
    for name in ("recordings", "supervisions", "cuts"):
        lhotse.validate(lhotse.load_manifest(tmp_path / f"manifests/{name}.jsonl.gz"))
    before = (tmp_path / "manifests/cuts.jsonl.gz").read_bytes()
    assert write_manifests(data, tmp_path / "again") == (2, 12) and (tmp_path / "again/cuts.jsonl.gz").read_bytes() == before
    done = run("utils/lhotse_to_data_dir", "manifests/cuts.jsonl.gz", "back")
    assert done.returncode == 0 and tables(tmp_path / "back") == tables(data.path), done.stderr
    done = run("utils/lhotse_to_data_dir", "none.jsonl.gz", "back")
    assert done.returncode == 1 and "missing input" in done.stderr and "Traceback" not in done.stderr
