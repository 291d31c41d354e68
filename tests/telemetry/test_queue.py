"""A queue knows what became of each span, and what an endpoint answered."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from taskmeter import Spool
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.receipts import Receipts, ReceiptWriter
from taskmeter.telemetry import losses
from taskmeter.telemetry.losses import Destination
from taskmeter.telemetry.otlp import OtlpTarget
from taskmeter.telemetry.queue import Limits, SpanQueue, Verdict
from taskmeter.telemetry.spooling import SpoolTarget
from tests.export.receiver import Receiver

pytestmark = pytest.mark.usefixtures("nothing_lost")


@pytest.fixture
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "_lost", Counter())


def span(number: int) -> ReadableSpan:
    context = SpanContext(0xAB, number, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan(f"s{number}", context=context, resource=Resource({}))


class Scripted:
    """Gives the verdicts that it was told, then accepts; a batch waits at `gate`."""

    name: ClassVar[Destination] = "otlp"

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.rested = threading.Event()

    def deliver(self, spans: Sequence[ReadableSpan]) -> Verdict:
        self.gate.wait(30)
        self.batches.append([span.name for span in spans])
        return self.verdicts.pop(0) if self.verdicts else Verdict(len(spans))

    def rest(self) -> None:
        self.rested.set()

    def forked(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        self.closed = True


def queue(target: Scripted, **changed: Any) -> SpanQueue:
    limits = {"waiting": 10, "batch": 3, "delay_seconds": 0.02, "exit_seconds": 0.2}
    return SpanQueue(target, Limits(**(limits | changed)))


def end(spans: SpanQueue, *numbers: int) -> None:
    for number in numbers:
        spans.on_end(span(number))


def test_old_files_are_deleted_after_the_first_batch_is_written(tmp_path: Path) -> None:
    """To look at a large spool takes time, which a program that ends at once may not have."""
    old = tmp_path / "traces-old.jsonl"
    old.write_text("{}\n")
    target = SpoolTarget(tmp_path, Spool(keep_bytes=1), ship=False, first=None)
    assert target.deliver([span(1)]) == Verdict(1)
    assert old.exists()
    target.rest()
    assert not old.exists()
    assert len(list(SpoolReading(tmp_path))) == 1
    target.close()


def test_what_is_due_is_done_while_nothing_can_be_delivered() -> None:
    """Deleting old files is what may make room on the disk."""
    target = Scripted(Verdict(again_seconds=60))
    spans = queue(target, delay_seconds=60)
    end(spans, 1)
    assert not spans.force_flush(20_000)
    assert target.rested.wait(20)
    spans.shutdown()


def test_spans_go_in_order_and_in_batches() -> None:
    """At most so many at once; a flush says yes when all were taken."""
    target = Scripted()
    spans = queue(target, delay_seconds=60)
    end(spans, *range(1, 9))
    assert spans.force_flush(20_000)
    assert [name for batch in target.batches for name in batch] == [f"s{number}" for number in range(1, 9)]
    assert max(len(batch) for batch in target.batches) == 3
    assert (spans.accepted, spans.lost) == (8, 0)
    spans.shutdown()
    assert target.closed


def test_a_forked_process_has_one_thread() -> None:
    """However many threads end its first spans at the same time: two would take each other's batches."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        codes = [_threads_of_a_fork() for _ in range(20)]
    finally:
        sys.setswitchinterval(before)
    assert codes == [1] * 20


def _threads_of_a_fork() -> int:
    spans = queue(Scripted(), delay_seconds=0.0)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        spans.shutdown()
        return code
    code = 99
    try:
        together = threading.Barrier(4)

        def first(number: int) -> None:
            together.wait()
            end(spans, number)

        threads = [threading.Thread(target=first, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        code = sum(thread.name == "taskmeter-otlp" for thread in threading.enumerate())
    finally:
        os._exit(code)


def test_a_batch_that_was_not_taken_stays_in_front() -> None:
    """The flush in which that happens says no, without waiting; later it goes, once, and before what came after."""
    target = Scripted(Verdict(again_seconds=0.05), Verdict(again_seconds=0.05))
    spans = queue(target, delay_seconds=60)
    end(spans, 1, 2)
    assert not spans.force_flush(20_000)
    end(spans, 3)
    while not spans.force_flush(20_000):
        pass
    assert target.batches[0] == ["s1", "s2"]
    assert target.batches[-1] == ["s1", "s2", "s3"]
    assert (spans.accepted, spans.lost) == (3, 0)
    spans.shutdown()


def test_what_finds_no_room_is_counted() -> None:
    """Those that came last; a flush says so, once."""
    target = Scripted()
    target.gate.clear()
    spans = queue(target)
    end(spans, *range(1, 15))
    target.gate.set()
    assert not spans.force_flush(20_000)
    assert spans.force_flush(20_000)
    assert (spans.accepted, spans.lost) == (10, 4)
    assert losses.counted() == {("otlp", "queue_full"): 4}
    spans.shutdown()


def test_a_flush_comes_back_in_time() -> None:
    """Whatever the endpoint does, and however often it is asked."""
    target = Scripted()
    target.gate.clear()
    spans = queue(target)
    end(spans, 1)
    assert [spans.force_flush(20) for _ in range(3)] == [False, False, False]
    assert len(spans._waiting) <= 1
    target.gate.set()
    assert spans.force_flush(20_000)
    spans.shutdown()


def test_the_end_counts_what_still_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Exactly, and says it; what ends after it is nobody's any more."""
    target = Scripted()
    target.gate.clear()
    spans = queue(target)
    end(spans, *range(1, 6))
    spans.shutdown()
    end(spans, 6)
    target.gate.set()
    assert losses.counted() == {("otlp", "exit"): 5}
    assert "taskmeter lost 5 spans on the way to the OTLP endpoint: the process ended" in caplog.text


def test_a_span_that_is_not_sampled_is_not_taken() -> None:
    """As with any processor."""
    target = Scripted()
    spans = queue(target)
    spans.on_end(ReadableSpan("x", context=SpanContext(1, 2, is_remote=False)))
    assert spans.force_flush(20_000)
    assert target.batches == []
    spans.shutdown()


@pytest.fixture
def target_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(receiver: Receiver) -> OtlpTarget:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        return OtlpTarget("http/protobuf")

    return made


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({}, Verdict(3)),
        ({"refused_spans": 2}, Verdict(1, {"rejected": 2}, "partial success")),
        ({"refused_spans": 9}, Verdict(0, {"rejected": 3}, "partial success")),
        ({"statuses": [400]}, Verdict(lost={"rejected": 3}, said="HTTP 400")),
        ({"statuses": [302], "headers": {"location": "/elsewhere"}}, Verdict(lost={"rejected": 3}, said="HTTP 302")),
        ({"statuses": [500]}, Verdict(again_seconds=1)),
        ({"statuses": [429] * 9, "headers": {"retry-after": "37"}}, Verdict(again_seconds=37)),
        ({"statuses": [503] * 9, "headers": {"retry-after": "86400"}}, Verdict(again_seconds=600)),
        ({"statuses": [503] * 9, "headers": {"retry-after": "soon"}}, Verdict(again_seconds=1)),
        (
            {"statuses": [503] * 9, "headers": {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}},
            Verdict(again_seconds=1),
        ),
        ({"delay_seconds": 5}, Verdict(again_seconds=1)),
    ],
    ids=str,
)
def test_answers(answers: Any, verdict: Verdict, target_of: Any) -> None:
    """What an endpoint really said, where OpenTelemetry's exporter hears success or failure only."""
    with Receiver(**answers) as receiver:
        target = target_of(receiver)
        assert target.deliver([span(1), span(2), span(3)]) == verdict
        target.close()


def test_an_endpoint_that_always_fails_at_a_batch_gets_it_five_times(target_of: Any) -> None:
    """It may be the batch; the next one starts anew. The waits grow."""
    with Receiver(statuses=[500] * 6) as receiver:
        target = target_of(receiver)
        verdicts = [target.deliver([span(1)]) for _ in range(6)]
        target.close()
    assert [verdict.again_seconds for verdict in verdicts] == [1, 2, 4, 8, None, 1]
    assert verdicts[4] == Verdict(lost={"rejected": 1}, said="HTTP 500")


def test_nobody_listens(target_of: Any) -> None:
    """The batch is kept."""
    with Receiver() as receiver:
        target = target_of(receiver)
    assert target.deliver([span(1)]) == Verdict(again_seconds=1)
    target.close()


def test_receipts_are_for_what_was_accepted(target_of: Any, tmp_path: Path) -> None:
    """All of a batch that was taken whole, none of one that was refused in part: nobody knows which."""
    with Receiver() as receiver:
        target = target_of(receiver)
        target.write_receipts(ReceiptWriter(tmp_path, target.endpoint))
        target.deliver([span(1), span(2)])
        receiver.refused_spans = 1
        target.deliver([span(3), span(4)])
        target.close()
    receipts = Receipts(tmp_path, target.endpoint)
    receipts.refresh()
    assert [(f"{0xAB:032x}", f"{number:016x}") in receipts for number in (1, 2, 3, 4)] == [True, True, False, False]


def test_a_forked_process_has_a_connection_of_its_own(target_of: Any) -> None:
    """Two processes that talk over one would mix their requests up."""
    with Receiver() as receiver:
        target = target_of(receiver)
        before = target._exporter
        target.forked()
        assert target.deliver([span(1)]) == Verdict(1)
        assert target._exporter is not before
        assert target.deliver([span(2)]) == Verdict(1)
        target.close()
    assert sorted(span.name for span in receiver.spans) == ["s1", "s2"]
