# Stages of a recipe; sourced by run.sh after its options (needs $stage, $stop_stage, $force, $nj, $dry_run, $status, $makes).
# shellcheck shell=bash disable=SC2154
#
#   if begin 3 "GMM-HMM"; then
#     once --out exp/mono -- steps/train_mono data/train data/lang exp/mono
#     end
#   fi
#
# A stage in which every command is up to date says so in one line. `hold_folder` comes before the first stage.
#
# With --dry-run or --status nothing runs and nothing is written: `once` notes its command, and `finish`, at the end of the
# recipe, hands all of them to utils/plan.py.

STAGE_SCRIPT=$0  # named where once.py says what to run first
export STAGE_SCRIPT STAGE_NUMBER STAGE_TITLE

planned=() plan_spawned=0
planning() { [ "$dry_run" = true ] || [ "$status" = true ]; }

# A run has its folder for itself, and takes with it whatever it has started: on SIGINT, SIGTERM and SIGHUP, and when it fails.
hold_folder() { # does nothing in a run that runs nothing
  local held
  planning && return
  held=$(utils/run_lock.py take $$ "$0${_arguments[*]:+ ${_arguments[*]}}") || exit 1
  export RECIPE_RUN=${held#RUN=} TMPDIR=${held#* SCRATCH=} STAGE_STATE
  RECIPE_RUN=${RECIPE_RUN%% SCRATCH=*}
  STAGE_STATE=$TMPDIR/stage
  trap 'leave $?' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

leave() { # exit code
  trap '' HUP INT TERM
  if [ "$1" -gt 128 ]; then echo "$0: stopped by SIG$(kill -l "$1"): the same command goes on from what is finished" >&2; fi
  if [ "$1" != 0 ]; then utils/run_lock.py end $$ || true; fi
  utils/run_lock.py release $$ || true
}

# In the background, as bash acts on a signal only between commands of the foreground.
attended() { # command...
  local code=0
  "$@" &
  wait $! || code=$?
  return "$code"
}

require_paths() { # variable...: folders given as options that stage 0 reads; all that are missing are named at once
  local name path missing=0
  [ "$stage" -le 0 ] || [ "$dry_run" = true ] || return 0
  for name in "$@"; do
    [ -n "${!name}" ] || [ "$stage" -gt 0 ] || { echo "$0: --${name//_/-} is not given" >&2; missing=1; }
    for path in ${!name}; do
      [ -e "$path" ] || { echo "$0: --${name//_/-}: no such file or folder: $path" >&2; missing=1; }
    done
  done
  [ "$missing" = 0 ] || exit 1
}

has() { # file: is there; before stage 0 has run, a plan takes it that those named in $makes will be
  [ -s "$1" ] || { planning && [ ! -d "${1%/*}" ] && [[ " $makes " = *" $1 "* ]]; }
}

# Before a run: stops it if the disk cannot hold what is still to be made, and warns if it may not. The recipe itself, asked for its plan,
# says what that is. $called_from: where the run was started, as folders given as options may be relative to it.
check_space() {
  if planning || [ "$check_disk" = false ]; then return; fi
  (script=$PWD/${0##*/} && cd "$called_from" && PLAN_FOR=disk "$script" "${_arguments[@]}" --dry-run true --status false)
}

finish() { # options of utils/plan.py; does nothing in a run that runs
  planning || return 0
  [ "${PLAN_FOR-}" != disk ] || set -- "$@" --disk
  [ "$status" = false ] || set -- "$@" --status
  printf '%s\0' "${planned[@]+"${planned[@]}"}" | utils/plan.py --nj "$nj" "$@"
}

absolute() { # folder paths: the same paths seen from anywhere
  local path result=()
  for path in $2; do
    case $path in /*) result+=("$path") ;; *) result+=("$1/$path") ;; esac
  done
  echo "${result[*]}"
}

begin() { # number title: true if the stage is asked for
  STAGE_NUMBER=$1 STAGE_TITLE=$2 stage_start=$SECONDS
  planning || rm -f "$STAGE_STATE"
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]
}

end() { # [file]: to show at the end
  planning && return
  if [ -e "$STAGE_STATE" ]; then
    echo "== stage $STAGE_NUMBER: done in $((SECONDS - stage_start)) s"
  else
    echo "== stage $STAGE_NUMBER: $STAGE_TITLE: up to date, skipped"
  fi
  [ $# -eq 0 ] || cat "$1"
}

once() { # see utils/once.py
  if [ "$force" = true ]; then set -- --force "$@"; fi
  if planning; then planned+=("$STAGE_NUMBER" "$STAGE_TITLE" "$plan_spawned" $# "$@"); return; fi
  attended utils/once.py "$@"
}

# Independent commands side by side: at most $nj at once, every one awaited, any failure fatal. On a terminal the last
# lines of the logs they write are shown while they run.
spawned=() spawned_logs=() spawn_failed=0
spawn() { # log command...
  if planning; then shift; plan_spawned=1; "$@"; plan_spawned=0; return; fi
  spawned_logs+=("$1")
  shift
  await_fewer_than "$nj"
  "$@" &
  spawned+=($!)
}

join() {
  if planning; then return; fi
  await_fewer_than 1
  spawned_logs=()
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ "$spawn_failed" = 1 ]; then
    echo "$0: stage $STAGE_NUMBER failed: see the messages above" >&2
    exit 1
  fi
}

# How a command ended is asked as soon as it has: bash forgets it when a later process gets the same number, which in a
# long stage happens.
await_fewer_than() { # number of commands still running
  local pid running
  while true; do
    running=()
    for pid in "${spawned[@]}"; do
      if kill -0 "$pid" 2>/dev/null; then running+=("$pid"); else wait "$pid" || spawn_failed=1; fi
    done
    spawned=("${running[@]}")
    [ "${#spawned[@]}" -ge "$1" ] || return 0
    show_logs
    sleep 0.2
  done
}

show_logs() {
  local log line text=
  [ -t 2 ] || return 0
  for log in "${spawned_logs[@]}"; do
    [ -f "$log" ] && line=$(tail -n 1 "$log") && [[ $line != \#* ]] && text+="${text:+ | }$line"
  done
  printf '\r\033[K%s\r' "${text:0:$(($(tput cols 2>/dev/null || echo 80) - 1))}" >&2
}
