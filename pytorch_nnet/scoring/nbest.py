"""n-best lists as text, a line a hypothesis: <utterance>-<rank> <acoustic cost> <graph cost> <word> ...

Ranks begin with 1, as lattice-to-nbest counts. Costs are those of a Kaldi lattice: negative log-likelihoods, the acoustic one unscaled.
"""

from __future__ import annotations

from pathlib import Path

from ..io.publish import publish
from .lattice_jobs import Words, ask_jobs, read_failed


def write_nbest(words_dir, decode_dir, path, *, n: int, lmwt: float, wip: float, nj: int = 1, cmd: str) -> tuple[int, int, dict[str, str]]:
    """Publishes the lists of all lattices, utterances in C order.

    Returns:
      The numbers of hypotheses and of utterances, and the utterances without a lattice, with the reason.
    """
    folder = Path(decode_dir)
    symbols = Words(words_dir)
    found = dict(ask_jobs(folder, "nbest", n, lmwt, wip, nj=nj, cmd=cmd))
    with publish(path) as file:
        for utt in sorted(found, key=str.encode):
            for rank, (words, am, graph) in enumerate(found[utt], 1):
                file.write(" ".join([f"{utt}-{rank}", f"{-am:.4f}", f"{-graph:.4f}", *(symbols[word] for word in words)]) + "\n")
    return sum(map(len, found.values())), len(found), read_failed(folder / "failed.txt")
