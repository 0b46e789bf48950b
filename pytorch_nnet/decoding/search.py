"""What both decoders share: reading the stream of likelihoods, refusing bad ones, counting, and reporting failures.

A decoder is a function (utterance matrix) -> Lattice, or None when no path survived.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable

import numpy as np

from ..io.archives import read_archive
from ..io.errors import RecipeError
from ..io.options import option
from ..io.publish import publish
from .lattice import Lattice, LatticeWriter

FRAMES_PER_SECOND = 100
# Factors on the search beam and on the numbers of active states, tried in turn until a path survives.
WIDER = (1, 2, 4)


@dataclass
class SearchOptions:
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


def decode_stream(
    stream: IO[bytes], num_pdfs: int, decode: Callable[[np.ndarray, int], "Lattice | None"], lattices, failed
) -> None:
    """Decodes an archive of log-likelihoods into a lattice archive.

    Args:
      decode: (matrix (T, num_pdfs) float32, factor on the beams) -> lattice, or None when no path reached the end.
      lattices: path of lat.JOB.npz. failed: path of the list '<utt> <reason>' of utterances without a lattice.
    Raises:
      RecipeError: an empty or broken stream, or a matrix that `check_loglikes` refuses.
    """
    failures: dict[str, str] = {}
    count = frames = retried = arcs = 0
    busy = 0.0
    with LatticeWriter(lattices) as writer:
        for utt, matrix in read_archive(stream):
            matrix = check_loglikes(utt, np.asarray(matrix), num_pdfs)
            count, frames = count + 1, frames + len(matrix)
            started = time.monotonic()
            for factor in WIDER:
                lattice = decode(matrix, factor)
                if lattice is not None:
                    break
            busy += time.monotonic() - started
            retried += factor > 1
            if lattice is None:
                failures[utt] = (
                    f"no path through {len(matrix)} frames reaches a final state, even with beams {factor} times wider"
                )
                print(f"{utt}: {failures[utt]}", file=sys.stderr, flush=True)
                continue
            writer.write(utt, lattice)
            arcs += len(lattice.arcs)
        if count == 0:
            raise RecipeError(
                "no likelihoods arrived",
                expected="at least one utterance",
                found="an empty archive",
                next="see above in this log why the forward process wrote nothing",
            )
    with publish(failed) as file:
        for utt in sorted(failures, key=str.encode):
            file.write(f"{utt} {failures[utt]}\n")
    seconds = frames / FRAMES_PER_SECOND
    print(
        f"decoded {count} utterances, {frames} frames: {len(failures)} failed, {retried} with wider beams, "
        f"search RTF {busy / seconds:.4f}, {arcs / frames:.1f} lattice arcs a frame, "
        f"{Path(lattices).stat().st_size / count / 1000:.1f} kB an utterance",
        file=sys.stderr,
        flush=True,
    )
