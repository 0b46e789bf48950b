"""The folder of a finished smoke run, given as --recipe DIR by tests/smoke.sh."""

import os
import sys
from pathlib import Path

import pytest

# The steps find the main environment and the library as path.sh lets them.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])


def pytest_addoption(parser):
    parser.addoption("--recipe", help="folder of a finished recipe run")


@pytest.fixture(scope="session")
def recipe(request) -> Path:
    folder = request.config.getoption("--recipe")
    if not folder:
        pytest.skip("needs --recipe DIR: run tests/smoke.sh")
    return Path(folder)
