#!/usr/bin/env python3
"""A Slurm cluster of this machine alone, for as long as a command or a test runs: Slurm's own daemons, on loopback.

Usage: tests/slurm_cluster.py <command> [arguments...]
 e.g.: tests/slurm_cluster.py egs/switchboard/run.sh --mini-size smoke --nj 2
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
AuthInfo=socket={folder}/munge/socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=2
MinJobAge=300
ReturnToService=2
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory={memory} State=UNKNOWN"


class NoCluster(Exception):
    """Why there can be none here."""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextlib.contextmanager
def cluster(folder, machines=("localhost",)):
    """Environment variables with which Slurm's commands find the cluster. Raises NoCluster.

    Args:
      folder: an empty one. machines: their names; each has a daemon of its own and says that it has two cores.
    """
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        raise NoCluster(f"not installed: {' '.join(missing)} (Debian: apt-get install slurm-wlm munge)")
    if (os.cpu_count() or 1) < 2:
        raise NoCluster("the cluster's machine has two cores")
    for name in ("munge", "state"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge/key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    memory = int(0.9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 20))
    ports = free_ports(1 + len(machines))
    nodes = "\n".join(NODE.format(name=name, port=port, memory=memory) for name, port in zip(machines, ports[1:]))
    conf.write_text(CONF.format(folder=folder, ports=ports, user=user, nodes=nodes))
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(conf)}
    munge = {name: folder / "munge" / name for name in ("socket", "pid", "log", "seed")}
    daemons = [["munged", "--foreground", "--force", f"--key-file={key}", "--num-threads=2",
                *(f"--{'pid-file' if name == 'pid' else name if name == 'socket' else name + '-file'}={path}" for name, path in munge.items())],
               ["slurmctld", "-D", "-f", str(conf)], *(["slurmd", "-D", "-f", str(conf), "-N", name] for name in machines)]
    running = []
    try:
        for number, command in enumerate(daemons):
            with open(folder / f"{command[0]}.out", "w") as out:
                running.append(subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
            time.sleep(1 if number < 2 else 0)
        deadline = time.monotonic() + 30
        while subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=environment, capture_output=True, text=True).stdout.split() != ["idle"] * len(machines):
            if time.monotonic() > deadline:
                raise NoCluster("Slurm's daemons do not start here: " + " ".join((folder / "slurmctld.out").read_text().split()[-40:]))
            time.sleep(0.2)
        yield {"PATH": PATH, "SLURM_CONF": str(conf), "SLURM_QUEUE_EVERY": "0.5"}
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 0 if argv == ["--help"] else 2
    with tempfile.TemporaryDirectory(prefix="slurm.") as folder:
        try:
            with cluster(Path(folder)) as variables:
                return subprocess.run(argv, env={**os.environ, **variables, "JOBS_ON": "slurm"}).returncode
        except NoCluster as error:
            print(f"slurm_cluster.py: ERROR: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
