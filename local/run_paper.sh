#!/usr/bin/env bash
# Every experiment of "Blending LSTMs into CNNs" (Geras et al. 2016), section 5, on the corpus of a recipe whose run.sh has finished: called
# in the recipe's folder. docs/paper.md says what each experiment is, how long it takes and how to read exp/paper/PAPER.md.
# Lists, such as $seeds and the names of systems (paths under exp), are meant to split into words.
# shellcheck disable=SC2086,SC2046
set -euo pipefail

stop_stage=5           # last stage to run
seeds="1 2 3"          # the first is run.sh's: its networks are in exp, those of the others in exp/seedN
grid_seeds=            # seeds of the lambda x C grid; empty: the first
lambdas="0.25 0.5 0.75 1"                    # weights of the soft labels, Eq. 1; 0 is the baseline CNN
top_cs="1 3 10 30 90"                        # classes kept per frame
gammas="0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1"  # weights of the first network of a pair
help_message="Usage: local/run_paper.sh [options]
 e.g.: ./run.sh && local/run_paper.sh                   # all of it
       local/run_paper.sh --seeds 1 --stage 2 --stop-stage 2     # the grid alone
       local/run_paper.sh --grid-seeds '1 2 3'                   # the grid as the paper has it, a mean of three

Stages: 1 networks with the other seeds, 2 students of the lambda x C grid, 3 ensembles and the gamma sweep, 4 decoding,
        5 analyses, tables and figures: exp/paper/PAPER.md

Options:
  --seeds '.. ..'            the first is run.sh's [$seeds]
  --grid-seeds '.. ..'       seeds of the grid; empty: the first of --seeds
  --lambdas '.. ..'          weights of the soft labels [$lambdas]
  --top-cs '.. ..'           classes kept per frame [$top_cs]
  --gammas '.. ..'           weights of a pair's first network [$gammas]"

. "$(dirname "$0")/../steps/experiment.sh"

numbers() { # name least most values...: in their shortest form, as they name folders (0.50 and .5 are 0.5), each once
  local name=$1 least=$2 most=$3
  shift 3
  [ $# -gt 0 ] || fail "--$name needs at least one number"
  printf '%s\n' "$@" | awk -v least="$least" -v most="$most" '
    $1 !~ /^[0-9]*[.]?[0-9]+$/ || $1 + 0 < least || $1 + 0 > most { print > "/dev/stderr"; exit 1 }
    !seen[$1 + 0]++ { printf "%s%.10g", sep, $1; sep = " " }' ||
    fail "--$name takes numbers from $least to $most, separated by spaces"
}
seeds=$(numbers seeds 0 1000000000 $seeds)
grid_seeds=$(numbers grid-seeds 0 1000000000 ${grid_seeds:-${seeds%% *}})
lambdas=$(numbers lambdas 0 1 $lambdas)
top_cs=$(numbers top-cs 1 90 $top_cs)
gammas=$(numbers gammas 0 1 $gammas)
[[ " $lambdas " != *" 0 "* ]] || fail "--lambdas: 0 is the baseline, which run.sh has trained" "  expected: weights above 0"

# What run.sh has made is used as it is.
use_sets
need exp/{frames_train,frames_dev,cnn,sainath,lstm1,lstm2,ens_lstm_cnn,ens_2lstm,ens_2lstm_cnn,self,soft_ens_2lstm,soft_cnn}/.done
need "data/${test_set}_fbank" exp/cnn/decode_{dev,"$test_set"}"_$lm"
use_preset cnn
use_base_seed

set -- $seeds
second=${2-} third=${3-}
others=${seeds#"$base"}
declare -A folder  # of a seed, under exp
for seed in $seeds $grid_seeds; do folder[$seed]=seed$seed/; done
folder[$base]=

# Students beside run.sh's: Table 1's with every seed, and the grid's. All have the same two LSTMs for a teacher, as in the paper.
run_has() { grep -qs "\"$1\"" exp/results/.done; }  # name: a system in run.sh's own tables
grid() { # seeds lambdas Cs: names
  local seed lambda c
  for seed in $1; do for c in $3; do for lambda in $2; do echo "${folder[$seed]}student_l${lambda}_c$c"; done; done; done
}
students() { # seeds lambdas Cs: names, without those of run.sh
  local name
  for name in $(grid "$@"); do run_has "$name" || echo "$name"; done
}
train_students() { # seeds lambdas Cs
  local seed lambda c name
  for seed in $1; do for c in $3; do for lambda in $2; do
    name=$(grid "$seed" "$lambda" "$c")
    run_has "$name" || spawn "exp/$name/log/train.log" train_student "$name" "$seed" "$lambda" "$c"
  done; done; done
}

# Ensembles within a seed, as run.sh makes them, and across seeds: the CNN with the next seed's, three CNNs, and the two LSTMs
# with a third from the next seed.
own="ens_lstm_cnn ens_2lstm ens_2lstm_cnn"
across=
if [ -n "$second" ]; then across="ens_2cnn ens_3lstm"; fi
if [ -n "$third" ]; then
  across+=" ens_3cnn"
  for seed in $others; do across+=" ${folder[$seed]}ens_2cnn"; done
fi
of_seed() { # seed names...
  local seed=$1 name
  shift
  for name in "$@"; do echo "${folder[$seed]}$name"; done
}

# The gamma sweep. At gamma 0 a pair is its second network, at 1 its first, at 0.5 the ensemble of equal shares.
declare -A pair=([lstm_cnn]="lstm1 cnn" [lstm_lstm]="lstm1 lstm2")
if [ -n "$second" ]; then pair[cnn_cnn]="cnn ${folder[$second]}cnn"; fi
between=
for gamma in $gammas; do case $gamma in 0 | 0.5 | 1) ;; *) between+=" $gamma" ;; esac; done
swept() { # pair: its systems that are nothing else
  local gamma
  for gamma in $between; do echo "gamma/$1_$gamma"; done
}

if begin 1 "networks with the other seeds: CNNs, LSTMs, students, self-teaching"; then
  for seed in $others; do
    for net in lstm2 lstm1 cnn sainath; do  # the longest first
      name=${folder[$seed]}$net
      spawn "exp/$name/log/train.log" train_net "$name" "$net" "$seed"
    done
    name=${folder[$seed]}self
    spawn "exp/$name/log/train.log" train_self "$name" "$seed"
  done
  train_students "$seeds" 0.75 90
  join
  end
fi

if begin 2 "students: every lambda with every C"; then
  train_students "$grid_seeds" "$lambdas" "$top_cs"
  join
  end
fi

average_all() {
  local seed next name gamma
  for seed in $others; do
    name=${folder[$seed]}
    spawn "" average "${name}ens_lstm_cnn" "" "${name}lstm1" "${name}cnn"
    spawn "" average "${name}ens_2lstm" "" "${name}lstm1" "${name}lstm2"
    spawn "" average "${name}ens_2lstm_cnn" "" "${name}lstm1" "${name}lstm2" "${name}cnn"
  done
  if [ -n "$second" ]; then
    spawn "" average ens_2cnn "" cnn "${folder[$second]}cnn"
    spawn "" average ens_3lstm "" lstm1 lstm2 "${folder[$second]}lstm1"
  fi
  if [ -n "$third" ]; then
    spawn "" average ens_3cnn "" cnn "${folder[$second]}cnn" "${folder[$third]}cnn"
    for seed in $others; do
      next=$(next_seed "$seed")
      spawn "" average "${folder[$seed]}ens_2cnn" "" "${folder[$seed]}cnn" "${folder[$next]}cnn"
    done
  fi
  for name in "${!pair[@]}"; do for gamma in $between; do
    spawn "" average "gamma/${name}_$gamma" "$gamma,$(awk -v gamma="$gamma" 'BEGIN { printf "%.10g", 1 - gamma }')" ${pair[$name]}
  done; done
  join
}
next_seed() { # of a seed in the list; the first is the last one's
  local list=" $seeds $base "
  list=${list#*" $1 "}
  echo "${list%% *}"
}

if begin 3 "ensembles of two and three, and of pairs at every gamma: FER"; then
  average_all
  for seed in $others; do spawn "" evaluate $(of_seed "$seed" $own); done
  if [ -n "$across" ]; then spawn "" evaluate $across; fi
  if [ -n "$between" ]; then for name in "${!pair[@]}"; do spawn "" evaluate $(swept "$name"); done; fi
  join
  end
fi

# Decoded one by one: what shares no network with others.
singly="$(students "$seeds" 0.75 90) $(students "$grid_seeds" "$lambdas" "$top_cs")"
for seed in $others; do singly+=" $(of_seed "$seed" sainath self)"; done
singly=$(printf '%s\n' $singly | sort -u)
systems="$across $singly"
for seed in $others; do systems+=" $(of_seed "$seed" cnn lstm1 lstm2 $own)"; done
for name in "${!pair[@]}"; do systems+=" $(swept "$name")"; done
run_sh="cnn sainath lstm1 lstm2 self $own"  # what the tables have of run.sh
for name in $(grid "$base" 0.75 90) $(grid "$grid_seeds" "$lambdas" "$top_cs"); do
  if run_has "$name" && [[ " $run_sh " != *" $name "* ]]; then run_sh+=" $name"; fi
done

if begin 4 "decoding with $decoder"; then
  for set in dev "$test_set"; do
    for seed in $others; do spawn "" decode_systems "$set" $(of_seed "$seed" cnn lstm1 lstm2 $own); done
    if [ -n "$across" ]; then spawn "" decode_systems "$set" $across; fi
    if [ -n "$between" ]; then for name in "${!pair[@]}"; do spawn "" decode_systems "$set" $(swept "$name"); done; fi
  done
  for name in $singly; do for set in dev "$test_set"; do spawn "" decode_systems "$set" "$name"; done; done
  join
  if [ -s "data/$test_set/stm" ]; then
    # Those of run.sh too, if it has not: all are compared.
    for name in $run_sh $systems; do spawn "" score_by_stm "$name"; done
    join
  fi
  end
fi

analyse() { # folder-under-exp step arguments...
  local name=$1 step=$2
  shift 2
  once --out "exp/$name" -- $train_cmd "exp/$name/log/$step.log" "steps/$step" --device "$device" "$@"
}

if begin 5 "analyses, tables and figures"; then
  # What has not been made is left out here and n/a in the tables, with the reason.
  networks=()
  for seed in $seeds; do for name in $(of_seed "$seed" cnn lstm1 lstm2); do
    if [ -e "exp/$name/.done" ]; then networks+=("exp/$name"); fi
  done; done
  spawn exp/error_overlap/log/compare_errors.log \
    analyse error_overlap compare_errors exp/frames_dev exp/error_overlap/overlap.json "${networks[@]}"
  spawn exp/posterior_mass/log/posterior_mass.log \
    analyse posterior_mass posterior_mass exp/frames_train exp/posterior_mass/mass.json exp/lstm1
  join
  made=(--in data/lang --in data/dev)
  for name in $run_sh $systems; do
    for path in "exp/$name" "exp/$name/decode_dev_$lm" "exp/$name/decode_${test_set}_$lm"; do
      if [ -d "$path" ]; then made+=(--in "$path"); fi
    done
  done
  for name in timing soft_ens_2lstm soft_cnn error_overlap posterior_mass frames_train frames_dev dnn_ali_dev; do
    if [ -d "exp/$name" ]; then made+=(--in "exp/$name"); fi
  done
  once "${made[@]}" --out exp/paper -- \
    steps/paper_tables --seeds "${seeds// /,}" --grid-seeds "${grid_seeds// /,}" --lambdas "${lambdas// /,}" \
    --top-cs "${top_cs// /,}" --gammas "${gammas// /,}" --test "$test_set" --lm "$lm" exp exp/paper
  if [ -e exp/results/.done.report ]; then
    once --in exp/confusions --out exp/paper --name report -- \
      steps/make_report --nj "$nj" --cmd "$decode_cmd" --lm "$lm" --paper exp/paper data/dev "data/$test_set" data/lang exp exp/results
  fi
  end exp/paper/PAPER.md
fi

finish
