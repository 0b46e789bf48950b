"""Lattice oracle: the lowest WER of any path (Kaldi: steps/oracle_wer.sh, lattice-oracle), and how deep the lattices are.

It bounds what rescoring can gain. (The tables' oracle is another thing: the lowest WER of the best paths under any LM weight and
insertion penalty.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..corpus.datadir import read_text
from ..decoding.lattice import Lattice
from ..decoding.oracle import oracle, with_tokens
from ..io.publish import publish
from .glm import Glm, apply_rules
from .lattice_jobs import Words, ask_jobs, check_complete, read_failed
from .letters import read_letters, spelled
from .wer import Counts, count_errors, edits_by_utterance, write_wer


@dataclass
class LatticeOracle:
    counts: Counts
    depth: float  # arcs that cross a frame, on average (Kaldi: lattice-depth)
    failed: dict[str, str]  # utterances without a lattice, with the reason; all their words are deletions


def answer_for(data, words_dir, rules_file: str) -> Callable[[str, Lattice], list]:
    """What a job says of a lattice: frames, summed frames of its arcs, fewest errors of a path, and the words of one, as scored.

    Letters and scoring rules are applied to each word by itself, and to references as a whole.
    """
    symbols = Words(words_dir)
    rules, letters = Glm.read(rules_file) if rules_file else None, read_letters(data)
    references = read_text(Path(data) / "text")
    numbers: dict[str, int] = {}  # of what is scored

    def numbered(words: list[str]) -> list[int]:
        return [numbers.setdefault(word, len(numbers) + 1) for word in words]

    tokens: dict[int, list[int]] = {}  # of the words met so far

    def work(utt: str, lattice: Lattice) -> list:
        frame, arcs = lattice.states["frame"], lattice.arcs
        for number in set(arcs["word"].tolist()) - tokens.keys() - {0}:
            tokens[number] = numbered(apply_rules(spelled([symbols[number]], letters), rules))
        reference = numbered(apply_rules(references.get(utt, []), rules))
        errors, words = oracle(with_tokens(lattice, tokens), reference)
        names = list(numbers)
        return [lattice.num_frames, int((frame[arcs["dst"]] - frame[arcs["src"]]).sum()), errors, [names[number - 1] for number in words]]

    return work


def lattice_oracle(data, words_dir, decode_dir, *, rules_file: str = "", nj: int = 1, cmd: str) -> LatticeOracle:
    """Writes <decode-dir>/oracle_wer, in the form of a wer file, and <decode-dir>/oracle_text, the words of those paths as scored.

    Raises:
      RecipeError: a reference without a lattice that decoding has not listed as failed, or a lattice without a reference.
    """
    folder = Path(decode_dir)
    references = read_text(Path(data) / "text")
    rules = Glm.read(rules_file) if rules_file else None
    found = {utt: said for utt, *said in ask_jobs(folder, "oracle", data, words_dir, rules_file, nj=nj, cmd=cmd)}
    failed = read_failed(folder / "failed.txt")
    check_complete(set(references), set(found), failed, folder)
    filtered = {utt: apply_rules(words, rules) for utt, words in references.items()}
    hypotheses = {utt: found[utt][3] for utt in sorted(found, key=str.encode)}
    edits = edits_by_utterance(filtered, hypotheses)
    assert all(sum(edits[utt]) == errors for utt, (_, _, errors, _) in found.items()), "two alignments disagree"
    frames = sum(said[0] for said in found.values())
    result = LatticeOracle(count_errors(filtered, edits, failed), sum(said[1] for said in found.values()) / max(frames, 1), failed)
    title = f"lattice oracle: lowest WER of any path, lattice depth {result.depth:.2f} arcs a frame, scoring rules {rules_file or 'none'}"
    with publish(folder / "oracle_text") as file:
        file.writelines(" ".join([utt, *words]) + "\n" for utt, words in hypotheses.items())
    write_wer(folder / "oracle_wer", result.counts, title, failed)
    return result
