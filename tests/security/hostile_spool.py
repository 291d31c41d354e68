"""A spool of which every text is hostile: names, keys, labels, reasons, models, and what should have been numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from taskmeter import _semconv as names
from tests.security.hostile import ESCAPES, NAMES

SECOND: Final = 1_000_000_000
START: Final = 1_790_000_000 * SECOND
LONG: Final = 10_000
INSIDE: Final = (
    f"a{ESCAPES}b",
    "a\x1bcb",
    "\x1b[5mblink\x1b[25m \x1b[8mgone",
    "\x9b2J\x9d0;title\x9c\x90q\x9c",
    "\u202egpj.\u2066exe\u2069\u202c\u200f",
    "a\u200b\u2060\ufeffb\u00ad\U000e0041\ufff9",
    "a\ud800b\udfff",
    "a\x00b\x7f\x08\x08",
    "a\rb\nc\td\u2028e\u2029f\x0bg\x0ch\x85i",
    "[red]x[/red][link=http://evil]y[/link][/]",
    ":smile: :boom:",
    "<script>alert(1)</script>",
    "{0} %s %(a)s ${HOME} `id` $(id)",
    "'; DROP TABLE spans; --",
    ";=1+1;@x",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f",
)
"""What does harm wherever in a name it is."""
WHOLE: Final = (
    "".join(INSIDE),
    "=cmd()|'/c calc'!A0",
    "\t=1+1",
    "\n@SUM(A1)",
    "TOTAL",
    "(no task)",
    "x (unfinished)",
    "\u6c49\u5b57" * 30,
    "=" * LONG,
)
"""Names."""
MORE: Final = (
    *INSIDE,
    "+1",
    "-2+3",
    "@x",
    "\r=1+1",
    "\x0b=1+1",
    "|calc",
    "1e5",
    " ",
    "*[!a]?",
    "e" + "\u0301" * 300,
    "long " * (LONG // 5),
    "\u6c49" * LONG,
)
"""And others, for a longer test."""
SIDE: Final = "@SUM(A1)"
"""The label that says which side of a comparison a task is on."""
SIDES: Final = ("=a", "=b")
GPT_5: Final = "0.0013375"
"""What the price book makes of 900 tokens of input, 100 from a cache and 20 of output."""
ODD: Final = (1, 3)
"""Tasks, by their numbers, of which every attribute there is has the name for a value, numbers and all."""


def task_id(number: int) -> str:
    """Of the task with this number, from 1."""
    return f"{number:032x}"


def write_spool(directory: Path, texts: Sequence[str]) -> Path:
    """Two tasks of each name, one on either side of a comparison, with one of each that there is in them; the step in
    a task has the next name."""
    directory.mkdir(exist_ok=True)
    with (directory / "traces-0.jsonl").open("w") as file:
        for number, text in enumerate(texts):
            for side in (0, 1) if len(text) < LONG else (0,):
                task = _Task(2 * number + side + 1, side, text)
                file.write(json.dumps(_document(list(task.spans(texts[(number + 1) % len(texts)])), text)) + "\n")
        file.write("not json\n")
    return directory


def _document(spans: Sequence[dict[str, Any]], text: str) -> dict[str, Any]:
    resource = {"attributes": _pairs({"service.name": text, "service.version": text, text: text})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": text}, "spans": spans}]}]}


class _Task:
    """The spans of one task, all in one trace, on one `side` of a comparison."""

    def __init__(self, number: int, side: int, text: str) -> None:
        self.number, self.side, self.text = number, side, text
        self._odd = dict.fromkeys(NAMES, text) if number in ODD else {}
        self._who = {names.TASK_ID: task_id(number), names.TASK_NAME: text, names.TASK_KEY: text, names.CUSTOMER: text}

    def spans(self, step: str) -> Iterator[dict[str, Any]]:
        """Every seventh task is never finished. Half of the outcomes are of no task, and a call is outside any."""
        text, number = self.text, self.number
        outcome = ("succeeded", "failed", "succeeded", "pending", "abandoned")[number % 5]
        if number % 7:
            said = {"OUTCOME": outcome, "OUTCOME_REASON": text, "VALUE": 2.5, "QUALITY": 0.5, "HUMAN_MINUTES": 3.0}
            own = {"COST_SELF_EXACT": "0.6", "COST_CURRENCY": text, "PARENT_TASK_ID": None}
            yield self._span(1, 0, "task", (0, 20 + self.side), **said, **own, **self._rollup())
        discarded = {"STEP_DISCARDED": number % 3 == 0, "STEP_DISCARD_REASON": text}
        yield self._span(2, 1, "step", (1, 9), STEP_NAME=step, **discarded, **self._rollup())
        unsure = {"COST_STATUS": "estimated", "COST_REASON": text, "ERROR_TYPE": text, "WASTE_CLASS": text}
        yield self._span(3, 2, "call", (2, 3), COST_EXACT="0.3", **unsure, **self._call())
        sure = {"COST_STATUS": "exact", "WASTE_CLASS": None, "ERROR_TYPE": None}
        yield self._span(4, 2, "call", (5, 3), COST_EXACT=GPT_5, **sure, **self._call())
        yield self._span(5, 3, "attempt", (3, 1), HTTP_STATUS=429, ERROR_TYPE=text, ATTEMPT_WAIT=0.5)
        yield self._span(6, 2, "tool", (8, 1), TOOL_NAME=text, COST_EXACT="0.1", WASTE_CLASS="loop")
        charge = {"CHARGE_ITEM": text, "CHARGE_CATEGORY": text, "CHARGE_UNIT": text, "CHARGE_QUANTITY": 2.0}
        yield self._span(7, 1, "charge", (11, 1), COST_EXACT="0.1", **charge)
        said = {"OUTCOME": "failed", "OUTCOME_REASON": text, "OUTCOME_SEQUENCE": 1, "QUALITY": 0.2, "VALUE": 1.5}
        nobody = {"TASK_ID": None, "TASK_KEY": f"{text}?"} if number % 2 else {}
        yield self._span(8, 0, "outcome", (30, 0), **said, **nobody)
        nowhere = {"TASK_ID": None, "TASK_NAME": None, "TASK_KEY": None, "COST_STATUS": "exact"}
        yield self._span(9, 0, "call", (12, 1), COST_EXACT="0.1", **nowhere)

    def _rollup(self) -> dict[str, Any]:
        more = {names.WASTE_PREFIX + self.text + names.WASTE_EXACT_SUFFIX: "0.1", "UNPRICED_CALLS": self.side}
        money = {"COST_EXACT": "0.6", "COST_WASTED_EXACT": "0.1", "COST_ESTIMATED": 0.1}
        counted = ("RETRIES", "REASKS", "DUPLICATE_CALLS", "LOOPED_TOOL_RUNS", "EXPOSED_ATTEMPTS")
        return {**more, **money, **dict.fromkeys(counted, 1), "CALLS": 2, "GROWING_TURNS": 4}

    def _call(self) -> dict[str, Any]:
        """Of one side with a model that has a price."""
        text = self.text
        provider, model = ("openai", "gpt-5") if self.side else (text, text)
        shares = {f"documents/{text}": [400, "0.1"], "user": [100, None], "carried": [5, "0"], text: [1, text]}
        return {
            "OPERATION": "chat",
            "PROVIDER": provider,
            "REQUEST_MODEL": model,
            "RESPONSE_MODEL": model,
            "INPUT_TOKENS": 1_000,
            "CACHE_READ_TOKENS": 100,
            "OUTPUT_TOKENS": 20,
            "REASONING_TOKENS": 1,
            "FINGERPRINT": "ab" * 8,
            "CONTEXT_SHARES": json.dumps(shares),
            names.CONTEXT_TOKENS.format(source="documents"): 400,
        }

    def _span(self, place: int, parent: int, kind: str, when: tuple[int, int], **more: Any) -> dict[str, Any]:
        """Every attribute there is has the hostile text, but for those in `more`, which are named as in `_semconv`."""
        text, at = self.text, START + self.number * 100 * SECOND + when[0] * SECOND
        given = {names.COST_LATE: None, names.TASK_REMOTE: None, names.SPAN_KIND: kind}
        given |= {getattr(names, key, key): value for key, value in more.items()}
        if kind == "task":
            given |= {names.LABEL_PREFIX + text: text, names.LABEL_PREFIX + SIDE: SIDES[self.side]}
        return {
            "traceId": task_id(self.number),
            "spanId": f"{self.number * 100 + place:016x}",
            "parentSpanId": f"{self.number * 100 + parent:016x}" if parent else "",
            "name": text,
            "kind": 1,
            "startTimeUnixNano": str(at),
            "endTimeUnixNano": str(at + when[1] * SECOND),
            "attributes": _pairs({**self._odd, **self._who, **given}),
            "status": {"code": 2, "message": text},
        }


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: value}} for key, value in attributes.items() if value is not None
    ]
