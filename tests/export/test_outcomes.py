"""An outcome that becomes known a day later, in another process, and what the report then says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.programs import environment, run

WORKER = """
import taskmeter
setup = taskmeter.configure(spool="spool")
with taskmeter.track_task("resolve", key="T-1") as task:
    taskmeter.charge("0.25")
    task.pending("sent to the customer")
with taskmeter.track_task("resolve", key="T-2") as task:
    taskmeter.charge("0.5")
print(setup.flush())
"""
WEBHOOK = """
import sys
from datetime import UTC, datetime, timedelta
import taskmeter
setup = taskmeter.configure(spool="spool")
{sampler}
day, key, status, reason = sys.argv[1:] or {said}
at = datetime.now(UTC) + timedelta(days=int(day))
print(taskmeter.record_outcome(key=key, status=status, reason=reason, value="6.50", at=at), setup.flush())
"""
ALL_OFF = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
taskmeter.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
"""


def taskmeter(cwd: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "taskmeter", *arguments, "--spool", "spool"],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def row(cwd: Path) -> dict[str, object]:
    (found,) = json.loads(taskmeter(cwd, "report", "--format", "json"))["rows"]
    return {name: found[name] for name in ("succeeded", "failed", "pending", "cost_per_success", "wasted", "value")}


@pytest.mark.parametrize("sampler", ["", ALL_OFF], ids=["sampled", "sampled out"])
def test_an_outcome_of_a_day_later_changes_the_report(sampler: str, tmp_path: Path) -> None:
    """Pending is no success; then it is; reopened, it is a failure. Both words are kept, the later counts."""
    assert run(WORKER, tmp_path).out == "True"
    before = {"succeeded": 1, "failed": 0, "pending": 1, "cost_per_success": "0.75", "wasted": "0", "value": None}
    assert row(tmp_path) == {**before, "cost_per_success": "0.750000000000"}

    accepted = WEBHOOK.format(sampler=sampler, said=("1", "T-1", "succeeded", "accepted"))
    assert run(accepted, tmp_path).out == "True True"
    after = {"succeeded": 2, "pending": 0, "cost_per_success": "0.375000000000", "value": "6.5"}
    assert row(tmp_path) == {**before, **after}

    reopened = WEBHOOK.format(sampler=sampler, said=("2", "T-1", "failed", "reopened"))
    assert run(reopened, tmp_path).out == "True True"
    after = {"failed": 1, "pending": 0, "cost_per_success": "0.750000000000", "wasted": "0.25", "value": "6.5"}
    assert row(tmp_path) == {**before, **after}

    nodes = json.loads(taskmeter(tmp_path, "show", "T-1", "--format", "json"))["nodes"]
    assert [(node["name"], node["reason"]) for node in nodes if node["kind"] == "outcome"] == [
        ("pending", None),
        ("succeeded", "accepted"),
        ("failed", "reopened"),
    ]

    unknown = WEBHOOK.format(sampler=sampler, said=("3", "T-9", "failed", "who?"))
    assert run(unknown, tmp_path).out == "True True"
    assert row(tmp_path) == {**before, **after}
    assert "No task for the outcome failed of 'T-9'" in taskmeter(tmp_path, "report")
