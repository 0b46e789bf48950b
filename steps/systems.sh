# How networks are trained, averaged, evaluated, dumped and decoded; sourced by steps/hybrid.sh and by local/run_paper.sh, so that
# each command is written once and what one of them has done counts as done for the other. A system's name is its path under exp:
# cnn, seed2/cnn. Needs utils/stages.sh, cmd.sh, $conf with its sizes.sh, $nj, $test_set, $lm and $decoder.
# Commands ($train_cmd) are meant to split into words.
# shellcheck shell=bash disable=SC2154,SC2086

gmms="mono tri1 tri2 tri3"
device=${device:-cpu}  # where networks are evaluated; sizes.sh of a preset may say cuda
lda_opts=${lda_opts:-}  # of steps/train_lda_mllt; sizes.sh of a preset may say, as of what follows
dnn_passes=${dnn_passes:-1} dnn_ali_opts=${dnn_ali_opts:-}  # DNNs trained one after another for the labels, options of steps/align_nnet
speeds=${speeds:-}  # of copies of the training set, such as 0.9,1,1.1; '': the set as it is, as in the paper. sizes.sh may say
decode_nj=1  # as many decodings side by side as there are jobs
more_tests=${more_tests:-}  # test sets beside $test_set, with tables of their own
rescore_lm=${rescore_lm:-}  # name of a larger language model, $rescore_arpa, for lattices that $lm_arpa made; '': none

train_gmms() { # data folder: the ladder, each model from the alignment of the one before
  local gmm=(--nj "$nj" --cmd "$train_cmd")
  once --out "$2/mono" -- steps/train_mono "${gmm[@]}" $mono_opts --totgauss "$mono_gauss" "$1" data/lang "$2/mono"
  once --out "$2/mono_ali" -- steps/align_si "${gmm[@]}" "$1" data/lang "$2/mono" "$2/mono_ali"
  once --out "$2/tri1" -- steps/train_deltas "${gmm[@]}" $tri_opts $tri1_size "$1" data/lang "$2/mono_ali" "$2/tri1"
  once --out "$2/tri1_ali" -- steps/align_si "${gmm[@]}" "$1" data/lang "$2/tri1" "$2/tri1_ali"
  once --out "$2/tri2" -- steps/train_lda_mllt "${gmm[@]}" $tri_opts $lda_opts $tri2_size "$1" data/lang "$2/tri1_ali" "$2/tri2"
  once --out "$2/tri2_ali" -- steps/align_si "${gmm[@]}" "$1" data/lang "$2/tri2" "$2/tri2_ali"
  once --out "$2/tri3" -- steps/train_sat "${gmm[@]}" $tri_opts $tri3_size "$1" data/lang "$2/tri2_ali" "$2/tri3"
}

train_net() { # name config seed options...
  local name=$1 config=$2 seed=$3
  shift 3
  once --out "exp/$name" -- \
    $cuda_cmd "exp/$name/log/train.log" \
    steps/train_nnet --config "$conf/$config.yaml" --seed "$seed" "$@" exp/frames_train exp/frames_dev "exp/$name"
}

soft_labels() { # teacher: where its dump lies, beside it
  local own=${1##*/}
  echo "exp/${1%"$own"}soft_$own"
}

# Architecture and procedure of a student are the CNN's, only the labels differ (paper, section 5.3).
train_student() { # name seed lambda C [teacher]: a CNN taught by the two LSTMs, or by another ensemble
  train_net "$1" cnn "$2" --soft-labels "$(soft_labels "${5-ens_2lstm}")" --soft-weight "$3" --top-c "$4"
}

train_self() { # name seed: a CNN taught by a CNN of its own kind, lambda and C as in the paper
  train_net "$1" cnn "$2" --soft-labels exp/soft_cnn --soft-weight 0.5 --top-c 90
}

average() { # name weights members...: an ensemble; weights as in 0.3,0.7, or '' for equal ones
  local name=$1 weights=()
  if [ -n "$2" ]; then weights=(--weights "$2"); fi
  shift 2
  once --out "exp/$name" -- steps/make_ensemble "${weights[@]}" "exp/$name" "${@/#/exp/}"
}

evaluate() { # ensembles...: FER on dev, in one pass in which what they share is computed once
  local name outs=() folders=()
  for name in "$@"; do outs+=(--out "exp/$name") folders+=("exp/$name"); done
  once "${outs[@]}" --name eval -- \
    $train_cmd "exp/$1/log/eval.log" steps/eval_nnet --device "$device" exp/frames_dev "${folders[@]}"
}

dump() { # teacher jobs
  local out
  out=$(soft_labels "$1")
  once --out "$out" -- \
    steps/dump_posteriors --nj "$2" --cmd "$train_cmd" --device "$device" --top-c 90 "exp/$1" exp/frames_train "$out"
}

make_graph() { # a GMM's name
  once --out "exp/$1/graph" -- $train_cmd "exp/$1/log/mkgraph.log" steps/mkgraph data/lang "exp/$1" "exp/$1/graph"
}

decode_systems() { # set names...: dev, where the LM scale and the insertion penalty are tuned, or the test set
  local set=$1 graph=exp/tri3/graph suffix=_fbank step=decode name marked=() folders=()
  shift
  if [[ " $gmms " = *" ${1##*/} "* ]]; then graph=exp/$1/graph suffix=; fi
  if [ "${1##*/}" = tri3 ]; then step=decode_fmllr; fi
  for name in "$@"; do
    folders+=("exp/$name/decode_${set}_$lm")
    marked+=(--in "exp/$name" --out "exp/$name/decode_${set}_$lm")
  done
  once "${marked[@]}" -- \
    steps/$step --nj "$decode_nj" --cmd "$decode_cmd" --decoder "$decoder" --device "$device" --acwt "$acwt" --beam "$beam" \
    --lattice-beam "$lattice_beam" --max-active "$max_active" "$graph" "data/$set$suffix" "${folders[@]}"
}

rescore_systems() { # set names...: their lattices with the larger model; few jobs, as each holds it in memory; no preset's lattices are
  # wider than that beam
  local set=$1 name marked=() folders=()
  shift
  for name in "$@"; do
    marked+=(--out "exp/$name/decode_${set}_$rescore_lm")
    folders+=("exp/$name/decode_${set}_$lm" "exp/$name/decode_${set}_$rescore_lm")
  done
  once "${marked[@]}" -- \
    steps/lmrescore --nj "$((nj < 4 ? nj : 4))" --cmd "$decode_cmd" --acwt "$acwt" --beam 8 "$lm_arpa" "$rescore_arpa" "data/$set" data/lang "${folders[@]}"
}

score_by_stm() { # name [lm [test set]]: by NIST's rules, at the LM weight and penalty of dev alone: sweeping them here would only tempt
  local used=${2:-$lm} set=${3:-$test_set}
  once --in "exp/$1/decode_dev_$used" --out "exp/$1/decode_${set}_$used" --name stm -- \
    local/score.sh --cmd "$decode_cmd" --tuned-on "exp/$1/decode_dev_$used" "data/$set" data/lang "exp/$1/decode_${set}_$used"
}
