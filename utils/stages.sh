# Stages of a recipe; sourced by run.sh after its options (needs $stage, $stop_stage, $force, $nj).
# shellcheck shell=bash disable=SC2154
#
#   if begin 3 "GMM-HMM"; then
#     once --out exp/mono -- steps/train_mono data/train data/lang exp/mono
#     end
#   fi
#
# A stage in which every command is up to date says so in one line.

STAGE_STATE=$(mktemp -u "${TMPDIR:-/tmp}/stage.XXXXXX")
STAGE_SCRIPT=$0  # named where once.py says what to run first
export STAGE_STATE STAGE_SCRIPT STAGE_NUMBER STAGE_TITLE
trap 'rm -f "$STAGE_STATE"' EXIT

absolute() { # folder paths: the same paths seen from anywhere
  local path result=()
  for path in $2; do
    case $path in /*) result+=("$path") ;; *) result+=("$1/$path") ;; esac
  done
  echo "${result[*]}"
}

begin() { # number title: true if the stage is asked for
  STAGE_NUMBER=$1 STAGE_TITLE=$2 stage_start=$SECONDS
  rm -f "$STAGE_STATE"
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]
}

end() {
  if [ -e "$STAGE_STATE" ]; then
    echo "== stage $STAGE_NUMBER: done in $((SECONDS - stage_start)) s"
  else
    echo "== stage $STAGE_NUMBER: $STAGE_TITLE: up to date, skipped"
  fi
}

once() { # see utils/once.py
  if [ "$force" = true ]; then set -- --force "$@"; fi
  utils/once.py "$@"
}

# Independent commands side by side: at most $nj at once, every one awaited, any failure fatal. On a terminal the last
# lines of the logs they write are shown while they run.
spawned=() spawned_logs=()
spawn() { # log command...
  spawned_logs+=("$1")
  shift
  while [ "$(jobs -rp | wc -l)" -ge "$nj" ]; do show_logs; sleep 0.1; done
  "$@" &
  spawned+=($!)
}

join() {
  local pid failed=0
  while [ "$(jobs -rp | wc -l)" -gt 0 ]; do show_logs; sleep 0.2; done
  for pid in "${spawned[@]}"; do wait "$pid" || failed=1; done
  spawned=() spawned_logs=()
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ "$failed" = 1 ]; then
    echo "$0: stage $STAGE_NUMBER failed: see the messages above" >&2
    exit 1
  fi
}

show_logs() {
  local log line text=
  [ -t 2 ] || return 0
  for log in "${spawned_logs[@]}"; do
    [ -f "$log" ] && line=$(tail -n 1 "$log") && [[ $line != \#* ]] && text+="${text:+ | }$line"
  done
  printf '\r\033[K%s\r' "${text:0:$(($(tput cols 2>/dev/null || echo 80) - 1))}" >&2
}
