"""Waste that calls are by themselves: duplicates, loops, answers lost. Each amount derived by hand."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import openai
import pytest
import tenacity

from taskmeter import Task, WasteRules, charge, current_task, track_step, track_task
from taskmeter.demo.stub import (
    Billed,
    Error,
    Request,
    Script,
    StubProvider,
    ToolCall,
    anthropic_message,
    openai_chat,
    openai_response,
    succeed,
)
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT, GPT_USD, Kit, Meter, attributes, outcome, run_metered

SECRET = "the customer's name is Ada Lovelace, order 17"


def chat(kit: Kit, text: str = SECRET, **options: Any) -> Any:
    return kit.openai().chat.completions.create(model=GPT, messages=[{"role": "user", "content": text}], **options)


def message(kit: Kit, text: str = SECRET, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return kit.anthropic().messages.create(model=CLAUDE, max_tokens=100, messages=messages, **options)


def answer(request: Request) -> Any:
    """120 tokens in, 24 out, where that is simple."""
    if request.body.get("stream"):
        return succeed(request)
    known = {"/v1/chat/completions": openai_chat(GPT), "/v1/messages": anthropic_message(CLAUDE)}
    return known.get(request.path) or succeed(request)


def measured(meter: Meter, program: Any, *replies: Any, traced: bool = False, **options: Any) -> Task:
    """The task that `program` ran in; the stub answers by `answer` after `replies`."""
    meter.instrument(**options)
    with StubProvider(Script(*replies, then=answer)) as stub, track_task("test") as task:
        seen = outcome(program, Kit(stub.url, traced=meter.tracer_provider if traced else None))
    assert seen[0] == "returned", seen
    return task


def twice(first: Any, *others: Any) -> Any:
    """The same again, or something else."""

    def program(kit: Kit) -> None:
        for ask in (first, *(others or (first,))):
            ask(kit)

    return program


def classes(meter: Meter) -> list[str | None]:
    """Of the calls, in the order of their ends."""
    return [attributes(span).get("taskmeter.waste.class") for span in meter.model_spans()]


@pytest.mark.parametrize(("ask", "usd"), [(chat, GPT_USD), (message, CLAUDE_USD)])
def test_a_call_that_was_answered_before_is_a_duplicate(meter: Meter, ask: Any, usd: Decimal) -> None:
    """Of three that are the same, two bought nothing new."""
    task = measured(meter, twice(ask, ask, ask))
    assert (task.cost.total, task.cost.waste, task.duplicate_calls) == (3 * usd, {"duplicate": 2 * usd}, 2)
    assert classes(meter) == [None, "duplicate", "duplicate"]
    [span] = meter.spans("task")
    assert attributes(span)["taskmeter.waste.duplicate.exact"] == format((2 * usd).normalize(), "f")
    assert attributes(span)["taskmeter.duplicate_calls"] == 2


def test_a_duplicate_on_the_sdks_own_span(meter: Meter) -> None:
    """It says so before it ends."""
    task = measured(meter, twice(message), traced=True)
    assert task.cost.waste == {"duplicate": CLAUDE_USD}
    assert classes(meter) == [None, "duplicate"]


@pytest.mark.parametrize(
    "other",
    [
        lambda kit: chat(kit, "another question"),
        lambda kit: chat(kit, temperature=1),
        lambda kit: chat(kit, seed=2),
        lambda kit: kit.openai().responses.create(model=GPT, input=SECRET),
        message,
        lambda kit: kit.openai().embeddings.create(model="text-embedding-3-small", input=SECRET),
    ],
)
def test_what_asks_something_else_is_no_duplicate(meter: Meter, other: Any) -> None:
    """Another text, other parameters, another endpoint, another provider."""
    assert measured(meter, twice(chat, other)).duplicate_calls == 0


def test_how_an_answer_is_delivered_makes_no_other_question(meter: Meter) -> None:
    """As a stream, for another user of the application, kept or not: it was known."""
    task = measured(
        meter, twice(chat, lambda kit: list(chat(kit, stream=True, user="ada")), lambda kit: chat(kit, store=True))
    )
    assert task.duplicate_calls == 2


def test_history_that_the_provider_keeps_may_have_grown(meter: Meter) -> None:
    """The same words in a conversation are another question; after the same response they are not."""

    def conversation(kit: Kit) -> Any:
        return kit.openai().responses.create(model=GPT, input="go on", conversation="conv_1")

    def response(kit: Kit) -> Any:
        return kit.openai().responses.create(model=GPT, input="go on", previous_response_id="resp_1")

    assert measured(meter, twice(conversation)).duplicate_calls == 0
    assert measured(meter, twice(response)).duplicate_calls == 1


def test_sound_and_pictures_are_not_compared(meter: Meter) -> None:
    """Their content is in no fingerprint; and of pictures each is a new one."""

    def speech(kit: Kit) -> Any:
        return kit.openai().audio.speech.create(model="tts-1", voice="alloy", input="Hello").read()

    assert measured(meter, twice(speech)).duplicate_calls == 0


def test_an_answer_that_never_came_is_asked_for_again(meter: Meter) -> None:
    """After a call that failed the same call is no duplicate."""

    def program(kit: Kit) -> None:
        client = kit.openai(max_retries=0)
        for _ in range(2):
            try:
                client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hi"}])
            except openai.APIStatusError:
                continue

    task = measured(meter, program, Error(500), openai_chat(GPT))
    assert (task.calls, task.cost.total, task.cost.waste) == (2, GPT_USD, {})


def test_a_rejected_answer_may_be_asked_for_again(meter: Meter) -> None:
    """What is asked anew is useful, and what was asked before is a re-ask: by `retry`, and by a discarded step."""

    def program(kit: Kit) -> None:
        with track_step("draft") as step:
            chat(kit)
            step.discard()
        with track_step("draft"):
            chat(kit)

    task = measured(meter, program)
    assert (task.cost.waste, task.duplicate_calls) == ({"reask": GPT_USD}, 0)
    with StubProvider(answer) as stub, track_task("retried") as retried:
        kit = Kit(stub.url)
        chat(kit)
        retried.retry()
        chat(kit)
        chat(kit)
        kit.close()
    assert retried.cost.waste == {"reask": GPT_USD, "duplicate": GPT_USD}


def test_answers_asked_for_at_the_same_time_are_samples(meter: Meter) -> None:
    """None was known when the others were sent."""

    async def program(kit: Kit) -> None:
        async with kit.aopenai() as client:
            asks = [client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hi"}])] * 1
            asks += [client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hi"}])] * 1
            await asyncio.gather(*asks)

    assert measured(meter, program).duplicate_calls == 0


@pytest.mark.parametrize("options", [{"waste": WasteRules(duplicates=False)}, {"context": False}])
def test_duplicates_can_be_switched_off(meter: Meter, options: Any) -> None:
    """For those who sample one question on purpose; and where no prompt is measured none is known again."""
    task = measured(meter, twice(chat), **options)
    assert (task.cost.waste, task.cost.total) == ({}, 2 * GPT_USD)


def test_tasks_do_not_share_their_answers(meter: Meter) -> None:
    """Another task may need the same; outside any nothing is remembered."""

    def program(kit: Kit) -> None:
        chat(kit)
        with track_task("nested"):
            chat(kit)

    assert measured(meter, program).duplicate_calls == 0
    with StubProvider(answer) as stub:
        kit = Kit(stub.url)
        twice(chat)(kit)
        kit.close()
    assert classes(meter) == [None] * 4


def test_no_prompt_and_no_unkeyed_hash_of_it_leaves_the_process(meter: Meter) -> None:
    """Nor stays in the memory of the task."""
    from hashlib import blake2b, md5, sha1, sha256

    def program(kit: Kit) -> str:
        twice(chat)(kit)
        task = current_task()
        assert task is not None
        assert task._scope.answers is not None
        return repr(task._scope.answers._answers.keys())

    meter.instrument()
    with StubProvider(Script(then=answer)) as stub, track_task("test") as task:
        kept = program(Kit(stub.url))
    assert task._scope.answers is None
    exported = repr([(span.name, dict(span.attributes or {})) for span in meter.exporter.get_finished_spans()])
    hashes = (make(SECRET.encode()) for make in (blake2b, md5, sha1, sha256))
    for unwanted in (
        "Ada",
        "Lovelace",
        *(found for each in hashes for found in (each.hexdigest(), repr(each.digest()))),
    ):
        assert unwanted not in exported
        assert unwanted.strip("b'") not in kept
    assert len(kept) > 20


# --- loops


def test_the_calls_between_runs_of_a_loop_are_part_of_it(meter: Meter) -> None:
    """The model asks for the same run 5 times. Runs 4 and 5, at 1 each, are a loop, and so is the call between them;
    the calls before are not, nor is the last, which answers."""
    meter.instrument()
    asking = [openai_response(GPT, tool_calls=[t.CALL]) for _ in range(5)]
    status = priced(t.order_status)

    def program(kit: Kit) -> Any:
        from openai.lib import responses_tool_runner as runners

        function = runners.RegisteredFunction(t.DEFINITION, lambda arguments: status(**arguments))
        return runners.ResponsesToolRunner(functions=[function]).run(kit.openai(), t.RESPONSE, max_steps=6)

    task = run_metered(program, (*asking, openai_response(GPT, "It left on Tuesday.")), meter).task
    assert (task.calls, task.tool_runs, task.looped_tool_runs) == (6, 5, 2)
    assert task.cost.waste == {"loop": 2 + GPT_USD}
    assert classes(meter) == [None, None, None, None, "loop", None]


def test_a_loop_of_the_runner_of_anthropic(meter: Meter) -> None:
    """The same without a price of the tool: the arguments are those of the model."""
    meter.instrument()
    asking = [anthropic_message(CLAUDE, tool_calls=[t.CALL]) for _ in range(5)]
    replies = (*asking, anthropic_message(CLAUDE, "It left on Tuesday."))
    task = run_metered(t.anthropic_runner, replies, meter).task
    assert (task.tool_runs, task.looped_tool_runs) == (5, 2)
    assert task.cost.waste == {"loop": CLAUDE_USD}
    assert [attributes(span).get("taskmeter.waste.class") for span in meter.spans("tool")] == [None] * 3 + ["loop"] * 2


def test_other_arguments_are_no_loop(meter: Meter) -> None:
    """One runner, five orders."""
    calls = [ToolCall("order_status", {"order": number}) for number in range(5)]
    replies = [anthropic_message(CLAUDE, tool_calls=[call]) for call in calls]
    meter.instrument()
    task = run_metered(t.anthropic_runner, (*replies, anthropic_message(CLAUDE, "Done.")), meter).task
    assert (task.tool_runs, task.looped_tool_runs) == (5, 0)


def priced(func: Any) -> Any:
    from taskmeter import track_tool

    return track_tool("order_status", cost=1)(func)


# --- a context that grows


@pytest.mark.parametrize(("turns", "told"), [(3, 4), (4, 4), (5, None), (None, None)])
def test_a_context_that_grows_with_each_call_is_told(meter: Meter, turns: int | None, told: int | None) -> None:
    """100, 200, 300, 400 tokens in, then 50: four calls in a row, from a threshold on. No money is waste for it."""

    def program(kit: Kit) -> None:
        for number in range(5):
            chat(kit, f"question {number}")

    replies = [openai_chat(GPT, billed=Billed(input=count)) for count in (100, 200, 300, 400, 50)]
    task = measured(meter, program, *replies, waste=WasteRules(growing_turns=turns))
    assert (task.growing_turns, task.cost.waste) == (4, {})
    [span] = meter.spans("task")
    assert attributes(span).get("taskmeter.growing_turns") == told


def test_calls_of_different_scopes_do_not_grow_together(meter: Meter) -> None:
    """Two steps, each with calls that grow: the longer row counts."""

    def program(kit: Kit) -> None:
        for name, count in (("a", 2), ("b", 3)):
            with track_step(name):
                for number in range(count):
                    chat(kit, f"question {name} {number}")
        charge("1")

    replies = [openai_chat(GPT, billed=Billed(input=count)) for count in (100, 200, 300, 400, 500)]
    assert measured(meter, program, *replies).growing_turns == 3


def test_calls_in_retry_loops_grow_with_those_around(meter: Meter) -> None:
    """An agent whose function that calls the model is in such a loop: 4 calls of one task."""

    def program(kit: Kit) -> None:
        ask = tenacity.retry(stop=tenacity.stop_after_attempt(2))(chat)
        for number in range(4):
            ask(kit, f"question {number}")

    replies = [openai_chat(GPT, billed=Billed(input=count)) for count in (100, 200, 300, 400)]
    assert measured(meter, program, *replies).growing_turns == 4
