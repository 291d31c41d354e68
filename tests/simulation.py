"""Finished tasks of which the truth is known: drawn with a seed, and written as a spool.

A task runs the steps of its workflow in turn until one fails; then it has failed. What its steps cost is scaled by one
factor of the task, lognormal with a tail, which has nothing to do with whether they succeed. So the rates and means
that a report estimates are known exactly, from the workflow alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from taskmeter import _semconv as names

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
"""When the first day of a simulation begins."""
DAY = 86_400 * SECOND
_UNITS = 100_000_000
"""Amounts are whole numbers of 1e-8 USD, so that their texts are exact."""

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a workflow: one call."""

    name: str = "work"
    success: float = 0.8
    usd: float = 0.10
    """Of a task whose factor is 1."""
    model: str = "gpt-5"
    provider: str = "openai"
    input_tokens: int = 2_000
    output_tokens: int = 300
    sent_again: float = 0.0
    """The part of what it costs that is for input that its task had sent before."""
    reasoning: float = 0.0
    """The part that is for reasoning."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """What tasks of one name and version are like."""

    name: str = "resolve_ticket"
    steps: tuple[Step, ...] = (Step(),)
    sigma: float = 0.8
    """Of the logarithm of a task's factor, whose median is 1."""
    tail: float = 0.02
    """The share of tasks whose factor is `tail_factor` times as large."""
    tail_factor: float = 10.0
    value: float | None = None
    """USD of a success; a failure has none."""
    minutes: float = 0.0
    """Human minutes of a task: uniform between 0 and twice as many."""
    quality: float | None = None
    """The mean score of a success: uniform, 0.1 to either side."""
    seconds: float = 20.0
    """The median duration, lognormal."""
    seconds_sigma: float = 0.5
    version: str = ""
    customer: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def success_rate(self) -> float:
        return math.prod(step.success for step in self.steps)

    @property
    def mean_factor(self) -> float:
        return math.exp(self.sigma**2 / 2) * (1 + self.tail * (self.tail_factor - 1))

    @property
    def mean_cost(self) -> float:
        """USD of a task."""
        reached = np.cumprod([1.0, *(step.success for step in self.steps[:-1])])
        return float(self.mean_factor * sum(share * step.usd for share, step in zip(reached, self.steps, strict=True)))

    @property
    def cost_per_success(self) -> float:
        return self.mean_cost / self.success_rate

    @property
    def wasted_share(self) -> float:
        """Of all cost: the part of the tasks that failed."""
        useful = self.mean_factor * self.success_rate * sum(step.usd for step in self.steps)
        return 1 - useful / self.mean_cost

    def seconds_at(self, percent: float) -> float:
        """The quantile of the duration."""
        from scipy.stats import norm

        return float(self.seconds * math.exp(self.seconds_sigma * norm.ppf(percent / 100)))


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks of one workflow, drawn: arrays with one element a task."""

    workflow: Workflow
    units: NDArray[np.int64]
    """Of tasks and steps: what each step cost in 1e-8 USD; 0 where it was not reached."""
    factors: Floats
    ran: NDArray[np.int64]
    """How many steps began."""
    succeeded: NDArray[np.bool_]
    start_ns: NDArray[np.int64]
    seconds: Floats
    minutes: Floats
    quality: Floats

    @property
    def cost(self) -> Floats:
        """USD of each task."""
        return self.units.sum(axis=1) / _UNITS

    def __len__(self) -> int:
        return len(self.ran)


def draw(workflow: Workflow, tasks: int, seed: int = 0, *, first_day: float = 0, days: float = 30) -> Tasks:
    """So many tasks, spread over `days` from `first_day` on, in order of time."""
    random = np.random.default_rng(seed)
    factors = np.exp(workflow.sigma * random.standard_normal(tasks))
    factors *= np.where(random.random(tasks) < workflow.tail, workflow.tail_factor, 1.0)
    passed = random.random((tasks, len(workflow.steps))) < [step.success for step in workflow.steps]
    succeeded = passed.all(axis=1)
    ran = np.where(succeeded, len(workflow.steps), np.argmin(passed, axis=1) + 1)
    reached = np.arange(len(workflow.steps)) < ran[:, None]
    usd = factors[:, None] * [step.usd for step in workflow.steps]
    start = START + (random.random(tasks) * days * DAY + first_day * DAY).astype(np.int64)
    return Tasks(
        workflow,
        units=np.where(reached, np.rint(usd * _UNITS), 0).astype(np.int64),
        factors=factors,
        ran=ran,
        succeeded=succeeded,
        start_ns=np.sort(start),
        seconds=workflow.seconds * np.exp(workflow.seconds_sigma * random.standard_normal(tasks)),
        minutes=np.round(random.random(tasks) * 2 * workflow.minutes, 1),
        quality=(workflow.quality or 0) + random.uniform(-0.1, 0.1, tasks),
    )


def write_spool(directory: Path, cohorts: Iterable[Tasks]) -> Path:
    """Writes the tasks as `traces-*.jsonl`, one file a cohort; ids and keys differ between cohorts."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, tasks in enumerate(cohorts):
        resource = {"service.name": "shop", "service.version": tasks.workflow.version}
        with (directory / f"traces-{number:03}.jsonl").open("w") as lines:
            for task in range(len(tasks)):
                spans = _spans(tasks, task, f"{number + 1:08x}{task + 1:024x}", number)
                scopes = [{"scope": {"name": "taskmeter"}, "spans": spans}]
                document = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": scopes}
                lines.write(json.dumps({"resourceSpans": [document]}) + "\n")
    return directory


def _spans(tasks: Tasks, task: int, trace: str, cohort: int) -> list[dict[str, Any]]:
    workflow, start = tasks.workflow, int(tasks.start_ns[task])
    end, succeeded = start + round(float(tasks.seconds[task]) * SECOND), bool(tasks.succeeded[task])
    ran, factor = workflow.steps[: int(tasks.ran[task])], float(tasks.factors[task])
    total = _usd(int(tasks.units[task].sum()))
    who = {
        names.TASK_ID: trace,
        names.TASK_NAME: workflow.name,
        names.TASK_KEY: f"K-{cohort}-{task}",
        names.CUSTOMER: workflow.customer,
        **{names.LABEL_PREFIX + name: value for name, value in workflow.labels.items()},
    }
    said = {
        names.SPAN_KIND: "task",
        names.OUTCOME: "succeeded" if succeeded else "failed",
        names.COST_EXACT: total,
        names.COST_SELF_EXACT: total,
        names.COST_CURRENCY: "USD",
        names.COST_WASTED_EXACT: "0" if succeeded else total,
        names.WASTE_PREFIX + "failed_task" + names.WASTE_EXACT_SUFFIX: None if succeeded else total,
        names.CALLS: len(ran),
        names.USAGE_INPUT: sum(_tokens(step.input_tokens, factor) for step in ran),
        names.USAGE_OUTPUT: sum(_tokens(step.output_tokens, factor) for step in ran),
        names.VALUE: workflow.value if succeeded else None,
        names.QUALITY: float(tasks.quality[task]) if succeeded and workflow.quality is not None else None,
        names.HUMAN_MINUTES: float(tasks.minutes[task]) if workflow.minutes else None,
    }
    spans = [_span(trace, 1, None, f"invoke_workflow {workflow.name}", (start, end), who | said)]
    length = (end - start) // len(ran)
    for place, step in enumerate(ran):
        times = (start + place * length, start + (place + 1) * length)
        is_bad = not succeeded and place == len(ran) - 1
        here = {names.STEP_NAME: step.name, names.ERROR_TYPE: "StepFailed" if is_bad else None}
        spans.append(_span(trace, 2 + 2 * place, 1, f"step {step.name}", times, who | here | {names.SPAN_KIND: "step"}))
        call = who | _call(step, int(tasks.units[task, place]), factor)
        spans.append(_span(trace, 3 + 2 * place, 2 + 2 * place, f"chat {step.model}", times, call))
    return spans


def _call(step: Step, units: int, factor: float) -> dict[str, Any]:
    return {
        names.SPAN_KIND: "call",
        names.OPERATION: "chat",
        names.PROVIDER: step.provider,
        names.REQUEST_MODEL: step.model,
        names.RESPONSE_MODEL: step.model,
        names.INPUT_TOKENS: _tokens(step.input_tokens, factor),
        names.OUTPUT_TOKENS: _tokens(step.output_tokens, factor),
        names.COST_EXACT: _usd(units),
        names.COST_STATUS: "exact",
        names.PRICE_ORIGIN: f"genai-prices 0.2.3 (2026-11-09) {step.provider}/{step.model}",
        names.CALL_COST: units / _UNITS,
        names.CALL_COST_CURRENCY: "USD",
        **_parts(step, units, factor),
    }


def _parts(step: Step, units: int, factor: float) -> dict[str, Any]:
    again, thought = round(units * step.sent_again), round(units * step.reasoning)
    tokens = _tokens(step.input_tokens, factor)
    shares = {"history": [tokens, _usd(again)], "carried": [tokens, _usd(again)]}
    return {
        names.CONTEXT_SHARES: json.dumps(shares) if step.sent_again else None,
        names.COST_REASONING: thought / _UNITS if thought else None,
    }


def _tokens(count: int, factor: float) -> int:
    return round(count * factor)


def _usd(units: int) -> str:
    return f"{units // _UNITS}.{units % _UNITS:08}"


def _span(
    trace: str, number: int, parent: int | None, name: str, times: tuple[int, int], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "traceId": trace,
        "spanId": f"{int(trace[:8], 16):04x}{int(trace[8:], 16):08x}{number:04x}",
        "parentSpanId": "" if parent is None else f"{int(trace[:8], 16):04x}{int(trace[8:], 16):08x}{parent:04x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(times[0]),
        "endTimeUnixNano": str(times[1]),
        "attributes": _attributes(attributes),
    }


def _attributes(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in given.items() if value is not None]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
