"""Exporters that fail or hang are left behind in bounded time."""

from __future__ import annotations

import threading
import time

import pytest

from taskmeter import _guard
from taskmeter.telemetry.delivery import Ender, within


def fail() -> None:
    raise OSError("disk gone")


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "strict", False)


def test_flushing_reports_what_raised_or_said_no(lenient: None) -> None:
    """`within` is true only if each action was done and none failed."""
    assert within(5, list, dict)
    assert not within(5, list, lambda: False)
    before = _guard.faults["telemetry.deliver"]
    assert not within(5, list, fail)
    assert _guard.faults["telemetry.deliver"] == before + 1


def test_flushing_leaves_behind_what_hangs() -> None:
    """An exporter that never returns costs the time that was given, no more."""
    forever = threading.Event()
    began = time.monotonic()
    assert not within(0.2, forever.wait)
    assert time.monotonic() - began < 5
    forever.set()


def test_an_exporter_that_fails_at_the_end_is_counted(lenient: None) -> None:
    """Ending the program goes on when an exporter raises at its end."""
    before = _guard.faults["telemetry.end_exporters"]
    ender = Ender(fail)
    ender.begin()
    ender.join(30)
    assert _guard.faults["telemetry.end_exporters"] == before + 1
