#!/usr/bin/env bash
# AN4 (CMU census data): 50 minutes of real microphone speech, letters, digits and names, tested on the official 130 utterances.
# The acoustic side is that of the Switchboard recipe, at 16 kHz; the language models are the corpus' own published unigram and a bigram of its transcripts.
set -euo pipefail

an4=                   # the corpus: a folder with etc/ and flac, .sph, .raw or .wav audio, as CMU releases it
stage=0                # first stage to run
stop_stage=10          # last stage to run
nj=$(env -u OMP_NUM_THREADS nproc)  # jobs side by side; results do not depend on it (nproc itself obeys OMP_NUM_THREADS)
preset=mini            # sizes: mini, full (an hour: three speeds, longer training) or smoke (every stage in little time, nothing good)
seed=1                 # of every network
decoder=k2             # k2, or kaldi (LatticeFasterDecoder: needs no k2)
lambdas=0.75           # weights of the teacher's soft labels, Eq. 1; several: "0.25 0.5 0.75"
top_cs=90              # classes kept per frame; several: "1 3 10 30 90"
force=false            # redo what is up to date
dry_run=false          # print what would run, with disk, memory and hours, and run nothing
check_disk=true        # stop before the first stage if the disk cannot hold what the plan estimates
status=false           # print which commands are done, stale or missing, and run nothing
help_message="Usage: ./run.sh --an4 DIR [options]
 e.g.: ./run.sh --an4 /corpora/an4
       ./run.sh --an4 /corpora/an4 --stage 9

Stages: 0 corpus, 1 dictionary, lang, LM, 2 features, 3 GMM-HMM, 4 DNN, forced alignment, frame store, 5 CNNs,
        6 LSTM teachers, 7 ensembles and soft labels, 8 students, 9 graphs and decoding, 10 scoring, tables and figures

Options:
  --an4 DIR                  the corpus (stage 0)
  --stage N --stop-stage M   run stages N to M [$stage, $stop_stage]
  --nj N                     jobs side by side [$nj]
  --preset NAME              mini, full or smoke [$preset]
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
an4=$(absolute "$called_from" "$an4") corpus_name=an4
require_paths an4
[ -d "conf/$preset" ] || { echo "run.sh: no preset '$preset': one of smoke, mini, full" >&2; exit 1; }
test_set="test"
makes=''  # an stm, which AN4 has not
lm=ug lm_arpa=data/local/lm/unigram.arpa.gz  # names the decoding directories, as in decode_test_ug
# The published unigram gives every word the same probability, O and OH too, which sound alike. A bigram of the training transcripts
# rescores the lattices: decode_test_bg. Figures to compare with others' are those of the unigram.
rescore_lm=bg rescore_arpa=data/local/lm_bg/2gram.arpa.gz
oov="<UNK>"

if begin 0 "corpus preparation"; then
  # dev: speakers of the official training list, kept out of training; the official test set is for the last table only.
  once --out data/local/dict --out data/train --out data/dev --out data/test --name prepare -- \
    local/prepare_an4 --an4 "$an4" data
  end
fi

if begin 1 "dictionary, lang, unigram, bigram"; then
  once --out data/lang -- steps/prepare_lang data/local/dict "$oov" data/lang
  once --out data/local/lm -- local/prepare_lm data/local/an4.lm data/lang "$lm_arpa"
  once --out data/lang --name lm -- steps/format_lm "$lm_arpa" data/lang
  once --out data/local/lm_bg -- steps/train_lm --order 2 --dev-text data/dev/text data/train/text data/lang "$rescore_arpa"
  end
fi

. steps/hybrid.sh  # stages 2 to 10, the same for every corpus
