"""CTM files (NIST): every phone or word of an alignment with its time in the recording (Kaldi: get_train_ctm.sh)."""

from __future__ import annotations

from ..io.publish import publish
from .aligned import FRAME_SHIFT, AlignmentDir


def write_ctm(data: str, lang: str, ali_dir: str, ctm: str, *, words: bool, frame_shift: float = FRAME_SHIFT) -> None:
    """Publishes `ctm`; without `segments`, times count from the start of the utterance, whose id names the file."""
    rows = []
    for utterance in AlignmentDir(data, lang, ali_dir):
        where = utterance.file, utterance.channel
        rows += [(*where, utterance.begin + start * frame_shift, frames * frame_shift, name)
                 for name, start, frames in (utterance.words if words else utterance.phones)]
    with publish(ctm) as file:
        file.writelines(f"{name} {channel} {start:.3f} {duration:.3f} {word}\n"
                        for name, channel, start, duration, word in sorted(rows))
