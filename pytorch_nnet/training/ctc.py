"""Connectionist temporal classification (Graves et al. 2006): its loss, the best path, and how well a network does by both.

The network has a class for each unit and one for the blank, class 0. A path gives every output a class; without repetitions, and then
without blanks, it spells a sequence of units. The loss is -log of the probability of all paths that spell the target.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..frames.ctc_store import CtcStore
from ..frames.store import CONTEXT
from ..io.errors import RecipeError
from ..io.publish import publish
from ..models.sequence import SequenceNetwork, outputs

BLANK = 0
MAX_UNFIT = 0.05  # of the utterances of a store: above it the network has too few outputs for these units
LISTED = 10  # on the terminal; all are in the list


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """-log P(target), nats, of each of B utterances; inf where a target does not fit into its outputs.

    Args:
      log_probs: (B, T, K) float32. lengths: (B,) outputs of each. targets: (N,) end to end. target_lengths: (B,).
    """
    return torch.nn.functional.ctc_loss(log_probs.transpose(0, 1), targets, lengths, target_lengths, blank=BLANK, reduction="none")


def best_path(log_probs: np.ndarray) -> list[int]:
    """Units of the most probable path of (T, K): of each output the best class, once where it is repeated, without blanks."""
    classes = np.asarray(log_probs).argmax(1)
    changed = np.append(True, classes[1:] != classes[:-1])[:len(classes)]
    return classes[changed & (classes != BLANK)].tolist()


class Measured(NamedTuple):
    """Sums over utterances. loss: nats, of those whose target fits into the outputs. outputs: of these. errors: substitutions, deletions and
    insertions of the best paths of all; units: of their targets."""

    loss: float
    outputs: int
    errors: int
    units: int


def measure(log_probs: Tensor, target: Tensor) -> Measured:
    """Of one utterance: (T, K) on any device, and (N,)."""
    import kaldialign

    loss = float(ctc_loss(log_probs.unsqueeze(0), torch.tensor([len(log_probs)]), target, torch.tensor([len(target)])))
    errors = kaldialign.edit_distance(target.tolist(), best_path(log_probs.cpu().numpy()))["total"]
    fits = not math.isinf(loss)
    return Measured(loss if fits else 0.0, len(log_probs) if fits else 0, errors, len(target))


def fitting(store: CtcStore, network: SequenceNetwork, listed: Path) -> list[int]:
    """Numbers of the utterances whose outputs can spell their targets. Others are counted, and listed with the least number of outputs
    that they need.

    Raises:
      RecipeError: more than MAX_UNFIT of the utterances are such others.
    """
    found = outputs(np.diff(store.offsets), network.subsampling)
    needed = store.needed()
    unfit = np.flatnonzero(needed > found)
    with publish(listed) as file:
        file.writelines(f"{store.utts[index]} {needed[index]} {found[index]}\n" for index in unfit)
    if len(unfit):
        shown = " ".join(store.utts[index] for index in unfit[:LISTED]) + (" ..." if len(unfit) > LISTED else "")
        print(f"{len(unfit)} of {store.num_utts} utterances of {store.path} are too short for what is said in them, left out ({listed}): {shown}",
              file=sys.stderr, flush=True)
    if len(unfit) > MAX_UNFIT * store.num_utts:
        worst = unfit[0]
        raise RecipeError("targets longer than the network's outputs", file=listed, id=store.utts[worst],
                          expected=f"at most {100 * MAX_UNFIT:g} % of {store.num_utts} utterances", found=f"{len(unfit)}: it needs "
                          f"{needed[worst]} outputs, a blank between equal neighbours among them, and has {found[worst]}",
                          next="a smaller --subsampling, or phones in place of graphemes")
    return np.flatnonzero(needed <= found).tolist()


def expected_counts(network: SequenceNetwork, store: CtcStore, frames: int, device: torch.device) -> np.ndarray:
    """(K,): how many of the outputs of about `frames` frames of a store, utterances at equal distances, each class is expected to have."""
    apart = max(1, store.num_frames // frames)
    total = torch.zeros(store.num_classes, dtype=torch.float64)
    with torch.inference_mode():
        for index in range(0, store.num_utts, apart):
            rows = torch.from_numpy(store.padded(index)[CONTEXT:-CONTEXT].astype(np.float32)).to(device)
            total += torch.softmax(network.utterance_logits(rows), 1).sum(0).double().cpu()
    return np.rint(total.numpy())
