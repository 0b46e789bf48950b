"""What an alignment looks like as a whole: share of silence, durations of phones, and what is odd about them.

Kaldi: steps/diagnostic/analyze_alignments.sh, steps/diagnostic/analyze_phone_length_stats.py.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ..io.kaldi_topology import HmmState
from ..io.options import option
from .aligned import FRAME_SHIFT, AlignmentDir

PLACES = ("first phone", "last phone", "inside")  # of an utterance
LISTED = 8  # names in a remark


@dataclass
class Limits:
    """Beyond these an alignment is called odd."""

    min_silence: float = option(5.0, "percent of the frames that should be silence at least")
    max_silence: float = option(50.0, "percent of the frames that should be silence at most")
    max_bare: float = option(20.0, "percent of the utterances that may begin (or end) without silence")
    max_failed: float = option(1.0, "percent of the utterances that may have no alignment")
    max_median: int = option(30, "frames that a speech phone's median duration may have at most")
    min_count: int = option(20, "occurrences from which on a phone's durations are judged")


@dataclass
class Durations:
    """Counts of durations: `frames[n]` segments last n frames."""

    frames: Counter = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.frames.total()

    @property
    def total(self) -> int:
        """Frames of all segments."""
        return sum(length * count for length, count in self.frames.items())

    def quantile(self, share: float) -> int:
        """The shortest duration, in frames, that at least this share of the segments do not exceed; 0 without any."""
        seen, needed = 0, share * self.count
        for length in sorted(self.frames):
            seen += self.frames[length]
            if seen >= needed:
                return length
        return 0

    def __add__(self, other: "Durations") -> "Durations":
        return Durations(self.frames + other.frames)


@dataclass
class AlignmentStats:
    """Numbers of one alignment directory.

    durations: by (phone, place). edge_silence, inner_silence: frames of silence phones before the first or after the
    last speech phone, and between. bare_begins, bare_ends: utterances whose first (last) phone is speech. spoken:
    phones of all pronunciations of the words in the transcripts.
    """

    name: str
    utts: int = 0
    frames: int = 0
    failed: Counter = field(default_factory=Counter)  # by reason
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    edge_silence: int = 0
    inner_silence: int = 0
    bare_begins: int = 0
    bare_ends: int = 0
    silence_phones: list[str] = field(default_factory=list)
    speech_phones: list[str] = field(default_factory=list)
    shortest: dict[str, int] = field(default_factory=dict)  # frames that the topology demands, by phone
    spoken: set[str] = field(default_factory=set)

    def of(self, *phones: str, places=PLACES) -> Durations:
        """Durations of several phones in several places together."""
        parts = (self.durations.get((phone, place), Durations()) for phone in phones for place in places)
        return sum(parts, Durations())


def alignment_stats(data: str, lang: str, ali_dir: str) -> AlignmentStats:
    """Reads and counts; a phone's places in words count together. The lang directory's silence phones, noises among them, count as silence."""
    source = AlignmentDir(data, lang, ali_dir)
    names, topology = source.lang.bare_phone, source.model.table.topology
    stats = AlignmentStats(str(ali_dir), silence_phones=list(dict.fromkeys(names[phone] for phone in source.lang.silence_phones)),
                           speech_phones=list(dict.fromkeys(names[phone] for phone in source.lang.nonsilence_phones)))
    stats.shortest = {names[phone]: shortest_path(topology.states(phone)) for phone in topology.phones.tolist()}
    stats.failed.update(source.failed.get(utt, "no reason given") for utt in source.unaligned())
    words = {word for transcript in source.data.text.values() for word in transcript}
    unknown = source.pronunciations[source.oov]
    stats.spoken = {names[phone] for word in words for phones in source.pronunciations.get(word, unknown)
                    for phone in phones}
    stats.spoken.add(names[source.lang.optional_silence])
    counts: dict[tuple[str, str], Counter] = {}
    for utterance in source:
        phones, lengths = utterance.segments.phones, utterance.segments.lengths
        stats.utts += 1
        stats.frames += len(utterance.alignment)
        silent = np.isin(phones, source.lang.silence_phones)
        speech = np.flatnonzero(~silent)
        inside = np.zeros(len(phones), bool)
        if len(speech):
            inside[speech[0]:speech[-1]] = True
        stats.inner_silence += int(lengths[silent & inside].sum())
        stats.edge_silence += int(lengths[silent & ~inside].sum())
        stats.bare_begins += not silent[0]
        stats.bare_ends += not silent[-1]
        # An utterance of one phone counts it at both ends.
        for place, part in zip(PLACES, (slice(0, 1), slice(-1, None), slice(1, -1))):
            for phone, length in zip(phones[part].tolist(), lengths[part].tolist()):
                counts.setdefault((names[phone], place), Counter())[length] += 1
    stats.durations = {key: Durations(counter) for key, counter in counts.items()}
    return stats


def shortest_path(states: list[HmmState]) -> int:
    """Frames of the fastest way through an HMM, from state 0 to the final one."""
    reached, final = {0}, len(states) - 1
    for frames in range(1, final):
        reached = {target for state in reached for target, _ in states[state].transitions}
        if final in reached:
            return frames
    return final  # no way is shorter than through all states


def remarks(stats: AlignmentStats, limits: Limits) -> list[str]:
    """What is odd, in sentences; empty if nothing is."""
    found = []
    silence = 100 * (stats.edge_silence + stats.inner_silence) / max(stats.frames, 1)
    if silence > limits.max_silence:
        found.append(f"{silence:.1f} % of the frames are silence (more than {limits.max_silence:g} %): segments with "
                     "long pauses, or words aligned too tightly.")
    if silence < limits.min_silence:
        found.append(f"{silence:.1f} % of the frames are silence (less than {limits.min_silence:g} %): segments cut "
                     "into the words, or phones that have swallowed the silence.")
    for count, what in ((stats.bare_begins, "begin"), (stats.bare_ends, "end")):
        share = 100 * count / max(stats.utts, 1)
        if share > limits.max_bare:
            found.append(f"{share:.1f} % of the utterances {what} without silence (more than {limits.max_bare:g} %): "
                         "segments cut too tightly.")
    tried = stats.utts + stats.failed.total()
    if stats.failed.total() > limits.max_failed / 100 * tried:
        found.append(f"{stats.failed.total()} of {tried} utterances have no alignment (more than "
                     f"{limits.max_failed:g} %).")
    phones = stats.silence_phones + stats.speech_phones
    whole = {phone: stats.of(phone) for phone in phones}
    judged = [phone for phone in phones if whole[phone].count >= limits.min_count]
    hasty = [phone for phone in judged if whole[phone].quantile(0.5) <= stats.shortest.get(phone, 0)]
    if hasty:
        found.append(f"Half of all segments of {listed(hasty)} are as short as the HMM allows: squeezed in where the "
                     "speaker does not say them, or too many states.")
    slow = [phone for phone in judged
            if phone in stats.speech_phones and whole[phone].quantile(0.5) > limits.max_median]
    if slow:
        found.append(f"The median of {listed(slow)} is above {limits.max_median} frames: speech phones that model "
                     "silence or noise.")
    unseen = [phone for phone in phones if not whole[phone].count]
    for spoken, why in ((True, "although a word of the transcripts may have it"),
                        (False, "as no word of the transcripts has it")):
        group = [phone for phone in unseen if (phone in stats.spoken) == spoken]
        if group:
            found.append(f"Never seen, {why}: {listed(group)}.")
    return found


def listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def report(stats: AlignmentStats, limits: Limits, frame_shift: float = FRAME_SHIFT) -> str:
    """The whole analysis as text of at most 80 columns, remarks first."""
    minutes = stats.frames * frame_shift / 60
    lines = [f"{stats.name}: {stats.utts} utterances, {stats.frames} frames ({minutes:.1f} min), {stats.failed.total()} failed"]
    lines += [f"  failed: {count} x {reason}" for reason, count in stats.failed.most_common()]
    found = remarks(stats, limits)
    lines += ["", "Odd:" if found else "Nothing odd."]
    for remark in found:
        lines += textwrap.wrap(remark, 80, initial_indent="  * ", subsequent_indent="    ")
    share = 100 / max(stats.frames, 1)
    ends = 100 / max(stats.utts, 1)
    lines += ["", (f"Silence: {share * (stats.edge_silence + stats.inner_silence):.1f} % of the frames: "
                   f"{share * stats.edge_silence:.1f} % at the ends of utterances, {share * stats.inner_silence:.1f} % inside"),
              (f"Utterances that begin with silence: {100 - ends * stats.bare_begins:.1f} %, that end with it: "
               f"{100 - ends * stats.bare_ends:.1f} %"), "",
              "Durations by place in the utterance: median and 95 % quantile, in frames", ""]
    lines += table(stats)
    return "\n".join(lines) + "\n"


def table(stats: AlignmentStats) -> list[str]:
    """Lines of durations: silence and speech as a whole, then every phone seen."""
    phones = stats.silence_phones + stats.speech_phones
    width = max(7, *(len(phone) for phone in phones))
    lines = [" " * (width + 8) + "".join(f"{name:^20}" for name in PLACES).rstrip(),
             f"{'phone':<{width}} frames %" + "   count median 95 %" * len(PLACES)]
    groups = {"silence": stats.silence_phones, "speech": stats.speech_phones, **{phone: [phone] for phone in phones}}
    for name, members in groups.items():
        if not stats.of(*members).count:
            continue
        cells = []
        for place in PLACES:
            durations = stats.of(*members, places=(place,))
            numbers = durations.count, durations.quantile(0.5), durations.quantile(0.95)
            cells += [f"{number if durations.count else '.':>{size}}" for number, size in zip(numbers, (8, 7, 5))]
        lines.append(f"{name:<{width}} {100 * stats.of(*members).total / max(stats.frames, 1):8.1f}" + "".join(cells))
        if name == "speech":
            lines.append("")
    return lines
