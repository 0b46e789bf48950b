#!/usr/bin/env bash
# Switchboard, from audio to word error rates: "Blending LSTMs into CNNs" (Geras et al. 2016).
# Without a corpus option it makes and uses the synthetic mini corpus, written in the LDC layout, by the very same code.
set -euo pipefail

stage=0                # first stage to run
stop_stage=10          # last stage to run
nj=$(env -u OMP_NUM_THREADS nproc)  # jobs side by side; results do not depend on it (nproc itself obeys OMP_NUM_THREADS)
preset=                # sizes: smoke, mini or paper; empty: smoke or mini with the mini corpus, paper with LDC's
mini_size=default      # mini corpus: smoke (minutes of speech) or default (an hour)
swbd1=                 # LDC97S62, the audio; empty: the mini corpus
ms98=                  # Mississippi State transcripts and dictionary
eval2000=              # LDC2002S09 and LDC2002T43, two folders in one option
seed=1                 # of the mini corpus and of every network
decoder=k2             # k2, or kaldi (LatticeFasterDecoder: needs no k2)
lambdas=0.75           # weights of the teacher's soft labels, Eq. 1; several: "0.25 0.5 0.75"
top_cs=90              # classes kept per frame; several: "1 3 10 30 90"
force=false            # redo what is up to date
dry_run=false          # print what would run, with disk, memory and hours, and run nothing
check_disk=true        # stop before the first stage if the disk cannot hold what the plan estimates
status=false           # print which commands are done, stale or missing, and run nothing
rt03=                  # LDC2007S10: a second test set
fisher=                # LDC2004T19 and LDC2005T19: text for a language model that rescores the lattices
help_message="Usage: ./run.sh [options]
 e.g.: ./run.sh                                   # mini corpus, all stages
       ./run.sh --stage 4 --stop-stage 4          # one stage, from the files of the earlier ones
       ./run.sh --dry-run                         # the plan, with disk, memory and hours
       ./run.sh --swbd1 /ldc/LDC97S62 --ms98 /ldc/swb_ms98_transcriptions --eval2000 '/ldc/LDC2002S09 /ldc/LDC2002T43'

Stages: 0 corpus, 1 dictionary, lang, LM, 2 features, 3 GMM-HMM, 4 DNN, forced alignment, frame store, 5 CNNs,
        6 LSTM teachers, 7 ensembles and soft labels, 8 students, 9 graphs and decoding, 10 scoring, tables and figures

Options:
  --stage N --stop-stage M   run stages N to M [$stage, $stop_stage]
  --nj N                     jobs side by side [$nj]
  --preset NAME              smoke, mini or paper
  --mini-size NAME           smoke or default [$mini_size]
  --swbd1 --ms98 --eval2000  the LDC releases
  --rt03 DIR --fisher '.. ..'  further ones: a second test set; text, and a 4-gram of both texts that rescores the lattices
  --seed N                   [$seed]
  --decoder NAME             k2 or kaldi [$decoder]
  --lambdas '.. ..'          weights of the soft labels [$lambdas]
  --top-cs '.. ..'           classes kept per frame [$top_cs]
  --force                    redo what is up to date
  --dry-run                  print the plan: what would run, disk, memory, hours
  --status                   print what is done, stale, missing
  --check-disk false         start although the disk is smaller than the plan's estimate
  --config FILE              lines of name=value"

called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
. utils/parse_options.sh
[ $# -eq 0 ] || { echo "run.sh: unexpected argument: $1 (see ./run.sh --help)" >&2; exit 1; }
. utils/stages.sh
planning || "$ROOT/utils/setup_env.sh"
hold_folder
check_space

if [ -z "$swbd1" ]; then
  [ -n "$preset" ] || preset=$([ "$mini_size" = smoke ] && echo smoke || echo mini)
  corpus=corpus/$mini_size corpus_name=mini-$mini_size
  swbd1=$corpus/LDC97S62 ms98=$corpus/swb_ms98_transcriptions eval2000="$corpus/LDC2002S09 $corpus/LDC2002T43"
else
  [ -n "$preset" ] || preset=paper
  corpus='' corpus_name=ldc
  swbd1=$(absolute "$called_from" "$swbd1") ms98=$(absolute "$called_from" "$ms98")
  eval2000=$(absolute "$called_from" "$eval2000")
  require_paths swbd1 ms98 eval2000
fi
rt03=$(absolute "$called_from" "$rt03") fisher=$(absolute "$called_from" "$fisher")
require_paths ${rt03:+rt03} ${fisher:+fisher}
[ -d "conf/$preset" ] || { echo "run.sh: no preset '$preset': one of smoke, mini, paper" >&2; exit 1; }
test_set=eval2000
more_tests=${rt03:+rt03}
makes="data/eval2000/stm${rt03:+ data/rt03/stm}"  # what a later stage asks for, and stage 0 writes
lm=tg lm_arpa=data/local/lm/3gram.arpa.gz  # 3-gram: names the decoding directories, as in decode_eval2000_tg
if [ -n "$fisher" ]; then  # and a 4-gram of both texts, named as in Kaldi, that rescores their lattices: decode_eval2000_fsh_fg
  rescore_lm=fsh_fg rescore_arpa=data/local/lm_mixed/4gram.arpa.gz
fi
oov="<unk>"

if begin 0 "corpus preparation"; then
  if [ -n "$corpus" ]; then
    once --out "$corpus" -- local/make_mini_corpus --size "$mini_size" --seed "$seed" "$corpus"
  fi
  # Conversations are two people: each side is a speaker of its own. dev is whole conversations kept out of training;
  # it is the validation set of the networks and the one set that decoding is tuned on.
  # train_dev, train_nodev and train_nodup are Kaldi's sets, for comparisons; the stages below use train and dev.
  # shellcheck disable=SC2086 # two folders
  once --in ${eval2000/ / --in } --out data/local/dict --out data/train --out data/dev --out data/train_dev \
    --out data/train_nodev --out data/train_nodup --out data/eval2000 --name prepare -- \
    local/prepare_switchboard --swbd1 "$swbd1" --ms98 "$ms98" --eval2000 "$eval2000" data
  if [ -n "$rt03" ]; then
    once --out data/rt03 --name prepare -- local/prepare_rt03 "$rt03" data/rt03
  fi
  if [ -n "$fisher" ]; then
    # shellcheck disable=SC2086 # two folders
    once --out data/local/fisher -- local/prepare_fisher $fisher data/local/fisher/text
  fi
  end
fi

if begin 1 "dictionary, lang, 3-gram"; then
  once --out data/lang -- steps/prepare_lang data/local/dict "$oov" data/lang
  once --out data/local/lm -- \
    steps/train_lm --order 3 --dev-text data/dev/text data/train/text data/lang "$lm_arpa"
  once --out data/lang --name lm -- steps/format_lm "$lm_arpa" data/lang
  if [ -n "$fisher" ]; then
    # A 4-gram of both corpora, weighted on dev, as in Kaldi's sw1_fsh: stage 9 rescores with it what, as in the paper, the 3-gram decoded.
    lm4=(--order 4 --dev-text data/dev/text)
    once --out data/local/lm_4gram -- steps/train_lm "${lm4[@]}" data/train/text data/lang data/local/lm_4gram/4gram.arpa.gz
    once --out data/local/lm_fisher -- \
      steps/train_lm "${lm4[@]}" data/local/fisher/text data/lang data/local/lm_fisher/4gram.arpa.gz
    once --out data/local/lm_mixed -- steps/interpolate_lm --oov "$oov" data/dev/text data/local/lm_4gram/4gram.arpa.gz \
      data/local/lm_fisher/4gram.arpa.gz "$rescore_arpa"
  fi
  end
fi

. steps/hybrid.sh  # stages 2 to 10, the same for every corpus
