"""Rules of the house that no single room can check."""

import ast
import re
import subprocess

import pytest

from conftest import ROOT

FLOORS = ["io", "corpus", "features", "lang", "hmm", "frames", "models", "training", "decoding", "scoring", "recognition"]
SOURCES = sorted((ROOT / "pytorch_nnet").rglob("*.py"))


def rooms_imported(path):
    """Rooms that a source file imports from, by absolute or relative import, anywhere in it."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            names = [".".join((*module, alias.name)) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "pytorch_nnet" and len(parts) > 1 and parts[1] in FLOORS:
                yield parts[1]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "pytorch_nnet")))
def test_imports_go_downward(path):
    room = path.relative_to(ROOT / "pytorch_nnet").parts[0]
    if room in FLOORS:
        above = {other for other in rooms_imported(path) if FLOORS.index(other) > FLOORS.index(room)}
        assert not above, f"{room} imports from {above}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT / "pytorch_nnet")))
def test_files_hold_one_idea(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("folder", ["steps", "utils", "local", "egs/an4/local"])
def test_programs_explain_themselves(folder):
    for path in sorted((ROOT / folder).iterdir()):
        if path.suffix or not path.is_file():
            continue
        text = path.read_text()
        assert text.startswith("#!/usr/bin/env python3\n") and "e.g.:" in text, path
        assert path.stat().st_mode & 0o111, f"{path} is not executable"


def test_relative_links_in_documents_lead_somewhere():
    documents = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for document in documents:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / document).read_text()):
            assert (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"
