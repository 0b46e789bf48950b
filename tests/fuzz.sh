#!/usr/bin/env bash
# Feeds mutated files to every reader: --cases N [--seed N] [--target NAME] [--case N] [--out FOLDER]; --help says more.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 PYTHONPATH="$PWD:$PWD/tests"
exec "${PYTHON:-.venv/bin/python}" -m fuzz "$@"
