"""Training of the recurrent language model: sentences of about equal length in a batch, perplexity on a dev text, a rate that is halved
when that no longer falls. A killed training goes on from its last epoch, to the same bytes."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..io.errors import RecipeError
from ..io.options import option, record
from ..io.progress import Progress
from ..io.publish import publish
from ..lang.ngram import Text
from ..models.word_lm import BOUNDARY, BOUNDARY_WORD, WordLm, WordLmOptions, save_word_lm
from .checkpoint import load_checkpoint, save_checkpoint

NOTHING = -100  # cross_entropy's word for a place that does not count
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam knows of a parameter
SETTLED = 0.995  # of the perplexity before: a smaller gain halves the rate


@dataclass
class WordLmTraining(WordLmOptions):
    batch: int = option(32, "sentences in a batch")
    rate: float = option(0.003, "initial learning rate, of Adam (Kingma and Ba 2015)")
    max_norm: float = option(1.0, "scale gradients of a larger Euclidean norm down to this")
    min_rate: float = option(0.0003, "stop when the rate has fallen below this")
    max_epochs: int = option(40, "stop after so many epochs")
    seed: int = option(1, "of the initial weights, the order of the sentences and dropout")
    threads: int = option(1, "threads of this process")

    def check(self) -> None:
        super().check()
        for name, least, most in (("batch", 1, 1 << 16), ("rate", 1e-9, 1e3), ("max_norm", 1e-9, 1e9),
                                  ("min_rate", 1e-12, 1e3), ("max_epochs", 1, 1 << 20), ("threads", 1, 1024)):
            if not least <= getattr(self, name) <= most:
                raise RecipeError("option out of range", id=name, expected=f"{least} to {most}", found=getattr(self, name))


class Sentences:
    """A text as batches of numbers: BOUNDARY for the sentence's end, n for words[n]; `encode`'s without its <s>."""

    def __init__(self, text: Text):
        self.words = [BOUNDARY_WORD, *text.words[2:]]
        stream, starts = np.frombuffer(text.stream, np.int32), np.frombuffer(text.starts, np.int32)
        ends = np.append(starts[1:], len(stream))
        self.sentences = [stream[begin + 1:end].astype(np.int64) - 1 for begin, end in zip(starts, ends)]  # </s>, 1, becomes 0
        self.size = sum(map(len, self.sentences))

    def batches(self, count: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets (B, T) int64, the boundary first in the inputs, NOTHING behind a sentence's end in the targets.

        In the order of lengths; with a generator sentences of a length, and the batches, are in an order of chance.
        """
        chance = np.zeros(len(self.sentences)) if generator is None else torch.rand(len(self.sentences), generator=generator).numpy()
        order = np.lexsort((np.arange(len(self.sentences)), chance, np.array([len(sentence) for sentence in self.sentences])))
        groups = [order[begin:begin + count] for begin in range(0, len(order), count)]
        for place in range(len(groups)) if generator is None else torch.randperm(len(groups), generator=generator).tolist():
            group = [self.sentences[index] for index in groups[place]]
            targets = torch.full((len(group), max(map(len, group))), NOTHING)
            for row, sentence in enumerate(group):
                targets[row, :len(sentence)] = torch.from_numpy(sentence)
            inputs = torch.cat([torch.full((len(group), 1), BOUNDARY), targets[:, :-1].clamp(min=BOUNDARY)], 1)
            yield inputs, targets


@torch.inference_mode()
def perplexity(module: WordLm, text: Sentences, count: int = 64) -> float:
    """Of the words and the ends of the sentences."""
    module.eval()
    loss = 0.0
    for inputs, targets in text.batches(count):
        loss += float(cross_entropy(module(inputs)[0].flatten(0, 1), targets.flatten(), ignore_index=NOTHING, reduction="sum"))
    return math.exp(loss / text.size)


class WordLmTrainer:
    """Args: train, dev: texts over one vocabulary. identity: what tells this training from another, beside the options."""

    def __init__(self, options: WordLmTraining, train: Text, dev: Text, folder, identity: dict[str, Any]):
        options.check()
        torch.set_num_threads(options.threads)
        self.options, self.folder = options, Path(folder)
        self.train, self.dev = Sentences(train), Sentences(dev)
        for name, text in (("training", self.train), ("dev", self.dev)):
            if not text.sentences:
                raise RecipeError(f"the {name} text has no sentence", expected="at least one", found="none")
        self.identity = json.loads(json.dumps({**{k: v for k, v in record(options).items() if k != "threads"}, **identity}))
        torch.manual_seed(options.seed)
        self.module = WordLm(options, len(self.train.words))
        self.parameters = dict(self.module.named_parameters())
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=options.rate)
        self.rate, self.records = options.rate, list[dict[str, Any]]()
        self.best = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.finished = False

    def run(self) -> float:
        """Trains to the end and publishes the weights of the best epoch; returns their perplexity on the dev text."""
        self.resume()
        total = self.options.max_epochs * self.train.size
        with Progress(f"train {self.folder.name}", total, "words") as progress:
            progress.count = len(self.records) * self.train.size
            while not self.finished:
                self.epoch(progress)
        least = min(entry["perplexity"] for entry in self.records)
        self.module.load_state_dict(self.best)
        save_word_lm(self.folder, self.module, self.train.words, record(self.options),
                     {"perplexity": least, "epochs": len(self.records), "training_words": self.train.size})
        return least

    def epoch(self, progress: Progress) -> None:
        options, start, number = self.options, time.monotonic(), len(self.records) + 1
        self.optimizer.param_groups[0]["lr"] = self.rate
        seed = options.seed * 1_000_003 + number  # of the order and of dropout, so that a resumed training has the same
        torch.manual_seed(seed)
        self.module.train()
        loss_sum = 0.0
        for inputs, targets in self.train.batches(options.batch, torch.Generator().manual_seed(seed)):
            loss = cross_entropy(self.module(inputs)[0].flatten(0, 1), targets.flatten(), ignore_index=NOTHING)
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), options.max_norm))
            count = int((targets != NOTHING).sum())
            if not math.isfinite(norm):
                raise RecipeError("training diverged", file=self.folder, id=f"epoch {number}", expected="a finite gradient",
                                  found=f"norm {norm}", next=f"a smaller --rate than {self.rate:.3g}")
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss_sum += float(loss.detach()) * count
            progress.add(count)
        found = perplexity(self.module, self.dev)
        before = min((entry["perplexity"] for entry in self.records), default=math.inf)
        self.records.append({"epoch": number, "lr": self.rate, "train_loss": loss_sum / self.train.size, "perplexity": found,
                             "seconds": round(time.monotonic() - start, 2)})
        if found < before:
            self.best = {name: value.clone() for name, value in self.module.state_dict().items()}
        if found > SETTLED * before:
            self.rate /= 2
        self.finished = self.rate < options.min_rate or number >= options.max_epochs
        print(f"epoch {number}: rate {self.records[-1]['lr']:.3g}, train perplexity {math.exp(self.records[-1]['train_loss']):.1f}, "
              f"dev perplexity {found:.2f}", flush=True)
        with publish(self.folder / "train.jsonl") as file:
            file.writelines(f"{json.dumps(entry)}\n" for entry in self.records)
        moments = {what: {name: self.optimizer.state[value][what] for name, value in self.parameters.items()} for what in MOMENTS}
        save_checkpoint(self.folder, {"weights": self.module.state_dict(), "best_weights": self.best, **moments}, torch.zeros(0, dtype=torch.uint8),
                        {"identity": self.identity, "records": self.records, "rate": self.rate, "finished": self.finished})

    def resume(self) -> None:
        loaded = load_checkpoint(self.folder)
        if loaded is None:
            return
        groups, _, state = loaded
        if state["identity"] != self.identity:
            print(f"{self.folder}/checkpoint is of another training: starting anew", flush=True)
            return
        self.module.load_state_dict(groups["weights"])
        self.best = groups["best_weights"]
        for name, value in self.parameters.items():
            self.optimizer.state[value] = {what: groups[what][name] for what in MOMENTS}
        self.records, self.rate, self.finished = state["records"], state["rate"], state["finished"]
        print(f"resuming after epoch {len(self.records)}{', already finished' if self.finished else ''}", flush=True)


def identity_of(texts: Sequence[Text]) -> dict[str, Any]:
    """What the texts are, for the trainer's identity: a digest of all numbers and words."""
    import hashlib

    digest = hashlib.sha256()
    for text in texts:
        for part in (text.stream.tobytes(), text.starts.tobytes(), "\n".join(text.words).encode()):
            digest.update(hashlib.sha256(part).digest())
    return {"texts": digest.hexdigest()}
