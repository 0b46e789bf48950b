"""Lattices of words: what the decoder leaves behind, and the best paths under any LM weight and insertion penalty.

A lattice is an acyclic graph with one start (state 0) and one end (the last state). An arc holds at most one word, an
acoustic score `am` (unscaled log-likelihood, summed over the frames the arc spans) and a graph score `graph` (log
weight in HCLG: language model, pronunciation and transitions); higher is better. `compacted` shortens the frame-by-frame
graph only where that leaves the best path of every (LMWT, WIP) as it is, so a sweep over a lattice loses nothing but
what the decoding beams lost.

lat.JOB.npz is a ZIP file (deflated, entries dated 1980-01-01, so equal lattices are equal bytes) with two NumPy 1.0
arrays an utterance:
    <utt>.states.npy  (S,) records of 8 bytes:  int32 frame (where the state lies), int32 level (longest distance from
        the start, in arcs)
    <utt>.arcs.npy    (A,) records of 20 bytes: int32 src, int32 dst, int32 word (0: none), float32 am, float32 graph
all little-endian. States are sorted by level; arcs by (dst, src, word); src < dst; the frame of state 0 is 0 and that
of the last state the number of frames. A word belongs to the beginning of its arc: it was emitted at the frame of src.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from ..io.errors import RecipeError, reading, require_file
from ..io.ids import check_id
from ..io.publish import publish_path

STATE = np.dtype([("frame", "<i4"), ("level", "<i4")])
ARC = np.dtype([("src", "<i4"), ("dst", "<i4"), ("word", "<i4"), ("am", "<f4"), ("graph", "<f4")])


@dataclass
class Lattice:
    """states (S,) of dtype STATE and arcs (A,) of dtype ARC, as documented above."""

    states: np.ndarray
    arcs: np.ndarray

    @property
    def num_frames(self) -> int:
        return int(self.states["frame"][-1])

    def check(self) -> None:
        """Raises ValueError unless arcs lead from level to level, in order, with finite scores."""
        states, arcs = self.states, self.arcs
        level = states["level"]
        if not (states.ndim == arcs.ndim == 1 and len(arcs) and level[0] == 0 and (np.diff(level) >= 0).all() and level[-1] < len(states)):
            raise ValueError(f"{states.shape} states, {arcs.shape} arcs, levels {level[:1]} to {level[-1:]}")
        if arcs["src"].min() < 0 or arcs["dst"].max() >= len(states) or arcs["dst"].min() < 1 or (np.diff(arcs["dst"]) < 0).any():
            raise ValueError(f"arcs out of order, or beyond the {len(states)} states")
        if (level[arcs["src"]] >= level[arcs["dst"]]).any() or states["frame"].min() < 0 or arcs["word"].min() < 0:
            raise ValueError("arcs within a level, or negative frames or words")
        if not (np.isfinite(arcs["am"]).all() and np.isfinite(arcs["graph"]).all()):
            raise ValueError("scores that are not finite")

    def entry(self) -> np.ndarray:
        """(S + 1,): the arcs into state s are entry[s]:entry[s + 1]."""
        return np.searchsorted(self.arcs["dst"], np.arange(len(self.states) + 1))

    def exits(self) -> tuple[np.ndarray, np.ndarray]:
        """(A,) and (S + 1,): numbers of the arcs in order of src; those out of state s are order[leave[s]:leave[s + 1]]."""
        order = np.argsort(self.arcs["src"], kind="stable")
        return order, np.searchsorted(self.arcs["src"][order], np.arange(len(self.states) + 1))

    def levels(self) -> list[tuple[int, int]]:
        """The states low:high of every level from 1 on; no arc leads from a level to itself or back."""
        level = self.states["level"]
        bounds = np.searchsorted(level, np.arange(1, level[-1] + 2)).tolist()
        return list(zip(bounds[:-1], bounds[1:]))

    def onward(self, weight: np.ndarray, join: np.ufunc) -> np.ndarray:
        """(S,): of the ways from each state to the end, their weights joined; a way's weight is the sum of its arcs', (A,).

        With costs and np.minimum the cost of the best way, with log-probabilities and np.logaddexp that of all.
        """
        order, leave = self.exits()
        weight, after = weight[order], self.arcs["dst"][order]
        result = np.zeros(len(self.states), weight.dtype)
        for low, high in [(0, 1), *self.levels()[:-1]][::-1]:  # the end, alone on the last level, has no arcs out
            begin, stop = leave[low], leave[high]
            result[low:high] = join.reduceat(weight[begin:stop] + result[after[begin:stop]], leave[low:high] - begin)
        return result

    @classmethod
    def build(cls, src, dst, word, am, graph, frame, compact: bool = False) -> "Lattice":
        """Makes a lattice from parallel arrays of arcs and the frame of every state.

        State 0 is the start, the last one the end; every state lies on a path between them; src < dst. `compact` makes
        it smaller without losing a best path.
        Raises:
          RecipeError: one of these does not hold, or a score is not finite.
        """
        arcs = np.empty(len(src), ARC)
        for name, column in zip(ARC.names or (), (src, dst, word, am, graph)):
            arcs[name] = column
        end = len(frame) - 1
        if not len(arcs) or not (np.isfinite(arcs["am"]).all() and np.isfinite(arcs["graph"]).all()):
            raise RecipeError(
                "a lattice without arcs or with a score that is not finite",
                expected="a decoded utterance",
                found=f"{len(arcs)} arcs",
            )
        linked = np.zeros(len(frame), np.int8)
        linked[arcs["src"]] |= 1
        linked[arcs["dst"]] |= 2
        if (arcs["src"] >= arcs["dst"]).any() or linked[0] != 1 or linked[end] != 2 or (linked[1:end] != 3).any():
            raise RecipeError("a lattice out of order, or with states off every path", found=f"{len(frame)} states")
        frame = np.asarray(frame, np.int32)
        return sort_by_level(*compacted(arcs, frame)) if compact else sort_by_level(arcs, frame)


def compacted(arcs: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joins arcs through states where no choice is made and drops what no (LMWT, WIP) can choose; loses no best path.

    Returns:
      The arcs that remain, and the frames of the states that they use, renumbered in their old order.
    """
    size = -1
    while size != len(arcs):
        size = len(arcs)
        arcs = drop_dominated(arcs)
        arcs = join_single_exits(arcs, len(frame))
        arcs = join_single_entries(arcs, len(frame))
    used = np.zeros(len(frame), bool)
    used[arcs["src"]] = used[arcs["dst"]] = True
    number = np.cumsum(used) - 1
    arcs["src"], arcs["dst"] = number[arcs["src"]], number[arcs["dst"]]
    return arcs, frame[used]


def sort_by_level(arcs: np.ndarray, frame: np.ndarray) -> Lattice:
    """Numbers states by (longest distance from the start, old number) and sorts arcs by (dst, src, word)."""
    by_src = arcs[np.argsort(arcs["src"], kind="stable")]
    levels = [0] * len(frame)
    # Arcs lead to higher numbers, so a state's level is known before its own arcs are reached. Python's lists beat one NumPy
    # call a level.
    for src, dst in zip(by_src["src"].tolist(), by_src["dst"].tolist()):
        if levels[src] >= levels[dst]:
            levels[dst] = levels[src] + 1
    level = np.array(levels, np.int32)
    order = np.argsort(level, kind="stable")
    number = np.empty(len(frame), np.int32)
    number[order] = np.arange(len(frame))
    arcs = arcs.copy()
    arcs["src"], arcs["dst"] = number[arcs["src"]], number[arcs["dst"]]
    states = np.empty(len(frame), STATE)
    states["frame"], states["level"] = frame[order], level[order]
    return Lattice(states, arcs[np.lexsort((arcs["word"], arcs["src"], arcs["dst"]))])


def drop_dominated(arcs: np.ndarray) -> np.ndarray:
    """Of arcs with equal ends and word, drops each that is no better in either score than the one with the best graph
    score before it."""
    if not len(arcs):
        return arcs
    states, words = int(arcs["dst"].max()) + 1, int(arcs["word"].max()) + 1
    key = (arcs["src"].astype(np.int64) * states + arcs["dst"]) * words + arcs["word"]
    order = np.argsort(key, kind="stable")
    equal = key[order[1:]] == key[order[:-1]]
    if not equal.any():
        return arcs
    # Few arcs have a twin, and only those need sorting by score.
    twins = np.zeros(len(arcs), bool)
    twins[order[1:][equal]] = twins[order[:-1][equal]] = True
    group, own = arcs[twins], key[twins]
    best_first = np.lexsort((-group["am"], -group["graph"], own))
    group, own = group[best_first], own[best_first]
    while True:
        worse = (own[1:] == own[:-1]) & (group["am"][1:] <= group["am"][:-1])
        if not worse.any():
            return np.concatenate([arcs[~twins], group])
        keep = np.append(True, ~worse)
        group, own = group[keep], own[keep]


def join_single_exits(arcs: np.ndarray, num_states: int) -> np.ndarray:
    """Removes states left by one wordless arc: every arc into such a state runs on through it."""
    exits = np.bincount(arcs["src"], minlength=num_states)
    through = np.flatnonzero((exits[arcs["src"]] == 1) & (arcs["word"] == 0) & (arcs["src"] != 0))
    target = np.arange(num_states)
    gain = np.zeros((num_states, 2))
    target[arcs["src"][through]] = arcs["dst"][through]
    gain[arcs["src"][through]] = np.stack([arcs["am"][through], arcs["graph"][through]], 1)
    target, gain = follow(target, gain)
    keep = np.ones(len(arcs), bool)
    keep[through] = False
    joined = arcs[keep]
    extra = gain[joined["dst"]]
    joined["am"] += extra[:, 0]
    joined["graph"] += extra[:, 1]
    joined["dst"] = target[joined["dst"]]
    return joined


def join_single_entries(arcs: np.ndarray, num_states: int) -> np.ndarray:
    """Removes states entered by one arc and left by wordless arcs only: every arc out of such a state starts earlier,
    with the word of the entering arc."""
    entries = np.bincount(arcs["dst"], minlength=num_states)
    speaks = np.bincount(arcs["src"], weights=arcs["word"] != 0, minlength=num_states) > 0
    end = num_states - 1
    through = np.flatnonzero((entries[arcs["dst"]] == 1) & ~speaks[arcs["dst"]] & (arcs["dst"] != end))
    # An arc both entering and leaving removed states would hand its word through a chain; its word is 0 unless it is
    # the first.
    source = np.arange(num_states)
    gain = np.zeros((num_states, 2))
    word = np.zeros(num_states, np.int32)
    source[arcs["dst"][through]] = arcs["src"][through]
    gain[arcs["dst"][through]] = np.stack([arcs["am"][through], arcs["graph"][through]], 1)
    word[arcs["dst"][through]] = arcs["word"][through]
    source, gain, word = follow(source, gain, word)
    keep = np.ones(len(arcs), bool)
    keep[through] = False
    joined = arcs[keep]
    at = joined["src"].copy()
    joined["am"] += gain[at, 0]
    joined["graph"] += gain[at, 1]
    joined["word"] = np.where(joined["word"] == 0, word[at], joined["word"])
    joined["src"] = source[at]
    return joined


def follow(pointer: np.ndarray, gain: np.ndarray, word: np.ndarray | None = None):
    """Resolves chains of pointers (fixed points point to themselves) by doubling, summing gains and passing words
    along."""
    while True:
        further = pointer[pointer]
        if (further == pointer).all():
            return (pointer, gain) if word is None else (pointer, gain, word)
        gain = gain + gain[pointer]
        if word is not None:
            word = np.where(word == 0, word[pointer], word)
        pointer = further


def best_arcs(lattice: Lattice, lmwts: Sequence[float], wips: Sequence[float]) -> np.ndarray:
    """Best paths for the pairs (lmwts[i], wips[i]), minimising -am / LMWT - graph + WIP * words as Kaldi's
    lattice-scale, lattice-add-penalty and lattice-best-path do.

    Returns:
      int64 (pairs, levels), the arcs of each path from the end backwards, padded with -1.
    """
    src = lattice.arcs["src"]
    # Costs are linear in (1 / LMWT, 1, WIP), so a few arcs cost one small matrix product; all of them at once would
    # not fit the cache.
    features = np.stack([-lattice.arcs["am"], -lattice.arcs["graph"], lattice.arcs["word"] != 0], 1).astype(np.float64)
    weights = np.stack([1 / np.asarray(lmwts, np.float64), np.ones(len(lmwts)), np.asarray(wips, np.float64)])
    entry, levels = lattice.entry(), lattice.levels()
    alpha = np.zeros((len(lattice.states), len(lmwts)))
    for low, high in levels:
        begin, stop = entry[low], entry[high]
        cost = features[begin:stop] @ weights
        cost += alpha.take(src[begin:stop], axis=0)
        np.minimum.reduceat(cost, entry[low:high] - begin, axis=0, out=alpha[low:high])

    paths = np.full((len(lmwts), len(levels)), -1)
    pair, state = (
        np.arange(len(lmwts)),
        np.full(len(lmwts), len(lattice.states) - 1),
    )  # walks back from the end, all pairs abreast
    for step in range(len(levels)):
        count = entry[state + 1] - entry[state]
        walk = np.repeat(np.arange(len(pair)), count)
        first = np.cumsum(count) - count
        arc = np.arange(len(walk)) + (entry[state] - first)[walk]
        cost = (features[arc] * weights.T[pair[walk]]).sum(axis=1) + alpha[src[arc], pair[walk]]
        chosen = arc[np.lexsort((cost, walk))[first]]
        paths[pair, step] = chosen
        on = np.flatnonzero(src[chosen] != 0)
        if not len(on):
            break
        pair, state = pair[on], src[chosen[on]]
    return paths


def timed_paths(
    lattice: Lattice, lmwts: Sequence[float], wips: Sequence[float]
) -> dict[tuple[float, float], list[tuple[int, int]]]:
    """The words of the best path for every LM weight and word insertion penalty, with their places in time.

    Args:
      lmwts: LM weights (inverse acoustic scales), > 0. wips: costs added for every word.
    Returns:
      {(lmwt, wip): [(word-id, frame where it was emitted)]}, minimising graph cost + wip * words + acoustic cost / lmwt.
      Determinization moves a word within its own span, so a frame is the word's start only to within its first phones.
    """
    pairs = [(lmwt, wip) for lmwt in lmwts for wip in wips]
    paths = best_arcs(lattice, *zip(*pairs))[:, ::-1]
    words = np.where(paths >= 0, lattice.arcs["word"][paths], 0)
    frames = lattice.states["frame"][lattice.arcs["src"][paths]]
    return {
        pair: list(zip(row[row > 0].tolist(), frame[row > 0].tolist())) for pair, row, frame in zip(pairs, words, frames)
    }


def best_paths(lattice: Lattice, lmwts: Sequence[float], wips: Sequence[float]) -> dict[tuple[float, float], list[int]]:
    """`timed_paths` without the times: {(lmwt, wip): word-ids}."""
    return {pair: [word for word, _ in path] for pair, path in timed_paths(lattice, lmwts, wips).items()}


def one_best(lattice: Lattice, lmwt: float, wip: float = 0.0) -> tuple[list[tuple[int, int]], float, float]:
    """Returns ([(word-id, frame where it was emitted)], am, graph): the best path and its two scores."""
    path = best_arcs(lattice, [lmwt], [wip])[0]
    arcs = lattice.arcs[path[path >= 0][::-1]]
    words = [(int(arc["word"]), int(lattice.states["frame"][arc["src"]])) for arc in arcs if arc["word"]]
    return words, float(arcs["am"].sum(dtype=np.float64)), float(arcs["graph"].sum(dtype=np.float64))


class LatticeWriter:
    """Publishes a lattice archive: with LatticeWriter(path) as writer: writer.write(utt, lattice)."""

    def __init__(self, path):
        self._path = path

    def __enter__(self) -> "LatticeWriter":
        with contextlib.ExitStack() as opened:
            temporary = opened.enter_context(publish_path(self._path))
            self._zip = opened.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *error) -> bool | None:
        return self._open.__exit__(*error)

    def write(self, utt: str, lattice: Lattice) -> None:
        check_id(utt, file=self._path)
        for name, array in (("states", lattice.states), ("arcs", lattice.arcs)):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{utt}.{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            self._zip.writestr(entry, stream.getvalue())


class LatticeReader:
    """Reads a lattice archive: iterates (utt, Lattice) in the order written; `reader[utt]` reads one."""

    def __init__(self, path):
        self.path = path
        with reading(path, "not a lattice archive", expected="lat.JOB.npz of steps/decode", next="decode again (steps/decode)"):
            self._zip = zipfile.ZipFile(require_file(path, next="decode again (steps/decode)"))
        suffix, names = ".states.npy", self._zip.namelist()
        self.utts = [name[: -len(suffix)] for name in names if name.endswith(suffix)]
        if names != [f"{utt}.{part}.npy" for utt in self.utts for part in ("states", "arcs")]:
            raise RecipeError("not a lattice archive", file=path, expected="states and arcs of each utterance", found="other entries",
                              next="decode again (steps/decode)")

    def __len__(self) -> int:
        return len(self.utts)

    def __iter__(self) -> Iterator[tuple[str, Lattice]]:
        return ((utt, self[utt]) for utt in self.utts)

    def __getitem__(self, utt: str) -> Lattice:
        """Raises RecipeError if there is no such utterance or its entry is damaged."""
        arrays = []
        for name, dtype in (("states", STATE), ("arcs", ARC)):
            with reading(self.path, "no readable lattice for this utterance", id=utt, next="decode again (steps/decode)"):
                array = np.lib.format.read_array(io.BytesIO(self._zip.read(f"{utt}.{name}.npy")), allow_pickle=False)
            if array.dtype != dtype:
                raise RecipeError(
                    "a lattice of another layout", file=self.path, id=utt, expected=dtype, found=array.dtype
                )
            arrays.append(array)
        lattice = Lattice(*arrays)
        with reading(self.path, "a lattice that contradicts itself", id=utt, next="decode again (steps/decode)"):
            lattice.check()
        return lattice
