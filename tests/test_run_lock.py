"""One run in a folder; signals end a run with all that it has started; jobs that die are named. With real processes."""

import fcntl
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from pytorch_nnet.io.process import descendants, end_all, host, lives, marked, start_of

RUN_SH = """#!/usr/bin/env bash
set -euo pipefail
stage=1 stop_stage=2 nj=2 force=false dry_run=false status=false makes=
. utils/parse_options.sh
. utils/stages.sh
hold_folder
busy() { once --out "exp/$1" -- utils/run.py JOB=1:2 "exp/$1/log/x.JOB.log" bash -c "$BUSY" JOB; }
if begin 1 "alone"; then busy a; end; fi
if begin 2 "side by side"; then
  for name in b c; do spawn "" busy $name; done
  join
  end
fi
finish
"""
BUSY = "touch exp/up.$0; (sleep 60 & sleep 60) | cat; touch exp/over"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "utils").symlink_to(ROOT / "utils")
    (tmp_path / "run.sh").write_text(RUN_SH)
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "exp").mkdir()
    (tmp_path / "tmp").mkdir()
    yield tmp_path
    for path in tmp_path.glob(".run.lock"):  # of a test that failed
        lock = json.loads(path.read_text())
        end_all(lambda: marked(f"RECIPE_RUN={lock.get('id')}"))


def start(folder, *arguments, busy=BUSY, **keywords):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return subprocess.Popen(["./run.sh", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "PATH": path, "BUSY": busy, "TMPDIR": str(folder / "tmp")}, start_new_session=True,
                            preexec_fn=heed_interrupts, **keywords)


def heed_interrupts():
    """Where the tests run in the background of a shell they ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, what):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def run_id(folder):
    return json.loads((folder / ".run.lock").read_text())["id"]


def left(run):
    return marked(f"RECIPE_RUN={run}")


def at_work(folder):
    wait_for(lambda: (folder / "exp/up.1").exists() and (folder / "exp/up.2").exists(), "two jobs at work")
    return run_id(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stage", [1, 2])
def test_a_signal_to_the_shell_ends_all_and_the_run_goes_on_later(folder, number, code, stage):
    process = start(folder, "--stage", str(stage))
    run = at_work(folder)
    assert len(left(run)) >= 4, "jobs and what they started"
    process.send_signal(number)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == code and "goes on from what is finished" in output, output
    assert not left(run) and not (folder / ".run.lock").exists() and not list((folder / "tmp").iterdir())
    assert not (folder / "exp/over").exists() and not list((folder / "exp").glob("*/.done"))
    again = start(folder, busy="true")
    assert again.wait(timeout=30) == 0 and len(list((folder / "exp").glob("*/.done"))) == 3


def test_a_second_run_stops_and_a_plan_does_not(folder):
    process = start(folder)
    run = at_work(folder)
    second = start(folder, "--stage", "2")
    output = second.communicate(timeout=30)[0]
    assert second.returncode == 1 and f"process {process.pid}" in output and f"kill {process.pid}" in output and "./run.sh" in output
    assert start(folder, "--status").wait(timeout=30) == 0
    assert run_id(folder) == run and lives(process.pid, start_of(process.pid)) and left(run)
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.slow
def test_a_run_killed_alone_is_taken_over_with_what_it_left(folder):
    process = start(folder, "--stage", "2")  # its subshells would go on, and start further commands
    run = at_work(folder)
    process.kill()
    process.wait()
    orphans = left(run)
    assert orphans
    (folder / f"exp/.tmp-{host()}-{process.pid}-1.half").write_text("of a process that has ended")
    (folder / "exp/.tmp-elsewhere-1-1.half").write_text("of another machine")
    (folder / f"exp/.tmp-{host()}-{os.getpid()}-{start_of(os.getpid())}.half").write_text("of a process that lives")
    again = start(folder, busy="true")
    output = again.communicate(timeout=30)[0]
    assert again.returncode == 0, output
    assert "a run that died: ./run.sh --stage 2" in output and "that it had left" in output
    assert not orphans & left(run) and not (folder / "exp/over").exists()
    kept = sorted(path.name.split("-")[1] for path in (folder / "exp").glob(".tmp-*"))
    assert kept == sorted(["elsewhere", host()]) and "elsewhere" in output and not list((folder / "tmp").iterdir())


@pytest.mark.slow
def test_a_number_used_again_is_stale_and_another_machine_is_not(folder):
    start(folder, busy="true").wait(timeout=30)
    lock = {"id": "x-1", "host": socket.gethostname(), "pid": os.getpid(), "start": start_of(os.getpid()) + 1, "command": "./run.sh",
            "since": "2026-01-01 00:00:00", "scratch": str(folder / "tmp/gone")}
    (folder / ".run.lock").write_text(json.dumps(lock))
    again = start(folder, busy="true")
    assert "a run that died" in again.communicate(timeout=30)[0] and again.returncode == 0
    for changed, said in (({"host": "far"}, "ssh far"), ({"start": start_of(os.getpid())}, f"process {os.getpid()}"), ({"pid": "?"}, "")):
        (folder / ".run.lock").write_text(json.dumps({**lock, **changed}) if said else "{}")
        refused = start(folder)
        output = refused.communicate(timeout=30)[0]
        assert refused.returncode == 1 and said in output and str(folder / ".run.lock") in output, output
        assert (folder / ".run.lock").exists()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_start_at_once_one_gets_the_folder(folder, stale):
    if stale:
        lock = {"id": "x-1", "host": socket.gethostname(), "pid": 4194305, "start": 1, "command": "c", "since": "s", "scratch": "gone"}
        (folder / ".run.lock").write_text(json.dumps(lock))
    shells = [subprocess.Popen(["sleep", "60"]) for _ in range(6)]
    takers = [subprocess.Popen([sys.executable, ROOT / "utils/run_lock.py", "take", str(shell.pid), "c"], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for shell in shells]
    outputs = [taker.communicate()[0] for taker in takers]
    for shell in shells:
        shell.kill()
        shell.wait()
    assert sorted(taker.returncode for taker in takers) == [0, 1, 1, 1, 1, 1] and sum(b"RUN=" in output for output in outputs) == 1


def test_others_wait_while_a_lock_is_taken_over(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("run_lock", ROOT / "utils/run_lock.py")
    run_lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run_lock)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / ".run.lock").write_text(json.dumps(
        {"id": "x-1", "host": socket.gethostname(), "pid": 4194305, "start": 1, "command": "c", "since": "s", "scratch": "gone"}))
    met = []

    def another(lock):
        with pytest.raises(BlockingIOError):
            fcntl.flock(os.open(".", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        met.append(lock["id"])

    monkeypatch.setattr(run_lock, "refuse_living", another)
    _, old = run_lock.take(os.getpid(), "c")
    assert met == ["x-1"] and old["id"] == "x-1" and run_id(tmp_path) != "x-1"


def test_nothing_starts_for_a_run_that_has_ended(run, tmp_path):
    done = run("utils/once.py", "--out", "exp/a", "--", "touch", "ran", RECIPE_RUN="host-1-1-00")
    assert done.returncode == 1 and "has ended" in done.stderr and not (tmp_path / "ran").exists()


def test_a_failed_job_ends_the_run_with_its_name_and_reason(folder):
    failing = start(folder, busy="echo before the end; [ $0 = 1 ] || kill -KILL $$")
    output = failing.communicate(timeout=30)[0]
    assert failing.returncode == 1 and not (folder / ".run.lock").exists()
    assert "job 2 ended with code 137, by SIGKILL (9)" in output and "exp/a/log/x.2.log" in output and "| before the end" in output


def test_jobs_may_fail_up_to_a_number(run, tmp_path):
    command = ("JOB=1:4", "log.JOB", "bash", "-c", "[ JOB -gt 2 ] || exit 3")
    few, many = (run("utils/run.py", "--max-jobs-run", 1, "--max-jobs-fail", limit, *command) for limit in (2, 1))
    assert few.returncode == 0 and "2 of 4 jobs failed; job 1 ended with code 3" in few.stderr
    assert many.returncode == 1 and "job 2" in many.stderr
    assert run("utils/run.py", "--max-jobs-fail", "x", *command).returncode == 2


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_step_that_is_asked_to_end_takes_its_jobs_along(tmp_path, number, code):
    step = ("from pytorch_nnet.io.main import run_main; from pytorch_nnet.io.launcher import run_jobs\n"
            "run_main(lambda argv: run_jobs('utils/run.py', 2, 'x.JOB.log', ['bash', '-c', 'touch up.JOB; sleep 60 | cat']))")
    process = subprocess.Popen([sys.executable, "-c", step], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               start_new_session=True, preexec_fn=heed_interrupts)
    wait_for(lambda: all((tmp_path / f"up.{job}").exists() for job in (1, 2)), "two jobs at work")
    tree = descendants(process.pid)
    process.send_signal(number)
    assert process.wait(timeout=30) == code and len(tree) >= 3 and not any(start_of(pid) for pid in tree)


@pytest.mark.slow
def test_a_tree_that_is_asked_to_end_does(run, tmp_path):
    for launcher, stubborn in ((["utils/run.py", "log"], ":"), (["utils/once.py", "--out", "exp", "--"], "trap '' TERM")):
        process = subprocess.Popen([str(ROOT / launcher[0]), *launcher[1:], "bash", "-c", f"({stubborn}; touch up; sleep 60) | cat"],
                                   cwd=tmp_path)
        wait_for(lambda: (tmp_path / "up").exists() and len(descendants(process.pid)) >= 3, "a tree of three")
        tree = descendants(process.pid)
        process.terminate()
        assert process.wait(timeout=30) == 143 and not any(start_of(pid) for pid in tree)
        (tmp_path / "up").unlink()
