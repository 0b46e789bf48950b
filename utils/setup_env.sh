#!/usr/bin/env bash
# Builds the two Python environments, or finds them up to date (well under 2 s).
set -euo pipefail

dev=false        # add what the tests need (requirements/dev.txt)
python=          # main interpreter, 3.11 to 3.13; found by itself if empty
k2_python=       # Python 3.10 for k2; found by itself if empty
help_message="Usage: utils/setup_env.sh [options]
 e.g.: utils/setup_env.sh --dev true

Makes .venv (Python 3.11 to 3.13) and .venv-k2 (Python 3.10, for k2) from requirements/*.txt. An environment whose
requirements have not changed is left alone. K2_PYTHON=/path/to/python uses an environment of yours for k2 instead.

Options:
  --dev true|false   also install what the tests need [$dev]
  --python PATH      main interpreter
  --k2-python PATH   interpreter for the k2 environment"

cd "$(dirname "$0")/.."
. utils/parse_options.sh

fail() { printf 'setup_env.sh: ERROR: %s\n' "$@" >&2; exit 1; }

works() { # interpreter version-test: runs, has the version, can make an environment (Debian splits ensurepip off)
  "$1" -c "import sys, venv, ensurepip; v = sys.version_info[:2]; sys.exit(not ($2))" >/dev/null 2>&1
}

find_python() { # version-test name...: the first interpreter that works; a pyenv shim may refuse, so its versions come next
  local test=$1 name candidate
  shift
  for name in "$@"; do
    for candidate in "$name" $(ls -d "$(pyenv root 2>/dev/null || echo /nonexistent)"/versions/"${name#python}"*/bin/"$name" 2>/dev/null || true); do
      if works "$candidate" "$test"; then command -v "$candidate"; return 0; fi
    done
    if command -v uv >/dev/null && candidate=$(uv python find "${name#python}" 2>/dev/null) && works "$candidate" "$test"; then
      echo "$candidate"; return 0
    fi
  done
  return 1
}

stamp() { # requirement file: what an environment made from it is
  { cat "$1" "$(wheel_of "$1")"; echo "$PWD"; } | sha256sum | cut -d' ' -f1
}

wheel_of() { # requirement file: the one that names a wheel of it by its hash, where there is one
  if [ -f "${1%.txt}_wheel.txt" ]; then echo "${1%.txt}_wheel.txt"; else echo /dev/null; fi
}

has() { # folder requirement-file
  [ -x "$1/bin/python" ] && [ "$(cat "$1/.done.$(basename "$2" .txt)" 2>/dev/null)" = "$(stamp "$2")" ]
}

install() { # folder requirement-file
  local wheel
  wheel=$(wheel_of "$2")
  if [ "$wheel" != /dev/null ]; then
    pip_install "$1" --no-deps -r "$wheel"
  fi
  pip_install "$1" -r "$2"
  if [ "${2##*/}" = k2.txt ]; then
    "$1/bin/python" -c 'import k2, numpy' ||
      fail "k2 cannot be imported in $1" "  expected: the wheel for Python 3.10 that $wheel names" "  next:     utils/setup_env.sh, again"
  fi
  stamp "$2" > "$1/.stamp" && mv "$1/.stamp" "$1/.done.$(basename "$2" .txt)"
}

pip_install() { # folder arguments...
  local folder=$1
  shift
  "$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" ||
    fail "pip could not install into $folder" "  expected: the packages of ${*: -1}" \
      "  next:     read pip's message above, then call utils/setup_env.sh again"
}

ensure() { # folder version-test given-interpreter names requirement-file
  local folder=$1 test=$2 interpreter=$3 names=$4 file=$5
  if ! has "$folder" "$file"; then
    if [ -n "$interpreter" ]; then
      works "$interpreter" "$test" ||
        fail "$interpreter cannot be used" "  expected: a Python with $test and the modules venv and ensurepip"
    else
      # shellcheck disable=SC2086 # a list of names
      interpreter=$(find_python "$test" $names) || return 1
    fi
    # What a virtual environment is made of, as .venv itself may be first on the path and is about to be removed.
    interpreter=$("$interpreter" -c 'import sys; print(sys._base_executable)')
    echo "setup_env.sh: building $folder with $("$interpreter" --version) (some minutes the first time)"
    rm -rf "$folder"
    "$interpreter" -m venv "$folder" || fail "$interpreter could not make $folder"
    install "$folder" "$file"
  fi
  if [ "$dev" = true ] && ! has "$folder" requirements/dev.txt; then
    install "$folder" requirements/dev.txt
  fi
}

# One builder at a time; a second run waits and then finds the work done.
exec 9>.setup.lock
if ! flock -n 9; then
  echo "setup_env.sh: another run is building the environments, waiting"
  flock 9
fi

ensure .venv "(3, 11) <= v <= (3, 13)" "$python" "python3.11 python3.12 python3.13 python3" requirements/main.txt ||
  fail "no usable Python for the main environment" "  expected: Python 3.11, 3.12 or 3.13 with the modules venv and ensurepip" \
    "  next:     install one, or name it: utils/setup_env.sh --python /path/to/python3.11"

if [ -n "${K2_PYTHON:-}" ] && [ "$K2_PYTHON" != "$PWD/.venv-k2/bin/python" ]; then
  "$K2_PYTHON" -c 'import k2, numpy' || fail "K2_PYTHON cannot import k2 and numpy" "  found:    $K2_PYTHON"
elif ! ensure .venv-k2 "v == (3, 10)" "$k2_python" "python3.10" requirements/k2.txt; then
  fail "no usable Python 3.10, which k2's wheel needs" \
    "  next:     install Python 3.10 (uv python install 3.10), or name one: utils/setup_env.sh --k2-python /path/to/python3.10," \
    "            or point K2_PYTHON at a Python that has k2 and numpy, or decode without k2: run.sh --decoder kaldi"
fi
