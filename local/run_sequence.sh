#!/usr/bin/env bash
# Sequence training, MMI and sMBR, of networks that a recipe's run.sh has trained on frames and decoded: called in the recipe's folder.
# The lattices to learn from are k2's whatever --decoder says.
# Lists of systems are meant to split into words.
# shellcheck disable=SC2086
set -euo pipefail

stop_stage=5           # last stage to run
seed=1                 # of the order of utterances
systems="dnn_mmi dnn_smbr cnn_mmi cnn_smbr"  # network and objective; the network is exp/NETWORK, its config conf/PRESET/NETWORK.yaml
help_message="Usage: local/run_sequence.sh [options]
 e.g.: cd egs/switchboard && ./run.sh && local/run_sequence.sh
       local/run_sequence.sh --systems 'cnn_smbr lstm1_smbr'

Stages: 1 unigram graph, 2 lattices of the training and dev utterances, 3 training, 4 decoding,
        5 tables: exp/sequence/results/RESULTS.md

Options:
  --systems '.. ..'          NETWORK_mmi or NETWORK_smbr, of any network of run.sh [$systems]
  --seed N                   [$seed]"

. "$(dirname "$0")/../steps/experiment.sh"
use_sets
use_preset sequence
nets=
for name in $systems; do
  net=${name%_*}
  case $name in ?*_mmi | ?*_smbr) ;; *) fail "no system '$name'" "  expected: a network's name, then _mmi or _smbr" ;; esac
  need "exp/$net/.done" exp/frames_train/.done exp/frames_dev/.done "exp/$net/decode_dev_$lm/num_jobs" "exp/$net/decode_${test_set}_$lm/num_jobs"
  [ -f "$conf/$net.yaml" ] || fail "no $conf/$net.yaml" "  expected: the config that exp/$net was trained with"
  [[ " $nets " = *" $net "* ]] || nets+=" $net"
done
denlat_opts=${denlat_opts:---beam 11 --lattice-beam 5 --max-active 3000}  # beams of the lattices to learn from; sizes.sh of a preset may say

# The weaker the grammar, the more the acoustics have to tell words apart, on utterances that the network knows by heart.
if begin 1 "unigram of the training transcripts, its graph"; then
  once --out exp/sequence/lm -- steps/train_lm --order 1 data/train/text data/lang exp/sequence/lm/1gram.arpa.gz
  once --out exp/sequence/lang -- steps/format_lm exp/sequence/lm/1gram.arpa.gz data/lang exp/sequence/lang
  once --out exp/sequence/graph -- \
    $train_cmd exp/sequence/graph/log/mkgraph.log steps/mkgraph exp/sequence/lang exp/tri3 exp/sequence/graph
  end
fi

if begin 2 "lattices"; then
  for net in $nets; do for set in dev train; do
    once --out "exp/sequence/denlats_${net}_$set" -- \
      steps/make_denlats --nj "$nj" --cmd "$decode_cmd" --device "$device" --acwt "$acwt" $denlat_opts data/lang exp/tri3 exp/sequence/graph \
      "exp/frames_$set" "exp/$net" "exp/sequence/denlats_${net}_$set"
  done; done
  end
fi

if begin 3 "MMI and sMBR training"; then
  for name in $systems; do
    net=${name%_*}
    spawn "exp/sequence/$name/log/train.log" train_net "sequence/$name" "$net" "$seed" --config "$conf/sequence.yaml" --objective "${name##*_}" \
      --init "exp/$net" --denlats "exp/sequence/denlats_${net}_train" --dev-denlats "exp/sequence/denlats_${net}_dev"
  done
  join
  end
fi

if begin 4 "decoding with $decoder"; then
  for name in $systems; do for set in dev "$test_set"; do spawn "" decode_systems "$set" "sequence/$name"; done; done
  join
  end
fi

if begin 5 "tables, the networks that training began with beside"; then
  made=() rows=() models=()
  declare -A called=([mmi]=MMI [smbr]=sMBR)
  for net in $nets; do
    rows+=("$net") models+=("exp/$net")
    for name in $systems; do
      if [ "${name%_*}" = "$net" ]; then rows+=("sequence/$name=$net, ${called[${name##*_}]}") models+=("exp/sequence/$name"); fi
    done
  done
  for row in "${rows[@]}"; do made+=(--in "exp/${row%%=*}/decode_dev_$lm" --in "exp/${row%%=*}/decode_${test_set}_$lm"); done
  once --out exp/sequence/timing -- $train_cmd exp/sequence/timing/log/time_nnets.log steps/time_nnets exp/sequence/timing/timing.json exp/frames_dev "${models[@]}"
  once "${made[@]}" --in exp/sequence/timing --out exp/sequence/results -- \
    steps/make_tables --dev dev --test "$test_set" --lm "$lm" --timing exp/sequence/timing --baseline "${rows[0]}" exp exp/sequence/results "${rows[@]}"
  end exp/sequence/results/RESULTS.md
fi

finish
