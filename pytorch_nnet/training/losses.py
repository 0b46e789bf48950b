"""Cross-entropy against hard labels, soft labels or both (paper, Equation 1).

    L = lambda * sum_c -p(c) log q(c)  +  (1 - lambda) * -log q(y),  mean over the batch

A target is a sparse row of weights: lambda p(c) on the classes that the teacher kept and 1 - lambda on the label. The
kept probabilities are not renormalised unless asked: a frame whose teacher kept 97 % weighs a little less, as written.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..frames.softlabels import SparseLabels


class SparseCrossEntropy(torch.autograd.Function):
    """sum_n -weights[n] log softmax(logits)[rows[n], classes[n]] / B, without a dense target.

    Args of `apply`: logits (B, K); rows, classes (N,) int64; weights (N,). Pairs (row, class) may repeat.
    The gradient is (mass softmax - target) / B, mass being the sum of a row's weights.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, rows: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
        log_probs = torch.log_softmax(logits, 1)
        items = rows * logits.shape[1] + classes
        ctx.save_for_backward(log_probs, rows, items, weights)
        return -(log_probs.view(-1)[items] @ weights) / len(logits)

    @staticmethod
    def backward(ctx, grad: Tensor):
        log_probs, rows, items, weights = ctx.saved_tensors
        weights = weights * (grad / len(log_probs))
        mass = log_probs.new_zeros(len(log_probs)).index_add_(0, rows, weights)
        result = log_probs.exp().mul_(mass[:, None])
        result.view(-1).index_add_(0, items, -weights)
        return result, None, None, None


def blended_loss(logits: Tensor, labels: Tensor, soft: SparseLabels | None = None, weight: float = 0.0,
                 renormalize: bool = False) -> Tensor:
    """Mean loss of a batch: logits (B, K), labels (B,) int64, soft labels of the same B frames with `weight` lambda."""
    if soft is None or weight == 0:
        return cross_entropy(logits, labels)
    device = logits.device
    rows, classes, probs = soft.rows.to(device), soft.classes.to(device), soft.probs.to(device, logits.dtype)
    if renormalize:
        mass = logits.new_zeros(len(logits)).index_add_(0, rows, probs)
        probs = probs / mass[rows]
    rows = torch.cat([rows, torch.arange(len(labels), device=device)])
    classes = torch.cat([classes, labels])
    weights = torch.cat([weight * probs, logits.new_full((len(labels),), 1 - weight)])
    return SparseCrossEntropy.apply(logits, rows, classes, weights)
