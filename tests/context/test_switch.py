"""`context=False` measures nothing, and costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from taskmeter import Context, configure, instrument, track_task
from taskmeter.errors import ConfigurationError
from tests.context.test_context import ASKED, NOW, SYSTEM
from tests.context.wire import Billed, Wire, wired

MEASURING = ("prompt.py", "openai_prompt.py", "anthropic_prompt.py", "definitions.py", "marks.py", "sent.py")


def ran(wire: Wire) -> set[str]:
    """The files that measure prompts of which some function was called by two calls."""
    found: set[str] = set()

    def notice(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and "taskmeter" in frame.f_code.co_filename:
            found.add(Path(frame.f_code.co_filename).name)

    clients = wire.openai, wire.anthropic
    sys.setprofile(notice)
    try:
        clients[0].chat.completions.create(model="gpt-5-mini", messages=[SYSTEM, ASKED])  # type: ignore[list-item]
        clients[1].messages.create(model="claude-sonnet-5", max_tokens=9, messages=[NOW])  # type: ignore[list-item]
    finally:
        sys.setprofile(None)
    return found & set(MEASURING)


def test_switched_off_nothing_is_measured() -> None:
    """No prompt is looked at, nothing is on any span, and the account has no figures; the rest is as ever."""
    with wired(context=False) as wire:
        wire.answers(Billed(input=1000, cache_read=400, output=10, reasoning=4))
        with track_task("t") as task:
            assert ran(wire) <= {"sent.py"}  # which knows that it is switched off
        assert task._scope.sent is None
        for span in (*wire.calls(), wire.task()):
            assert [name for name in span if "context" in name or "fingerprint" in name] == []
        assert task.context == Context(unmeasured_calls=2)
        assert task.usage.input_tokens == 2000
        assert task.cost.reasoning > 0
        assert task.cost.cache_saved > 0


def test_by_default_it_is_on() -> None:
    """The same program with nothing said."""
    with wired() as wire:
        wire.answers(Billed(input=1000, output=10))
        with track_task("t") as task:
            assert ran(wire) == set(MEASURING) - {"definitions.py"}
        assert task.context.calls == 2


def test_it_can_be_switched_while_a_task_is_open() -> None:
    """`instrument` called again changes the settings; what was not measured is counted as such."""
    with wired(context=False) as wire:
        wire.answers(Billed(input=300, output=10))
        with track_task("t") as task:
            wire.chat([ASKED])
            wire.meter.instrument(context=True)
            wire.chat([ASKED])
        assert (task.context.calls, task.context.unmeasured_calls) == (1, 1)
        assert wire.task()["taskmeter.context.unmeasured_calls"] == 1


@pytest.mark.parametrize("function", [configure, instrument])
def test_only_yes_or_no_will_do(function: Any) -> None:
    """A text such as "false" would be taken for a yes."""
    with pytest.raises(ConfigurationError, match="context='false' is neither True nor False"):
        function(context="false")
