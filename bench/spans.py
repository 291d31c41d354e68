"""Realistic spans, seeded, written straight to Parquet as `taskmeter compact` lays it out: 12 a task.

Every tenth task is nested in the one before it. One task in 16 fails, one in 32 discards its draft, one in 64 has an
outcome recorded later, one in 100 late money; one call in 50 is an estimate, one in 200 has no price. Of nine calls in
ten it is known what their input was made of; all but a task's first send something again. Half reason, two in three
read from a cache.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from taskmeter import _semconv as names
from taskmeter.spool.columns import COLUMNS
from taskmeter.spool.parquet import quoted

SPANS_A_TASK = 12
_TASKS_A_FILE = 50_000
_LEAVES = range(3, 11)


_MODELS = (
    ("openai", "gpt-5.4", 250, 25, 1500),
    ("openai", "gpt-5.5", 500, 50, 3000),
    ("openai", "gpt-6-sol", 200, 20, 1000),
    ("anthropic", "claude-opus-5", 500, 50, 2500),
    ("anthropic", "claude-sonnet-5", 200, 20, 1000),
    ("anthropic", "claude-haiku-4-5", 100, 10, 500),
)
"""Who answers, and what a token in, a cached one and one out cost there, in units of 1e-8 USD."""


def _of_model(column: int, n: str = "n", p: str = "p") -> str:
    return f"{[model[column] for model in _MODELS]}[1 + dice({n}, {p} + 700) % {len(_MODELS)}]"


def _input(n: str, p: str) -> str:
    return f"(200 + dice({n}, {p} + 100) % 8000)::BIGINT"


def _cached(n: str, p: str) -> str:
    return f"CASE WHEN {p} % 3 <> 0 THEN {_input(n, p)} // 2 ELSE 0 END"


def _output(n: str, p: str) -> str:
    return f"(20 + dice({n}, {p} + 200) % 900)::BIGINT"


def _units(n: str, p: str) -> str:
    """Cost of a leaf in units of 1e-8 USD: of a call, what its tokens cost; the last one is a charge below a cent."""
    given, cached, made = (_of_model(column, n, p) for column in (2, 3, 4))
    tokens = f"{_input(n, p)} * {given} - {_cached(n, p)} * ({given} - {cached}) + {_output(n, p)} * {made}"
    most = f"CASE WHEN {p} = 10 THEN 40000 ELSE 1500000 END"
    return f"(CASE WHEN {p} < 9 THEN {tokens} ELSE dice({n}, {p}) % {most} END)::BIGINT"


def _is_unpriced(n: str, p: str) -> str:
    return f"({p} < 9 AND dice({n}, {p} + 500) % 200 = 0)"


def _own(n: str) -> str:
    return " + ".join(f"CASE WHEN {_is_unpriced(n, str(p))} THEN 0 ELSE {_units(n, str(p))} END" for p in _LEAVES)


_USD = "({} * 0.00000001::DECIMAL(10, 8))::DECIMAL(18, 8)::VARCHAR"


_PRICE = "0.00000125::DECIMAL(12, 8)"


def _share(tokens: str) -> str:
    """A part of the input as it stands in JSON: tokens, and what they cost."""
    return f"'[' || {tokens} || ',\"' || (({tokens}) * {_PRICE})::DECIMAL(18, 8)::VARCHAR || '\"]'"


_INPUT, _OUTPUT = _input("n", "p"), _output("n", "p")
_SENT_AGAIN = f"{_INPUT} * 6 // 10"
_PARTS = {
    "system": f"{_INPUT} // 10",
    "tools": f"{_INPUT} // 5",
    "history": f"{_INPUT} // 3",
    "user": f"{_INPUT} - {_INPUT} // 10 - {_INPUT} // 5 - {_INPUT} // 3 - {_INPUT} // 7",
    "documents/kb": f"{_INPUT} // 7",
}
_SHARES = " || ',' || ".join(f"'\"{source}\":' || {_share(tokens)}" for source, tokens in _PARTS.items())
_CARRIED = f"CASE WHEN p > 3 THEN ',\"carried\":' || {_share(_SENT_AGAIN)} ELSE '' END"
_IS_MEASURED = "what = 'call' AND dice(n, p + 400) % 10 <> 0"
_REASONS, _IS_CACHED = "what = 'call' AND p % 2 = 0", "what = 'call' AND p % 3 <> 0"


def write_spans(directory: Path, spans: int, seed: int = 0) -> int:
    """Writes `spans-*.parquet` files with about that many spans; returns how many they are."""
    directory.mkdir(parents=True, exist_ok=True)
    tasks = max(1, spans // SPANS_A_TASK)
    with duckdb.connect() as database:
        database.execute(f"CREATE MACRO dice(n, p) AS (hash(n * 1024 + p + {int(seed)} * 1000003) >> 1)::BIGINT")
        for first in range(0, tasks, _TASKS_A_FILE):
            last = min(first + _TASKS_A_FILE, tasks)
            path = str(directory / f"spans-{first:09}.parquet")
            database.execute(
                f"COPY ({_QUERY}) TO $path (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100_000)",
                {"first": first, "last": last, "path": path},
            )
    return tasks * SPANS_A_TASK


_ATTRIBUTES: dict[str, str] = {
    names.SPAN_KIND: "what",
    names.TASK_ID: "task_id",
    names.TASK_NAME: "task_name",
    names.TASK_KEY: "'T-' || n",
    names.CUSTOMER: "'customer ' || dice(n, 900) % 200",
    names.PARENT_TASK_ID: "CASE WHEN p = 0 AND nested THEN printf('%032x', n - 1) END",
    names.OUTCOME: "CASE WHEN p = 0 AND NOT failed OR what = 'outcome' AND failed THEN 'succeeded' "
    "WHEN p = 0 OR what = 'outcome' THEN 'failed' END",
    names.STEP_NAME: "CASE p WHEN 1 THEN 'draft' WHEN 2 THEN 'check' END",
    names.STEP_DISCARDED: "CASE WHEN p = 1 AND discards THEN true END",
    names.OPERATION: "CASE WHEN what = 'call' THEN 'chat' END",
    names.PROVIDER: f"CASE WHEN what = 'call' THEN {_of_model(0)} END",
    names.REQUEST_MODEL: f"CASE WHEN what = 'call' THEN {_of_model(1)} END",
    names.FINGERPRINT: "CASE WHEN what = 'call' THEN printf('%016x', dice(n, p + 800) % 1000000) END",
    names.TOOL_NAME: "CASE WHEN what = 'tool' THEN 'crm.lookup' END",
    names.CHARGE_ITEM: "CASE WHEN what = 'charge' THEN 'pinecone' END",
    names.COST_CURRENCY: "CASE WHEN p = 0 THEN 'USD' END",
    names.CALL_COST_CURRENCY: "CASE WHEN what = 'call' THEN 'USD' END",
    names.COST_EXACT: f"CASE WHEN p = 0 THEN {_USD.format('(own + inner_own)')} "
    f"WHEN p > 2 AND p < 11 AND NOT unpriced THEN {_USD.format('units')} END",
    names.COST_SELF_EXACT: f"CASE WHEN p = 0 THEN {_USD.format('own')} END",
    names.COST_WASTED_EXACT: f"CASE WHEN p = 0 THEN CASE WHEN failed THEN {_USD.format('(own + inner_own)')} "
    "ELSE '0' END END",
    f"{names.WASTE_PREFIX}failed_task{names.WASTE_EXACT_SUFFIX}": f"CASE WHEN p = 0 AND failed THEN "
    f"{_USD.format('(own + inner_own)')} END",
    names.COST_STATUS: "CASE WHEN unpriced THEN 'unpriced' WHEN what = 'call' AND dice(n, p + 300) % 50 = 0 "
    "THEN 'estimated' WHEN p > 2 AND p < 11 THEN 'exact' END",
    names.CALLS: "CASE WHEN p = 0 THEN 6 + CASE WHEN holds THEN 6 ELSE 0 END END",
    names.RETRIES: "CASE WHEN p = 0 THEN 1 END",
    names.UNPRICED_CALLS: "CASE WHEN p = 0 THEN dark END",
    names.INPUT_TOKENS: f"CASE WHEN what = 'call' THEN {_INPUT} END",
    names.OUTPUT_TOKENS: f"CASE WHEN what = 'call' THEN {_OUTPUT} END",
    names.CACHE_READ_TOKENS: f"CASE WHEN what = 'call' THEN {_cached('n', 'p')} END",
    names.REASONING_TOKENS: f"CASE WHEN {_REASONS} THEN {_OUTPUT} // 2 END",
    names.COST_REASONING: f"CASE WHEN {_REASONS} AND NOT unpriced THEN {_OUTPUT} // 2 * 0.00001 END",
    names.CACHE_SAVED: f"CASE WHEN {_IS_CACHED} AND NOT unpriced THEN {_INPUT} // 2 * 0.000001125 END",
    names.CONTEXT_SHARES: f"CASE WHEN {_IS_MEASURED} THEN '{{' || {_SHARES} || {_CARRIED} || '}}' END",
    names.CONTEXT_CARRIED_TOKENS: f"CASE WHEN {_IS_MEASURED} AND p > 3 THEN {_SENT_AGAIN} END",
    names.CHARGE_CATEGORY: "CASE what WHEN 'tool' THEN 'tools' WHEN 'charge' THEN 'retrieval' END",
    names.COST_ESTIMATED: "CASE WHEN p = 0 AND dice(n, 901) % 8 = 0 THEN 0.001 END",
    names.CALL_COST: "CASE WHEN what = 'call' AND NOT unpriced THEN units / 1e8 END",
    names.COST_LATE: "CASE WHEN p = 10 AND dice(n, 902) % 100 = 0 THEN true END",
    names.ERROR_TYPE: "CASE WHEN what = 'attempt' THEN 'RateLimitError' END",
}
_FIELDS: dict[str, str] = {
    "trace_id": "printf('%032x', n - CASE WHEN nested THEN 1 ELSE 0 END + 1)",
    "span_id": "printf('%016x', n * 16 + p + 1)",
    "parent_span_id": "CASE WHEN p = 0 THEN CASE WHEN nested THEN printf('%016x', (n - 1) * 16 + 1) END "
    "WHEN p IN (3, 4, 5, 9) THEN printf('%016x', n * 16 + 2) WHEN p IN (6, 7) THEN printf('%016x', n * 16 + 3) "
    "WHEN p = 11 AND what = 'attempt' THEN printf('%016x', n * 16 + 4) "
    "WHEN p < 11 THEN printf('%016x', n * 16 + 1) END",
    "name": "what || ' ' || p",
    "kind": "1",
    "start_ns": "1790000000000000000 + n * 60000000000 + p * 1000000000 "
    "+ CASE WHEN what = 'outcome' THEN 86400000000000 ELSE 0 END",
    "end_ns": "1790000000000000000 + n * 60000000000 + p * 1000000000 + 900000000",
    "status_code": "0",
    "scope": "'taskmeter'",
    "service": "'shop'",
    "version": "'1.' || n * 4 // 1000000",
    "attributes": '\'{"taskmeter.label.team": {"stringValue": "team \' || dice(n, 903) % 5 || \'"}}\'',
    "rest_of_span": '\'{"flags": 256, "status": {}}\'',
    "rest_of_scope": '\'{"scope": {"name": "taskmeter"}}\'',
    "rest_of_resource": "'{\"resource\": {}}'",
}

_DARK = " + ".join(f"{_is_unpriced('n', str(p))}::BIGINT" for p in _LEAVES)
_COLUMNS = ", ".join(
    f"({(_FIELDS | _ATTRIBUTES).get(name, 'NULL')})::{column} AS {quoted(name)}" for name, column in COLUMNS.items()
)
_QUERY = f"""
WITH tasks AS (
    SELECT n, n % 10 = 1 AS nested, n % 10 = 0 AS holds, dice(n, 904) % 16 = 0 AS failed,
        dice(n, 905) % 32 = 0 AS discards, dice(n, 906) % 64 = 0 AS revised, printf('%032x', n) AS task_id,
        ['resolve_ticket', 'classify', 'research', 'summarise'][1 + dice(n, 907) % 4] AS task_name,
        {_own("n")} AS own, {_DARK} AS dark, CASE WHEN n % 10 = 0 THEN {_own("(n + 1)")} ELSE 0 END AS inner_own
    FROM range($first, $last) numbers(n)
), spans AS (
    SELECT *, {_units("n", "p")} AS units, {_is_unpriced("n", "p")} AND p > 2 AS unpriced,
        CASE WHEN p = 0 THEN 'task' WHEN p < 3 THEN 'step' WHEN p < 9 THEN 'call' WHEN p = 9 THEN 'tool'
            WHEN p = 10 THEN 'charge' WHEN revised THEN 'outcome' ELSE 'attempt' END AS what
    FROM tasks, range({SPANS_A_TASK}) positions(p)
)
SELECT {_COLUMNS} FROM spans
"""
