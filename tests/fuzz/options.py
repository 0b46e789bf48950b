"""Configurations and command lines."""

import contextlib
import math
import subprocess
from dataclasses import fields
from pathlib import Path

from conftest import ROOT
from fuzz.harness import target
from pytorch_nnet.decoding.decode import DecodeOptions
from pytorch_nnet.features.compute import MakeMfccOptions
from pytorch_nnet.hmm.train import DeltasOptions, MonoOptions
from pytorch_nnet.io.errors import RecipeError, require_file
from pytorch_nnet.io.options import build, load_config, parse, record
from pytorch_nnet.training.options import TrainOptions

CLASSES = (DecodeOptions, MakeMfccOptions, DeltasOptions, MonoOptions, TrainOptions)
CONFIG = (b"# sizes\narch: blstm\nhidden: [64, 64]\nbatch: 256\nrate: 0.05\nnesterov: false\nnj: 4\nbeam: 13\nmax-active: 7000\n"
          b"realign-iters: 1,2,3\ncmd: utils/run.py\n")
COMMAND = b"--nj\n4\n--beam=13.5\n--norm_vars=true\n--realign-iters\n1,2,3\n--config\nconf.yaml\nexp/graph\ndata/dev"
SCRIPT = f"""set -euo pipefail; stage=0 nj=2 force=false cmd=utils/run.py lm_weight=0.5 sizes="1 2" help_message=help; . "{ROOT}/utils/parse_options.sh"
printf '%s\\n' "$stage" "$nj" "$force" "$cmd" "$@" >/dev/null"""


def sound(options) -> None:
    """Every field has a value of its type."""
    for field in fields(options):
        value = getattr(options, field.name)
        assert not isinstance(value, float) or math.isfinite(value), field.name
        assert (
            not isinstance(field.default, (int, float, str))
            or isinstance(value, type(field.default))
            or field.default == value
            or (isinstance(field.default, float) and isinstance(value, int))
        ), (field.name, value)


@target(lambda: {"config.yaml": CONFIG})
def yaml():
    values = load_config("config.yaml")
    for options in CLASSES:
        known = {field.name for field in fields(options)}
        made = build(options, {name: value for name, value in values.items() if name in known}, where="config.yaml")
        sound(made)
        assert build(options, record(made)) == made
        with contextlib.suppress(RecipeError):
            sound(build(options, values, where="config.yaml"))


@target(lambda: {"arguments": COMMAND, "conf.yaml": b"beam: 9\n"})
def arguments():
    argv = Path(require_file("arguments")).read_bytes().decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    refused = []
    for options in CLASSES:
        try:
            sound(parse(options, argv, "usage", nargs=(0, 10**6))[0])
        except SystemExit as error:  # --help
            assert not error.code
        except RecipeError as error:
            refused.append(error)
    if len(refused) == len(CLASSES):
        raise refused[0]


@target(
    lambda: {
        "arguments": b"--stage\n4\n--nj=3\n--force\n--cmd\nutils/run.py --max-jobs-run 2\n--config\nconf.sh\ndata\n",
        "conf.sh": b"# sizes\nnj=5\n--stage=2  # why\nsizes=3 4\n",
    },
    cost=4,
)
def shell_options():
    argv = [word for word in Path(require_file("arguments")).read_bytes().replace(b"\0", b"").split(b"\n") if len(word) < 20_000][:50]
    done = subprocess.run(["bash", "-c", SCRIPT, "prog", *argv], capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    assert b"syntax error" not in done.stderr and b"unbound" not in done.stderr and b"command not found" not in done.stderr, done.stderr
    if done.returncode:
        assert done.stderr.strip(), "no message"
        raise RecipeError(done.stderr.decode(errors="replace"))
