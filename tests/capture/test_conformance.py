"""Every surface to every ending, with and without an event loop: one call, and the caller sees what it sees bare."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.capture.conformance import FAMILIES, STREAM_ENDINGS, STREAMED, WHOLE, WHOLE_ENDINGS, Ending, Surface, program
from tests.capture.harness import Meter, attributes, run_bare, run_metered


def rows() -> Iterator[Any]:
    for kind, surfaces, endings in (("whole", WHOLE, WHOLE_ENDINGS), ("stream", STREAMED, STREAM_ENDINGS)):
        for surface in surfaces:
            for ending in endings:
                for asynchronous in (False, True):
                    for traced in (False, True) if surface.name == "message" else (False,):
                        if (ending.asynchronous_only and not asynchronous) or (
                            ending.slow and surface.name != surface.family
                        ):
                            continue
                        mode = ("async" if asynchronous else "sync") + (" native" if traced else "")
                        name = f"{kind} {surface.name}: {ending.name}, {mode}"
                        yield pytest.param(surface, ending, asynchronous, traced, id=name)


@functools.cache
def bare_run(surface: Surface, ending: Ending, *, asynchronous: bool) -> Any:
    return run_bare(program(surface, ending, asynchronous=asynchronous), ending.replies(FAMILIES[surface.family]))


def settled(condition: Callable[[], bool]) -> None:
    """What the garbage collector ends is booked by a thread."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


@pytest.mark.parametrize(("surface", "ending", "asynchronous", "traced"), list(rows()))
def test_row(surface: Surface, ending: Ending, *, asynchronous: bool, traced: bool) -> None:
    """One span and one booked call, with the status, tokens and cost that are known; the same results, exceptions,
    events and requests as without us."""
    run_it = program(surface, ending, asynchronous=asynchronous)
    family = FAMILIES[surface.family]
    replies, expected = ending.replies(family), ending.expected(family)
    bare = bare_run(surface, ending, asynchronous=asynchronous)
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(run_it, replies, meter, traced=traced and meter.tracer_provider)
        task = run.task
        settled(lambda: task.calls == 1 and len(meter.model_spans()) == 1)
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert run.bodies == bare[1]
    assert (task.calls, task.attempts, task.exposed_attempts) == (1, expected.attempts, expected.exposed)
    assert task.unpriced_calls == (expected.status == "unpriced")
    assert task.cost.total == meter.leaf_sum() == expected.usd
    assert task.cost.wasted == (expected.usd if expected.wasted else 0)
    assert task.cost.estimated == (expected.usd if expected.status == "estimated" else 0)
    assert (task.usage.input_tokens, task.usage.output_tokens) == (expected.tokens or (0, 0))
    assert (task.retry_seconds > 0) is (expected.attempts > 1)
    [span] = meter.model_spans()
    last_failed = expected.error is not None and expected.attempts > 1
    attempts = meter.spans("attempt")
    assert len(attempts) == expected.attempts - 1 + last_failed
    flagged = [attempt for attempt in attempts if attributes(attempt).get("taskmeter.attempt.possibly_billed")]
    assert len(flagged) == (expected.exposed if attempts else 0)
    found = attributes(span)
    assert found.get("taskmeter.exposed_attempts", 0) == expected.exposed
    unanswered = expected.exposed > 0 and expected.error is not None
    assert found.get("taskmeter.attempt.possibly_billed", False) is unanswered
    if traced and meter.spans("charge"):
        return  # the SDK had ended its span by then
    assert found.get("taskmeter.cost.status") == expected.status
    priced = expected.status not in (None, "unpriced")
    assert found.get("taskmeter.cost.exact") == (f"{expected.usd.normalize():f}" if priced else None)
    if not traced:
        assert found.get("error.type") == expected.error
        assert span.status.status_code.name == ("UNSET" if expected.error is None else "ERROR")
        counts = (found.get("gen_ai.usage.input_tokens"), found.get("gen_ai.usage.output_tokens"))
        assert counts == (expected.tokens or (None, None))
        assert found.get("taskmeter.waste.class") == expected.waste


def test_the_table_holds_every_family() -> None:
    """No API without rows of both kinds."""
    assert {surface.family for surface in WHOLE} == {surface.family for surface in STREAMED} == FAMILIES.keys()
    assert all(family.exact > Decimal(0) for family in FAMILIES.values())
