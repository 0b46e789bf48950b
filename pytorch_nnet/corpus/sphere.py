"""NIST SPHERE headers: what a .sph file says about itself, and whether the file is whole.

A header is ASCII: `NIST_1A`, its own size in bytes, then `name -type value` lines up to `end_head`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RecipeError, require_file

BYTES_OF_CODING = {"ulaw": 1, "alaw": 1, "pcm": 2}


@dataclass(frozen=True)
class Sphere:
    path: str
    rate: int  # Hz
    channels: int
    samples: int  # per channel

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.rate


def read_header(path) -> tuple[dict[str, str], int]:
    """Returns the fields of a SPHERE header and the size of the header in bytes."""
    with open(require_file(path), "rb") as file:
        magic, size = file.readline().strip(), file.readline().strip()
        if magic != b"NIST_1A" or not size.isdigit():
            raise RecipeError("not a SPHERE file", file=path, expected="a header that begins with NIST_1A", found=repr(magic[:20]))
        file.seek(0)
        lines = file.read(int(size)).decode("latin-1").split("\n")[2:]
    fields = {}
    for line in lines:
        if line.strip() == "end_head":
            return fields, int(size)
        parts = line.split(None, 2)
        if len(parts) == 3:
            fields[parts[0]] = parts[2].strip()
    raise RecipeError("SPHERE header is cut short", file=path, expected="end_head", found=f"{len(fields)} fields and no end")


def read_sphere(path, *, rate: int = 8000, channels: int = 2) -> Sphere:
    """Reads and checks a header without touching the samples.

    Raises:
      RecipeError: another rate or number of channels, fewer data bytes than the header promises, or `embedded-shorten`
        compression, which libsndfile cannot read.
    """
    fields, header = read_header(path)
    coding = fields.get("sample_coding", "pcm")
    if "embedded" in coding:
        raise RecipeError("SPHERE file is compressed", file=path, expected="sample_coding ulaw, alaw or pcm", found=coding,
                          next=f"expand all such files with LDC's sph2pipe: sph2pipe -f sph {path} <folder>/{Path(path).name}")
    if coding not in BYTES_OF_CODING:
        raise RecipeError("unknown coding of a SPHERE file", file=path, expected=" or ".join(BYTES_OF_CODING), found=coding)
    numbers = {}
    for name in ("sample_rate", "channel_count", "sample_count"):
        if not fields.get(name, "").isdigit():
            raise RecipeError("SPHERE header without a number", file=path, id=name, expected="an integer",
                              found=fields.get(name, "nothing"))
        numbers[name] = int(fields[name])
    for name, expected in (("sample_rate", rate), ("channel_count", channels)):
        if numbers[name] != expected:
            raise RecipeError(f"SPHERE file with another {name.replace('_', ' ')}", file=path, expected=expected,
                              found=numbers[name],
                              next=f"convert to {rate} Hz, {channels} channels with sox; the recipe is for telephone speech")
    width = int(fields.get("sample_n_bytes", BYTES_OF_CODING[coding]))
    promised = numbers["sample_count"] * channels * width
    present = os.path.getsize(path) - header
    if present < promised or promised == 0:
        raise RecipeError("SPHERE file is cut short", file=path, expected=f"{promised} bytes of samples as its header says",
                          found=f"{present} bytes", next="copy the file again from its source")
    return Sphere(str(path), numbers["sample_rate"], channels, numbers["sample_count"])
