"""A real collector between us and the receiver: rotel, in Rust, by another vendor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.backends.backend import DEMO, DEMO_SPANS, free_port, serving
from tests.export.programs import run, spooled
from tests.export.receiver import Receiver, Span

pytestmark = pytest.mark.backends


@contextmanager
def collector(forward_to: str, directory: Path) -> Iterator[str]:
    """The URL of a collector that sends on what it gets, batched and compressed."""
    package = find_spec("rotel")
    assert package is not None
    assert package.origin is not None
    port = free_port()
    options = {
        "--otlp-http-endpoint": f"127.0.0.1:{port}",
        "--otlp-grpc-endpoint": f"127.0.0.1:{free_port()}",
        "--exporter": "otlp",
        "--otlp-exporter-endpoint": forward_to,
        "--otlp-exporter-protocol": "http",
    }
    arguments = [argument for option in options.items() for argument in option]
    agent = Path(package.origin).with_name("rotel-agent")
    with serving([agent, "start", *arguments], port, directory):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Receiver, Path]:
    """What one run of the demonstration brought by way of the collector, and its spool."""
    directory = tmp_path_factory.mktemp("rotel")
    with Receiver() as receiver, collector(receiver.url, directory) as endpoint:
        done = run(DEMO, directory, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert (done.code, done.err) == (0, "")
        receiver.wait(lambda got: len(got.spans) >= DEMO_SPANS and bool(got.points))
    return receiver, directory / "spool"


def leaves_by_task(spans: list[Span]) -> dict[str, Decimal]:
    """The sum of the leaves below each task's span, by the id of that span."""
    by_id = {span.span_id: span for span in spans}
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for leaf in spans:
        if leaf.kind in {"call", "tool", "charge"}:
            above: Span | None = leaf
            while above is not None:
                if above.kind == "task":
                    sums[above.span_id] += Decimal(leaf.attributes.get("taskmeter.cost.exact", "0"))
                above = by_id.get(above.parent_id)
    return dict(sums)


def test_every_span_of_the_spool_arrives(delivered: tuple[Receiver, Path]) -> None:
    """Each once, under the same name, parent and attributes, of the same types."""
    receiver, spool = delivered
    recorded = {
        span.span_id: (span.trace_id, span.parent_span_id or "", span.name, dict(span.attributes))
        for span in spooled(spool)
    }
    assert len(receiver.spans) == len(recorded) == DEMO_SPANS
    assert {
        span.span_id: (
            span.trace_id,
            span.parent_id,
            span.name,
            {name: list(value) if isinstance(value, tuple) else value for name, value in span.attributes.items()},
        )
        for span in receiver.spans
    } == recorded


def test_calls_carry_their_cost_as_a_double(delivered: tuple[Receiver, Path]) -> None:
    """All but a refused one, which cost nothing, and a broken stream, whose span its SDK ended before the cost was
    known: that has a charge of its own."""
    receiver, _ = delivered
    calls = [span for span in receiver.spans if span.kind == "call"]
    priced = [span for span in calls if "gen_ai.usage.cost.amount" in span.attributes]
    assert len(calls) == 82
    unpriced = {span.attributes["taskmeter.task.key"]: span for span in calls if span not in priced}
    assert sorted(unpriced) == ["M-019", "R-203/eur-lex"]
    (late,) = [
        span
        for span in receiver.spans
        if span.kind == "charge" and span.attributes["taskmeter.task.key"] == "R-203/eur-lex"
    ]
    assert type(late.attributes["gen_ai.usage.cost.amount"]) is float
    assert late.attributes["taskmeter.cost.status"] == "estimated"
    assert {type(span.attributes["gen_ai.usage.cost.amount"]) for span in priced} == {float}
    assert all(
        span.attributes["gen_ai.usage.cost.amount"] == float(Decimal(span.attributes["taskmeter.cost.exact"]))
        for span in priced
    )


def test_the_leaves_of_each_task_add_up_to_its_total(delivered: tuple[Receiver, Path]) -> None:
    """To the last digit, nested tasks included."""
    receiver, _ = delivered
    tasks = [span for span in receiver.spans if span.kind == "task"]
    totals = {task.span_id: Decimal(task.attributes["taskmeter.cost.exact"]) for task in tasks}
    assert len(totals) == 64
    assert leaves_by_task(receiver.spans) == totals


def test_the_metrics_count_the_same_money(delivered: tuple[Receiver, Path]) -> None:
    """What was spent, and what of it was wasted, is what the outermost tasks say."""
    receiver, _ = delivered
    outermost = [span for span in receiver.spans if span.kind == "task" and not span.parent_id]
    total = sum(Decimal(task.attributes["taskmeter.cost.exact"]) for task in outermost)
    wasted = sum(Decimal(task.attributes["taskmeter.cost.wasted.exact"]) for task in outermost)
    assert receiver.sum("taskmeter.cost") == pytest.approx(float(total), rel=1e-12)
    assert receiver.sum("taskmeter.cost", {"taskmeter.cost.wasted": True}) == pytest.approx(float(wasted), rel=1e-12)
    assert receiver.sum("taskmeter.tasks") == 64
    assert receiver.sum("taskmeter.retries") == 4
