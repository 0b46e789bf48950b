"""Switchboard preparation: from the LDC layout to Kaldi data directories, and every way in which a release can be broken."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ldc import PEM, STM, audio, compress, fake_sph2pipe, lines, prepared, refused, release, transcript  # noqa: F401
from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.corpus.hub5 import Scored, padded_times, reference_words
from pytorch_nnet.corpus.mini.writer import Size, write_corpus
from pytorch_nnet.corpus.ms98 import read_dictionary
from pytorch_nnet.corpus.switchboard import spans
from pytorch_nnet.io.errors import RecipeError


def test_data_directories(release):
    report = prepared(release)
    train, dev, test = (DataDir.load(release / "data" / name, need=("wav.scp", "segments", "text", "spk2utt", "reco2file_and_channel"))
                        for name in ("train", "dev", "eval2000"))
    assert {side[:-2] for side in dev.wav} == {"sw02002"} and {side[:-2] for side in train.wav} == {"sw02001", "sw02003"}
    assert train.utts[0] == "sw02001-A_000050-000123" and len(train.utts) == 8
    assert train.text[train.utts[0]] == ["hello", "there", "th-", "them"] and train.text[train.utts[1]] == ["[noise]", "hello"]
    assert set(train.utt2spk.values()) == {"sw02001-A", "sw02001-B", "sw02003-A", "sw02003-B"}
    assert (train.segments[train.utts[0]].start, train.segments[train.utts[0]].end) == (0.5, 1.23)
    assert train.channel["sw02001-B"] == ("sw02001", "B")
    assert all(Path(path).is_absolute() and Path(path).exists() for path in [*train.wav.values(), *dev.wav.values()])
    assert test.text == {"sw_4390-A_000050-000100": ["hello", "there"], "sw_4390-B_000002-000200": ["them"]}
    assert test.segments["sw_4390-A_000050-000100"].start == 0.4 and test.segments["sw_4390-A_000050-000100"].end == 1.05
    assert (test.segments["sw_4390-B_000002-000200"].start, test.segments["sw_4390-B_000002-000200"].end) == (0.0, 2.0)
    stm = (release / "data/eval2000/stm").read_text()
    assert "HELLO (THERE))" in stm and (release / "data/eval2000/glm").read_text().startswith(";; rules")
    assert report.rules["lines of silence only dropped"] == 6 and report.rules["laughed word: [laughter-yes] -> yes"] == 6
    assert report.rules["segments not scored (IGNORE_TIME_SEGMENT) dropped"] == 1
    assert any(line.startswith("train: 8 segments") for line in report.lines())


def test_dictionary(release):
    prepared(release)
    folder = release / "data/local/dict"
    assert (folder / "lexicon.txt").read_text().splitlines() == [
        "<unk> spn", "[laughter] lau", "[noise] nsn", "[silence] sil", "[vocalized-noise] spn", "a&b ey", "hello hh ah l ow", "th- dh ae",
        "them dh eh m", "them eh m", "there dh eh r"]
    assert (folder / "silence_phones.txt").read_text().split() == ["sil", "spn", "nsn", "lau"]
    assert (folder / "optional_silence.txt").read_text() == "sil\n" and (folder / "extra_questions.txt").read_text() == ""
    assert (folder / "nonsilence_phones.txt").read_text().split() == ["ae", "ah", "dh", "eh", "ey", "hh", "l", "m", "ow", "r"]


def test_dictionary_drops_few_bad_lines_and_refuses_many(tmp_path):
    lines(tmp_path / "sw-ms98-dict.text", [f"w{k} ah" for k in range(1000)] + ["nothing", "[odd] sil"])
    counts = Counter()
    assert len(read_dictionary(tmp_path, counts).entries) == 1005 and counts["dictionary: lines without a usable pronunciation dropped"] == 2
    lines(tmp_path / "sw-ms98-dict.text", ["w ah", "nothing"])
    with pytest.raises(RecipeError, match="without a usable pronunciation"):
        read_dictionary(tmp_path, counts)


def test_dev_by_number_and_by_share(release):
    assert len(prepared(release, dev=2).sets["dev"].wav) == 4
    assert len(prepared(release, dev=0.34).sets["dev"].wav) == 2
    shutil.rmtree(release / "data")
    refused(release, "no conversation left for training", dev=3)


def test_small_overhang_is_clipped_and_counted(release):
    path = transcript(release)
    path.write_text(path.read_text().replace("2.000000", "2.300000"))
    report = prepared(release)
    segment = report.sets["dev"].segments["sw02002-B_000123-000230"]
    assert segment.end == 2.0 and report.rules["segments clipped to the end of the recording"] == 1


def test_times_beyond_the_end_are_refused(release):
    path = transcript(release)
    path.write_text(path.read_text().replace("2.000000", "2.700000"))
    refused(release, "beyond the end", "sw02002-B", f"{path}:3", "2.70 s", "2.00 s")


def test_where_to_get_the_transcripts(release):
    shutil.rmtree(release / "ms98/20")
    refused(release, "ms98 transcripts not found", "--ms98", "openslr.org/resources/5", "isip.piconepress.com")


def test_missing_folder(release):
    shutil.rmtree(release / "swbd")
    refused(release, "Switchboard audio: no such folder", str(release / "swbd"), "--swbd1")


def test_transcript_without_audio(release):
    (release / "swbd/DISC2002/SW02002.SPH").unlink()
    refused(release, "transcript without audio", "sw02002", "--max-missing 1")
    report = prepared(release, max_missing=1)
    assert report.rules["conversations without audio dropped"] == 1
    assert {side[:-2] for name in ("train", "dev") for side in report.sets[name].wav} == {"sw02001", "sw02003"}


def test_reference_without_audio(release):
    (release / "eval/english/sw_4390.sph").rename(release / "eval/english/sw_9999.sph")
    refused(release, "reference without audio", "sw_4390", "LDC2002S09")


def test_16_khz(release):
    audio(release / "swbd/DISC2001/sw02001.sph", rate=16000)
    refused(release, "sample rate", "sw02001.sph", "8000", "16000")


def test_one_channel(release):
    audio(release / "swbd/DISC2001/sw02001.sph", channels=1)
    refused(release, "channel count", "sw02001.sph")


@pytest.mark.parametrize("size", [1500, 20000, 500])
def test_truncated_audio(release, size):
    path = release / "swbd/DISC2001/sw02001.sph"
    path.write_bytes(path.read_bytes()[:size])
    refused(release, "cut short", str(path))


def test_compressed_audio(release, monkeypatch):
    path = release / "swbd/DISC2001/sw02001.sph"
    compress(path)
    monkeypatch.setenv("PATH", str(release))
    refused(release, "compressed", "embedded-shorten", "sph2pipe -f sph", str(path))
    fake_sph2pipe(release / "sph2pipe")
    name = "audio files compressed with shorten, expanded by sph2pipe when they are read"
    assert prepared(release).rules[name] == 1


def test_not_a_sphere_file(release):
    (release / "swbd/DISC2001/sw02001.sph").write_bytes(b"RIFF" + bytes(5000))
    refused(release, "not a SPHERE file", "NIST_1A")


def test_empty_transcript(release):
    path = transcript(release)
    path.write_text(path.read_text().replace(" [silence]", ""))
    refused(release, "empty transcript", f"{path}:1", "sw2002B-ms98-a-0001")
    path.write_text("")
    refused(release, "empty input", str(path))


def test_malformed_transcript(release):
    transcript(release).write_text("sw2002B-ms98-a-0001 zero 1.0 hello\n")
    refused(release, "malformed transcript line", "zero")


def test_word_outside_the_lexicon(release):
    path = transcript(release)
    path.write_text(path.read_text().replace("Hello", "Xylophone"))
    refused(release, "words outside the lexicon", "xylophone", "sw02002-B_000050-000123", "--max-oov-percent")
    report = prepared(release, max_oov_percent=10)
    assert report.unknown == {"xylophone": 1} and (release / "data/local/dict/oov_counts.txt").read_text() == "xylophone 1\n"


def test_pem_must_agree_with_stm(release):
    lines(release / "eval/english/hub5e_00.pem", PEM[:-1])
    refused(release, "pem and stm disagree", "sw_4390 B 0.02 to 2.00 only in the stm (1 such segments)")
    lines(release / "eval/english/hub5e_00.pem", [*PEM[:-1], "sw_4390 2 unknown 0.02 1.90"])
    refused(release, "sw_4390 B 0.02 to 1.90 only in the pem; sw_4390 B 0.02 to 2.00 only in the stm (2 such segments)")
    (release / "eval/english/hub5e_00.pem").unlink()
    assert prepared(release).rules["no hub5e_00.pem: stm segments not cross-checked"] == 1


def test_stm_without_words(release):
    lines(release / "ref/deep/hub5e00.english.000405.stm", [STM[1].split("<")[0] + "<O,sw,F,sw-F>"])
    refused(release, "empty transcript", "sw_4390", "IGNORE_TIME_SEGMENT")


def test_side_recorded_twice(release):
    audio(release / "swbd/copy/sw02001.sph", seconds=2.5)
    refused(release, "found twice", "sw02001.sph", "DISC2001")
    shutil.copy(release / "swbd/DISC2001/sw02001.sph", release / "swbd/copy/sw02001.sph")
    assert prepared(release).rules["Switchboard audio: second copies of a file, not used"] == 1
    audio(release / "swbd/copy/sw2001.sph")
    refused(release, "two audio files", "sw02001", fresh=True)


def test_side_transcribed_twice(release):
    other = release / "ms98/copy/sw2002B-ms98-a-trans.text"
    lines(other, ["sw2002B-ms98-a-0001 0.0 1.0 hello"])
    refused(release, "ms98 transcripts", "found twice", str(other))


def test_names_of_audio_files(release):
    """sw2001.sph and SW02001.SPH are both sw02001."""
    (release / "swbd/DISC2001/sw02001.sph").rename(release / "swbd/DISC2001/SW2001.SPH")
    assert {side[:-2] for name in ("train", "dev") for side in prepared(release).sets[name].wav} == {"sw02001", "sw02002", "sw02003"}


def test_missing_disc_is_named(release):
    shutil.rmtree(release / "swbd/DISC2001")
    refused(release, "transcript without audio", "sw02001", "1 of 3", "DISC2002: 1", "DISC2003: 1", "is a disc missing?")
    assert spans(["sw02001", "sw02002", "sw02003", "sw02289"]) == "sw02001 to sw02003, sw02289"


def test_few_bad_segments_are_dropped_and_named(release):
    path = transcript(release)
    path.write_text(path.read_text().replace("2.000000", "2.700000") + "sw2002B-ms98-a-0009 2.7 2.6 hello\n")
    refused(release, "bad times", "2 of 13 segments cannot be used", "--max-bad-percent 15.4")
    report = prepared(release, max_bad_percent=16)
    assert report.rules["segments that cannot be used, dropped"] == 2
    text = (release / "data/local/prepare_switchboard.txt").read_text()
    assert "bad times in a transcript: sw2002B-ms98-a-0009" in text and "sw02002-B_000123-000270" in text
    assert "sw02002-B_000123-000270" not in report.sets["dev"].utt2spk


def test_crlf_and_latin_1(release):
    path = transcript(release, "sw2001A")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"there", b"caf\xe9"))
    stm = release / "ref/deep/hub5e00.english.000405.stm"
    stm.write_bytes(stm.read_bytes().replace(b"\n", b"\r\n"))
    dictionary = release / "ms98/sw-ms98-dict.text"
    dictionary.write_bytes(dictionary.read_bytes() + b"caf\xe9 k ae f ey\r\n")
    report = prepared(release)
    assert DataDir.load(release / "data/train").text["sw02001-A_000050-000123"] == ["hello", "café", "th-", "them"]
    assert not report.unknown and "café k ae f ey" in (release / "data/local/dict/lexicon.txt").read_text(encoding="utf-8")
    assert report.rules["lines read as Latin-1"] == 2 and report.rules["text files with CRLF line ends"] == 3
    assert b"\r" not in (release / "data/eval2000/stm").read_bytes()


def test_reference_words():
    counts = Counter()
    assert reference_words("<B_ASIDE> I (%HESITATION) { MEAN / MEANT } SO { @ / UH }", counts) == ["i", "%hesitation", "mean", "so"]
    assert counts["first of several alternatives taken"] == 2 and counts["optional words: (word) -> word"] == 1


def test_padding_stops_half_way_to_the_neighbour():
    segments = [Scored("f", "A", 1.0, 2.0, ["a"], ""), Scored("f", "B", 0.0, 9.0, ["a"], ""), Scored("f", "A", 2.1, 3.0, ["a"], ""),
                Scored("f", "A", 2.9, 4.0, ["a"], "")]
    assert np.allclose(padded_times(segments), [(0.9, 2.05), (0.0, 9.1), (2.05, 3.0), (2.9, 4.1)])


@pytest.mark.slow
def test_mini_corpus_goes_the_same_way(tmp_path, run):
    corpus = tmp_path / "corpus"
    write_corpus(corpus, Size(train=2, test=1, seconds=10), seed=1)
    done = run("local/prepare_switchboard", "--swbd1", corpus / "LDC97S62", "--ms98", corpus / "swb_ms98_transcriptions",
               "--eval2000", f"{corpus}/LDC2002S09 {corpus}/LDC2002T43", "data")
    assert done.returncode == 0, done.stderr
    train, dev, test = (DataDir.load(tmp_path / "data" / name, need=("text", "segments")) for name in ("train", "dev", "eval2000"))
    assert not train.wav.keys() & dev.wav.keys() and len(train.wav) == len(dev.wav) == len(test.wav) == 2
    known = {line.split()[0] for line in (tmp_path / "data/local/dict/lexicon.txt").read_text().splitlines()}
    assert {word for part in (train, dev, test) for words in part.text.values() for word in words} <= known
    assert "outside the lexicon: 0 words" in done.stdout


def test_command_names_the_missing_option(run):
    done = run("local/prepare_switchboard", "--swbd1", "x", "data")
    assert done.returncode == 1 and "--ms98" in done.stderr and "Traceback" not in done.stderr
