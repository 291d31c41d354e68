"""What the input of calls was made of: every figure is derived by hand in its test.

gpt-5-mini: 0.25 USD per million input tokens, 0.025 from the cache, 2 for output. claude-sonnet-5: 2 input, 0.20 from
the cache, 2.50 written to it for 5 minutes, 4 for an hour, 10 for output.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from taskmeter import Context, track_step, track_task
from taskmeter.records import ContextShare
from tests.context.wire import Billed, Wire

Usd = Decimal

SYSTEM = {"role": "system", "content": "s" * 300}
ASKED = {"role": "user", "content": "q" * 300}
ANSWERED = {"role": "assistant", "content": "a" * 200}
NOW = {"role": "user", "content": "n" * 200}
LOOKUP = {"name": "lookup", "description": "d" * 157, "input_schema": {"type": "object"}}
"""200 bytes: its words, and name, description, input_schema, type and object."""


def shares(attributes: dict[str, Any]) -> dict[str, Any]:
    """What a call's span says its input was made of, with the exact amounts."""
    found: dict[str, Any] = json.loads(attributes["taskmeter.context.shares"])
    return found


def sources(context: Context) -> dict[str, tuple[int, Decimal | None]]:
    """Tokens and cost by source."""
    return {source: (share.tokens, share.cost) for source, share in context.by_source.items()}


def test_the_cached_beginning_of_a_prompt_is_at_the_cache_price(wire: Wire) -> None:
    """1,000 bytes, 1,000 tokens, 400 from the cache: all 300 of the system prompt and the first 100 of history."""
    wire.answers(Billed(input=1000, cache_read=400, output=10))
    with track_task("t") as task:
        wire.chat([SYSTEM, ASKED, ANSWERED, NOW])

    # 300 x 0.025; 100 x 0.025 + 400 x 0.25; 200 x 0.25, per million. In all 160, as 400 x 0.025 + 600 x 0.25.
    expected = {
        "system": (300, Usd("0.0000075")),
        "history": (500, Usd("0.0001025")),
        "user": (200, Usd("0.00005")),
    }
    assert sources(task.context) == expected
    assert task.context.tokens == 1000
    (call,) = wire.calls()
    assert shares(call) == {"system": [300, "0.0000075"], "history": [500, "0.0001025"], "user": [200, "0.00005"]}
    assert {name: call[name] for name in call if name.endswith("_tokens") and "context" in name} == {
        "taskmeter.context.system_tokens": 300,
        "taskmeter.context.history_tokens": 500,
        "taskmeter.context.user_tokens": 200,
    }


def test_what_is_written_to_the_cache_comes_after_what_is_read(wire: Wire) -> None:
    """Anthropic puts tools first: 150 of their 200 tokens are read, and 50 of them and the system prompt written."""
    wire.answers(Billed(input=1000, cache_read=150, cache_write=150, output=10))
    with track_task("t") as task:
        wire.message([{"role": "user", "content": "u" * 700}], system="s" * 100, tools=[LOOKUP])

    assert sources(task.context) == {
        "system": (100, Usd("0.00025")),  # 100 x 2.50
        "tools": (200, Usd("0.000155")),  # 150 x 0.20 + 50 x 2.50
        "user": (700, Usd("0.0014")),  # 700 x 2
    }


def test_a_cache_saves_what_plain_input_would_have_cost_more_net_of_writing(wire: Wire) -> None:
    """Of 150 tokens read 150 x (2 - 0.20), of 150 written 150 x (2 - 2.50), of 100 for an hour 100 x (2 - 4)."""
    wire.answers(Billed(input=1000, cache_read=150, cache_write=150, cache_write_1h=100, output=10))
    with track_task("t") as task:
        wire.message([ASKED])

    assert task.cost.cache_saved == Usd("-0.000005")  # 270 - 75 - 200, per million
    (call,) = wire.calls()
    assert call["taskmeter.cost.cache_saved"] == wire.task()["taskmeter.cost.cache_saved"] == -0.000005


def test_a_cache_that_is_only_written_saves_less_than_nothing(wire: Wire) -> None:
    """A premium for what nobody reads: 1,000 x (2 - 2.50) per million."""
    wire.answers(Billed(input=1000, cache_write=1000, output=10))
    with track_task("t") as task:
        wire.message([ASKED])

    assert task.cost.cache_saved == Usd("-0.0005")


def test_a_cache_saves_where_no_plain_input_was_billed_too(wire: Wire) -> None:
    """The plain price is that of the rate card: 1,000 x (0.25 - 0.025) per million."""
    wire.answers(Billed(input=1000, cache_read=1000, output=10))
    with track_task("t") as task:
        wire.chat([ASKED])

    assert task.cost.cache_saved == Usd("0.000225")


def test_without_caches_nothing_is_said_of_them(wire: Wire) -> None:
    """Attributes of what there is not are left out, as a span has room for so many."""
    wire.answers(Billed(input=100, output=10))
    with track_task("t") as task:
        wire.chat([ASKED])

    assert task.cost.cache_saved == 0
    assert task.cost.reasoning == 0
    for span in (*wire.calls(), wire.task()):
        assert not {"taskmeter.cost.cache_saved", "taskmeter.cost.reasoning"} & span.keys()


def test_reasoning_is_a_part_of_what_the_model_cost(wire: Wire) -> None:
    """Two calls with 40 and 30 reasoning tokens at 2 USD per million; the first of them in a step."""
    wire.answers(Billed(input=100, output=60, reasoning=40), Billed(input=100, output=60, reasoning=30))
    with track_task("t") as task:
        with track_step("draft") as step:
            wire.chat([ASKED])
        wire.chat([NOW])

    assert step.cost.reasoning == Usd("0.00008")
    assert task.cost.reasoning == Usd("0.00014")
    assert [call["taskmeter.cost.reasoning"] for call in wire.calls()] == [0.00008, 0.00006]
    assert wire.task()["taskmeter.cost.reasoning"] == 0.00014
    assert task.cost.model == Usd("0.00029")  # 200 x 0.25 + 120 x 2


def test_text_that_an_earlier_call_of_the_task_sent_is_carried(wire: Wire) -> None:
    """The second call of a conversation sends the first one's 600 bytes again, and 400 that are new."""
    wire.answers(Billed(input=600, output=10), Billed(input=1000, output=10))
    with track_task("t") as task:
        wire.chat([SYSTEM, ASKED])
        wire.chat([SYSTEM, ASKED, ANSWERED, NOW])

    assert task.context.carried == ContextShare(600, Usd("0.00015"))
    first, second = wire.calls()
    assert "taskmeter.context.carried_tokens" not in first
    assert second["taskmeter.context.carried_tokens"] == 600
    assert shares(second)["carried"] == [600, "0.00015"]
    assert wire.task()["taskmeter.context.carried_tokens"] == 600
    assert wire.task()["taskmeter.context.carried_cost"] == 0.00015


def test_text_that_a_prompt_contains_twice_is_not_carried(wire: Wire) -> None:
    """No earlier call sent it."""
    wire.answers(Billed(input=600, output=10))
    with track_task("t") as task:
        wire.chat([ASKED, ANSWERED, ASKED])

    assert task.context.carried == ContextShare(0, Usd(0))


def test_another_task_carries_nothing_of_this_one(wire: Wire) -> None:
    """Nor does a task nested in it."""
    wire.answers(Billed(input=600, output=10))
    with track_task("outer") as outer:
        wire.chat([ASKED])
        with track_task("inner") as inner:
            wire.chat([ASKED])
    with track_task("next") as after:
        wire.chat([ASKED])

    assert [task.context.carried.tokens for task in (outer, inner, after)] == [0, 0, 0]
    assert outer.context.by_source["user"].tokens == 1200


def test_a_step_has_its_own_part_of_the_figures(wire: Wire) -> None:
    """Its span and its account have its call's, the task's both; what it carries is of the whole task."""
    wire.answers(Billed(input=300, output=10))
    with track_task("t") as task:
        wire.chat([ASKED])
        with track_step("again") as step:
            wire.chat([ASKED])

    assert sources(step.context) == {"user": (300, Usd("0.000075"))}
    assert step.context.carried.tokens == 300
    assert task.context.by_source["user"].tokens == 600
    (span,) = wire.meter.spans("step")
    assert (span.attributes or {})["taskmeter.context.user_cost"] == 0.000075


def test_a_task_span_sums_up_its_calls(wire: Wire) -> None:
    """Tokens and money by source, as numbers that any backend can add and compare."""
    wire.answers(Billed(input=1000, output=10))
    with track_task("t"):
        wire.chat([SYSTEM, ASKED, ANSWERED, NOW])

    task = wire.task()
    assert {name: value for name, value in task.items() if name.startswith("taskmeter.context.")} == {
        "taskmeter.context.system_tokens": 300,
        "taskmeter.context.system_cost": 0.000075,
        "taskmeter.context.history_tokens": 500,
        "taskmeter.context.history_cost": 0.000125,
        "taskmeter.context.user_tokens": 200,
        "taskmeter.context.user_cost": 0.00005,
    }


def test_an_unknown_price_leaves_tokens_without_money(wire: Wire) -> None:
    """What is not known is `None` or left out, never 0."""
    wire.answers(Billed(input=300, output=10))
    with track_task("t") as task:
        wire.ask(wire.openai, model="nobody-knows-it")

    assert sources(task.context) == {"user": (300, None)}
    (call,) = wire.calls()
    assert shares(call) == {"user": [300, None]}
    assert wire.task()["taskmeter.context.user_tokens"] == 300
    assert "taskmeter.context.user_cost" not in wire.task()


def test_a_span_that_the_sdk_opened_says_it_as_well(wire: Wire) -> None:
    """Anthropic's own span carries the shares and the fingerprint, once."""
    wire.answers(Billed(input=1000, output=10))
    with track_task("t") as task:
        wire.traced_anthropic.messages.create(
            model="claude-sonnet-5", max_tokens=10, system="s" * 300, messages=[{"role": "user", "content": "n" * 700}]
        )

    (call,) = wire.calls()
    assert shares(call) == {"system": [300, "0.0006"], "user": [700, "0.0014"]}
    assert len(call["taskmeter.call.fingerprint"]) == 16
    assert task.context.calls == 1


def test_a_call_without_input_says_nothing_of_it(wire: Wire) -> None:
    """There is nothing to divide, and nothing unmeasured."""
    wire.answers(Billed(input=0, output=10))
    with track_task("t") as task:
        wire.chat([ASKED])

    assert (task.context.calls, task.context.unmeasured_calls) == (0, 0)
    assert "taskmeter.context.shares" not in wire.calls()[0]
