"""The trainer: one loop for the DNN, the CNNs, the LSTMs, students, self-teaching, CTC and sequence training. They differ by options only."""

from __future__ import annotations

import json
import math
import os
import time
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from torch import Tensor

from ..frames.ctc_store import CtcStore
from ..frames.sampler import Windows
from ..frames.store import FrameStore
from ..io.errors import RecipeError
from ..io.progress import Progress
from ..io.publish import publish, publish_path
from ..models.model_dir import load_network, load_weights, save_model
from ..models.network import usable_device, window_logits
from ..models.registry import build_network
from ..models.sequence import SequenceNetwork
from .checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from .evaluate import evaluate, write_evaluation
from .feeds import Piece
from .objectives import open_objective
from .options import ERROR_RATES, HOW_NOT_WHAT, TrainOptions, recorded
from .processes import ALONE, Processes
from .schedules import Schedule
from .sgd import Momentum

EXPLODED = 10.0  # times log(classes), the loss of guessing: no training comes back from there
VALID_BATCH = 512


class Trainer:
    """Trains one network in `folder`, resuming from its checkpoint if that belongs to the same training.

    Args:
      processes: those that train together; all hold the same weights, the first one writes.
    Raises:
      RecipeError: stores that do not belong together; a loss or gradient that explodes (the batch is saved).
    """

    def __init__(self, options: TrainOptions, train: FrameStore | CtcStore, dev: FrameStore | CtcStore, folder,
                 processes: Processes = ALONE):
        options.check()
        self.processes = processes
        self.options, self.train, self.dev, self.folder = options, train, dev, Path(folder)
        self.shape = options.resolved()
        check_stores(train, dev)
        for store in (train, dev):
            store.label_counts()  # to see that its labels are classes
        torch.set_num_threads(options.threads)
        torch.set_float32_matmul_precision(options.matmul_precision)
        if options.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for equal sums; read when it starts
        torch.use_deterministic_algorithms(options.deterministic)
        self.device = usable_device(processes.device(options.device))
        torch.manual_seed(options.seed)
        self.module = build_network(self.shape, train.num_classes, train.dim)
        if options.init:
            load_weights(self.module, Path(options.init) / "model.safetensors")
        self.module.to(self.device)
        self.network = processes.parallel(self.module)
        self.momentum = Momentum(self.module, options.momentum, options.nesterov)
        self.objective = open_objective(options, train, dev, self.module, self.folder)
        self.identity = self.identify()
        self.feed = self.objective.feed(processes, self.device)
        self.schedule = Schedule(options)
        self.records: list[dict[str, Any]] = []
        self.finished = False
        self.keep_best()

    def identify(self) -> dict[str, Any]:
        """Options and contents of the inputs: another identity is another training."""
        options = {key: value for key, value in recorded(self.shape).items() if key not in HOW_NOT_WHAT}
        init = load_network(self.options.init).sha256 if self.options.init else ""
        return {**options, "train": self.train.identity, "dev": self.dev.identity, "init": init,
                **self.objective.identity}

    def run(self) -> dict[str, float]:
        """Trains to the schedule's end, publishes the best weights and returns their evaluation on the dev store.

        Processes but the first return nothing, as they need not wait for the evaluation.
        """
        self.resume()
        if self.options.init and not self.records:
            self.judge_first_weights()
        published = self.finished and (self.folder / "eval.json").exists()
        if not published:
            total = self.options.max_epochs * self.options.epoch_batches or None
            with Progress(f"train {self.folder.name}", total, "batches", quiet=not self.processes.first) as progress:
                progress.count = self.schedule.state.epoch * self.options.epoch_batches
                while not self.finished:
                    self.epoch(progress)
        if not self.processes.first:
            return {}
        if not published:
            self.publish()
        return json.loads((self.folder / "eval.json").read_text())

    def judge_first_weights(self) -> None:
        """Takes those of --init for the best so far: a training that makes them no better publishes them."""
        loss, errors = self.validate()
        self.schedule.state.best = loss if self.options.criterion == "loss" else errors
        if self.processes.first:
            print(f"epoch 0: valid loss {loss:.4f}, valid {ERROR_RATES[self.options.objective].upper()} {100 * errors:.2f} %", flush=True)

    def epoch(self, progress: Progress) -> None:
        """Trains for one epoch, validates, follows the schedule's decision, writes log and checkpoint."""
        start, rate = time.monotonic(), self.schedule.state.rate
        self.module.train()
        torch.manual_seed(self.options.seed * 1_000_003 + self.schedule.state.epoch)  # of dropout, so that a resumed training has the same
        total, frames = 0.0, 0
        for number in range(self.options.epoch_batches):
            piece = self.feed.draw()
            frames += piece.size * self.processes.count
            total += self.learn(piece, rate, number)
            progress.add()
        loss, errors = self.validate()
        decision = self.schedule.update(loss if self.options.criterion == "loss" else errors)
        if decision.best:
            self.keep_best()
        if decision.rollback:
            # Momentum goes back too; the sampler does not, so that new windows are drawn.
            self.module.load_state_dict(self.best["best_weights"])
            self.momentum.velocity = clone(self.best["best_velocity"])
        self.finished = decision.stop
        batches, rate_name = self.options.epoch_batches, ERROR_RATES[self.options.objective]
        self.records.append({
            "epoch": self.schedule.state.epoch, "batches": batches, "frames": frames, "lr": rate,
            "train_loss": total / batches, "valid_loss": loss, f"valid_{rate_name}": errors,
            "seconds": round(time.monotonic() - start, 2), "event": decision.event})
        if self.processes.first:
            self.write_log()
            self.save()
            print(f"epoch {self.schedule.state.epoch}: rate {rate:.3g}, train loss {total / batches:.4f}, "
                  f"valid loss {loss:.4f}, valid {rate_name.upper()} {100 * errors:.2f} % [{decision.event}]", flush=True)

    def learn(self, batch: Piece, rate: float, number: int) -> float:
        """One step of gradient descent; returns the batch's loss."""
        loss = self.objective.loss(self.logits(batch), batch)
        loss.backward()
        norm = self.momentum.clip(self.options.max_norm)
        value = self.processes.totals(float(loss.detach()), device=self.device)[0] / self.processes.count
        # Written so that NaN fails too.
        if not (value < EXPLODED * max(1.0, math.log(self.train.num_classes)) and math.isfinite(norm)):
            self.report_bad_batch(batch, {"epoch": self.schedule.state.epoch + 1, "batch": number, "lr": rate,
                                          "loss": value, "gradient_norm": norm})
        self.momentum.step(rate)
        return value

    def logits(self, batch: Piece) -> Tensor:
        """float32, of the shape that the feed gives them; with --precision bfloat16 products and convolutions are computed in it, from float32 weights."""
        with self.autocast():
            return self.feed.logits(self.network, batch).float()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16")

    @torch.inference_mode()
    def validate(self) -> tuple[float, float]:
        """Mean loss (of cross-entropy and CTC nats an output) and error rate against the labels of the dev store or its stated part."""
        self.module.eval()
        sums = np.zeros(4)
        windows = self.options.valid_frames and not self.objective.whole and not isinstance(self.module, SequenceNetwork)
        for logits, labels, frames in self.dev_frames() if windows else self.dev_utterances():
            sums += self.objective.measure(logits, labels, frames)
        loss, outputs, errors, labelled = self.processes.totals(*sums.tolist(), device=self.device)
        return loss / outputs, errors / labelled

    @cached_property
    def dev_windows(self) -> Windows:
        assert isinstance(self.dev, FrameStore), "networks over windows learn labels of frames"
        return Windows(self.dev, self.device)

    def dev_frames(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Logits (B, K), labels (B,) and positions (B,) of this process's batches of the dev store's frames at equal distances."""
        for batch in self.dev_windows.sweep(VALID_BATCH, self.options.valid_frames, self.processes.turns):
            with self.autocast():
                logits = self.module(batch.windows.to(self.device))
            yield logits.float(), batch.labels.to(self.device), batch.frames

    def dev_utterances(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same of this process's whole utterances, whose windows share what they can: all frames in less time.

        A network over utterances takes of --valid-frames as many utterances, at equal distances, as have them about.
        """
        apart = max(1, self.dev.num_frames // self.options.valid_frames) if self.options.valid_frames else 1
        for index in range(0, self.dev.num_utts, apart)[self.processes.turns]:
            padded = torch.from_numpy(self.dev.padded(index)).to(self.device).float()
            labels = torch.from_numpy(self.dev.utt_labels(index).astype(np.int64))
            with self.autocast():
                logits = window_logits(self.module, padded)
            whole = self.dev.utt_slice(index)
            yield logits.float(), labels.to(self.device), torch.arange(whole.start, whole.stop)

    def keep_best(self) -> None:
        self.best = {"best_weights": clone(self.module.state_dict()), "best_velocity": clone(self.momentum.velocity)}

    def save(self) -> None:
        groups = {"weights": self.module.state_dict(), "velocity": self.momentum.velocity, **self.best, "carried": self.feed.carried}
        save_checkpoint(self.folder, groups, self.feed.state(), {
            "identity": self.identity, "schedule": self.schedule.dump(), "records": self.records,
            "finished": self.finished})

    def resume(self) -> None:
        """Takes up the folder's checkpoint; one of another training is named and replaced when the first epoch ends."""
        loaded = load_checkpoint(self.folder)
        if loaded is None:
            return
        groups, sampler, state = loaded
        mine = self.identity
        changed = sorted(key for key in mine.keys() | state["identity"].keys()
                         if mine.get(key) != state["identity"].get(key))
        if changed:
            print(f"{checkpoint_path(self.folder)} is of another training ({', '.join(changed)} changed): "
                  "starting anew", flush=True)
            return
        self.module.load_state_dict(groups["weights"])
        self.momentum.velocity = {name: value.to(self.device) for name, value in groups["velocity"].items()}
        self.best = {name: groups[name] for name in ("best_weights", "best_velocity")}
        self.feed.restore(sampler)
        self.feed.carried = {name: value.to(self.device) for name, value in groups.get("carried", {}).items()}
        self.schedule.restore(state["schedule"])
        self.records, self.finished = state["records"], state["finished"]
        if self.processes.first:
            self.write_log()
            print(f"resuming after epoch {self.schedule.state.epoch}{', already finished' if self.finished else ''}",
                  flush=True)

    def write_log(self) -> None:
        """Publishes train.jsonl whole, so that an epoch repeated after a kill is not there twice."""
        with publish(self.folder / "train.jsonl") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self.records)

    def publish(self) -> None:
        """Writes the best weights as the model, and eval.json with its errors on the whole dev store."""
        self.module.load_state_dict(self.best["best_weights"])
        state, counts = self.schedule.state, self.objective.counts()
        save_model(self.folder, self.module.cpu(), options=recorded(self.shape), counts=counts, info={
            "num_classes": self.train.num_classes, "dim": self.train.dim, "cmvn": self.train.cmvn,
            "extractor": self.train.extractor, "label_map": self.train.label_map, **self.objective.facts,
            "best_epoch": state.best_epoch, "epochs": state.epoch, "batches": state.epoch * self.options.epoch_batches,
            "train_seconds": round(sum(entry["seconds"] for entry in self.records), 1)})
        write_evaluation(self.folder / "eval.json", evaluate([load_network(self.folder, self.options.device)], self.dev)[0], self.dev)

    def report_bad_batch(self, batch: Piece, facts: dict[str, Any]) -> None:
        """Saves the batch, or this process's share of it, that broke the training and raises RecipeError."""
        from safetensors.torch import save_file

        path = self.folder / ("bad_batch.safetensors" if self.processes.first else f"bad_batch.{self.processes.rank}.safetensors")
        with publish_path(path) as temporary:
            save_file({name: value.cpu() for name, value in batch._asdict().items()}, temporary, metadata={"facts": json.dumps(facts)})
        raise RecipeError("training diverged", file=path, id=f"epoch {facts['epoch']} batch {facts['batch']}",
                          expected=f"a finite loss below {EXPLODED:.0f} log(classes) and a finite gradient",
                          found=f"loss {facts['loss']}, gradient norm {facts['gradient_norm']}",
                          next=f"a smaller --rate than {facts['lr']:.3g}, or --max-norm 5")


def check_stores(train: FrameStore | CtcStore, dev: FrameStore | CtcStore) -> None:
    """Raises RecipeError unless both stores have the same classes and features."""
    for what in ("num_classes", "label_map", "dim", "cmvn"):
        if getattr(train, what) != getattr(dev, what):
            raise RecipeError(f"training and dev store differ in {what}", file=dev.path,
                              expected=f"{getattr(train, what)} as in {train.path}", found=getattr(dev, what),
                              next="make both with the same tree, or units, and options")


def clone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}
