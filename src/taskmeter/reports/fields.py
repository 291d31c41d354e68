"""What a recorded span says about itself, field by field; what is missing or of the wrong type is not said."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from taskmeter import _semconv as names
from taskmeter.records import WASTE_CLASSES
from taskmeter.reports.waste import UNCLASSIFIED
from taskmeter.spool.read import SpanRecord

LeafKind = Literal["call", "tool", "charge"]
Status = Literal["exact", "estimated", "partial", "unpriced", "provisioned", ""]
"""How sure a cost is; empty where there is nothing to pay: a tool run without a price, an attempt."""

_STATUSES: tuple[Status, ...] = ("exact", "estimated", "partial", "unpriced", "provisioned")
LARGEST_AMOUNT = Decimal("1e15")
MOST_COUNTED = 10**12
"""Of anything that a span counts: sums of them are to fit 64 bits."""


class Tokens(NamedTuple):
    """Token counts of a call or a roll-up."""

    input: int
    """Cached included."""
    cached: int
    output: int
    """Reasoning included."""
    reasoning: int


def status(said: str | None, cost: Decimal | None) -> Status:
    """How sure a cost is: as the span says, else exact where there is one."""
    for known in _STATUSES:
        if known == said:
            return known
    return "" if cost is None else "exact"


def leaf_name(span: SpanRecord, kind: LeafKind) -> str:
    """Operation and model of a call, the name of a tool, the item of a charge."""
    if kind == "call":
        model = text(span, names.RESPONSE_MODEL) or text(span, names.REQUEST_MODEL)
        operation = text(span, names.OPERATION)
        return f"{operation} {model}" if operation and model else span.name
    return text(span, names.TOOL_NAME if kind == "tool" else names.CHARGE_ITEM) or span.name


def call_tokens(span: SpanRecord) -> Tokens | None:
    """`None` for a call that told no usage."""
    if names.INPUT_TOKENS not in span.attributes and names.OUTPUT_TOKENS not in span.attributes:
        return None
    return Tokens(
        input=count(span, names.INPUT_TOKENS),
        cached=count(span, names.CACHE_READ_TOKENS),
        output=count(span, names.OUTPUT_TOKENS),
        reasoning=count(span, names.REASONING_TOKENS),
    )


def waste(span: SpanRecord) -> str | None:
    """Why the result of a leaf was thrown away, if it was; a reason that is none of ours is no class."""
    said = text(span, names.WASTE_CLASS)
    return said if said is None or said in WASTE_CLASSES else UNCLASSIFIED


def text(span: SpanRecord, name: str) -> str | None:
    """A string that is not empty."""
    value = span.attributes.get(name)
    return value if isinstance(value, str) and value else None


def count(span: SpanRecord, name: str) -> int:
    """A whole number of a sensible size; 0 where there is none."""
    value = span.attributes.get(name)
    return max(0, min(value, MOST_COUNTED)) if isinstance(value, int) and not isinstance(value, bool) else 0


def number(span: SpanRecord, name: str) -> float | None:
    """Any number of a sensible size."""
    value = span.attributes.get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < float(LARGEST_AMOUNT) else None


def decimal(span: SpanRecord, name: str) -> Decimal | None:
    """A `number`, with the digits that were written."""
    value = number(span, name)
    return None if value is None else Decimal(repr(value)).normalize()


def human_minutes(span: SpanRecord) -> Decimal:
    """Minutes of people's time that a charge is for."""
    if text(span, names.CHARGE_CATEGORY) != "human" or text(span, names.CHARGE_UNIT) != "minute":
        return Decimal(0)
    return decimal(span, names.CHARGE_QUANTITY) or Decimal(0)


def list_cost(span: SpanRecord, name: str, cost: Decimal | None) -> Decimal | None:
    """The amount at list prices under `name`, where that is another than `cost`."""
    listed = number(span, name)
    return None if listed is None or cost is None or listed == float(cost) else Decimal(repr(listed))
