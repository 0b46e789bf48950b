"""The lexicon as a transducer from phones to words, L.fst (Kaldi: utils/lang/make_lexicon_fst.py)."""

from __future__ import annotations

import math
from typing import Iterator, Mapping, Sequence

from ..io.publish import check_written
from .lexicon import Pronunciation

START, LOOP, SILENCE = 0, 1, 2  # after SILENCE comes the optional silence phone, then LOOP
Arc = tuple[int, int, str, str, float]  # from, to, phone, word, cost


def lexicon_arcs(lexicon: Sequence[Pronunciation], optional_silence: str | None, sil_prob: float,
                 sil_disambig: str | None = None, word_disambig: str | None = None) -> Iterator[Arc]:
    """Yields the arcs of the lexicon; LOOP is the one final state, with cost 0.

    Between words stands optional silence with probability `sil_prob`; the word leaves on the first phone of its
    pronunciation, so that the language model is applied as early as it can be.

    Args:
      optional_silence: None where there is none, in units of CTC; then words follow one another at no cost.
      sil_disambig: follows the silence, so that a sequence with it stays distinct from the one without.
      word_disambig: "#0", passed through by a self-loop: G's back-off arcs carry it.
    """
    to_word, to_silence = (0.0, 0.0) if optional_silence is None else (-math.log(1.0 - sil_prob), -math.log(sil_prob))
    next_state = SILENCE + 1
    yield START, LOOP, "<eps>", "<eps>", to_word
    if optional_silence is not None:
        yield START, SILENCE, "<eps>", "<eps>", to_silence
        if sil_disambig is None:
            yield SILENCE, LOOP, optional_silence, "<eps>", 0.0
        else:
            yield SILENCE, next_state, optional_silence, "<eps>", 0.0
            yield next_state, LOOP, sil_disambig, "<eps>", 0.0
            next_state += 1
    for word, phones in lexicon:
        state, output = LOOP, word
        for phone in phones[:-1]:
            yield state, next_state, phone, output, 0.0
            state, output, next_state = next_state, "<eps>", next_state + 1
        yield state, LOOP, phones[-1], output, to_word
        if optional_silence is not None:
            yield state, SILENCE, phones[-1], output, to_silence
    if word_disambig is not None:
        yield LOOP, LOOP, word_disambig, word_disambig, 0.0


def write_lexicon_fst(path, lexicon: Sequence[Pronunciation], phones: Mapping[str, int], words: Mapping[str, int],
                      optional_silence: str | None, sil_prob: float, sil_disambig: str | None = None,
                      word_disambig: str | None = None) -> None:
    """Writes an OpenFst binary sorted on output labels, ready to be composed with G."""
    import kaldifst

    arcs = lexicon_arcs(lexicon, optional_silence, sil_prob, sil_disambig, word_disambig)
    lines = [f"{source} {target} {phones[phone]} {words[word]} {cost!r}" for source, target, phone, word, cost in arcs]
    lines.append(f"{LOOP} 0")
    fst = kaldifst.compile("\n".join(lines) + "\n", keep_state_numbering=True)
    kaldifst.arcsort(fst, "olabel")
    check_written(fst.write(str(path)), path)
