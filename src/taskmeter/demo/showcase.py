"""Runs the sample agents against the stub provider and records what their tasks cost."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

import taskmeter
from taskmeter.demo.stub import StubProvider
from taskmeter.errors import MissingDependencyError

SHOWCASE_KEY: Final = "T-1002"
"""The key of the task that shows most: tools, a retry, a discarded draft and its second version."""


def run(spool: Path) -> None:
    """Does all the work of the demonstration, records it in `spool`, and exports it where `OTEL_*` says.

    No key and no network beyond 127.0.0.1; the same tasks, counts, outcomes and money every time, in a few seconds.
    Raises `MissingDependencyError` unless both provider SDKs are installed.
    """
    for package in ("openai", "anthropic"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, package, "The demonstration")
    from taskmeter.demo import play, scenario

    handle = taskmeter.configure(spool=spool)
    try:
        with StubProvider(scenario.provider()) as stub:
            play.everything(stub.url)
        if not handle.flush():
            print("taskmeter demo: not everything could be exported in time", file=sys.stderr)
    finally:
        handle.shutdown()
