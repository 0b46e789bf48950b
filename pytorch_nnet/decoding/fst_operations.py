"""What decoding graphs need of transducers, in numpy: composition with HMMs, merging of equal states, self-loops.

Each does what an operation of OpenFst or Kaldi does, for the transducers that occur here, in a tenth of its time: an array of
arcs takes 20 bytes an arc and no time to copy.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np

from ..io.errors import RecipeError
from ..io.publish import check_written
from .openfst import ARC, FstArrays, dump_fst, expand, first_arcs, read_fst

DELTA = np.float32(1 / 1024)  # OpenFst's kDelta: costs closer than this are the same to determinization and minimization


def to_library(fst: FstArrays):
    """The same transducer as kaldifst.StdVectorFst."""
    import kaldifst

    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/fst", "wb") as file:
            dump_fst(file, fst)
        return kaldifst.StdVectorFst.read(f"{folder}/fst")


def from_library(fst) -> FstArrays:
    """A kaldifst.StdVectorFst as arrays."""
    import kaldifst

    with tempfile.TemporaryDirectory() as folder:
        # The file of a constant FST is read as two arrays, that of a vector FST state by state.
        check_written(kaldifst.StdConstFst(fst).write(f"{folder}/fst"), folder)
        arrays = read_fst(f"{folder}/fst")
    arrays.header = None
    return arrays


def compose_hmms(h: FstArrays, clg: FstArrays) -> FstArrays:
    """H o CLG, untrimmed, for H as Kaldi makes it (MakeLoopFst): HMMs from one loop state back to it, a context on the way in.

    Its states are those of CLG, where H is in its loop state, and behind them, for every HMM and every state of CLG which an
    arc of that HMM's contexts leads to, the HMM's inner states.
    """
    h = without_exits(h)
    entries, inner = np.flatnonzero(h.src == h.start), np.flatnonzero(h.src != h.start)
    if np.isfinite(np.delete(h.final, h.start)).any() or h.arcs["olabel"][inner].any():
        raise RecipeError("H is no loop of HMMs", expected="contexts and the final state at its start alone")
    root = roots(h)
    place, size = places(root)

    # The way into the HMM of each arc of CLG.
    entries = entries[np.argsort(h.arcs["olabel"][entries])]
    contexts = h.arcs["olabel"][entries]
    voiced = np.flatnonzero(clg.arcs["ilabel"] > 0)
    wanted = clg.arcs["ilabel"][voiced]
    way = np.minimum(np.searchsorted(contexts, wanted), len(contexts) - 1)
    if (contexts[way] != wanted).any():
        raise RecipeError("a context without an HMM", id=int(wanted[contexts[way] != wanted][0]))
    way = entries[way]
    arcs = clg.arcs.copy()
    arcs["ilabel"][voiced] = h.arcs["ilabel"][way]
    arcs["cost"][voiced] += h.arcs["cost"][way]

    # Every (HMM, state after it) has inner states of its own.
    deep = h.arcs["dst"][way] != h.start
    key = h.arcs["dst"][way[deep]].astype(np.int64) * clg.num_states + arcs["dst"][voiced[deep]]
    pairs, which = np.unique(key, return_inverse=True)
    hmm, after = np.divmod(pairs, clg.num_states)
    base = clg.num_states + np.cumsum(size[hmm]) - size[hmm]
    arcs["dst"][voiced[deep]] = base[which] + place[hmm[which]]

    inner = inner[np.argsort(root[h.src[inner]], kind="stable")]
    own = root[h.src[inner]]
    low = np.searchsorted(own, hmm, "left")
    pair, rows = expand(np.searchsorted(own, hmm, "right") - low, low)
    rows = inner[rows]
    bodies = h.arcs[rows]
    target = bodies["dst"]
    bodies["dst"] = np.where(target == h.start, after[pair], base[pair] + place[target])
    src = np.concatenate([clg.src, (base[pair] + place[h.src[rows]]).astype(np.int32)])
    arcs = np.concatenate([arcs, bodies])
    del bodies, target, rows, pair
    if (np.diff(src) < 0).any():
        order = np.argsort(src, kind="stable")
        src, arcs = src[order], arcs[order]
    final = np.full(clg.num_states + int(size[hmm].sum()), np.inf, np.float32)
    final[: clg.num_states] = clg.final + h.final[h.start]
    return FstArrays(clg.start, src, arcs, final)


def without_exits(h: FstArrays) -> FstArrays:
    """H with arcs straight to its loop state in place of states from which one arc without labels leads there."""
    only = (np.bincount(h.src, minlength=h.num_states) == 1)[h.src]
    exits = only & (h.arcs["ilabel"] == 0) & (h.arcs["olabel"] == 0) & (h.arcs["dst"] == h.start) & (h.src != h.start)
    cost = np.zeros(h.num_states, np.float32)
    cost[h.src[exits]] = h.arcs["cost"][exits]
    arcs = h.arcs[~exits].copy()
    arcs["cost"] += cost[arcs["dst"]]
    left = np.zeros(h.num_states, bool)
    left[h.src[exits]] = True
    arcs["dst"][left[arcs["dst"]]] = h.start
    return FstArrays(h.start, h.src[~exits], arcs, h.final)


def roots(h: FstArrays) -> np.ndarray:
    """For every state of H the first inner state of its HMM; -1 for the loop state and states no HMM uses."""
    root = np.full(h.num_states, -1)
    first = h.arcs["dst"][h.src == h.start]
    root[first] = first
    root[h.start] = -1
    within = (h.src != h.start) & (h.arcs["dst"] != h.start)
    src, dst = h.src[within], h.arcs["dst"][within]
    while (root[dst] != root[src]).any():
        if ((root[dst] >= 0) & (root[src] >= 0) & (root[dst] != root[src])).any():
            raise RecipeError("H is no loop of HMMs", expected="HMMs that share no states")
        np.maximum.at(root, dst, root[src])
        np.maximum.at(root, src, root[dst])
    return root


def places(root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of every inner state within its HMM, and the number of inner states by an HMM's first one."""
    size = np.bincount(root[root >= 0], minlength=len(root))
    order = np.argsort(root, kind="stable")
    order = order[root[order] >= 0]
    place = np.zeros(len(root), np.int64)
    place[order] = np.arange(len(order)) - (np.cumsum(size) - size)[root[order]]
    return place, size


def merge_equal_states(fst: FstArrays) -> FstArrays:
    """Rounds costs to multiples of DELTA and makes one of states with the same final cost and the same arcs, again and again.

    What Kaldi's fstminimizeencoded does (quantization, then minimization with labels and costs as one symbol) but for states that are
    equal only by way of a cycle through themselves: 18 of a million in an LG, 900 of three million in an HCLG.
    Every path keeps its labels, and costs what the rounded costs of its arcs add up to.
    """
    arcs, final = fst.arcs.copy(), rounded(fst.final)
    arcs["cost"] = rounded(arcs["cost"])
    fst = FstArrays(fst.start, fst.src, arcs, final)
    merged, into = equal_states(fst)
    check_equal(fst, merged, into)
    alive = np.ones(fst.num_states, bool)
    alive[merged] = False
    number = (np.cumsum(alive) - 1).astype(np.int32)
    kept = alive[fst.src]
    arcs = arcs[kept]
    arcs["dst"] = number[into[arcs["dst"]]]
    return FstArrays(int(number[into[fst.start]]), number[fst.src[kept]], arcs, final[alive])


def rounded(cost: np.ndarray) -> np.ndarray:
    """To the nearest multiple of DELTA (OpenFst: TropicalWeight::Quantize)."""
    return np.floor(cost / DELTA + np.float32(0.5)) * DELTA


def equal_states(fst: FstArrays) -> tuple[np.ndarray, np.ndarray]:
    """Returns the states to be merged, and for every state the one it is merged into (itself unless it is one of those).

    States are told apart by a signature of 64 bits, a sum over the state's arcs; merging changes the signatures of only the states
    before the merged ones, so every round but the first looks at few.
    """
    first, dst = first_arcs(fst), fst.arcs["dst"]
    labels = scrambled(fst.arcs["ilabel"].astype(np.uint64) << np.uint64(32) | fst.arcs["olabel"].astype(np.uint64))
    labels = scrambled(labels + fst.arcs["cost"].view(np.uint32))
    name = scrambled(np.arange(1, fst.num_states + 1, dtype=np.uint64))
    ends = scrambled(fst.final.view(np.uint32) + np.uint64(fst.num_states + 1))
    entering = fst.src[np.argsort(dst, kind="stable")]
    last_entering = np.append(0, np.cumsum(np.bincount(dst, minlength=fst.num_states)))

    def signatures(states: np.ndarray) -> np.ndarray:
        count = first[states + 1] - first[states]
        _, rows = expand(count, first[states])
        sums = np.append(np.uint64(0), np.cumsum(scrambled(labels[rows] + name[dst[rows]]), dtype=np.uint64))
        stop = np.cumsum(count)
        return ends[states] + sums[stop] - sums[stop - count]

    into, alive = np.arange(fst.num_states), np.ones(fst.num_states, bool)
    states = into.copy()
    while True:
        signature = signatures(states)
        order = np.argsort(signature, kind="stable")
        signature, states = signature[order], states[order]
        fresh = np.append(True, signature[1:] != signature[:-1])
        if fresh.all():
            break
        # Stable: a group's first state is its smallest.
        chosen = states[np.maximum.accumulate(np.where(fresh, np.arange(len(fresh)), 0))]
        gone, chosen = states[~fresh], chosen[~fresh]
        into[gone], alive[gone], name[gone] = chosen, False, name[chosen]
        changed = np.zeros(fst.num_states, bool)
        changed[gone] = changed[chosen] = True
        changed = np.flatnonzero(changed)
        _, rows = expand(last_entering[changed + 1] - last_entering[changed], last_entering[changed])
        before = np.zeros(fst.num_states, bool)
        before[entering[rows]] = True
        states = np.flatnonzero(before & alive)
    while (into[into] != into).any():
        into = into[into]
    return np.flatnonzero(~alive), into


def scrambled(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 that spreads every bit over all (the finalizer of SplitMix64; Steele, Lea and Flood 2014)."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values


def check_equal(fst: FstArrays, merged: np.ndarray, into: np.ndarray) -> None:
    """Raises RecipeError unless every merged state has the arcs and the final cost of the one it is merged into."""
    first, rows = first_arcs(fst), []
    for states in (merged, into[merged]):
        owner, arcs = expand(first[states + 1] - first[states], first[states])
        labels = fst.arcs["ilabel"][arcs].astype(np.int64) << 32 | fst.arcs["olabel"][arcs]
        costs = fst.arcs["cost"][arcs].view(np.int32).astype(np.int64) << 32 | into[fst.arcs["dst"][arcs]]
        order = np.lexsort((costs, labels, owner))
        rows.append((owner[order], labels[order], costs[order]))
    same = all(np.array_equal(one, other) for one, other in zip(*rows))
    if not same or not np.array_equal(fst.final[merged], fst.final[into[merged]]):
        raise RecipeError("different states have one signature", expected="a chance of one in a million",
                          next="please report it, with the lang directory and the tree")


@dataclass(frozen=True)
class SelfLoops:
    """Scaled costs of staying in and leaving the HMM states, by class of transition-ids; class 0 has no loop.

    class_of: (transition-ids + 1,), index 0 for epsilon. loop_of: transition-id of each class's self-loop, 0 where there is none.
    stay, leave: float32 costs by class.
    """

    class_of: np.ndarray
    loop_of: np.ndarray
    stay: np.ndarray
    leave: np.ndarray

    @classmethod
    def of(cls, transitions, scale: float) -> "SelfLoops":
        """From kaldi_hmm_gmm's TransitionModel; a class is a transition-state."""
        class_of = np.asarray(transitions.id2state)
        class_of[0] = 0
        loops = np.array([number for number in range(1, len(class_of)) if transitions.is_self_loop(number)], np.int64)
        loop_of = np.zeros(transitions.num_transition_states + 1, np.int32)
        loop_of[class_of[loops]] = loops
        stay = np.where(loop_of > 0, -scale * np.asarray(transitions.log_probs)[loop_of], 0)
        leave = -scale * np.asarray(transitions.non_self_loop_log_probs)
        leave[0] = 0
        return cls(class_of, loop_of, stay.astype(np.float32), leave.astype(np.float32))


def add_self_loops(fst: FstArrays, loops: SelfLoops) -> FstArrays:
    """Gives every state the self-loop of the transition that leads into it, and its later arcs the cost of leaving
    (Kaldi: AddSelfLoops with reorder).

    A state that different HMM states lead into is split first. States without a way in vanish.
    """
    classes = len(loops.loop_of)
    key = np.append(fst.arcs["dst"].astype(np.int64) * classes + loops.class_of[fst.arcs["ilabel"]], fst.start * classes)
    states, target = np.unique(key, return_inverse=True)
    del key
    origin, kind = np.divmod(states, classes)
    first = first_arcs(fst)
    count = first[origin + 1] - first[origin]
    looped = loops.loop_of[kind] > 0
    owner, rows = expand(count, first[origin])
    position = np.arange(len(owner)) + (np.cumsum(looped) - looped)[owner]
    arcs = np.empty(len(owner) + int(looped.sum()), ARC)
    src = np.empty(len(arcs), np.int32)
    src[position] = owner
    for name in ("ilabel", "olabel"):
        arcs[name][position] = fst.arcs[name][rows]
    arcs["cost"][position] = fst.arcs["cost"][rows] + loops.leave[kind][owner]
    arcs["dst"][position] = target[:-1][rows]
    del owner, rows, position
    last = (np.cumsum(count + looped) - 1)[looped]  # a state's loop is its last arc
    staying = kind[looped]
    src[last] = arcs["dst"][last] = np.flatnonzero(looped)
    arcs["ilabel"][last], arcs["olabel"][last], arcs["cost"][last] = loops.loop_of[staying], 0, loops.stay[staying]
    return FstArrays(int(target[-1]), src, arcs, fst.final[origin] + loops.leave[kind])
