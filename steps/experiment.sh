# What a script of experiments on a recipe whose run.sh has finished begins with: local/run_paper.sh and its like. Sourced after the script's
# own options and $help_message, with the script's arguments:
#
#   . "$(dirname "$0")/../steps/experiment.sh"
#   need_sets && need exp/frames_train/.done && use_preset ctc
# shellcheck shell=bash disable=SC2154

fail() { # what is wrong, further lines
  local what=$1
  shift
  { echo "${0##*/}: ERROR: $what"; if [ $# -gt 0 ]; then printf '%s\n' "$@"; fi; } >&2
  exit 1
}

need_sets() { # the names of what run.sh decodes have been given
  [ -n "$test_set" ] && [ -n "$lm" ] || fail "--test-set and --lm are needed" "  expected: such as eval2000 and tg"
}

need() { # files that run.sh makes
  local path
  for path in "$@"; do [ -e "$path" ] || fail "$path is not there" "  next:     ./run.sh, then $0"; done
}

use_preset() { # a config that it must have: sizes and options, by default those of run.sh
  [ -n "$preset" ] || need exp/dnn/.done
  [ -n "$preset" ] || preset=$(sed -n 's|.*"conf/\([^/]*\)/[a-z]*.yaml".*|\1|p;T;q' exp/dnn/.done)
  conf=conf/$preset
  [ -f "$conf/$1.yaml" ] || fail "no $conf/$1.yaml" "  expected: a preset that has it" "  next:     copy conf/mini/$1.yaml there"
  . "$conf/sizes.sh"
  . steps/systems.sh
}

if [ "${1-}" = --help ]; then echo "$help_message"; exit 0; fi
if [ ! -f path.sh ] || [ ! -f steps/systems.sh ]; then
  fail "call it in a recipe's folder: cd egs/switchboard && local/${0##*/}" "  found:    $PWD"
fi
. ./path.sh
. ./cmd.sh
. utils/parse_options.sh
[ $# -eq 0 ] || fail "unexpected argument: $1 (see local/${0##*/} --help)"
. utils/stages.sh
hold_folder
