"""Kaldi's binary files packed by hand from the published layout, without the code under test; and a small Kaldi experiment."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

HEADER = b"\0B"
# Phones of toy_hmm's lang directory: 1 SIL, 2 SPN, 3 to 6 a to d. Targets of each emitting state, as steps/prepare_lang has them.
SILENCE = [[0, 1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [4, 5]]
BAKIS = [[0, 1], [1, 2], [2, 3]]
STATES = {1: SILENCE, 2: SILENCE, 3: BAKIS, 4: BAKIS, 5: BAKIS, 6: BAKIS}
WALK = {1: [0, 1, 4], 2: [0, 2, 4], 3: [0, 1, 2], 4: [0, 1, 2], 5: [0, 1, 2], 6: [0, 1, 2]}
GAUSS_DIM = 39


def i32(*values: int) -> bytes:
    return b"".join(struct.pack("<bi", 4, value) for value in values)


def f32(value: float) -> bytes:
    return struct.pack("<bf", 4, value)


def ints(values) -> bytes:
    return struct.pack("<bi", 4, len(values)) + struct.pack(f"<{len(values)}i", *values)


def floats(values) -> bytes:
    array = np.asarray(values)
    letter, code = ("D", "d") if array.dtype == np.float64 else ("F", "f")
    kind = f"{letter}{'V' if array.ndim == 1 else 'M'} ".encode()
    return kind + i32(*array.shape) + struct.pack(f"<{array.size}{code}", *array.ravel().tolist())


def ali(vectors: dict[str, list[int]]) -> bytes:
    return b"".join(key.encode() + b" " + HEADER + i32(len(values), *values) for key, values in vectors.items())


def topology(states=STATES, phones=None) -> bytes:
    """Two entries, or as many as there are different prototypes."""
    phones = sorted(states) if phones is None else phones
    kinds = []
    for phone in phones:
        if states[phone] not in kinds:
            kinds.append(states[phone])
    table = [-1] * (max(phones) + 1)
    for phone in phones:
        table[phone] = kinds.index(states[phone])
    parts = [b"<Topology> ", ints(phones), ints(table), i32(len(kinds))]
    for kind in kinds:
        parts.append(i32(len(kind) + 1))
        for number, targets in enumerate(kind):
            parts += [i32(number, len(targets)), *(i32(target) + f32(1 / len(targets)) for target in targets)]
        parts.append(i32(-1, 0))
    return b"".join([*parts, b"</Topology> "])


def pdfs(states=STATES) -> dict[tuple[int, int], list[int]]:
    """Of (phone, state): one pdf each, but two for the first state of phone 3, which asks for its left neighbour."""
    found, number = {}, 0
    for phone in sorted(states):
        for state in range(len(states[phone])):
            count = 2 if (phone, state) == (3, 0) else 1
            found[phone, state] = list(range(number, number + count))
            number += count
    return found


def transition_states(states=STATES) -> list[tuple[int, int, int]]:
    return sorted((phone, state, pdf) for (phone, state), several in pdfs(states).items() for pdf in several)


def transition_model(states=STATES) -> bytes:
    rows = transition_states(states)
    logs = [0.0] + [float(np.log(1 / len(states[p][s]))) for p, s, _ in rows for _ in states[p][s]]
    return (b"<TransitionModel> " + topology(states) + b"<Triples> " + i32(len(rows)) + b"".join(i32(*row) for row in rows)
            + b"</Triples> <LogProbs> " + floats(np.array(logs, np.float32)) + b"</LogProbs> </TransitionModel> ")


def gaussians(dim=GAUSS_DIM, states=STATES) -> bytes:
    rng = np.random.default_rng(3)
    count = sum(map(len, pdfs(states).values()))
    parts = [b"<DIMENSION> ", i32(dim), b"<NUMPDFS> ", i32(count)]
    for _ in range(count):
        means, inverse = rng.normal(size=(1, dim)), rng.uniform(1, 2, (1, dim))
        constant = -0.5 * (dim * np.log(2 * np.pi) - np.log(inverse).sum() + (means ** 2 * inverse).sum())
        parts += [b"<DiagGMM> <GCONSTS> ", floats(np.array([constant], np.float32)), b"<WEIGHTS> ", floats(np.ones(1, np.float32)),
                  b"<MEANS_INVVARS> ", floats((means * inverse).astype(np.float32)), b"<INV_VARS> ",
                  floats(inverse.astype(np.float32)), b"</DiagGMM> "]
    return b"".join(parts)


def tree(states=STATES, split_on=(4, 5)) -> bytes:
    """Width 3, centre 1: a table of phones, each a table of states; phone 3 state 0 asks whether phone -1 is in `split_on`."""
    def leaf(pdf):
        return b"CE " + i32(pdf)

    by_phone = [b"NULL "]
    for phone in range(1, max(states) + 1):
        leaves = []
        for state in range(len(states[phone])):
            own = pdfs(states)[phone, state]
            leaves.append(leaf(own[0]) if len(own) == 1 else
                          b"SE " + i32(0) + ints(split_on) + b"{ " + leaf(own[0]) + leaf(own[1]) + b"} ")
        by_phone.append(b"TE " + i32(-1) + struct.pack("<bI", -4, len(leaves)) + b"( " + b"".join(leaves) + b") ")
    root = b"TE " + i32(1) + struct.pack("<bI", -4, len(by_phone)) + b"( " + b"".join(by_phone) + b") "
    return HEADER + b"ContextDependency " + i32(3, 1) + b"ToPdf " + root + b"EndContextDependency "


def path(phones: list[tuple[int, int]], states=STATES, split_on=(4, 5)) -> tuple[list[int], list[int]]:
    """(transition-ids, pdf-ids) by frame of phones with their lengths; a state's loops follow the transition out of it."""
    rows = transition_states(states)
    first = np.cumsum([1] + [len(states[p][s]) for p, s, _ in rows]).tolist()
    ids, labels, before = [], [], 0
    for phone, length in phones:
        walk = WALK[phone]
        shares = [len(part) for part in np.array_split(np.arange(length), len(walk))]
        for state, following, share in zip(walk, [*walk[1:], len(states[phone])], shares):
            own = pdfs(states)[phone, state]
            pdf = own[0] if len(own) == 1 or before in split_on else own[1]
            start = first[rows.index((phone, state, pdf))]
            targets = states[phone][state]
            ids += [start + targets.index(following)] + [start + targets.index(state)] * (share - 1)
            labels += [pdf] * share
        before = phone
    return ids, labels


def write_experiment(folder: Path, alignments: dict[str, list[int]], jobs: int = 2, text: bool = False) -> Path:
    """final.mdl, tree, ali.JOB.gz, num_jobs, phones.txt and cmvn_opts, as Kaldi's steps/align_si.sh leaves them."""
    folder.mkdir(parents=True)
    (folder / "final.mdl").write_bytes(HEADER + transition_model() + gaussians())
    (folder / "tree").write_bytes(tree())
    (folder / "num_jobs").write_text(f"{jobs}\n")
    (folder / "cmvn_opts").write_text("--norm-means=true --norm-vars=false\n")
    symbols = ["<eps>", "SIL", "SPN", "a", "b", "c", "d", "#0", "#1", "#2", "#3", "#4"]
    (folder / "phones.txt").write_text("".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols)))
    utts = sorted(alignments)
    for job in range(jobs):
        part = {utt: alignments[utt] for utt in utts[job::jobs]}
        lines = "".join(f"{utt} {' '.join(map(str, ids))} \n" for utt, ids in part.items())
        (folder / f"ali.{job + 1}.gz").write_bytes(gzip.compress(lines.encode() if text else ali(part)))
    return folder
