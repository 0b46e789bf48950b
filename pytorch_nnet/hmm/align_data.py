"""Aligns a whole data directory with a trained model, in jobs (Kaldi: steps/align_si.sh, steps/nnet/align.sh)."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ..corpus.datadir import DataDir
from ..io.errors import RecipeError
from ..io.launcher import DEFAULT_CMD, python_module, run_jobs
from ..io.options import option
from ..io.publish import publish
from ..lang.lang_dir import LangDir
from .align import ACOUSTIC_SCALE, check_beams, read_failures
from .features import remove_transforms
from .graphs import check_transcripts
from .jobs import job_arguments
from .model import MODEL_FILES, AcousticModel


@dataclass
class AlignDataOptions:
    nj: int = option(2, "number of parallel jobs, at most one a speaker")
    cmd: str = option(DEFAULT_CMD, "job launcher and its options")
    beam: float = option(10.0, "beam of the alignment")
    retry_beam: float = option(40.0, "beam of the second attempt at an utterance")
    acwt: float = option(ACOUSTIC_SCALE, "scale of the acoustic log-likelihoods")


def align_data(data: str, lang: str, source: str, folder: str, options: AlignDataOptions,
               forward: Sequence[str] | None = None, adapt: bool = False) -> None:
    """Writes ali.JOB.gz, num_jobs, failed and copies of the model's files to `folder`; with `adapt` also trans.JOB.

    Args:
      source: directory of the model: a GMM system's, or any alignment directory with the same transition-ids.
      forward: with a network, the command that writes the log-likelihoods of job JOB's utterances to standard output; None
        aligns with the Gaussians.
      adapt: estimate an fMLLR transform for every speaker on the way.
    Raises:
      RecipeError: more than 5 % of the utterances failed; lists them.
    """
    check_beams(options.beam, options.retry_beam)
    data_dir = DataDir.load(data, need=("text", "feats.scp"))
    options.nj = data_dir.at_most(options.nj)
    model, lang_dir = AcousticModel.load(source), LangDir(lang)
    model.check_phones(lang_dir)
    check_transcripts(data_dir, lang_dir)
    if forward is None:
        model.require_gmm()
    out = Path(folder)
    if out.resolve() == Path(source).resolve():
        raise RecipeError("output would overwrite the model's own directory", file=folder, next="name another <ali-dir>")
    (out / "log").mkdir(parents=True, exist_ok=True)
    (out / "num_jobs").unlink(missing_ok=True)  # readers look for it first: it must not promise old archives
    remove_transforms(out)
    for name in ("final.mdl", *MODEL_FILES):
        if (Path(source) / name).exists():
            shutil.copyfile(Path(source) / name, out / name)
    arguments = job_arguments(data=data, lang=lang, dir=folder, nj=options.nj, beam=options.beam, retry_beam=options.retry_beam,
                              acwt=options.acwt)
    command = python_module(f"pytorch_nnet.hmm.align_{'fmllr_' if adapt else ''}job", *arguments)
    if forward is not None:
        pipe = f"{shlex.join(forward)} | {shlex.join([*command, '--loglikes=-'])}"
        command = ["bash", "-c", f"set -euo pipefail; {pipe}"]
    run_jobs(options.cmd, options.nj, f"{folder}/log/align.JOB.log", command)
    failures = read_failures(out, options.nj)
    failures.tried = len(data_dir.utts)
    failures.check(out / "log")
    failures.write(out / "failed")
    loglike = frames = 0.0
    for job in range(1, options.nj + 1):
        own = (out / f"loglike.{job}").read_text().split()
        loglike, frames = loglike + float(own[0]), frames + float(own[1])
        for name in ("failed", "loglike"):
            (out / f"{name}.{job}").unlink()
    summary = (f"{failures.tried - len(failures.reasons)} of {failures.tried} utterances aligned, "
               f"log-likelihood {loglike / max(frames, 1):.4f} per frame")
    with publish(out / "log" / "summary.txt") as file:
        file.write(f"{summary}\n")
    with publish(out / "num_jobs") as file:
        file.write(f"{options.nj}\n")
    print(f"{folder}: {summary}", file=sys.stderr)
