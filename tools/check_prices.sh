#!/usr/bin/env bash
# Compares our list prices with litellm's map; fails on a difference without a verdict in tools/price_verdicts.toml.
# litellm goes into an environment of its own, without its dependencies: only its data file is read.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.109.1
scratch=build/litellm-$version
if [ ! -d "$scratch" ]; then
  mkdir -p build
  env -u VIRTUAL_ENV .venv/bin/uv pip install --quiet --no-deps --target "$scratch" "litellm==$version"
fi
.venv/bin/python tools/check_prices.py "$scratch/litellm/model_prices_and_context_window_backup.json" "$@"
