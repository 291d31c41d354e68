"""The metrics. They come from the ledger and from calls, never from spans, so sampling does not change them.

Attributes are low-cardinality: names, models, categories and outcomes; never ids, keys or customers.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.util.types import AttributeValue

from taskmeter import _guard
from taskmeter import _semconv as names
from taskmeter.account import LedgerLine
from taskmeter.records import ZERO, Cost, OutcomeStatus, Usage, subtract, total

Attributes = dict[str, AttributeValue]

# Advice of the semantic conventions for `gen_ai.client.*`.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
# Tasks run from fractions of a cent to tens of dollars, and take up to hours.
_USD = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_TASK_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)


def _faults(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(count, {names.FAULT_PLACE: place}) for place, count in dict(_guard.faults).items()]


def _hooks_off(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(1, {names.HOOK: hook}) for hook in _guard.turned_off()]


class Instruments:
    """Every instrument of DESIGN's list, made once per meter."""

    def __init__(self, meter: Meter) -> None:
        self._cost = meter.create_counter(names.METRIC_COST, "{USD}", "What was spent")
        self._late_cost = meter.create_counter(
            names.METRIC_LATE_COST, "{USD}", "What of it was spent after the end of its task"
        )
        self._tasks = meter.create_counter(names.METRIC_TASKS, "{task}", "Tasks ended")
        self._outcomes = meter.create_counter(
            names.METRIC_OUTCOMES, "{outcome}", "Outcomes recorded apart from the end of a task"
        )
        self._retries = meter.create_counter(names.METRIC_RETRIES, "{retry}", "HTTP attempts beyond a call's first")
        self._task_cost = meter.create_histogram(
            names.METRIC_TASK_COST, "{USD}", "Cost of a task", explicit_bucket_boundaries_advisory=_USD
        )
        self._task_duration = meter.create_histogram(
            names.METRIC_TASK_DURATION,
            "s",
            "Duration of a task",
            explicit_bucket_boundaries_advisory=_TASK_SECONDS,
        )
        self._tool_duration = meter.create_histogram(
            names.METRIC_TOOL_DURATION, "s", "Duration of a tool run", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._call_duration = meter.create_histogram(
            names.METRIC_CALL_DURATION, "s", "Duration of a call", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._tokens = meter.create_histogram(
            names.METRIC_TOKENS, "{token}", "Tokens of a call", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self._first_chunk = meter.create_histogram(
            names.METRIC_FIRST_CHUNK,
            "s",
            "Time to the first chunk of a streamed call",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

        # Asked for when metrics are collected: a fault while one is counted would otherwise bring the next.
        meter.create_observable_counter(names.METRIC_FAULTS, [_faults], "{fault}", "Faults of taskmeter's own")
        meter.create_observable_gauge(
            names.METRIC_HOOKS_OFF, [_hooks_off], "{hook}", "Hooks turned off after faults of taskmeter's own"
        )

    def spent(self, lines: Iterable[LedgerLine], task_name: str | None, *, late: bool = False) -> None:
        """Counts what a task spent, each class of waste apart; `late` if it had ended before."""
        for line in lines:
            useful = subtract(line.amount, total(line.waste.values()))
            for waste, amount in ((None, useful), *line.waste.items()):
                if amount <= ZERO:
                    continue
                attributes: Attributes = {
                    names.COST_CATEGORY: line.category,
                    names.COST_WASTED_FLAG: waste is not None,
                }
                if waste is not None:
                    attributes[names.WASTE_CLASS] = waste
                if line.category == "model":
                    attributes[names.RESPONSE_MODEL] = line.item
                if task_name is not None:
                    attributes[names.TASK_NAME] = task_name
                self._cost.add(float(amount), attributes)
                if late:
                    self._late_cost.add(float(amount), attributes)

    def task_ended(self, name: str, outcome: OutcomeStatus, cost: Cost | None, seconds: float | None) -> None:
        """Counts a task that ended. `cost` is `None` when nothing of it could be priced, `seconds` without a clock."""
        attributes: Attributes = {names.TASK_NAME: name, names.OUTCOME: outcome}
        self._tasks.add(1, attributes)
        if cost is not None:
            self._task_cost.record(float(cost.total), attributes)
        if seconds is not None:
            self._task_duration.record(seconds, {names.WORKFLOW_NAME: name, names.OUTCOME: outcome})

    def outcome_recorded(self, task_name: str | None, outcome: OutcomeStatus) -> None:
        """Counts an outcome that was said apart from the end of its task; its task's name where that is known."""
        named: Attributes = {} if task_name is None else {names.TASK_NAME: task_name}
        self._outcomes.add(1, {names.OUTCOME: outcome, **named})

    def tool_ended(self, name: str, seconds: float, error_type: str | None) -> None:
        """Counts a tool run."""
        attributes: Attributes = {names.OPERATION: names.OPERATION_TOOL, names.TOOL_NAME: name}
        if error_type is not None:
            attributes[names.ERROR_TYPE] = error_type
        self._tool_duration.record(seconds, attributes)

    def retried(self, attributes: Attributes) -> None:
        """Counts one more attempt of a call with these `attributes`."""
        self._retries.add(1, attributes)

    def call_ended(
        self, attributes: Attributes, usage: Usage | None, seconds: float, first_chunk_seconds: float | None
    ) -> None:
        """Counts a call; `attributes` are those that all its metrics share."""
        self._call_duration.record(seconds, attributes)
        if first_chunk_seconds is not None:
            self._first_chunk.record(first_chunk_seconds, attributes)
        if usage is not None:
            self._tokens.record(usage.input_tokens, {**attributes, names.TOKEN_TYPE: "input"})
            self._tokens.record(usage.output_tokens, {**attributes, names.TOKEN_TYPE: "output"})
