"""What a report says of the parts of the money, worked out from the raw spans: slowly, and with none of its SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from taskmeter import _semconv as names
from taskmeter.records import add
from taskmeter.reports.relations import Relations
from taskmeter.reports.rows import Leaf, Task

Attributes = Mapping[str, Any]


@dataclass(slots=True)
class Part:
    """One amount of a row."""

    amount: Decimal = Decimal(0)
    known: int = 0
    unknown: int = 0

    def take(self, amount: Decimal | None) -> None:
        if amount is None:
            self.unknown += 1
        else:
            self.amount = add(self.amount, amount)
            self.known += 1

    @property
    def said(self) -> Decimal | None:
        return self.amount if self.known or not self.unknown else None


@dataclass(slots=True)
class Truth:
    """Of one row."""

    tax: Part = field(default_factory=Part)
    reasoning: Part = field(default_factory=Part)
    saved: Part = field(default_factory=Part)
    elsewhere: Part = field(default_factory=Part)
    measured: int = 0
    unmeasured: int = 0
    leaves: int = 0

    def figures(self, calls: int) -> tuple[Decimal | None, ...]:
        """Context tax, reasoning, savings and what is on no model's invoice, of a row with so many calls."""
        if calls and not self.leaves:
            return (None,) * 4
        tax = self.tax.said if self.measured else None
        return (tax, self.reasoning.said, self.saved.said, self.elsewhere.said)


def truths(spans: Iterable[Mapping[str, Any]], relations: Relations) -> dict[tuple[str, bool], Truth]:
    """By name, and whether unfinished; all there is under `TOTAL`."""
    found: dict[tuple[str, bool], Truth] = {}
    said = _attributes(spans, relations)
    for leaf in relations.leaves:
        for key in (("TOTAL", False), *_rows(leaf, relations)):
            _take(found.setdefault(key, Truth()), leaf, said[leaf.ref])
    return found


def _attributes(spans: Iterable[Mapping[str, Any]], relations: Relations) -> dict[tuple[str, str], Attributes]:
    """Of each span, with what a charge says that is the money of a call."""
    raw = {(span["traceId"], span["spanId"]): span for span in spans}
    said = {ref: {pair["key"]: _value(pair["value"]) for pair in span["attributes"]} for ref, span in raw.items()}
    for (trace, span_id), attributes in list(said.items()):
        is_gone = (trace, span_id) not in relations.rows
        if is_gone and attributes.get(names.SPAN_KIND) == "charge" and names.CALL_COST in attributes:
            call = (trace, raw[trace, span_id]["parentSpanId"])
            money = {name: attributes.get(name) for name in (names.COST_REASONING, names.CACHE_SAVED)}
            shares = attributes.get(names.CONTEXT_SHARES) or said[call].get(names.CONTEXT_SHARES)
            said[call] = {**said[call], **money, names.CONTEXT_SHARES: shares, names.CALL_COST_SOURCE: None}
    return said


def _value(value: Mapping[str, Any]) -> Any:
    [(kind, said)] = value.items()
    return int(said) if kind == "intValue" else said


def _rows(leaf: Leaf, relations: Relations) -> Iterator[tuple[str, bool]]:
    """A row has what is inside the outermost tasks of its name."""
    task = relations.tasks.get(leaf.task_id or "")
    around: list[Task] = [] if task is None else [task, *relations.ancestors(task)]
    seen: set[str] = set()
    for each in reversed(around):
        if each.name not in seen:
            yield (each.name, each.outcome == "unfinished")
        seen.add(each.name)


def _take(truth: Truth, leaf: Leaf, said: Attributes) -> None:
    truth.leaves += 1
    shares = _shares(said.get(names.CONTEXT_SHARES))
    if shares is not None:
        truth.measured += 1
        tokens, cost = shares.get("carried", (0, None))
        if tokens:
            truth.tax.take(cost)
    elif leaf.tokens is not None and leaf.tokens.input:
        truth.unmeasured += 1
    for part, name in ((truth.reasoning, names.COST_REASONING), (truth.saved, names.CACHE_SAVED)):
        if said.get(name) is not None:
            part.take(Decimal(repr(said[name])))
    if leaf.tokens is not None and leaf.tokens.reasoning and said.get(names.COST_REASONING) is None and leaf.cost != 0:
        truth.reasoning.take(None)
    priceless = leaf.cost is None or leaf.status in ("unpriced", "partial")
    priceless = priceless or said.get(names.CALL_COST_SOURCE) == "provider"
    if leaf.tokens is not None and leaf.tokens.cached and said.get(names.CACHE_SAVED) is None and priceless:
        truth.saved.take(None)
    is_model = leaf.kind == "call" or said.get(names.CHARGE_CATEGORY) == "model" or names.CALL_COST in said
    if not is_model and leaf.cost is not None:
        truth.elsewhere.take(leaf.cost)
    # What an outcome tells of is people's time: there is some.
    is_people = leaf.cost is None and said[names.SPAN_KIND] == "outcome"
    if not is_model and (leaf.status == "unpriced" or is_people):
        truth.elsewhere.take(None)


def _shares(text: str | None) -> dict[str, tuple[int, Decimal | None]] | None:
    try:
        stated = json.loads(text or "")
        return {name: (int(tokens), None if cost is None else Decimal(cost)) for name, (tokens, cost) in stated.items()}
    except ValueError:
        return None
