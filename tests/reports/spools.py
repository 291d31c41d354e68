"""Random spools: tasks nested over processes, steps thrown away, late money, outcomes, and what nobody should write."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from taskmeter import _semconv as names

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
AMOUNTS = ("0", "0.1", "0.25", "3", "0.000000000000000000000000000001", "12.345678901234567")
WASTE = (None, None, None, "loop", "failed_call", "of a later version")
SHARES = (
    None,
    '{"user":[90,"0.0001"],"documents/kb":[10,"0.00000001"],"carried":[40,"0.00004"]}',
    '{"system": [60, "0.1"], "tool_results/crm": [40, null], "carried": [60, "0.1"]}',
    '{"documents/\\u00e9\\"]":[100,"999999999999999.0000000000000000000000000000000000000001"],"carried":[100,null]}',
    '{"user":[100]}',
)
STATUSES = ("exact", "exact", "estimated", "unpriced", "partial", None)


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


class Spool:
    """Spans of some traces, as OTLP/JSON has them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.spans: list[dict[str, Any]] = []
        self.tasks: list[str] = []
        self.now = START
        for trace in range(1, random.randint(2, 3)):
            self._inside(f"{trace:032x}", "", None, None, depth=0)
        for _ in range(random.randint(0, 3)):
            self._outcome()

    def write(self, directory: Path, files: int = 2) -> None:
        """As lines of several files; some spans are in two."""
        for number in range(files):
            lines = [self._line(span) for index, span in enumerate(self.spans) if index % files == number]
            lines += [self._line(span) for span in self.random.sample(self.spans, min(2, len(self.spans)))]
            (directory / f"traces-{number}.jsonl").write_text("\n".join(lines))

    def write_again(self) -> list[dict[str, Any]]:
        """All spans, and some of them twice."""
        return [*self.spans, *self.random.sample(self.spans, min(2, len(self.spans)))]

    def _line(self, span: dict[str, Any]) -> str:
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [span]}]}]})

    def _span(self, trace: str, parent: str, kind: str | None, *, lost: float = 0, **attributes: Any) -> str:
        self.now += SECOND * self.random.randint(0, 2)
        span_id = f"{len(self.spans) + 1:016x}"
        given = {**attributes, names.SPAN_KIND: kind}
        self.spans.append(
            {
                "traceId": trace,
                "spanId": span_id,
                "parentSpanId": parent,
                "name": "work",
                "kind": 1,
                "startTimeUnixNano": str(self.now),
                "endTimeUnixNano": str(self.now + self.random.randint(0, 3) * SECOND),
                "attributes": [
                    {"key": key, "value": _value(value)} for key, value in given.items() if value is not None
                ],
            }
        )
        if self.random.random() < lost:
            self.spans[-1]["spanId"], self.spans[-1]["attributes"] = f"{len(self.spans) + 900:016x}", []
        return span_id

    def _inside(self, trace: str, parent: str, task: str | None, name: str | None, depth: int) -> None:
        """What is in a task, a step or a span of another library; with `task` `None`, outside any."""
        who = {names.TASK_ID: task, names.TASK_NAME: name}
        pick, chance = self.random.choice, self.random.random
        for _ in range(self.random.randint(0, 4) if depth else 3):
            what = pick(("task", "step", "leaf", "leaf", "foreign", "attempt")) if depth < 5 else "leaf"
            match what if task or what != "foreign" else "leaf":
                case "task":
                    self._task(trace, parent, task, depth)
                case "step":
                    rolled = {names.COST_EXACT: pick(AMOUNTS), names.COST_ESTIMATED: pick((None, 0.5))}
                    more = {
                        names.STEP_NAME: pick(("draft", "check")),
                        names.STEP_DISCARDED: chance() < 0.3 or None,
                        names.ERROR_TYPE: pick((None, None, "E")),
                        names.UNPRICED_CALLS: pick((None, 1)),
                    }
                    step = self._span(trace, parent, "step", lost=0.05, **who, **rolled, **more)
                    self._inside(trace, step, task, name, depth + 1)
                case "foreign":
                    self._inside(trace, self._span(trace, parent, None, **who), task, name, depth + 1)
                case "attempt":
                    self._span(trace, parent, "attempt", **who)
                case _:
                    self._leaf(trace, parent, who)

    def _leaf(self, trace: str, parent: str, who: dict[str, Any]) -> None:
        pick, chance = self.random.choice, self.random.random
        kind = pick(("call", "call", "tool", "charge"))
        cost = pick((None, *AMOUNTS)) if kind == "call" else pick(AMOUNTS)
        more = {
            names.COST_EXACT: cost,
            names.COST_STATUS: pick(STATUSES) if cost else pick(("unpriced", None)),
            names.WASTE_CLASS: pick(WASTE),
            names.COST_LATE: chance() < 0.15 or None,
            names.TASK_REMOTE: chance() < 0.15 or None,
            names.RESEND_COUNT: pick((None, 2)),
            names.EXPOSED_ATTEMPTS: pick((None, None, 1)),
            names.INPUT_TOKENS: pick((None, 100)),
            names.CACHE_READ_TOKENS: pick((None, 40)),
            names.OUTPUT_TOKENS: pick((None, 7)),
            names.RETRY_SECONDS: pick((None, None, 0.25)),
        }
        if kind == "call":
            more |= {
                names.REASONING_TOKENS: pick((None, 5)),
                names.COST_REASONING: pick((None, 0.00012)),
                names.CACHE_SAVED: pick((None, 0.000045, -0.0001)),
                names.CALL_COST_SOURCE: pick((None, "local", "provider")),
                names.CONTEXT_SHARES: pick(SHARES),
            }
        if kind != "call":
            more[names.CHARGE_CATEGORY] = pick((None, "tools", "retrieval", "model"))
        if kind == "charge" and chance() < 0.4:
            more |= {names.CHARGE_CATEGORY: "human", names.CHARGE_UNIT: "minute", names.CHARGE_QUANTITY: 2.5}
        self.now += 1  # no two calls begin at once: which one is the first is known
        span = self._span(trace, parent, kind, **who, **more)
        if kind == "call" and chance() < 0.4:  # the money of the call, which came after its span had ended
            money = {names.COST_EXACT: pick(AMOUNTS), names.CALL_COST: 0.1, names.COST_STATUS: "exact"}
            money |= {names.CHARGE_CATEGORY: "model", names.CONTEXT_SHARES: pick(SHARES)}
            self._span(trace, span, "charge", **who, **money, **{names.WASTE_CLASS: pick(WASTE)})

    def _task(self, trace: str, parent: str, around: str | None, depth: int) -> None:
        pick, chance = self.random.choice, self.random.random
        task, name = f"task {len(self.spans)}", pick(("resolve", "draft"))
        self.tasks.append(task)
        cost = pick((None, *AMOUNTS))
        waste = {
            names.WASTE_PREFIX + name + names.WASTE_EXACT_SUFFIX: pick((None, None, "0.1", "2"))
            for name in ("duplicate", "reask", "failed_task", "abandoned_task")
        }
        money = {
            names.COST_EXACT: cost,
            names.COST_SELF_EXACT: pick((*AMOUNTS, "cheap")),
            names.COST_WASTED_EXACT: pick((None, "0", "0.1")),
            **waste,
            names.COST_ESTIMATED: pick((None, 0.05)),
            names.VALUE: pick((None, 12.5)),
            names.QUALITY: pick((None, 0.75)),
            names.HUMAN_MINUTES: pick((None, 1.5)),
            names.CALLS: self.random.randint(0, 3),
            names.RETRIES: pick((None, 1)),
            names.UNPRICED_CALLS: pick((None, None, 1)),
            names.EXPOSED_ATTEMPTS: pick((None, None, 1)),
            names.USAGE_INPUT: pick((None, 150)),
            names.RETRY_SECONDS: pick((None, 1.5)),
            names.REASKS: pick((None, 2)),
            names.GROWING_TURNS: pick((None, 20, 31)),
        }
        more = {
            names.OUTCOME: pick(("succeeded", "succeeded", "failed", "abandoned", "pending", "odd")),
            names.TASK_KEY: pick((None, "T-1", "T-2")),
            names.PARENT_TASK_ID: around if chance() < 0.9 else "gone",
            names.TASK_REMOTE: chance() < 0.2 or None,
        }
        who = {names.TASK_ID: task, names.TASK_NAME: name}
        span = self._span(trace, parent, "task", lost=0.15, **who, **money, **more)
        self._inside(trace, span, task, name, depth + 1)

    def _outcome(self) -> None:
        pick = self.random.choice
        who = {names.TASK_KEY: pick(("T-1", "T-2", "T-9")), names.TASK_NAME: pick((None, "resolve"))}
        if self.tasks and self.random.random() < 0.5:
            who = {names.TASK_ID: pick(self.tasks)}
        minutes = pick((None, 4.0))
        more = {
            names.OUTCOME: pick(("succeeded", "failed", "abandoned", "pending")),
            names.OUTCOME_SEQUENCE: self.random.randint(0, 2),
            names.HUMAN_MINUTES: minutes,
            names.COST_EXACT: pick((None, "2")) if minutes else None,
            names.WASTE_CLASS: pick(WASTE) if minutes else None,
            names.VALUE: pick((None, 3.5)),
        }
        self._span("f" * 32, "", "outcome", **who, **more)
