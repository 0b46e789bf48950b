"""Learning-rate schedules as a pure state machine: no clock, no file, no network (paper, section 5.1).

CNN: times 0.7 after five epochs without a better validation loss; stop below 5e-5.
LSTM: times 2/3 after three epochs without a better frame error rate, back to the best epoch; stop below 1e-5.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from .options import TrainOptions


@dataclass(frozen=True)
class Decision:
    """After an epoch. best: it is the best so far. decayed: the rate fell. rollback: restore the best. stop: end."""

    best: bool
    decayed: bool
    rollback: bool
    stop: bool

    @property
    def event(self) -> str:
        """For the log: 'best', 'best decay', 'decay rollback stop', ..."""
        names = (("best", self.best), ("decay", self.decayed), ("rollback", self.rollback), ("stop", self.stop))
        return " ".join(name for name, happened in names if happened)


@dataclass
class State:
    rate: float
    epoch: int = 0  # epochs finished
    best: float = math.inf  # best value of the criterion
    best_epoch: int = 0
    stale: int = 0  # epochs without improvement that count towards the next decay


class Schedule:
    """Decays the rate when the criterion stalls, or at a fixed end when epochs are limited."""

    def __init__(self, options: TrainOptions):
        self.options = options
        self.state = State(options.rate)

    def update(self, value: float) -> Decision:
        """Takes the criterion's value after an epoch (lower is better; NaN never is); moves on to the next epoch."""
        options, state = self.options, self.state
        state.epoch += 1
        best = value < state.best
        if best:
            state.best, state.best_epoch, state.stale = value, state.epoch, 0
        else:
            state.stale += 1
        last = bool(options.max_epochs) and state.epoch >= options.max_epochs
        ending = bool(options.max_epochs) and state.epoch > options.max_epochs - options.anneal_epochs
        decayed = ending or state.stale >= options.patience
        if decayed:
            state.rate *= options.decay
            # A count that does not start anew leaves the rate falling every epoch until something improves.
            state.stale = 0 if options.restart_count else state.stale
        stop = last or state.rate < options.min_rate
        return Decision(best, decayed, rollback=decayed and options.rollback and not best, stop=stop)

    def dump(self) -> dict[str, Any]:
        return asdict(self.state)

    def restore(self, values: dict[str, Any]) -> None:
        self.state = State(**values)
