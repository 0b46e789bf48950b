"""What a realignment changed: labels of frames, starts of phones, utterances that fail in one of two directories."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Mapping

import numpy as np

from ..io.archives import read_alignments
from ..io.errors import RecipeError
from .aligned import read_failed
from .convert import Segments, phone_segments
from .model import AcousticModel

SHIFTS = (1, 2)  # frames; a start that moved further is counted
LISTED = 10


@dataclass
class Comparison:
    """Counts over the utterances that both directories have; only_a, only_b: those in one, with the other's reason.

    changed_pdfs: None where the trees differ, as pdfs of different trees mean different things. matched: phones in both
    sequences of an utterance; extra_a, extra_b: phones in one of them (optional silence, another pronunciation). moved:
    matched phones by the frames that their start moved. worst: frames with another phone and all frames, by utterance.
    """

    a: str
    b: str
    utts: int = 0
    frames: int = 0
    changed_phones: int = 0
    changed_pdfs: int | None = 0
    matched: int = 0
    extra_a: int = 0
    extra_b: int = 0
    moved: Counter = field(default_factory=Counter)
    worst: dict[str, tuple[int, int]] = field(default_factory=dict)
    only_a: dict[str, str] = field(default_factory=dict)
    only_b: dict[str, str] = field(default_factory=dict)

    def moved_beyond(self, frames: int) -> int:
        return sum(count for shift, count in self.moved.items() if shift > frames)


def compare(folder_a: str, folder_b: str) -> Comparison:
    """Compares two directories utterance by utterance; phone ids must mean the same in both.

    Raises:
      RecipeError: other phones, no utterance in common, an utterance with another number of frames.
    """
    models = [AcousticModel.load(folder) for folder in (folder_a, folder_b)]
    alignments = [read_alignments(folder) for folder in (folder_a, folder_b)]
    phones = [set(model.table.topology.phones.tolist()) for model in models]
    if phones[0] != phones[1]:
        raise RecipeError("alignments over different phones", file=folder_b, id=f"phone {min(phones[0] ^ phones[1])}",
                          expected=f"the {len(phones[0])} phones of {folder_a}",
                          found=f"{len(phones[1])} phones, {len(phones[0] ^ phones[1])} of either on one side only",
                          next="compare alignments of one lang directory")
    result = Comparison(str(folder_a), str(folder_b))
    if not same_pdfs(*models):
        result.changed_pdfs = None
    result.only_a, result.only_b = unshared(alignments[0], alignments[1], folder_b), unshared(alignments[1], alignments[0], folder_a)
    for utt in sorted(alignments[0].keys() & alignments[1].keys(), key=str.encode):
        one, two = alignments[0][utt], alignments[1][utt]
        if len(one) != len(two):
            raise RecipeError("alignments of different lengths", file=folder_b, id=utt,
                              expected=f"{len(one)} frames as in {folder_a}", found=f"{len(two)} frames",
                              next="compare alignments of the same features")
        add_utterance(result, utt, phone_segments(one, models[0].table, utt), phone_segments(two, models[1].table, utt))
        if result.changed_pdfs is not None:
            result.changed_pdfs += int(np.count_nonzero(models[0].pdf_of[one] != models[1].pdf_of[two]))
    if not result.utts:
        raise RecipeError("nothing to compare", file=folder_b, expected=f"utterances of {folder_a}",
                          found="none of them", next="compare alignments of the same data directory")
    return result


def same_pdfs(a: AcousticModel, b: AcousticModel) -> bool:
    """Whether a pdf-id means the same in both: equal trees."""
    return a.tree_map.to_bytes() == b.tree_map.to_bytes()


def unshared(one: Mapping, two: Mapping, folder) -> dict[str, str]:
    """Utterances of `one` that `two` lacks, with the reason in the `failed` of two's directory."""
    reasons = read_failed(folder)
    return {utt: reasons.get(utt, "no reason given") for utt in sorted(one.keys() - two.keys(), key=str.encode)}


def add_utterance(result: Comparison, utt: str, one: Segments, two: Segments) -> None:
    frames = int(one.lengths.sum())
    changed = int(np.count_nonzero(np.repeat(one.phones, one.lengths) != np.repeat(two.phones, two.lengths)))
    pairs = matching(one.phones, two.phones)
    result.utts += 1
    result.frames += frames
    result.changed_phones += changed
    result.matched += len(pairs)
    result.extra_a += len(one.phones) - len(pairs)
    result.extra_b += len(two.phones) - len(pairs)
    result.moved.update(np.abs(one.starts[pairs[:, 0]] - two.starts[pairs[:, 1]]).tolist())
    if changed:
        result.worst[utt] = changed, frames


def matching(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """int (n, 2): positions of the phones that two sequences have in common, in order."""
    if np.array_equal(one, two):
        return np.stack([np.arange(len(one))] * 2, axis=1)
    blocks = SequenceMatcher(None, one.tolist(), two.tolist(), autojunk=False).get_matching_blocks()
    return np.array([(block.a + n, block.b + n) for block in blocks for n in range(block.size)], int).reshape(-1, 2)


def report(result: Comparison, worst: int) -> str:
    """The comparison as text; `worst`: how many of the most changed utterances to name."""
    lines = [f"A: {result.a}", f"B: {result.b}", f"{result.utts} utterances, {result.frames} frames in both", ""]

    def line(what: str, value) -> None:
        lines.append(f"  {what:<32}  {value}")

    line("frames with another pdf label", "n/a: the trees differ" if result.changed_pdfs is None else
         share(result.changed_pdfs, result.frames))
    line("frames with another phone", share(result.changed_phones, result.frames))
    for frames in SHIFTS:
        plural = "s" if frames > 1 else ""
        line(f"phone starts moved > {frames} frame{plural}", share(result.moved_beyond(frames), result.matched))
    for name, extra in (("A", result.extra_a), ("B", result.extra_b)):
        line(f"phones only in {name}", share(extra, result.matched + extra))
    for name, other, missing in (("A", "B", result.only_a), ("B", "A", result.only_b)):
        line(f"utterances only in {name}", f"{len(missing):5d}")
        lines += [f"    {utt}, in {other}: {reason}" for utt, reason in list(missing.items())[:LISTED]]
        if len(missing) > LISTED:
            lines.append(f"    and {len(missing) - LISTED} more")
    ranked = sorted(result.worst.items(), key=lambda item: (-item[1][0] / item[1][1], item[0]))[:worst]
    if ranked:
        lines += ["", "Most changed (frames with another phone):"]
        width = max(len(utt) for utt, _ in ranked)
        lines += [f"  {utt:<{width}}  {share(*counts)}" for utt, counts in ranked]
    return "\n".join(lines) + "\n"


def share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):5.1f} %  ({part} of {whole})"
