"""For every test: our own faults are raised, and hypothesis does the same on every run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from taskmeter import _bounds, _guard

settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


@pytest.fixture(autouse=True)
def strict_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises a fault of ours where production swallows it, unless a test sets it back. None is counted yet."""
    monkeypatch.setattr(_guard, "strict", True)
    _guard.faults.clear()
    _guard.first_faults.clear()
    _bounds.counts.clear()
