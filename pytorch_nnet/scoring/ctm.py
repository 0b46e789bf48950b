"""Hypotheses with times, as CTM: the best paths of a decoding directory's lattices (Kaldi: get_ctm.sh, lattice-to-ctm)."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Iterable, Iterator, Mapping, Sequence

from ..corpus.datadir import DataDir
from ..decoding.search import FRAMES_PER_SECOND
from .glm import Glm, apply_rules
from .lattice_jobs import Words, ask_jobs, check_complete, read_failed
from .letters import Letters
from .stm import CtmWord, write_ctm

LONGEST = 0.5  # seconds


def timed_words(words: Sequence[tuple[int, int]], frames: int, begin: float) -> list[tuple[int, float, float]]:
    """(word-id, begin, duration) in seconds for the words of one utterance.

    A lattice says at which frame a word is emitted, which is at its first phones. It lasts until the next one, or the end
    of the utterance, but LONGEST at most, so that a pause after it does not carry its middle into the next segment.

    Args:
      words: (word-id, frame where it was emitted). frames: of the utterance. begin: of the utterance, in seconds.
    """
    starts = [frame for _, frame in words] + [frames]
    return [(word, begin + frame / FRAMES_PER_SECOND, min((after - frame) / FRAMES_PER_SECOND, LONGEST))
            for (word, frame), after in zip(words, starts[1:])]


def ctm_words(data: DataDir, utt: str, path: Sequence[tuple[int, int]], frames: int, symbols: Mapping[int, str],
              sure: Iterable[float | None] | None = None) -> list[CtmWord]:
    """The words of one utterance's path, in their place in the recording; `sure` has their confidences."""
    file, channel, begin = data.ctm_place(utt)
    return [CtmWord(file, channel, start, duration, symbols[number], confidence)
            for (number, start, duration), confidence in zip(timed_words(path, frames, begin), sure or repeat(None))]


def for_scoring(words: Iterable[CtmWord], rules: Glm | None, letters: Letters) -> Iterator[CtmWord]:
    """The words that a scorer shall see.

    As in Kaldi's local/score_sclite.sh for Switchboard, words that the recipe's rules take away (noises, unknown words,
    hesitations) and words cut short (th-) are left out: the references make them optional. The letters of an acronym
    share its time.
    """
    scored: dict[str, bool] = {}
    for word in words:
        name = word.word
        if name not in scored:
            scored[name] = not name.endswith("-") and bool(apply_rules([name], rules))
        if scored[name]:
            parts = letters.get(name, [name])
            share = word.duration / len(parts)
            for place, part in enumerate(parts):
                yield word._replace(begin=word.begin + place * share, duration=share, word=part)


def get_ctm(data_dir, words_dir, decode_dir, ctm, *, lmwt: float, wip: float, nj: int = 1,
            cmd: str) -> tuple[list[CtmWord], dict[str, str]]:
    """Publishes the best path of every lattice, with times and confidences (Kaldi: steps/get_ctm_conf.sh).

    Returns:
      The words in the order of the utterances, and the utterances without a lattice, with the reason: they have no words.
    Raises:
      RecipeError: an utterance of the data directory neither decoded nor listed as failed, or a lattice of no utterance of it.
    """
    data, folder = DataDir.load(data_dir), Path(decode_dir)
    symbols = Words(words_dir)
    found = {utt: decoded for utt, *decoded in ask_jobs(folder, "ctm", lmwt, wip, nj=nj, cmd=cmd)}
    failed = read_failed(folder / "failed.txt")
    check_complete(set(data.utts), set(found), failed, folder)
    words = []
    for utt in data.utts:
        if utt in found:
            frames, path, sure = found[utt]
            words += ctm_words(data, utt, path, frames, symbols, sure)
    write_ctm(ctm, words)
    return words, failed
