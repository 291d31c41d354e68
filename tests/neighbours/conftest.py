"""One neighbour per process, in an environment of its own: `nox -s neighbours`. Not part of `make test`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

WHO = os.environ.get("TASKMETER_NEIGHBOUR")
ORDER = os.environ.get("TASKMETER_NEIGHBOUR_ORDER", "before")

if WHO is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def bench() -> Iterator[Any]:
    """A neighbour that came before our hooks or after them, and what went over the wire."""
    from tests.neighbours.harness import Bench

    assert WHO is not None
    running = Bench(WHO, ORDER)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def strict_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises a fault of ours where production swallows it."""
    from taskmeter import _guard

    monkeypatch.setattr(_guard, "strict", True)
