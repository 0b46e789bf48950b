"""AN4, CMU's census corpus: 1078 utterances of letters, digits, names and commands, 16 kHz.

Reads CMU's releases as they unpack (an4_sphere: .sph; an4_raw, either byte order: .raw; later ones: .wav or .flac): an
`etc/` folder with lists, transcripts, dictionary and language model, and the audio anywhere beside it.
"""

from __future__ import annotations

import gzip
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..io.errors import RecipeError, require_file
from ..io.publish import publish
from .datadir import DataDir

SAMPLING_RATE = 16000
EXTENSIONS = (".flac", ".wav", ".sph", ".raw")
# About as many utterances as the official test set has (130) are enough to tune on and to stop training by.
DEV_UTTERANCES = 100
OOV, OOV_PHONE, SILENCE = "<UNK>", "SPN", "SIL"
NEXT = "unpack AN4 as CMU releases it, with its etc/ folder, and name it with --an4"


@dataclass
class Corpus:
    """File ids, transcripts and audio of one official list, keyed by utterance id `<speaker>-<file>`."""

    text: dict[str, list[str]]
    speaker: dict[str, str]
    audio: dict[str, Path]


def prepare_an4(an4, data) -> dict[str, DataDir]:
    """Publishes data/{train,dev,test}, data/local/dict and data/local/an4.lm.

    test is the official list of 130; dev is some speakers of the official training list, of both sexes, train the
    others.
    Args:
      an4: the corpus folder. data: the folder to write to. Headerless audio becomes data/local/wav/*.wav.
    Raises:
      RecipeError: a missing folder or file, an empty transcript, a word that the dictionary lacks.
    """
    root, data = find_root(Path(an4)), Path(data)
    folders = audio_folders(root)
    official = {name: read_list(root, folders, name, data / "local/wav") for name in ("train", "test")}
    shared = set(official["train"].speaker.values()) & set(official["test"].speaker.values())
    if shared:
        raise RecipeError("speaker in both official lists", file=root / "etc/an4_test.fileids", id=min(shared),
                          expected="test speakers that training has not heard", found=f"{len(shared)} shared")
    lexicon = read_dictionary(root / "etc/an4.dic")
    for name, corpus in official.items():
        for utt, words in corpus.text.items():
            for word in words:
                if word not in lexicon:
                    raise RecipeError("word outside the dictionary", file=root / f"etc/an4_{name}.transcription",
                                      id=utt,
                                      expected="words of etc/an4.dic", found=word)
    write_dict(data / "local/dict", lexicon)
    with publish(data / "local/an4.lm", "wb") as file:
        file.write(Path(require_file(root / "etc/an4.lm", next=NEXT)).read_bytes())
    dev = dev_speakers(official["train"].speaker)
    train = official["train"]
    parts = {
        "train": data_dir(data / "train", train, [utt for utt, speaker in train.speaker.items() if speaker not in dev]),
        "dev": data_dir(data / "dev", train, [utt for utt, speaker in train.speaker.items() if speaker in dev]),
        "test": data_dir(data / "test", official["test"], list(official["test"].text)),
    }
    return {name: part.write() for name, part in parts.items()}


def find_root(an4: Path) -> Path:
    """The folder that holds etc/: `an4` itself, or the `an4` an archive unpacked inside it."""
    for root in (an4, an4 / "an4"):
        if (root / "etc/an4_train.fileids").is_file():
            return root
    raise RecipeError("not an AN4 corpus", file=an4, expected="etc/an4_train.fileids in it",
                      found="no such file" if an4.is_dir() else "no such folder", next=NEXT)


def audio_folders(root: Path) -> list[Path]:
    """Folders a file id may be relative to: the corpus itself and what lies directly in it (wav/, flac/, ...)."""
    return [root, *sorted(path for path in root.iterdir() if path.is_dir() and path.name != "etc")]


def read_list(root: Path, folders: list[Path], name: str, converted: Path) -> Corpus:
    """One official list, `train` or `test`."""
    ids_file, text_file = root / f"etc/an4_{name}.fileids", root / f"etc/an4_{name}.transcription"
    transcripts = read_transcripts(text_file)
    corpus = Corpus({}, {}, {})
    for file_id in Path(require_file(ids_file, next=NEXT)).read_text().split():
        *_, speaker, stem = ["", *file_id.split("/")]
        if not speaker:
            raise RecipeError("file id without a speaker", file=ids_file, id=file_id,
                              expected="<list>/<speaker>/<file>", found=file_id)
        utt = f"{speaker}-{stem}"
        if utt in corpus.text:
            raise RecipeError("file listed twice", file=ids_file, id=file_id)
        if stem not in transcripts:
            raise RecipeError("file without a transcript", file=text_file, id=stem,
                              expected=f"a line ending in ({stem})", found="none")
        corpus.text[utt], corpus.speaker[utt] = transcripts[stem], speaker
        corpus.audio[utt] = find_audio(folders, file_id, ids_file, converted)
    return corpus


def read_transcripts(path: Path) -> dict[str, list[str]]:
    """Reads '<s> WORDS </s> (file-id)' lines, with or without the marks; sentence marks and <sil> are no words."""
    transcripts = {}
    for number, line in enumerate(Path(require_file(path, next=NEXT)).read_text().splitlines(), 1):
        match = re.fullmatch(r"(.*)\(([^()\s]+)\)\s*", line)
        if not match:
            raise RecipeError("not a transcript", file=f"{path}:{number}", expected="words (file-id)", found=line)
        words = [word for word in match[1].split() if word not in ("<s>", "</s>", "<sil>")]
        if not words:
            raise RecipeError("empty transcript", file=f"{path}:{number}", id=match[2], expected="at least one word",
                              found=repr(line),
                              next="remove the file from the list of file ids, or write down what is said")
        transcripts[match[2]] = words
    return transcripts


def find_audio(folders: list[Path], file_id: str, listed: Path, converted: Path) -> Path:
    """The absolute path of a file id's audio, in whichever format is there; headerless audio is converted first."""
    for folder in folders:
        for extension in EXTENSIONS:
            path = folder / (file_id + extension)
            if path.is_file():
                return (convert_raw(path, converted / f"{path.stem}.wav") if extension == ".raw" else path).absolute()
    raise RecipeError("audio file is missing", file=listed, id=file_id, expected=f"{file_id}{{{','.join(EXTENSIONS)}}}",
                      found=f"none in {', '.join(map(str, folders))}", next=NEXT)


def convert_raw(source: Path, target: Path) -> Path:
    """Publishes headerless 16-bit audio as WAV.

    CMU released both byte orders under the same names. Speech is smooth: in the wrong order its samples jump far more.
    """
    content = source.read_bytes()
    if len(content) < 4 or len(content) % 2:
        raise RecipeError("not headerless 16-bit audio", file=source, id=source.stem,
                          expected="an even number of bytes",
                          found=f"{len(content)} bytes", next="copy the file from the corpus again")
    orders = [np.frombuffer(content, dtype=order) for order in ("<i2", ">i2")]
    samples = min(orders, key=lambda x: float(np.abs(np.diff(x.astype(np.float64))).mean()))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.int16), SAMPLING_RATE, format="WAV", subtype="PCM_16")
    if not target.exists() or target.read_bytes() != buffer.getvalue():
        with publish(target, "wb") as file:
            file.write(buffer.getvalue())
    return target


def dev_speakers(speaker: dict[str, str]) -> set[str]:
    """Speakers for dev: about DEV_UTTERANCES, evenly spread over the sorted women and men (ids begin with f or m)."""
    share = min(0.25, DEV_UTTERANCES / len(speaker))
    chosen: set[str] = set()
    for sex in sorted({name[0] for name in speaker.values()}):
        people = sorted({name for name in speaker.values() if name[0] == sex}, key=str.encode)
        count = max(1, round(share * len(people)))
        if count >= len(people):
            raise RecipeError("too few speakers to hold some out", id=f"speakers '{sex}...'", expected="two or more",
                              found=len(people))
        chosen.update(people[(2 * k + 1) * len(people) // (2 * count)] for k in range(count))
    return chosen


def data_dir(path: Path, corpus: Corpus, utts: list[str]) -> DataDir:
    """A data directory of some utterances, each its own recording, in C order."""
    utts = sorted(utts, key=str.encode)
    return DataDir(path, {utt: corpus.speaker[utt] for utt in utts}, {utt: corpus.text[utt] for utt in utts},
                   {utt: str(corpus.audio[utt]) for utt in utts})


def read_dictionary(path: Path) -> dict[str, list[list[str]]]:
    """Reads 'WORD PH PH' lines; 'WORD(2)' is another pronunciation of WORD."""
    lexicon: dict[str, list[list[str]]] = {}
    for number, line in enumerate(Path(require_file(path, next=NEXT)).read_text().splitlines(), 1):
        if not line.strip():
            continue
        word, *phones = line.split()
        if not phones:
            raise RecipeError("word without a pronunciation", file=f"{path}:{number}", id=word,
                              expected="WORD PH PH ...", found=line)
        pronunciations = lexicon.setdefault(re.sub(r"\(\d+\)$", "", word), [])
        if phones not in pronunciations:
            pronunciations.append(phones)
    return lexicon


def write_dict(folder: Path, lexicon: dict[str, list[list[str]]]) -> None:
    """Publishes Kaldi's dictionary files; words that no dictionary has are spoken noise."""
    phones = sorted({phone for pronunciations in lexicon.values() for phones in pronunciations for phone in phones})
    entries = {**lexicon, OOV: [[OOV_PHONE]]}
    files = {
        "lexicon.txt": [f"{word} {' '.join(p)}" for word in sorted(entries, key=str.encode) for p in entries[word]],
        "silence_phones.txt": [SILENCE, OOV_PHONE], "optional_silence.txt": [SILENCE], "nonsilence_phones.txt": phones,
        "extra_questions.txt": [f"{SILENCE} {OOV_PHONE}", " ".join(phones)],
    }
    for name, lines in files.items():
        with publish(folder / name) as file:
            file.writelines(line + "\n" for line in lines)


def prepare_unigram(source, words_file, target) -> tuple[int, list[str], list[str]]:
    """Publishes the corpus' unigram over exactly the words we have pronunciations for.

    Words of the published model that the dictionary lacks are left out. Words that the model lacks take the
    probability of its unknown word, which stands for each of them. All are scaled to sum to one.
    Args:
      source: CMU's an4.lm. words_file: words.txt of the lang directory. target: the ARPA file to write, gzipped.
    Returns:
      the number of words, those left out, those added.
    """
    symbols = Path(require_file(words_file, next="steps/prepare_lang")).read_text().splitlines()
    words = [word for word in (line.split()[0] for line in symbols) if not re.fullmatch(r"<.*>|#\d+", word)]
    published = read_unigrams(source)
    if missing := {"<s>", "</s>", OOV} - published.keys():
        raise RecipeError("unigram without a mark", file=source, id=min(missing), expected=f"<s>, </s> and {OOV}",
                          found="none")
    probabilities = {word: 10.0 ** published.get(word, published[OOV]) for word in [*words, "</s>"]}
    total = sum(probabilities.values())
    lines = ["\\data\\", f"ngram 1={len(probabilities) + 1}", "", "\\1-grams:", "-99\t<s>"]
    lines += [f"{math.log10(probabilities[word] / total):.6f}\t{word}"
              for word in sorted(probabilities, key=str.encode)]
    with publish(target, "wb") as packed, gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write("\n".join([*lines, "", "\\end\\", ""]).encode())
    return len(words), sorted(published.keys() - probabilities.keys() - {"<s>"}), sorted(set(words) - published.keys())


def read_unigrams(path) -> dict[str, float]:
    """log10 probabilities in the 1-gram section of an ARPA file, whose introduction may hold anything."""
    lines = iter(Path(require_file(path, next=NEXT)).read_text().splitlines())
    if not any(line.strip() == "\\data\\" for line in lines) or not any(line.strip() == "\\1-grams:" for line in lines):
        raise RecipeError("not an ARPA language model", file=path, expected="\\data\\ and \\1-grams:", found="neither")
    unigrams = {}
    for line in lines:
        if line.startswith("\\"):
            break
        if line.strip():
            value, word, *_ = line.split()
            unigrams[word] = float(value)
    return unigrams
