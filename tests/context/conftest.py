"""What the tests of the context tax share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.context.wire import Wire, wired


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wired() as found:
        yield found
