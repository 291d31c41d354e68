"""A batch costs what its results say, when they are read, once, in the task that submitted it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import Task, track_task
from taskmeter.capture import batches, origins
from taskmeter.capture.bounded import Remembered
from taskmeter.demo.stub import (
    Jsonl,
    StubProvider,
    anthropic_batch,
    anthropic_batch_line,
    anthropic_message,
    openai_batch,
    openai_batch_line,
    openai_chat,
    openai_response,
)
from taskmeter.demo.stub.wire import Request
from tests.capture.harness import CLAUDE, GPT, Kit, Meter, attributes

GPT_BATCH_USD = Decimal("0.000039")
"""120 tokens in, 24 out, at half the list price."""
CLAUDE_BATCH_USD = Decimal("0.00024")
"""The same."""
LINES = [
    openai_batch_line("a", openai_chat(GPT, "One.")),
    openai_batch_line("b", openai_response(GPT, "Two.")),
    openai_batch_line("c", {"error": {"message": "no such model"}}, status=400),
]
CLAUDE_LINES = [
    anthropic_batch_line("a", anthropic_message(CLAUDE, "One.")),
    anthropic_batch_line("b", None),
    anthropic_batch_line("c", anthropic_message(CLAUDE, "Zwei: äöü.")),
]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with nothing booked: another's stub may have had the same port."""
    monkeypatch.setattr(batches, "_lines_booked", Remembered(100))
    monkeypatch.setattr(origins, "_origins", Remembered(100))


class Provider:
    """The stub as a provider with one batch."""

    def __init__(self, openai: Jsonl | None = None, anthropic: Jsonl | None = None) -> None:
        self.openai = openai or Jsonl(LINES)
        self.anthropic = anthropic or Jsonl(CLAUDE_LINES)

    def __call__(self, request: Request) -> Any:
        if request.path.endswith("/content"):
            return self.openai
        if request.path.endswith("/results"):
            return self.anthropic
        if request.path.endswith("/files"):
            return {"id": "file-in", "object": "file", "purpose": "batch"}
        if "/messages/batches" in request.path:
            results = None if request.method == "POST" else "/v1/messages/batches/msgbatch_1/results"
            return anthropic_batch("msgbatch_1", results)
        output = None if request.method == "POST" else "file-out"
        batch = openai_batch("batch_1", "file-in", output)
        return {"object": "list", "data": [batch], "has_more": False} if request.path.endswith("/batches") and (
            request.method == "GET"
        ) else batch  # fmt: skip


def submit(kit: Kit) -> None:
    client = kit.openai()
    file = client.files.create(file=b"{}", purpose="batch")
    client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file.id)


def submit_to_anthropic(kit: Kit) -> None:
    kit.anthropic().messages.batches.create(requests=[])


def text(kit: Kit) -> Any:
    return kit.openai().files.content("file-out").text


def content(kit: Kit) -> Any:
    return kit.openai().files.content("file-out").content


def as_bytes(kit: Kit) -> Any:
    return list(kit.openai().files.content("file-out").iter_bytes(10))


def retrieved(kit: Kit) -> Any:
    with pytest.warns(DeprecationWarning, match="content"):
        return kit.openai().files.retrieve_content("file-out")


def raw(kit: Kit) -> Any:
    return kit.openai().files.with_raw_response.content("file-out").text


def streamed_lines(kit: Kit) -> Any:
    with kit.openai().files.with_streaming_response.content("file-out") as response:
        return list(response.iter_lines())


def streamed_bytes(kit: Kit) -> Any:
    with kit.openai().files.with_streaming_response.content("file-out") as response:
        return b"".join(response.iter_bytes(7))


def streamed_read(kit: Kit) -> Any:
    with kit.openai().files.with_streaming_response.content("file-out") as response:
        return response.read(), response.read()


async def text_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return (await client.files.content("file-out")).text


async def streamed_lines_async(kit: Kit) -> Any:
    async with kit.aopenai() as client, client.files.with_streaming_response.content("file-out") as response:
        return [line async for line in response.iter_lines()]


def results(kit: Kit) -> Any:
    return [item.model_dump() for item in kit.anthropic().messages.batches.results("msgbatch_1")]


def results_beta(kit: Kit) -> Any:
    return [item.model_dump() for item in kit.anthropic().beta.messages.batches.results("msgbatch_1")]


def results_streamed(kit: Kit) -> Any:
    with kit.anthropic().messages.batches.with_streaming_response.results("msgbatch_1") as response:
        return [item.model_dump() for item in response.parse()]


async def results_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        return [item.model_dump() async for item in await client.messages.batches.results("msgbatch_1")]


def run(read: Callable[[Kit], Any], kit: Kit) -> Any:
    result = read(kit)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


OPENAI = [
    text, content, as_bytes, retrieved, raw, streamed_lines, streamed_bytes, streamed_read, text_async,
    streamed_lines_async,
]  # fmt: skip
ANTHROPIC = [results, results_beta, results_streamed, results_async]


@pytest.mark.parametrize("read", [*OPENAI, *ANTHROPIC], ids=lambda read: read.__name__)
@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_results_are_booked_when_they_are_read(meter: Meter, read: Any, *, traced: bool) -> None:
    """However they are read: the same bytes as bare, one span with the sums, one call per item, at batch price."""
    usd = GPT_BATCH_USD if read in OPENAI else CLAUDE_BATCH_USD
    meter.close()
    with StubProvider(Provider()) as stub:
        kit = Kit(stub.url)
        bare = run(read, kit)
        kit.close()
    meter = Meter()
    meter.instrument()
    with StubProvider(Provider()) as stub, track_task("reader") as task:
        kit = Kit(stub.url, traced=meter.tracer_provider if traced else False)
        assert run(read, kit) == bare
        kit.close()
    [span] = meter.spans("call")
    meter.close()
    found = attributes(span)
    assert (task.calls, task.attempts, task.retries, task.unpriced_calls) == (3, 3, 0, 0)
    assert task.cost.total == task.cost.model == meter.leaf_sum() == 2 * usd
    assert (task.cost.estimated, task.cost.wasted) == (0, 0)
    assert found["taskmeter.cost.status"] == "exact"
    assert found["taskmeter.batch.items"] == 3
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (240, 48)
    assert span.name == ("batch gpt-5-mini" if read in OPENAI else "batch claude-sonnet-5")
    assert found["gen_ai.operation.name"] == "batch"


@pytest.mark.parametrize(
    ("submitting", "polling", "read"),
    [
        (submit, lambda kit: kit.openai().batches.retrieve("batch_1"), text),
        (submit, lambda kit: list(kit.openai().batches.list()), streamed_lines),
        (submit_to_anthropic, lambda kit: kit.anthropic().messages.batches.retrieve("msgbatch_1"), results),
    ],
    ids=["openai", "openai_listed", "anthropic"],
)
def test_batch_belongs_to_the_task_that_submitted_it(meter: Meter, submitting: Any, polling: Any, read: Any) -> None:
    """Whoever polls and reads: the money is in the submitter's account, the span in its trace; rereading is free."""
    with StubProvider(Provider()) as stub:
        kit = Kit(stub.url)
        with track_task("submitter") as submitter:
            submitting(kit)
        with track_task("reader") as reader:
            polling(kit)
            assert meter.model_spans() == []
            read(kit)
            read(kit)
        kit.close()
    [span] = meter.spans("call")
    [owner] = [task for task in meter.spans("task") if task.name.endswith("submitter")]
    assert (reader.calls, reader.cost.total) == (0, 0)
    assert submitter.calls == 3
    assert submitter.cost.total == meter.leaf_sum() > 0
    assert attributes(span)["taskmeter.task.id"] == submitter.id
    assert span.parent is not None
    assert span.parent.span_id == owner.context.span_id
    [counted] = meter.metric("taskmeter.cost")
    assert counted.attributes["taskmeter.task.name"] == "submitter"
    assert counted.value == pytest.approx(float(submitter.cost.total))


def read_partly(kit: Kit) -> None:
    decoder = kit.anthropic().messages.batches.results("msgbatch_1")
    next(decoder)
    decoder.close()


def drop_unread(kit: Kit) -> None:
    kit.anthropic().messages.batches.results("msgbatch_1")
    gc.collect()


def test_only_what_was_read_is_booked_and_the_rest_when_it_is(meter: Meter) -> None:
    """A result left unread costs the task nothing yet; reading it again books what is new in it."""
    lines = [anthropic_batch_line(f"item-{n}", anthropic_message(CLAUDE, "word " * 2000)) for n in range(40)]
    with StubProvider(Provider(anthropic=Jsonl(lines))) as stub:
        kit = Kit(stub.url)
        booked: list[tuple[int, Decimal]] = []
        for read in (drop_unread, read_partly, results, results):
            task: Task
            with track_task("test") as task:
                run(read, kit)
            booked.append((task.calls, task.cost.total))
        kit.close()
    assert booked[0] == (0, 0)
    assert 0 < booked[1][0] < 40
    assert booked[1][0] + booked[2][0] == 40
    assert booked[1][1] + booked[2][1] == 40 * CLAUDE_BATCH_USD == meter.leaf_sum()
    assert booked[3] == (0, 0)
    assert [attributes(span)["taskmeter.batch.items"] for span in meter.spans("call")] == [b[0] for b in booked[1:3]]


@pytest.mark.parametrize("read", [results, streamed_lines], ids=lambda read: read.__name__)
def test_connection_cut_in_the_results(meter: Meter, read: Any) -> None:
    """What came is booked, half a line is not, and the span says what the application was told."""
    cut = {"openai": Jsonl(LINES, cut_after=1), "anthropic": Jsonl(CLAUDE_LINES, cut_after=1)}
    with StubProvider(Provider(**cut)) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        with pytest.raises(Exception, match="peer closed connection") as caught:
            read(kit)
        kit.close()
    [span] = meter.spans("call")
    assert 1 <= task.calls <= 2
    assert attributes(span)["error.type"] == caught.type.__name__
    assert task.cost.total == meter.leaf_sum() > 0


def test_item_without_a_price_makes_the_batch_partial(meter: Meter) -> None:
    """The sum is then a lower bound, and says so."""
    lines = [
        LINES[0],
        openai_batch_line("x", openai_chat("no-such-model", "?")),
        openai_batch_line("y", {**openai_chat(GPT), "usage": None}),
        {"garbage": True},
    ]
    with StubProvider(Provider(openai=Jsonl(lines))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        text(kit)
        kit.close()
    [span] = meter.spans("call")
    found = attributes(span)
    assert (task.calls, task.unpriced_calls, task.cost.total) == (4, 3, GPT_BATCH_USD)
    assert (found["taskmeter.cost.status"], found["taskmeter.batch.unpriced_items"]) == ("partial", 3)
    assert found["taskmeter.cost.status.reason"].startswith("3 of 4 items have no price: no list price for model")
    assert found["taskmeter.cost.exact"] == "0.000039"


def test_batch_without_any_price_has_no_cost(meter: Meter) -> None:
    """Unknown is not zero."""
    lines = [openai_batch_line("x", openai_chat("no-such-model", "?"))]
    with StubProvider(Provider(openai=Jsonl(lines))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        text(kit)
        kit.close()
    [span] = meter.spans("call")
    assert attributes(span)["taskmeter.cost.status"] == "unpriced"
    assert "gen_ai.usage.cost.amount" not in attributes(span)
    assert task.unpriced_calls == 1


@pytest.mark.parametrize(
    "lines",
    [[], [{"prompt": "p", "completion": "c"}], [{"custom_id": "a", "method": "POST", "body": {}}]],
    ids=["empty", "training", "input"],
)
@pytest.mark.parametrize("read", [text, streamed_lines], ids=lambda read: read.__name__)
def test_other_files_are_no_calls(meter: Meter, lines: list[Any], read: Any) -> None:
    """Downloading any other file costs nothing and is pictured by nothing."""
    with StubProvider(Provider(openai=Jsonl(lines))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        read(kit)
        kit.close()
    assert task.calls == 0
    assert meter.model_spans() == []
