"""Spans as the telemetry room makes them, through the real SDK, encoder, file and reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from taskmeter import _semconv as names
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.unit_cost_result import UnitCostReport
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.write import SpoolExporter

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


def report_of(directory: Path) -> UnitCostReport:
    with open_spool(SpoolReading(directory)) as warehouse:
        return unit_cost(warehouse)


class Recorder:
    """Records spans into `directory`. Its clock moves by hand: 1 s at each start, `seconds` inside."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = START
        self._task: list[dict[str, str]] = [{}]
        self._provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(SpoolExporter(directory)))
        self._tracer = self._provider.get_tracer("taskmeter")

    def relations(self) -> Relations:
        self._provider.shutdown()
        return relate(SpoolReading(self.directory))

    def report(self) -> UnitCostReport:
        return report_of(self.directory)

    @contextmanager
    def span(
        self,
        name: str,
        kind: str | None = None,
        *,
        seconds: float = 1,
        waste: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> Iterator[None]:
        """A span with attributes named as in `_semconv` (`COST_EXACT="0.1"`) or as on the wire; ends `seconds` after
        its last child. `waste` is by class, beside its sum."""
        self.now += SECOND
        given = self._task[-1] | {getattr(names, key, key): value for key, value in attributes.items()}
        if kind is not None:
            given[names.SPAN_KIND] = kind
        if waste is not None:
            given[names.COST_WASTED_EXACT] = str(sum(map(Decimal, waste.values())))
            given |= {names.WASTE_PREFIX + name + names.WASTE_EXACT_SUFFIX: waste[name] for name in waste}
        span = self._tracer.start_span(name, start_time=self.now, attributes=given)
        with trace.use_span(span):
            yield
        self.now += int(seconds * SECOND)
        span.end(self.now)

    @contextmanager
    def task(
        self, name: str, task_id: str, total: str | None, own: str | None = None, *, drop: bool = False, **more: Any
    ) -> Iterator[None]:
        """A task span; `drop` loses it, but not what is inside."""
        attributes = {"OUTCOME": "succeeded", "COST_WASTED_EXACT": "0", "CALLS": 0, **more}
        if total is not None:
            attributes |= {"COST_EXACT": total, "COST_SELF_EXACT": own or total, "COST_CURRENCY": "USD"}
        if parent := self._task[-1].get(names.TASK_ID):
            attributes["PARENT_TASK_ID"] = parent
        identity = {names.TASK_ID: task_id, names.TASK_NAME: name}
        if "TASK_KEY" in more:
            identity[names.TASK_KEY] = more["TASK_KEY"]
        self._task.append(identity)
        if drop:
            yield
        else:
            with self.span(f"invoke_workflow {name}", "task", **attributes):
                yield
        self._task.pop()

    def call(self, cost: str | None = "0.1", model: str = "gpt-5", **more: Any) -> None:
        """A call without children."""
        with self.open_call(cost, model, **more):
            pass

    @contextmanager
    def open_call(self, cost: str | None = "0.1", model: str = "gpt-5", **more: Any) -> Iterator[None]:
        attributes = {"OPERATION": "chat", "REQUEST_MODEL": model, **more}
        if cost is not None:
            attributes["COST_EXACT"] = cost
        attributes.setdefault("COST_STATUS", "unpriced" if cost is None else "exact")
        with self.span(f"chat {model}", "call", **attributes):
            yield

    def leaf(self, kind: str, name: str, cost: str | None = None, **more: Any) -> None:
        """A tool run or charge."""
        attributes = {"TOOL_NAME" if kind == "tool" else "CHARGE_ITEM": name, **more}
        if cost is not None:
            attributes |= {"COST_EXACT": cost, "COST_STATUS": "exact"}
        with self.span(f"{kind} {name}", kind, **attributes):
            pass
