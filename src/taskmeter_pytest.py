"""The pytest plugin: `@pytest.mark.max_cost(usd=...)`, the fixture `taskmeter_tasks`, the costs at the end of the run.

pytest imports this module in every run where taskmeter is installed. So it stands outside of the package, whose import
takes a while, and imports from there only once a test needs it, or when the application has done so itself.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from taskmeter.testing import RecordedTasks

_MARKER = "max_cost(usd, *, unpriced='fail'): fail the test if its function costs more than `usd` dollars (taskmeter)"
PREFIX = "taskmeter_"
"""Of the properties by which the report of a test tells what it cost; pytest-xdist and JUnit XML carry them."""


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)
    config.pluginmanager.register(_Summary(), "taskmeter-summary")


@pytest.fixture
def taskmeter_tasks() -> Generator[RecordedTasks]:
    """The tasks that end from here on, as `taskmeter.testing.recorded_tasks()` gives them."""
    from taskmeter.testing import recorded_tasks

    with recorded_tasks() as tasks:
        yield tasks


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watches what fixtures spend. A marker that makes no sense fails its test before they do."""
    with _watched(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watches what the test itself spends, and fails one that passes but for that."""
    with _watched(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watches what fixtures spend at their end."""
    with _watched(item, "teardown"):
        return (yield)


def _watched(item: pytest.Item, phase: Literal["setup", "call", "teardown"]) -> AbstractContextManager[object]:
    if "taskmeter" not in sys.modules and item.get_closest_marker("max_cost") is None:
        return nullcontext()  # nobody here spends anything that we could see
    from taskmeter.testing.costs import watched

    return watched(item, phase)


class _Summary:
    """Where reports arrive, be it from workers: the table."""

    def __init__(self) -> None:
        self._reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the last report of each test that spent anything."""
        if report.when == "teardown" and any(name.startswith(PREFIX) for name, _ in report.user_properties):
            self._reports.append(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints what tests cost, if any did."""
        if self._reports:
            from taskmeter.testing.costs import table

            terminalreporter.section("what the tests cost (taskmeter)")
            for line in table(self._reports, whole=terminalreporter.config.get_verbosity() > 0):
                terminalreporter.line(line)
