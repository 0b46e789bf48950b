#!/usr/bin/env python3
"""Times local/prepare_switchboard on a simulated release of Switchboard's size: seconds and peak memory.

Usage: benchmarks/prepare.py [conversations]
 e.g.: benchmarks/prepare.py 2438

The release has LDC's layout: 2438 transcribed conversations (by default) with audio for all but three, a dictionary of 30000 words,
Hub5'00 with 40 conversations and 4459 scored segments; segments and hours are Switchboard's, so that the published figures are
checked too. The audio is headers over holes in the disc: nothing reads samples at this stage. Words are drawn by Zipf's law, with
the markup that the transcripts have. Goals: 10 minutes, 2 GB.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recipe import Peak, commit, machine

ROOT = Path(__file__).resolve().parents[1]
PHONES = "aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z".split()
TURNS, SPEECH, SILENCE = 54, 4.36, 2.9  # of a side; seconds; 2435 x 2 x 54 segments are 318 hours
WITHOUT_AUDIO = 3
MARKED = ["[noise]", "[laughter]", "[vocalized-noise]", "th[at]-", "[laughter-yeah]", "[yeam/yeah]", "{yuppiedom}", "them_1", "I", "Dallas"]


def main(argv):
    if len(argv) > 1 or not all(word.isdigit() for word in argv):
        print(__doc__)
        return 0 if "--help" in argv else 2
    conversations = int(argv[0]) if argv else 2438
    with tempfile.TemporaryDirectory(prefix="prepare.") as folder:
        release, start = Path(folder), time.monotonic()
        write_release(release, conversations)
        print(f"release of {conversations} conversations written in {time.monotonic() - start:.0f} s", flush=True)
        start = time.monotonic()
        command = ["local/prepare_switchboard", "--swbd1", release / "LDC97S62", "--ms98", release / "swb_ms98_transcriptions",
                   "--eval2000", f"{release}/LDC2002S09 {release}/LDC2002T43", release / "data"]
        process = subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        peak = Peak(process.pid)
        code, seconds, used = process.wait(), time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nlocal/prepare_switchboard: {seconds:.0f} s, of them {used.ru_utime + used.ru_stime:.0f} s on the processor, "
          f"peak {peak.stop() / 1e6:.2f} GB; {machine()}, commit {commit()}")
    return code


def write_release(root, conversations):
    draw = random.Random(1)
    words = [f"w{number}" for number in range(30000)]
    words = ["".join("abcdefghij"[int(digit)] for digit in word[1:]) + "x" for word in words]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    spoken = iter(draw.choices(words, weights, k=conversations * 2 * TURNS * 12 + 100_000))
    write(root / "swb_ms98_transcriptions/sw-ms98-dict.text",
          [f"{word} {' '.join(draw.choices(PHONES, k=5))}" for word in words]
          + [f"{word} {' '.join(draw.choices(PHONES, k=3))}" for word in [*MARKED[3:], "yeah"] if "laughter" not in word])
    for number in range(2001, 2001 + conversations):
        for side in "AB":
            lines, clock = [], 0.0
            for turn in range(TURNS):
                name = f"sw{number}{side}-ms98-a-{2 * turn + 1:04d}"
                said = [next(spoken) for _ in range(draw.randint(1, 22))]
                if turn % 3 == 0:
                    said.append(draw.choice(MARKED))
                end = clock + SPEECH
                lines.append(f"{name} {clock:.6f} {end:.6f} {' '.join(said)}")
                lines.append(f"{name[:-1]}x {end:.6f} {end + SILENCE:.6f} [silence]")
                clock = end + SILENCE
            write(root / f"swb_ms98_transcriptions/{number // 100}/{number}/sw{number}{side}-ms98-a-trans.text", lines)
        if number >= 2001 + WITHOUT_AUDIO or conversations < 1000:
            sphere(root / f"LDC97S62/swb1_d{1 + number % 4}/data/sw0{number}.sph", 400)
    write_test(root, spoken)


def write_test(root, spoken):
    """40 conversations of which 20 are Switchboard's, with 1831 + 2628 scored segments."""
    pem, stm = [], []
    for index in range(40):
        name = f"sw_{4390 + index}" if index < 20 else f"en_{4156 + index}"
        sphere(root / f"LDC2002S09/hub5e_00/english/{name}.sph", 305)
        first, number = (0, 1831) if index < 20 else (20, 2628)
        count = number * (index + 1 - first) // 20 - number * (index - first) // 20
        for segment in range(count):
            start, side = 300 * segment / count, "AB"[segment % 2]
            times = f"{start:.2f} {start + 300 / count - 0.05:.2f}"
            pem.append(f"{name} {side} unknown_speaker {times}")
            stm.append(f"{name} {side} {name}_{side} {times} <O,{name[:2]},F,{name[:2]}-F> {next(spoken).upper()} {next(spoken).upper()}")
    write(root / "LDC2002S09/hub5e_00/english/hub5e_00.pem", pem)
    write(root / "LDC2002T43/reference/hub5e00.english.000405.stm", stm)
    write(root / "LDC2002T43/reference/en20000405_hub5.glm", [";; no rules"])


def sphere(path, seconds):
    """A two-channel mu-law header of 1024 bytes; what follows is a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = ["NIST_1A", "   1024", "channel_count -i 2", "sample_rate -i 8000", f"sample_count -i {seconds * 8000}", "sample_n_bytes -i 1",
              "sample_coding -s4 ulaw", "end_head", ""]
    with open(path, "wb") as file:
        file.write("\n".join(fields).encode().ljust(1024))
        file.truncate(1024 + 2 * seconds * 8000)


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
