"""A command, or an array of jobs of it, as utils/run.py and utils/slurm.py take it on their command lines. Standard library only."""

import os
import re
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from pytorch_nnet.io.process import ended_by

TAIL_LINES = 12
TAILS = 3  # of failing jobs whose logs are shown


class Usage(Exception):
    """A command line that cannot be understood."""


@dataclass
class JobArray:
    """The jobs `first` to `last` of a command; `name`, such as JOB, stands for a job's number in `log` and in every word."""

    options: dict
    name: str
    first: int
    last: int
    log: str
    command: list

    @classmethod
    def parse(cls, argv, options):
        """From `[options] [JOB=first:last] <log> <command>...`; options: {name: default}, whole numbers where the default is one."""
        argv, options = list(argv), dict(options)
        name, first, last = "", 1, 1
        while argv and (argv[0].startswith("--") or re.fullmatch(r"\w+=\d+(:\d+)?", argv[0])):
            word = argv.pop(0)
            if not word.startswith("--"):
                name, _, span = word.partition("=")
                low, _, high = span.partition(":")
                first, last = int(low), int(high or low)
            elif word in options and argv:
                value = argv.pop(0)
                if isinstance(options[word], int) and not value.isdigit():
                    raise Usage(f"{word} takes a whole number, not '{value}'")
                options[word] = int(value) if isinstance(options[word], int) else value
            else:
                raise Usage(f"unknown option {word}")
        if len(argv) < 2:
            raise Usage("a log file and a command are needed")
        if last < first:
            raise Usage(f"empty job range {first}:{last}")
        if name and last > first and name not in argv[0]:
            raise Usage(f"with {name}={first}:{last} the log's name must contain {name}: {argv[0]}")
        return cls(options, name, first, last, argv[0], argv[1:])

    @property
    def jobs(self):
        return range(self.first, self.last + 1)

    def log_of(self, job):
        return self.log.replace(self.name, str(job)) if self.name else self.log

    def command_of(self, job):
        return [word.replace(self.name, str(job)) if self.name else word for word in self.command]

    def report(self, program, failed):
        """Says which jobs failed and how, {job: reason}, with the ends of the first logs. Returns the exit code."""
        for place, (job, reason) in enumerate(sorted(failed.items())):
            log = self.log_of(job)
            print(f"{program}: {len(failed)} of {len(self.jobs)} jobs failed; job {job} {reason}: {log}", file=sys.stderr)
            if place < TAILS:
                try:
                    with open(log, errors="replace") as file:
                        lines = file.readlines()[-TAIL_LINES:]
                except OSError:  # nothing could be written there
                    continue
                print("".join("  | " + line.rstrip("\n") + "\n" for line in lines), end="", file=sys.stderr)
        return int(len(failed) > self.options["--max-jobs-fail"])


def reason(code):
    """How a job ended, in words, by its exit code."""
    signalled = ended_by(code)
    if signalled.startswith("SIGKILL"):
        signalled += ", as the kernel does where memory runs out"
    return f"ended with code {code}{f', by {signalled}' if signalled else ''}"
