"""The scorer process of steps/make_denlats: one job's utterances of a frame store in, a Kaldi archive of log-likelihoods out.

    python -m pytorch_nnet.decoding.forward_frames [--prior-scale 1.0 --job 1 --nj 4] exp/cnn exp/frames_train | <searcher>
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ..frames.store import FrameStore
from ..io.main import run_main
from ..io.options import option, parse
from ..models import load_model
from ..training.dump import shard_range
from .forward import Scorer, loglikes_of, write_loglikes

USAGE = """Usage: python -m pytorch_nnet.decoding.forward_frames [options] <nnet> <frame-store>
 e.g.: python -m pytorch_nnet.decoding.forward_frames --job 1 --nj 4 exp/cnn exp/frames_train | ..."""


@dataclass
class ForwardOptions:
    prior_scale: float = option(1.0, "exponent of the priors the posteriors are divided by")
    job: int = option(1, "which part of the store, from 1")
    nj: int = option(1, "number of parts")
    device: str = option("cpu", "cpu or cuda")


def main(argv: list[str]) -> None:
    import torch

    options, (folder, path) = parse(ForwardOptions, argv, USAGE, nargs=2)
    torch.set_num_threads(1)
    model, store = load_model(folder, options.device), FrameStore.open(path, check_hashes=False)  # decoding.denlats has checked
    loglikes = loglikes_of(model, options.prior_scale)
    utterances = ((store.utts[index], features) for index, features, _ in store.utterances(shard_range(store, options.job, options.nj)))
    write_loglikes(Scorer(utterances, lambda rows: [loglikes(model.posteriors(rows))], [model.num_classes]), sys.stdout.buffer)


if __name__ == "__main__":
    run_main(main)
