"""Scores a decoding directory under every LM weight and word insertion penalty (Kaldi: steps/score_kaldi.sh)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Sequence

from ..corpus.datadir import read_text
from ..io.archives import read_scp
from ..io.errors import RecipeError
from ..io.launcher import DEFAULT_CMD
from ..io.options import option
from ..io.publish import publish
from .glm import Glm, apply_rules
from .lattice_jobs import Words, ask_jobs, check_complete, read_failed
from .letters import read_letters, spelled
from .sweep_job import pairs
from .tune import lowest
from .wer import Counts, count_errors, edits_by_utterance, write_wer

# A recipe's own rules, used without being asked for, as Kaldi does with local/wer_output_filter.
DEFAULT_RULES = "conf/scoring_rules.txt"
TimedWords = list[tuple[int, int]]  # word-ids and the frames where they were emitted


def rules_or_default(given: str) -> str | None:
    """The file of scoring rules that an option names: its own, if empty the recipe's where there are any; None for 'none'."""
    rules = given or (DEFAULT_RULES if Path(DEFAULT_RULES).exists() else "none")
    return None if rules == "none" else rules


@dataclass
class ScoreOptions:
    """LM weights are more than Kaldi's 7 to 17: networks that have learnt word sequences are best at small ones, some GMMs at large ones."""

    min_lmwt: int = option(3, "smallest LM weight")
    max_lmwt: int = option(20, "largest LM weight")
    word_ins_penalty: list[float] = option([0.0, 0.5, 1.0], "word insertion penalties")
    rules: str = option("", f"words to remove or rewrite first; empty: {DEFAULT_RULES} if there is one; none: none")
    nj: int = option(1, "jobs side by side")
    cmd: str = option(DEFAULT_CMD, "job launcher")

    @property
    def lmwts(self) -> list[int]:
        return list(range(self.min_lmwt, self.max_lmwt + 1))


@dataclass
class Paths:
    """Best paths of a decoding directory: frames by utterance, a path by utterance for each (LMWT, WIP) as in `pairs`."""

    frames: dict[str, int]
    paths: dict[str, list[TimedWords]]
    failed: dict[str, str]  # utterances without a lattice, with the reason


@dataclass
class Sweep:
    """Counts of every (LMWT, WIP) and the utterances without a hypothesis, with the reason."""

    counts: dict[tuple[float, float], Counts]
    failed: dict[str, str]


def score(data, words_dir, decode_dir, *, lmwts: Sequence[int], wips: Sequence[float], rules_file=None, nj: int = 1,
          cmd: str) -> Sweep:
    """Writes <decode-dir>/wer_<LMWT>_<WIP>, scoring/<LMWT>.<WIP>.txt and .counts (a line an utterance: its id, its speaker, words
    of the reference, errors), replacing those of an earlier sweep.

    Args:
      data: data directory with the reference, text. words_dir: graph or lang directory with words.txt.
      rules_file: scoring rules (scoring.glm, without alternatives) for references and hypotheses; the .txt files hold words as
        decoded.
    Raises:
      RecipeError: a reference without a lattice that decoding has not listed as failed, or a lattice without a
        reference.
    """
    folder = Path(decode_dir)
    references = read_text(Path(data) / "text")
    speakers = read_scp(Path(data) / "utt2spk", allow_pipes=True) if (Path(data) / "utt2spk").exists() else {}
    symbols = Words(words_dir)
    rules, letters = Glm.read(rules_file) if rules_file else None, read_letters(data)
    for old in (*folder.glob("wer_*"), *folder.glob("scoring/*.txt"), *folder.glob("scoring/*.counts")):
        old.unlink()
    found = find_paths(folder, references, lmwts, wips, nj=nj, cmd=cmd)
    filtered = {utt: apply_rules(words, rules) for utt, words in references.items()}
    sweep = Sweep({}, found.failed)
    for index, (lmwt, wip) in enumerate(pairs(list(lmwts), list(wips))):
        hypotheses = {utt: [symbols[number] for number, _ in found.paths[utt][index]]
                      for utt in sorted(found.paths, key=str.encode)}
        with publish(folder / "scoring" / f"{lmwt}.{wip}.txt") as file:
            file.writelines(" ".join([utt, *words]) + "\n" for utt, words in hypotheses.items())
        edits = edits_by_utterance(filtered, {utt: apply_rules(spelled(words, letters), rules) for utt, words in hypotheses.items()})
        with publish(folder / "scoring" / f"{lmwt}.{wip}.counts") as file:
            file.writelines(f"{utt} {speakers.get(utt, utt)} {len(words)} {sum(edits[utt])}\n"
                            for utt, words in filtered.items())
        counts = count_errors(filtered, edits, found.failed)
        title = f"compute-wer: LM weight {lmwt}, insertion penalty {wip}, scoring rules {rules_file or 'none'}"
        write_wer(folder / f"wer_{lmwt}_{wip}", counts, title, found.failed)
        sweep.counts[lmwt, wip] = counts
    return sweep


def score_decoded(data, words_dir, decode_dirs: Iterable, options: ScoreOptions) -> None:
    """What steps/score does, and a step that decodes does at its end: scores each directory, prints its best line, warns of failed ones."""
    for folder in decode_dirs:
        sweep = score(data, words_dir, folder, lmwts=options.lmwts, wips=options.word_ins_penalty,
                      rules_file=rules_or_default(options.rules), nj=options.nj, cmd=options.cmd)
        lmwt, wip = lowest(sweep.counts)
        print(f"{sweep.counts[lmwt, wip].report()} {folder}/wer_{lmwt}_{wip}", flush=True)
        if sweep.failed:
            utt, reason = next(iter(sweep.failed.items()))
            print(f"WARNING: {len(sweep.failed)} utterances have no hypothesis, their words count as deletions: {utt} ({reason}), ...",
                  file=sys.stderr)


def find_paths(folder: Path, references: Iterable[str], lmwts: Sequence[float], wips: Sequence[float], *, nj: int,
               cmd: str) -> Paths:
    """The best paths of every utterance of `references`; raises RecipeError where `check_complete` does."""
    if not lmwts or not wips or min(lmwts) <= 0:
        raise RecipeError("nothing to sweep", expected="LM weights above 0 and an insertion penalty",
                          found=f"{list(lmwts)}, {list(wips)}")
    found = Paths({}, {}, read_failed(folder / "failed.txt"))
    for utt, frames, paths in ask_jobs(folder, "sweep", ",".join(map(str, lmwts)), ",".join(map(str, wips)), nj=nj, cmd=cmd):
        found.frames[utt], found.paths[utt] = frames, paths
    check_complete(set(references), set(found.paths), found.failed, folder)
    return found
