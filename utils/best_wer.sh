#!/usr/bin/env bash
# Keeps the line with the lowest word error rate; the first of equals.
# Usage: grep WER <decode-dir>/wer_* | utils/best_wer.sh
#  e.g.: grep WER exp/tri1/decode_dev/wer_* | utils/best_wer.sh
#        grep Sum exp/tri1/decode_eval2000/score_*/*.sys | utils/best_wer.sh
# Reads Kaldi's '%WER 12.34 [ ... ]' and sclite's '| Sum/Avg | sentences words | corr sub del ins err s.err |', both as
# printed by grep for several files ('name:line') or one. Prints '%WER ... name'; exits 1 if there is no such line.
set -euo pipefail
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
if [ "${1-}" = --help ]; then usage; exit 0; fi
if [ $# -ne 0 ]; then usage >&2; exit 1; fi
exec awk '
  { name = ""; rate = "" }
  match($0, /%WER[ \t]/) {
    name = substr($0, 1, RSTART - 1); line = substr($0, RSTART)
    split(line, field, " "); rate = field[2]
  }
  rate == "" && match($0, /[|][ \t]*Sum/) {
    name = substr($0, 1, RSTART - 1); line = substr($0, RSTART)
    gsub(/[|]/, " ", line)
    count = split(line, field, " "); rate = field[count - 1]
    line = "%WER " rate " [ " field[3] " words, " field[count - 2] " % ins, " field[count - 3] " % del, " \
      field[count - 4] " % sub ]"
  }
  rate ~ /^[0-9.]+$/ && (best == "" || rate + 0 < lowest) {
    sub(/[:\-][ \t]*$/, "", name)
    lowest = rate + 0; best = line (name == "" ? "" : " " name)
  }
  END { if (best == "") exit 1; print best }
'
