"""Helpers for your own tests: what a task cost as an assertion, real clients without a network. See docs/testing.md.

The pytest plugin (`@pytest.mark.max_cost`, the table at the end of the run) is in `taskmeter_pytest`.
"""

from taskmeter.demo.stub import Billed, Error, Request, ToolCall
from taskmeter.testing.fakes import Answer, FakeProvider
from taskmeter.testing.limits import assert_cost_below
from taskmeter.testing.recording import RecordedTask, RecordedTasks, recorded_tasks
from taskmeter.testing.spent import Spent

__all__ = [
    "Answer",
    "Billed",
    "Error",
    "FakeProvider",
    "RecordedTask",
    "RecordedTasks",
    "Request",
    "Spent",
    "ToolCall",
    "assert_cost_below",
    "recorded_tasks",
]
