#!/usr/bin/env python3
"""Prints what a recipe would run, stage by stage: run.sh --dry-run, with estimates, and run.sh --status, without.

Usage: <commands> | utils/plan.py [--preset NAME --corpus NAME --classes N --nj N] [--status] [--disk]
 e.g.: utils/plan.py --preset mini --corpus an4 --nj 2 < commands       # run.sh --dry-run calls it so, from the recipe's folder

Reads commands from stdin, each as fields that end in NUL: number and title of the stage, 1 if it runs beside its neighbours
else 0, how many arguments utils/once.py would get, and these. A command is `done` if its markers match, `stale` if an input, an option
or something it depends on has changed or will be redone, `begun` if it was interrupted and resumes, else `missing`. Changes nothing.
Exits 1 if a command of the plan lacks an input that no earlier one makes. With --disk, as run.sh calls it before it starts, it says nothing but
that the disk may be too small for what would run; exits 1 if it is smaller than half the estimate. Standard library only.
"""

import os
import shutil
import sys
from dataclasses import dataclass

sys.dont_write_bytecode = True  # a plan writes nothing
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from estimate import Estimator  # noqa: E402
from once import Request, without_launcher  # noqa: E402
from pytorch_nnet.io.main import asked_for_help  # noqa: E402


@dataclass
class Planned:
    """One command, its state, its Cost if it will run and that is known, and why it is stale if it is."""

    stage: int
    title: str
    beside: bool
    request: Request
    state: str
    cost: object = None
    reason: str = ""

    @property
    def runs(self):
        return self.state != "done"


def read_commands(data):
    """(stage, title, beside, Request) of every command in the NUL-separated fields."""
    fields = data.decode().split("\0")[:-1]
    while len(fields) > 1:
        stage, title, beside, count = int(fields[0]), fields[1], fields[2] == "1", int(fields[3])
        yield stage, title, beside, Request(fields[4:4 + count])
        fields = fields[4 + count:]


class Plan:
    """States of commands in the order in which they would run."""

    def __init__(self):
        self.commands, self.lacking = [], []
        self.redone = set()  # (folder, marker) of what will run
        self.places = set()  # folders above what will run, given to it as an argument: it may write anything there

    def add(self, stage, title, beside, request):
        self.lacking += [(stage, path) for path in request.missing() if not self.will_make(path)]
        state, reason = self.state(request)
        if state != "done":
            self.redone |= request.own
            self.places |= {word for word in request.words[1:] if any(out.startswith(word + "/") for out in request.outs)}
        self.commands.append(Planned(stage, title, beside, request, state, reason=reason))

    def will_make(self, path):
        return any((path + "/").startswith(folder + "/") for folder in {folder for folder, _ in self.redone} | self.places)

    def state(self, request):
        """The state, and why it is stale if it is."""
        inputs, digest = request.current()
        recorded = request.recorded()
        if None in recorded:
            return ("begun" if digest in request.recorded(begun=True) else "missing"), ""
        if request.force or any(found != digest for found in recorded):
            return "stale", request.reason(inputs)
        for path, value in inputs.items():
            named = {(path, marker) for marker in value} if isinstance(value, dict) else set()
            if named & self.redone or any(path.startswith(folder + "/") for folder, _ in self.redone):
                return "stale", f"{path} will be made anew"
        return "done", ""


def stage_hours(commands, cores):
    """Wall-clock hours: commands one after another, neighbours that run side by side sharing the cores, one GPU."""
    total, beside, gpu = 0.0, [], 0.0
    for command in [*commands, None]:
        if command is not None and command.cost and command.beside:
            hours = command.cost.hours(cores)
            if command.cost.cuda:
                gpu += hours
            else:
                beside.append(hours)
            continue
        total += max([gpu, sum(beside) / cores, *beside])
        beside, gpu = [], 0.0
        if command is not None and command.cost:
            total += command.cost.hours(cores)
    return total


def clock(hours):
    """Hours in words: 40 s, 12 min, 3.4 h, 12 d."""
    for unit, seconds, limit in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72)):
        if hours * 3600 / seconds < limit:
            return f"{hours * 3600 / seconds:.2g} {unit}" if hours * 3600 / seconds < 10 else f"{hours * 3600 / seconds:.0f} {unit}"
    return f"{hours / 24:.0f} d"


def gigabytes(value):
    return f"{value:.2g} GB" if value < 10 else f"{value:.0f} GB"


def show(commands, cores, estimates):
    """Lines of one stage."""
    running = [command for command in commands if command.runs]
    headline = f"stage {commands[0].stage}: {commands[0].title}"
    if not running:
        return [f"{headline}: up to date, {len(commands)} commands skipped" if len(commands) > 1 else f"{headline}: up to date, skipped"]
    costs = [command.cost for command in running if command.cost]
    if estimates and costs:
        headline += (f": {clock(stage_hours(running, cores))}, disk {gigabytes(sum(cost.gb for cost in costs))}, "
                     f"memory {gigabytes(max(cost.memory for cost in costs))} a process")
    lines = [headline]
    for command in commands:
        name = os.path.basename(command.request.words[0])
        outs = command.request.outs
        made = " ".join(outs) if len(outs) < 5 else f"{outs[0]} and {len(outs) - 1} more"
        line = f"  {command.state:<8} {name:<20} {made}"
        if estimates and command.runs:
            line += f"  [{clock(command.cost.hours(cores))}]" if command.cost else "  [not estimated]"
        lines.append(f"{line}  ({command.reason})" if command.reason else line)
    return lines


def main(argv):
    if asked_for_help(argv, __doc__):
        return 0
    options = {"--preset": "", "--corpus": "", "--classes": "0", "--nj": "1"}
    status, disk = "--status" in argv, "--disk" in argv
    words = [word for word in argv if word not in ("--status", "--disk")]
    options.update(zip(words[::2], words[1::2]))
    plan = Plan()
    for command in read_commands(sys.stdin.buffer.read()):
        plan.add(*command)
    cores = min(int(options["--nj"]), os.cpu_count() or 1)
    estimator = Estimator(options["--corpus"], options["--preset"], int(options["--classes"]))
    estimates = estimator.known and not status
    if estimates:
        for command in plan.commands:  # of all, as later ones depend on sizes that earlier ones have
            cost = estimator.cost(without_launcher(command.request.command), command.request.outs)
            command.cost = cost if command.runs else None
    if disk:
        return check_disk(sum(command.cost.gb for command in plan.commands if command.cost), free_space())
    if not (status or estimates):
        print("No estimates: the size of the corpus is not known before stage 2 has made its features\n")
    if estimates:
        sizes = ", ".join(f"{name} {hours:.3g} h" for name, hours in estimator.sets.items())
        print(f"Plan for {cores} cores, preset {options['--preset']}, speech: {sizes}\n")
    stages = {}
    for command in plan.commands:
        stages.setdefault(command.stage, []).append(command)
    for commands in stages.values():
        print("\n".join(show(commands, cores, estimates)))
    running = [command for command in plan.commands if command.runs]
    print(f"\n{len(running)} of {len(plan.commands)} commands would run")
    if running and estimates:
        print_totals(stages.values(), running, cores)
    for stage, path in dict.fromkeys(plan.lacking):
        print(f"plan.py: ERROR: stage {stage} needs {path}, which is not there: run the stages before {stage} first", file=sys.stderr)
    return 1 if plan.lacking else 0


def free_space():
    """Gigabytes left where exp is, which may be a link to a larger disk."""
    return shutil.disk_usage("exp" if os.path.exists("exp") else ".").free / 1e9


def check_disk(needed, free):
    """Exit code: 1 if the disk is surely too small. Estimates are good to a factor of two, so between half and all of one it is a warning."""
    if free >= needed:
        return 0
    small = free < needed / 2
    print(f"plan.py: {'ERROR' if small else 'WARNING'}: {'no' if small else 'perhaps no'} space for what would run\n"
          f"  file:     {os.getcwd()}\n  expected: {gigabytes(needed)}, estimated (run.sh --dry-run lists it)\n  found:    {gigabytes(free)} free\n"
          f"  next:     make space, link data and exp to a larger disk{', or call again with --check-disk false' if small else ''}", file=sys.stderr)
    return int(small)


def print_totals(stages, running, cores):
    costs = [command.cost for command in running if command.cost]
    if not costs:
        return
    hours = sum(stage_hours([command for command in commands if command.runs], cores) for commands in stages)
    disk, free = sum(cost.gb for cost in costs), free_space()
    print(f"in all {clock(hours)}, disk {gigabytes(disk)} of {gigabytes(free)} free, memory {gigabytes(max(cost.memory for cost in costs))} "
          "a process")
    print("Estimates, good to a factor of two or so, from utils/rates.tsv, which says where each was measured and which were not.")
    if disk > free:
        print("WARNING: the disk is too small")
    if any(cost.cuda for cost in costs):
        print("Networks train on a GPU (device: cuda in the preset); their rates are computed, not measured.")
        if not shutil.which("nvidia-smi"):
            print("WARNING: the preset wants a GPU (device: cuda), and none was found here")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
