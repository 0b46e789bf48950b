"""The test sets with references of NIST: Hub5'00 (eval2000) and RT-03, with the stm and glm that score them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Iterable

from ..io.errors import RecipeError
from ..io.publish import publish_folder
from .datadir import DataDir
from .findfiles import find_files
from .hub5 import Scored, check_pem, padded_times, read_stm, scorer_stm
from .telephone import add_utterance, in_order, read_telephone
from .textfile import read_lines


@dataclass
class TestSet:
    data: DataDir
    stm: list[str]
    glm: list[str]

    def publish(self, folder) -> None:
        with publish_folder(folder) as temporary:
            self.data.write(temporary)
            for name, lines in (("stm", self.stm), ("glm", self.glm)):
                (temporary / name).write_text("".join(f"{line}\n" for line in lines), encoding="latin-1", errors="xmlcharrefreplace")
        self.data.path = Path(folder)


def read_eval2000(folders: Iterable, counts: Counter) -> TestSet:
    """Hub5'00 from LDC2002S09 and LDC2002T43, in either order: the segments that are scored, 0.1 s wider on both sides.

    Raises:
      RecipeError: a file that is missing, no audio for a reference, a pem that differs from the stm.
    """
    find = partial(find_files, list(folders), option="--eval2000", counts=counts)
    stm_path, = find(r"hub5e00\.english\.000405\.stm", what="Hub5'00 references", expected="hub5e00.english.000405.stm").values()
    glm_path, = find(r"en20000405_hub5\.glm", what="Hub5'00 mapping rules", expected="en20000405_hub5.glm").values()
    audio = find(r".*\.sph", what="Hub5'00 audio", expected="sw_4390.sph and its like")
    segments = read_stm(stm_path, counts)
    pems = find(r"hub5e_00\.pem", what="Hub5'00 segments", expected="hub5e_00.pem", required=False)
    for path in pems.values():
        check_pem(path, segments)
    if not pems:
        counts["no hub5e_00.pem: stm segments not cross-checked"] += 1
    data = scored_data("eval2000", segments, padded_times(segments), audio, "LDC2002S09 and LDC2002T43 in --eval2000", counts)
    return TestSet(data, scorer_stm(stm_path), [line for _, line in read_lines(glm_path, Counter())])


def read_rt03(folder, counts: Counter) -> TestSet:
    """The English telephone part of RT-03 from LDC2007S10: all of its stm files, times as they are in them.

    Raises:
      RecipeError: as `read_eval2000`.
    """
    find = partial(find_files, folder, option="--rt03", counts=counts)
    telephone = ("english", "cts")
    stms = find(r".*\.stm", what="RT-03 references", expected="references/eval03/english/cts/*.stm", within=telephone)
    glm_path, = find(r"en20030506\.glm", what="RT-03 mapping rules", expected="trans_rules/en20030506.glm").values()
    audio = find(r".*\.sph", what="RT-03 audio", expected="audio/eval03/english/cts/*.sph", within=telephone)
    segments = [segment for path in stms.values() for segment in read_stm(path, counts)]
    times = [(segment.start, segment.end) for segment in segments]
    data = scored_data("rt03", segments, times, audio, "LDC2007S10 as --rt03", counts)
    return TestSet(data, [line for path in stms.values() for line in scorer_stm(path)],
                   [line for _, line in read_lines(glm_path, Counter())])


def scored_data(name: str, segments: list[Scored], times: list[tuple[float, float]], audio: dict[str, str], release: str,
                counts: Counter) -> DataDir:
    """The segments that are scored as a data directory in memory; nothing of a test set may be missing."""
    data, files = DataDir(Path(name), {}), {}
    for segment, wide in zip(segments, times):
        file = f"{segment.file.lower()}.sph"
        if file not in audio:
            raise RecipeError("reference without audio", file=segment.source, id=segment.file, expected=f"{file} among the audio",
                              found="no such file", next=f"give the whole of {release}")
        if file not in files:
            files[file] = read_telephone(audio[file], counts)
        if segment.words:
            add_utterance(data, segment.recording, (segment.start, segment.end), wide, segment.words, files[file], segment.source, counts)
    return in_order(data)
