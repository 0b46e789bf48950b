#!/usr/bin/env python3
"""Runs a command, or a job array of it, on this machine: the local counterpart of Kaldi's run.pl.

Usage: utils/run.py [--max-jobs-run N] [--max-jobs-fail N] [JOB=first:last] <log-file> <command> [arguments...]
 e.g.: utils/run.py JOB=1:4 exp/mono/log/align.JOB.log gmm-align exp/mono/JOB

  --max-jobs-run N    at most N jobs at once
  --max-jobs-fail N   exit 0 although up to N jobs fail; each is reported all the same [0]

JOB is replaced by the job's number in the log's name and in every argument. A log opens with the command and
'# Started at', and closes with '# Ended (code 0) at'; the code of a job that a signal ended is 128 and the signal's number, as in shells.
Exits 0 if all jobs did, else 1 with the name and the tail of every failing log. Once more than --max-jobs-fail have failed no further job starts;
those that run may end. SIGINT and SIGTERM end all jobs and what they have started. Standard library only: it starts hundreds of times a run.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from pytorch_nnet.io.errors import asked_for_help
from pytorch_nnet.io.process import code_of, descendants, end_all, ended_by

TAIL_LINES = 12
TAILS = 3  # of failing jobs whose logs are shown
CANNOT_LOG = 125  # no job's own code, as far as possible


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    limits = {"--max-jobs-run": 0, "--max-jobs-fail": 0}
    first = last = 1
    name = None
    while argv and (argv[0].startswith("--") or re.fullmatch(r"\w+=\d+(:\d+)?", argv[0])):
        word = argv.pop(0)
        if word in limits and argv:
            value = argv.pop(0)
            if not value.isdigit():
                return usage(f"{word} takes a whole number, not '{value}'")
            limits[word] = int(value)
        elif not word.startswith("--"):
            name, _, span = word.partition("=")
            low, _, high = span.partition(":")
            first, last = int(low), int(high or low)
        elif word in ("--mem", "--gpu", "--time", "--num-threads") and argv:
            argv.pop(0)  # resources mean something to a cluster only
        else:
            return usage(f"unknown option {word}")
    if len(argv) < 2:
        return usage("a log file and a command are needed")
    if last < first:
        return usage(f"empty job range {first}:{last}")
    log, command = argv[0], argv[1:]
    if name and last > first and name not in log:
        return usage(f"with {name}={first}:{last} the log's name must contain {name}: {log}")

    failed = {}  # {job: (code, log)}
    stopped = []  # signals that ended us
    slots = threading.Semaphore(limits["--max-jobs-run"] or last - first + 1)

    def one(job):
        with slots:
            if stopped or len(failed) > limits["--max-jobs-fail"]:  # the array's output is unusable
                return
            number = str(job)
            this_log = log.replace(name, number) if name else log
            code = run([word.replace(name, number) if name else word for word in command], this_log)
            if code:
                failed[job] = code, this_log

    def stop(signum, frame):
        stopped.append(signum)
        end_all(lambda: descendants(os.getpid()))

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=one, args=(job,)) for job in range(first, last + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without a limit would keep signals waiting
            thread.join(0.5)
    if stopped:
        return 128 + stopped[0]
    report(failed, last - first + 1)
    return int(len(failed) > limits["--max-jobs-fail"])


def report(failed, count):
    """Says which jobs failed and how, with the ends of the first logs."""
    for place, (job, (code, log)) in enumerate(sorted(failed.items())):
        reason = ended_by(code)
        if reason.startswith("SIGKILL"):
            reason += ", as the kernel does where memory runs out"
        print(f"run.py: {len(failed)} of {count} jobs failed; job {job} ended with code {code}{f', by {reason}' if reason else ''}: {log}",
              file=sys.stderr)
        if place < TAILS:
            try:
                with open(log, errors="replace") as file:
                    lines = file.readlines()[-TAIL_LINES:]
            except OSError:  # nothing could be written there
                continue
            print("".join("  | " + line.rstrip("\n") + "\n" for line in lines), end="", file=sys.stderr)


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


def usage(problem):
    print(__doc__.split("\n\n")[1], file=sys.stderr)
    print(f"run.py: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
