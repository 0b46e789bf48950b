#!/usr/bin/env bash
# Scores a decoding directory as Kaldi's swbd local/score.sh does: against stm and glm where the data directory has them
# (with NIST's hubscr if it is installed, else with the built-in scorer), against its text where not.
set -euo pipefail

min_lmwt='' max_lmwt=''             # LM weights, smallest and largest; empty: as in steps/score --help
word_ins_penalty=                 # word insertion penalties; empty: as in steps/score --help
tuned_on=                         # score only the pair that is best on this decoding directory (stm and glm only)
scorer=                           # hubscr or builtin; empty: hubscr where it is installed
nj=1                              # jobs side by side
cmd=utils/run.py                  # job launcher
help_message="Usage: local/score.sh [options] <data> <lang|graph> <decode-dir>
 e.g.: local/score.sh data/eval2000 data/lang exp/tri1/decode_eval2000_tg

Options:
  --min-lmwt N --max-lmwt N      LM weights; empty: as in steps/score --help
  --word-ins-penalty X,X,...     word insertion penalties; empty: as in steps/score --help
  --tuned-on DIR                 score only the pair that is best on this decoding directory
  --scorer NAME                  hubscr or builtin; empty: hubscr where it is installed
  --nj N --cmd CMD               jobs side by side [$nj], job launcher [$cmd]"

. utils/parse_options.sh
[ $# -eq 3 ] || { echo "$help_message" >&2; exit 1; }

common=(--nj "$nj" --cmd "$cmd" ${min_lmwt:+--min-lmwt "$min_lmwt"} ${max_lmwt:+--max-lmwt "$max_lmwt"}
  ${word_ins_penalty:+--word-ins-penalty "$word_ins_penalty"})
if [ -s "$1/stm" ] && [ -s "$1/glm" ]; then
  steps/score_stm "${common[@]}" --tuned-on "$tuned_on" --scorer "$scorer" "$@"
else
  [ -z "$tuned_on$scorer" ] || { echo "$0: --tuned-on and --scorer need stm and glm in $1" >&2; exit 1; }
  echo "$0: no stm and glm in $1: words are compared with its text" >&2
  steps/score "${common[@]}" "$@"
fi
