#!/usr/bin/env bash
# The GMMs of a recipe on all its training speech, dev too, with LM weights and penalties from a cross-validation over its speakers: called in
# the folder of a recipe whose run.sh has come to stage 2. For corpora so small that dev is missed in training and says little about the LM
# weight; Kaldi's recipes for such have no dev either, and take the weight from the test set.
# Lists of systems are meant to split into words.
# shellcheck disable=SC2086
set -euo pipefail

stop_stage=4           # last stage to run
folds=3                # parts of the speakers
help_message="Usage: local/run_folds.sh [options]
 e.g.: cd egs/switchboard && ./run.sh && local/run_folds.sh
       local/run_folds.sh --folds 5 --preset mini

Stages: 1 train and dev as one, in parts, 2 GMMs of all and of all but each part, 3 decoding: each part by the GMMs that have not heard it,
        the test set by those of all, 4 table: exp/folds/results/RESULTS.md

Options:
  --folds N                  parts of the speakers [$folds]"

. "$(dirname "$0")/../steps/experiment.sh"
use_sets
[ "$folds" -ge 2 ] 2>/dev/null || fail "bad value for --folds" "  expected: 2 or more" "  found:    $folds"
need data/{train,dev,"$test_set"}/cmvn.scp data/lang/G.fst
use_preset dnn
parts=$(seq "$folds")

if begin 1 "train and dev as one, and its parts"; then
  once --out data/folds_all -- utils/combine_data data/folds_all data/train data/dev
  for part in $parts; do
    once --out "data/folds_train$part" --out "data/folds_held$part" -- \
      utils/hold_out_speakers --parts "$folds" --part "$part" data/folds_all "data/folds_train$part" "data/folds_held$part"
  done
  end
fi

if begin 2 "GMMs of all but each part, and of all"; then
  for part in $parts; do train_gmms "data/folds_train$part" "exp/folds/$part"; done
  train_gmms data/folds_all exp/folds/all
  end
fi

if begin 3 "decoding with $decoder"; then
  for gmm in $gmms; do
    for part in $parts; do
      make_graph "folds/$part/$gmm"
      spawn "" decode_systems "folds_held$part" "folds/$part/$gmm"
    done
    make_graph "folds/all/$gmm"
    spawn "" decode_systems "$test_set" "folds/all/$gmm"
  done
  join
  end
fi

if begin 4 "table"; then
  made=()
  for gmm in $gmms; do
    held=()
    for part in $parts; do held+=("exp/folds/$part/$gmm/decode_folds_held${part}_$lm"); done
    once --out "exp/folds/all/$gmm/decode_held_$lm" -- steps/pool_scores "exp/folds/all/$gmm/decode_held_$lm" "${held[@]}"
    made+=(--in "exp/folds/all/$gmm/decode_held_$lm" --in "exp/folds/all/$gmm/decode_${test_set}_$lm")
  done
  once "${made[@]}" --out exp/folds/results -- \
    steps/make_tables --dev held --test "$test_set" --lm "$lm" --baseline mono exp/folds/all exp/folds/results $gmms
  end exp/folds/results/RESULTS.md
fi

finish
