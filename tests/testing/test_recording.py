"""`recorded_tasks()`: what it sees, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from taskmeter import TaskSpanProcessor, charge, instrument, track_step, track_task, uninstrument
from taskmeter.capture import hook_status
from taskmeter.records import total
from taskmeter.telemetry import watching
from taskmeter.testing import Answer, Billed, Error, FakeProvider, recorded_tasks

USD = Decimal("0.00045")
"""gpt-5-mini, 1,000 tokens in at $0.25 and 100 out at $2 per million."""


def ask(client: openai.OpenAI, model: str = "gpt-5-mini") -> None:
    client.responses.create(model=model, input="Where is order 17?")


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider(then=Answer("On its way.", Billed(input=1_000, output=100)))


@pytest.fixture
def client(fake: FakeProvider) -> openai.OpenAI:
    return fake.client(openai.OpenAI)


@pytest.fixture
def own_provider() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """An application that instruments with a provider of its own."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(TaskSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    uninstrument()
    instrument(tracer_provider=None)
    uninstrument()
    provider.shutdown()


def hooks() -> set[str]:
    """The state of the hook on what the OpenAI client requests."""
    return {status.state for status in hook_status() if status.function == "openai._base_client.SyncAPIClient.request"}


def test_needs_no_set_up_and_leaves_none_behind(client: openai.OpenAI) -> None:
    """A task has its figures and its outcome; afterwards the hooks are off and nobody watches."""
    before = trace.get_tracer_provider()
    with recorded_tasks() as tasks, track_task("resolve", key="T-1", customer="acme") as task:
        ask(client)
        charge("0.002", category="tools", item="crm")
        task.succeed(value="12.50")
    ask(client)
    (task,) = tasks
    assert (task.name, task.key, task.customer, task.outcome.status) == ("resolve", "T-1", "acme", "succeeded")
    assert task.outcome.value == Decimal("12.50")
    assert (task.cost.total, task.cost.model, task.cost.tools) == (Decimal("0.00245"), USD, Decimal("0.002"))
    assert (task.usage.input_tokens, task.usage.output_tokens) == (1_000, 100)
    assert (task.calls, task.retries, task.tool_runs, task.unpriced_calls) == (1, 0, 0, 0)
    assert hooks() == {"out"}
    assert watching.watchers == ()
    assert trace.get_tracer_provider() is before


def test_the_tree_shows_steps_attempts_and_nested_tasks() -> None:
    """It is that of `taskmeter show`, without a provider, an exporter or a file."""
    fake = FakeProvider(Error(503, retry_after=0.01), then=Answer(billed=Billed(input=1_000, output=100)))
    client = fake.client(openai.OpenAI)
    with recorded_tasks() as tasks, track_task("resolve", key="T-1"):
        with track_step("draft"):
            ask(client)
        with track_task("check"):
            ask(client)
    text = tasks.only("resolve").tree()
    assert [
        line[:22].partition(" $")[0].rstrip() for line in text.splitlines() if re.match("[│ ]*[├└]|task", line)
    ] == [
        "task resolve T-1",
        "├ step draft",
        "│ └ chat gpt-5-mini",
        "│   └ attempt 1",
        "└ task check",
        "  └ chat gpt-5-mini",
    ]
    assert "HTTP 503" in text
    assert tasks.only("check").tree().count("chat gpt-5-mini") == 1


def test_an_applications_provider_gets_the_same_spans(
    client: openai.OpenAI, own_provider: tuple[TracerProvider, InMemorySpanExporter]
) -> None:
    """It is neither replaced nor added to, its hooks stay on, and the tree is made of its spans."""
    provider, exporter = own_provider
    instrument(tracer_provider=provider)
    processors = provider._active_span_processor._span_processors
    with recorded_tasks() as tasks, track_task("resolve"), provider.get_tracer("app").start_as_current_span("work"):
        ask(client)
    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["chat gpt-5-mini", "work", "invoke_workflow resolve"]
    assert provider._active_span_processor._span_processors is processors
    assert tasks.only().tree().count("chat gpt-5-mini") == 1
    assert hooks() == {"in"}


def test_instrumenting_inside_the_block_stays(
    client: openai.OpenAI, own_provider: tuple[TracerProvider, InMemorySpanExporter]
) -> None:
    """The code under test may set itself up; it is not undone, and its spans are in the tree."""
    provider, exporter = own_provider
    with recorded_tasks() as tasks:
        instrument(tracer_provider=provider)
        with track_task("resolve"):
            ask(client)
    assert len(exporter.get_finished_spans()) == 2
    assert "chat gpt-5-mini" in tasks.only().tree()
    assert hooks() == {"in"}


@pytest.mark.parametrize(
    "set_up", ["taskmeter.configure(spool='spool')", "trace.set_tracer_provider(TracerProvider())"]
)
def test_a_set_up_in_the_middle(set_up: str, tmp_path: Path) -> None:
    """A program that sets itself up between two tasks, be it without a `TaskSpanProcessor`, has the trees of both,
    with Anthropic's own span of a call once."""
    program = f"""
import anthropic, openai, taskmeter
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from taskmeter.testing import FakeProvider, Answer, recorded_tasks
fake = FakeProvider(then=Answer())
def work(name):
    with taskmeter.track_task(name):
        fake.client(openai.OpenAI).responses.create(model="gpt-5-mini", input="x")
        fake.client(anthropic.Anthropic).messages.create(model="claude-sonnet-5", max_tokens=9, messages=[])
with recorded_tasks() as tasks:
    work("before")
    {set_up}
    work("after")
for task in tasks:
    print(task.name, task.cost.total, task.tree().count("gpt-5-mini"), task.tree().count("claude-sonnet-5"))
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["before 0.00055800 1 1", "after 0.00055800 1 1"]


def test_spans_that_a_sampler_dropped(
    client: openai.OpenAI, own_provider: tuple[TracerProvider, InMemorySpanExporter]
) -> None:
    """The figures are right all the same, and the tree says why there is none."""
    unsampled = TracerProvider(ALWAYS_OFF)
    instrument(tracer_provider=unsampled)
    with recorded_tasks() as tasks, track_task("resolve"):
        ask(client)
    assert tasks.only().cost.total == USD
    assert tasks.only().tree().startswith("(no tree: the spans of this task were dropped by a sampler")


def test_blocks_nest(client: openai.OpenAI) -> None:
    """The inner one sees what ends in it, the outer one all; hooks go with the last."""
    with recorded_tasks() as outer:
        with recorded_tasks() as inner, track_task("first"):
            ask(client)
        with track_task("second"):
            ask(client)
    assert [task.name for task in inner] == ["first"]
    assert [task.name for task in outer] == ["first", "second"]
    assert (inner.spent.usd, outer.spent.usd) == (USD, 2 * USD)
    assert "gpt-5-mini" in inner[0].tree()
    assert "gpt-5-mini" in outer[0].tree()
    assert hooks() == {"out"}


def test_blocks_may_overlap(client: openai.OpenAI) -> None:
    """The one that was first in may be first out: the hooks stay for the other."""
    first, second = recorded_tasks(), recorded_tasks()
    first.__enter__()
    tasks = second.__enter__()
    first.__exit__(None, None, None)
    with track_task("resolve"):
        ask(client)
    second.__exit__(None, None, None)
    assert tasks.only().cost.total == USD
    assert hooks() == {"out"}


def test_threads_and_coroutines(fake: FakeProvider) -> None:
    """Tasks count wherever they run, with no context carried there."""
    client = fake.client(openai.OpenAI)

    def work() -> None:
        with track_task("thread"):
            ask(client)

    async def work_async() -> None:
        async with track_task("coroutine"), fake.client(openai.AsyncOpenAI) as asynchronous:
            await asynchronous.responses.create(model="gpt-5-mini", input="x")

    async def gather() -> None:
        await asyncio.gather(*(work_async() for _ in range(3)))

    with recorded_tasks() as tasks:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(gather())
    assert sorted(task.name for task in tasks) == ["coroutine"] * 3 + ["thread"] * 3
    assert {task.cost.total for task in tasks} == {USD}
    assert all(task.tree().count("gpt-5-mini") == 1 for task in tasks)


def test_what_belongs_to_no_ended_task_is_spent_too(client: openai.OpenAI) -> None:
    """Calls outside of any task, and in one that is still open, are in `spent` alone."""
    with track_task("open"), recorded_tasks() as tasks:
        ask(client)
        with track_task("inner"):
            ask(client)
    ask(client)
    assert [task.name for task in tasks] == ["inner"]
    assert (tasks.spent.usd, tasks.spent.calls) == (2 * USD, 2)
    assert (tasks.spent.input_tokens, tasks.spent.output_tokens) == (2_000, 200)


def test_a_failed_task_has_its_reason() -> None:
    """What an exception makes of a task is its outcome."""
    with pytest.raises(ZeroDivisionError), recorded_tasks() as tasks, track_task("resolve"):
        raise ZeroDivisionError
    assert tasks.only().outcome.status == "failed"


def test_only_says_what_there_was_instead(client: openai.OpenAI) -> None:
    """A task that did not run, or ran twice, is a failed test that says which ones ran."""
    with recorded_tasks() as tasks:
        with pytest.raises(AssertionError, match=r"^one task was to end here, but 0 did. No task ended here.$"):
            tasks.only()
        for key in ("T-1", None):
            with track_task("resolve", key=key):
                pass
    with pytest.raises(AssertionError, match=r"but 2 did. Tasks that ended here: task 'resolve' T-1, task 'resolve'.$"):
        tasks.only("resolve")
    with pytest.raises(AssertionError, match=r"^one task 'refund' was to end here, but 0 did"):
        tasks.only("refund")
    assert [task.key for task in tasks.named("resolve")] == ["T-1", None]
    assert (tasks[0].key, [task.key for task in tasks[1:]]) == ("T-1", [None])


def test_a_task_below_one_that_is_still_open_is_not_outermost() -> None:
    """Work that was left behind: the task around both has its cost already."""
    with recorded_tasks() as tasks:
        outer, left_open = track_task("outer"), track_task("left open")
        outer.__enter__()
        left_open.__enter__()
        with track_task("inner"):
            charge("0.01", category="tools", item="crm")
        outer.__exit__(None, None, None)
        outermost = [task.name for task in tasks.outermost]
        left_open.__exit__(None, None, None)
    assert outermost == ["outer"]
    assert [task.name for task in tasks] == ["inner", "outer", "left open"]


Programs = st.recursive(
    st.integers(0, 9).map(Decimal), lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=4)), max_leaves=12
)


@given(st.lists(Programs, max_size=4))
def test_outermost_tasks_and_the_rest_add_up(program: list[Any]) -> None:
    """Whatever nests in whatever: what was spent is what the outermost tasks cost and what is outside of them."""
    outside: list[Decimal] = []

    def run(node: Any, *, inside: bool) -> None:
        if isinstance(node, Decimal):
            charge(node, category="tools", item="unit")
            if not inside:
                outside.append(node)
            return
        is_task, children = node
        with track_task("task") if is_task else track_step("step"):
            for child in children:
                run(child, inside=inside or is_task)

    with recorded_tasks() as tasks:
        for node in program:
            run(node, inside=False)
    assert tasks.spent.usd == total([*(task.cost.total for task in tasks.outermost), *outside])
    assert tasks.spent.usd == total([*(task.cost.self for task in tasks), *outside])


def test_anthropics_own_tracing_off() -> None:
    """Without any provider the Anthropic client has a span of ours in the tree."""
    client = FakeProvider(then=Answer()).client(anthropic.Anthropic)
    with recorded_tasks() as tasks, track_task("resolve"):
        client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    assert tasks.only().tree().count("claude-sonnet-5") == 1
