#!/usr/bin/env bash
# Prints where the OpenTelemetry Collector is that the slow ones of `make backends` run. It is built with Go from what
# collector.yaml lists, once in a few minutes, and kept outside of the repository.
set -euo pipefail

say() { printf 'collector: %s\n' "$*" >&2; }

list=$(cd "$(dirname "$0")" && pwd)/collector.yaml
version=$(sed -n 's/^  version: //p' "$list")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/taskmeter/otelcol@$version-$(cksum <"$list" | cut -d ' ' -f 1)
program=$cache/otelcol

if [[ ! -x $program ]]; then
    PATH=$PATH:/usr/local/go/bin
    if ! command -v go >/dev/null; then
        say "The OpenTelemetry Collector has to be built: install Go 1.26 or later, or put its program at $program"
        exit 1
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    say "building the OpenTelemetry Collector $version; this takes a few minutes"
    (cd "$work" && CGO_ENABLED=0 nice go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$list") >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        say "the build failed. Its modules come from the Go module proxy; can it be reached?"
        exit 1
    }
    mkdir -p "$cache"
    mv "$work/otelcol" "$program"
fi
echo "$program"
