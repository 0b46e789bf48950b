"""A recurrent language model as an automaton for rescoring: histories that end in the same words count as one.

Its state is that of the first way that came to such a history, an approximation that hardly costs words from three words on (Liu et al.
2014; Kaldi: lattice-lmrescore-kaldi-rnnlm, --max-ngram-order). Probabilities are mixed with those of an n-gram model:
P = weight P_rnn + (1 - weight) P_ngram.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..io.errors import RecipeError
from ..lang.states import NgramStates, State
from ..models.word_lm import BOUNDARY, BOUNDARY_WORD, LstmState, TrainedWordLm, load_word_lm


class WordLmStates:
    """What NgramStates is for an n-gram model: `start`, and `step` from a state and a word to the next state and log10 P.

    Args:
      folder: of steps/train_rnnlm. ngram: the model to mix with. weight: of the recurrent model. order: words that histories are told
        apart by, the predicted one among them.
    A state is the last words, then the n-gram model's state.
    """

    def __init__(self, folder, ngram: NgramStates, weight: float, order: int):
        if not 0 <= weight <= 1 or order < 1:
            raise RecipeError("bad value for an option", id="rnn-weight, rnn-order", expected="0 to 1, and 1 or more", found=f"{weight:g} and {order}")
        torch.set_num_threads(1)
        self.model: TrainedWordLm = load_word_lm(folder)
        self.ngram, self.weight, self.kept = ngram, weight, order - 1
        lacking = [word for word in self.model.words if word not in ngram.model.ids]
        if lacking:
            raise RecipeError("a word of the recurrent model is not in the n-gram model", file=folder, id=lacking[0],
                              expected="both over the words of one lang directory", found=f"{len(lacking)} such words",
                              next="train it with the lang directory of the graph (steps/train_rnnlm)")
        self.of_ngram = [ngram.model.ids[word] for word in self.model.words]
        self.start: State = (BOUNDARY, *self.tail(ngram.start))
        # Of each history: the LSTM's state, the last hidden vector, and the logarithm of the sum over all words.
        self.known: dict[tuple[int, ...], tuple[LstmState, Tensor, float]] = {}
        self.split: dict[State, tuple[tuple[int, ...], State]] = {self.start: ((BOUNDARY,), ngram.start)}
        self.remember((BOUNDARY,), BOUNDARY, None)

    @staticmethod
    def tail(state: State) -> State:
        """An n-gram state behind the words, told from them by being below zero."""
        return tuple(-2 - row for row in state)

    @torch.inference_mode()
    def remember(self, history: tuple[int, ...], word: int, before: LstmState | None) -> None:
        module = self.model.module
        hidden, state = module.lstm(module.embedding(torch.tensor([[word]])), before)
        logits = module.output(hidden[0, 0])
        self.known[history] = state, hidden[0, 0], float(torch.logsumexp(logits, 0))

    @torch.inference_mode()
    def step(self, state: State, word: int) -> tuple[State, float]:
        """word: its number in the recurrent model (`model.ids`)."""
        history, ngram_state = self.split[state]
        before, hidden, total = self.known[history]
        output = self.model.module.output
        recurrent = math.exp(float(output.weight[word] @ hidden + output.bias[word]) - total)
        ngram_after, logprob = self.ngram.step(ngram_state, self.of_ngram[word])
        mixed = math.log10(self.weight * recurrent + (1 - self.weight) * 10.0 ** logprob)
        if self.model.words[word] == BOUNDARY_WORD:
            return self.start, mixed
        after = (*history, word)[-self.kept:] if self.kept else ()
        if after not in self.known:
            self.remember(after, word, before)
        key = (*after, *self.tail(ngram_after))
        self.split.setdefault(key, (after, ngram_after))
        return key, mixed
