"""A meter for every test, and no budget left over from the test before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskmeter import account
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


@pytest.fixture(autouse=True)
def no_budgets() -> Iterator[None]:
    """As in a process that never had one."""
    yield
    account.budgets.use((), None)
    account.budgets.active = False
