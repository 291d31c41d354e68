"""How long the reports to decide by take, each from Parquet and as a process of its own, and the memory of each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.harness import QUICK, Plan, Result, measure
from bench.spans import write_spans

_SIZES = (1_000, 1_000_000)
_RUNS = Plan(pairs=3, block_seconds=0)
_REPORTS = {
    "whatif": (
        "whatif",
        "--route",
        "draft:*=gpt-5-nano@70%",
        "--cache",
        "--batch",
        "check",
        "--response-cache",
        "exact",
    ),
    "whatif --suggest": ("whatif", "--suggest"),
    "value": ("value", "--task-minutes", "30", "--check-minutes", "5", "--hourly", "60"),
    "value --by customer": ("value", "--by", "customer", "--task-minutes", "30", "--check-minutes", "5"),
    "compare": ("compare", "label:team=team 0", "label:team=team 1"),
    "forecast": ("forecast", "--volume", "5000/day", "--horizon", "90d", "--start", "2026-12-01"),
    "forecast --by customer": ("forecast", "--volume", "5000/day", "--horizon", "90d", "--by", "customer"),
    "steps": ("steps",),
}


def run(plan: Plan) -> Iterator[Result]:
    """Every report, by number of spans."""
    sizes, runs = (_SIZES[:1], replace(_RUNS, pairs=1)) if plan is QUICK else (_SIZES, _RUNS)
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            spans = write_spans(Path(directory), size)
            for name, arguments in _REPORTS.items():
                most = [0]
                result = measure("", partial(_report, directory, arguments, most), runs)
                yield replace(result, name=f"{name}: {spans:,} spans, {most[0] / 1024:,.0f} MB")


def _report(spool: str, arguments: tuple[str, ...], most: list[int]) -> None:
    """Keeps in `most` the kilobytes that it took at its worst."""
    command = [sys.executable, "-m", "taskmeter", *arguments, "--spool", spool, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - ours
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    most[0] = max(most[0], usage.ru_maxrss)
