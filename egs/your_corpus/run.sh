#!/usr/bin/env bash
# A corpus of your own, from Kaldi data directories or Lhotse's cuts and a lexicon to tables of word error rates: docs/your-corpus.md.
set -euo pipefail

train=                 # the training set: a Kaldi data directory, or Lhotse's cuts.jsonl.gz
dev=                   # the set that everything is tuned on; empty: speakers held out of train
test=                  # the test set
lexicon=               # lines '<word> <phone> ...', or a folder in the form of Kaldi's data/local/dict
silence_phones=        # phones of the lexicon that are noises, beside sil and spn
oov="<unk>"            # the word that stands for all words outside the lexicon
lm=                    # an ARPA file; empty: a 3-gram of the training text
sampling_rate=16000    # of all audio: 8000 or 16000
stage=0                # first stage to run
stop_stage=10          # last stage to run
nj=$(env -u OMP_NUM_THREADS nproc)  # jobs side by side; results do not depend on it (nproc itself obeys OMP_NUM_THREADS)
preset=mini            # sizes: a folder in conf
seed=1                 # of every network
decoder=k2             # k2, or kaldi (LatticeFasterDecoder: needs no k2)
lambdas=0.75           # weights of the teacher's soft labels, Eq. 1; several: "0.25 0.5 0.75"
top_cs=90              # classes kept per frame; several: "1 3 10 30 90"
force=false            # redo what is up to date
dry_run=false          # print what would run, with disk, memory and hours, and run nothing
check_disk=true        # stop before the first stage if the disk cannot hold what the plan estimates
status=false           # print which commands are done, stale or missing, and run nothing
help_message="Usage: ./run.sh --train DIR --test DIR --lexicon FILE [options]
 e.g.: ./run.sh --train ~/mine/train --test ~/mine/test --lexicon ~/mine/lexicon.txt --sampling-rate 8000

Stages: 0 sets, dictionary, 1 lang, LM, 2 features, 3 GMM-HMM, 4 DNN, forced alignment, frame store, 5 CNNs,
        6 LSTM teachers, 7 ensembles and soft labels, 8 students, 9 graphs and decoding, 10 scoring, tables and figures

Options:
  --train DIR                Kaldi data directory, or Lhotse's cuts.jsonl.gz; so are dev and test
  --dev DIR                  empty: a tenth of the training set, other speakers
  --test DIR
  --lexicon FILE             lines '<word> <phone> ...', or a folder in the form of Kaldi's data/local/dict
  --silence-phones '.. ..'   noises of the lexicon, beside sil and spn
  --oov WORD                 stands for words outside the lexicon [$oov]
  --lm FILE                  ARPA; empty: a 3-gram of the training text
  --sampling-rate N          8000 or 16000 [$sampling_rate]
  --stage N --stop-stage M   run stages N to M [$stage, $stop_stage]
  --nj N                     jobs side by side [$nj]
  --preset NAME              a folder in conf: mini (an hour of speech), paper (hundreds), smoke, or your own [$preset]
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
train=$(absolute "$called_from" "$train") dev=$(absolute "$called_from" "$dev") test=$(absolute "$called_from" "$test")
lexicon=$(absolute "$called_from" "$lexicon") lm_given=$(absolute "$called_from" "$lm")
require_paths train test lexicon ${dev:+dev} ${lm:+lm_given}
[ -d "conf/$preset" ] || { echo "run.sh: no preset '$preset' in conf/" >&2; exit 1; }
case $sampling_rate in 8000 | 16000) ;; *) echo "run.sh: --sampling-rate is 8000 or 16000, not '$sampling_rate'" >&2; exit 1 ;; esac
features_conf=conf/$((sampling_rate / 1000))k
corpus_name=yours test_set="test"
makes=''  # stm and glm of the test set are used if it has them
lm=lm lm_arpa=${lm_given:-data/local/lm/3gram.arpa.gz}  # names the decoding directories: decode_test_lm

prepare_set() { # source folder
  once --out "$2" --name prepare -- local/prepare_set --seen-from "$called_from" "$1" "$2"
}

if begin 0 "sets and dictionary"; then
  prepare_set "$test" data/test
  if [ -n "$dev" ]; then
    prepare_set "$train" data/train
    prepare_set "$dev" data/dev
  else
    prepare_set "$train" data/all
    once --out data/train --out data/dev --name prepare -- utils/hold_out_speakers --percent 10 data/all data/train data/dev
  fi
  if [ -d "$lexicon" ]; then
    once --out data/local/dict -- cp -r "$lexicon/." data/local/dict
  else
    once --out data/local/dict -- local/prepare_dict --silence-phones "$silence_phones" "$lexicon" "$oov" data/local/dict
  fi
  end
fi

if begin 1 "lang, language model"; then
  once --out data/lang -- steps/prepare_lang data/local/dict "$oov" data/lang
  if [ -z "$lm_given" ]; then
    once --out data/local/lm -- steps/train_lm --order 3 --dev-text data/dev/text data/train/text data/lang "$lm_arpa"
  fi
  once --out data/lang --name lm -- steps/format_lm --drop-unknown true "$lm_arpa" data/lang
  end
fi

. steps/hybrid.sh  # stages 2 to 10, the same for every corpus
