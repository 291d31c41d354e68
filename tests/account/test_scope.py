"""What an open task remembers goes with it."""

from __future__ import annotations

import gc

from taskmeter.account import Answers, Ledger, Scope, TaskIdentity, ToolRuns


def a_task() -> None:
    """With a step that got an answer and ran a tool, beside another that nobody ends."""
    task = Scope(TaskIdentity("1", "t"), Ledger())
    step, left_open = task.within("draft"), task.within("check")
    task.opens("draft", step)
    task.opens("check", left_open)
    task.answers, step.runs = Answers(), ToolRuns()
    task.answers.answered(b"question", step.ledger)
    step.runs.starts(b"tool")
    step.end()
    task.end()


def test_nothing_of_a_task_that_has_ended_waits_for_the_garbage_collector() -> None:
    """No cycle is left of its scopes, its account and what it remembered."""
    gc.collect()
    gc.disable()
    try:
        a_task()
        alive = [each for each in gc.get_objects() if type(each) in (Ledger, Scope, Answers, ToolRuns)]
    finally:
        gc.enable()
    assert alive == []
