"""From audio files to words with times and confidences, by a package.

    from pytorch_nnet import Recognizer
    for transcript in Recognizer.open("my_system").transcribe(["call.wav"]):
        print(transcript.channel, transcript.text)

A file may have any sampling rate; each of its channels is a speaker of its own, whose features are normalised over all of the
file where there is speech. Long channels are cut at pauses. The search runs in the Python that has k2 (docs/decoding.md).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, Sequence

import numpy as np

from ..corpus.audio import read_audio
from ..decoding.decode import k2_python
from ..decoding.forward import loglikes_of
from ..decoding.lattice import Lattice, LatticeReader, timed_paths
from ..decoding.posteriors import confidences
from ..decoding.search import FRAMES_PER_SECOND, SearchOptions
from ..features.cmvn import accumulate, apply_cmvn
from ..features.fbank import FbankConfig, fbank
from ..features.frontend import INT16_SCALE
from ..io.archives import write_archive
from ..io.errors import RecipeError
from ..io.launcher import ROOT
from ..io.progress import Progress
from ..lang.lang_dir import read_symbols
from ..scoring.ctm import timed_words
from .package import Package, open_package
from .pauses import cut_at_pauses, with_speech
from .transcript import Transcript, Word

LEAST = 10  # frames of a channel; less than a tenth of a second is no speech


class Recognizer:
    """Args: package: opened, or from an experiment (`package.open_package`, `package.from_experiment`)."""

    def __init__(self, package: Package):
        self.package, self.model = package, package.model
        self.config = FbankConfig.from_dict({key: value for key, value in self.model.extractor.items() if key != "feature_type"})
        self.words = {number: word for word, number in read_symbols(package.graph / "words.txt").items()}
        self.loglikes = loglikes_of(self.model, package.search.prior_scale)
        self.python = k2_python()

    @classmethod
    def open(cls, folder, device: str = "cpu") -> "Recognizer":
        """Opens a package's folder; device: cpu or cuda, for the network."""
        return cls(open_package(folder, device))

    def transcribe(self, files: Sequence[str | Path]) -> list[Transcript]:
        """One transcript a channel, in the order of the files.

        Raises:
          RecipeError: an audio file that cannot be read or is too short, or a decoder that failed.
        """
        transcripts: list[Transcript] = []
        pieces: list[tuple[int, int, int]] = []  # transcript, first and last frame

        def matrices() -> Iterator[np.ndarray]:
            for path in files:
                for channel, (seconds, features) in enumerate(self.channels(str(path)), 1):
                    transcripts.append(Transcript(str(path), channel, seconds))
                    for begin, end in cut_at_pauses(features.sum(1), FRAMES_PER_SECOND):
                        pieces.append((len(transcripts) - 1, begin, end))
                        yield self.loglikes(self.model.posteriors(features[begin:end]))

        with tempfile.TemporaryDirectory(prefix="transcribe.") as folder:
            lattices = self.search(matrices(), Path(folder))
            for number, (index, begin, end) in enumerate(pieces):
                transcript, start = transcripts[index], begin / FRAMES_PER_SECOND
                lattice = lattices.get(number)
                if lattice is None:
                    transcript.failed.append((start, end / FRAMES_PER_SECOND))
                else:
                    transcript.words.extend(self.words_of(lattice, start))
        return transcripts

    def channels(self, path: str) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds and normalised features (T, dim) of each channel of a file."""
        audio, rate = read_audio(path)
        for samples in audio:
            features = fbank(INT16_SCALE * resample(samples, rate, self.config.sampling_rate), self.config)
            if len(features) < LEAST:
                raise RecipeError("audio too short to recognise", file=path, expected=f"{LEAST / FRAMES_PER_SECOND} s at least",
                                  found=f"{len(samples) / rate:.3f} s")
            speech = with_speech(features.sum(1), FRAMES_PER_SECOND)
            yield len(samples) / rate, apply_cmvn(features, accumulate(None, features[speech] if speech.any() else features), **self.model.cmvn)

    def search(self, matrices: Iterator[np.ndarray], folder: Path) -> dict[int, Lattice]:
        """Lattices of the matrices of log-likelihoods, by number; those without a path are missing."""
        options = [f"--{name.replace('_', '-')}={getattr(self.package.search, name)}" for name in SearchOptions.__dataclass_fields__]
        options.append(f"--subsampling={self.model.subsampling}")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [self.python, "-m", "pytorch_nnet.decoding.k2_decode", *options, str(self.package.graph), "1", str(folder)]
        log = folder / "decode.log"
        with open(log, "wb") as errors:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, env=environment)
        assert process.stdin is not None, "a pipe"
        try:
            with Progress("transcribe", unit="pieces") as progress:
                for number, matrix in enumerate(matrices):
                    write_archive(process.stdin, f"{number:06d}", matrix)
                    progress.add()
            process.stdin.close()
        except BrokenPipeError:
            pass  # the decoder's own message says why
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
        if code:
            raise RecipeError("the decoder failed", file=self.package.graph, expected="exit code 0", found=code,
                              next=log.read_text(errors="replace").strip().replace("\n", "\n            "))
        return {int(key): lattice for key, lattice in LatticeReader(folder / "lat.1.npz")}

    def words_of(self, lattice: Lattice, begin: float) -> list[Word]:
        """The best path's words; begin: of the piece, seconds from the start of the file."""
        pair = self.package.lmwt, self.package.wip
        path = timed_paths(lattice, *([value] for value in pair))[pair]
        return [Word(self.words[number], start, duration, sure) for (number, start, duration), sure
                in zip(timed_words(path, lattice.num_frames, begin), confidences(lattice, path, *pair))]


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """(N,) at `rate` to about N wanted / rate samples, by a polyphase filter that keeps what lies below both half rates."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    divisor = int(np.gcd(rate, wanted))
    return resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)
