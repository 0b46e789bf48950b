"""Scores a decoding directory against the references that NIST's scorers read, stm and glm (Kaldi: swbd local/score_sclite.sh).

Writes a folder named by the scorer, hubscr or builtin:
    scoring_<scorer>/score_<LMWT>_<WIP>/<set>.ctm             hypotheses
                                        <set>.ctm.filt.sgml   alignments (alignments.py)
                                        <set>.ctm.filt.sys    sclite's rates by speaker (hubscr alone)
    scoring_<scorer>/<subset>/wer_<LMWT>_<WIP>                figures, for `all` and every part of the set
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterable, Sequence

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError, require_file
from .alignments import Utterance, kinds, read_alignments, write_alignments
from .builtin import BuiltinScorer
from .ctm import ctm_words, for_scoring
from .glm import Glm
from .hubscr import find_hubscr, run_hubscr
from .lattice_jobs import Words
from .letters import read_letters
from .stm import read_ctm, write_ctm
from .sweep import find_paths
from .sweep_job import pairs
from .wer import Counts, write_wer

SCORERS = ("hubscr", "builtin")
# Parts of a test set by how their files' names begin.
SUBSETS = {"swbd": "sw", "callhm": "en", "fsh": "fsh"}
# Segments scored and reference words of the full Hub5'00 set, as every line of Kaldi's egs/swbd/s5c/RESULTS has them.
HUB5_00 = {"all": (4459, 42989), "swbd": (1831, 21395), "callhm": (2628, 21594)}
Score = Callable[[Path], tuple[list[Utterance], str]]  # of a CTM; and the scorer's name with its version


def score_stm(data, words_dir, decode_dir, *, lmwts: Sequence[int], wips: Sequence[float], scorer: str = "", sctk: str = "",
              rules_file=None, nj: int = 1, cmd: str) -> tuple[Path, dict[tuple[float, float], dict[str, Counts]]]:
    """Returns the folder it wrote, and the counts of every (LMWT, WIP) and subset; an earlier folder of that scorer goes.

    Args:
      data: data directory with stm and glm. words_dir: graph or lang directory with words.txt.
      scorer: hubscr or builtin; empty: hubscr where it is installed. sctk: folder with hubscr.pl; empty: looked for.
      rules_file: a GLM; hypothesis words that it takes away are not scored.
    """
    stm, glm = (require_file(Path(data) / name, next="local/prepare_switchboard copies it from LDC2002T43")
                for name in ("stm", "glm"))
    if scorer not in ("", *SCORERS):
        raise RecipeError("bad value for an option", id="scorer", expected=" or ".join(SCORERS), found=scorer)
    program = find_hubscr(sctk) if scorer != "builtin" else None
    if scorer == "hubscr" and not program:
        raise RecipeError("hubscr is not installed", id="--scorer hubscr", expected="hubscr.pl on PATH or in /usr/lib/sctk/bin",
                          found="none", next="install NIST's SCTK (Debian: apt-get install sctk), or --scorer builtin")
    name, folder = Path(data).name, Path(decode_dir)
    table = DataDir.load(data)
    rules, letters = Glm.read(rules_file) if rules_file else None, read_letters(data)
    symbols = Words(words_dir)
    found = find_paths(folder, table.utts, lmwts, wips, nj=nj, cmd=cmd)
    out = folder / f"scoring_{'hubscr' if program else 'builtin'}"
    shutil.rmtree(out, ignore_errors=True)

    ctms = []
    grid = pairs(list(lmwts), list(wips))
    for index, (lmwt, wip) in enumerate(grid):
        words = (word for utt, paths in found.paths.items()
                 for word in ctm_words(table, utt, paths[index], found.frames[utt], symbols))
        ctms.append(out / f"score_{lmwt}_{wip}" / f"{name}.ctm")
        write_ctm(ctms[-1], for_scoring(words, rules, letters))
    score = with_hubscr(program, stm, glm) if program else with_builtin(stm, glm)
    lost = {utt: table.ctm_place(utt)[0] for utt in found.failed}
    sweep = {}
    with ThreadPoolExecutor(nj if program else 1) as pool:
        for (lmwt, wip), (utterances, title) in zip(grid, pool.map(score, ctms)):
            sweep[lmwt, wip] = counts = count_subsets(utterances, lost.values())
            check_published(counts, stm)
            for subset, numbers in counts.items():
                failed = {utt: found.failed[utt] for utt, file in lost.items() if belongs(file, subset)}
                write_wer(out / subset / f"wer_{lmwt}_{wip}", numbers,
                          f"{title}: {subset} of {name}, LM weight {lmwt}, insertion penalty {wip}", failed)
    return out, sweep


def with_hubscr(program: Path, stm, glm) -> Score:
    def score(ctm: Path) -> tuple[list[Utterance], str]:
        version = run_hubscr(program, stm, glm, ctm)
        return read_alignments(f"{ctm}.filt.sgml"), f"hubscr (sclite {version})"

    return score


def with_builtin(stm, glm) -> Score:
    scorer = BuiltinScorer(stm, glm)

    def score(ctm: Path) -> tuple[list[Utterance], str]:
        utterances = scorer.score(read_ctm(ctm))
        write_alignments(f"{ctm}.filt.sgml", utterances, title=ctm.name)
        return utterances, "builtin scorer (hubscr's counts)"

    return score


def belongs(file: str, subset: str) -> bool:
    return subset == "all" or file.lower().startswith(SUBSETS[subset])


def count_subsets(utterances: Sequence[Utterance], failed_files: Iterable[str]) -> dict[str, Counts]:
    """Counts of the whole set and of every part that occurs; `failed_files` has the file of each utterance not decoded."""
    failed_files = list(failed_files)
    result = {}
    for subset in ("all", *SUBSETS):
        own = [utterance for utterance in utterances if belongs(utterance.file, subset)]
        if own:
            number = kinds(own)
            result[subset] = Counts(sum(utterance.words for utterance in own), number["I"], number["D"], number["S"], len(own),
                                    sum(utterance.errors > 0 for utterance in own),
                                    sum(belongs(file, subset) for file in failed_files))
    return result


def check_published(counts: dict[str, Counts], stm) -> None:
    """Raises RecipeError if the segments are those of the full Hub5'00 set and the reference words are not."""
    if {subset: number.sentences for subset, number in counts.items()} != {name: value[0] for name, value in HUB5_00.items()}:
        return
    for subset, (segments, words) in HUB5_00.items():
        if counts[subset].words != words:
            raise RecipeError("reference words of Hub5'00 are not the published number", file=stm, id=subset,
                              expected=f"{words} in {segments} segments", found=counts[subset].words,
                              next="restore stm and glm from LDC2002T43 and prepare the set again")
