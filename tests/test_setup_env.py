"""utils/setup_env.sh builds an environment anew when its requirements change, wherever it is called from."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT


@pytest.mark.slow
def test_an_environment_is_built_anew_from_within_itself(tmp_path):
    (tmp_path / "utils").mkdir()
    for name in ("setup_env.sh", "parse_options.sh"):
        shutil.copy(ROOT / "utils" / name, tmp_path / "utils")
    requirements = tmp_path / "requirements/main.txt"
    requirements.parent.mkdir()
    path = os.environ["PATH"]
    for content in ("# nothing\n", "# still nothing\n"):
        requirements.write_text(content)
        done = subprocess.run([tmp_path / "utils/setup_env.sh"], capture_output=True, text=True, env={**os.environ, "PATH": path, "K2_PYTHON": "/bin/true"})
        assert done.returncode == 0 and "building .venv" in done.stdout, done.stderr
        path = f"{tmp_path}/.venv/bin:{path}"  # as in a shell that has sourced a recipe's path.sh
    assert subprocess.run([tmp_path / ".venv/bin/python", "-c", "import pip"]).returncode == 0
