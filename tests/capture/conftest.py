"""A meter whose hooks come off whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.capture.harness import Meter


@pytest.fixture
def meter() -> Iterator[Meter]:
    """Hooks on every client, spans and metrics in memory."""
    running = Meter()
    running.instrument()
    yield running
    running.close()
