"""Matrix products in float32 on the CPU by oneDNN, which torch itself uses only for convolutions.

torch hands plain products to MKL, which on AMD's processors stays at half of what oneDNN reaches (benchmarks/training.py). The results
differ by rounding alone. Small matrices stay with torch, whose calls cost less.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALL = 1 << 22  # multiplications; below it the costlier call eats the gain

# Used by torch's own compiler; not part of its documented interface, so its absence must do no harm.
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(a: Tensor, b: Tensor) -> Tensor:
    """(R, K) times (K, C), without autograd."""
    if ONEDNN and a.dtype == torch.float32 and not a.is_cuda and a.numel() * b.shape[1] >= SMALL:
        return torch.ops.mkldnn._linear_pointwise(dense(a), dense(b.t()), None, "none", [], "")
    return a @ b


def dense(x: Tensor) -> Tensor:
    """The matrix without gaps between rows or columns: with gaps oneDNN falls back to code a hundred times slower."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()
