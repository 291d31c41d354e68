"""The view `spans`: each span of a source once, with the columns that reports read under short names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from taskmeter import _semconv as names
from taskmeter.records import SOURCES, WASTE_CLASSES
from taskmeter.reports.fields import MOST_COUNTED
from taskmeter.spool.columns import COLUMNS, ColumnType
from taskmeter.spool.parquet import quoted

SHORT: Final[Mapping[str, str]] = {
    "trace": "trace_id",
    "span": "span_id",
    "parent": "parent_span_id",
    "span_name": "name",
    "start_ns": "start_ns",
    "end_ns": "end_ns",
    "service": "service",
    "version": "version",
    "what": names.SPAN_KIND,
    "task_id": names.TASK_ID,
    "task_name": names.TASK_NAME,
    "task_key": names.TASK_KEY,
    "customer": names.CUSTOMER,
    "parent_task_id": names.PARENT_TASK_ID,
    "outcome": names.OUTCOME,
    "reason": names.OUTCOME_REASON,
    "sequence": names.OUTCOME_SEQUENCE,
    "remote": names.TASK_REMOTE,
    "late": names.COST_LATE,
    "waste": names.WASTE_CLASS,
    "error": names.ERROR_TYPE,
    "discarded": names.STEP_DISCARDED,
    "cost": names.COST_EXACT,
    "own": names.COST_SELF_EXACT,
    "wasted": names.COST_WASTED_EXACT,
    **{f"waste_{waste}": names.WASTE_PREFIX + waste + names.WASTE_EXACT_SUFFIX for waste in WASTE_CLASSES},
    "status": names.COST_STATUS,
    "currency": names.COST_CURRENCY,
    "call_currency": names.CALL_COST_CURRENCY,
    "call_cost": names.CALL_COST,
    "estimated": names.COST_ESTIMATED,
    "value": names.VALUE,
    "quality": names.QUALITY,
    "minutes": names.HUMAN_MINUTES,
    "category": names.CHARGE_CATEGORY,
    "quantity": names.CHARGE_QUANTITY,
    "unit": names.CHARGE_UNIT,
    "calls": names.CALLS,
    "retries": names.RETRIES,
    "unpriced_calls": names.UNPRICED_CALLS,
    "exposed": names.EXPOSED_ATTEMPTS,
    "resends": names.RESEND_COUNT,
    "retry_seconds": names.RETRY_SECONDS,
    "reasks": names.REASKS,
    "duplicate_calls": names.DUPLICATE_CALLS,
    "looped_tool_runs": names.LOOPED_TOOL_RUNS,
    "growing_turns": names.GROWING_TURNS,
    "rolled_input": names.USAGE_INPUT,
    "rolled_cached": names.USAGE_CACHE_READ,
    "rolled_output": names.USAGE_OUTPUT,
    "rolled_reasoning": names.USAGE_REASONING,
    "input": names.INPUT_TOKENS,
    "cached": names.CACHE_READ_TOKENS,
    "output": names.OUTPUT_TOKENS,
    "reasoning": names.REASONING_TOKENS,
    "step": names.STEP_NAME,
    "request_model": names.REQUEST_MODEL,
    "response_model": names.RESPONSE_MODEL,
    "provider": names.PROVIDER,
    "written": names.CACHE_WRITE_TOKENS,
    "cost_source": names.CALL_COST_SOURCE,
    "terms": names.PRICE_TERMS,
    "parts": names.COST_PARTS,
    "items": names.BATCH_ITEMS,
    "listed": names.CALL_COST_LIST,
    "origin": names.PRICE_ORIGIN,
    "reasoning_cost": names.COST_REASONING,
    "cache_saved": names.CACHE_SAVED,
    "fingerprint": names.FINGERPRINT,
    "shares": names.CONTEXT_SHARES,
    "carried": names.CONTEXT_CARRIED_TOKENS,
    **{f"sent_{source}": names.CONTEXT_TOKENS.format(source=source) for source in SOURCES},
    "attributes": "attributes",
}
"""Name in the view -> column of a compacted file."""

TYPES: Final[Mapping[str, ColumnType]] = {short: COLUMNS[column] for short, column in SHORT.items()}

_TIMES = ("start_ns", "end_ns")
_NULL_IF_EMPTY = (
    "task_id",
    "task_name",
    "task_key",
    "customer",
    "parent_task_id",
    "reason",
    "step",
    "parent",
    "waste",
    "error",
)


def as_short(short: str, column: str) -> str:
    """One column of the view; an empty name is no name, and a count is of a sensible size."""
    if short in _NULL_IF_EMPTY:
        return f"nullif({column}, '') AS {short}"
    if TYPES[short] == "BIGINT" and short not in _TIMES:
        # `least` passes over what is NULL.
        return f"CASE WHEN {column} IS NOT NULL THEN greatest(least({column}, {MOST_COUNTED}), 0) END AS {short}"
    return f"{column} AS {short}"


def select(relation: str, shorts: Iterable[str] = SHORT) -> str:
    """The columns of the view, or these of them, from a relation with those of a compacted file."""
    return f"SELECT {', '.join(as_short(short, quoted(SHORT[short])) for short in shorts)} FROM {relation}"
