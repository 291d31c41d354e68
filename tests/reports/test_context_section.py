"""The breakdown's part on input, reasoning and caches: from real calls through a real spool, by figures made by hand.

gpt-5-mini: 0.25 USD per million input tokens, 0.025 from the cache, 2 for output.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from taskmeter import CostExporter, document, track_task
from taskmeter.reports import render
from taskmeter.reports.breakdown import BreakdownReport, breakdown
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.write import SpoolExporter
from tests.context.wire import Billed, Wire, wired
from tests.reports.spans import Recorder

Usd = Decimal
SYSTEM = {"role": "system", "content": "s" * 100}
PAGE = "Orders are shipped by road.".ljust(300, ".")


@pytest.fixture
def spooled(tmp_path: Path) -> Iterator[Wire]:
    with wired() as wire:
        wire.meter.tracer_provider.add_span_processor(SimpleSpanProcessor(CostExporter(SpoolExporter(tmp_path))))
        yield wire


def report(directory: Path) -> BreakdownReport:
    with open_spool(SpoolReading(directory)) as warehouse:
        return breakdown(warehouse)


def asked(wire: Wire) -> None:
    """Two tasks of one name: 1,000 tokens in, 200 of them cached; then 500, of which 100 are sent again."""
    wire.answers(
        Billed(input=1000, cache_read=200, output=100, reasoning=60),
        Billed(input=500, output=100),
    )
    with track_task("answer"):
        document(PAGE, "kb")
        wire.chat([SYSTEM, {"role": "user", "content": PAGE}, {"role": "user", "content": "q" * 600}])
        with track_task("check"):
            wire.chat([SYSTEM, {"role": "user", "content": "c" * 400}])


def test_input_by_source_with_nested_tasks(spooled: Wire, tmp_path: Path) -> None:
    """A row has what is nested in its tasks, once; the total has each call once."""
    asked(spooled)
    found = report(tmp_path)
    rows = {row.name: row.context for row in (*found.rows, found.total)}
    # answer: 100 x 0.025; 100 x 0.025 + 200 x 0.25; 600 x 0.25. check: 100 x 0.25; 400 x 0.25. Per million.
    of_check = [("system", 100, Usd("0.000025")), ("user", 400, Usd("0.0001"))]
    in_all = [("system", 200, Usd("0.0000275")), ("user", 1000, Usd("0.00025")), ("documents", 300, Usd("0.0000525"))]
    assert [(part.source, part.tokens, part.cost) for part in rows["check"].sources] == of_check
    for name in ("answer", "TOTAL"):
        assert [(part.source, part.tokens, part.cost) for part in rows[name].sources] == in_all
        assert [(part.source, part.tokens) for part in rows[name].documents] == [("kb", 300)]
        assert rows[name].sources[0].share == 0.133333  # 200 of 1,500
        assert (rows[name].calls, rows[name].unmeasured_calls) == (2, 0)


def test_reasoning_and_caches(spooled: Wire, tmp_path: Path) -> None:
    """60 x 2 per million, of 200 output tokens; 200 x (0.25 - 0.025) saved, of 1,500 input tokens."""
    asked(spooled)
    context = report(tmp_path).total.context
    assert (context.reasoning_tokens, context.reasoning_share, context.reasoning_cost) == (60, 0.3, Usd("0.00012"))
    assert (context.cache_read_tokens, context.cache_read_share) == (200, 0.133333)
    assert context.cache_saved == Usd("0.000045")


def test_what_was_sent_again(spooled: Wire, tmp_path: Path) -> None:
    """Both messages of the first call, in the second of the same task."""
    spooled.answers(Billed(input=200, output=10), Billed(input=400, output=10))
    first = [SYSTEM, {"role": "user", "content": "q" * 100}]
    with track_task("t"):
        spooled.chat(first)
        spooled.chat([*first, {"role": "user", "content": "n" * 200}])
    carried = report(tmp_path).total.context.carried
    assert carried is not None
    assert (carried.tokens, carried.share, carried.cost) == (200, 0.333333, Usd("0.00005"))


def test_calls_that_were_not_measured_are_counted(spooled: Wire, tmp_path: Path) -> None:
    """And are in no source: never taken for 0."""
    spooled.answers(Billed(input=300, output=10))
    with track_task("t"):
        spooled.chat([{"role": "user", "content": "q" * 300}])
        spooled.meter.instrument(context=False)
        spooled.chat([{"role": "user", "content": "q" * 300}])
    context = report(tmp_path).total.context
    assert [(part.source, part.tokens) for part in context.sources] == [("user", 300)]
    assert (context.calls, context.unmeasured_calls) == (1, 1)
    assert "also: input of 1 call not measured" in _table(report(tmp_path))


def test_the_table_says_tokens_money_and_shares(spooled: Wire, tmp_path: Path) -> None:
    """Shares of money are of all that the tasks cost: 0.00073."""
    asked(spooled)
    lines = [" ".join(line.split()) for line in _table(report(tmp_path)).splitlines()]
    of_answer = lines[next(at for at, line in enumerate(lines) if line.startswith("answer")) :]
    for line in (
        "input: system ~$0.000028 4% 200 tokens, 13% of input",
        "input: user ~$0.00025 34% 1,000 tokens, 67% of input",
        "input: documents ~$0.000053 7% 300 tokens, 20% of input",
        "from kb ~$0.000053 7% 300 tokens, 20% of input",
        "reasoning $0.00012 16% 60 tokens, 30% of output",
        "saved by caches $0.000045 200 tokens read, 13% of input",
    ):
        assert line in of_answer


def test_the_csv_has_every_digit(spooled: Wire, tmp_path: Path) -> None:
    """A pair of columns for each source, with 0 tokens where there were none."""
    asked(spooled)
    total = list(csv.DictReader(io.StringIO(render.as_csv(report(tmp_path)))))[-1]
    assert (total["documents_tokens"], Usd(total["documents_cost"])) == ("300", Usd("0.0000525"))
    assert (total["media_tokens"], total["media_cost"]) == ("0", "")
    assert Usd(total["cache_saved"]) == Usd("0.000045")
    assert (total["measured_calls"], total["unmeasured_calls"]) == ("2", "0")


NONSENSE = (
    *("{", "[]", "3", '{"system":7}', '{"system":[1]}', '{"system":[-1,"0"]}', '{"system":["1","0"]}'),
    *('{"s":[1,"nan"]}', '{"system":[1,"-1"]}', '{"system":[1e99,"1"]}', '{"system":[1,"1e99"]}', "[" * 5000),
)


@pytest.mark.parametrize("said", NONSENSE)
def test_what_makes_no_sense_is_not_measured(tmp_path: Path, said: str) -> None:
    """A spool is written by whoever can; a call that says such a thing counts as one that says nothing."""
    recorder = Recorder(tmp_path)
    attributes: dict[str, Any] = {"COST_EXACT": "1", "INPUT_TOKENS": 10, "CONTEXT_SHARES": said}
    with recorder.task("t", "1" * 32, "1"), recorder.span("call", "call", **attributes):
        pass
    context = report(recorder.directory).total.context
    assert (context.sources, context.calls, context.unmeasured_calls) == ((), 0, 1)


def _table(found: BreakdownReport) -> str:
    from rich.console import Console

    console = Console(width=200, file=io.StringIO(), highlight=False)
    console.print(render.as_table(found))
    text: Any = console.file
    return str(text.getvalue())
