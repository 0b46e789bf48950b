#!/usr/bin/env bash
# All tests: sets up both environments if need be, checks the code, then unit tests in both Pythons, then every stage on the smoke corpus.
set -euo pipefail

fast=false       # checks and the quick unit tests alone, as often as wanted while working
coverage=false   # a third more time for tests in this process, so not by default
help_message="Usage: tests/run.sh [options]
 e.g.: tests/run.sh            # everything, as continuous integration does
       tests/run.sh --fast     # ruff, mypy and the quick unit tests: about a minute on two cores

Options:
  --fast true|false       leave out tests marked slow, those in the k2 environment, shellcheck and whole recipes [$fast]
  --coverage true|false   print which lines of the library the unit tests do not run; what runs in steps of their own does not count [$coverage]"

cd "$(dirname "$0")/.."
. utils/parse_options.sh

utils/setup_env.sh --dev true
export OMP_NUM_THREADS=1 K2_PYTHON=${K2_PYTHON:-$PWD/.venv-k2/bin/python} LC_ALL=C.UTF-8
echo "== ruff, mypy"
.venv/bin/ruff check
.venv/bin/mypy
unit=(-q -n auto --maxprocesses 8 --dist loadfile tests --ignore tests/k2 --ignore tests/smoke)
cover=()
if [ "$coverage" = true ]; then cover=(--cov --cov-report term); fi
echo "== unit tests"
if [ "$fast" = true ]; then
  exec .venv/bin/python -m pytest "${unit[@]}" -m "not slow" --hypothesis-profile fast "${cover[@]}"
fi
.venv/bin/python -m pytest "${unit[@]}" --durations 5 "${cover[@]}"
echo "== unit tests with k2, Python 3.10"
"$K2_PYTHON" -m pytest -q tests/k2 --durations 5
echo "== shell scripts"
git ls-files '*.sh' '.ci/run' 'egs/*/run.sh' | sort -u | xargs .venv/bin/shellcheck
echo "== every stage on the smoke corpus"
tests/smoke.sh
echo "== killed and started again"
tests/soak.sh --fast true --kills 6
