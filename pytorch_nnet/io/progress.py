"""Long work shows progress: a bar on a terminal, plain lines in a log, with rate and time left."""

from __future__ import annotations

import sys
import time
from typing import Iterable, Iterator, TypeVar

T = TypeVar("T")
LINE_EVERY_S = 10.0
BAR_EVERY_S = 0.2
BAR_WIDTH = 30


class Progress:
    """Counts units of work on stderr, unless `quiet`: one of several processes with the same work speaks for all.

    with Progress("align", total=frames, unit="frames") as progress: ... progress.add(n)
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "utterances", quiet: bool = False):
        self.what, self.total, self.unit, self.quiet = what, total, unit, quiet
        self.count, self.start = 0, time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.shown = self.start if not self.terminal else 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind, value, trace) -> None:
        self.show(ended=True)

    def add(self, n: int = 1) -> None:
        self.count += n
        if time.monotonic() - self.shown > (BAR_EVERY_S if self.terminal else LINE_EVERY_S):
            self.show()

    def show(self, ended: bool = False) -> None:
        self.shown = time.monotonic()
        if self.quiet:
            return
        spent = max(self.shown - self.start, 1e-9)
        rate = self.count / spent
        text = f"{self.what}: {self.count}{f'/{self.total}' if self.total else ''} {self.unit}, {rate:.0f}/s"
        if ended:
            text += f", {clock(spent)}"
        elif self.total and self.count:
            text += f", {clock((self.total - self.count) / rate)} left"
        if not self.terminal:
            print(text, file=sys.stderr, flush=True)
            return
        bar = ""
        if self.total:
            filled = min(BAR_WIDTH, BAR_WIDTH * self.count // self.total)
            bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] "
        print(f"\r\x1b[K{bar}{text}", end="\n" if ended else "", file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, total: int | None = None, unit: str = "utterances") -> Iterator[T]:
    """Iterates over `items` under a Progress."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.add()


def clock(seconds: float) -> str:
    """Seconds as 42s, 3m05s or 2h07m."""
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds // 60 % 60:02d}m"
