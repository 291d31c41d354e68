"""A meter whose hooks come off whatever happens, and skips for what an old SDK lacks."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.capture.harness import Meter
from tests.capture.sdks import lacking, needs


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Skips a test that needs what the SDK at hand does not have yet."""
    try:
        return (yield)
    except Exception as error:
        missing = lacking(error)
        if missing is None:
            raise
        needs(has=False, what=missing)


@pytest.fixture
def meter() -> Iterator[Meter]:
    """Hooks on every client, spans and metrics in memory."""
    running = Meter()
    running.instrument()
    yield running
    running.close()
