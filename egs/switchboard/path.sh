# Puts the main environment, steps/ and utils/ on the path. Sourced by run.sh from the recipe directory.
# shellcheck shell=bash
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export ROOT LC_ALL=C.UTF-8 LC_COLLATE=C PYTHONUNBUFFERED=1
export PATH="$ROOT/.venv/bin:$PATH"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
# Where decoding finds k2: the second environment, or one of your own.
export K2_PYTHON="${K2_PYTHON:-$ROOT/.venv-k2/bin/python}"
# Jobs run side by side, so every process keeps to one thread.
export OMP_NUM_THREADS=1
