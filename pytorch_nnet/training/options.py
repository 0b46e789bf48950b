"""Every option of a training, once: config file, command line and record in exp/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..frames.store import DIM, WINDOW
from ..io.errors import RecipeError
from ..io.options import option, record
from ..models.architecture import Architecture

SEQUENCE = ("mmi", "smbr")  # the objectives that are sums over the paths of a lattice
# By objective: how the rate of errors on the dev store is called.
ERROR_RATES = {"frames": "fer", **dict.fromkeys(SEQUENCE, "fer"), "ctc": "uer"}


@dataclass
class TrainOptions(Architecture):
    """Defaults are the paper's for its CNN (section 5.1); conf/*/*.yaml hold those of the other networks."""

    seed: int = option(0, "seed of the initial weights and of the sampling")
    batch: int = option(256, "windows in a batch, over all processes; utterances for a network over utterances")
    chunk: int = option(0, "networks over utterances: steps after which the weights move and errors stop, so many utterances side by side; 0: whole utterances")
    epoch_batches: int = option(2000, "batches in an epoch, that is between two validations")
    max_epochs: int = option(0, "stop after this many epochs; 0: only the schedule stops")
    valid_frames: int = option(0, "frames of the dev store to validate on, at equal distances; 0: all")

    mask_channels: int = option(0, "hide a random band of at most so many channels of each training window; the paper: 0")
    mask_frames: int = option(0, "the same for frames, the middle one excepted")

    rate: float = option(0.017, "initial learning rate")
    momentum: float = option(0.9, "momentum coefficient")
    nesterov: bool = option(True, "Nesterov momentum (the CNNs) or classical (the LSTMs)")
    max_norm: float = option(0.0, "scale gradients of a larger Euclidean norm down to this; 0: never")

    criterion: str = option("loss", "what must improve on the dev store: loss, or the error rate: fer of frames, uer of a CTC network's units")
    decay: float = option(0.7, "factor on the learning rate at each decay")
    patience: int = option(5, "epochs without improvement before a decay")
    restart_count: bool = option(True, "count those epochs anew after a decay")
    rollback: bool = option(False, "go back to the best weights at each decay")
    min_rate: float = option(5e-5, "stop when the learning rate falls below this")
    anneal_epochs: int = option(0, "decay after each of the last so many epochs before max-epochs, come what may")

    soft_labels: str = option("", "soft-label store of a teacher")
    soft_weight: float = option(0.0, "lambda: weight of the teacher's cross-entropy; the hard labels have the rest")
    top_c: int = option(90, "soft labels used of each frame, at most")
    renormalize: bool = option(False, "divide the kept soft labels by their sum (the paper does not)")

    objective: str = option("frames", "frames: their labels; mmi or smbr: the right path through lattices (steps/make_denlats); ctc: units of a CTC store")
    denlats: str = option("", "mmi, smbr: lattices of the training store")
    dev_denlats: str = option("", "mmi, smbr: lattices of the dev store, to validate on")
    frame_smoothing: float = option(0.1, "mmi, smbr: weight of the frames' cross-entropy, the rest is the lattices'")
    exact_times: bool = option(False, "mmi, smbr: right is the alignment alone, not also the same states at other times")
    drop_frames: bool = option(True, "mmi: nothing is learned from frames whose label the search had not among its arcs")
    one_silence_class: bool = option(True, "smbr: silence is right where the reference has any silence; else it is never right")

    init: str = option("", "start from the weights in this directory; they are published if no epoch is better")
    threads: int = option(1, "threads of this process; several one-thread trainings side by side use cores better")
    device: str = option("cpu", "cpu or cuda")
    precision: str = option("float32", "of products and convolutions: float32, or bfloat16 (autocast; weights stay float32)")
    deterministic: bool = option(False, "the same bits in every run on one GPU, for some speed; a CPU gives them anyway")
    matmul_precision: str = option("highest", "highest, high (TF32 on a GPU) or medium: torch.set_float32_matmul_precision")

    def check(self) -> None:
        """Raises RecipeError for values that make no training, or no network."""
        self.resolved()
        for name, allowed in (("objective", tuple(ERROR_RATES)), ("criterion", ("loss", ERROR_RATES.get(self.objective, "fer"))),
                              ("precision", ("float32", "bfloat16")),
                              ("matmul_precision", ("highest", "high", "medium"))):
            if getattr(self, name) not in allowed:
                raise RecipeError("bad value for an option", id=name, expected=" or ".join(allowed),
                                  found=getattr(self, name))
        for name, least, most in (("batch", 1, 1 << 20), ("chunk", 0, 1 << 20), ("epoch_batches", 1, 1 << 30), ("patience", 1, 1 << 20),
                                  ("soft_weight", 0, 1), ("frame_smoothing", 0, 1), ("rate", 1e-12, 1e3), ("decay", 1e-6, 1),
                                  ("momentum", 0, 0.9999), ("mask_channels", 0, DIM - 1), ("mask_frames", 0, WINDOW - 1),
                                  ("top_c", 1, 255), ("threads", 1, 1024)):
            if not least <= getattr(self, name) <= most:
                raise RecipeError("option out of range", id=name, expected=f"{least} to {most}",
                                  found=getattr(self, name))
        if (self.soft_weight > 0) != bool(self.soft_labels):
            raise RecipeError("--soft-labels and --soft-weight go together", expected="both, or neither",
                              found=f"soft_labels '{self.soft_labels}', soft_weight {self.soft_weight}")
        for name, needed in (("denlats", True), ("dev_denlats", True), ("init", True), ("chunk", False)) if self.objective in SEQUENCE else ():
            if bool(getattr(self, name)) != needed:
                raise RecipeError(f"--objective {self.objective} goes through lattices of whole utterances, from a network trained on frames", id=name,
                                  expected="--denlats, --dev-denlats, --init and no --chunk", found=f"{name} '{getattr(self, name)}'",
                                  next="make the lattices (steps/make_denlats)")
        if self.anneal_epochs > self.max_epochs:
            raise RecipeError("more epochs to anneal than epochs", id="anneal_epochs",
                              expected=f"at most max_epochs, {self.max_epochs}", found=self.anneal_epochs)


# How and where a training runs, not what it is: not part of its identity. (Of the paths in it, the contents are.)
HOW_NOT_WHAT = ("threads", "device", "deterministic", "soft_labels", "denlats", "dev_denlats", "init")


def recorded(options: TrainOptions) -> dict[str, Any]:
    """The options as config.yaml has them: without those that are other networks'."""
    return {name: value for name, value in record(options).items() if value is not None}
