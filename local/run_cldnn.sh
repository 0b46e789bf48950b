#!/usr/bin/env bash
# The comparisons of Sainath et al. (2015), CLDNN, on the corpus of a recipe whose run.sh has finished, and the CLDNN as a teacher beside
# run.sh's LSTMs: called in the recipe's folder. Lists of systems are meant to split into words.
# shellcheck disable=SC2086
set -euo pipefail

stop_stage=4           # last stage to run
seed=1                 # of every network
systems=               # empty: all
lambda=0.75 top_c=90   # of the students: weight of the soft labels, classes kept per frame
help_message="Usage: local/run_cldnn.sh [options]
 e.g.: cd egs/switchboard && ./run.sh && local/run_cldnn.sh
       local/run_cldnn.sh --systems 'lstm cldnn'

Stages: 1 networks, 2 with cldnn among them: CNNs taught by it, and by it and run.sh's LSTMs, 3 decoding,
        4 tables, run.sh's networks beside: exp/cldnn/results/RESULTS.md

Options:
  --systems '.. ..'          lstm cnn_lstm lstm_dnn cldnn cldnn_short cldnn_skip cldnn_gaussian cldnn_context20 cldnn_chunk30 tdnn blstm; empty: all
  --lambda X --top-c N       of the students: weight of the soft labels, classes kept per frame [$lambda, $top_c]
  --seed N                   [$seed]"

. "$(dirname "$0")/../steps/experiment.sh"
use_sets
need exp/{frames_train,frames_dev,tri3/graph,timing,soft_ens_2lstm}/.done "data/${test_set}_fbank/feats.scp"
use_preset cldnn

# What each differs by from the CLDNN of the preset, and what tables call it. The CLDNN itself has a context of 10, chunks of 20 and uniform
# initial weights; its LSTM does not see the frame itself, nor its fully connected layers the convolutions.
declare -A differs=(
  [lstm]="--arch recurrent --head 0" [cnn_lstm]="--short-term false --head 0" [lstm_dnn]="--arch recurrent"
  [cldnn]="--short-term false" [cldnn_short]="--short-term true" [cldnn_skip]="--short-term false --skip true"
  [cldnn_gaussian]="--short-term false --recurrent-init gaussian" [cldnn_context20]="--short-term false --context 20"
  [cldnn_chunk30]="--short-term false --chunk 30" [tdnn]="--arch tdnn" [blstm]="")
declare -A called=(
  [lstm]="LSTM" [cnn_lstm]="CNN + LSTM" [lstm_dnn]="LSTM + DNN" [cldnn]="CLDNN" [cldnn_short]="CLDNN, frame to the LSTM too"
  [cldnn_skip]="CLDNN, CNN to the DNN too" [cldnn_gaussian]="CLDNN, Gaussian weights" [cldnn_context20]="CLDNN, context 20"
  [cldnn_chunk30]="CLDNN, unrolled 30" [tdnn]="TDNN" [blstm]="BLSTM over utterances")
[ -n "$systems" ] || systems="lstm cnn_lstm lstm_dnn cldnn cldnn_short cldnn_skip cldnn_gaussian cldnn_context20 cldnn_chunk30 tdnn blstm"
for name in $systems; do [ -n "${called[$name]-}" ] || fail "no system '$name'" "  expected: ${!called[*]}"; done

# A BLSTM learns from whole utterances, not chunks, so its batches, rate and sizes are its own.
config_of() { if [ "$1" = blstm ]; then echo blstm; else echo cldnn; fi; }

if begin 1 "networks over utterances"; then
  for name in $systems; do spawn "exp/cldnn/$name/log/train.log" train_net "cldnn/$name" "$(config_of "$name")" "$seed" ${differs[$name]}; done
  join
  end
fi

students=
if [[ " $systems " = *" cldnn "* ]]; then students="cldnn/student_cldnn cldnn/student_lstms_cldnn"; fi

if begin 2 "the CLDNN as a teacher, alone and beside the LSTMs"; then
  if [ -n "$students" ]; then
    average cldnn/ens_lstms_cldnn "" lstm1 lstm2 cldnn/cldnn
    spawn exp/cldnn/ens_lstms_cldnn/log/eval.log evaluate cldnn/ens_lstms_cldnn
    spawn "" dump cldnn/cldnn 1
    join
    dump cldnn/ens_lstms_cldnn "$nj"
    spawn exp/cldnn/student_cldnn/log/train.log train_student cldnn/student_cldnn "$seed" "$lambda" "$top_c" cldnn/cldnn
    spawn exp/cldnn/student_lstms_cldnn/log/train.log train_student cldnn/student_lstms_cldnn "$seed" "$lambda" "$top_c" cldnn/ens_lstms_cldnn
    join
  fi
  end
fi

if begin 3 "decoding with $decoder"; then
  for set in dev "$test_set"; do
    if [ -n "$students" ]; then spawn "" decode_systems "$set" cldnn/ens_lstms_cldnn cldnn/cldnn; fi
    for name in $systems; do [ "$name" = cldnn ] || spawn "" decode_systems "$set" "cldnn/$name"; done
    for name in $students; do spawn "" decode_systems "$set" "$name"; done
  done
  join
  end
fi

if begin 4 "tables"; then
  made=() rows=() models=()
  add() { # name under exp, what tables call it
    made+=(--in "exp/$1/decode_dev_$lm" --in "exp/$1/decode_${test_set}_$lm") models+=("exp/$1") rows+=("$1=$2")
  }
  for name in $systems; do add "cldnn/$name" "${called[$name]}"; done
  if [ -n "$students" ]; then
    add cldnn/ens_lstms_cldnn "2 BLSTMs + CLDNN ensemble"
    add cldnn/student_cldnn "CNN taught by the CLDNN"
    add cldnn/student_lstms_cldnn "CNN taught by 2 BLSTMs + CLDNN"
  fi
  add cnn "vision-style CNN" && add lstm1 "BLSTM 1, windows" && add lstm2 "BLSTM 2, windows" && add ens_2lstm "2 BLSTMs, windows"
  if [ -e "exp/student_l${lambda}_c$top_c/.done" ]; then add "student_l${lambda}_c$top_c" "CNN taught by 2 BLSTMs"; fi
  once --out exp/cldnn/timing -- $train_cmd exp/cldnn/timing/log/time_nnets.log steps/time_nnets exp/cldnn/timing/timing.json exp/frames_dev "${models[@]}"
  once "${made[@]}" --in exp/cldnn/timing --out exp/cldnn/results -- \
    steps/make_tables --dev dev --test "$test_set" --lm "$lm" --timing exp/cldnn/timing exp exp/cldnn/results "${rows[@]}"
  end exp/cldnn/results/RESULTS.md
fi

finish
