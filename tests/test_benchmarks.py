"""The table of ratios that benchmarks/run.sh prints."""

import subprocess
import sys

from conftest import ROOT

SCRIPT = """
import sys
sys.path.insert(0, "benchmarks")
from ratios import ratio
print("| words | for people |")
ratio("faster", 1.5, 1.45)
ratio("slower", 1.2344, 1.25, smaller=True)
ratio("too slow", 1.3, 1.25, smaller=True)
ratio("just", 3, 3)
"""


def filtered(text):
    return subprocess.run([sys.executable, ROOT / "benchmarks/ratios.py"], input=text, capture_output=True, text=True, cwd=ROOT)


def test_ratios_are_collected_and_judged():
    printed = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    done = filtered(printed)
    assert done.returncode == 0 and done.stderr == "| words | for people |\n"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    assert rows == [["faster", "1.5", "at least 1.45", "meets"], ["slower", "1.23", "at most 1.25", "meets"],
                    ["too slow", "1.3", "at most 1.25", "misses"], ["just", "3", "at least 3", "meets"]]


def test_no_ratio_is_an_error():
    assert filtered("nothing here\n").returncode == 1


def test_the_table_of_run_sh_names_a_benchmark_that_fails(tmp_path):
    done = subprocess.run([ROOT / "benchmarks/run.sh", tmp_path, "absent"], capture_output=True, text=True)
    assert done.returncode == 1 and "== absent failed" in done.stderr
    usage = subprocess.run([ROOT / "benchmarks/run.sh"], capture_output=True, text=True)
    assert usage.returncode == 2 and "Usage: benchmarks/run.sh" in usage.stderr
