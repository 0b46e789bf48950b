# Stages 2 to 10, from a data directory and a lang directory to tables; sourced by a recipe's run.sh, which has set the
# options, $preset, $test_set, $lm and the commands, and has run stages 0 and 1. Stages talk through files only.
# Commands and lists ($train_cmd, $nets) are meant to split into words.
# shellcheck shell=bash disable=SC2154,SC2086

conf=conf/$preset
features_conf=${features_conf:-conf}  # folder of mfcc.yaml and fbank.yaml
# Numbers of Gaussians and leaves, acoustic scale, beams: what a corpus' size decides and no network's config holds.
. "$conf/sizes.sh"
. steps/systems.sh
nets="cnn sainath lstm1 lstm2"
# What the networks train on, under the name of train from stage 3 on: the training set, or copies of it at several speeds.
network_train=train
if [ -n "$speeds" ]; then network_train=train_sp; fi

features() { # set
  once --out "data/${1}_fbank" --name copy -- utils/copy_data_dir "data/$1" "data/${1}_fbank"
  once --out "data/$1" --name mfcc -- \
    steps/make_mfcc --nj "$nj" --cmd "$train_cmd" --config "$features_conf/mfcc.yaml" "data/$1"
  once --out "data/$1" --name cmvn -- $train_cmd "data/$1/log/cmvn.log" steps/compute_cmvn_stats "data/$1"
  once --out "data/${1}_fbank" --name fbank -- \
    steps/make_fbank --nj "$nj" --cmd "$train_cmd" --config "$features_conf/fbank.yaml" "data/${1}_fbank"
  once --out "data/${1}_fbank" --name cmvn -- $train_cmd "data/${1}_fbank/log/cmvn.log" steps/compute_cmvn_stats "data/${1}_fbank"
}

if begin 2 "features: MFCC for the GMMs, 31-channel 10th-root filterbank for the networks"; then
  # Small sets beside one another, as each step takes seconds to start; the large one alone, as its jobs fill the cores.
  features train
  if [ -n "$speeds" ]; then
    once --out data/train_sp -- utils/perturb_data_dir_speed "$speeds" data/train data/train_sp
    features train_sp
  fi
  for set in dev $test_set $more_tests; do spawn "" features "$set"; done
  join
  end
fi

if begin 3 "GMM-HMM: monophones, triphones, LDA+MLLT, speaker-adaptive training"; then
  train_gmms data/train exp
  gmm=(--nj "$nj" --cmd "$train_cmd")
  once --out exp/tri3_ali_train -- steps/align_fmllr "${gmm[@]}" "data/$network_train" data/lang exp/tri3 exp/tri3_ali_train
  once --out exp/tri3_ali_dev -- steps/align_fmllr "${gmm[@]}" data/dev data/lang exp/tri3 exp/tri3_ali_dev
  end
fi

frame_store() { # data alignments folder
  once --out "$3" -- $train_cmd "$1/log/${3##*/}.log" steps/make_frame_store "$1" "$2" "$3"
}

if begin 4 "DNN, forced alignment by it, pdf labels, frame store"; then
  declare -A data=([train]="data/${network_train}_fbank" [dev]=data/dev_fbank)
  # The labels of every other network: the transcript aligned by the DNN, as in the paper. With more than one pass its own labels are those
  # of another DNN, dnn_pass1, which has learnt the GMM's.
  labels=tri3
  for ((pass = 1; pass <= dnn_passes; pass++)); do
    dnn=dnn_pass$pass
    if [ "$pass" = "$dnn_passes" ]; then dnn=dnn; fi
    for set in train dev; do frame_store "${data[$set]}" "exp/${labels}_ali_$set" "exp/frames_${labels}_$set"; done
    once --out "exp/$dnn" -- \
      $cuda_cmd "exp/$dnn/log/train.log" \
      steps/train_nnet --config "$conf/dnn.yaml" --seed "$seed" "exp/frames_${labels}_train" "exp/frames_${labels}_dev" "exp/$dnn"
    for set in train dev; do
      once --out "exp/${dnn}_ali_$set" -- \
        steps/align_nnet --nj "$nj" --cmd "$train_cmd" --device "$device" $dnn_ali_opts "${data[$set]}" data/lang "exp/$dnn" \
        "exp/tri3_ali_$set" "exp/${dnn}_ali_$set"
      once --out "exp/${dnn}_ali_$set" --name compare -- \
        $train_cmd "exp/${dnn}_ali_$set/log/compare.log" utils/compare_alignments "exp/${labels}_ali_$set" "exp/${dnn}_ali_$set"
    done
    labels=$dnn
  done
  for set in train dev; do frame_store "${data[$set]}" "exp/dnn_ali_$set" "exp/frames_$set"; done
  evaluate dnn
  end
fi

if begin 5 "CNNs on hard labels: vision-style and Sainath-style"; then
  for net in cnn sainath; do spawn "exp/$net/log/train.log" train_net "$net" "$net" "$seed"; done
  join
  end
fi

if begin 6 "teachers: peephole BLSTMs"; then
  for net in lstm1 lstm2; do spawn "exp/$net/log/train.log" train_net "$net" "$net" "$seed"; done
  join
  end
fi

# Averaged posteriors. The teacher is the two LSTMs; LSTM + CNN is what blending has to match at a fraction of the cost.
ensembles="ens_lstm_cnn ens_2lstm ens_2lstm_cnn"
if begin 7 "ensembles; top-C posteriors of the teachers"; then
  average ens_lstm_cnn "" lstm1 cnn
  average ens_2lstm "" lstm1 lstm2
  average ens_2lstm_cnn "" lstm1 lstm2 cnn
  spawn exp/ens_lstm_cnn/log/eval.log evaluate $ensembles
  spawn "" dump cnn 1
  join
  dump ens_2lstm "$nj"
  end
fi

students=
for c in $top_cs; do for lambda in $lambdas; do students+=" student_l${lambda}_c$c"; done; done

if begin 8 "students: CNNs taught by the LSTMs, and by a CNN of their own kind"; then
  for name in $students; do
    lambda=${name#student_l}
    spawn "exp/$name/log/train.log" train_student "$name" "$seed" "${lambda%_c*}" "${name##*_c}"
  done
  spawn exp/self/log/train.log train_self self "$seed"
  join
  end
fi

systems="$gmms dnn $nets $ensembles self$students"

if begin 9 "graphs, decoding of every system with $decoder"; then
  for name in $gmms; do make_graph "$name"; done
  # Together, as what ensembles share with their members is then computed once; first, as these take longest.
  for set in dev $test_set $more_tests; do spawn "" decode_systems "$set" cnn lstm1 lstm2 $ensembles; done
  for name in $gmms dnn sainath self $students; do
    for set in dev $test_set $more_tests; do spawn "" decode_systems "$set" "$name"; done
  done
  join
  if [ -n "$rescore_lm" ]; then
    for set in dev $test_set $more_tests; do rescore_systems "$set" $systems; done
  fi
  end
fi

tabulate() { # test set, lm: tables, figures and tests between systems of what was decoded, or rescored, with one language model; sets $folder
  local name decoded=()
  folder=exp/results
  if [ "$1" != "$test_set" ]; then folder+=_$1; fi
  if [ "$2" != "$lm" ]; then folder+=_$2; fi
  for name in $systems; do decoded+=(--in "exp/$name/decode_dev_$2" --in "exp/$name/decode_$1_$2"); done
  once "${decoded[@]}" --out "$folder" -- \
    steps/make_tables --dev dev --test "$1" --lm "$2" --timing exp/timing --baseline cnn exp "$folder" $systems
  once "${decoded[@]}" --in "$folder" --out "$folder" --name significance -- \
    steps/compare_systems --dev dev --test "$1" --lm "$2" exp "$folder/significance.tsv" $systems
}

if begin 10 "NIST scoring where the test set has stm and glm, tables, figures, report"; then
  for set in $test_set $more_tests; do
    has "data/$set/stm" || continue
    for name in $systems; do
      for used in $lm $rescore_lm; do spawn "" score_by_stm "$name" "$used" "$set"; done
    done
  done
  join
  models=()
  for name in dnn $nets $ensembles self$students; do models+=("exp/$name"); done
  once --out exp/timing -- $train_cmd exp/timing/log/time_nnets.log steps/time_nnets exp/timing/timing.json exp/frames_dev "${models[@]}"
  others=() other_names=
  for set in $test_set $more_tests; do
    for used in $lm $rescore_lm; do
      tabulate "$set" "$used"
      if [ "$folder" != exp/results ]; then others+=(--in "$folder") other_names+=${other_names:+,}$folder; fi
    done
  done
  once --out exp/confusions -- \
    $train_cmd exp/confusions/log/confusions.log \
    steps/phone_confusions --device "$device" data/lang exp/dnn_ali_dev exp/frames_dev exp/confusions exp/cnn
  once --in exp/confusions "${others[@]}" --out exp/results --name report -- \
    steps/make_report --nj "$nj" --cmd "$decode_cmd" --lm "$lm" --more "$other_names" data/dev "data/$test_set" data/lang exp exp/results
  end exp/results/RESULTS.md
fi

finish --preset "$preset" --corpus "$corpus_name" --classes "${tri3_size%% *}"
