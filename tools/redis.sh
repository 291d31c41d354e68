#!/usr/bin/env bash
# Installs redis-server, which `make backends` needs for a Celery worker, unless it is there already.
set -euo pipefail

command -v redis-server >/dev/null && exit
say() { printf 'redis: %s\n' "$*" >&2; }

if ! command -v apt-get >/dev/null; then
    say "redis-server is missing and there is no apt-get to install it with. Install it (brew install redis) and try again."
    exit 1
fi
as_root=(env)
((EUID)) && as_root=(sudo -n env)
# RUNLEVEL=1: installed, not started as a service.
install=("${as_root[@]}" RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server)

say "installing redis-server with apt-get"
"${install[@]}" >/dev/null 2>&1 || { "${as_root[@]}" apt-get update -qq && "${install[@]}" >/dev/null; } || {
    say "apt-get could not install redis-server. Install it yourself and try again."
    exit 1
}
