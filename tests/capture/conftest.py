"""A meter whose hooks come off whatever happens, and skips for what an old SDK lacks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.capture.harness import Meter
from tests.capture.sdks import pytest_pyfunc_call

__all__ = ["meter", "pytest_pyfunc_call"]


@pytest.fixture
def meter() -> Iterator[Meter]:
    """Hooks on every client, spans and metrics in memory."""
    running = Meter()
    running.instrument()
    yield running
    running.close()
