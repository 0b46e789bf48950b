"""egs/your_corpus: sets, lexicon and held-out speakers of somebody's own corpus."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT
from pytorch_nnet.corpus.datadir import DataDir, Segment
from pytorch_nnet.corpus.holdout import fold, hold_out
from pytorch_nnet.corpus.own import bring_in, write_dict
from pytorch_nnet.io.errors import RecipeError
from pytorch_nnet.lang.lexicon import Dictionary


def corpus(speakers, utts=3, sides=False):
    """Speakers s00, s01, ... with utterances of their own files, or two by two the sides of one file."""
    data = DataDir(Path("data"), {})
    for number in range(speakers):
        speaker = f"s{number:02d}"
        recording = f"c{number // 2:02d}-{'AB'[number % 2]}"
        for count in range(utts):
            utt = f"{speaker}-{count}"
            data.utt2spk[utt], data.text[utt] = speaker, ["one"]
            if sides:
                data.segments[utt] = Segment(recording, count, count + 1.0)
                data.wav[recording], data.channel[recording] = "x.wav", (recording[:-2], recording[-1])
    return data


@given(speakers=st.integers(2, 30), utts=st.integers(1, 5), percent=st.floats(1, 99), sides=st.booleans())
def test_held_out_speakers_are_whole_and_share_no_file_with_training(speakers, utts, percent, sides):
    data = corpus(speakers, utts, sides)
    if sides and speakers == 2:
        return
    train, dev = hold_out(data, percent)
    assert sorted(train + dev) == data.utts and train and dev
    for place in (lambda utt: data.utt2spk[utt], lambda utt: data.ctm_place(utt)[0]):
        assert not {place(utt) for utt in train} & {place(utt) for utt in dev}
    group = utts * (1 + sides)
    assert abs(len(dev) - len(data.utts) * percent / 100) <= group


def test_one_call_cannot_be_split():
    with pytest.raises(RecipeError, match="cannot be held out"):
        hold_out(corpus(2, sides=True), 10)


@given(speakers=st.integers(2, 30), utts=st.integers(1, 5), count=st.integers(2, 6), sides=st.booleans())
def test_each_speaker_is_held_out_in_one_part(speakers, utts, count, sides):
    data = corpus(speakers, utts, sides)
    if count > ((speakers + 1) // 2 if sides else speakers):
        with pytest.raises(RecipeError, match="cannot be parted"):
            fold(data, count, 1)
        return
    parts = [fold(data, count, part) for part in range(1, count + 1)]
    assert sorted(utt for _, held in parts for utt in held) == data.utts
    for train, held in parts:
        assert sorted(train + held) == data.utts
        for place in (lambda utt: data.utt2spk[utt], lambda utt: data.ctm_place(utt)[0]):
            assert not {place(utt) for utt in train} & {place(utt) for utt in held}
        assert data.utt2spk[held[0]] < f"s{(1 + sides) * count:02d}"  # neighbours in the list go into different parts


def test_parts_from_the_command_line(tmp_path, run):
    corpus(3).write(tmp_path / "data")
    for parts, part in ((4, 1), (1, 1), (2, 3)):
        assert "expected: 2 to 3 parts" in run("utils/hold_out_speakers", "--parts", parts, "--part", part, "data", "train", "held").stderr
    done = run("utils/hold_out_speakers", "--parts", 2, "--part", 1, "data", "train", "held")
    assert done.returncode == 0 and "held: 6 utterances, 2 speakers" in done.stdout
    assert list(DataDir.load(tmp_path / "train").spk2utt) == ["s01"]


def test_a_lexicon_becomes_a_dictionary(tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text(";;; comment\nREAD R EH1 D\nREAD(2) R IY1 D\nRED R EH0 D\n<cough> nsn\nRED R EH0 D\n")
    made = write_dict(lexicon, "<unk>", ["nsn"], tmp_path / "dict")
    assert made == {"words": 4, "pronunciations": 5, "phones": 8, "repeated lines left out": 1}
    found = Dictionary.load(tmp_path / "dict", "<unk>")
    assert ("READ", ("R", "IY1", "D")) in found.lexicon and ("<unk>", ("spn",)) in found.lexicon
    assert found.silence_phones == ["sil", "spn", "nsn"] and ["EH0", "EH1"] in found.nonsilence_sets


def test_capitals_of_the_lexicon_are_kept(tmp_path):
    (tmp_path / "lexicon.txt").write_text("<UNK> SPN\nA AH\n")
    write_dict(tmp_path / "lexicon.txt", "<UNK>", [], tmp_path / "dict")
    found = Dictionary.load(tmp_path / "dict", "<UNK>")
    assert found.silence_phones == ["sil", "SPN"] and found.nonsilence_phones == ["AH"] and found.optional_silence == "sil"


@pytest.mark.parametrize("text", ["READ\n", "READ 0.5 R EH D\n", "READ 1.0 R EH D\n", "\n"])
def test_a_bad_lexicon_is_named(tmp_path, text):
    (tmp_path / "lexicon.txt").write_text(text)
    with pytest.raises(RecipeError, match="lexicon"):
        write_dict(tmp_path / "lexicon.txt", "<unk>", [], tmp_path / "dict")
    assert not (tmp_path / "dict").exists()


def test_relative_audio_is_found_from_where_the_user_stood(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.wav").write_text("RIFF")
    for name, line in (("utt2spk", "s-1 s"), ("spk2utt", "s s-1"), ("text", "s-1 one"), ("wav.scp", "s-1 mine/a.wav")):
        (mine / name).write_text(f"{line}\n")
    assert bring_in(mine, tmp_path / "data", tmp_path).wav == {"s-1": str(mine / "a.wav")}
    with pytest.raises(RecipeError, match="a.wav"):
        bring_in(mine, tmp_path / "data", tmp_path / "elsewhere")


def test_what_is_missing_is_named_before_anything_runs(run, tmp_path):
    done = run(ROOT / "egs/your_corpus/run.sh", "--dry-run", "--train", "/none/a", "--test", tmp_path)
    assert done.returncode == 1 and "--train: no such file or folder: /none/a" in done.stderr and "--lexicon" in done.stderr
    (tmp_path / "lexicon.txt").touch()
    done = run(ROOT / "egs/your_corpus/run.sh", "--dry-run", "--train", tmp_path, "--test", tmp_path, "--lexicon", tmp_path / "lexicon.txt",
               "--sampling-rate", 44100)
    assert done.returncode == 1 and "8000 or 16000" in done.stderr
