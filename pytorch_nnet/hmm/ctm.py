"""CTM files (NIST): every phone or word of an alignment with its time in the recording (Kaldi: steps/get_train_ctm.sh)."""

from __future__ import annotations

from ..corpus.datadir import DataDir
from ..io.archives import read_alignments
from ..io.publish import publish
from ..lang.lang_dir import LangDir
from .convert import phone_segments, word_segments
from .model import AcousticModel


def write_ctm(data: str, lang: str, ali_dir: str, ctm: str, *, words: bool, frame_shift: float = 0.01) -> None:
    """Publishes `ctm`; without `segments`, times count from the start of the utterance and its id names the file, channel 1."""
    data_dir, lang_dir, model = DataDir.load(data), LangDir(lang), AcousticModel.load(ali_dir)
    pronunciations: dict[str, list[tuple[int, ...]]] = {}
    for word, phones in lang_dir.lexicon:
        pronunciations.setdefault(word, []).append(tuple(lang_dir.phones[phone] for phone in phones))
    oov = lang_dir.id2word[lang_dir.oov]
    rows = []
    for utt, alignment in read_alignments(ali_dir).items():
        segments = phone_segments(alignment, model.table, utt)
        if words:
            known = [word if word in pronunciations else oov for word in data_dir.text[utt]]
            items = word_segments(segments, known, pronunciations, lang_dir.optional_silence, utt)
        else:
            items = [(lang_dir.id2phone[phone], start, length) for phone, start, length
                     in zip(segments.phones.tolist(), segments.starts.tolist(), segments.lengths.tolist())]
        where, begin = (utt, "1"), 0.0
        if utt in data_dir.segments:
            segment = data_dir.segments[utt]
            where, begin = data_dir.channel.get(segment.recording, (segment.recording, "1")), segment.start
        rows += [(*where, begin + start * frame_shift, length * frame_shift, name) for name, start, length in items]
    with publish(ctm) as file:
        file.writelines(f"{name} {channel} {start:.3f} {duration:.3f} {word}\n" for name, channel, start, duration, word in sorted(rows))
