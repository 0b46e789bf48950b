"""The vision-style CNN over a whole utterance: what overlapping windows have in common is computed once, exactly.

Window t sees rows t..t+40 of the padded utterance. Its maps are columns, one for each step of time. Most of them depend
on the features alone, not on where the window begins, and are equal in every window that contains them.

Block 1 pads nothing, so column j of a window after its two convolutions is column t + j of one convolution over the
utterance. Pooling in time joins the window's columns 2j and 2j + 1. With all neighbours joined, also those that this
window does not join but the next one does, its column j is column t + 2j: neighbours in a window are now two apart.

Block 2 pads every convolution with a column of zeros beyond the window's ends, where other windows have features. After
its k-th convolution the outer k columns on each side are therefore the window's own; those between are still
shared. A 3 x 3 convolution adds three columns, each multiplied by a third of the weights:

    output j  =  W0 x[j - 1]  +  W1 x[j]  +  W2 x[j + 1]  +  bias

The three products of each shared column are computed once for the utterance. Shared outputs add three of these; a
window's own outputs add the products of its own columns and of the one or two shared columns that they touch. A column
of padding adds nothing, as its products are zero.

The second pooling leaves 5 shared columns of 9 and the next convolution would leave 3, so the third block and the fully
connected layers run window by window. Each logit is the sum of the same products as in VisionCnn.forward, added in
another order. At the paper's widths 0.27 G of 0.53 G multiplications a frame remain.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, channels_last, nn
from torch.nn.functional import conv2d, max_pool2d

from ..frames.store import CONTEXT, WINDOW
from .layers import Head, bias_of

COLUMNS = (WINDOW - 4) // 2  # 18 in a window after block 1, an even number: two are lost to each of two convolutions
STRIDE = 2  # distance in the utterance of two columns that are neighbours in a window, after one pooling


class Blocks(Protocol):
    """What is asked of the network, networks.vision.VisionCnn."""

    head: Head

    def block(self, index: int) -> list[nn.Conv2d]: ...

    def convolve(self, index: int, x: Tensor) -> Tensor: ...


class Columns(NamedTuple):
    """One layer's maps in n windows: in order of time, a left edge of its own, `inner` shared columns, a right edge.

    left, right: (n, C, k, mel); None before the first padded convolution.
    shared: (1, C, time, mel), starting with the first shared column of window 0.
    """

    left: Tensor | None
    shared: Tensor
    right: Tensor | None
    inner: int
    windows: int

    def pick(self, first: int, count: int = 1) -> Tensor:
        """Shared columns first, first + 1, ... of every window: view (n, C, count, mel)."""
        return columns(self.shared, self.windows, STRIDE * first, count, STRIDE)


def columns(shared: Tensor, windows: int, start: int, count: int, stride: int) -> Tensor:
    """(1, C, time, mel) -> view (windows, C, count, mel): columns t + start, t + start + stride, ... for window t."""
    _, channel, time, mel = shared.stride()
    size = (windows, shared.shape[1], count, shared.shape[3])
    return shared[:, :, start:].as_strided(size, (time, channel, stride * time, mel))


def vision_logits(network: Blocks, padded: Tensor) -> Tensor:
    """Padded utterance (T + 40, dim) -> logits (T, num_classes), those of `network` for each of its T windows."""
    rows = padded[None, None].contiguous(memory_format=channels_last)
    first = max_pool2d(network.convolve(0, rows), 2, stride=(1, 2))
    maps = Columns(None, first, None, inner=COLUMNS, windows=len(padded) - 2 * CONTEXT)
    for convolution in network.block(1):
        maps = convolve_padded(convolution, maps)
    third = max_pool2d(network.convolve(2, pool(maps)), 2)
    return network.head(third.flatten(1))


def convolve_padded(convolution: nn.Conv2d, x: Columns) -> Columns:
    """A padded 3 x 3 convolution and its ReLU. Each side's edge gains a column, which the shared ones lose."""
    thirds = torch.cat(convolution.weight.split(1, 2))
    # Products of each shared column with W0, W1, W2: its part of the outputs one later, at its place, one earlier.
    products = conv2d(x.shared, thirds, padding=(0, 1))
    later, here, earlier = (x._replace(shared=part) for part in products.chunk(3, 1))
    inner = later.shared[:, :, :-2 * STRIDE] + here.shared[:, :, STRIDE:-STRIDE]
    inner += earlier.shared[:, :, 2 * STRIDE:]
    inner += bias_of(convolution)[:, None, None]

    # Left edge 0..k-1 becomes 0..k: the last two outputs touch shared columns 0 and 1. The right edge mirrors it.
    left, right = (edge_products(edge, convolution, x) for edge in (x.left, x.right))
    left[:, :, -2:-1] += earlier.pick(0)
    left[:, :, -1:] += here.pick(0) + earlier.pick(1)
    right[:, :, 1:2] += later.pick(x.inner - 1)
    right[:, :, :1] += here.pick(x.inner - 1) + later.pick(x.inner - 2)
    return Columns(left[:, :, 1:].relu_(), inner.relu_(), right[:, :, :-1].relu_(), x.inner - 2, x.windows)


def edge_products(edge: Tensor | None, convolution: nn.Conv2d, x: Columns) -> Tensor:
    """What the k columns (n, C, k, mel) of an edge, and the bias, give outputs -1..k: (n, C', k + 2, mel)."""
    if edge is None:
        shape = (x.windows, convolution.out_channels, 2, x.shared.shape[3])
        return bias_of(convolution)[:, None, None].expand(shape).contiguous(memory_format=channels_last)
    return conv2d(edge, convolution.weight, convolution.bias, padding=(2, 1))


def pool(x: Columns) -> Tensor:
    """2 x 2 max pooling of edges of three columns and an even number of shared ones: (n, C, columns // 2, mel // 2).

    An edge's innermost column is joined with the shared one beside it; the other shared columns among themselves.
    Larger ones of two slices: many times faster than max_pool2d where channels are few.
    """
    assert x.left is not None and x.right is not None, "after a padded convolution"
    left, shared, right = (torch.maximum(part[..., :-1:2], part[..., 1::2]) for part in (x.left, x.shared, x.right))
    x = x._replace(shared=shared)
    pairs = torch.maximum(shared[:, :, STRIDE:-STRIDE], shared[:, :, 2 * STRIDE:])
    windows, channels, edge, mel = left.shape
    joined = left.new_empty((windows, edge + x.inner // 2, mel, channels)).permute(0, 3, 1, 2)
    joined[:, :, 0] = torch.maximum(left[:, :, 0], left[:, :, 1])
    joined[:, :, 1:2] = torch.maximum(left[:, :, 2:], x.pick(0))
    joined[:, :, 2:-2] = columns(pairs, windows, 0, x.inner // 2 - 1, 2 * STRIDE)
    joined[:, :, -2:-1] = torch.maximum(x.pick(x.inner - 1), right[:, :, :1])
    joined[:, :, -1] = torch.maximum(right[:, :, 1], right[:, :, 2])
    return joined
