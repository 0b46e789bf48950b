#!/usr/bin/env python3
"""Runs a command, or a job array of it, on a Slurm cluster: the counterpart of Kaldi's slurm.pl, called like utils/run.py.

Usage: utils/slurm.py [options] [JOB=first:last] <log-file> <command> [arguments...]
 e.g.: utils/slurm.py --mem 4G --max-jobs-run 40 JOB=1:40 exp/mono/log/align.JOB.log gmm-align exp/mono/JOB

  --mem 4G            memory of a job; a machine's, where it has several
  --time 4:00:00      limit of a job's time
  --num-threads N     processor cores of a job
  --gpu N             GPUs of a job, on each of its machines
  --nodes N           machines of a job: torchrun starts the command on each
  --processes N       torchrun starts the command N times on each machine, a GPU each
  --max-jobs-run N    at most N jobs at once
  --max-jobs-fail N   exit 0 although up to N jobs fail; each is reported all the same [0]
  --retries N         how often jobs are submitted again that the cluster lost, as a machine broke down or they had to make room [2]
  --sbatch "..."      more options of sbatch, such as "--partition=long --account=speech"

Each job writes its log by utils/run.py, in the same form. The folder with the logs, the repository and the environments must be seen by
all machines. A job whose command failed is not tried again. SIGINT and SIGTERM cancel all jobs. <log-folder>/q holds what was submitted,
what Slurm itself had to say, and the numbers of the Slurm jobs: those that a killed launcher left are cancelled before the same log is submitted again.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from job_array import JobArray, Usage, reason
from pytorch_nnet.io.main import asked_for_help

OPTIONS = {"--max-jobs-run": 0, "--max-jobs-fail": 0, "--mem": "", "--time": "", "--num-threads": 0, "--gpu": 0, "--nodes": 1,
           "--processes": 0, "--retries": 2, "--sbatch": ""}
LOST = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED", ""}  # states of jobs that may do better elsewhere; '': Slurm knows it no more
IN_TURN = {"None", "Resources", "Priority", "JobArrayTaskLimit", "BeginTime"}  # what jobs wait for that will run
HINTS = {"TIMEOUT": ": raise --time", "OUT_OF_MEMORY": ": raise --mem", "CANCELLED": ": by its owner or an administrator"}
COMPLETING_S = 30  # to wait for the state that follows
FASTEST_S, SLOWEST_S = 0.2, 5.0  # between looks at the logs
QUEUE_EVERY_S = float(os.environ.get("SLURM_QUEUE_EVERY", "10"))  # between questions to Slurm, which many launchers ask
ENDED = re.compile(rb"^# Ended \(code (\d+)\)", re.MULTILINE)


class Cluster:
    """An array of jobs in the queue of Slurm."""

    def __init__(self, array):
        self.array, self.ids, self.said = array, [], set()
        folder, name = os.path.split(array.log)
        self.name = re.sub(r"\.?log$", "", name.replace(array.name, "") if array.name else name).replace("..", ".").strip(".") or "jobs"
        self.folder = os.path.join(folder, "q")
        self.noted = os.path.join(self.folder, f"{self.name}.ids")
        os.makedirs(self.folder, exist_ok=True)

    def cancel_left(self):
        """Ends what a killed launcher of the same log has left in the queue."""
        try:
            with open(self.noted) as file:
                self.ids = file.read().split()
        except FileNotFoundError:
            return
        if self.queued():
            print(f"slurm.py: cancelling the jobs that a killed run has left: {' '.join(self.ids)}", file=sys.stderr)
            self.cancel()
        self.ids = []

    def submit(self, jobs):
        """Submits these jobs of the array. Raises OSError or CalledProcessError if Slurm does not take them."""
        options = self.array.options
        script = os.path.join(self.folder, f"{self.name}.sh")
        job = f"{self.array.name}=$SLURM_ARRAY_TASK_ID" if self.array.name else ""
        words = [shlex.quote(os.path.join(os.path.dirname(os.path.realpath(__file__)), "run.py")), job, shlex.quote(self.array.log),
                 *torchrun(options["--nodes"], options["--processes"]), shlex.join(self.array.command)]
        with open(script, "w") as file:
            file.write(f"#!/usr/bin/env bash\ncd {shlex.quote(os.getcwd())} || exit\nexec {' '.join(word for word in words if word)}\n")
        for one in jobs:
            if os.path.exists(self.array.log_of(one)):
                os.remove(self.array.log_of(one))  # its last line must not be taken for this job's
        limit = f"%{options['--max-jobs-run']}" if options["--max-jobs-run"] else ""
        wanted = {"--mem": options["--mem"], "--time": options["--time"], "--cpus-per-task": options["--num-threads"] or "",
                  "--gpus-per-node": options["--gpu"] or "", "--nodes": options["--nodes"], "--ntasks-per-node": 1}
        done = subprocess.run(
            ["sbatch", "--parsable", f"--array={','.join(map(str, jobs))}{limit}", f"--job-name={self.name}",
             f"--output={self.folder}/{self.name}.%a.out", "--open-mode=append",
             *(f"{name}={value}" for name, value in wanted.items() if value != ""), *shlex.split(options["--sbatch"]), script],
            check=True, capture_output=True, text=True)
        self.ids.append(done.stdout.strip().split(";")[0])
        with open(self.noted, "w") as file:
            file.write(" ".join(self.ids) + "\n")

    def queued(self):
        """Numbers of the jobs in the queue; None if Slurm does not answer. Says once of each why it waits, where that is not its turn."""
        done = subprocess.run(["squeue", "--noheader", "--array", f"--jobs={','.join(self.ids)}", "--format=%K|%r"], capture_output=True, text=True)
        if done.returncode:
            return set() if "Invalid job id" in done.stderr else None
        reasons = dict(line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        for why in sorted(set(reasons.values()) - IN_TURN - self.said):
            self.said.add(why)
            print(f"slurm.py: {self.array.log} waits, says Slurm, for: {why}", file=sys.stderr)
        return {int(job) for job in reasons if job.isdigit()}

    def state(self, job):
        """What Slurm says of a job that has left the queue; '' if it does not know it."""
        for one in reversed(self.ids):
            for words, pattern in (
                    (["scontrol", "--oneliner", "show", "job", f"{one}_{job}"], r"JobState=([A-Z_]+)"),
                    (["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={one}_{job}"], r"^([A-Z_]+)")):
                for _ in range(COMPLETING_S):
                    done = subprocess.run(words, capture_output=True, text=True)
                    found = re.search(pattern, done.stdout) if not done.returncode else None
                    if not found or found[1] != "COMPLETING":
                        break
                    time.sleep(1)
                if found:
                    return found[1]
        return ""

    def code(self, job):
        """The exit code that ends a job's log; None while it has no end."""
        try:
            with open(self.array.log_of(job), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 200))
                found = ENDED.findall(file.read())
        except OSError:
            return None
        return int(found[-1]) if found else None

    def cancel_pending(self):
        subprocess.run(["scancel", "--state=PENDING", *self.ids], capture_output=True)

    def cancel(self):
        subprocess.run(["scancel", *self.ids], capture_output=True)
        for _ in range(100):  # until nothing writes any more
            if not self.queued():
                return
            time.sleep(0.2)


def torchrun(nodes, processes):
    """Words of a shell command that go before one of several processes; they meet at the first machine of the job."""
    if nodes == 1 and not processes:
        return []
    first = '"$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"'
    head = f'"$(scontrol --oneliner show node {first} | sed "s/.* NodeAddr=//; s/ .*//")":$((20000 + SLURM_JOB_ID % 10000))'
    return ["srun", f"--ntasks={nodes}", "${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}",  # srun does not take it over from sbatch
            "torchrun", f"--nnodes={nodes}", f"--nproc-per-node={processes or 1}", "--rdzv-backend=c10d", '--rdzv-id="$SLURM_JOB_ID"',
            f"--rdzv-endpoint={head}"]


def run(array):
    """Submits the jobs, waits for all of them and returns the failed ones, {job: reason}."""
    cluster = Cluster(array)
    cluster.cancel_left()

    def stop(signum, frame):
        cluster.cancel()
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    cluster.submit(list(array.jobs))
    waiting, failed, gone = set(array.jobs), {}, set()  # gone: had left the queue at the last look, without an end of the log
    unusable, retries, pause, asked = False, array.options["--retries"], FASTEST_S, time.monotonic()
    while waiting:
        time.sleep(pause)
        codes = {job: code for job in waiting if (code := cluster.code(job)) is not None}
        pause = FASTEST_S if codes else min(pause * 1.2, SLOWEST_S)
        vanished, queued = set(), None
        if time.monotonic() > asked + QUEUE_EVERY_S:
            queued, asked = cluster.queued(), time.monotonic()
        if queued is not None:  # twice in a row, as a log on another machine may take a while to be seen here
            without = waiting - queued - codes.keys()
            vanished, gone = without & gone, without
        # A signal may be the cluster's, whatever the job's own code.
        states = {job: cluster.state(job) for job in sorted(vanished | {job for job, code in codes.items() if code > 128})}
        lost = [job for job, state in states.items() if state in LOST and (state or job in vanished)]
        waiting -= codes.keys() | vanished
        if lost and retries and not unusable:
            retries -= 1
            print(f"slurm.py: submitting again what the cluster has lost: {' '.join(map(array.log_of, lost))}", file=sys.stderr)
            cluster.submit(lost)
            waiting, gone = waiting | set(lost), gone - set(lost)
            codes, states = ({job: value for job, value in found.items() if job not in lost} for found in (codes, states))
        failed.update({job: reason(code) for job, code in codes.items() if code})
        for job, state in states.items():
            if not (unusable and job in vanished):  # those were cancelled here
                own = f"{failed[job]}; Slurm has it " if job in failed else "ended "
                failed[job] = f"{own}as {state or 'lost'}{HINTS.get(state, '')}"
        if not unusable and len(failed) > array.options["--max-jobs-fail"]:
            unusable = True
            cluster.cancel_pending()  # those that run may end: their work may count
    os.remove(cluster.noted)
    return failed


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    try:
        array = JobArray.parse(argv, OPTIONS)
    except Usage as problem:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        print(f"slurm.py: {problem}", file=sys.stderr)
        return 2
    try:
        return array.report("slurm.py", run(array))
    except FileNotFoundError as error:
        reason = f"no program {error.filename} here" if error.filename in ("sbatch", "squeue") else str(error)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip() or f"sbatch ended with code {error.returncode}"
    print(f"slurm.py: ERROR: cannot submit jobs\n  file:     {array.log}\n  found:    {reason}\n"
          "  next:     call on a machine of the cluster; options for sbatch stand in cmd.sh; utils/run.py runs jobs without a cluster", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
