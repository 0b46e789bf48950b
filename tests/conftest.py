"""Fixtures every test file may use."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# kaldilm imported before kaldifst or kaldi_hmm_gmm hangs the later import for ever, so these come first; in the recipe no
# process needs kaldilm and kaldi_hmm_gmm. (The k2 environment has none of them.)
with contextlib.suppress(ImportError):
    import kaldi_hmm_gmm  # noqa: F401
    import kaldifst  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A slow machine is no failure; tests/run.sh --fast tries fewer examples.
settings.register_profile("all", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=25)
settings.load_profile("all")


def pytest_make_parametrize_id(val, argname):
    """Bytes are not spelt out in a test's name: gzip writes the time into them, and parallel workers must agree on names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def run(tmp_path):
    """Runs a command of the repository in tmp_path as a user would: run("steps/train_mono", ...) -> CompletedProcess."""

    def call(program: str, *arguments, cwd=tmp_path, **environment) -> subprocess.CompletedProcess:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run([str(ROOT / program), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment})

    return call
