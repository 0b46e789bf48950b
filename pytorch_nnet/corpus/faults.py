"""Lines that cannot be used: left out and named while they are few, fatal once they are many."""

from __future__ import annotations

import math

from ..io.errors import RecipeError

DEFAULT_MAX_BAD_PERCENT = 0.1


class Faults:
    """Collects what was found wrong with single segments, in order."""

    def __init__(self) -> None:
        self.errors: list[RecipeError] = []

    def add(self, error: RecipeError) -> None:
        self.errors.append(error)

    def check(self, total: int, max_percent: float) -> None:
        """Raises the first fault, with the number of all, if they are more than `max_percent` of `total` segments."""
        if not self.errors or len(self.errors) <= total * max_percent / 100:
            return
        first, number = self.errors[0], len(self.errors)
        leave = f"leave them out with --max-bad-percent {math.ceil(1000 * number / total) / 10:g}"
        raise RecipeError(first.what, file=first.file, id=first.id, expected=first.expected,
                          found=f"{first.found} ({number} of {total} segments cannot be used, the limit is {max_percent:g} %)",
                          next=f"{first.next}; or {leave}" if first.next else f"correct them, or {leave}")

    def lines(self) -> list[str]:
        """One line a fault, for the report."""
        return [f"{error.what}: {error.id} ({error.file}): {error.found}" for error in self.errors]
