"""Audio files: what their headers promise, whether the data keeps it, and the samples.

libsndfile reads WAV, FLAC and NIST SPHERE (PCM, mu-law, A-law); SPHERE compressed with shorten goes through sph2pipe. libsndfile
silently takes a file that was cut short for a shorter recording, so the header's own count is compared with what is there.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile

from ..io.archives import refuse_pipe
from ..io.errors import RecipeError
from .sphere import MAGIC, NUMBER, expand, is_compressed, read_header, read_sphere

MEND_AUDIO = "copy the file from the corpus again"


@dataclass(frozen=True)
class AudioInfo:
    source: str  # a path, or a command that ends in a pipe
    sampling_rate: int
    channels: int
    samples: int  # per channel


def is_command(source: str) -> bool:
    return source.rstrip().endswith("|")


def inspect_audio(source: str, *, id: str | None = None, sampling_rate: int | None = None,
                  allow_pipes: bool = False) -> AudioInfo:
    """Reads the header and checks it against the data.

    Args:
      source: the value of wav.scp. id: the recording, for messages.
      sampling_rate: what the rate must be, if given.
    Raises:
      RecipeError: the file is missing, in a format that libsndfile lacks, cut short, or at another sampling rate.
    """
    if is_command(source):
        refuse_pipe(source, id=id, allow=allow_pipes)
        samples, rate = read_audio(source, id=id, allow_pipes=allow_pipes)
        info = AudioInfo(source, rate, len(samples), samples.shape[1])
    else:
        info = _inspect_file(source, id)
    if sampling_rate is not None and info.sampling_rate != sampling_rate:
        raise RecipeError("audio with another sampling rate than the features are made for", file=source, id=id,
                          expected=f"{sampling_rate} Hz", found=f"{info.sampling_rate} Hz",
                          next="set sampling_rate in the feature config, or resample the audio")
    return info


def read_audio(source: str, *, id: str | None = None, allow_pipes: bool = False) -> tuple[np.ndarray, int]:
    """Reads all channels: (channels, samples) float32 in [-1, 1], and the sampling rate."""
    refuse_pipe(source, id=id, allow=allow_pipes)
    try:
        file: io.BytesIO | str
        if is_command(source):
            file = io.BytesIO(_run(source, id))
        else:
            file = io.BytesIO(expand(source)) if is_compressed(source) else source
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _unreadable(source, id, error) from None
    return np.ascontiguousarray(samples.T), rate


def _run(source: str, id: str | None) -> bytes:
    """Runs a wav.scp command (the caller has allowed it) and returns what it wrote."""
    done = subprocess.run(source.rstrip()[:-1], shell=True, capture_output=True, check=False)  # noqa: S602
    if done.returncode or not done.stdout:
        message = (done.stderr.decode(errors="replace").strip() or "no message").splitlines()[-1]
        raise RecipeError("a wav.scp command failed", id=id, expected="audio on its standard output",
                          found=f"exit code {done.returncode}, {len(done.stdout)} bytes; {message}",
                          next=f"run it by hand: {source.rstrip()[:-1].strip()}")
    return done.stdout


def _unreadable(source: str, id: str | None, error: Exception) -> RecipeError:
    return RecipeError("audio cannot be read", file=source, id=id,
                       expected="WAV, FLAC or SPHERE with PCM or mu-law samples",
                       found=str(error), next=MEND_AUDIO)


def _inspect_file(path: str, id: str | None) -> AudioInfo:
    """`inspect_audio` for a path."""
    if not os.path.isfile(path):
        raise RecipeError("audio file is missing", file=path, id=id, expected="an existing file", found="nothing",
                          next="check the corpus folder and wav.scp")
    with open(path, "rb") as file:
        head = file.read(4096)
    if head.startswith(MAGIC):
        if is_compressed(path):  # whether all samples are there is seen when they are read
            sphere = read_sphere(path)
            return AudioInfo(path, sphere.rate, sphere.channels, sphere.samples)
        count = read_header(path)[0].get("sample_count")
        promised = int(count) if count and NUMBER.fullmatch(count) else None
    else:
        promised = _wav_samples(head)
    try:
        with soundfile.SoundFile(path) as audio:
            info = AudioInfo(path, audio.samplerate, audio.channels, audio.frames)
            found = info.samples
            if promised is None and found and not _has_end(audio):
                promised, found = found, 0
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, id, error) from None
    if promised is not None and found < promised:
        raise RecipeError("audio file is cut short", file=path, id=id, expected=f"{promised} samples, says its header",
                          found=f"{found} samples" if found else "the end cannot be read", next=MEND_AUDIO)
    if info.samples == 0:
        raise RecipeError("audio file without samples", file=path, id=id, expected="at least one sample", found="0",
                          next=MEND_AUDIO)
    return info


def _has_end(audio: soundfile.SoundFile) -> bool:
    """Whether the last sample can be read: a compressed file (FLAC) that was cut shows it nowhere else."""
    try:
        audio.seek(audio.frames - 1)
        return len(audio.read(1)) == 1
    except soundfile.LibsndfileError:
        return False


def _wav_samples(head: bytes) -> int | None:
    """Samples per channel that a RIFF header promises; None for other files and for lengths left open by a stream."""
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position, block = 12, 0
    while position + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, position)
        if name == b"fmt " and position + 22 <= len(head):
            block = struct.unpack_from("<H", head, position + 20)[0]
        if name == b"data":
            return size // block if block and size < 0x7FFFFFFF - 4096 else None
        position += 8 + size + (size & 1)
    return None
