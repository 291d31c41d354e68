"""Real providers in memory, clients over a wire in memory, and a check that nothing of a scope is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import context as otel

from taskmeter import current_task
from tests.attribution.wire import Clients
from tests.capture.harness import Meter


@pytest.fixture
def meter() -> Iterator[Meter]:
    running = Meter()
    running.instrument()
    yield running
    running.close()


@pytest.fixture
def clients(meter: Meter) -> Clients:
    return Clients(meter)


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = otel.get_current()
    yield
    assert current_task() is None
    assert otel.get_current() == before
    assert [record.getMessage() for record in caplog.get_records("call") if "detach" in record.getMessage()] == []
