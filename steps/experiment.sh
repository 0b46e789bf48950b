# What a script of experiments on a recipe whose run.sh has finished begins with: local/run_paper.sh and its like. Sourced with the script's
# arguments after its own options, its $stop_stage and the beginning of $help_message, to which the options below are added:
#
#   . "$(dirname "$0")/../steps/experiment.sh"
#   use_sets && need exp/frames_train/.done && use_preset ctc
# shellcheck shell=bash disable=SC2034,SC2154

stage=1                # first stage to run
test_set='' lm=''       # names in what run.sh decodes, decode_eval2000_tg; empty: those of its tables
preset=                # sizes; empty: those of run.sh
nj=$(env -u OMP_NUM_THREADS nproc)  # jobs side by side; results do not depend on it (nproc itself obeys OMP_NUM_THREADS)
decoder=k2             # k2, or kaldi
force=false            # redo what is up to date
status=false           # list the commands as done, stale, begun or missing, and run nothing
dry_run=false makes=   # of utils/stages.sh: no estimates here
help_message+="
  --stage N --stop-stage M   run stages N to M [$stage, $stop_stage]
  --test-set --lm            names in what run.sh decodes, such as eval2000 and tg; empty: those of its tables
  --preset NAME              sizes; empty: what run.sh used
  --nj N                     jobs side by side [$nj]
  --decoder NAME             k2 or kaldi [$decoder]
  --force                    redo what is up to date; what run.sh made stays as it is
  --status                   list the commands as done, stale, begun or missing, and run nothing
  --config FILE              lines of name=value"

fail() { # what is wrong, further lines
  local what=$1
  shift
  { echo "${0##*/}: ERROR: $what"; if [ $# -gt 0 ]; then printf '%s\n' "$@"; fi; } >&2
  exit 1
}

of_tables() { # option: its value in the command that made run.sh's tables
  if [ -f exp/results/.done ]; then sed -n "/\"$1\"/{n;s/.*\"\(.*\)\".*/\1/p;q}" exp/results/.done; fi
}

use_sets() {
  [ -n "$test_set" ] || test_set=$(of_tables --test)
  [ -n "$lm" ] || lm=$(of_tables --lm)
  [ -n "$test_set" ] && [ -n "$lm" ] || fail "which test set, which language model?" \
    "  expected: exp/results, which run.sh makes last, or options, such as --test-set eval2000 --lm tg" "  next:     ./run.sh, then $0"
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

use_base_seed() { # the first of $seeds, which must be that of run.sh's networks
  local trained
  base=${seeds%% *}
  trained=$(sed -n 's/^seed: //p' exp/cnn/config.yaml)
  [ "$trained" = "$base" ] || fail "the first of --seeds is that of the networks in exp" "  expected: $trained" "  found:    $base"
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
