"""Writes the mini corpus in the layout of the LDC's releases.

    <corpus>/LDC97S62/swb1_d<n>/data/sw02001.sph                      audio, two channels, 8 kHz mu-law NIST SPHERE
    <corpus>/swb_ms98_transcriptions/sw-ms98-dict.text                dictionary; further pronunciations are word_1, word_2
    <corpus>/swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-trans.text  `id start end words`, [silence] between the segments
    <corpus>/swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-word.text   the same, a line a word
    <corpus>/LDC2002S09/hub5e_00/english/{sw_4390.sph,hub5e_00.pem}   test audio and its segments
    <corpus>/LDC2002T43/reference/{hub5e00.english.000405.stm,en20000405_hub5.glm,english/sw_4390.txt}
    <corpus>/truth/<recording>.words.ctm, <recording>.phones.ctm      the true times, which no LDC release has

Truth files are ctm files, `<file> <channel> <start> <duration> <word or phone>`, in seconds from the start of the file with
four decimals; one a side, named by its recording-id. Phones are those of the dictionary, but as spoken, with the speaker's
accent. Noises have a word line and no phones. A word begins with its first phone; time that no phone covers is silence.
Words that the synthesizer runs together ("of the") share their phones in proportion to the dictionary's lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

import numpy as np

from ...io.publish import publish_folder
from .channel import RATE, SOUNDS
from .conversation import Conversation, converse
from .espeak import open_synthesizer
from .grammar import Grammar
from .pronounce import pronunciations
from .speakers import draw_speaker

DISCS = 4
STM_HEADER = """;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
;; CATEGORY "1" "Corpus" ""
;; LABEL "en" "CallHome" "second half of the test conversations"
;; LABEL "sw" "Switchboard" "first half of the test conversations"
;; CATEGORY "2" "Speaker" ""
;; LABEL "F" "Female" ""
;; LABEL "M" "Male" ""
;; LABEL "en-F" "CallHome, female" ""
;; LABEL "en-M" "CallHome, male" ""
;; LABEL "sw-F" "Switchboard, female" ""
;; LABEL "sw-M" "Switchboard, male" ""
"""
GLM = """;; Mapping rules for scoring, applied to references and hypotheses alike.
* name "en20000405_hub5.glm"
* desc "mini corpus: hesitations are one word, which may stay out, backchannels are one word"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'
UH => (%HESITATION) / [ ] __ [ ]
UM => (%HESITATION) / [ ] __ [ ]
UH-HUH => %BCACK / [ ] __ [ ]
"""


@dataclass(frozen=True)
class Size:
    """Conversations before the dev set is split off, test conversations, and seconds of speech in each (both sides together)."""

    train: int
    test: int
    seconds: float


SIZES = {"smoke": Size(train=8, test=2, seconds=30), "default": Size(train=52, test=8, seconds=60)}


def write_corpus(folder, size: Size, seed: int, *, progress: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Publishes a corpus in one go; returns what it holds: hours, words and so on.

    Every side of every conversation is a new speaker. The same size and seed give the same bytes.
    Args:
      progress: called once a conversation.
    """
    names = [f"sw0{2001 + k}" for k in range(size.train)]
    half = (size.test + 1) // 2
    names += [f"sw_{4390 + k}" for k in range(half)] + [f"en_{4156 + k}" for k in range(size.test - half)]
    speakers = [draw_speaker(seed, number) for number in range(2 * len(names))]
    grammar = Grammar()
    test: list[Conversation] = []
    count = {"conversations": len(names), "speakers": len(speakers), "hours": 0.0, "words": 0}
    distinct: set[str] = set()
    with publish_folder(folder) as root, open_synthesizer({s.variant: s.description for s in speakers}) as synthesizer:
        lexicon = pronunciations(synthesizer, grammar.vocabulary())
        for number, name in enumerate(names):
            conversation = converse(name, (speakers[2 * number], speakers[2 * number + 1]), size.seconds, synthesizer, grammar,
                                    lexicon, np.random.default_rng([seed, 2, number]))
            if number < size.train:
                write_sphere(root / "LDC97S62" / f"swb1_d{1 + number % DISCS}" / "data" / f"{name}.sph", conversation)
                write_ms98(root / "swb_ms98_transcriptions", conversation)
            else:
                write_sphere(root / "LDC2002S09" / "hub5e_00" / "english" / f"{name}.sph", conversation)
                conversation.samples = conversation.samples[:0]  # not needed any more
                test.append(conversation)
            write_truth(root / "truth", conversation)
            count["hours"] += conversation.speech / 3600
            spoken = [word.word for segment in conversation.segments for word in segment.words]
            count["words"] += sum(word not in SOUNDS for word in spoken)
            distinct |= set(spoken) - SOUNDS.keys()
            progress()
        write_dictionary(root / "swb_ms98_transcriptions" / "sw-ms98-dict.text", lexicon)
        write_references(root, test)
    return {**count, "distinct words": len(distinct), "vocabulary": len(lexicon)}


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_sphere(path: Path, conversation: Conversation) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), conversation.samples, RATE, format="NIST", subtype="ULAW")


def write_ms98(root: Path, conversation: Conversation) -> None:
    """Both sides' trans.text and word.text; [silence] fills the time between segments."""
    number = conversation.name[3:]  # sw02001 -> 2001
    for side, letter in enumerate("AB"):
        lines: list[tuple[float, float, list[tuple[float, float, str]]]] = []  # start, end, timed words
        clock = 0.0
        for segment in (s for s in conversation.segments if s.side == side):
            if segment.start - clock > 0.01:
                lines.append((clock, segment.start, [(clock, segment.start, "[silence]")]))
            lines.append((segment.start, segment.end, [(word.start, word.end, word.word) for word in segment.words]))
            clock = segment.end
        if conversation.duration - clock > 0.01:
            lines.append((clock, conversation.duration, [(clock, conversation.duration, "[silence]")]))
        named = [(f"sw{number}{letter}-ms98-a-{index:04d}", *line) for index, line in enumerate(lines, 1)]
        trans = [f"{name} {start:.6f} {end:.6f} {' '.join(word for _, _, word in timed)}" for name, start, end, timed in named]
        words = [f"{name} {first:.6f} {last:.6f} {word}" for name, _, _, timed in named for first, last, word in timed]
        for kind, content in (("trans", trans), ("word", words)):
            write_lines(root / number[:2] / number / f"sw{number}{letter}-ms98-a-{kind}.text", content)


def write_dictionary(path: Path, lexicon: dict[str, list[list[str]]]) -> None:
    """`word phone ...`; the second pronunciation of a word stands under word_1, and so on."""
    write_lines(path, (f"{word}{f'_{index}' if index else ''} {' '.join(phones)}"
                       for word, forms in sorted(lexicon.items()) for index, phones in enumerate(forms)))


def write_references(root: Path, conversations: list[Conversation]) -> None:
    """pem, stm, glm and the plain transcripts of the test conversations; segments without words are marked as not scored."""
    speech, reference = root / "LDC2002S09" / "hub5e_00" / "english", root / "LDC2002T43" / "reference"
    pem, stm = [";; file channel speaker start end"], []
    for conversation in conversations:
        name, corpus, text = conversation.name, conversation.name[:2], []
        for segment in sorted(conversation.segments, key=lambda s: (s.side, s.start)):
            letter, gender = "AB"[segment.side], conversation.speakers[segment.side].gender
            words = [word.word for word in segment.words if word.word not in SOUNDS]
            pem.append(f"{name} {letter} unknown_speaker {segment.start:.2f} {segment.end:.2f}")
            label = f"<O,{corpus},{gender},{corpus}-{gender}>"
            stm.append(f"{name} {letter} {name}_{letter} {segment.start:.2f} {segment.end:.2f} {label} "
                       f"{' '.join(words).upper() if words else 'IGNORE_TIME_SEGMENT_IN_SCORING'}")
            text.append(f"{segment.start:.2f} {segment.end:.2f} {letter}: {segment.text}")
        write_lines(reference / "english" / f"{name}.txt", text)
    write_lines(speech / "hub5e_00.pem", pem)
    (reference / "hub5e00.english.000405.stm").write_text(STM_HEADER + "".join(f"{line}\n" for line in stm))
    (reference / "en20000405_hub5.glm").write_text(GLM)


def write_truth(root: Path, conversation: Conversation) -> None:
    for side, letter in enumerate("AB"):
        recording = f"{conversation.name}-{letter}"
        words = [word for segment in conversation.segments if segment.side == side for word in segment.words]
        write_lines(root / f"{recording}.words.ctm",
                    (f"{conversation.name} {letter} {word.start:.4f} {word.end - word.start:.4f} {word.word}" for word in words))
        write_lines(root / f"{recording}.phones.ctm",
                    (f"{conversation.name} {letter} {phone.start:.4f} {phone.end - phone.start:.4f} {phone.name}"
                     for word in words for phone in word.phones))
