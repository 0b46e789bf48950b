"""AN4 preparation, on a small corpus made in the form of CMU's releases."""

import gzip
import math

import kaldilm
import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.an4 import prepare_an4
from pytorch_nnet.corpus.audio import read_audio
from pytorch_nnet.corpus.validate import validate_data_dir
from pytorch_nnet.io.errors import RecipeError
from speech import noise

TRAIN = ["fash", "fbbh", "fclc", "mblb", "mcel", "mcel2"]
TEST = ["fcaw", "marh"]
LM = """A language model with an introduction,
 \\data\\ is not its beginning.

\\data\\
ngram 1=8
ngram 2=1

\\1-grams:
-0.9031\t<UNK>\t0.0000
-0.9031\t</s>\t-99.0000
-99.0000\t<s>\t0.0000
-0.9031\tGO\t0.0000
-0.9031\tYES\t0.0000
-0.9031\tA\t0.0000
-0.9031\tHALL\t0.0000

\\2-grams:
0.0000 <s> </s>
\\end\\
"""


def samples(index):
    """Smooth enough to tell byte orders apart, as speech is."""
    smooth = np.convolve(noise(0.5, 16000, index), np.ones(20) / 20, mode="same")
    return (smooth * 8000).round().astype("<i2")


def make_an4(folder, kind="flac"):
    """Writes the corpus with audio of one kind; returns the folder."""
    (folder / "etc").mkdir(parents=True)
    index = 0
    for name, group, speakers in (("train", "an4_clstk", TRAIN), ("test", "an4test_clstk", TEST)):
        ids, lines = [], []
        for speaker in speakers:
            for number in (2, 1):
                stem = f"an{number}-{speaker}-b"
                ids.append(f"{group}/{speaker}/{stem}")
                lines.append(f"YES A GO ({stem})" if name == "test" else f"<s> GO <sil> YES </s> ({stem})")
                audio = folder / "wav" / group / speaker / stem
                audio.parent.mkdir(parents=True, exist_ok=True)
                index += 1
                if kind.startswith("raw"):
                    order = "<i2" if kind == "raw_little" else ">i2"
                    audio.with_suffix(".raw").write_bytes(samples(index).astype(order).tobytes())
                else:
                    soundfile.write(audio.with_suffix("." + kind), samples(index), 16000, subtype="PCM_16",
                                    format={"sph": "NIST", "wav": "WAV", "flac": "FLAC"}[kind])
        (folder / f"etc/an4_{name}.fileids").write_text("\n".join(ids) + "\n")
        (folder / f"etc/an4_{name}.transcription").write_text("\n".join(lines) + "\n")
    (folder / "etc/an4.dic").write_text("A   AH\nA(2)   EY\nGO   G OW\nYES   Y EH S\n")
    (folder / "etc/an4.lm").write_text(LM)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["flac", "sph", "wav", "raw_little", "raw_big"])
def test_every_release_gives_the_same_data(tmp_path, kind):
    prepare_an4(make_an4(tmp_path / "an4", kind), tmp_path / "data")
    parts = {name: validate_data_dir(tmp_path / "data" / name, feats=False) for name in ("train", "dev", "test")}
    assert {name: len(part.utts) for name, part in parts.items()} == {"train": 8, "dev": 4, "test": 4}
    assert parts["test"].utts == ["fcaw-an1-fcaw-b", "fcaw-an2-fcaw-b", "marh-an1-marh-b", "marh-an2-marh-b"]
    assert parts["test"].text["marh-an1-marh-b"] == ["YES", "A", "GO"]
    assert all(words == ["GO", "YES"] for words in parts["train"].text.values())
    audio, rate = read_audio(parts["test"].wav["fcaw-an2-fcaw-b"])
    assert rate == 16000
    np.testing.assert_array_equal(audio[0] * 32768, samples(13))


def test_dev_speakers_are_heard_nowhere_else(tmp_path):
    prepare_an4(make_an4(tmp_path / "an4"), tmp_path / "data")
    heard = {name: set(validate_data_dir(tmp_path / "data" / name, feats=False).spk2utt)
             for name in ("train", "dev", "test")}
    assert not heard["train"] & heard["dev"] and heard["train"] | heard["dev"] == set(TRAIN)
    assert heard["test"] == set(TEST)
    assert {speaker[0] for speaker in heard["dev"]} == {"f", "m"}


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    make_an4(tmp_path / "an4", "raw_big")
    contents = []
    for _ in range(2):
        prepare_an4(tmp_path / "an4", tmp_path / "data")
        contents.append({path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()})
    assert contents[0] == contents[1] and len(contents[0]) > 20


def test_dictionary(tmp_path):
    prepare_an4(make_an4(tmp_path / "an4"), tmp_path / "data")
    files = {path.name: path.read_text().splitlines() for path in (tmp_path / "data/local/dict").iterdir()}
    assert files["lexicon.txt"] == ["<UNK> SPN", "A AH", "A EY", "GO G OW", "YES Y EH S"]
    assert files["silence_phones.txt"] == ["SIL", "SPN"] and files["optional_silence.txt"] == ["SIL"]
    assert files["nonsilence_phones.txt"] == ["AH", "EH", "EY", "G", "OW", "S", "Y"]
    assert len(files["extra_questions.txt"]) == 2


@pytest.mark.slow
def test_unigram_is_of_the_dictionary_and_sums_to_one(tmp_path, run):
    prepare_an4(make_an4(tmp_path / "an4"), tmp_path / "data")
    (tmp_path / "lang").mkdir()
    (tmp_path / "lang/words.txt").write_text("".join(f"{w} {k}\n" for k, w in enumerate(
        ["<eps>", "<UNK>", "A", "GO", "NOVEMBER", "YES", "#0", "<s>", "</s>"])))
    done = run("egs/an4/local/prepare_lm", "data/local/an4.lm", "lang", "lm/unigram.arpa.gz")
    assert done.returncode == 0, done.stderr
    assert "4 words" in done.stdout and "pronunciation: <UNK> HALL;" in done.stdout
    assert "probability: NOVEMBER" in done.stdout
    arpa = gzip.decompress((tmp_path / "lm/unigram.arpa.gz").read_bytes()).decode()
    lines = dict(reversed(line.split("\t")) for line in arpa.splitlines() if "\t" in line)
    assert set(lines) == {"<s>", "</s>", "A", "GO", "NOVEMBER", "YES"} and "ngram 1=6\n" in arpa
    assert sum(10 ** float(value) for word, value in lines.items() if word != "<s>") == pytest.approx(1, abs=1e-5)
    assert float(lines["A"]) == pytest.approx(math.log10(1 / 5), abs=1e-5)
    (tmp_path / "u.arpa").write_text(arpa)
    (tmp_path / "words.txt").write_text((tmp_path / "lang/words.txt").read_text())
    fst = kaldilm.arpa2fst(input_arpa=str(tmp_path / "u.arpa"), disambig_symbol="#0",
                           read_symbol_table=str(tmp_path / "words.txt"))
    assert fst.count("\n") >= 5


def test_the_corpus_may_lie_one_folder_down(tmp_path):
    make_an4(tmp_path / "unpacked/an4")
    assert len(prepare_an4(tmp_path / "unpacked", tmp_path / "data")["test"].utts) == 4


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.slow
@pytest.mark.parametrize("damage, message, wrong", [
    (lambda an4: (an4 / "wav/an4_clstk/fash/an1-fash-b.flac").unlink(), "audio file is missing",
     "an4_clstk/fash/an1-fash-b"),
    (lambda an4: change(an4 / "etc/an4_train.transcription", "<s> GO <sil> YES </s>", "<s> <sil> </s>"),
     "empty transcript", "an2-fash-b"),
    (lambda an4: change(an4 / "etc/an4_test.transcription", "GO", "WENT"), "outside the dictionary", "fcaw-an2-fcaw-b"),
    (lambda an4: change(an4 / "etc/an4_test.transcription", "(an1-marh-b)", "(an9-marh-b)"), "without a transcript",
     "an1-marh-b"),
    (lambda an4: change(an4 / "etc/an4.dic", "GO   G OW", "GO"), "without a pronunciation", "GO"),
    (lambda an4: change(an4 / "etc/an4_test.transcription", "(an1-marh-b)", ""), "not a transcript", None),
])
def test_a_damaged_corpus_is_refused(tmp_path, damage, message, wrong):
    an4 = make_an4(tmp_path / "an4")
    damage(an4)
    with pytest.raises(RecipeError, match=message) as error:
        prepare_an4(an4, tmp_path / "data")
    assert error.value.id == wrong and error.value.file and error.value.found


@pytest.mark.slow
def test_a_missing_corpus_is_an_error_without_a_traceback(tmp_path, run):
    for folder in ("nowhere", "."):
        done = run("egs/an4/local/prepare_an4", "--an4", tmp_path / folder, "data")
        assert done.returncode == 1 and "not an AN4 corpus" in done.stderr and "Traceback" not in done.stderr
        assert "next:" in done.stderr and "--an4" in done.stderr
