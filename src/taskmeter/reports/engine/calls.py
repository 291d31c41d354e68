"""The table `calls`: recorded calls with what a hypothetical price needs, and their sums."""

from __future__ import annotations

from typing import Final

from taskmeter.pricing import PARTS
from taskmeter.records import SOURCES
from taskmeter.reports.fields import MOST_COUNTED

DAY_NS: Final = 86_400_000_000_000
LEAST_CACHED: Final = 1024
"""Tokens: providers cache no shorter beginning of a prompt."""
NO_TASK: Final = "(no task)"

# Why a call stays as it is: it has nothing to price, or a price that is nobody's list.
_LEFT = """
    CASE WHEN NOT $usd THEN 'currency'
        WHEN b.cost_source = 'provider' THEN 'stated'
        WHEN money(b.cost) IS NULL OR b.status IS NOT DISTINCT FROM 'unpriced' THEN 'unpriced'
        WHEN b.status IS NOT DISTINCT FROM 'provisioned' THEN 'provisioned'
        WHEN coalesce(b.input, 0) + coalesce(b.output, 0) = 0 THEN 'no_tokens'
        WHEN coalesce(b.provider, '') = '' OR coalesce(nullif(b.response_model, ''), nullif(b.request_model, ''), '')
            = '' THEN 'no_model'
    END
"""
# Parts that the counts of a call do not tell -> the count that they are a part of.
_WITHIN: Final = {
    "input_audio": "input",
    "input_image": "input",
    "cache_read_audio": "cache_read",
    "cache_read_image": "cache_read",
    "cache_write_1h": "cache_write",
    "cache_write_12h": "cache_write",
    "output_audio": "output",
    "output_image": "output",
}
_APART = ", ".join(
    f"least(greatest(coalesce(TRY_CAST(apart['{part}'][1] AS BIGINT), 0), 0), {MOST_COUNTED}) AS {part}"
    for part in _WITHIN
)


def _rest(part: str, whole: str) -> str:
    """What is left of a count when the parts that are told apart are taken away."""
    others = "".join(f" - {other}" for other, around in _WITHIN.items() if around == part)
    return f"greatest(0, {whole}{others}) AS {part}"


_FEES = f"""
    CASE WHEN apart IS NULL THEN 0 ELSE coalesce(list_sum(list_transform(
        list_filter(map_entries(apart), lambda each: each.key NOT IN {tuple(_WITHIN)}),
        lambda each: TRY_CAST(each.value[2] AS DOUBLE))), 0) END
"""
CALLS: Final = f"""
CREATE OR REPLACE TEMP TABLE calls AS
WITH RECURSIVE roots(id, name, root) AS (
    SELECT id, name, name FROM chosen WHERE parent IS NULL
    UNION ALL
    SELECT c.id, c.name, r.root FROM chosen c JOIN roots r ON c.parent = r.id
), billed AS (
    SELECT b.*, coalesce(nullif(b.response_model, ''), b.request_model) AS model,
        greatest(1, coalesce(b.items, 1)) AS n, coalesce(b.input, 0) AS whole,
        TRY_CAST(TRY_CAST(b.parts AS JSON) AS MAP(VARCHAR, VARCHAR[])) AS apart
    FROM booked b WHERE b.what = 'call'
), parted AS (
    SELECT * EXCLUDE (reasoning, cached, written, output, input), coalesce(reasoning, 0) AS reasoning,
        coalesce(cached, 0) AS cached, coalesce(written, 0) AS written, coalesce(output, 0) AS made, {_APART},
        {_FEES} AS fees, {_LEFT} AS stays
    FROM billed b
), counted AS (
    SELECT *, {_rest("input", "whole - cached - written")}, {_rest("cache_read", "cached")},
        {_rest("cache_write", "written")}, {_rest("output", "made - reasoning")}
    FROM parted
), sized AS (
    SELECT *, CASE WHEN carried >= {LEAST_CACHED}
        AND lag(start_ns) OVER (PARTITION BY task_id, provider, model ORDER BY start_ns, span) IS NOT NULL
        THEN least(input, greatest(0, carried - cached - written)) ELSE 0 END AS cacheable
    FROM counted
)
SELECT coalesce(r.root, '{NO_TASK}') AS workflow, coalesce(r.name, '{NO_TASK}') AS task,
    coalesce(p.step, '') AS step,
    b.provider, b.model, b.start_ns // {DAY_NS} AS day, coalesce(b.terms, '') AS variants,
    b.start_ns % {DAY_NS} AS at_ns, b.n, b.whole // b.n AS length, {", ".join(f"b.{part}" for part in PARTS)}, b.fees,
    money(b.cost) AS cost, TRY_CAST(b.cost AS DOUBLE) AS about, b.listed,
    b.status IS NOT DISTINCT FROM 'estimated' AS estimated, b.status IS NOT DISTINCT FROM 'partial' AS in_part,
    b.stays, NULL::INTEGER AS terms,
    b.cacheable, CASE WHEN b.task_id IS NOT NULL
        AND max(b.cacheable) OVER (PARTITION BY b.task_id, b.provider, b.model) > 0
        THEN b.input - b.cacheable ELSE 0 END AS writable,
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
WAITING: Final = "SELECT DISTINCT provider, model, day, variants FROM calls WHERE stays IS NULL ORDER BY ALL"
RATES: Final = f"""
CREATE OR REPLACE TEMP TABLE call_rates AS
SELECT unnest(?::VARCHAR[]) AS provider, unnest(?::VARCHAR[]) AS model, unnest(?::BIGINT[]) AS day,
    unnest(?::VARCHAR[]) AS variants, unnest(?::BIGINT[]) AS from_ns, unnest(?::BIGINT[]) AS until_ns,
    unnest(?::BIGINT[]) AS above, unnest(?::BIGINT[]) AS up_to, unnest(?::INTEGER[]) AS terms,
    {", ".join(f"unnest(?::DOUBLE[]) AS {price}" for price in (*PARTS, "request"))}
"""
_MADE = " + ".join(f"CASE WHEN c.{part} = 0 THEN 0 ELSE c.{part} * r.{part} END" for part in PARTS)
# Doubles are sure enough to recognise an amount by; sums are made of whole tokens and decimal prices.
MATCH: Final = f"""
UPDATE calls c SET terms = r.terms FROM call_rates r
WHERE c.stays IS NULL AND r.provider = c.provider AND r.model = c.model AND r.day = c.day AND r.variants = c.variants
    AND c.at_ns >= r.from_ns AND c.at_ns < r.until_ns AND c.length > r.above AND c.length <= r.up_to
    AND abs(r.request * c.n + c.fees + {_MADE} - c.about) <= 1e-12 * c.about
"""
UNFIT: Final = """
UPDATE calls SET stays = CASE WHEN in_part THEN 'partial'
    WHEN abs(listed - about) > 1e-9 * about THEN 'contract' ELSE 'not_reproduced' END
WHERE stays IS NULL AND terms IS NULL
"""
SHARE_COST: Final = (
    "list_sum(list_transform(list_filter(map_entries("
    "TRY_CAST(TRY_CAST(shares AS JSON) AS MAP(VARCHAR, VARCHAR[]))), "
    "lambda each: each.key = '{source}' OR starts_with(each.key, '{source}/')), "
    "lambda each: TRY_CAST(each.value[2] AS DOUBLE)))"
)
CELLS: Final = f"""
SELECT workflow, task, step, terms, repeated, {{band}} AS band, sum(n)::BIGINT AS calls,
    sum(cost) AS cost, coalesce(sum(cost) FILTER (estimated), zero()) AS estimated,
    coalesce(sum(n) FILTER (in_part), 0)::BIGINT AS in_part, {", ".join(f"sum({part}) AS {part}" for part in PARTS)},
    sum(cacheable) AS cacheable, sum(writable) AS writable,
    count(fingerprint) AS fingerprinted, count(shares) AS measured,
    count(*) FILTER (shares IS NOT NULL AND sent_tools > 0) AS with_tools,
    {", ".join(f"sum(sent_{source}) AS sent_{source}" for source in SOURCES)} {{costs}}
FROM calls WHERE terms IS NOT NULL
GROUP BY workflow, task, step, terms, repeated, band ORDER BY workflow, task, step, terms, repeated, band
"""
