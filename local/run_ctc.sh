#!/usr/bin/env bash
# Networks that CTC trains, beside the hybrid systems, on the corpus of a recipe whose run.sh has come to stage 9: called in the recipe's
# folder. Lists of systems and commands ($train_cmd) are meant to split into words.
# shellcheck disable=SC2086,SC2206
set -euo pipefail

stop_stage=4           # last stage to run
seed=1                 # of every network
systems="bigru graphemes"
hybrids="tri3 dnn cnn lstm1"  # rows of the table beside them
prefix=true            # decode the first of the systems by prefix search too
prefix_opts=           # options of steps/decode_prefix
help_message="Usage: local/run_ctc.sh [options]
 e.g.: cd egs/switchboard && ./run.sh && local/run_ctc.sh
       local/run_ctc.sh --systems 'bigru blstm'

Stages: 1 stores of units, 2 networks, 3 graphs and decoding, 4 tables: exp/ctc/results/RESULTS.md

Options:
  --systems '.. ..'          bigru graphemes blstm lstmp tdnn [$systems]
  --hybrids '.. ..'          systems of run.sh that stand in the table too [$hybrids]
  --prefix true|false        decode the first of the systems by prefix search too [$prefix]
  --prefix-opts '.. ..'      options of steps/decode_prefix, such as '--prefixes 100'
  --seed N                   [$seed]"

. "$(dirname "$0")/../steps/experiment.sh"
use_sets
need exp/dnn_ali_train/.done exp/dnn_ali_dev/.done exp/frames_train/.done "data/${test_set}_fbank/feats.scp"
use_preset ctc
train_data=data/train_fbank
if [ -n "$speeds" ]; then train_data=data/train_sp_fbank; fi

# What each differs by from the preset's Conv-BiGRU over phones, and what tables call it.
declare -A differs=(
  [bigru]="--dropout 0.2" [graphemes]="--dropout 0.2" [lstmp]="--arch recurrent" [tdnn]="--arch tdnn"
  [blstm]="--arch recurrent --bidirectional true --delay 0 --projection 0 --head 0 --dropout 0.2")
declare -A called=(
  [bigru]="Conv-BiGRU, CTC of phones" [graphemes]="Conv-BiGRU, CTC of graphemes" [blstm]="BLSTM, CTC of phones"
  [lstmp]="LSTMP, CTC of phones" [tdnn]="TDNN, CTC of phones")
for name in $systems; do [ -n "${called[$name]-}" ] || fail "no system '$name'" "  expected: ${!called[*]}"; done
units_of() { if [ "$1" = graphemes ]; then echo graphemes; else echo phones; fi; }

if begin 1 "stores of units: phones that the alignment found spoken, graphemes of the transcripts"; then
  for units in phones graphemes; do
    for set in train dev; do
      data=$train_data alignment=exp/dnn_ali_train
      if [ "$set" = dev ]; then data=data/dev_fbank alignment=exp/dnn_ali_dev; fi
      if [ "$units" = graphemes ]; then alignment=; fi
      once --out "exp/ctc/${units}_$set" -- \
        $train_cmd "exp/ctc/log/${units}_$set.log" steps/make_ctc_store --units "$units" "$data" data/lang $alignment "exp/ctc/${units}_$set"
    done
  done
  end
fi

train_ctc() { # name
  local units
  units=$(units_of "$1")
  once --out "exp/ctc/$1" -- \
    $cuda_cmd "exp/ctc/$1/log/train.log" \
    steps/train_nnet --config "$conf/ctc.yaml" --seed "$seed" ${differs[$1]} "exp/ctc/${units}_train" "exp/ctc/${units}_dev" "exp/ctc/$1"
}

if begin 2 "networks by CTC"; then
  for name in $systems; do spawn "exp/ctc/$name/log/train.log" train_ctc "$name"; done
  join
  end
fi

decode_ctc() { # set name
  local folder=exp/ctc/$2/decode_${1}_$lm
  once --in "exp/ctc/$2" --out "$folder" -- \
    steps/decode --nj "$decode_nj" --cmd "$decode_cmd" --decoder "$decoder" --device "$device" --acwt "$acwt" --beam "$beam" \
    --lattice-beam "$lattice_beam" --max-active "$max_active" "exp/ctc/$2/graph" "data/${1}_fbank" "$folder"
}

decode_by_prefix() { # set name; its directories stand where those of a system called prefix would
  local folder=exp/ctc/prefix/decode_${1}_$lm
  once --in "exp/ctc/$2" --out "$folder" -- \
    steps/decode_prefix $prefix_opts --nj "$decode_nj" --cmd "$decode_cmd" --device "$device" --model "exp/ctc/$2" "exp/ctc/$2/graph" "data/${1}_fbank" "$folder"
}

if begin 3 "graphs and decoding with $decoder"; then
  for name in $systems; do
    once --in "exp/ctc/$name" --out "exp/ctc/$name/graph" -- \
      $train_cmd "exp/ctc/$name/log/mkgraph.log" steps/mkgraph data/lang "exp/ctc/$name" "exp/ctc/$name/graph"
  done
  for set in dev "$test_set"; do
    for name in $systems; do spawn "" decode_ctc "$set" "$name"; done
    if [ "$prefix" = true ]; then spawn "" decode_by_prefix "$set" "${systems%% *}"; fi
  done
  join
  end
fi

if begin 4 "tables, beside the hybrids"; then
  made=() rows=($hybrids)
  for name in $hybrids; do made+=(--in "exp/$name/decode_dev_$lm" --in "exp/$name/decode_${test_set}_$lm"); done
  for name in $systems; do rows+=("ctc/$name=${called[$name]}") made+=(--in "exp/ctc/$name/decode_dev_$lm" --in "exp/ctc/$name/decode_${test_set}_$lm"); done
  if [ "$prefix" = true ]; then
    rows+=("ctc/prefix=${called[${systems%% *}]}, prefix search")
    made+=(--in "exp/ctc/prefix/decode_dev_$lm" --in "exp/ctc/prefix/decode_${test_set}_$lm")
  fi
  once "${made[@]}" --out exp/ctc/results -- \
    steps/make_tables --dev dev --test "$test_set" --lm "$lm" --baseline "${rows[0]}" exp exp/ctc/results "${rows[@]}"
  end exp/ctc/results/RESULTS.md
fi

finish
