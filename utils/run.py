#!/usr/bin/env python3
"""Runs a command, or a job array of it, on this machine: the local counterpart of Kaldi's run.pl.

Usage: utils/run.py [--max-jobs-run N] [--max-jobs-fail N] [--processes N] [JOB=first:last] <log-file> <command> [arguments...]
 e.g.: utils/run.py JOB=1:4 exp/mono/log/align.JOB.log gmm-align exp/mono/JOB

  --max-jobs-run N    at most N jobs at once
  --max-jobs-fail N   exit 0 although up to N jobs fail; each is reported all the same [0]
  --processes N       torchrun starts the command N times, a GPU each: cuda_cmd="utils/run.py --processes 4" in cmd.sh

JOB is replaced by the job's number in the log's name and in every argument. A log opens with the command and
'# Started at', and closes with '# Ended (code 0) at'; the code of a job that a signal ended is 128 and the signal's number, as in shells.
Exits 0 if all jobs did, else 1 with the name and the tail of every failing log. Once more than --max-jobs-fail have failed no further job starts;
those that run may end. SIGINT and SIGTERM end all jobs and what they have started. The resources that utils/slurm.py asks a cluster
for (--mem, --time, --gpu, ...) mean nothing here. Standard library only: it starts hundreds of times a run.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from job_array import JobArray, Usage, reason
from pytorch_nnet.io.main import asked_for_help
from pytorch_nnet.io.process import code_of, descendants, end_all, ended_by

OPTIONS = {"--max-jobs-run": 0, "--max-jobs-fail": 0, "--processes": 0}
OF_A_CLUSTER = {"--mem": "", "--gpu": "", "--time": "", "--num-threads": "", "--retries": "", "--sbatch": ""}
CANNOT_LOG = 125  # no job's own code, as far as possible


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    try:
        array = JobArray.parse(argv, {**OPTIONS, **OF_A_CLUSTER})
    except Usage as problem:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    failed = {}  # {job: code}
    stopped = []  # signals that ended us
    slots = threading.Semaphore(array.options["--max-jobs-run"] or len(array.jobs))

    def one(job):
        with slots:
            if stopped or len(failed) > array.options["--max-jobs-fail"]:  # the array's output is unusable
                return
            code = run([*several(array.options["--processes"]), *array.command_of(job)], array.log_of(job))
            if code:
                failed[job] = code

    def stop(signum, frame):
        stopped.append(signum)
        end_all(lambda: descendants(os.getpid()))

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=one, args=(job,)) for job in array.jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without a limit would keep signals waiting
            thread.join(0.5)
    if stopped:
        return 128 + stopped[0]
    return array.report("run.py", {job: reason(code) for job, code in failed.items()})


def several(processes):
    """What goes before a command that torchrun starts `processes` times; 0: it is started as it is."""
    return ["torchrun", "--standalone", f"--nproc-per-node={processes}"] if processes else []


def run(words, log):
    """Runs a job with its log; returns its exit code."""
    try:
        os.makedirs(os.path.dirname(log) or ".", exist_ok=True)
        with open(log, "w") as file:
            file.write(f"# {shlex.join(words)}\n# Started at {time.strftime('%a %b %e %H:%M:%S %Y')}\n#\n")
            file.flush()
            start = time.monotonic()
            try:
                code = code_of(subprocess.call(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT))
            except OSError as error:
                file.write(f"cannot start {words[0]}: {error}\n")
                code = 127
            reason = f" by {ended_by(code)}" if ended_by(code) else ""
            file.write(f"# Accounting: time={time.monotonic() - start:.0f} threads=1\n")
            file.write(f"# Ended (code {code}) at {time.strftime('%a %b %e %H:%M:%S %Y')}{reason}\n")
        return code
    except OSError as error:  # a disk that is full or may not be written to
        print(f"run.py: ERROR: cannot write a job's log\n  file:     {log}\n  found:    {error.strerror}\n"
              "  next:     make space, or mend the rights, then call the same command again", file=sys.stderr)
        return CANNOT_LOG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
