#!/usr/bin/env bash
# Makes .venv from nothing but Python >= 3.11 and a package index, with what uv.lock pins.
# Usage: tools/bootstrap.sh [uv sync options]. Honours PYTHON, PIP_* and UV_*.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly uv_version=0.13.9
readonly venv=.venv

say() { printf 'bootstrap: %s\n' "$*" >&2; }

python_fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [[ -n ${PYTHON:-} ]]; then
        python_fits "$PYTHON" && { printf '%s' "$PYTHON"; return; }
        say "PYTHON=$PYTHON is no Python >= 3.11 with the venv module. Name another, or unset PYTHON."
        exit 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.14 python /usr/bin/python3; do
        python_fits "$candidate" && { printf '%s' "$candidate"; return; }
    done
    say "no Python >= 3.11 with the venv module found; python3 is: $(python3 --version 2>&1 || echo missing)."
    say "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12 ..."
    exit 1
}

# uv reads its own variables: hand it what pip was told.
export_index_settings() {
    [[ -n ${PIP_INDEX_URL:-} ]] && export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
    [[ -n ${PIP_EXTRA_INDEX_URL:-} ]] && export UV_INDEX="${UV_INDEX:-$PIP_EXTRA_INDEX_URL}"
    [[ -n ${PIP_CERT:-} ]] && export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
    [[ -n ${PIP_DEFAULT_TIMEOUT:-} ]] && export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-$PIP_DEFAULT_TIMEOUT}"
    export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system UV_PROJECT_ENVIRONMENT="$PWD/$venv"
    unset VIRTUAL_ENV
}

make_venv() {
    python_fits "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(find_python)
    say "making $venv with $("$python" --version 2>&1)"
    "$python" -m venv "$venv" || "$python" -m venv --clear "$venv"
}

install_uv() {
    [[ $("$venv/bin/uv" --version 2>/dev/null) == "uv $uv_version"* ]] && return
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
}

# --inexact: pip and uv live in the environment and are not in the lock.
install_locked() {
    "$venv/bin/uv" sync --quiet --frozen --inexact --all-extras "$@" && return
    # The lock names PyPI's own addresses; behind a mirror only pip, which takes any index that has the hashes, gets through.
    say "uv sync failed; installing the same pinned versions with pip"
    "$venv/bin/uv" export --quiet --frozen --all-extras --no-emit-project "$@" --output-file "$venv/locked.txt" >/dev/null
    "$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$venv/locked.txt"
    "$venv/bin/python" -m pip install --quiet --no-deps --editable .
}

export_index_settings
make_venv
install_uv
install_locked "$@"
