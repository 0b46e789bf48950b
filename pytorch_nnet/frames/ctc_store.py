"""The store that CTC trains on: features as in the frame store, and for each utterance a sequence of units in place of a label a frame.

    <store>/meta.json          facts about the set, the units among them; size and SHA-256 of each array (docs/formats.md, "CTC store")
            features.f16, offsets.i64, utts.txt   as in the frame store
            tokens.u16         uint16 (num_tokens,): classes of the units, utterances end to end; never 0, the blank
            token_offsets.i64  int64 (num_utts + 1,): first token of each utterance in tokens.u16, and num_tokens

A network trained on one has the units for classes, another label map than any tree's, and so cannot be taken for a hybrid one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Iterable, Iterator

import numpy as np

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, reading
from ..io.publish import publish_folder
from ..lang.lang_dir import LangDir
from ..lang.units import UnitLexicon, Units
from .folder import ArrayFile
from .labels import aligned, check_lengths, read_extractor
from .store import DIM, FeatureStore, FeatureWriter, FrameStore, check_classes

FORMAT = "pytorch_nnet ctc store 1"
NEXT = "make it again: steps/make_ctc_store"


class CtcStore(FeatureStore):
    """An opened store. units: what the classes are. tokens: (num_tokens,) uint16. token_offsets: (num_utts + 1,) int64."""

    FORMAT, NEXT = FORMAT, NEXT

    def map_labels(self) -> None:
        self.units = Units.from_facts(self.meta["units"], file=self.path / "meta.json")
        self.num_tokens = int(self.meta["num_tokens"])
        self.tokens, self.token_offsets = self.map("tokens.u16"), np.array(self.map("token_offsets.i64"))

    def counts(self) -> list[tuple[str, int, int]]:
        return [*super().counts(), ("tokens", self.num_tokens, len(self.tokens)), ("classes", self.num_classes, len(self.units.symbols)),
                ("token offsets", self.num_utts + 1, len(self.token_offsets)), ("last token offset", self.num_tokens, int(self.token_offsets[-1]))]

    def utt_labels(self, index: int) -> np.ndarray:
        """(tokens of the utterance,)."""
        return self.tokens[int(self.token_offsets[index]):int(self.token_offsets[index + 1])]

    def label_counts(self) -> np.ndarray:
        return self.counted(self.tokens, "tokens.u16")

    def needed(self) -> np.ndarray:
        """(num_utts,) int64: the least outputs that each target can be read from: one a token, and a blank between equal neighbours."""
        repeats = np.zeros(self.num_tokens + 1, np.int64)
        repeats[2:] = np.cumsum(self.tokens[1:] == self.tokens[:-1])  # by the end of each token, those before and between utterances too
        first, last = self.token_offsets[:-1], self.token_offsets[1:]
        return last - first + np.where(last > first, repeats[last] - repeats[np.minimum(first + 1, last)], 0)


def open_store(path, *, check_hashes: bool = True) -> FrameStore | CtcStore:
    """Opens a store of either kind."""
    meta = Path(path) / "meta.json"
    with reading(meta, "meta.json is not JSON", next=FrameStore.NEXT):
        kind = json.loads(meta.read_text(encoding="utf-8")) if meta.is_file() else {}
    store = CtcStore if isinstance(kind, dict) and kind.get("format") == FORMAT else FrameStore
    return store.open(path, check_hashes=check_hashes)


def write_ctc_store(path, utterances: Iterable[tuple[str, np.ndarray, np.ndarray]], *, units: Units, cmvn: dict[str, bool],
                    dim: int = DIM, extractor: dict[str, Any] | None = None) -> CtcStore:
    """Publishes a store in one pass.

    Args:
      utterances: (id, features (T, dim) float, classes of its units (N,)) in C order of ids; N may be 0.
    Raises:
      RecipeError: as `store.write_frame_store`; a blank among the tokens.
    """
    with publish_folder(path) as folder:
        writer = FeatureWriter(folder, path, dim)
        tokens, offsets = ArrayFile(folder, "tokens.u16", "<u2"), ArrayFile(folder, "token_offsets.i64", "<i8")
        total = 0
        for utt, rows, classes in utterances:
            writer.append(utt, rows)
            classes = np.asarray(classes, np.int64)
            check_classes(path, utt, classes, len(units.symbols))
            if (classes == 0).any():
                raise RecipeError("a blank among the units of an utterance", file=path, id=utt, expected="classes from 1 on", found=0)
            tokens.append(classes)
            offsets.append(np.array([total]))
            total += len(classes)
        offsets.append(np.array([total]))
        writer.close(FORMAT, [tokens, offsets], {
            "num_classes": len(units.symbols), "cmvn": cmvn, "extractor": extractor or {}, "label_map": units.label_map, "num_tokens": total,
            "units": units.facts()})
    return CtcStore.open(path, check_hashes=False)


def make_ctc_store(data, lang_dir, store, *, kind: str, ali_dir: str = "", norm_means: bool, norm_vars: bool, dropped_list=None) -> CtcStore:
    """Builds `store` from a filterbank data directory and its transcripts, or the pronunciations that an alignment chose.

    Args:
      kind: phones or graphemes. ali_dir: phones only; its phones but for optional silence are the targets. '': of each word the first
        pronunciation of the lexicon.
    Raises:
      RecipeError: too many words outside the lexicon; as `labels.make_frame_store` where there is an alignment.
    """
    from ..features.reader import FeatureReader

    lang = LangDir(lang_dir)
    units = Units.of_lang(lang, kind)
    cmvn = {"norm_means": norm_means, "norm_vars": norm_vars}
    reader = FeatureReader(data, cmvn)
    if ali_dir:
        if kind != "phones":
            raise RecipeError("an alignment says which phones were spoken", id="units", expected="phones", found=kind,
                              next="leave the alignment out")
        pairs = from_alignment(reader, units, data, lang, ali_dir, dropped_list)
    else:
        pairs = from_transcripts(reader, units, data, lang)
    return write_ctc_store(store, pairs, units=units, cmvn=cmvn, extractor=read_extractor(data))


def from_alignment(features: Iterable[tuple[str, np.ndarray]], units: Units, data, lang: LangDir, ali_dir,
                   dropped_list) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Asserts that alignment and features have as many frames."""
    from ..hmm.aligned import AlignmentDir

    alignments = AlignmentDir(data, lang.folder, ali_dir)
    silence = lang.bare_phone[lang.optional_silence]
    for utt, rows in aligned(features, alignments.alignments, data, ali_dir, dropped_list):
        spoken = alignments[utt]
        check_lengths(utt, len(rows), len(spoken.alignment), data, ali_dir)
        names = (lang.bare_phone[lang.phones[name]] for name, _, _ in spoken.phones)
        yield utt, rows, np.array(units.classes((name for name in names if name != silence), file=ali_dir, id=utt), np.int64)


def from_transcripts(features: Iterable[tuple[str, np.ndarray]], units: Units, data, lang: LangDir) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    text = DataDir.load(data, need=("text",)).text
    _, unknown = lang.transcripts(text, file=f"{data}/text")
    if unknown:
        print(f"{unknown.total()} words of {data} are not in the lexicon; the commonest: {' '.join(word for word, _ in unknown.most_common(10))}",
              file=sys.stderr, flush=True)
    lexicon, empty = UnitLexicon(units, lang), 0
    for utt, rows in features:
        classes = lexicon.of_words(text[utt])
        empty += not classes
        yield utt, rows, np.array(classes, np.int64)
    if empty:
        print(f"{empty} utterances of {data} have nothing spoken: their targets are blanks alone", file=sys.stderr, flush=True)
