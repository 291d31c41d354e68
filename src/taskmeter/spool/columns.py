"""The columns of a compacted spool file: what reports read has one with a type, the rest of a span is JSON text.

A column is named like the attribute that it holds. What a column does not give back as it was written (a value of
another type, a whole number where a double is the rule, text that is not Unicode) is in `attributes` as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from taskmeter import _semconv as names
from taskmeter.records import SOURCES, WASTE_CLASSES

ColumnType: TypeAlias = Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"]

FIELDS: Final[Mapping[str, ColumnType]] = {
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "parent_span_id": "VARCHAR",
    "name": "VARCHAR",
    "kind": "BIGINT",
    "start_ns": "BIGINT",
    "end_ns": "BIGINT",
    "status_code": "BIGINT",
    "scope": "VARCHAR",
    "service": "VARCHAR",
    "version": "VARCHAR",
}
"""What every span has, as `read.SpanRecord` names it; `version` is the resource's `service.version`."""

REST: Final = ("attributes", "rest_of_span", "rest_of_scope", "rest_of_resource")
"""JSON text of what has no column: attributes by key, each an OTLP value; the other fields of the three messages."""

_BY_TYPE: Final[Mapping[ColumnType, tuple[str, ...]]] = {
    "VARCHAR": (
        names.SPAN_KIND,
        names.TASK_ID,
        names.TASK_NAME,
        names.TASK_KEY,
        names.CUSTOMER,
        names.PARENT_TASK_ID,
        names.OUTCOME,
        names.OUTCOME_REASON,
        names.STEP_NAME,
        names.STEP_DISCARD_REASON,
        names.OPERATION,
        names.PROVIDER,
        names.REQUEST_MODEL,
        names.RESPONSE_MODEL,
        names.TOOL_NAME,
        names.CHARGE_CATEGORY,
        names.CHARGE_ITEM,
        names.CHARGE_UNIT,
        names.COST_CURRENCY,
        names.CALL_COST_CURRENCY,
        # Exact amounts stay the text they are: a decimal of fixed scale would round or overflow some day.
        names.COST_EXACT,
        names.COST_SELF_EXACT,
        names.COST_WASTED_EXACT,
        *(names.WASTE_PREFIX + waste + names.WASTE_EXACT_SUFFIX for waste in WASTE_CLASSES),
        names.WASTE_CLASS,
        names.COST_STATUS,
        names.COST_REASON,
        names.PRICE_ORIGIN,
        names.ERROR_TYPE,
        names.CALL_COST_SOURCE,
        names.PRICE_TERMS,
        names.COST_PARTS,
        names.FINGERPRINT,
        names.CONTEXT_SHARES,
    ),
    "BIGINT": (
        names.USAGE_INPUT,
        names.USAGE_CACHE_READ,
        names.USAGE_CACHE_WRITE,
        names.USAGE_OUTPUT,
        names.USAGE_REASONING,
        names.CALLS,
        names.ATTEMPTS,
        names.RETRIES,
        names.EXPOSED_ATTEMPTS,
        names.TOOL_RUNS,
        names.UNPRICED_CALLS,
        names.REASKS,
        names.DUPLICATE_CALLS,
        names.LOOPED_TOOL_RUNS,
        names.GROWING_TURNS,
        names.INPUT_TOKENS,
        names.OUTPUT_TOKENS,
        names.CACHE_READ_TOKENS,
        names.CACHE_WRITE_TOKENS,
        names.REASONING_TOKENS,
        names.HTTP_STATUS,
        names.RESEND_COUNT,
        names.OUTCOME_SEQUENCE,
        *(names.CONTEXT_TOKENS.format(source=source) for source in SOURCES),
        names.CONTEXT_CARRIED_TOKENS,
        names.BATCH_ITEMS,
    ),
    "DOUBLE": (
        names.VALUE,
        names.QUALITY,
        names.HUMAN_MINUTES,
        names.COST_LIST,
        names.COST_ESTIMATED,
        names.CALL_COST,
        names.CALL_COST_LIST,
        names.COST_REASONING,
        names.CACHE_SAVED,
        names.LEAF_COST,
        names.CHARGE_QUANTITY,
        names.ATTEMPT_WAIT,
        names.RETRY_SECONDS,
    ),
    "BOOLEAN": (
        names.TASK_REMOTE,
        names.STEP_DISCARDED,
        names.COST_LATE,
    ),
}
ATTRIBUTES: Final[Mapping[str, ColumnType]] = {name: column for column, of_type in _BY_TYPE.items() for name in of_type}
"""The attributes that have a column."""

COLUMNS: Final[Mapping[str, ColumnType]] = {**FIELDS, **dict.fromkeys(REST, "VARCHAR"), **ATTRIBUTES}

_INT64_LIMIT = 1 << 63
_EXACT_IN_DOUBLE = 1 << 53


def typed(column: ColumnType, value: Any) -> str | int | float | bool | None:
    """`value` as a report reads it from such a column; `None` where the column cannot hold it."""
    match value:
        case bool():
            return value if column == "BOOLEAN" else None
        case str():
            return value if column == "VARCHAR" else None
        case int():
            if column == "BIGINT":
                return value if -_INT64_LIMIT <= value < _INT64_LIMIT else None
            return float(value) if column == "DOUBLE" and abs(value) <= _EXACT_IN_DOUBLE else None
        case float():
            return value if column == "DOUBLE" and math.isfinite(value) else None
        case _:
            return None


def otlp_value(column: ColumnType, value: Any) -> dict[str, Any]:
    """The OTLP value of what a column holds."""
    match column:
        case "VARCHAR":
            return {"stringValue": value}
        case "BIGINT":
            return {"intValue": str(value)}
        case "DOUBLE":
            return {"doubleValue": value}
        case "BOOLEAN":
            return {"boolValue": value}
