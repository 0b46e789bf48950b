"""Every command of every document: its program is there and takes the options and the number of arguments.

tests/smoke/test_documents.py runs those that a finished recipe can run.
"""

import ast
import re
from pathlib import Path

import pytest

from commands import RECIPE, ROOT, Block, blocks, check, commands, resolve, tracked

BLOCKS = [block for document in tracked("*.md") for block in blocks(document)]
SHELL = [block for block in BLOCKS if block.kind == "shell"]
PYTHON = [block for block in BLOCKS if block.kind == "python"]


def folder_of(block: Block) -> Path:
    """Where a document stands: the recipe that it is in."""
    folder = ROOT / Path(block.place).parent
    return folder if (folder / "run.sh").exists() else RECIPE


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_of_documents_are_taken_by_their_programs(block):
    found = commands(block.text)
    assert found, f"a block without a command; one that is no code is fenced as text:\n{block.text}"
    where = folder_of(block)
    for words in found:
        check(words, where)
        if words[0] == "cd" and (ROOT / words[1]).is_dir():
            where = ROOT / words[1]


def test_options_in_running_text_are_taken_by_their_programs():
    spans = 0
    for document in tracked("*.md"):
        for span in re.findall(r"(?<!`)`([^`\n]+ --[^`\n]+)`(?!`)", (ROOT / document).read_text()):
            for words in commands(span):
                if resolve(words[0]) or words[0].startswith(("steps/", "utils/", "local/", "tests/", "benchmarks/")):
                    check([*words, "..."], folder_of(Block(document, "", "")))
                    spans += 1
    assert spans > 8


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_of_documents_names_what_there_is(block):
    imports = [node for node in ast.parse(block.text).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in imports:
        for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]:
            pytest.importorskip(name)
    exec(compile(ast.Module(imports, []), block.place, "exec"), {})  # noqa: S102


def test_blocks_are_found():
    assert len(SHELL) > 25 and len(PYTHON) >= 2
    calls = [words for block in SHELL for words in commands(block.text)]
    programs = {str(path.relative_to(ROOT)) for words in calls if (path := resolve(words[0]))}
    assert {"steps/decode", "steps/lmrescore", "utils/pytorch-nnet", "egs/switchboard/run.sh", "benchmarks/run.sh"} <= programs
    assert ["steps/prune_lm", "--threshold", "1e-7"] in [words[:3] for words in calls]


def test_blocks_and_commands_are_taken_apart(tmp_path):
    (tmp_path / "x.md").write_text("Text:\n\n    a --b 1 \\\n      c   # remark\n\n    for x in 1 2; do d $x | e; done\n\ntext\n```text\nno code\n```\n"
                                   "```sh\nf '<g> h' && ./i > j\n```\n - item\n    of a list\n\n    import k\n")
    found = blocks(str(tmp_path / "x.md"))
    assert [block.kind for block in found] == ["shell", "shell", "python"]
    assert commands(found[0].text) == [["a", "--b", "1", "c"], ["d", "x"], ["e"]]
    assert commands(found[1].text) == [["f", "g h"], ["./i"]]
