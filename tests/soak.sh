#!/usr/bin/env bash
# Kills a recipe again and again, starts it again each time, and compares what it makes in the end with an undisturbed run's.
set -euo pipefail

kills=100       # how many times
often=10        # kills in the time that an undisturbed run takes, on average
seed=1          # of the moments and the kinds of kills
fast=false      # a few cheap stages in place of the smoke recipe
nj=1            # jobs side by side
stop_stage=10   # last stage of the smoke recipe
keep=false      # leave the folder for inspection
help_message="Usage: tests/soak.sh [--kills N] [--often N] [--seed S] [--fast true] [--nj N] [--stop-stage M] [--keep true]
 e.g.: tests/soak.sh --kills 100
       tests/soak.sh --fast true --kills 6 --seed 3"

cd "$(dirname "$0")/.."
. utils/parse_options.sh

recipe=$(mktemp -d "$PWD/egs/smoke.XXXXXX")
cleanup() { if [ "$keep" = true ]; then echo "kept $recipe"; else rm -rf "$recipe"; fi; }
trap cleanup EXIT
if [ "$fast" = true ]; then
  cp tests/soak/run.sh "$recipe"
  for name in path.sh steps utils; do ln -s "../switchboard/$name" "$recipe/$name"; done
  ln -s ../../tests/soak/step.py "$recipe/step.py"
  options=()
else
  for name in run.sh path.sh cmd.sh conf local steps utils; do ln -s "../switchboard/$name" "$recipe/$name"; done
  options=(--mini-size smoke --stop-stage "$stop_stage")
fi
PYTHONPATH=$PWD .venv/bin/python tests/soak/harness.py "$recipe" "$kills" "$seed" "$often" ./run.sh --nj "$nj" "${options[@]}"
