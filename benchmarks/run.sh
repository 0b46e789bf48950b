#!/usr/bin/env bash
# Every ratio that has a goal, in one table: evaluation, training, features, graphs and search, jobs side by side, an hour decoded.
#
# Usage: benchmarks/run.sh <recipe> [benchmark...]     (a folder where run.sh has finished; an hour on one core, 4 GB)
#  e.g.: benchmarks/run.sh egs/switchboard
#        benchmarks/run.sh egs/switchboard evaluate training
#
# A benchmark that fails is named at the end, and the table has the others' ratios; the code is then 1.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
if [ "${1-}" = --help ]; then usage; exit 0; fi
if [ $# -lt 1 ] || [ ! -d "$1" ]; then usage >&2; exit 2; fi
here=$(cd "$(dirname "$0")" && pwd)
recipe=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- evaluate training features graph jobs hour

measure() {
  for name in "$@"; do
    case $name in
      evaluate | training) arguments=() ;;
      *) arguments=("$recipe") ;;
    esac
    echo "== $name"
    "$here/$name.py" "${arguments[@]}" || echo "== $name failed"
  done
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
measure "$@" | tee "$log" | "$here/ratios.py"
! grep '^== .* failed$' "$log" >&2
