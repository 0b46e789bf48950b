"""NIST SPHERE files: what the header says, whether the file is whole, and samples compressed with shorten.

A header is ASCII: `NIST_1A`, its own size in bytes, then `name -type value` lines up to `end_head`. libsndfile reads the
samples unless they are compressed (`embedded-shorten`); the LDC's program sph2pipe expands those.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError, require_file

BYTES_OF_CODING = {"ulaw": 1, "alaw": 1, "pcm": 2}
MAGIC = b"NIST_1A"
NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Sphere:
    path: str
    rate: int  # Hz
    channels: int
    samples: int  # per channel
    compressed: bool  # with shorten

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.rate


def read_header(path) -> tuple[dict[str, str], int]:
    """Returns the fields of a SPHERE header and the size of the header in bytes."""
    with open(require_file(path), "rb") as file:
        magic, size = file.readline().strip(), file.readline().strip()
        if magic != MAGIC or not NUMBER.fullmatch(size.decode("latin-1")):
            raise RecipeError("not a SPHERE file", file=path, expected="a header that begins with NIST_1A", found=repr(magic[:20]))
        file.seek(0)
        lines = file.read(int(size)).decode("latin-1").split("\n")[2:]
    fields: dict[str, str] = {}
    for line in lines:
        if line.strip() == "end_head":
            return fields, int(size)
        parts = line.split(None, 2)
        if len(parts) == 3:
            fields[parts[0]] = parts[2].strip()
    raise RecipeError("SPHERE header is cut short", file=path, expected="end_head", found=f"{len(fields)} fields and no end")


def read_sphere(path) -> Sphere:
    """Reads a header without touching the samples; checks that as many are there as it promises, unless they are compressed.

    Raises:
      RecipeError: not whole, an unknown coding, or compressed where sph2pipe is not installed.
    """
    fields, header = read_header(path)
    coding, _, packing = fields.get("sample_coding", "pcm").partition(",")
    if coding not in BYTES_OF_CODING:
        raise RecipeError("unknown coding of a SPHERE file", file=path, expected=" or ".join(BYTES_OF_CODING), found=coding)
    numbers = {}
    for name in ("sample_rate", "channel_count", "sample_count"):
        if not NUMBER.fullmatch(fields.get(name, "")):
            raise RecipeError("SPHERE header without a number", file=path, id=name, expected="an integer",
                              found=fields.get(name, "nothing"))
        numbers[name] = int(fields[name])
    sphere = Sphere(str(path), numbers["sample_rate"], numbers["channel_count"], numbers["sample_count"], bool(packing))
    if packing:
        find_sph2pipe(path, packing)
        return sphere
    width = int(fields["sample_n_bytes"]) if NUMBER.fullmatch(fields.get("sample_n_bytes", "")) else BYTES_OF_CODING[coding]
    promised, present = sphere.samples * sphere.channels * width, os.path.getsize(path) - header
    if present < promised or promised == 0:
        raise RecipeError("SPHERE file is cut short", file=path, expected=f"{promised} bytes of samples as its header says",
                          found=f"{present} bytes", next="copy the file again from its source")
    return sphere


def is_compressed(path) -> bool:
    """Whether a file is SPHERE with compressed samples."""
    with open(require_file(path), "rb") as file:
        if not file.read(len(MAGIC)) == MAGIC:
            return False
    return "," in read_header(path)[0].get("sample_coding", "")


def find_sph2pipe(path, packing: str) -> str:
    """The program that expands `path`; raises RecipeError, naming it, if it is not on PATH."""
    program = shutil.which("sph2pipe")
    if program is None:
        raise RecipeError("SPHERE file is compressed, which only sph2pipe can undo", file=path,
                          expected="the program sph2pipe on PATH, or samples that are not compressed", found=packing,
                          next="install sph2pipe (https://www.openslr.org/3), or expand all such files once: "
                               f"sph2pipe -f sph {path} <folder>/{Path(path).name}")
    return program


def expand(path) -> bytes:
    """The samples of a compressed file as a 16-bit WAV file with all channels."""
    command = [find_sph2pipe(path, "compressed samples"), "-p", "-f", "wav", os.path.abspath(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode or not done.stdout:
        raise RecipeError("sph2pipe failed", file=path, expected="a WAV file on its standard output",
                          found=f"exit code {done.returncode}, {len(done.stdout)} bytes; {done.stderr.decode(errors='replace').strip()}",
                          next=f"run it by hand: {' '.join(command)}; or copy the file again from its source")
    return done.stdout
