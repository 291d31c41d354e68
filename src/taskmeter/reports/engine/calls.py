"""The table `calls`: recorded calls with what a hypothetical price needs, and their sums."""

from __future__ import annotations

from typing import Final

from taskmeter.records import SOURCES

DAY_NS: Final = 86_400_000_000_000
LEAST_CACHED: Final = 1024
"""Tokens: providers cache no shorter beginning of a prompt."""
NO_TASK: Final = "(no task)"

# Why a call stays as it is: it has nothing to price, or a price that is nobody's list.
_LEFT = """
    CASE WHEN NOT $usd THEN 'currency'
        WHEN b.cost_source = 'provider' THEN 'stated'
        WHEN money(b.cost) IS NULL OR b.status IS NOT DISTINCT FROM 'unpriced' THEN 'unpriced'
        WHEN coalesce(b.status, '') NOT IN ('exact', 'estimated') THEN 'partial'
        WHEN coalesce(b.input, 0) + coalesce(b.output, 0) = 0 THEN 'no_tokens'
        WHEN coalesce(b.provider, '') = '' OR coalesce(nullif(b.response_model, ''), nullif(b.request_model, ''), '')
            = '' THEN 'no_model'
    END
"""
CALLS: Final = f"""
CREATE OR REPLACE TEMP TABLE calls AS
WITH RECURSIVE roots(id, name, root) AS (
    SELECT id, name, name FROM chosen WHERE parent IS NULL
    UNION ALL
    SELECT c.id, c.name, r.root FROM chosen c JOIN roots r ON c.parent = r.id
), billed AS (
    SELECT b.*, coalesce(b.input, 0) AS whole,
        greatest(0, coalesce(b.input, 0) - coalesce(b.cached, 0) - coalesce(b.written, 0)) AS plain
    FROM booked b WHERE b.what = 'call'
), sized AS (
    SELECT *, CASE WHEN carried >= {LEAST_CACHED}
        THEN least(plain, greatest(0, carried - coalesce(cached, 0) - coalesce(written, 0))) ELSE 0 END AS cacheable
    FROM billed
)
SELECT coalesce(r.root, '{NO_TASK}') AS workflow, coalesce(r.name, '{NO_TASK}') AS task,
    coalesce(p.step, '') AS step,
    b.provider, coalesce(nullif(b.response_model, ''), b.request_model) AS model,
    b.start_ns // {DAY_NS} AS day, b.start_ns % {DAY_NS} AS at_ns, b.whole, b.plain,
    coalesce(b.cached, 0) AS cached, coalesce(b.written, 0) AS written,
    greatest(0, coalesce(b.output, 0) - coalesce(b.reasoning, 0)) AS answer, coalesce(b.reasoning, 0) AS reasoning,
    money(b.cost) AS cost, TRY_CAST(b.cost AS DOUBLE) AS about, b.status IS NOT DISTINCT FROM 'estimated' AS estimated,
    {_LEFT} AS stays, NULL::INTEGER AS terms,
    b.cacheable, CASE WHEN b.task_id IS NOT NULL AND max(b.cacheable) OVER (PARTITION BY b.task_id) > 0
        THEN b.plain - b.cacheable ELSE 0 END AS writable,
    b.fingerprint, CASE WHEN b.fingerprint IS NULL THEN '' ELSE coalesce(CASE
        WHEN b.start_ns - lag(b.start_ns) OVER same <= {DAY_NS // 24} THEN 'hour'
        WHEN b.start_ns - lag(b.start_ns) OVER same <= {DAY_NS} THEN 'day'
        WHEN lag(b.start_ns) OVER same IS NOT NULL THEN 'later' END, '') END AS repeated,
    b.shares, {", ".join(f"coalesce(b.sent_{source}, 0) AS sent_{source}" for source in SOURCES)}
FROM sized b
LEFT JOIN roots r ON r.id = b.task_id
LEFT JOIN places p ON p.trace = b.trace AND p.start = b.parent AND p.task_id IS NOT DISTINCT FROM b.task_id
WHERE r.id IS NOT NULL OR b.task_id IS NULL
    AND b.start_ns >= coalesce($since, b.start_ns) AND b.start_ns < coalesce($until, b.start_ns + 1)
WINDOW same AS (PARTITION BY b.fingerprint ORDER BY b.start_ns, b.span)
"""
WAITING: Final = (
    "SELECT DISTINCT provider, model, day FROM calls WHERE stays IS NULL AND terms IS NULL {more} ORDER BY ALL"
)
RATES: Final = """
CREATE OR REPLACE TEMP TABLE call_rates AS
SELECT unnest(?::VARCHAR[]) AS provider, unnest(?::VARCHAR[]) AS model, unnest(?::BIGINT[]) AS day,
    unnest(?::BIGINT[]) AS from_ns, unnest(?::BIGINT[]) AS until_ns, unnest(?::BIGINT[]) AS above,
    unnest(?::BIGINT[]) AS up_to, unnest(?::INTEGER[]) AS terms, unnest(?::DOUBLE[]) AS input,
    unnest(?::DOUBLE[]) AS cache_read, unnest(?::DOUBLE[]) AS cache_write, unnest(?::DOUBLE[]) AS output,
    unnest(?::DOUBLE[]) AS reasoning, unnest(?::DOUBLE[]) AS request
"""
_MADE = " + ".join(
    f"CASE WHEN c.{count} = 0 THEN 0 ELSE c.{count} * r.{price} END"
    for count, price in (
        ("plain", "input"),
        ("cached", "cache_read"),
        ("written", "cache_write"),
        ("answer", "output"),
        ("reasoning", "reasoning"),
    )
)
# Doubles are sure enough to recognise an amount by; sums are made of whole tokens and decimal prices.
MATCH: Final = f"""
UPDATE calls c SET terms = r.terms FROM call_rates r
WHERE c.stays IS NULL AND c.terms IS NULL AND r.provider = c.provider AND r.model = c.model AND r.day = c.day
    AND c.at_ns >= r.from_ns AND c.at_ns < r.until_ns AND c.whole > r.above AND c.whole <= r.up_to
    AND abs(r.request + {_MADE} - c.about) <= 1e-12 * c.about
"""
UNFIT: Final = "UPDATE calls SET stays = 'not_reproduced' WHERE stays IS NULL AND terms IS NULL"
SHARE_COST: Final = (
    "list_sum(list_transform(list_filter(map_entries(TRY_CAST(TRY_CAST(shares AS JSON) AS MAP(VARCHAR, VARCHAR[]))), "
    "lambda each: each.key = '{source}' OR starts_with(each.key, '{source}/')), "
    "lambda each: TRY_CAST(each.value[2] AS DOUBLE)))"
)
CELLS: Final = f"""
SELECT workflow, task, step, terms, repeated, {{band}} AS band, count(*) AS calls,
    sum(cost) AS cost, coalesce(sum(cost) FILTER (estimated), zero()) AS estimated,
    sum(plain) AS input, sum(cached) AS cache_read, sum(written) AS cache_write, sum(answer) AS output,
    sum(reasoning) AS reasoning, sum(cacheable) AS cacheable, sum(writable) AS writable,
    count(fingerprint) AS fingerprinted, count(shares) AS measured,
    count(*) FILTER (shares IS NOT NULL AND sent_tools > 0) AS with_tools,
    {", ".join(f"sum(sent_{source}) AS sent_{source}" for source in SOURCES)} {{costs}}
FROM calls WHERE terms IS NOT NULL
GROUP BY workflow, task, step, terms, repeated, band ORDER BY workflow, task, step, terms, repeated, band
"""
