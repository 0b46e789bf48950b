"""What the project says about itself: messages in the troubleshooting table, citation, change log, tour, checks."""

import re

import pytest
import tomllib
import yaml

import pytorch_nnet
from commands import ROOT, tracked

SOURCES = [path for path in tracked("pytorch_nnet", "steps", "utils", "local", "egs") if (ROOT / path).is_file() and not path.endswith(".md")]
TROUBLE = (ROOT / "docs/troubleshooting.md").read_text()
MESSAGES = re.findall(r"(?m)^\| `([^`]+)` \|", TROUBLE)


@pytest.fixture(scope="module")
def code():
    return "\n".join((ROOT / path).read_text() for path in SOURCES)


def test_messages_in_the_table_are_those_of_the_code(code):
    assert len(MESSAGES) > 30 and len(set(MESSAGES)) == len(MESSAGES)
    for message in MESSAGES:
        for part in filter(None, message.split("…")):
            assert part in code, f"no program says: {message}"


def test_programs_and_files_in_the_tables_are_there():
    for span in re.findall(r"`((?:steps|utils|requirements|conf)/[\w./-]+)", TROUBLE):
        assert (ROOT / span).exists() or (ROOT / "egs/switchboard" / span).exists(), span


def test_the_citation_is_of_this_version_and_of_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["license"] == "Apache-2.0"
    assert citation["version"] == pytorch_nnet.__version__ and citation["title"] == "pytorch-nnet" and citation["authors"] and citation["message"]
    assert citation["preferred-citation"]["identifiers"] == [{"type": "other", "value": "arXiv:1511.06433"}]


def test_the_change_log_has_the_next_version_first():
    assert re.findall(r"(?m)^## (.*)$", (ROOT / "CHANGELOG.md").read_text())[0] in ("Unreleased", pytorch_nnet.__version__)


def test_the_tour_has_every_room_and_what_mypy_lets_pass():
    tour = (ROOT / "docs/house.md").read_text()
    rooms = [path.parent.name for path in (ROOT / "pytorch_nnet").glob("*/__init__.py")]
    assert set(rooms) <= set(re.findall(r"(?m)^\| `(\w+)` \|", tour))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"] and {name for name, value in settings.items() if value is False} <= set(re.findall(r"`(\w+)`", tour))
    for row in re.findall(r"(?m)^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", tour):
        assert all((ROOT / "pytorch_nnet" / row[0] / name).exists() for name in re.findall(r"`([\w.]+)`", row[1])), row
        assert all(list((ROOT / "tests").glob(f"test_{name}.py")) or (ROOT / "tests" / name).is_dir() for name in re.findall(r"`([\w*/]+)`", row[2])), row


def test_checks_before_commits_are_installed_by_the_requirements():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    wanted = (ROOT / "requirements/dev.txt").read_text()
    for hook in hooks:
        program = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert hook["language"] == "system" and (program == "python" or re.search(rf"(?m)^{program}(-py)?==", wanted)), program
