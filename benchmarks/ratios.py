#!/usr/bin/env python3
"""The ratios that benchmarks print, and the table of all of them.

Usage: benchmarks/<any>.py | benchmarks/ratios.py
 e.g.: benchmarks/evaluate.py mini | benchmarks/ratios.py

A benchmark calls `ratio` for every ratio it has a goal for, which prints one line, fields separated by tabs:

    ratio  <name>  <value>  <goal>  meets|misses

As a filter, this program sends every other line on to standard error and prints a Markdown table of the ratios at the end. Its code is 1
if there was none.
"""

import sys

from recipe import commit, machine

MARK = "ratio"


def ratio(name, value, goal, smaller=False):
    """Prints one ratio; its goal is to be reached, or not to be exceeded if `smaller`. Returns "meets" or "misses"."""
    verdict = "meets" if (value <= goal if smaller else value >= goal) else "misses"
    print(f"{MARK}\t{name}\t{value:.3g}\t{'at most' if smaller else 'at least'} {goal:g}\t{verdict}", flush=True)
    return verdict


def main(argv):
    if argv:
        print(__doc__)
        return 0 if "--help" in argv else 2
    rows = []
    for line in sys.stdin:
        fields = line.rstrip("\n").split("\t")
        if fields[0] == MARK and len(fields) == 5:
            rows.append(fields[1:])
        else:
            print(line, end="", file=sys.stderr, flush=True)
    print(f"{machine()}, commit {commit()}\n\n| | ratio | goal | |\n| --- | ---: | ---: | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
