"""The scorer that needs no other program: CTM against STM and GLM, with the counts of NIST's hubscr.

hubscr.pl -l english -h hub5 (SCTK) is csrfilt.sh, here `glm` and `stm`, and sclite -F -D, here `network`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterable

from ..io.errors import RecipeError
from .alignments import Utterance
from .glm import UPPER, Glm
from .network import Network, Token, align
from .stm import CtmWord, Segment, Side, assign, filtered, read_stm

LOWER = {upper: lower for lower, upper in UPPER.items()}
Item = tuple[tuple[str, ...], ...]  # alternatives of words


class BuiltinScorer:
    """Scores any number of CTMs against one STM; equal hypotheses of a segment are aligned once.

    score(words): one Utterance a segment that is scored, in the order of the STM.
    """

    def __init__(self, stm, glm):
        self.path = stm
        self.hypothesis_rules = Glm.read(glm, ("ctm", "hyp"))
        self.segments: dict[Side, list[Segment]] = read_stm(stm, Glm.read(glm, ("stm", "ref")))
        self.align = lru_cache(maxsize=None)(align_text)

    def score(self, words: Iterable[CtmWord]) -> list[Utterance]:
        """Raises RecipeError for words of a side that the STM does not have."""
        hypotheses = filtered(words, self.hypothesis_rules)
        foreign = hypotheses.keys() - self.segments.keys()
        if foreign:
            raise RecipeError("hypotheses for a side that the references lack", file=self.path, id=" ".join(min(foreign)),
                              expected="the files and channels of the stm", found=f"{len(foreign)} others",
                              next="score the set that was decoded")
        utterances = []
        for side, segments in self.segments.items():
            for segment, items in zip(segments, assign(segments, hypotheses.get(side, []))):
                if not segment.ignored:
                    said: tuple[Item, ...] = tuple(tuple(map(tuple, item.alternatives)) for item in items)
                    utterances.append(Utterance(lower(segment.speaker), lower(segment.file), lower(segment.channel),
                                                segment.begin, segment.end, lower(segment.labels),
                                                self.align(segment.text, said)))
        return utterances


def lower(text: str) -> str:
    return text.translate(LOWER)


def align_text(reference: str, hypothesis: tuple[Item, ...]) -> list[Token]:
    items = [[[lower(word) for word in words] for words in alternatives] for alternatives in hypothesis]
    return align(Network.of_text(lower(reference)), Network.of_items(items))
