#!/usr/bin/env python3
"""Runs a command, or a job array of it, on this machine: the local counterpart of Kaldi's run.pl.

Usage: utils/run.py [--max-jobs-run N] [JOB=first:last] <log-file> <command> [arguments...]
 e.g.: utils/run.py JOB=1:4 exp/mono/log/align.JOB.log gmm-align exp/mono/JOB

JOB is replaced by the job's number in the log's name and in every argument. A log opens with the command and
'# Started at', and closes with '# Ended (code 0) at'. Exits 0 if all jobs did, else 1 with the tail of a failing log.
Standard library only: it starts hundreds of times a run.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

TAIL_LINES = 12


def main(argv):
    limit, first, last = 0, 1, 1
    name = None
    while argv and (argv[0].startswith("--") or re.fullmatch(r"\w+=\d+(:\d+)?", argv[0])):
        word = argv.pop(0)
        if word == "--max-jobs-run" and argv:
            limit = int(argv.pop(0))
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

    running = set()
    failed = []
    slots = threading.Semaphore(limit or last - first + 1)

    def one(job):
        with slots:
            if failed:  # a failing sibling means the array's output is unusable
                return
            number = str(job)
            this_log = log.replace(name, number) if name else log
            words = [word.replace(name, number) if name else word for word in command]
            code = run(words, this_log, running)
            if code:
                failed.append((job, code, this_log))

    def stop(signum, frame):
        failed.append((0, 128 + signum, ""))
        for process in list(running):
            terminate(process)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threads = [threading.Thread(target=one, args=(job,)) for job in range(first, last + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without a limit would keep signals waiting
            thread.join(0.5)
    if not failed:
        return 0
    stopped = [code for job, code, _ in failed if job == 0]
    if stopped:
        return stopped[0]
    for job, code, this_log in failed[:1]:
        print(f"run.py: {len(failed)} of {last - first + 1} jobs failed; job {job} ended with code {code}. "
              f"The end of {this_log}:", file=sys.stderr)
        with open(this_log, errors="replace") as file:
            for line in file.readlines()[-TAIL_LINES:]:
                print("  | " + line.rstrip("\n"), file=sys.stderr)
    return 1


def run(words, log, running):
    os.makedirs(os.path.dirname(log) or ".", exist_ok=True)
    with open(log, "w") as file:
        file.write(f"# {shlex.join(words)}\n# Started at {time.strftime('%a %b %e %H:%M:%S %Y')}\n#\n")
        file.flush()
        start = time.monotonic()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        except OSError as error:
            file.write(f"cannot start {words[0]}: {error}\n")
            code = 127
        else:
            running.add(process)
            code = process.wait()
            running.discard(process)
        file.write(f"# Accounting: time={time.monotonic() - start:.0f} threads=1\n")
        file.write(f"# Ended (code {code}) at {time.strftime('%a %b %e %H:%M:%S %Y')}\n")
    return code


def terminate(process):
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass


def usage(problem):
    print(__doc__.split("\n\n")[1], file=sys.stderr)
    print(f"run.py: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
