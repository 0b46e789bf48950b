"""NIST's own scorer: hubscr.pl of the scoring toolkit SCTK (Debian's package sctk puts it in /usr/lib/sctk/bin)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from ..io.errors import RecipeError
from ..io.publish import publish, scratch_folder

PLACES = ("/usr/lib/sctk/bin", "/usr/local/sctk/bin")
KEPT = ("filt.sgml", "filt.sys")  # the alignments, and the table of rates by speaker


def find_hubscr(folder: str = "") -> Path | None:
    """hubscr.pl in `folder`, or else on PATH or where packages put it; None if there is none.

    Raises RecipeError if a folder is named and does not hold it.
    """
    found = shutil.which("hubscr.pl", path=folder or os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))
    if folder and not found:
        raise RecipeError("no hubscr there", file=folder, expected="hubscr.pl, sclite and their like", found="no hubscr.pl",
                          next="install NIST's SCTK (Debian: apt-get install sctk), or score with --scorer builtin")
    return Path(found).absolute() if found else None


def run_hubscr(program: Path, stm, glm, ctm) -> str:
    """Scores a CTM; leaves <ctm>.filt.sgml and <ctm>.filt.sys beside it and returns the version of sclite.

    Raises RecipeError with the end of hubscr's output if it fails.
    """
    ctm = Path(ctm)
    with scratch_folder(ctm.parent, "hubscr") as folder:
        for name, path in (("stm", stm), ("glm", glm), (ctm.name, ctm)):
            (folder / name).symlink_to(Path(path).absolute())
        # -V: no validation, as in Kaldi; its own references do not pass.
        done = subprocess.run([program, "-p", program.parent, "-V", "-l", "english", "-h", "hub5", "-g", "glm", "-r", "stm",
                               ctm.name], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="latin-1")
        if done.returncode or "Successful Completion" not in done.stdout:
            raise RecipeError("hubscr failed", file=ctm, expected="Successful Completion",
                              found=" | ".join(done.stdout.strip().splitlines()[-4:]),
                              next="read its message; sclite refuses words of sides that the stm lacks, and labels without ;; LABEL")
        for suffix in KEPT:
            content = (folder / f"{ctm.name}.{suffix}").read_bytes()
            with publish(f"{ctm}.{suffix}", "wb") as file:  # without the date: equal input, equal bytes
                file.write(re.sub(rb'creation_date="[^"]*"', b'creation_date=""', content, count=1))
    version = re.search(r"sclite: (.*)", done.stdout)
    return version[1].strip() if version else "of an unknown version"
