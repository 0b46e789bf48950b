#!/usr/bin/env bash
# Runs the Switchboard recipe's stages 0 to 10 on the smoke corpus in a recipe folder of its own, and checks what came out.
set -euo pipefail

keep=false   # leave the folder for inspection
help_message="Usage: tests/smoke.sh [--keep true]
 e.g.: tests/smoke.sh --keep true"

cd "$(dirname "$0")/.."
. utils/parse_options.sh

recipe=$(mktemp -d "$PWD/egs/smoke.XXXXXX")
cleanup() { if [ "$keep" = true ]; then echo "kept $recipe"; else rm -rf "$recipe"; fi; }
trap cleanup EXIT
for name in run.sh path.sh cmd.sh conf local steps utils; do
  ln -s "../switchboard/$name" "$recipe/$name"
done

SECONDS=0
"$recipe/run.sh" --mini-size smoke
echo "smoke run: $SECONDS s"
SECONDS=0
# One more seed and what needs it, without decoding; run.sh must not find anything of its own changed by it.
paper=(local/run_paper.sh --seeds "1 2" --lambdas 0.75 --top-cs 90 --gammas "0 0.3 0.5 1")
(cd "$recipe" && "${paper[@]}" --stop-stage 3 && "${paper[@]}" --stage 5)
echo "paper run: $SECONDS s"
SECONDS=0
(cd "$recipe" && local/run_cldnn.sh --systems "cldnn blstm")
echo "networks over utterances: $SECONDS s"
SECONDS=0
(cd "$recipe" && local/run_blending.sh --teacher "dnn cldnn/blstm" --seeds 1)
echo "blending: $SECONDS s"
SECONDS=0
(cd "$recipe" && local/run_sequence.sh --systems "dnn_mmi dnn_smbr cnn_smbr")
echo "sequence training: $SECONDS s"
SECONDS=0
(cd "$recipe" && local/run_ctc.sh --hybrids "dnn cnn" --prefix-opts "--prefixes 5 --n 5")
echo "CTC: $SECONDS s"
SECONDS=0
(cd "$recipe" && local/run_folds.sh --preset smoke --folds 2)
echo "cross-validation: $SECONDS s"
SECONDS=0
again=$("$recipe/run.sh" --mini-size smoke --stop-stage 9)
echo "second run: $SECONDS s"
[ "$(echo "$again" | grep -c "up to date, skipped$")" = 10 ] || { echo "smoke.sh: a finished stage was redone:
$again" >&2; exit 1; }
.venv/bin/python -m pytest -q -n auto --maxprocesses 4 tests/smoke --recipe "$recipe"
