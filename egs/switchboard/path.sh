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
# glibc gives large blocks back to the kernel when they are freed and every one that is taken again costs page faults: without
# that, networks train a fifth faster and evaluate in two thirds of the time (benchmarks/README.md).
export MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=4294967296
