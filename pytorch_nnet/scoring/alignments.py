"""Alignments of references and hypotheses in the SGML form that sclite writes (-o sgml) and sc_stats reads.

    <SYSTEM title="..." ref_fname="..." hyp_fname="..." creation_date="..." format="2.4" frag_corr="TRUE" opt_del="TRUE"
        weight_ali="FALSE" weight_filename="">
    <SPEAKER id="sw_4390_a">
    <PATH id="(sw_4390_a-000)" word_cnt="3" labels="<o,sw>" file="sw_4390" channel="a" sequence="0" R_T1="1.000" R_T2="2.500"
        word_aux="h_t1+t2">
    C,"yes","yes",1.100+1.300:S,"it","in",1.300+1.500:D,"is",,
    </PATH>

(the tags stand on one line each.) A token is a kind (C, S, D, I), the reference word, the hypothesis word and its times.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

from ..io.errors import RecipeError, reading, require_file
from ..io.publish import publish
from .network import Aligned, Token

TOKEN = re.compile(r'([CSDI]),(?:"([^"]*)")?,(?:"([^"]*)")?,?[^:"]*(?::|$)')


@dataclass
class Utterance(Aligned):
    """One scored segment."""

    speaker: str
    file: str
    channel: str
    begin: float  # seconds
    end: float
    labels: str
    tokens: list[Token]

    @property
    def side(self) -> tuple[str, str]:
        """The conversation side: one person on one telephone."""
        return self.file, self.channel

    @property
    def key(self) -> tuple[str, str, float, float]:
        return self.file, self.channel, self.begin, self.end


def write_alignments(path, utterances: Iterable[Utterance], *, title: str) -> None:
    """Publishes the utterances, those of a speaker together, speakers in the order of their first ones."""
    speakers: dict[str, list[tuple[int, Utterance]]] = {}
    for number, utterance in enumerate(utterances):
        speakers.setdefault(utterance.speaker, []).append((number, utterance))
    with publish(path) as file:
        file.write(f'<SYSTEM title="{title}" ref_fname="stm" hyp_fname="{Path(path).name}" creation_date="" format="2.4" '
                   'frag_corr="TRUE" opt_del="TRUE" weight_ali="FALSE" weight_filename="">\n')
        for speaker, own in speakers.items():
            file.write(f'<SPEAKER id="{speaker}">\n')
            for count, (number, one) in enumerate(own):
                file.write(f'<PATH id="({speaker}-{count:03d})" word_cnt="{len(one.tokens)}" labels="{one.labels}" '
                           f'file="{one.file}" channel="{one.channel}" sequence="{number}" R_T1="{one.begin:.3f}" '
                           f'R_T2="{one.end:.3f}">\n')
                file.write(":".join(map(token_text, one.tokens)) + "\n</PATH>\n")
            file.write("</SPEAKER>\n")
        file.write("</SYSTEM>\n")


def token_text(token: Token) -> str:
    """A deleted optional word and its like have an empty word in quotes; what has no word at all has nothing."""
    quoted = [f'"{word}"' if word or token.kind == "C" else "" for word in token[1:]]
    return f"{token.kind},{quoted[0]},{quoted[1]}"


def read_alignments(path) -> list[Utterance]:
    """Reads a file of ours or of sclite. Raises RecipeError if it is none."""
    utterances: list[Utterance] = []
    speaker = ""
    with reading(path, "not an alignment file", next="score again"), open(require_file(path), encoding="latin-1") as file:
        lines = iter(file)
        for line in lines:
            if line.startswith("<SPEAKER"):
                speaker = attributes(line)["id"]
            elif line.startswith("<PATH"):
                values, content = attributes(line), next(lines).rstrip("\n")
                tokens = [] if content.startswith("</PATH") else [
                    Token(kind, reference, hypothesis) for kind, reference, hypothesis in TOKEN.findall(content)]
                if len(tokens) != int(values["word_cnt"]):
                    raise RecipeError("alignment file contradicts itself", file=path, id=values["id"],
                                      expected=f"{values['word_cnt']} tokens", found=len(tokens), next="score again")
                utterances.append(Utterance(speaker, values["file"], values["channel"], float(values["R_T1"]),
                                            float(values["R_T2"]), values.get("labels", ""), tokens))
    if not utterances:
        raise RecipeError("not an alignment file", file=path, expected="sclite's SGML with a PATH for each segment",
                          found="none", next="score again")
    return sorted(utterances, key=lambda utterance: utterance.key)


def attributes(line: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', line))


def kinds(utterances: Iterable[Utterance]) -> Counter:
    """Numbers of C, S, D and I tokens."""
    return Counter(token.kind for utterance in utterances for token in utterance.tokens)
