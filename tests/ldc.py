"""LDC releases of a few seconds for tests, in the layout and with the oddities of the real ones."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pytorch_nnet.corpus.switchboard import prepare
from pytorch_nnet.io.errors import RecipeError

TRANSCRIPT = ["sw{n}{s}-ms98-a-0001 0.000000 0.500000 [silence]",
              "sw{n}{s}-ms98-a-0002 0.500000 1.234000 Hello [laughter-there] th[at]- them_1",
              "sw{n}{s}-ms98-a-0003 1.234000 2.000000 <b_aside> [noise] <e_aside> hello"]
DICTIONARY = ["# comment", "[silence] sil", "Hello hh ah l ow", "there dh eh r", "them dh eh m", "them_1 eh m", "th[at]- dh ae", "a&amp;b ey"]
STM = [';; LABEL "O" "" ""', "sw_4390 A sw_4390_A 0.50 1.00 <O,sw,F,sw-F> HELLO ((THERE))",
       "sw_4390 A sw_4390_A 1.10 1.50 <O,sw,F,sw-F> IGNORE_TIME_SEGMENT_IN_SCORING", "sw_4390 B sw_4390_B 0.02 2.00 <O,sw,M,sw-M> THEM"]
PEM = [";; comment", "sw_4390 A unknown 0.50 1.00", "sw_4390 A unknown 1.10 1.50", "sw_4390 B unknown 0.02 2.00"]


def lines(path: Path, content: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in content))


def audio(path: Path, seconds: float = 2.0, rate: int = 8000, channels: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    soundfile.write(str(path), noise, rate, format="NIST", subtype="ULAW")


@pytest.fixture
def release(tmp_path) -> Path:
    root = tmp_path / "ldc"
    for number in (2001, 2002, 2003):
        # Discs name their files in capitals as often as not.
        audio(root / "swbd" / f"DISC{number}" / (f"SW0{number}.SPH" if number == 2002 else f"sw0{number}.sph"))
        for side in "AB":
            lines(root / "ms98" / "20" / str(number) / f"sw{number}{side}-ms98-a-trans.text",
                  [line.format(n=number, s=side) for line in TRANSCRIPT])
    lines(root / "ms98" / "sw-ms98-dict.text", DICTIONARY)
    audio(root / "eval" / "english" / "sw_4390.sph")
    lines(root / "eval" / "english" / "hub5e_00.pem", PEM)
    lines(root / "ref" / "deep" / "hub5e00.english.000405.stm", STM)
    lines(root / "ref" / "deep" / "en20000405_hub5.glm", [";; rules", "UH => %HESITATION / [ ] __ [ ]"])
    return root


def prepared(root: Path, **options):
    """Prepares the release into its folder `data`."""
    return prepare(root / "swbd", root / "ms98", [root / "eval", root / "ref"], root / "data", **options)


def refused(root: Path, *parts: str, fresh: bool = False, **options) -> None:
    """The release is refused with all `parts` in the report, and nothing is published; fresh: remove what was before."""
    if fresh:
        shutil.rmtree(root / "data")
    with pytest.raises(RecipeError) as caught:
        prepared(root, **options)
    for part in parts:
        assert part in str(caught.value), caught.value
    assert not (root / "data").exists()


def transcript(root: Path, name: str = "sw2002B") -> Path:
    return root / "ms98" / "20" / name[2:6] / f"{name}-ms98-a-trans.text"


def compress(path: Path) -> None:
    """Gives a SPHERE file the header of a compressed one; the samples stay as they are, for `fake_sph2pipe`."""
    content = path.read_bytes()
    path.write_bytes(content[:1024].replace(b"-s4 ulaw", b"-s26 ulaw,embedded-shorten-v2.00")[:1024] + content[1024:])


def fake_sph2pipe(path: Path) -> None:
    """A program that does for `compress` what sph2pipe -p -f wav does for shorten."""
    path.write_text(f"""#!{sys.executable}
import io, sys
import soundfile
assert sys.argv[1:4] == ["-p", "-f", "wav"]
content = open(sys.argv[4], "rb").read()
samples, rate = soundfile.read(io.BytesIO(content.replace(b"-s26 ulaw,embedded-shorten-v2.00", b"-s4 ulaw" + bytes(24), 1)))
wav = io.BytesIO()
soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
sys.stdout.buffer.write(wav.getvalue())
""")
    path.chmod(0o755)
