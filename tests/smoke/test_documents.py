"""The documents' commands, run in a copy of a finished recipe; tests/test_documents.py checks the options of all others.

A line of a document is run as it stands, in the order of the document, but for what a smoke run has under another name (RENAMED).
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from commands import blocks  # noqa: E402
from pytorch_nnet.corpus.datadir import DataDir  # noqa: E402
from pytorch_nnet.scoring.hubscr import find_hubscr  # noqa: E402

# What a document takes for granted: commands that make it.
PREPARED = {
    "README.md": [],
    "docs/decoding.md": ["steps/train_lm --order 4 data/train/text data/lang data/local/lm_mixed/4gram.arpa.gz"],
    "docs/language_models.md": ["steps/train_lm --order 3 data/dev/text data/lang lm/fisher.arpa.gz"],
    "docs/recognition.md": [],
    "docs/reliability.md": [],
    "docs/report.md": [],
    "docs/scoring.md": [],
    "docs/stages.md": ["cat corpus/*/truth/sw*.words.ctm > truth.ctm"],
    "docs/switchboard.md": [],
    "docs/training.md": ["utils/soft_labels_to_post exp/soft_ens_2lstm exp/frames_train exp/kaldi_post"],
    "egs/switchboard/README.md": [],
}
# The smoke run's networks are poor, and a search of the usual width takes minutes among their hypotheses: conf/smoke/sizes.sh.
NARROW = "--acwt 0.125 --beam 8 --lattice-beam 2 --max-active 1500"
RENAMED = {"conf/mini/": "conf/smoke/", "steps/make_denlats --acwt 0.125 --lattice-beam 5": f"steps/make_denlats {NARROW}",
           "steps/decode ": f"steps/decode {NARROW} ", "steps/decode_fmllr ": f"steps/decode_fmllr {NARROW} ",
           "steps/train_deltas ": "steps/train_deltas --num-iters 6 --max-iter-inc 4 --realign-iters 3 "}
ELSEWHERE = {  # in lines of those documents; their options are checked all the same
    r"/ldc/": "LDC's releases are not here",
    r"--device cuda": "needs a GPU",
    r"^(cd|git|torchrun) ": "a recipe of its own",
    r"^(egs/switchboard|tests)/run\.sh": "a run of everything",
    r"^\./run\.sh(?!.* --(dry-run|status))": "tests/smoke.sh has run it",
    r"^local/run_(paper|cldnn|blending|ctc|sequence|folds)\.sh": "tests/smoke.sh has run it",
}


def lines(document: str) -> list[str]:
    """Commands of a document that can be run here, each a line."""
    text = "\n".join(block.text for block in blocks(document) if block.kind == "shell")
    found = [re.sub(r"\s+#.*", "", line).strip() for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    return [line for line in found if line and not any(re.search(pattern, line) for pattern in ELSEWHERE)]


@pytest.fixture
def copy(recipe):
    """A recipe's folder of its own, beside the one that has run."""
    folder = Path(tempfile.mkdtemp(prefix="smoke.documents.", dir=ROOT / "egs"))
    try:
        for name in ("data", "exp"):
            shutil.copytree(recipe / name, folder / name, symlinks=True)
        for name in ("run.sh", "path.sh", "cmd.sh", "conf", "local", "steps", "utils"):
            (folder / name).symlink_to(Path("../switchboard") / name)
        (folder / "corpus").symlink_to(recipe / "corpus")
        data = DataDir.load(folder / "data/eval2000")
        (folder / "call.wav").symlink_to(data.wav[next(iter(data.wav))])
        yield folder
    finally:
        shutil.rmtree(folder)


def run(line: str, folder: Path) -> None:
    for name, other in RENAMED.items():
        line = line.replace(name, other)
    line = re.sub(r" \[--[^]]*\]", "", line)  # options that are only named
    line = line.replace("UTTERANCE", DataDir.load(folder / "data/train").utts[0])
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8",
                               "K2_PYTHON": os.environ.get("K2_PYTHON", str(ROOT / ".venv-k2/bin/python"))})
    expected = 1 if line.startswith("steps/info exp/*") else 0  # exp holds tables too, which it says it does not know
    assert done.returncode == expected, f"{line}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("document", PREPARED)
def test_commands_of_a_document_run(copy, document):
    for line in PREPARED[document]:
        run(line, copy)
    ran = 0
    for line in lines(document):
        if "hubscr" in line and find_hubscr() is None or " export " in line and importlib.util.find_spec("onnx") is None:
            continue
        run(line, copy)
        ran += 1
    assert ran >= 2
