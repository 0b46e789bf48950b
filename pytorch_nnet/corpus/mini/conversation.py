"""Two people talk: turns, backchannels, overlaps, and the true time of every word and phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from ...io.errors import RecipeError
from .channel import RATE, SOUNDS, to_telephone_rate
from .espeak import AUDIBLE, SpokenPhone, SpokenWord, Synthesizer
from .grammar import Grammar
from .pronounce import arpabet
from .speakers import Speaker

BACKCHANNEL = 0.35  # probability that the listener answers while the speaker goes on
KEEP_TURN = 0.4  # probability that the speaker goes on after a phrase
EVENT = 0.06  # probability of a laugh, a noise or a cough, before and after a phrase and as a phrase of its own
EVENTS = {"[laughter]": 0.45, "[noise]": 0.35, "[vocalized-noise]": 0.2}
MARGIN = (0.05, 0.3)  # seconds of silence a segment takes along on each side
MAX_OVERLAP, MAX_PAUSE = 0.3, 0.9  # seconds between two turns
SAME_SIDE_GAP = 0.35  # seconds between two phrases of one side


@dataclass
class TimedWord:
    word: str
    start: float  # seconds
    end: float
    phones: list[SpokenPhone]  # ARPAbet; empty for [noise] and its like


@dataclass
class Segment:
    """One phrase of one side. `start` and `end` take some silence along, as a transcriber does."""

    side: int  # 0 is A, 1 is B
    start: float
    end: float
    words: list[TimedWord]

    @property
    def text(self) -> str:
        return " ".join(word.word for word in self.words)


@dataclass
class Conversation:
    name: str  # such as sw02001
    samples: np.ndarray  # (n, 2) float32 at 8 kHz
    segments: list[Segment]  # by start time; those of one side do not overlap
    speakers: tuple[Speaker, Speaker]

    @property
    def duration(self) -> float:
        return len(self.samples) / RATE

    @property
    def speech(self) -> float:
        """Seconds of all segments."""
        return sum(segment.end - segment.start for segment in self.segments)


def converse(name: str, speakers: tuple[Speaker, Speaker], seconds: float, synthesizer: Synthesizer, grammar: Grammar,
             lexicon: Mapping[str, Sequence[Sequence[str]]], rng: np.random.Generator) -> Conversation:
    """Lets two speakers talk about one topic until their phrases last `seconds` together.

    Args:
      lexicon: word -> pronunciations; their lengths divide pairs of words that espeak runs together.
    """
    topic = str(rng.choice(list(grammar.topics)))
    phrases: list[tuple[int, float, np.ndarray, list[TimedWord]]] = []
    free = [rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)]  # when each side may speak again
    side, clock, spoken, greetings = int(rng.integers(2)), 0.0, 0.0, 2

    def utter(who: int, when: float, tokens: list[str]) -> float:
        nonlocal spoken
        start = max(when, free[who])
        samples, words = speak(tokens, speakers[who], synthesizer, lexicon, rng)
        phrases.append((who, start, samples, words))
        end = start + len(samples) / RATE
        free[who] = end + SAME_SIDE_GAP
        spoken += end - start + sum(MARGIN)  # two margins of average size
        return end

    while spoken < seconds:
        rule = "greeting" if greetings else "turn"
        greetings = max(0, greetings - 1)
        tokens = grammar.draw(rule, topic, rng)
        start = clock
        clock = utter(side, clock, with_events(grammar.hesitate(tokens, rng), rng))
        if rng.random() < BACKCHANNEL:
            answer = [draw_event(rng)] if rng.random() < EVENT else grammar.draw("backchannel", topic, rng)
            utter(1 - side, rng.uniform(max(start, clock - 1.5), clock + 0.2), answer)
        side = side if not greetings and rng.random() < KEEP_TURN else 1 - side
        clock += rng.uniform(-MAX_OVERLAP, MAX_PAUSE)
    for who in (side, 1 - side):
        clock = utter(who, clock, grammar.draw("farewell", topic, rng)) + rng.uniform(0.1, 0.4)

    count = int((max(start + len(samples) / RATE for _, start, samples, _ in phrases) + rng.uniform(0.5, 1.5)) * RATE)
    clean = np.zeros((count, 2), np.float32)
    segments = []
    for who, start, samples, words in sorted(phrases, key=lambda phrase: phrase[1]):
        first = int(start * RATE)
        clean[first:first + len(samples), who] += samples
        for word in words:
            word.start, word.end = word.start + start, word.end + start
            for phone in word.phones:
                phone.start, phone.end = phone.start + start, phone.end + start
        segments.append(Segment(who, words[0].start, words[-1].end, words))
    check_audible(name, clean, segments)
    add_margins(segments, count / RATE, rng)
    carried = np.stack([speaker.line.carry(clean[:, who], rng) for who, speaker in enumerate(speakers)], axis=1)
    return Conversation(name, carried, segments, speakers)


def speak(tokens: Sequence[str], speaker: Speaker, synthesizer: Synthesizer, lexicon: Mapping[str, Sequence[Sequence[str]]],
          rng: np.random.Generator) -> tuple[np.ndarray, list[TimedWord]]:
    """Speaks a phrase with its [noise]-like events; returns samples at 8 kHz and words timed from the phrase's start."""
    pieces: list[np.ndarray] = []
    words: list[TimedWord] = []
    position = 0  # samples so far
    run: list[str] = []
    for token in [*tokens, None]:
        if token is not None and token not in SOUNDS:
            run.append(token)
            continue
        if run:
            rate = int(speaker.rate * rng.uniform(0.9, 1.15))
            speech = synthesizer.say(run, speaker.voice, rate=rate, pitch=speaker.pitch, pitch_range=speaker.pitch_range)
            samples, shrink = to_telephone_rate(speech.samples, synthesizer.rate, speaker.warp)
            for group in speech.words:
                words += split_group(group, run, lexicon, shrink, position / RATE)
            pieces.append(samples)
            position += len(samples)
            run = []
        if token is not None:
            sound = SOUNDS[token](rng)
            words.append(TimedWord(token, position / RATE, (position + len(sound)) / RATE, []))
            pieces += [sound, np.zeros(int(rng.uniform(0.02, 0.15) * RATE), np.float32)]
            position += len(sound) + len(pieces[-1])
    return np.concatenate(pieces), words


def split_group(group: SpokenWord, tokens: Sequence[str], lexicon: Mapping[str, Sequence[Sequence[str]]], shrink: float,
                offset: float) -> list[TimedWord]:
    """The tokens of a group with their phones, ARPAbet, in seconds after `offset`.

    Where espeak ran words together ('of the'), the phones are dealt out in proportion to the dictionary's lengths.
    """
    phones = arpabet(group.phones)
    for phone in phones:
        phone.start, phone.end = phone.start * shrink + offset, phone.end * shrink + offset
    lengths = [len(lexicon[tokens[index]][0]) for index in group.tokens]
    if len(phones) < len(lengths):
        raise RecipeError("espeak-ng swallowed a word", id=" ".join(tokens), expected=f"a phone for each of {len(lengths)} words",
                          found=" ".join(phone.name for phone in phones))
    words, first = [], 0
    for number, index in enumerate(group.tokens):
        wanted = round(sum(lengths[:number + 1]) / sum(lengths) * len(phones))
        last = min(max(wanted, first + 1), len(phones) - (len(lengths) - number - 1))
        part = phones[first:last]
        words.append(TimedWord(tokens[index], part[0].start, part[-1].end, part))
        first = last
    return words


def with_events(tokens: list[str], rng: np.random.Generator) -> list[str]:
    """Sometimes a laugh, a noise or a cough before or after the phrase."""
    before = [draw_event(rng)] if rng.random() < EVENT / 2 else []
    after = [draw_event(rng)] if rng.random() < EVENT else []
    return before + tokens + after


def draw_event(rng: np.random.Generator) -> str:
    return str(rng.choice(list(EVENTS), p=list(EVENTS.values())))


def check_audible(name: str, clean: np.ndarray, segments: list[Segment]) -> None:
    """Raises RecipeError if a word of a segment is silence: espeak-ng does not always say that it has failed."""
    for segment in segments:
        for word in segment.words:
            samples = clean[int(word.start * RATE):int(word.end * RATE) + 1, segment.side]
            if np.abs(samples).max(initial=0) < AUDIBLE:
                raise RecipeError("a word of the mini corpus cannot be heard",
                                  id=f"{name} {'AB'[segment.side]} at {word.start:.2f} s",
                                  expected=f"'{word.word}' with a peak of {AUDIBLE}", found=f"{np.abs(samples).max(initial=0):.5f}")


def add_margins(segments: list[Segment], duration: float, rng: np.random.Generator) -> None:
    """Widens every segment by some silence, without touching its neighbours on the same side or the ends of the recording."""
    for side in (0, 1):
        own = [segment for segment in segments if segment.side == side]
        ends = [segment.end for segment in own]
        starts = [segment.start for segment in own]
        for index, segment in enumerate(own):
            before = (starts[index] + ends[index - 1]) / 2 if index else 0.0
            after = (ends[index] + starts[index + 1]) / 2 if index + 1 < len(own) else duration
            segment.start = max(segment.start - rng.uniform(*MARGIN), before)
            segment.end = min(segment.end + rng.uniform(*MARGIN), after)
