#!/usr/bin/env bash
# Any networks of a recipe as the teacher of its CNN, with several seeds, beside the same CNN without a teacher: called in the folder of a recipe
# whose run.sh has finished. local/run_paper.sh has the paper's teachers; here is what to do where they are not the best ones.
# Lists of networks are meant to split into words.
# shellcheck disable=SC2086
set -euo pipefail

stop_stage=4           # last stage to run
teacher=               # networks of exp whose posteriors are averaged: "dnn cnn cldnn/blstm"
name=blending          # of the experiment: its folder in exp
seeds="1 2 3"          # of the CNNs and of the students; the first is run.sh's
lambda=0.75 top_c=90   # of the students: weight of the soft labels, classes kept per frame
help_message="Usage: local/run_blending.sh --teacher '.. ..' [options]
 e.g.: cd egs/switchboard && ./run.sh && local/run_cldnn.sh --systems blstm
       local/run_blending.sh --teacher 'dnn cnn cldnn/blstm'

Stages: 1 CNNs with the other seeds (those of local/run_paper.sh), 2 the teacher and its soft labels, students, 3 decoding,
        4 table: exp/NAME/results/RESULTS.md

Options:
  --teacher '.. ..'          networks below exp
  --name NAME                the experiment's folder below exp [$name]
  --seeds '.. ..'            the first is run.sh's [$seeds]
  --lambda X --top-c N       of the students: weight of the soft labels, classes kept per frame [$lambda, $top_c]"

. "$(dirname "$0")/../steps/experiment.sh"
use_sets
[ -n "$teacher" ] || fail "--teacher is needed" "  expected: networks below exp, such as 'dnn cnn'"
for net in $teacher cnn; do need "exp/$net/model.safetensors"; done
need exp/{frames_train,frames_dev,tri3/graph}/.done "data/${test_set}_fbank/feats.scp"
use_preset cnn
use_base_seed
cnn_of() { if [ "$1" = "$base" ]; then echo cnn; else echo "seed$1/cnn"; fi; }

if begin 1 "CNNs with the other seeds"; then
  for seed in $seeds; do
    net=$(cnn_of "$seed")
    [ "$seed" = "$base" ] || spawn "exp/$net/log/train.log" train_net "$net" cnn "$seed"
  done
  join
  end
fi

if begin 2 "the teacher's soft labels, students"; then
  average "$name/teacher" "" $teacher
  evaluate "$name/teacher"
  dump "$name/teacher" "$nj"
  for seed in $seeds; do
    spawn "exp/$name/student$seed/log/train.log" train_student "$name/student$seed" "$seed" "$lambda" "$top_c" "$name/teacher"
  done
  join
  end
fi

systems="$name/teacher"
for seed in $seeds; do systems+=" $(cnn_of "$seed") $name/student$seed"; done

if begin 3 "decoding with $decoder"; then
  for set in dev "$test_set"; do
    for system in $systems; do
      # Once run.sh has decoded its CNN, with the ensembles that share work with it, that is not done again.
      [ "$system" = cnn ] && [ -e "exp/cnn/decode_${set}_$lm/num_jobs" ] || spawn "" decode_systems "$set" "$system"
    done
  done
  join
  end
fi

if begin 4 "table"; then
  made=() rows=()
  for system in $systems; do made+=(--in "exp/$system/decode_dev_$lm" --in "exp/$system/decode_${test_set}_$lm"); done
  rows+=("$name/teacher=the teacher: ${teacher// / + }")
  for seed in $seeds; do rows+=("$(cnn_of "$seed")=vision-style CNN, seed $seed"); done
  for seed in $seeds; do rows+=("$name/student$seed=taught, seed $seed"); done
  once "${made[@]}" --out "exp/$name/results" -- \
    steps/make_tables --dev dev --test "$test_set" --lm "$lm" --baseline cnn exp "exp/$name/results" "${rows[@]}"
  end "exp/$name/results/RESULTS.md"
fi

finish
