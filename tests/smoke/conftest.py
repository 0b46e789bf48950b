"""The folder of a finished smoke run, given as --recipe DIR by tests/smoke.sh."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--recipe", help="folder of a finished recipe run")


@pytest.fixture(scope="session")
def recipe(request) -> Path:
    folder = request.config.getoption("--recipe")
    if not folder:
        pytest.skip("needs --recipe DIR: run tests/smoke.sh")
    return Path(folder)
