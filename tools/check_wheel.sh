#!/usr/bin/env bash
# Builds the wheel and tests what a user gets: first with no extra at all, then some of the tests with src/ out of the way.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly uv="$PWD/.venv/bin/uv"
readonly scratch="$PWD/build/wheel"
readonly python="$scratch/venv/bin/python"

# The index and certificate settings of pip, for uv: see tools/bootstrap.sh.
[[ -n ${PIP_INDEX_URL:-} ]] && export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
[[ -n ${PIP_EXTRA_INDEX_URL:-} ]] && export UV_INDEX="${UV_INDEX:-$PIP_EXTRA_INDEX_URL}"
[[ -n ${PIP_CERT:-} ]] && export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system
unset VIRTUAL_ENV

rm -rf "$scratch"
mkdir -p "$scratch"
"$uv" build --quiet --python .venv/bin/python --wheel --out-dir "$scratch/dist" .
wheel=$(ls "$scratch"/dist/taskmeter-*.whl)
"$uv" venv --quiet --python .venv/bin/python "$scratch/venv"
"$uv" export --quiet --frozen --all-extras --group test --no-hashes --no-emit-project --output-file "$scratch/pins.txt" >/dev/null
cp -R tests docs pyproject.toml "$scratch/"
cd "$scratch"
ran_in_scratch() { PYTHONPATH='' "$python" -P "$@"; }

echo "== $(basename "$wheel") without extras"
"$uv" pip install --quiet --python "$python" --constraint pins.txt "$wheel"
ran_in_scratch -c '
import importlib.util, pathlib, sys
import taskmeter
home = pathlib.Path(taskmeter.__file__)
assert pathlib.Path(sys.prefix) in home.parents, f"imported from {home}, not from the wheel"
extras = [name for name in ("openai", "anthropic", "click", "duckdb", "rich") if importlib.util.find_spec(name)]
assert not extras, f"no extra was asked for, yet these are installed: {extras}"
print("taskmeter", taskmeter.__version__, "imports; public names:", len(taskmeter.__all__))
'

echo "== $(basename "$wheel")[all], tests of the package, records and pure rooms"
"$uv" pip install --quiet --python "$python" --constraint pins.txt "taskmeter[all] @ file://$wheel" \
    pytest pytest-timeout hypothesis
tests=(tests/test_package.py)
for candidate in tests/test_records.py tests/records tests/pricing tests/account; do
    [[ -e $candidate ]] && tests+=("$candidate")
done
ran_in_scratch -m pytest --quiet "${tests[@]}"
