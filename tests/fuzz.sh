#!/usr/bin/env bash
# Feeds mutated files to every reader; tests/fuzz/ has the readers, the files and the mutations.
set -euo pipefail

help_message="Usage: tests/fuzz.sh [--cases N] [--seed N] [--target NAME] [--case N] [--out FOLDER]
 e.g.: tests/fuzz.sh --cases 1000 --seed 1"

if [ "${1-}" = --help ]; then echo "$help_message"; exit 0; fi
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 PYTHONPATH="$PWD:$PWD/tests"
exec "${PYTHON:-.venv/bin/python}" -m fuzz "$@"
