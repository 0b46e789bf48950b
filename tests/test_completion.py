"""utils/completion.bash, as bash calls it: the function that `complete` has registered for a program fills COMPREPLY."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import ROOT, check, programs, python
from pytorch_nnet.decoding.decode import DecodeOptions
from pytorch_nnet.training.options import TrainOptions

DRIVER = r"""
. utils/completion.bash
while IFS=' ' read -r -a COMP_WORDS; do
  if [ "${COMP_WORDS[-1]}" = "''" ]; then COMP_WORDS[-1]=; fi
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  specification=$(complete -p "${COMP_WORDS[0]##*/}")   # complete -o ... -F function name
  function=${specification##*-F } && ${function%% *} "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
  echo "${COMPREPLY[*]}"
done
"""


def complete(*lines: str) -> list[list[str]]:
    """What is offered for each line, of which the last word is to be completed ('' for a new one)."""
    done = subprocess.run(["bash", "-c", DRIVER], input="".join(f"{line}\n" for line in lines), cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    assert not done.stderr, done.stderr
    return [line.split(" ") if line else [] for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("program, options", [("steps/train_nnet", TrainOptions), ("steps/decode", DecodeOptions)])
def test_options_are_those_that_the_program_takes(program, options):
    offered, = complete(f"{program} --")
    names = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(options)}
    assert set(offered) == names | {"--config", "--help"}


@pytest.mark.slow
def test_what_is_typed_narrows_what_is_offered():
    stages, from_folder, commands, options, values, none, files = complete(
        "egs/switchboard/run.sh --st", "egs/an4/steps/train_nnet --max-e", "utils/pytorch-nnet ''", "utils/pytorch-nnet transcribe --f",
        "steps/decode --skip-scoring ''", "steps/decode --beam ''", "steps/decode exp/tri3/graph da")
    assert stages == ["--stage", "--status", "--stop-stage"] and from_folder == ["--max-epochs"]
    assert commands == ["transcribe", "package", "export", "--help"] and options == ["--format"]
    assert values == ["true", "false"] and none == files == [], "file names, by bash itself"


@pytest.mark.slow
def test_what_is_offered_is_taken_by_programs_that_read_their_own_arguments():
    names = [name for name in programs() if name.startswith(("utils", "local", "egs", "tests")) and not python(ROOT / name)]
    assert len(names) > 12
    for name, offered in zip(names, complete(*(f"{name} --" for name in names)), strict=True):
        assert "--help" in offered, name
        for option in offered:
            check([name, option, "--help"], ROOT)


def test_programs_of_others_are_left_alone(tmp_path):
    (tmp_path / "decode").write_text("#!/bin/sh\ntouch called\n")
    (tmp_path / "decode").chmod(0o755)
    assert complete(f"{tmp_path}/decode --") == [[]] and not (ROOT / "called").exists()
