"""--help of every program: a usage, and an example whose options and arguments the program takes."""

import pytest

from commands import RECIPE, ROOT, check, commands, examples, help_of, programs, resolve
from pytorch_nnet.io.errors import RecipeError

PROGRAMS = programs()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_a_usage_and_an_example_that_parses(program):
    text = help_of(ROOT / program)
    assert text.lstrip().startswith("Usage: ") or "\nUsage: " in text, text
    found = [words for example in examples(text) for words in commands(example)]
    called = [check(words, ROOT / "/".join(program.split("/")[:2]) if program.startswith("egs/") else RECIPE) for words in found]
    assert program in called, f"no example calls {program}: {found}"


def test_programs_are_found():
    assert len(PROGRAMS) > 80 and {"steps/decode", "utils/once.py", "egs/an4/run.sh", "tests/run.sh", "benchmarks/lm.py"} <= set(PROGRAMS)
    assert resolve("steps/decode") == ROOT / "steps/decode" and resolve("steps/decodes") is None


@pytest.mark.parametrize("line", [
    "steps/decodes exp/tri3/graph data/dev exp/x", "steps/decode --beem 13 exp/tri3/graph data/dev exp/x", "steps/decode exp/tri3/graph data/dev",
    "steps/decode --beam wide exp/tri3/graph data/dev exp/x", "./run.sh --stages 4", "./run.sh 4", "local/score.sh data/dev exp/x",
    "utils/check_files --acept exp", "cd x && steps/mkgraph data/lang exp/tri1", "benchmarks/run.sh", "tests/run.sh --quick",
    "steps/train_nnet --config conf/mini/cnns.yaml exp/a exp/b exp/c"])
def test_mistakes_in_a_command_are_found(line):
    with pytest.raises((AssertionError, RecipeError)):
        for words in commands(line):
            check(words)
