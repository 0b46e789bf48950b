# Parses --name value into shell variables; sourced by scripts that set defaults first:
#
#   nj=4            # number of parallel jobs
#   . utils/parse_options.sh
#
# Names may be spelled with - or _, values joined with = or not; only variables that exist may be set, booleans stay
# true or false (--force, alone or before another option, is --force true), and --config FILE (shell assignments) is read
# before the other options, so the command line wins.
# --help prints $help_message. After it, "$@" holds the positional arguments.
# shellcheck shell=bash

_option_error() { echo "$0: $1" >&2; exit 1; }

# (Its own variables begin with _ : a script may have an option of any other name.)
_set_option() { # name value: assigns to an existing variable
  local _name=${1//-/_} _old
  [[ $_name =~ ^[a-z_][a-z0-9_]*$ ]] || _option_error "not an option name: --$1"
  if [ -z "${!_name+set}" ]; then
    _option_error "unknown option --$1 (see $0 --help)"
  fi
  _old=${!_name}
  if [[ $_old == true || $_old == false ]] && [[ $2 != true && $2 != false ]]; then
    _option_error "--$1 takes true or false, not '$2'"
  fi
  if [[ $_old =~ ^[0-9]+$ && ! $2 =~ ^-?[0-9]+$ ]]; then
    _option_error "--$1 takes a whole number, not '$2'"
  fi
  printf -v "$_name" '%s' "$2"
}

_is_flag() { # name: of a variable that is true or false
  local _name=${1//-/_}
  [[ $_name =~ ^[a-z_][a-z0-9_]*$ ]] && [[ ${!_name-} == true || ${!_name-} == false ]]
}

_read_config() { # file: 'name=value' lines, comments and blank lines
  local _line
  [ -f "$1" ] || _option_error "no such config file: $1"
  while IFS= read -r _line || [ -n "$_line" ]; do
    _line=${_line%%#*}
    _line=${_line#"${_line%%[![:space:]]*}"} _line=${_line%"${_line##*[![:space:]]}"} _line=${_line#--}
    [ -z "$_line" ] && continue
    [[ $_line == *=* ]] || _option_error "$1: expected name=value, found: $_line"
    _set_option "${_line%%=*}" "${_line#*=}"
  done < "$1"
}

_arguments=("$@")
for ((_i = 0; _i < ${#_arguments[@]}; _i++)); do
  case ${_arguments[_i]} in
    --config=*) _read_config "${_arguments[_i]#*=}" ;;
    --config) _read_config "${_arguments[_i + 1]:-}" ;;
  esac
done
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) echo "${help_message:-no help}"; exit 0 ;;
    --) shift; break ;;
    --config=*) shift ;;
    --config) shift 2 ;;
    --*=*) _option=${1%%=*}; _set_option "${_option#--}" "${1#*=}"; shift ;;
    --*)
      _option=${1#--}
      if _is_flag "$_option" && [[ -z ${2-} || $2 == --* ]]; then
        _set_option "$_option" true; shift; continue
      fi
      [ $# -gt 1 ] || _option_error "option $1 needs a value"
      _set_option "${1#--}" "$2"; shift 2 ;;
    *) break ;;
  esac
done
