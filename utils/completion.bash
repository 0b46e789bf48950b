# Completion in bash of the recipe's programs: options, those that take true or false, and commands of pytorch-nnet.
#
#   . utils/completion.bash      # from the repository or a recipe's folder; in ~/.bashrc with the whole path
#
# Nothing is listed here: names are read from each program's --help when they are asked for, so they are always those that it takes.
# Programs of other makers that have the same name are left alone.
# shellcheck shell=bash

_pytorch_nnet_root=$(cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." && pwd)
declare -A _pytorch_nnet_help=() _pytorch_nnet_time=()

_pytorch_nnet_text() { # program command: prints its help, asked for at most once a minute
  local key="$1 $2" environment="$_pytorch_nnet_root/.venv/bin"
  if [ -z "${_pytorch_nnet_help[$key]-}" ] || [ $((SECONDS - _pytorch_nnet_time[$key])) -gt 60 ]; then
    _pytorch_nnet_help[$key]=$(PATH="$environment:$PATH" PYTHONPATH="$_pytorch_nnet_root" "$1" ${2:+"$2"} --help 2>/dev/null </dev/null)
    _pytorch_nnet_time[$key]=$SECONDS
  fi
  printf '%s\n' "${_pytorch_nnet_help[$key]}"
}

_pytorch_nnet_options() { # help on stdin: the options, from the lines that begin with one and from the usage
  awk '/Usage:/ { usage = 1 } /e\.g\.:|^$/ { usage = 0 } / --config FILE/ { print "--config" } { print_from = "" }
       usage { print_from = $0 }
       /^ *--/ { print_from = $0; sub(/^ */, "", print_from); sub(/   *.*/, "", print_from) }
       { while (match(print_from, /--[a-z][a-z0-9-]*/)) {
           print substr(print_from, RSTART, RLENGTH); print_from = substr(print_from, RSTART + RLENGTH) } }
       END { print "--help" }' | sort -u
}

_pytorch_nnet() { # program, word, word before: as bash calls it; fills COMPREPLY, or leaves it to file names
  local program word=$2 before=$3 command="" text
  COMPREPLY=()
  program=$(type -P -- "$1") && program=$(realpath "$program") || return 0
  case $program in
    "$_pytorch_nnet_root"/*) ;;
    *) return 0 ;;
  esac
  text=$(_pytorch_nnet_text "$program" "")
  local commands
  commands=$(sed -n 's/^ *Usage: [^ ]* \([a-z][a-z]*\) .*/\1/p' <<<"$text")
  if [ -n "$commands" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then
      mapfile -t COMPREPLY < <(compgen -W "$commands --help" -- "$word")
      return 0
    fi
    command=${COMP_WORDS[1]}
    text=$(_pytorch_nnet_text "$program" "$command")
  fi
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_pytorch_nnet_options <<<"$text")" -- "$word")
  elif [[ $before == --* ]] && grep -qE -- "^ *$before( .*)?\[(true|false)\]|^ *$before true\|false" <<<"$text"; then
    mapfile -t COMPREPLY < <(compgen -W "true false" -- "$word")
  fi
}

_pytorch_nnet_register() {
  local path
  for path in "$_pytorch_nnet_root"/{steps,utils,local,benchmarks,tests,egs/*/local,egs/*}/*; do
    if [ -f "$path" ] && [ -x "$path" ]; then complete -o bashdefault -o default -F _pytorch_nnet "${path##*/}"; fi
  done
}
_pytorch_nnet_register
unset -f _pytorch_nnet_register
