#!/usr/bin/env bash
# Builds the wheel and tests what a user gets: first with no extra at all, then some of the tests with src/ out of the
# way, then the pytest plugin in a project outside of the repository.
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
cp -R tests docs pyproject.toml tools/plugin_project.py "$scratch/"
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

echo "== the pytest plugin in a project of its own, with $(basename "$wheel")[openai,report]"
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
cp plugin_project.py "$project/test_agent.py"
"$uv" venv --quiet --python "$python" "$project/venv"
"$uv" pip install --quiet --python "$project/venv/bin/python" --constraint pins.txt \
    "taskmeter[openai,report] @ file://$wheel" pytest pytest-xdist
cd "$project"
tested() { PYTHONPATH='' "$project/venv/bin/python" -P -m pytest "$@" test_agent.py 2>&1 | tee output; }
said() { grep --quiet --extended-regexp -- "$1" output || { echo "the plugin did not print: $1" >&2; exit 1; }; }
silent() { ! grep --extended-regexp -- "$1" output || { echo "the plugin printed: $1" >&2; exit 1; }; }

for workers in 0 2; do
    tested --quiet --strict-markers -W error -n "$workers" && exit 1  # one test is over its cost
    said '^the test cost \$0\.00135, which is more than \$0\.001 \(3 calls; 3,000 tokens in, 300 out\)$'
    said '^task resolve T-2 +\$0\.0014 +3,000 '
    said '^└ chat gpt-5-mini +\$0\.00045 +1,000 '
    said '^ *\$0\.0018 +4 +4,000 +400 +total of 2 tests$'
    said '^1 failed, 2 passed '
done
tested --quiet -p no:taskmeter
said 'PytestUnknownMarkWarning: Unknown pytest.mark.max_cost'
said '^3 passed, '
silent 'what the tests cost'
