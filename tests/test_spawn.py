"""spawn and join of utils/stages.sh: commands side by side."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

STAGES = f"set -euo pipefail; stage=1 stop_stage=1 nj=2 force=false dry_run=false status=false makes=; . {ROOT}/utils/stages.sh; STAGE_NUMBER=1; "
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def shell(script, folder):
    return subprocess.run(["bash", "-c", STAGES + script], cwd=folder, capture_output=True, text=True, timeout=60)


def test_no_more_than_nj_at_once_and_all_awaited(tmp_path):
    done = shell("busy() { echo +; sleep 0.3; echo -; }; for i in 1 2 3 4 5; do spawn '' busy; done; join; echo joined", tmp_path)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.split()
    running = [lines[:n + 1].count("+") - lines[:n + 1].count("-") for n in range(len(lines))]
    assert last == "joined" and len(lines) == 10 and max(running) == 2


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_failure_is_fatal_when_all_have_ended(tmp_path, bad):
    done = shell(f"one() {{ sleep 0.$1; touch $1; [ $1 != {bad} ]; }}; for i in 0 1 2 3; do spawn '' one $i; done; join; echo joined", tmp_path)
    assert done.returncode == 1 and "stage 1 failed" in done.stderr and not done.stdout
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3"]


@pytest.mark.skipif(not os.access(LAST_PID, os.W_OK), reason="only root chooses numbers of processes")
@pytest.mark.parametrize("command, code", [("true", 0), ("false", 1)])
def test_the_number_of_a_process_that_has_ended_may_be_used_again(tmp_path, command, code):
    """As after some ten thousand processes, which a long stage starts."""
    done = shell(f"spawn '' {command}; first=$!; spawn '' sleep 1; spawn '' sleep 1; "
                 f"for i in 1 2 3 4 5 6 7 8 9; do echo $((first - 1)) > {LAST_PID}; (exit $((1 - {code}))) & "
                 "again=$!; wait $again || true; [ $again != $first ] || break; done; [ $again = $first ]; echo again; join", tmp_path)
    assert done.stdout == "again\n" and done.returncode == code, done.stderr
    assert ("stage 1 failed" in done.stderr) == bool(code) and "not a child" not in done.stderr
