#!/usr/bin/env bash
# Every pinned dependency by pip-audit, where an advisory service can be reached: what was not looked up is said, and fails
# the run on GitHub, where it can be.
set -euo pipefail
cd "$(dirname "$0")/.."

pinned=$(mktemp)
trap 'rm -f "$pinned" "$pinned.json"' EXIT
env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never \
    .venv/bin/uv export --quiet --offline --frozen --all-extras --all-groups --no-emit-project --no-hashes >"$pinned"
status=0
.venv/bin/pip-audit --requirement "$pinned" --no-deps --disable-pip --progress-spinner off --format json \
    >"$pinned.json" 2>/dev/null || status=$?

.venv/bin/python - "$pinned.json" "$status" <<'PYTHON'
import json
import os
import sys

path, status = sys.argv[1:]
with open(path) as file:
    content = file.read()
found = json.loads(content)["dependencies"] if content.strip() else []
skipped = [each["name"] for each in found if "skip_reason" in each]
bad = [(each["name"], each["version"], [v["id"] for v in each["vulns"]]) for each in found if each.get("vulns")]
for name, version, ids in bad:
    print(f"pip-audit: {name} {version}: {', '.join(ids)}")
audited = len(found) - len(skipped)
if not audited:
    print("pip-audit: NOT AUDITED: no advisory service answered for any package of uv.lock")
elif skipped:
    print(f"pip-audit: {audited} packages audited, NOT AUDITED: {', '.join(skipped)}")
else:
    print(f"pip-audit: {audited} packages audited, {len(bad)} with known vulnerabilities")
sys.exit(1 if bad or ("GITHUB_ACTIONS" in os.environ and (not audited or status not in ("0", "1"))) else 0)
PYTHON
