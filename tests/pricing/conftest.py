"""A price book of the user's, put in force for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from taskmeter import pricing
from tests.capture.sdks import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call", "shipped", "use_toml"]

UseToml = Callable[[str], None]


@pytest.fixture
def shipped() -> Iterator[None]:
    """The shipped prices are in force again after the test."""
    yield
    pricing.use(None)


@pytest.fixture
def use_toml(tmp_path: Path, shipped: None) -> UseToml:
    """Puts a price file with the given text in force."""

    def use(text: str) -> None:
        path = tmp_path / "taskmeter.toml"
        path.write_text(text, encoding="utf-8")
        pricing.use(path)

    return use


@pytest.fixture
def use_mapping(shipped: None) -> Callable[[Mapping[str, object]], None]:
    """Puts the content of a price file in force."""
    return pricing.use
