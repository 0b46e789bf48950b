"""Sums over the paths of a frame lattice, and the two criteria that are made of them, with their derivatives.

A path's weight is exp(kappa sum_t a(t, s_t) + its graph weights), a(t, s) the acoustic log-likelihood of class s, kappa the acoustic scale.
gamma(t, s) is the share of the paths' weight that takes frame t for class s, gamma_ref the same of the reference's paths alone.

MMI (Vesely et al. 2013)
    F = log [weight of the reference's paths / weight of all paths]
    dF/da = kappa (gamma_ref(t, s) - gamma(t, s))
sMBR (Kingsbury 2009; MPE with states for phones)
    F = sum over the paths of their share times their number of right frames
    dF/da = kappa gamma(t, s) (mean accuracy of the paths through (t, s) - F)

The reference is given as arcs: those of the alignment alone, or all on which the same states come in the same order at other times. A lattice of
single frames holds hundreds of these. Where they count as wrong, most of what there is to gain is to place every boundary as the alignment does.

Both functions leave kappa out of the derivative, as Kaldi does, that is they give F / kappa: a frame's gradient is then of
the size of cross-entropy's, and a weighted sum of both means something. Weights are sums of exponentials, divided by their sum after every
frame; double precision then holds paths within exp(-700) of the best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..frames.lattices import FrameLattice


@dataclass
class Occupancy:
    """total: log of the weight of all paths. arcs: (A,) share of it through each arc, 1 in sum over a frame.

    accuracy: mean number of right frames. deviation: (A,) mean of the paths through an arc less `accuracy`. Both 0 unless asked for.
    """

    total: float
    arcs: np.ndarray
    accuracy: float
    deviation: np.ndarray


@np.errstate(divide="ignore", invalid="ignore")  # of a network that has diverged
def forward_backward(lattice: FrameLattice, weight: np.ndarray, right: np.ndarray | None = None) -> Occupancy:
    """weight: (A,) log weights. right: (A,) what an arc adds to the accuracy of its paths. NaN comes out where NaN went in."""
    first, sizes = lattice.first.tolist(), lattice.sizes.tolist()
    largest = np.maximum.reduceat(weight, lattice.first[:-1])
    factor = np.exp(weight - largest[lattice.frame])
    total = float(largest.sum())
    parts = [slice(*pair) for pair in zip(first[:-1], first[1:])]
    src, dst = ([column[part] for part in parts] for column in (lattice.src, lattice.dst))

    before = [np.ones(1)]  # by frame: share of the weight up to each state
    gained = [np.zeros(1)]  # mean accuracy up to it
    for t in range(lattice.num_frames):
        flow = before[t][src[t]] * factor[parts[t]]
        reached = np.bincount(dst[t], flow, sizes[t + 1])
        if right is not None:
            gains = np.bincount(dst[t], flow * (gained[t][src[t]] + right[parts[t]]), sizes[t + 1])
            gained.append(mean(gains, reached))
        norm = reached.sum()
        total += float(np.log(norm))
        before.append(reached / norm)

    arcs, through = np.empty(len(weight)), np.zeros(len(weight))
    after, to_come = np.ones(1), np.zeros(1)
    for t in reversed(range(lattice.num_frames)):
        onward = factor[parts[t]] * after[dst[t]]
        flow = before[t][src[t]] * onward
        arcs[parts[t]] = flow / flow.sum()
        left = np.bincount(src[t], onward, sizes[t])
        if right is not None:
            gain = right[parts[t]] + to_come[dst[t]]
            through[parts[t]] = gained[t][src[t]] + gain
            to_come = mean(np.bincount(src[t], onward * gain, sizes[t]), left)
        after = left / left.sum()
    accuracy = float(gained[-1][0]) if right is not None else 0.0
    return Occupancy(total, arcs, accuracy, through - accuracy if right is not None else through)


def mean(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sums / weights, 0 where no weight is left: such a state is on no path that counts."""
    return np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)


def by_class(lattice: FrameLattice, shares: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(T, K): shares (A,) of the arcs summed over those of each frame and class."""
    return np.bincount(lattice.frame * shape[1] + lattice.pdf, shares, shape[0] * shape[1]).reshape(shape)


def path_weights(lattice: FrameLattice, loglikes: np.ndarray, scale: float) -> np.ndarray:
    """(A,) log weights of the arcs."""
    return scale * loglikes[lattice.frame, lattice.pdf] + lattice.graph


def mmi(lattice: FrameLattice, loglikes: np.ndarray, reference: np.ndarray, scale: float, drop: bool = False) -> tuple[float, np.ndarray]:
    """log P(reference | utterance) / scale, at most 0, and its derivative (T, K) by the loglikes.

    Args:
      loglikes: (T, K) float64. reference: (A,) bool, the arcs of its paths. scale: acoustic scale.
      drop: no gradient from frames whose label the search did not have among its arcs (Vesely et al. 2013): mostly errors of the
        transcript, which would else have the largest gradients of all.
    """
    weight = path_weights(lattice, loglikes, scale)
    everything, own = forward_backward(lattice, weight), forward_backward(lattice.only(reference), weight[reference])
    share = -everything.arcs
    share[reference] += own.arcs
    gradient = by_class(lattice, share, loglikes.shape)
    if drop:
        gradient[~lattice.found] = 0
    return (own.total - everything.total) / scale, gradient


def smbr(lattice: FrameLattice, loglikes: np.ndarray, reference: np.ndarray, scale: float, silence: np.ndarray,
         one_silence: bool = True) -> tuple[float, np.ndarray]:
    """(expected number of right frames - number of frames) / scale, at most 0, and its derivative (T, K) by the loglikes.

    A frame of a path is right if some path of the reference has its class there.

    Args:
      loglikes, reference, scale: as of `mmi`. silence: (K,) bool, the classes of silence and noises.
      one_silence: a path's frame of silence is right where the reference has any class of silence; else it is never right, and words in its
        place cost nothing (Kaldi's --one-silence-class).
    """
    there = np.zeros(loglikes.shape, bool)
    there[lattice.frame[reference], lattice.pdf[reference]] = True
    there[:, silence] = there[:, silence].any(1, keepdims=True) & one_silence
    right = there[lattice.frame, lattice.pdf].astype(np.float64)
    occupancy = forward_backward(lattice, path_weights(lattice, loglikes, scale), right)
    return (occupancy.accuracy - len(loglikes)) / scale, by_class(lattice, occupancy.arcs * occupancy.deviation, loglikes.shape)
