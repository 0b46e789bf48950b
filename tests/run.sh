#!/usr/bin/env bash
# All tests: sets up both environments if need be, then unit tests in both Pythons, then every stage on the smoke corpus.
set -euo pipefail

fast=false   # leave out the smoke run
help_message="Usage: tests/run.sh [--fast true]
 e.g.: tests/run.sh --fast true     # unit tests alone, about two minutes"

cd "$(dirname "$0")/.."
. utils/parse_options.sh

utils/setup_env.sh --dev true
export OMP_NUM_THREADS=1 K2_PYTHON=${K2_PYTHON:-$PWD/.venv-k2/bin/python} LC_ALL=C.UTF-8
echo "== unit tests"
.venv/bin/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile tests --ignore tests/k2 --ignore tests/smoke --durations 5
echo "== unit tests with k2, Python 3.10"
"$K2_PYTHON" -m pytest -q tests/k2 --durations 5
echo "== shell scripts"
git ls-files '*.sh' '.ci/run' 'egs/*/run.sh' | sort -u | xargs .venv/bin/shellcheck
if [ "$fast" = true ]; then exit 0; fi
echo "== every stage on the smoke corpus"
tests/smoke.sh
echo "== killed and started again"
tests/soak.sh --fast true --kills 6
