"""utils/slurm.py on a real Slurm: its daemons run here, as one machine, for as long as these tests do."""

import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from slurm_cluster import NoCluster, cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment variables with which Slurm's commands find the cluster."""
    try:
        with cluster(tmp_path_factory.mktemp("slurm")) as variables:
            yield variables
    except NoCluster as error:
        pytest.skip(str(error))


def queue(slurm):
    done = subprocess.run(["squeue", "-h", "--array", "-o", "%K %T"], env={**os.environ, **slurm}, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1]


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start(slurm, cwd, *words):
    return subprocess.Popen([ROOT / "utils/slurm.py", *words], cwd=cwd, env={**os.environ, **slurm}, stderr=subprocess.PIPE, text=True)


def test_an_array_runs_with_kaldis_logs(slurm, run, tmp_path):
    done = run("utils/slurm.py", "--max-jobs-run", 2, "--num-threads", 1, "--time", 5, "JOB=2:4", "log/x.JOB.log", "bash", "-c",
               "echo 'it is JOB' $HOME; echo JOB > out.JOB", **slurm)
    assert (done.returncode, done.stderr) == (0, "")
    for job in (2, 3, 4):
        assert (tmp_path / f"out.{job}").read_text() == f"{job}\n"
        lines = (tmp_path / f"log/x.{job}.log").read_text().splitlines()
        assert lines[0].startswith("# bash -c") and f"it is {job} {os.environ['HOME']}" in lines and lines[-1].startswith("# Ended (code 0)")
    wait_for(lambda: not queue(slurm))  # Slurm takes a while to forget a job that has ended
    assert not (tmp_path / "log/q/x.ids").exists()


def test_a_job_that_fails_is_reported_and_no_other_starts(slurm, run, tmp_path):
    command = ("--max-jobs-run", 1, "JOB=1:9", "log/x.JOB.log", "bash", "-c", "touch ran.JOB; [ JOB != 2 ] || { echo trouble; exit 7; }")
    done = run("utils/slurm.py", *command, **slurm)
    assert done.returncode == 1
    assert "1 of 9 jobs failed; job 2 ended with code 7: log/x.2.log" in done.stderr and "| trouble" in done.stderr
    assert not (tmp_path / "ran.9").exists()
    wait_for(lambda: not queue(slurm))
    assert run("utils/slurm.py", "--max-jobs-fail", 1, *command[2:], **slurm).returncode == 0


def test_a_cancelled_job_is_reported(slurm, tmp_path):
    process = start(slurm, tmp_path, "JOB=1:2", "log/x.JOB.log", "bash", "-c", "[ JOB = 1 ] || sleep 100")
    wait_for(lambda: queue(slurm) == ["2 RUNNING"])
    wait_for((tmp_path / "log/q/x.ids").exists)
    number = (tmp_path / "log/q/x.ids").read_text().strip()
    subprocess.run(["scancel", "--full", f"{number}_2"], env={**os.environ, **slurm}, check=True)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "job 2 ended with code 143, by SIGTERM (15); Slurm has it as CANCELLED: by its owner" in error, error


def test_a_signal_cancels_all(slurm, tmp_path):
    process = start(slurm, tmp_path, "JOB=1:4", "log/x.JOB.log", "sleep", "100")
    wait_for(lambda: "1 RUNNING" in queue(slurm))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    wait_for(lambda: not queue(slurm))


def test_what_a_killed_launcher_left_is_cancelled(slurm, run, tmp_path):
    process = start(slurm, tmp_path, "JOB=1:2", "log/x.JOB.log", "sleep", "100")
    wait_for(lambda: len(queue(slurm)) == 2 and "1 RUNNING" in queue(slurm))
    process.kill()
    process.communicate()
    assert len(queue(slurm)) == 2
    done = run("utils/slurm.py", "JOB=1:2", "log/x.JOB.log", "true", **slurm)
    assert done.returncode == 0 and "a killed run has left" in done.stderr
    wait_for(lambda: not queue(slurm))


def test_a_job_that_the_cluster_loses_is_submitted_again(slurm, tmp_path):
    process = start(slurm, tmp_path, "--sbatch", "--no-requeue", "log/x.log", "bash", "-c", "[ -e again ] || { touch again; sleep 100; }")
    wait_for((tmp_path / "again").exists)
    update = ["scontrol", "update", "nodename=localhost"]
    subprocess.run([*update, "state=down", "reason=test"], env={**os.environ, **slurm}, check=True)
    wait_for(lambda: not queue(slurm))
    subprocess.run([*update, "state=resume"], env={**os.environ, **slurm}, capture_output=True)  # refused if it has come back by itself
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "submitting again what the cluster has lost: log/x.log" in error, error


def test_a_job_that_no_machine_can_run_says_so(slurm, tmp_path):
    process = start(slurm, tmp_path, "--sbatch", "--hold", "log/x.log", "true")
    line = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert line == "slurm.py: log/x.log waits, says Slurm, for: JobHeldUser\n"


def test_refusals_are_named(slurm, run, tmp_path):
    done = run("utils/slurm.py", "--sbatch", "--partition=none", "log/x.log", "true", **slurm)
    assert done.returncode == 1 and "invalid partition" in done.stderr and "Traceback" not in done.stderr
    assert run("utils/slurm.py", "--gpus", 1, "log/x.log", "true").returncode == 2


def test_without_slurm_the_way_out_is_named(run, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    done = run("utils/slurm.py", "log/x.log", "true", PATH=str(tmp_path / "bin"))
    assert done.returncode == 1 and "no program sbatch here" in done.stderr and "utils/run.py" in done.stderr


SUM = """\
import os
import torch
from torch import distributed
distributed.init_process_group("gloo")
x = torch.tensor([distributed.get_rank() + 1.0])
distributed.all_reduce(x)
print(f"on {os.environ['SLURMD_NODENAME']} {x.item()}\\n", end="", flush=True)
distributed.destroy_process_group()  # a process that ends while its peer still talks to it may abort
"""


def test_torchrun_starts_processes_that_find_each_other(slurm, run, tmp_path):
    (tmp_path / "sum.py").write_text(SUM)
    done = run("utils/slurm.py", "--processes", 2, "log/x.log", "sum.py", **slurm)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log/x.log").read_text().count("on localhost 3.0\n") == 2


def test_torchrun_on_two_machines(run, tmp_path):
    """Two daemons of Slurm, which say that they are two machines, of names that no resolver knows."""
    (tmp_path / "sum.py").write_text(SUM)
    (tmp_path / "slurm").mkdir()
    try:
        with cluster(tmp_path / "slurm", ("one", "two")) as variables:
            done = run("utils/slurm.py", "--nodes", 2, "--processes", 2, "--num-threads", 2, "log/x.log", "sum.py", **variables)
    except NoCluster as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log/x.log").read_text()
    assert "--cpus-per-task=2" in log and sorted(line for line in log.splitlines() if line.startswith("on ")) == 2 * ["on one 10.0"] + 2 * ["on two 10.0"]
