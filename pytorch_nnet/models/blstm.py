"""Bidirectional LSTM with peepholes over a window; the output is for the window's middle frame only.

Blending LSTMs into CNNs, section 5.1 and supplement (cell of Gers et al. 2003):

    i_t = sigmoid(W_xi x_t + W_hi h_{t-1} + w_ci * c_{t-1} + b_i)
    f_t = sigmoid(W_xf x_t + W_hf h_{t-1} + w_cf * c_{t-1} + b_f)
    c_t = f_t * c_{t-1} + i_t * tanh(W_xc x_t + W_hc h_{t-1} + b_c)
    o_t = sigmoid(W_xo x_t + W_ho h_{t-1} + w_co * c_t + b_o)
    h_t = o_t * tanh(c_t)

Every sequence here is (time, units, batch): a gate is then one contiguous block of memory. Both directions advance in
one batched product; the backward one reads its input reversed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GATES = 4  # rows of the weights: input gate, forget gate, cell input, output gate
PEEPHOLES = 3  # input, forget, output
FORGET_BIAS = 1.0  # a cell that remembers from the start learns long context sooner (Gers et al. 2000)


class PeepholeRecurrence(torch.autograd.Function):
    """The recurrence of both directions, with a hand-written backward pass.

    Autograd would record some fifteen small operations a step; keeping the gates and replaying the chain rule by hand
    needs fewer and less memory (a tenth less time at 4x48 units and batches of 256 on one thread).

    Args of `apply`:
      inputs: (T, 2, 4H, B), W x_t + b of both directions, overwritten with the gates.
      recurrent: (2, 4H, H). peepholes: (2, 3, H).
    Returns:
      (T, 2, H, B) hidden vectors in the order of computation.
    """

    @staticmethod
    def forward(ctx, inputs: Tensor, recurrent: Tensor, peepholes: Tensor) -> Tensor:
        steps, _, rows, batch = inputs.shape
        units = rows // GATES
        gates = inputs.clone()
        hidden = inputs.new_zeros(steps + 1, 2, units, batch)
        cells = inputs.new_zeros(steps + 1, 2, units, batch)
        squashed = inputs.new_empty(steps, 2, units, batch)
        peep_if = peepholes[:, :2, :, None].expand(2, 2, units, batch).contiguous()
        peep_o = peepholes[:, 2, :, None].expand(2, units, batch).contiguous()
        for t in range(steps):
            gate = gates[t]
            if t:
                gate.baddbmm_(recurrent, hidden[t])
            i, f, z, o = gate.chunk(GATES, 1)
            input_forget = gate[:, :2 * units].view(2, 2, units, batch)
            input_forget.addcmul_(peep_if, cells[t].unsqueeze(1)).sigmoid_()
            z.tanh_()
            cell = torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, z)
            o.addcmul_(peep_o, cell).sigmoid_()
            torch.mul(o, torch.tanh(cell, out=squashed[t]), out=hidden[t + 1])
        ctx.save_for_backward(gates, recurrent, peep_if, peep_o, hidden, cells, squashed)
        return hidden[1:]

    @staticmethod
    def backward(ctx, grad_hidden: Tensor):
        gates, recurrent, peep_if, peep_o, hidden, cells, squashed = ctx.saved_tensors
        steps, _, rows, batch = gates.shape
        units = rows // GATES
        transposed = recurrent.transpose(1, 2)
        grad_gates = torch.empty_like(gates)
        grad_recurrent = torch.zeros_like(recurrent)
        # The peepholes' gradients are summed over time here and over the batch once at the end.
        grad_if = torch.zeros_like(peep_if)
        grad_o = torch.zeros_like(peep_o)
        grad_cell = torch.zeros_like(cells[0])
        for t in range(steps - 1, -1, -1):
            i, f, z, o = gates[t].chunk(GATES, 1)
            di, df, dz, do = grad_gates[t].chunk(GATES, 1)
            input_forget = gates[t, :, :2 * units].view(2, 2, units, batch)
            d_input_forget = grad_gates[t, :, :2 * units].view(2, 2, units, batch)
            dh = grad_hidden[t]
            if t + 1 < steps:
                dh = torch.baddbmm(dh, transposed, grad_gates[t + 1])
            # h = o tanh(c): d/do, then through the gate's sigmoid.
            torch.mul(dh, squashed[t], out=do)
            do.mul_(o).sub_(do * o)
            grad_cell += dh * o * (1 - squashed[t].square())
            grad_cell.addcmul_(do, peep_o)
            grad_o.addcmul_(do, cells[t + 1])
            # c = f c' + i z.
            torch.mul(grad_cell, z, out=di)
            torch.mul(grad_cell, cells[t], out=df)
            d_input_forget.mul_(input_forget).sub_(d_input_forget * input_forget)
            torch.mul(grad_cell * i, 1 - z.square(), out=dz)
            grad_if.addcmul_(d_input_forget, cells[t].unsqueeze(1))
            grad_cell.mul_(f).addcmul_(di, peep_if[:, 0]).addcmul_(df, peep_if[:, 1])
            if t:
                grad_recurrent.baddbmm_(grad_gates[t], hidden[t].transpose(1, 2))
        grad_peepholes = torch.cat([grad_if, grad_o.unsqueeze(1)], 1).sum(-1)
        return grad_gates, grad_recurrent, grad_peepholes


class BidirectionalLayer(nn.Module):
    """Both directions of one layer. Parameters per direction: 4H(I + H) weights, 4H biases, 3H peepholes."""

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.units = units
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
        flows = (x[:steps], x.flip(0)[:steps])
        projected = torch.stack([
            torch.baddbmm(self.bias[d][None, :, None], self.weight[d].expand(steps, -1, -1), flow)
            for d, flow in enumerate(flows)], 1)
        hidden = PeepholeRecurrence.apply(projected, self.recurrent, self.peepholes)
        if last:
            return hidden[-1].flatten(0, 1)
        return torch.cat([hidden[:, 0], hidden[:, 1].flip(0)], 1)


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
        self.output = nn.Linear(widths[-1], num_classes)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """windows (B, T odd, dim) -> logits (B, num_classes) of the middle frame."""
        x = windows.permute(1, 2, 0)
        for index, layer in enumerate(self.layers):
            x = layer(x, last=index == len(self.layers) - 1)
        return self.output(x.t())
