"""The tables `chosen` and `cohort`: the tasks that a report is about, and the same by group."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from taskmeter import _semconv as names
from taskmeter.errors import UsageError
from taskmeter.reports.engine.rows import REPEATS
from taskmeter.reports.waste import CLASSES, OF_OUTCOME

if TYPE_CHECKING:
    from taskmeter.reports.engine.warehouse import Warehouse

LABEL: Final = "label:"
GROUPS: Final = ("name", "customer", "version", "model", "step")
"""What a report can be by, besides `label:` and the name of one."""

_CHOSEN = "CREATE OR REPLACE TEMP VIEW chosen AS SELECT * FROM {tasks}"
# A nested task belongs to the time in which the outermost around it began: what a task cost is not torn apart.
_BEGAN = """
CREATE OR REPLACE TEMP TABLE began AS
WITH RECURSIVE above(id, around) AS (
    SELECT id, parent FROM tasks WHERE parent IS NOT NULL
    UNION ALL
    SELECT a.id, t.parent FROM above a JOIN tasks t ON t.id = a.around WHERE t.parent IS NOT NULL
), outermost AS (
    SELECT a.id, t.start_ns FROM above a JOIN tasks t ON t.id = a.around AND t.parent IS NULL
)
SELECT t.id, coalesce(o.start_ns, t.start_ns) AS began_ns FROM tasks t LEFT JOIN outermost o ON o.id = t.id
"""
_WITHIN = """
CREATE OR REPLACE TEMP TABLE chosen_ones AS
SELECT t.* FROM tasks t JOIN began b USING (id)
WHERE b.began_ns >= coalesce($since, b.began_ns) AND b.began_ns < coalesce($until, b.began_ns + 1)
"""
# Of tasks in one of their own group, the money of the outermost has theirs.
_INNER = """
CREATE OR REPLACE TEMP TABLE inner_ones AS
WITH RECURSIVE family AS (
    SELECT id, parent, {group} AS grouped FROM chosen
    WHERE parent IS NOT NULL OR id IN (SELECT parent FROM chosen WHERE parent IS NOT NULL)
), above(id, grouped, around) AS (
    SELECT id, grouped, parent FROM family WHERE parent IS NOT NULL
    UNION ALL
    SELECT a.id, a.grouped, t.parent FROM above a JOIN family t ON t.id = a.around
    WHERE t.parent IS NOT NULL AND t.grouped <> a.grouped
)
SELECT DISTINCT a.id FROM above a JOIN family t ON t.id = a.around AND t.grouped = a.grouped
"""
_OF_TASKS = """
CREATE OR REPLACE TEMP VIEW cohort AS
SELECT t.*, {group} AS grouped, t.outcome = 'unfinished' AS is_open, i.id IS NULL AS is_outer
FROM chosen t LEFT JOIN inner_ones i ON i.id = t.id
"""
# What each task spent in each group itself: leaves are in one each, so nothing is in two rows.
_OF_LEAVES = """
CREATE OR REPLACE TEMP TABLE spent_in AS
SELECT t.id, {group} AS grouped, t.outcome = 'unfinished' AS is_open, t.outcome, true AS is_outer,
    sum(l.cost) AS cost, sum(l.cost) AS own, coalesce(sum(l.cost) FILTER (l.apart), zero()) AS late,
    coalesce(sum(l.cost) FILTER (l.lost OR t.outcome IN ('failed', 'abandoned')), zero()) AS wasted,
    {wastes},
    coalesce(sum(l.cost) FILTER (l.status = 'estimated'), zero()) AS estimated,
    count(*) FILTER (l.what = 'call') AS calls, sum(l.retries)::BIGINT AS retries,
    count(*) FILTER (l.status = 'unpriced') AS all_unpriced, sum(l.exposed)::BIGINT AS exposed,
    sum(l.minutes) AS minutes, sum(l.input)::BIGINT AS input, sum(l.output)::BIGINT AS output,
    NULL::BIGINT AS value, NULL::BIGINT AS quality,
    arg_min(l.cost, l.start_ns) FILTER (l.what = 'call' AND l.cost IS NOT NULL) AS first_call,
    bool_or(l.lost AND l.status = 'estimated') AS wasted_estimate,
    bool_or(l.lost AND l.status = 'unpriced') AS wasted_bound,
    sum(l.cost) AS leaves
FROM leaves l JOIN chosen t ON t.id = l.task_id {besides}
GROUP BY t.id, t.outcome, grouped;
CREATE OR REPLACE TEMP VIEW cohort AS SELECT * FROM spent_in;
"""
# The innermost step around each span that leaves are in, spans of other libraries passed over.
_PLACES = """
CREATE OR REPLACE TEMP TABLE places AS
WITH RECURSIVE above(trace, start, span) AS (
    SELECT DISTINCT trace, parent, parent FROM leaves WHERE parent IS NOT NULL
    UNION
    SELECT a.trace, a.start, s.parent FROM above a JOIN spans s ON s.trace = a.trace AND s.span = a.span
    WHERE s.parent IS NOT NULL AND s.what IS DISTINCT FROM 'step' AND s.what IS DISTINCT FROM 'task'
)
SELECT a.trace, a.start, any_value(s.task_id) AS task_id, any_value(coalesce(s.step, s.span_name)) AS step
FROM above a JOIN spans s ON s.trace = a.trace AND s.span = a.span AND s.what = 'step' GROUP BY a.trace, a.start
"""
_OF_TASK: Final = {
    "name": "name",
    "customer": "coalesce(customer, '(no customer)')",
    "version": "coalesce(nullif(version, ''), '(no version)')",
}


def make_cohort(warehouse: Warehouse, by: str, since_ns: int | None, until_ns: int | None) -> None:
    """Makes the tables. Raises `UsageError` for a group that there is not."""
    if by not in GROUPS and not (by.startswith(LABEL) and by != LABEL):
        raise UsageError(f"--by {by!r} is no group; there are {', '.join(GROUPS)} and label:NAME")
    choose(warehouse, since_ns, until_ns)
    _MAKERS.get(by, _of_tasks)(warehouse, by)


def choose(warehouse: Warehouse, since_ns: int | None, until_ns: int | None) -> None:
    """Makes the table `chosen`."""
    if since_ns is None and until_ns is None:
        warehouse.run(_CHOSEN.format(tasks="tasks"))
    else:
        date_tasks(warehouse)
        warehouse.run(_WITHIN, {"since": since_ns, "until": until_ns})
        warehouse.run(_CHOSEN.format(tasks="chosen_ones"))


def date_tasks(warehouse: Warehouse) -> None:
    """Makes the table `began`: when the outermost task around each began."""
    warehouse.run(_BEGAN)


def narrow(warehouse: Warehouse, names: Collection[str]) -> None:
    """Leaves only the tasks of these names in the tables."""
    warehouse.run("CREATE OR REPLACE TEMP TABLE named AS SELECT * FROM chosen WHERE name IN ?", [list(names)])
    warehouse.run(_CHOSEN.format(tasks="named"))


def place_steps(warehouse: Warehouse) -> None:
    """Makes the table `places`: the step around each span that leaves are in."""
    warehouse.run(_PLACES)


def _of_tasks(warehouse: Warehouse, by: str) -> None:
    group = _OF_TASK.get(by)
    if group is None:
        label = by.removeprefix(LABEL)
        warehouse.run("SET VARIABLE pointer = ?", [label_pointer(label)])
        warehouse.run("SET VARIABLE without = ?", [f"(no {label})"])
        group = "coalesce(TRY(json_extract_string(attributes, getvariable('pointer'))), getvariable('without'))"
    warehouse.run(_INNER.format(group=group))
    warehouse.run(_OF_TASKS.format(group=f"t.{group}" if group == "name" else group))


def label_pointer(label: str) -> str:
    """Where the value of a label is in the attributes of a span, as JSON has them."""
    key = (names.LABEL_PREFIX + label).replace("~", "~0").replace("/", "~1")
    return f"/{key}/stringValue"


GROUP_OF_LEAVES: Final[dict[str, tuple[str, str]]] = {
    "model": ("coalesce(nullif(l.response_model, ''), nullif(l.request_model, ''), '(no model)')", ""),
    "step": (
        "coalesce(p.step, '(no step)')",
        "LEFT JOIN places p ON p.trace = l.trace AND p.start = l.parent AND p.task_id IS NOT DISTINCT FROM l.task_id",
    ),
}
"""The group of each leaf, and what is joined to know it."""
_LOST_WITH = " ".join(f"WHEN '{outcome}' THEN '{name}'" for outcome, name in OF_OUTCOME.items())
_WASTE_OF_LEAF = f"coalesce(l.waste, CASE t.outcome {_LOST_WITH} END)"
_WASTES_OF_LEAVES = ", ".join(
    f"coalesce(sum(l.cost) FILTER ({_WASTE_OF_LEAF} = '{name}'), zero()) AS waste_{name}" for name in CLASSES
)


def _of_leaves(warehouse: Warehouse, by: str) -> None:
    if by == "step":
        place_steps(warehouse)
    group, besides = GROUP_OF_LEAVES[by]
    warehouse.run(_OF_LEAVES.format(group=group, besides=besides, wastes=_WASTES_OF_LEAVES))


_MAKERS: Final[dict[str, Callable[[Warehouse, str], None]]] = dict.fromkeys(GROUP_OF_LEAVES, _of_leaves)

WASTES: Final = ", ".join(f"sum(waste_{name}) FILTER (is_outer) AS waste_{name}" for name in CLASSES)
SUMS: Final = f"""
    count(*) AS tasks,
    count(*) FILTER (outcome = 'succeeded') AS succeeded,
    count(*) FILTER (outcome = 'failed') AS failed,
    count(*) FILTER (outcome = 'abandoned') AS abandoned,
    count(*) FILTER (outcome = 'pending') AS pending,
    count(*) FILTER (outcome = 'unfinished') AS unfinished,
    count(cost) AS priced,
    count(*) FILTER (cost IS NULL OR all_unpriced <> 0) AS unpriced,
    sum(cost) AS spent_of_each,
    sum(cost) FILTER (is_outer) AS spent,
    sum(own) AS own,
    sum(late) FILTER (is_outer) AS late,
    sum(wasted) FILTER (is_outer) AS wasted, {WASTES},
    sum(estimated) FILTER (is_outer) AS estimated,
    coalesce(sum(calls) FILTER (is_outer), 0) AS calls,
    coalesce(sum(retries) FILTER (is_outer), 0) AS retries,
    coalesce(sum(all_unpriced) FILTER (is_outer), 0) AS unpriced_calls,
    coalesce(sum(exposed) FILTER (is_outer), 0) AS exposed_attempts,
    coalesce(sum(input) FILTER (is_outer), 0) AS input_tokens,
    coalesce(sum(output) FILTER (is_outer), 0) AS output_tokens,
    sum(minutes) FILTER (is_outer) AS minutes,
    sum(cost) FILTER (first_call > zero()) AS compared,
    sum(first_call) FILTER (first_call > zero()) AS first_calls,
    sum(value) AS value, sum(quality) AS quality, count(quality) AS scored,
    coalesce(bool_or(cost > leaves) FILTER (is_outer), false) AS lacks_leaves,
    coalesce(bool_or(wasted_estimate) FILTER (is_outer), false) AS wasted_estimate,
    coalesce(bool_or(wasted_bound) FILTER (is_outer), false) AS wasted_bound
"""
PERCENTS: Final = (50, 90, 95, 99, 100)
_AT = ", ".join(
    f"any_value(cost) FILTER (rank = greatest(1, (priced * {percent} + 99) // 100)) AS p{percent}"
    for percent in PERCENTS
)
ROWS: Final = f"""
WITH sums AS (
    SELECT grouped, is_open, {SUMS}, min(cost) FILTER (all_unpriced <> 0) AS least_bound
    FROM cohort GROUP BY grouped, is_open
), ranked AS (
    SELECT grouped, is_open, cost, estimated <> zero() AS is_estimated,
        row_number() OVER (PARTITION BY grouped, is_open ORDER BY cost) AS rank
    FROM cohort WHERE cost IS NOT NULL
), at_ranks AS (
    SELECT s.grouped, s.is_open, {_AT}, sum(cost) FILTER (rank > priced - (priced + 99) // 100) AS top
    FROM ranked r JOIN sums s USING (grouped, is_open) GROUP BY s.grouped, s.is_open
)
SELECT s.*, a.* EXCLUDE (grouped, is_open),
    coalesce(e.p50_estimated, false) AS p50_estimated, coalesce(e.p95_estimated, false) AS p95_estimated,
    coalesce(least_bound <= p50, false) AS p50_bound, coalesce(least_bound <= p95, false) AS p95_bound,
    e.over_50x_median, e.spent_over
FROM sums s LEFT JOIN at_ranks a USING (grouped, is_open)
LEFT JOIN (
    SELECT grouped, is_open, bool_or(is_estimated AND cost = p50) AS p50_estimated,
        bool_or(is_estimated AND cost = p95) AS p95_estimated,
        count(*) FILTER (cost >= fiftyfold(p50)) AS over_50x_median,
        sum(cost) FILTER (cost >= fiftyfold(p50)) AS spent_over
    FROM ranked JOIN at_ranks USING (grouped, is_open) GROUP BY grouped, is_open
) e USING (grouped, is_open)
"""
TOTAL: Final = f"SELECT {SUMS} FROM (SELECT *, parent IS NULL AS is_outer FROM chosen)"

# For `breakdown`: with what was lost besides money. Of chosen tasks of some names the total has the outermost.
_LOST: Final = f"""
    sum(retry_seconds) FILTER (is_outer) AS retry_seconds,
    {", ".join(f"sum({name}) FILTER (is_outer) AS {name}" for name in REPEATS[:-1])},
    max({REPEATS[-1]}) FILTER (is_outer) AS {REPEATS[-1]}
"""
DIVIDED: Final = f"SELECT grouped, is_open, {SUMS}, {_LOST} FROM cohort GROUP BY grouped, is_open"
DIVIDED_TOTAL: Final = f"""
WITH RECURSIVE above(id, around) AS (
    SELECT id, parent FROM chosen WHERE parent IS NOT NULL
    UNION ALL
    SELECT a.id, t.parent FROM above a JOIN tasks t ON t.id = a.around WHERE t.parent IS NOT NULL
), inner_of_any AS (
    SELECT DISTINCT a.id FROM above a SEMI JOIN chosen c ON c.id = a.around
)
SELECT {SUMS}, {_LOST}
FROM (SELECT c.*, i.id IS NULL AS is_outer FROM chosen c LEFT JOIN inner_of_any i USING (id))
"""

# What was spent outside any task: leaves, and people's time told with outcomes about no task in here.
_WASTES_OUTSIDE = ", ".join(f"sum(cost) FILTER (waste = '{name}') AS waste_{name}" for name in CLASSES)
OUTSIDE: Final = f"""
SELECT count(*) AS leaves, count(cost) AS priced, sum(cost) AS spent, sum(cost) FILTER (lost) AS wasted,
    {_WASTES_OUTSIDE}, sum(retry_seconds) AS retry_seconds, false AS lacks_leaves,
    sum(cost) FILTER (status = 'estimated') AS estimated,
    count(*) FILTER (what = 'call') AS calls, coalesce(sum(retries), 0) AS retries,
    count(*) FILTER (status = 'unpriced') AS unpriced_calls, coalesce(sum(exposed), 0) AS exposed_attempts,
    coalesce(sum(input), 0) AS input_tokens, coalesce(sum(output), 0) AS output_tokens, sum(minutes) AS minutes,
    coalesce(bool_or(lost AND status = 'estimated'), false) AS wasted_estimate,
    coalesce(bool_or(lost AND status = 'unpriced'), false) AS wasted_bound
FROM (
    SELECT what, start_ns, cost, lost, waste, status, retries, retry_seconds, exposed, input, output, minutes
    FROM leaves WHERE task_id IS NULL
    UNION ALL
    SELECT 'outcome', at_ns, cost, is_wasted, waste, status, 0, zero(), 0, 0, 0, minutes FROM outcomes
    WHERE meant IS NULL AND minutes <> zero()
)
WHERE start_ns >= coalesce($since, start_ns) AND start_ns < coalesce($until, start_ns + 1)
"""

DARK: Final = """
SELECT grouped, count(*) AS tasks FROM cohort WHERE cost IS NULL AND NOT is_open GROUP BY grouped
"""
PENDING: Final = "SELECT count(*) AS tasks, sum(cost) AS spent FROM chosen WHERE outcome = 'pending'"
LATE: Final = "SELECT count(*) AS tasks, sum(own_late) AS spent FROM chosen WHERE own_late <> zero()"
# Once per outermost task with a gap between its own total and the spans recorded inside.
MISSING: Final = """
WITH RECURSIVE gaps AS (
    SELECT id, parent, coalesce(cost, zero()) - leaves AS gap FROM chosen WHERE coalesce(cost, zero()) > leaves
), above(id, around) AS (
    SELECT id, parent FROM gaps WHERE parent IS NOT NULL
    UNION ALL
    SELECT a.id, t.parent FROM above a JOIN tasks t ON t.id = a.around WHERE t.parent IS NOT NULL
)
SELECT count(*) AS tasks, sum(gap) AS spent
FROM gaps WHERE id NOT IN (SELECT a.id FROM above a JOIN gaps g ON g.id = a.around)
"""
