"""Hypotheses with times, as CTM: the best paths of a decoding directory's lattices (Kaldi: get_ctm.sh, lattice-to-ctm)."""

from __future__ import annotations

from typing import Mapping, Sequence

from ..corpus.datadir import DataDir
from ..decoding.search import FRAMES_PER_SECOND
from .glm import Glm, apply_rules
from .stm import CtmWord

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


def ctm_words(data: DataDir, paths: Mapping[str, Sequence[tuple[int, int]]], frames: Mapping[str, int],
              symbols: Mapping[int, str], rules: Glm | None) -> list[CtmWord]:
    """All words that a scorer shall see.

    As in Kaldi's local/score_sclite.sh for Switchboard, words that the recipe's rules take away (noises, unknown words,
    hesitations) and words cut short (th-) are left out: the references make them optional.
    """
    words = []
    scored: dict[int, bool] = {}
    for utt, path in paths.items():
        file, channel, begin = data.ctm_place(utt)
        for number, start, duration in timed_words(path, frames[utt], begin):
            word = symbols[number]
            if number not in scored:
                scored[number] = not word.endswith("-") and bool(apply_rules([word], rules))
            if scored[number]:
                words.append(CtmWord(file, channel, round(start, 2), round(duration, 2), word))
    return words
