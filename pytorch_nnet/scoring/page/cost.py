"""What each stage of the run took, and the longest of its commands."""

from __future__ import annotations

from typing import Sequence

from ..costs import StageCost
from .elements import escape, table

LONGEST = 3  # commands of a stage


def seconds_text(seconds: float) -> str:
    """4.2 s, 3 min 05 s or 2 h 07 min, number and unit on one line."""
    if seconds < 99.5:
        return f"{seconds:.1f}\u00a0s"
    whole = int(seconds + 0.5)
    return f"{whole // 60} min {whole % 60:02d}\u00a0s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60:02d}\u00a0min"


def cost_table(stages: Sequence[StageCost]) -> str:
    rows = [[f"{escape(stage.script)} {stage.number}", escape(stage.title), seconds_text(stage.wall), seconds_text(stage.cpu_seconds),
             f"{stage.peak_mib:.0f}", str(len(stage.commands)), longest(stage)] for stage in stages]
    rows.append(["all", "", seconds_text(sum(stage.wall for stage in stages)), seconds_text(sum(stage.cpu_seconds for stage in stages)),
                 f"{max(stage.peak_mib for stage in stages):.0f}", str(sum(len(stage.commands) for stage in stages)), ""])
    return table(["stage", "what", "time", "processor time", "peak MiB", "commands", "the longest"], rows,
                 [False, False, True, True, True, True, False])


def longest(stage: StageCost) -> str:
    ranked = sorted(stage.commands, key=lambda command: -command.seconds)[:LONGEST]
    return "<br>".join(f'{escape(command.program)} {escape(command.made)} <span class="quiet">{seconds_text(command.seconds)}</span>'
                       for command in ranked)
