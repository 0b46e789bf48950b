"""The sets of Switchboard: those of this recipe, those of Kaldi's, and the published figures that a complete release must meet.

    all          every transcribed segment                                        not written
    train, dev   dev is whole conversations, evenly spread: about an hour that shares no conversation with train
    train_dev    Kaldi: the first 4000 segments (the last conversation may go on in train_nodev)
    train_nodev  Kaldi: the others
    train_nodup  Kaldi: of those, at most 300 segments with the same words

Kaldi: egs/swbd/s5c/run.sh, whose comments give the hours, and local/remove_dup_utts.sh, which keeps 300 by chance where here they
are evenly spread over the corpus.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Mapping

from ..io.errors import RecipeError
from .datadir import DataDir
from .markup import NOISES

DEFAULT_DEV = 8  # conversations, about an hour of Switchboard, whose conversations have 7.8 minutes of speech on average ...
DEFAULT_DEV_SHARE = 1 / 8  # ... but no more than this share of a small corpus; train_dev likewise
TRAIN_DEV = 4000  # segments
MAX_SAME_TEXT = 300
COMPLETE = (2435, 2438)  # conversations with audio in the copies of LDC97S62 there are


@dataclass(frozen=True)
class Figure:
    """A published number."""

    set: str
    what: str  # a column of `measure`
    value: float
    source: str
    tolerance: float | None  # per cent by which a complete release may differ; None: printed only


FIGURES = (
    Figure("all", "conversations", 2435, "Kaldi's swbd1_data_prep.sh, which also takes 2438", 0.2),
    Figure("all", "sides", 4870, "a log of Kaldi's recipe, kaldi-asr/kaldi issue 1454", 0.2),
    Figure("all", "segments", 264333, "the same log, before segments without audio go", 1.0),
    Figure("all", "hours", 318.48, "Kaldi's run.sh, train_dev and train_nodev", 1.0),
    Figure("train_dev", "segments", TRAIN_DEV, "Kaldi's run.sh", 0.0),
    Figure("train_dev", "hours", 5.1, "Kaldi's run.sh", None),
    Figure("train_nodev", "segments", 260000, "Kaldi's run.sh, in round numbers", 1.0),
    Figure("train_nodev", "hours", 313.38, "Kaldi's run.sh", 1.0),
    Figure("train_nodup", "hours", 286, "Kaldi's run.sh", None),
    Figure("train", "segments", 248000, "Geras et al. 2016, in round numbers; how they were chosen is not told", None),
    Figure("train", "hours", 309, "Geras et al. 2016", None),
    Figure("dev", "hours", 1, "Geras et al. 2016", None),
    Figure("eval2000", "conversations", 40, "NIST's Hub5'00", 0.0),
    Figure("eval2000", "sides", 80, "Kaldi's eval2000_data_prep.sh", 0.0),
    Figure("eval2000", "segments", 4459, "Kaldi's eval2000, scored segments", 0.0),
    Figure("eval2000", "Switchboard segments", 1831, "its sw_ half", 0.0),
    Figure("eval2000", "CallHome segments", 2628, "its en_ half", 0.0),
)


def split_conversations(data: DataDir, dev: float | None) -> tuple[DataDir, DataDir]:
    """Splits off whole conversations, evenly spread over the corpus, as dev.

    Args:
      dev: conversations: a number if at least 1, else a share of all; None: DEFAULT_DEV, DEFAULT_DEV_SHARE.
    """
    conversations = sorted({recording[:-2] for recording in data.wav})
    if dev is None:
        number = min(DEFAULT_DEV, round(len(conversations) * DEFAULT_DEV_SHARE))
    else:
        number = round(dev if dev >= 1 else dev * len(conversations))
    number = max(number, 1)
    if number >= len(conversations):
        raise RecipeError("no conversation left for training", expected=f"fewer than {len(conversations)} conversations for dev",
                          found=number, next="call again with a smaller --dev-conversations, or give a larger corpus")
    chosen = {conversations[(2 * k + 1) * len(conversations) // (2 * number)] for k in range(number)}
    train = data.subset(utt for utt, side in data.utt2spk.items() if side[:-2] not in chosen)
    return train, data.subset(utt for utt, side in data.utt2spk.items() if side[:-2] in chosen)


def kaldi_sets(data: DataDir) -> dict[str, DataDir]:
    """train_dev, train_nodev and train_nodup of all segments; of a small corpus train_dev takes no more than an eighth."""
    utts = data.utts
    first = max(1, min(TRAIN_DEV, int(len(utts) * DEFAULT_DEV_SHARE)))
    return {"train_dev": data.subset(utts[:first]), "train_nodev": data.subset(utts[first:]),
            "train_nodup": data.subset(without_repeats(data, utts[first:]))}


def without_repeats(data: DataDir, utts: list[str], most: int = MAX_SAME_TEXT) -> list[str]:
    """The utterances of a list, those with the same words thinned evenly to `most`."""
    texts = {utt: " ".join(data.text[utt]) for utt in utts}
    number, kept = Counter(texts.values()), []
    seen: Counter[str] = Counter()
    for utt in utts:
        text = texts[utt]
        place, total = seen[text], number[text]
        seen[text] += 1
        if total <= most or (place + 1) * most // total > place * most // total:
            kept.append(utt)
    return kept


def measure(data: DataDir) -> dict[str, float]:
    """Segments, hours, sides, conversations and words of a set; noises are no words."""
    words = Counter(word for text in data.text.values() for word in text)
    for noise in NOISES:
        del words[noise]
    files = Counter(data.channel[segment.recording][0] for segment in data.segments.values())
    return {"segments": len(data.utt2spk), "hours": sum(s.end - s.start for s in data.segments.values()) / 3600,
            "sides": len(set(data.utt2spk.values())), "conversations": len(files), "words": sum(words.values()),
            "distinct words": len(words), "Switchboard segments": sum(n for file, n in files.items() if file.startswith("sw_")),
            "CallHome segments": sum(n for file, n in files.items() if file.startswith("en_"))}


def compare(measured: Mapping[str, Mapping[str, float]], *, asserted: bool = True) -> list[str]:
    """One line for each published figure whose set is complete; sets that are not are named instead.

    Args:
      measured: `measure` of each set, "all" and "eval2000" among them.
    Raises:
      RecipeError: a complete release differs by more than a figure's tolerance, unless `asserted` is False.
    """
    whole = {"Switchboard": measured["all"]["conversations"] in COMPLETE, "Hub5'00": measured["eval2000"]["conversations"] == 40}
    lines = []
    for name, complete in whole.items():
        figures = [figure for figure in FIGURES if (figure.set == "eval2000") == (name == "Hub5'00")]
        if not complete:
            found = measured["eval2000" if name == "Hub5'00" else "all"]["conversations"]
            lines.append(f"{name}: {found:.0f} conversations, the release has {figures[0].value:.0f}: published figures do not apply")
            continue
        for figure in figures:
            found = measured[figure.set][figure.what]
            off = 100 * (found / figure.value - 1)
            lines.append(f"{figure.set}: {found:.6g} {figure.what}, published {figure.value:.6g} ({off:+.1f} %; {figure.source})")
            if asserted and figure.tolerance is not None and abs(off) > figure.tolerance:
                raise RecipeError("a complete release does not have its published size", id=f"{figure.set}, {figure.what}",
                                  expected=f"{figure.value:.6g} within {figure.tolerance:g} % ({figure.source})", found=f"{found:.6g}",
                                  next="see the counts in the report for what was dropped; --check-figures false goes on nevertheless")
    return lines
