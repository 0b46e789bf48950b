"""Matrix products in float32 on the CPU by oneDNN, which torch keeps for convolutions and nn.LSTM.

torch hands plain products to MKL, which on AMD's processors stays at half of what oneDNN reaches (benchmarks/training.py). The results
differ by rounding alone. Small matrices stay with torch, whose calls cost less.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALL = 1 << 22  # multiplications; below it the costlier call eats the gain

# Used by torch's own compiler; not part of its documented interface, so its absence must do no harm.
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_pays(a: Tensor, columns: int) -> bool:
    """Whether to multiply the (R, K) matrix `a`, and a (K, columns) one, by oneDNN."""
    return ONEDNN and a.dtype == torch.float32 and not a.is_cuda and a.numel() * columns >= SMALL


def product(a: Tensor, b: Tensor) -> Tensor:
    """(R, K) times (K, C), without autograd."""
    if onednn_pays(a, b.shape[1]):
        return torch.ops.mkldnn._linear_pointwise(dense(a), dense(b.t()), None, "none", [], "")
    return a @ b


def add_products_(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """out (N, R, C) += a (N, R, K) times b (N, K, C), in place, without autograd."""
    if not onednn_pays(a[0], b.shape[2]):
        return out.baddbmm_(a, b)
    for one, left, right in zip(out, a, b):
        one.add_(product(left, right))
    return out


def dense(x: Tensor) -> Tensor:
    """The matrix without gaps between rows or columns: with gaps oneDNN falls back to code a hundred times slower."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()
