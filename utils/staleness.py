"""Why what a command made is no longer what it would make: for utils/once.py and utils/plan.py. Standard library only."""

import difflib
import os

VERSIONS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "versions.tsv")
MOST = 3  # changes that are named


def versions(words):
    """{step: version} of the steps among a command's words that the table has."""
    with open(VERSIONS) as file:
        rows = (line.split("\t") for line in file if line.strip() and not line.startswith("#"))
        table = {step: int(version) for step, version, _ in rows}
    return {word: table[word] for word in words if word in table}


def changes(record, words, inputs, version):
    """What differs from a marker's record, in words; its inputs may have markers in them that mean nothing here."""
    found = [f"{step}: version {number}, made by {record.get('versions', {}).get(step, 1)}"
             for step, number in version.items() if record.get("versions", {}).get(step, 1) != number]
    found += changed_words(record.get("command", []), words)
    before = record.get("inputs", {})
    for path in [*inputs, *(path for path in before if path not in inputs)]:
        if path not in before:
            found.append(f"{path} is a new input")
        elif path not in inputs:
            found.append(f"{path} is gone")
        elif inputs[path] != before[path]:
            found.append(f"{path} {difference(before[path], inputs[path])}")
    return found


def difference(before, now):
    if not (isinstance(before, dict) and isinstance(now, dict)) or ".listing" in before or ".listing" in now:
        return "has changed"
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    steps = ", ".join(name.removeprefix(".done.") for name in names if name.startswith(".done."))
    return f"was made anew ({steps})" if steps else "was made anew"


def changed_words(before, now):
    """`--rate 0.02, was 0.01` for an option with another value; `x, was y` and the like for everything else."""
    found = []
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(a=before, b=now, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        old, new = " ".join(before[i1:i2]), " ".join(now[j1:j2])
        option = f"{now[j1 - 1]} " if j1 and now[j1 - 1].startswith("--") else ""
        found.append(f"{option}{new}, was {old}" if old and new else f"{option}{new} added" if new else f"{option}{old} gone")
    return found


def summary(found):
    """The first of the changes on a line."""
    more = f"; {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(text if len(text) < 120 else f"{text[:117]}..." for text in found[:MOST]) + more
