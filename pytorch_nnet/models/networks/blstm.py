"""Bidirectional LSTM with peepholes over a window; the output is for the window's middle frame only.

Blending LSTMs into CNNs, section 5.1 and supplement (cell of Gers et al. 2003):

    i_t = sigmoid(W_xi x_t + W_hi h_{t-1} + w_ci * c_{t-1} + b_i)
    f_t = sigmoid(W_xf x_t + W_hf h_{t-1} + w_cf * c_{t-1} + b_f)
    c_t = f_t * c_{t-1} + i_t * tanh(W_xc x_t + W_hc h_{t-1} + b_c)
    o_t = sigmoid(W_xo x_t + W_ho h_{t-1} + w_co * c_t + b_o)
    h_t = o_t * tanh(c_t)

Every sequence here is (time, units, batch): a gate is then one contiguous block of memory. Both directions advance
together; the backward one reads its input reversed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ...frames.store import WINDOW
from ...io.options import option
from ..kind import Kind, stacked
from ..layers import Linear, onnx_linear
from ..onnx_graph import OnnxGraph
from ..products import add_products_, onednn_pays, product

GATES = 4  # rows of the weights: input gate, forget gate, cell input, output gate
PEEPHOLES = 3  # input, forget, output
FORGET_BIAS = 1.0  # a cell that remembers from the start learns long context sooner (Gers et al. 2000)


def tanh_(x: Tensor) -> Tensor:
    """tanh in place, as 2 sigmoid(2x) - 1: torch's own takes five times as long on a CPU."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class Recurrence(torch.autograd.Function):
    """Both directions of one layer, with a hand-written backward pass.

    Autograd would record some fifteen small operations a step. By hand, every derivative that does not depend on the
    gradient is taken for all steps at once, and few operations a step are left (benchmarks/README.md has the ratio).

    Args of `apply`:
      x: (T, I, B). weight: (2, 4H, I). bias: (2, 4H). recurrent: (2, 4H, H). peepholes: (2, 3, H).
      steps: how far both directions run; the forward one from the first, the backward one from the last step of x.
    Returns:
      (steps, 2, H, B) hidden vectors in the order of computation.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, recurrent: Tensor, peepholes: Tensor, steps: int) -> Tensor:
        batch, units = x.shape[2], recurrent.shape[2]
        gates = project(x, weight, bias, steps)
        hidden = x.new_zeros(steps + 1, 2, units, batch)
        cells = x.new_zeros(steps + 1, 2, units, batch)
        squashed = x.new_empty(steps, 2, units, batch)
        peep_if = peepholes[:, :2, :, None].expand(2, 2, units, batch).contiguous()
        peep_o = peepholes[:, 2, :, None].expand(2, units, batch).contiguous()
        for t in range(steps):
            gate = gates[t]
            if t:
                add_products_(gate, recurrent, hidden[t])
            i, f, z, o = gate.chunk(GATES, 1)
            input_forget = gate[:, :2 * units].view(2, 2, units, batch)
            input_forget.addcmul_(peep_if, cells[t].unsqueeze(1)).sigmoid_()
            tanh_(z)
            cell = torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, z)
            o.addcmul_(peep_o, cell).sigmoid_()
            torch.mul(o, tanh_(squashed[t].copy_(cell)), out=hidden[t + 1])
        ctx.save_for_backward(x, weight, recurrent, peep_if, peep_o, gates, hidden, cells, squashed)
        return hidden[1:]

    @staticmethod
    def backward(ctx, grad_hidden: Tensor):
        x, weight, recurrent, peep_if, peep_o, gates, hidden, cells, squashed = ctx.saved_tensors
        steps, _, rows, batch = gates.shape
        units = rows // GATES
        i, f, z, o = gates.chunk(GATES, 2)
        before, after = cells[:-1], cells[1:]
        # Local derivatives of all steps: of the pre-activations of i, f, z by the cell, of o's by h ...
        by_cell = torch.cat([z * i * (1 - i), before * f * (1 - f), i * (1 - z.square())], 2)
        by_hidden = squashed * o * (1 - o)
        # ... and the cell's own, through h (with o's peephole) and through the step before (with i's and f's peepholes).
        cell_by_hidden = o * (1 - squashed.square()) + by_hidden * peep_o
        cell_by_cell = f + (by_cell[:, :, :2 * units].unflatten(2, (2, units)) * peep_if).sum(2)

        back = recurrent.transpose(1, 2).contiguous()
        grads = torch.empty_like(gates)
        grad_cell = torch.zeros_like(cells[0])
        for t in range(steps - 1, -1, -1):
            grad = grad_hidden[t]
            if t + 1 < steps:
                grad = add_products_(grad.clone(), back, grads[t + 1])
            grad_cell.addcmul_(grad, cell_by_hidden[t])
            torch.mul(grad, by_hidden[t], out=grads[t, :, 3 * units:])
            torch.mul(grad_cell.unsqueeze(1), by_cell[t].unflatten(1, (3, units)), out=grads[t, :, :3 * units].unflatten(1, (3, units)))
            grad_cell.mul_(cell_by_cell[t])

        grad_x = inputs_gradient(x, weight, grads) if ctx.needs_input_grad[0] else None
        flows = (x[:steps], x.flip(0)[:steps])
        grad_weight = torch.stack([over_steps(grads[:, d], flows[d]) for d in range(2)])
        grad_recurrent = torch.stack([over_steps(grads[:, d], hidden[:-1, d]) for d in range(2)])
        by_gate = grads.unflatten(2, (GATES, units))
        grad_peepholes = torch.stack([
            (by_gate[:, :, gate] * cell).sum((0, 3)) for gate, cell in ((0, before), (1, before), (3, after))], 1)
        return grad_x, grad_weight, grads.sum((0, 3)), grad_recurrent, grad_peepholes, None


def project(x: Tensor, weight: Tensor, bias: Tensor, steps: int) -> Tensor:
    """W x_t + b of both directions, (steps, 2, 4H, B), in the order of computation."""
    batch = x.shape[2]
    gates = x.new_empty(steps, 2, weight.shape[1], batch)
    if onednn_pays(weight[0], batch):
        for t in range(steps):
            for d, now in enumerate((x[t], x[-1 - t])):
                torch.add(product(weight[d], now), bias[d, :, None], out=gates[t, d])
        return gates
    # All steps in one product, which suits small layers and GPUs.
    flows = torch.stack((x[:steps], x.flip(0)[:steps])).transpose(1, 2).flatten(2)  # (2, I, steps B)
    return gates.copy_(torch.baddbmm(bias[:, :, None], weight, flows).unflatten(2, (steps, batch)).permute(2, 0, 1, 3))


def inputs_gradient(x: Tensor, weight: Tensor, grads: Tensor) -> Tensor:
    """(T, I, B) from the gradients (steps, 2, 4H, B) of the pre-activations; steps that no direction read have none."""
    steps, _, _, batch = grads.shape
    result, back = torch.zeros_like(x), weight.transpose(1, 2).contiguous()
    if onednn_pays(back[0], batch):
        for t in range(steps):
            for d, index in enumerate((t, len(x) - 1 - t)):
                result[index].add_(product(back[d], grads[t, d]))
        return result
    both = torch.bmm(back, grads.permute(1, 2, 0, 3).flatten(2)).unflatten(2, (steps, batch)).permute(0, 2, 1, 3)
    result[:steps] += both[0]
    result[len(x) - steps:] += both[1].flip(0)
    return result


def over_steps(grads: Tensor, values: Tensor) -> Tensor:
    """Sum over steps and batch: (steps, R, B) and (steps, K, B) -> (R, K)."""
    left, right = (part.transpose(0, 1).flatten(1) for part in (grads, values))
    return product(left, right.t())


class BidirectionalLayer(nn.Module):
    """Both directions of one layer. Parameters per direction: 4H(I + H) weights, 4H biases, 3H peepholes."""

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2, GATES * units, inputs))
        self.recurrent = nn.Parameter(torch.empty(2, GATES * units, units))
        self.bias = nn.Parameter(torch.zeros(2, GATES * units))
        self.peepholes = nn.Parameter(torch.zeros(2, PEEPHOLES, units))
        with torch.no_grad():
            self.weight.uniform_(-(3 / inputs) ** 0.5, (3 / inputs) ** 0.5)  # unit variance in, unit variance out
            for direction in range(2):
                for gate in self.recurrent[direction].chunk(GATES):
                    nn.init.orthogonal_(gate)
            self.bias[:, units:2 * units] = FORGET_BIAS

    def forward(self, x: Tensor, last: bool) -> Tensor:
        """x: (T, I, B) -> (T, 2H, B), or with `last` (2H, B): the middle frame alone.

        In the last layer the forward direction runs over 1..t* and the backward one over T..t*: nothing later can
        reach the middle frame's output.
        """
        steps = x.shape[0] // 2 + 1 if last else x.shape[0]
        hidden = Recurrence.apply(x, self.weight, self.bias, self.recurrent, self.peepholes, steps)
        if last:
            return hidden[-1].flatten(0, 1)
        return torch.cat([hidden[:, 0], hidden[:, 1].flip(0)], 1)

    def onnx(self, graph: OnnxGraph, x: str, last: bool) -> str:
        """x (T, B, I) -> (T, B, 2H), or with `last` (B, 2H); ONNX has the gates in the order i, o, f, c and the peepholes i, o, f."""
        units = self.recurrent.shape[2]
        weight, recurrent, bias = (in_onnx_order(part, (0, 3, 1, 2)) for part in (self.weight, self.recurrent, self.bias))
        weights = [weight, recurrent, torch.cat([bias, torch.zeros_like(bias)], 1), in_onnx_order(self.peepholes.flatten(1), (0, 2, 1))]
        if not last:
            w, r, b, p = map(graph.constant, weights)
            both = graph.add("LSTM", x, w, r, b, "", "", "", p, hidden_size=units, direction="bidirectional")  # (T, 2, B, H)
            return graph.add("Reshape", graph.add("Transpose", both, perm=[0, 2, 1, 3]), graph.integers(0, 0, 2 * units))
        middle, ends = WINDOW // 2, []
        for d, (direction, begin, end) in enumerate((("forward", 0, middle + 1), ("reverse", middle, WINDOW))):
            w, r, b, p = (graph.constant(part[d:d + 1]) for part in weights)
            part = graph.slice(x, 0, begin, end)
            ends.append(graph.add_last("LSTM", part, w, r, b, "", "", "", p, hidden_size=units, direction=direction))  # (1, B, H)
        return graph.add("Squeeze", graph.add("Concat", *ends, axis=2), graph.integers(0))


def in_onnx_order(rows: Tensor, order: tuple[int, ...]) -> Tensor:
    """(2, n H, ...), a block of rows for each of n gates, with the blocks in another order."""
    blocks = rows.detach().chunk(len(order), 1)
    return torch.cat([blocks[index] for index in order], 1)


class Blstm(nn.Module):
    """Stacked bidirectional layers and a softmax layer.

    Args:
      hidden: units per direction of each layer; the paper: [512] * 4 and [800] * 4.
      num_classes: pdfs. dim: features per frame.
    """

    def __init__(self, hidden: list[int], num_classes: int, dim: int):
        super().__init__()
        widths = [dim] + [2 * units for units in hidden]
        self.layers = nn.ModuleList(BidirectionalLayer(i, units) for i, units in zip(widths, hidden))
        self.output = Linear(widths[-1], num_classes)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """windows (B, T odd, dim) -> logits (B, num_classes) of the middle frame."""
        x = windows.permute(1, 2, 0).contiguous()
        for index, layer in enumerate(self.layers):
            x = layer(x, last=index == len(self.layers) - 1)
        return self.output(x.t())

    def onnx(self, graph: OnnxGraph, windows: str) -> str:
        x = graph.add("Transpose", windows, perm=[1, 0, 2])
        for index, layer in enumerate(self.layers):
            x = cast(BidirectionalLayer, layer).onnx(graph, x, last=index == len(self.layers) - 1)
        return onnx_linear(graph, self.output, x)


@dataclass
class Options:
    hidden: list[int] = option([512] * 4, "units per direction of the layers")


# 9000 classes: 30.35 M parameters, and 65.85 M with hidden = [800] * 4, the paper's bigger one.
NETWORK = Kind("blstm", "BLSTM", Options, mini=dict(hidden=[64] * 4),
               build=lambda options, classes, dim: Blstm(options.hidden, classes, dim),
               title=lambda options: stacked("BLSTM", options.hidden))
