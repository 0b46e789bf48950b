"""CTC beside k2: torch's loss, which training uses, is k2's, and the decoding graph's blanks are k2's topology."""

import itertools

import numpy as np
import pytest

k2 = pytest.importorskip("k2")
import torch  # noqa: E402

from pytorch_nnet.decoding.ctc_graph import with_blanks  # noqa: E402
from pytorch_nnet.decoding.k2_decode import K2Decoder  # noqa: E402
from pytorch_nnet.decoding.k2_graph import K2Graph  # noqa: E402
from pytorch_nnet.decoding.lattice import timed_paths  # noqa: E402
from pytorch_nnet.decoding.openfst import ARC, FstArrays  # noqa: E402
from pytorch_nnet.decoding.search import SearchOptions  # noqa: E402
from pytorch_nnet.training.ctc import ctc_loss  # noqa: E402

CLASSES = 6
TARGETS = [[1, 2, 2, 3], [5], [4, 4, 4], []]
LENGTHS = [9, 4, 7, 3]


def batch():
    torch.manual_seed(1)
    return torch.randn(len(LENGTHS), max(LENGTHS), CLASSES).log_softmax(2)


def dense(log_probs):
    rows = torch.tensor([[index, 0, length] for index, length in enumerate(LENGTHS)], dtype=torch.int32)
    order = torch.argsort(rows[:, 2], descending=True)
    return k2.DenseFsaVec(log_probs, rows[order]), order.tolist()


def linear(target):
    """The FST of one sequence of units, each also a word of ten times its number."""
    arcs = np.array([(unit, 10 * unit, 0.0, number + 1) for number, unit in enumerate(target)], dtype=ARC)
    final = np.full(len(target) + 1, np.inf, np.float32)
    final[-1] = 0
    return FstArrays(0, np.arange(len(target), dtype=np.int32), arcs, final)


def test_losses_and_gradients_are_equal():
    log_probs = batch().requires_grad_()
    ours = ctc_loss(log_probs, torch.tensor(LENGTHS), torch.tensor([unit for target in TARGETS for unit in target]), torch.tensor(list(map(len, TARGETS))))
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    mine, = torch.autograd.grad((ours * weights).sum(), log_probs)
    again = batch().requires_grad_()
    fsas, order = dense(again)
    graphs = k2.ctc_graph([TARGETS[index] for index in order])
    theirs = k2.ctc_loss(graphs, fsas, reduction="none", target_lengths=torch.tensor([len(TARGETS[index]) for index in order]))
    np.testing.assert_allclose(theirs.detach().numpy(), ours.detach().numpy()[order], atol=1e-4)
    other, = torch.autograd.grad((theirs * weights[order]).sum(), again)
    # torch's gradient is that of the logits before log_softmax, k2's that of the log-probabilities: through log_softmax both are the same.
    through = other - batch().exp() * other.sum(2, keepdim=True)
    np.testing.assert_allclose(through.numpy(), mine.numpy(), atol=1e-4)


@pytest.mark.parametrize("target", TARGETS[:3])
def test_graph_with_blanks_sums_to_the_loss(target):
    """All paths of our graph, in k2's total score, are all paths of CTC."""
    graph = K2Graph.from_hclg(with_blanks(linear(target), CLASSES), np.arange(-1, CLASSES), CLASSES)
    log_probs = batch()[:1, :9]
    scores = torch.full((1, 9, CLASSES + 1), -1e30)
    scores[:, :, 1:] = log_probs
    fsa = k2.create_fsa_vec([k2.Fsa(torch.from_numpy(graph.arcs))])
    lattice = k2.intersect_dense(fsa, k2.DenseFsaVec(scores, torch.tensor([[0, 0, 9]], dtype=torch.int32)), 1e4)
    loss = ctc_loss(log_probs, torch.tensor([9]), torch.tensor(target), torch.tensor([len(target)]))
    assert float(lattice.get_tot_scores(log_semiring=True, use_double_scores=True)[0]) == pytest.approx(-float(loss), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_best_path_of_the_graph_and_when_its_words_are_said(seed):
    target = [1, 2, 2]
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(CLASSES), 7)).astype(np.float32)
    graph = K2Graph.from_hclg(with_blanks(linear(target), CLASSES), np.arange(-1, CLASSES), CLASSES)
    decode = K2Decoder(graph, SearchOptions(acwt=1.0, beam=1000.0, lattice_beam=1000.0, max_active=10000, min_active=0))
    path = max((path for path in itertools.product((0, 1, 2), repeat=7) if [label for label, _ in itertools.groupby(path) if label] == target),
               key=lambda path: sum(log_probs[t, label] for t, label in enumerate(path)))
    starts = [t for t in range(7) if path[t] and (t == 0 or path[t - 1] != path[t])]
    assert timed_paths(decode(log_probs, 1), [1.0], [0.0])[1.0, 0.0] == [(10 * unit, t) for unit, t in zip(target, starts)]
