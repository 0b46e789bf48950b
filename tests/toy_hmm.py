"""A small corpus drawn from a known HMM: four phones, silence at both ends, ten words, true boundaries."""

from pathlib import Path

import numpy as np

from pytorch_nnet.corpus.datadir import DataDir
from pytorch_nnet.features.cmvn import compute_cmvn_stats
from pytorch_nnet.features.reader import FeatureReader
from pytorch_nnet.io.archives import write_ark_scp
from pytorch_nnet.lang.lang_dir import write_lang
from pytorch_nnet.lang.lexicon import Dictionary

WORDS = {"one": "a b", "two": "c d", "three": "b c a", "four": "d a", "five": "c b d", "six": "a d b", "seven": "b d",
         "eight": "c a", "nine": "d c b", "ten": "a c"}
PHONES = ["SIL", "a", "b", "c", "d"]
DIM = 13
STATES = 3


def make_lang(folder: Path, words=WORDS, phones=PHONES) -> Path:
    source = folder / "dict"
    source.mkdir(parents=True, exist_ok=True)
    lines = ["<unk> SPN", *(f"{word} {pronunciation}" for word, pronunciation in words.items())]
    (source / "lexicon.txt").write_text("\n".join(lines) + "\n")
    (source / "silence_phones.txt").write_text("SIL\nSPN\n")
    (source / "optional_silence.txt").write_text("SIL\n")
    (source / "nonsilence_phones.txt").write_text("\n".join(phones[1:]) + "\n")
    (source / "extra_questions.txt").write_text("")
    write_lang(Dictionary.load(source, "<unk>"), "<unk>", folder / "lang")
    return folder / "lang"


def make_data(folder: Path, *, speakers: int = 4, utts: int = 8, seed: int = 1, spread: float = 1.5, name: str = "train"):
    """Returns the data directory's path and the true phones: {utt: [(phone, first frame, frames)]}."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(99).normal(0, 3, (len(PHONES), STATES, DIM))
    # The first state of a phone leans towards the phone before it: context dependence for a tree to find.
    shift = np.random.default_rng(98).normal(0, 1.5, (len(PHONES), DIM))
    truth, feats, data = {}, {}, DataDir(folder / "data" / name, {})
    for s in range(speakers):
        offset = rng.normal(0, 2, DIM)
        for u in range(utts):
            utt = f"spk{s}-{u:02d}"
            words = [list(WORDS)[i] for i in rng.integers(0, len(WORDS), rng.integers(2, 5))]
            phones = ["SIL", *(phone for word in words for phone in WORDS[word].split()), "SIL"]
            rows, spans, before = [], [], 0
            for phone in phones:
                index, begin = PHONES.index(phone), len(rows)
                for state in range(STATES):
                    lean = shift[before] if state == 0 and before else 0.0
                    length = rng.integers(*((6, 14) if phone == "SIL" else (2, 6)))
                    rows += [means[index, state] + lean + offset + rng.normal(0, spread, DIM) for _ in range(length)]
                spans.append((phone, begin, len(rows) - begin))
                before = index
            truth[utt], feats[utt] = spans, np.array(rows, np.float32)
            data.utt2spk[utt], data.text[utt], data.num_frames[utt] = f"spk{s}", words, len(rows)
    data.path.mkdir(parents=True)
    write_ark_scp(data.path / "feats.ark", data.path / "feats.scp", sorted(feats.items()))
    data.feats = dict(line.split() for line in (data.path / "feats.scp").read_text().splitlines())
    data.write()
    compute_cmvn_stats(FeatureReader(data.path, None))
    return data.path, truth
