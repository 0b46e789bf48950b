"""What both decoders share: reading the stream of likelihoods, refusing bad ones, counting, and reporting failures.

A decoder is a function (utterance matrix) -> Lattice, or None when no path survived. One process may decode several
systems: the stream then holds each utterance once for every system, in the order of their decode directories.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import IO, Callable, Sequence

import numpy as np

from ..io.archives import read_archive
from ..io.errors import RecipeError
from ..io.options import option
from ..io.publish import publish
from .lattice import Lattice, LatticeWriter

FRAMES_PER_SECOND = 100
# Factors on the search beam and on the numbers of active states, tried in turn until a path survives.
WIDER = (1, 2, 4)
Search = Callable[[np.ndarray, int], Lattice | None]


@dataclass
class SearchOptions:
    """Every decoder's."""

    acwt: float = option(0.0833, "acoustic scale of the search (lattices keep unscaled scores)")
    beam: float = option(13.0, "search beam")
    lattice_beam: float = option(8.0, "lattices keep paths this close to the best")
    max_active: int = option(7000, "active states a frame, at most")
    min_active: int = option(200, "active states a frame, at least")

    def check(self) -> None:
        for name in ("acwt", "beam", "lattice_beam", "max_active"):
            if getattr(self, name) <= 0:
                raise RecipeError("bad value for an option", id=name, expected="more than 0", found=getattr(self, name))
        if not 0 <= self.min_active <= self.max_active:
            raise RecipeError(
                "bad value for an option", id="min_active", expected="0 to max_active", found=self.min_active
            )

    def wider(self, factor: int) -> "SearchOptions":
        """The same with wider beams; lattices keep what they kept."""
        return replace(self, beam=self.beam * factor, max_active=self.max_active * factor)


@dataclass
class StreamOptions(SearchOptions):
    """What a decoder process is told beside them."""

    subsampling: int = option(1, "frames of features that a row of likelihoods stands for")


def check_loglikes(utt: str, matrix: np.ndarray, num_pdfs: int) -> np.ndarray:
    """Returns `matrix` as float32 (T, num_pdfs); raises RecipeError for what a decoder would turn into silence."""
    if matrix.ndim != 2 or len(matrix) == 0:
        raise RecipeError(
            "an utterance without frames",
            id=utt,
            expected="at least 1 frame",
            found=f"shape {matrix.shape}",
            next="remove such utterances (utils/fix_data_dir)",
        )
    if matrix.shape[1] != num_pdfs:
        raise RecipeError(
            "the scorer and the graph have different numbers of pdfs",
            id=utt,
            expected=f"{num_pdfs} (graph)",
            found=f"{matrix.shape[1]} (scorer)",
            next="make the graph with the scorer's tree (steps/mkgraph)",
        )
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise RecipeError(
            "a log-likelihood is not finite",
            id=utt,
            expected="finite numbers",
            found=f"{int(bad.sum())} bad frames, the first is frame {int(bad.argmax())}",
            next="check the features and the training log of the scorer",
        )
    return np.ascontiguousarray(matrix, dtype=np.float32)


@dataclass
class Tally:
    """What became of one system's utterances. frames: of the features."""

    folder: Path
    job: int
    writer: LatticeWriter
    subsampling: int = 1
    failures: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)  # decoded, but to no final state, and why
    utts: list[str] = field(default_factory=list)
    frames: int = 0
    arcs: int = 0
    retried: int = 0
    seconds: float = 0.0
    processor: float = 0.0  # seconds of it on the processor: less when other work is on the machine

    def decode(self, utt: str, matrix: np.ndarray, search: Search, anywhere: Callable[[np.ndarray], Lattice | None] | None) -> None:
        """Searches with wider and wider beams, then `anywhere`; keeps the lattice or the reason that there is none."""
        self.utts.append(utt)
        self.frames += len(matrix) * self.subsampling
        started, busy = time.monotonic(), time.process_time()
        for factor in WIDER:
            lattice = search(matrix, factor)
            if lattice is not None:
                break
        else:
            reason = f"no path through {len(matrix)} frames reaches a final state, even with beams {factor} times wider"
            lattice = anywhere(matrix) if anywhere else None
            (self.failures if lattice is None else self.partial)[utt] = reason
            print(f"{self.folder}: {utt}: {reason}{'' if lattice is None else ': the best that ends elsewhere is kept'}", file=sys.stderr, flush=True)
        self.seconds += time.monotonic() - started
        self.processor += time.process_time() - busy
        self.retried += factor > 1
        if lattice is not None:
            lattice.states["frame"] *= self.subsampling
            self.writer.write(utt, lattice)
            self.arcs += len(lattice.arcs)

    def finish(self) -> None:
        """Publishes partial.JOB.txt and failed.JOB.txt and prints the sum."""
        for name, reasons in (("partial", self.partial), ("failed", self.failures)):  # failed.JOB.txt last: with it the job is done
            with publish(self.folder / f"{name}.{self.job}.txt") as file:
                for utt in sorted(reasons, key=str.encode):
                    file.write(f"{utt} {reasons[utt]}\n")
        count, size = len(self.utts), (self.folder / f"lat.{self.job}.npz").stat().st_size
        print(
            f"{self.folder}: decoded {count} utterances, {self.frames} frames: {len(self.failures)} failed, "
            f"{len(self.partial)} end in no final state, {self.retried} with wider beams, "
            f"search RTF {self.seconds * FRAMES_PER_SECOND / self.frames:.4f} "
            f"({self.processor * FRAMES_PER_SECOND / self.frames:.4f} on the processor), "
            f"{self.arcs / self.frames:.1f} lattice arcs a frame, {size / count / 1000:.1f} kB an utterance",
            file=sys.stderr,
            flush=True,
        )


def decode_stream(
    stream: IO[bytes],
    num_pdfs: int,
    search: Search,
    job: int,
    folders: Sequence[str],
    subsampling: int = 1,
    anywhere: Callable[[np.ndarray], Lattice | None] | None = None,
) -> None:
    """Decodes an archive of log-likelihoods into lat.JOB.npz, partial.JOB.txt and failed.JOB.txt ('<utt> <reason>') of every folder.

    Args:
      search: (matrix (T, num_pdfs) float32, factor on the beams) -> lattice, or None when no path reached the end.
      folders: decode directories, one for each system of the stream.
      anywhere: (matrix) -> lattice of paths that end in any state: asked where `search` finds nothing.
      subsampling: frames to a row of a matrix. Lattices are in frames, the last of which may stand up to subsampling - 1 beyond the end.
    Raises:
      RecipeError: an empty or broken stream, a matrix that `check_loglikes` refuses, systems with different utterances.
    """
    with contextlib.ExitStack() as open_writers:
        tallies = [
            Tally(Path(folder), job, open_writers.enter_context(LatticeWriter(f"{folder}/lat.{job}.npz")), subsampling)
            for folder in folders
        ]
        for tally, (utt, matrix) in zip(cycle(tallies), read_archive(stream)):
            tally.decode(utt, check_loglikes(utt, np.asarray(matrix), num_pdfs), search, anywhere)
        if not tallies[0].utts:
            raise RecipeError(
                "no likelihoods arrived",
                expected="at least one utterance",
                found="an empty archive",
                next="see above in this log why the forward process wrote nothing",
            )
        for tally in tallies:
            if tally.utts != tallies[0].utts:
                raise RecipeError(
                    "the stream does not hold every utterance once for each system",
                    id=tally.folder,
                    expected=f"{len(tallies[0].utts)} utterances, those of {tallies[0].folder}",
                    found=f"{len(tally.utts)}, or others",
                    next="give forward as many scorers as the decoder has directories, in the same order",
                )
    for tally in tallies:
        tally.finish()
