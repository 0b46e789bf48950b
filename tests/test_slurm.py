"""utils/slurm.py on a real Slurm: its daemons run here, as one machine, for as long as these tests do."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge/socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=2
MinJobAge=300
ReturnToService=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment variables with which Slurm's commands find the cluster."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)} (Debian: apt-get install slurm-wlm munge)")
    if os.cpu_count() < 2:
        pytest.skip("the cluster's machine has two cores")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge/key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    conf.write_text(CONF.format(folder=folder, ports=free_ports(2), user=user))
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(conf)}
    munge = {name: folder / "munge" / name for name in ("socket", "pid", "log", "seed")}
    daemons = [["munged", "--foreground", "--force", f"--key-file={key}", "--num-threads=2",
                *(f"--{'pid-file' if name == 'pid' else name if name == 'socket' else name + '-file'}={path}" for name, path in munge.items())],
               ["slurmctld", "-D", "-f", str(conf)], ["slurmd", "-D", "-f", str(conf), "-N", "localhost"]]
    running = []
    try:
        for number, command in enumerate(daemons):
            with open(folder / f"{command[0]}.out", "w") as out:
                running.append(subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
            time.sleep(1 if number < 2 else 0)
        deadline = time.monotonic() + 30
        while "idle" not in subprocess.run(["sinfo", "-h"], env=environment, capture_output=True, text=True).stdout:
            if time.monotonic() > deadline:
                pytest.skip("Slurm's daemons do not start here: " + " ".join((folder / "slurmctld.out").read_text().split()[-40:]))
            time.sleep(0.2)
        yield {"PATH": PATH, "SLURM_CONF": str(conf), "SLURM_QUEUE_EVERY": "0.5"}
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


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
    subprocess.run([*update, "state=resume"], env={**os.environ, **slurm}, check=True)
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


def test_torchrun_starts_processes_that_find_each_other(slurm, run, tmp_path):
    (tmp_path / "sum.py").write_text(
        "import torch\nfrom torch import distributed as d\n"
        "d.init_process_group('gloo')\nx = torch.tensor([d.get_rank() + 1.0])\nd.all_reduce(x)\nprint('sum', x.item())\n")
    done = run("utils/slurm.py", "--processes", 2, "log/x.log", "sum.py", **slurm)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log/x.log").read_text().count(" 3.0") == 2
