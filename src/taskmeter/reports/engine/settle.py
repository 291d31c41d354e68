"""The table `tasks`: what each task came to, with what came late, what was spent elsewhere, and what was said since.

The rules are those of `reports.late` and `reports.outcomes`, on sets: tasks are settled level by level, those deepest
inside first, as a task needs what its nested tasks came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.records import WASTE_CLASSES
from taskmeter.reports.engine.rows import COUNTS, REPEATS
from taskmeter.reports.waste import CLASSES, OF_OUTCOME, UNCLASSIFIED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_Classes: TypeAlias = Sequence[str]
_BECAUSE_OF: dict[str, str] = {waste: outcome for outcome, waste in OF_OUTCOME.items()}


def _each(pattern: str, names: Iterable[str]) -> str:
    return ", ".join(pattern.format(name) for name in names)


def _sum(pattern: str, names: Iterable[str]) -> str:
    return " + ".join(pattern.format(name) for name in names)


def _capped(classes: _Classes, prefix: str, source: str, cost: str) -> str:
    """No more waste than there is cost, and none that is negative: what is too much is taken off the last ones."""
    found: list[str] = []
    before, so_far = "zero()", "zero()"
    for name in classes:
        so_far += f" + greatest({source}_{name}, zero())"
        within = f"least({so_far}, greatest({cost}, zero()))"
        found.append(f"{within} - {before} AS {prefix}_{name}")
        before = within
    return ", ".join(found)


def _sums(classes: _Classes) -> str:
    return f"""
    sum(cost) AS own,
    {_each("sum(cost) FILTER (waste = '{0}') AS wasted_{0}", classes)},
    sum(cost) FILTER (status = 'estimated') AS estimated,
    sum(cost) FILTER (remote) AS own_remote,
    count(cost) AS priced,
    count(*) FILTER (what = 'call') AS calls,
    sum(retries)::BIGINT AS retries,
    count(*) FILTER (status = 'unpriced') AS unpriced_calls,
    {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS[3:])},
    sum(minutes) AS minutes,
    arg_min(cost, start_ns) FILTER (what = 'call' AND cost IS NOT NULL) AS first_call,
    bool_or(is_wasted AND status = 'estimated') AS wasted_estimate,
    bool_or(is_wasted AND status IN ('unpriced', 'partial')) AS wasted_bound
"""


def _found(classes: _Classes) -> str:
    sums = _sums(classes)
    return f"""
CREATE TABLE found AS SELECT task_id, {sums} FROM leaves WHERE task_id IS NOT NULL AND NOT apart GROUP BY task_id;
CREATE TABLE found_apart AS SELECT task_id, {sums} FROM leaves WHERE task_id IS NOT NULL AND apart GROUP BY task_id;
CREATE TABLE discarded_steps AS
SELECT task_id, bool_or(coalesce(estimated, 0) <> 0 AND money(cost) IS NOT NULL) AS wasted_estimate,
    bool_or(coalesce(unpriced_calls, 0) <> 0) AS wasted_bound
FROM spans WHERE what = 'step' AND discarded AND task_id IS NOT NULL GROUP BY task_id;
"""


# A task without a span of its own, by what the spans inside say of it: it was killed, or is still open.
_UNFINISHED = f"""
CREATE TEMP TABLE missing AS
SELECT DISTINCT task_id FROM spans
WHERE what IN ('step', 'call', 'tool', 'charge', 'attempt') AND task_id IS NOT NULL
    AND task_id NOT IN (SELECT id FROM raw_tasks);
INSERT INTO raw_tasks BY NAME
SELECT task_id AS id, coalesce(arg_min(task_name, (start_ns, span)), '(unnamed)') AS name,
    arg_min(task_key, (start_ns, span)) AS key, arg_min(customer, (start_ns, span)) AS customer,
    'unfinished' AS outcome, false AS in_remote, zero() AS own, false AS unreadable,
    {_each("0 AS {0}", (*COUNTS, *REPEATS))}, {_each("zero() AS waste_{0}", CLASSES)},
    zero() AS minutes, zero() AS retry_seconds,
    min(start_ns) AS start_ns, max(end_ns) AS end_ns, min(service) AS service, min(version) AS version,
    arg_min(attributes, (start_ns, span)) AS attributes, 0 AS depth
FROM spans SEMI JOIN missing USING (task_id)
WHERE what IN ('step', 'call', 'tool', 'charge', 'attempt') GROUP BY task_id;
"""

# What is in a cycle is reached from no outermost task, and counts as one.
_NESTING = """
CREATE TEMP TABLE links AS
WITH RECURSIVE
    pairs AS (SELECT t.id, t.parent_id AS parent FROM raw_tasks t SEMI JOIN raw_tasks p ON p.id = t.parent_id),
    reached(id, parent, depth) AS (
        SELECT id, parent, 1::BIGINT FROM pairs ANTI JOIN (SELECT id AS parent FROM pairs) USING (parent)
        UNION ALL
        SELECT p.id, p.parent, r.depth + 1 FROM reached r JOIN pairs p ON p.parent = r.id
    )
SELECT * FROM reached;
UPDATE raw_tasks SET depth = links.depth, parent = links.parent FROM links WHERE links.id = raw_tasks.id;
"""

_WASTED_APART = "coalesce(a.wasted_{0}, zero()) + coalesce(o.wasted_{0}, zero()) + coalesce(k.a_{0}, zero()) AS a_{0}"


def _joined(classes: _Classes) -> str:
    return f"""
SELECT t.*, d.waste AS doomed, o.last AS last, coalesce(o.last.outcome, t.outcome) AS verdict,
    i.first_call,
    coalesce(i.own, zero()) AS i_own,
    {_each("coalesce(i.wasted_{0}, zero()) + coalesce(k.i_{0}, zero()) AS i_{0}", classes)},
    coalesce(i.estimated, zero()) + coalesce(k.i_estimated, zero()) AS i_estimated,
    coalesce(k.i_nested, zero()) AS i_nested,
    coalesce(a.own, zero()) + coalesce(o.cost, zero()) AS a_own,
    {_each(_WASTED_APART, classes)},
    coalesce(a.estimated, zero()) + coalesce(o.estimated, zero()) + coalesce(k.a_estimated, zero()) AS a_estimated,
    coalesce(k.a_nested, zero()) AS a_nested,
    {_each("coalesce(i.{0}, 0) + coalesce(k.i_{0}, 0) AS i_{0}", COUNTS)},
    {_each("coalesce(a.{0}, 0) + coalesce(k.a_{0}, 0) AS a_{0}", COUNTS)},
    coalesce(i.priced, 0) + coalesce(a.priced, 0) + coalesce(k.priced, 0) > 0 OR o.cost IS NOT NULL AS priced,
    coalesce(a.own_remote, zero()) + coalesce(o.cost, zero()) AS own_remote,
    coalesce(k.nested_remote, zero()) AS nested_remote,
    coalesce(k.late, zero()) AS nested_late,
    coalesce(i.minutes, zero()) + coalesce(a.minutes, zero()) + coalesce(k.minutes, zero()) AS minutes_found,
    coalesce(o.minutes, zero()) + coalesce(k.late_minutes, zero()) AS late_minutes,
    coalesce(o.unpriced, 0) + coalesce(k.late_unpriced, 0) AS late_unpriced,
    {_each("coalesce(k.shift_{0}, zero()) AS shift_{0}", classes)},
    {_each("coalesce(k.said_{0}, zero()) AS said_{0}", _BECAUSE_OF)},
    coalesce(i.own, zero()) + coalesce(a.own, zero()) + coalesce(o.cost, zero()) + coalesce(k.leaves, zero()) AS leaves,
    coalesce(i.wasted_estimate, false) OR coalesce(a.wasted_estimate, false) OR coalesce(o.wasted_estimate, false)
        OR coalesce(s.wasted_estimate, false) OR coalesce(k.wasted_estimate, false) AS wasted_estimate,
    coalesce(i.wasted_bound, false) OR coalesce(a.wasted_bound, false) OR coalesce(o.wasted_bound, false)
        OR coalesce(s.wasted_bound, false) OR coalesce(k.wasted_bound, false) AS wasted_bound
FROM (SELECT * FROM raw_tasks WHERE depth = $depth) t
LEFT JOIN found i ON i.task_id = t.id
LEFT JOIN found_apart a ON a.task_id = t.id
LEFT JOIN said o ON o.task_id = t.id
LEFT JOIN discarded_steps s ON s.task_id = t.id
LEFT JOIN doomed d ON d.trace = t.trace AND d.span = t.span
LEFT JOIN nested k ON k.id = t.id
"""


_OPEN = "outcome = 'unfinished'"


def _or_rest(waste: str, said: str, rest: str) -> str:
    """What is added to a class: `rest`, all that a task cost besides, where its outcome, by `said`, is of that."""
    outcome = _BECAUSE_OF.get(waste)
    return f" + CASE WHEN {said} = '{outcome}' THEN {rest} ELSE zero() END" if outcome else ""


def _settled(classes: _Classes) -> str:
    """As the span said it, with what came late or from elsewhere: `reports.late`."""
    at_end = ", ".join(
        f"CASE WHEN {_OPEN} THEN CASE WHEN known THEN i_{waste} + a_{waste} ELSE zero() END "
        f"WHEN NOT changed THEN waste_{waste} ELSE y_{waste}{_or_rest(waste, 'outcome', 'useful')} END AS end_{waste}"
        for waste in classes
    )
    return f"""
    found AS (
        SELECT *, own_remote + nested_remote AS remote, i_own + a_own AS own_found, i_nested + a_nested AS nested_found,
            coalesce(cost, zero()) AS before,
            CASE WHEN unreadable THEN a_own ELSE greatest(a_own, i_own + a_own - own) END AS came_late,
            priced OR i_unpriced_calls + a_unpriced_calls = 0 AS known,
            {_sum("waste_{}", classes)} >= {_sum("i_{}", classes)} AS says_more
        FROM joined
    ), summed AS (
        SELECT *, greatest(before, own + (nested_found - nested_remote)) + nested_remote + came_late AS after,
            {_each("CASE WHEN says_more THEN waste_{0} ELSE i_{0} END + a_{0} AS x_{0}", classes)}
        FROM found
    ), judged AS (
        SELECT *, after <> before AS changed,
            NOT {_OPEN} AND after = before AND i_calls + a_calls <= calls AS as_it_was,
            {_capped(classes, "y", "x", "after")}, after - ({_sum("y_{}", classes)}) AS useful
        FROM summed
    ), settled AS (
        SELECT * REPLACE (
            CASE WHEN {_OPEN} THEN CASE WHEN known THEN own_found + nested_found END
                WHEN changed THEN after ELSE cost END AS cost,
            CASE WHEN {_OPEN} THEN own_found WHEN as_it_was THEN own ELSE own + came_late END AS own,
            CASE WHEN {_OPEN} THEN CASE WHEN known THEN i_estimated + a_estimated END
                WHEN NOT changed THEN estimated
                ELSE least(after, greatest(coalesce(estimated, zero()), i_estimated) + a_estimated) END AS estimated,
            {_each("CASE WHEN as_it_was THEN {0} ELSE greatest({0}, i_{0}) + a_{0} END AS {0}", COUNTS)}
        ),
        {at_end},
        CASE WHEN {_OPEN} THEN zero() ELSE came_late END AS own_late,
        CASE WHEN {_OPEN} THEN nested_late ELSE nested_late + came_late END AS late
        FROM judged
    )"""


# What a task wasted without what its own word for it made waste: of that only what is in nested tasks is left.
_UNSAID: dict[str, str] = {
    **{
        waste: f"CASE WHEN last IS NOT NULL AND outcome = '{outcome}' THEN least(end_{waste}, said_{waste}) "
        f"ELSE end_{waste} END"
        for waste, outcome in _BECAUSE_OF.items()
    },
    UNCLASSIFIED: "CASE WHEN last IS NOT NULL AND outcome IN ('failed', 'abandoned') THEN zero() "
    f"ELSE end_{UNCLASSIFIED} END",
}


def _revised(classes: _Classes) -> str:
    """What was said since: `reports.outcomes`."""
    no_shift = " AND ".join(f"shift_{waste} = zero()" for waste in classes)
    unsaid = ", ".join(f"{_UNSAID.get(waste, f'end_{waste}')} + shift_{waste} AS z_{waste}" for waste in classes)
    said = "last IS NOT NULL AND verdict"
    since = ", ".join(
        f"CASE WHEN kept THEN end_{waste} ELSE v_{waste}{_or_rest(waste, said, 'good')} END AS waste_of_{waste}"
        for waste in classes
    )
    return f"""
    without AS (
        SELECT *, coalesce(cost, zero()) AS spent,
            {unsaid},
            last IS NULL AND (outcome IN ('failed', 'abandoned') OR ({no_shift})) AS kept
        FROM settled
    ), capped AS (
        SELECT *, {_capped(classes, "v", "z", "spent")}, spent - ({_sum("v_{}", classes)}) AS good FROM without
    ), revised AS (
        SELECT *, {since}
        FROM capped
    )"""


def _tasks(classes: _Classes) -> str:
    return f"""
WITH joined AS ({_joined(classes)}), {_settled(classes)}, {_revised(classes)}
SELECT id, name, key, customer, service, version, attributes, trace, span, start_ns, end_ns, parent, depth, in_remote,
    doomed, verdict AS outcome, cost, own, late, own_late, remote, estimated,
    CASE WHEN cost IS NOT NULL THEN {_sum("waste_of_{}", classes)} END AS wasted,
    {_each("waste_of_{0} AS waste_{0}", classes)}, {_each("end_{0}", classes)},
    {"".join(f"zero() AS waste_{waste}, " for waste in CLASSES if waste not in classes)}
    calls, retries, unpriced_calls, unpriced_calls + late_unpriced AS all_unpriced, exposed, input, cached, output,
    reasoning, retry_seconds, {", ".join(REPEATS)}, CASE WHEN last IS NULL THEN value ELSE last.value END AS value,
    CASE WHEN last IS NULL THEN quality ELSE last.quality END AS quality,
    greatest(minutes, minutes_found) + late_minutes AS minutes, late_minutes, late_unpriced, leaves, first_call,
    wasted_estimate OR coalesce(verdict IN ('failed', 'abandoned') AND estimated <> zero(), false) AS wasted_estimate,
    wasted_bound OR (verdict IN ('failed', 'abandoned') AND unpriced_calls + late_unpriced <> 0) AS wasted_bound
FROM revised
"""


def _nested_side(classes: _Classes, side: str, which: str) -> str:
    return f"""
    sum(cost) FILTER ({which}) AS {side}_nested,
    {_each(f"sum(nested_{{0}}) FILTER ({which} AND cost IS NOT NULL) AS {side}_{{0}}", classes)},
    sum(estimated) FILTER ({which} AND cost IS NOT NULL) AS {side}_estimated,
    {_each(f"sum({{0}}) FILTER ({which})::BIGINT AS {side}_{{0}}", COUNTS)}"""


def _nested(classes: _Classes) -> str:
    all_of_it = f"c_{{0}} + cost - ({_sum('c_{}', classes)})"
    lost = (
        "CASE WHEN doomed IS NULL THEN end_{0} WHEN doomed = '{0}' THEN " + all_of_it + " ELSE c_{0} END AS nested_{0}"
    )
    return f"""
SELECT parent AS id, {_nested_side(classes, "i", "NOT in_remote")}, {_nested_side(classes, "a", "in_remote")},
    count(cost) AS priced,
    sum(CASE WHEN in_remote THEN coalesce(cost, zero()) ELSE remote END) AS nested_remote,
    sum(late) AS late,
    sum(minutes - late_minutes) AS minutes, sum(late_minutes) AS late_minutes,
    sum(late_unpriced)::BIGINT AS late_unpriced,
    {_each("sum(waste_{0} - end_{0}) FILTER (doomed IS NULL) AS shift_{0}", classes)},
    {_each("sum(end_{0}) AS said_{0}", _BECAUSE_OF)},
    sum(leaves) AS leaves, bool_or(wasted_estimate) AS wasted_estimate, bool_or(wasted_bound) AS wasted_bound
FROM (
    SELECT *, {_each(lost, classes)}
    FROM (SELECT *, {_capped(classes, "c", "end", "cost")} FROM tasks WHERE depth = $depth AND parent IS NOT NULL)
)
GROUP BY parent
"""


def _no_nested(classes: _Classes) -> str:
    return f"""
CREATE TEMP TABLE nested AS
SELECT '' AS id, {_each("zero() AS i_{0}, zero() AS a_{0}", ("nested", *classes, "estimated"))},
    {_each("0::BIGINT AS i_{0}, 0::BIGINT AS a_{0}", COUNTS)},
    0::BIGINT AS priced, zero() AS nested_remote, zero() AS late, zero() AS minutes, zero() AS late_minutes,
    0::BIGINT AS late_unpriced, {_each("zero() AS shift_{0}", classes)}, {_each("zero() AS said_{0}", _BECAUSE_OF)},
    zero() AS leaves, false AS wasted_estimate, false AS wasted_bound
LIMIT 0
"""


# Most classes never occur: what is not there is not worked out for every task.
_OCCUR = f"""
SELECT DISTINCT waste FROM leaves WHERE waste IS NOT NULL
UNION
SELECT DISTINCT waste FROM doomed
UNION
SELECT DISTINCT waste FROM outcomes WHERE waste IS NOT NULL
UNION
SELECT unnest([{_each("CASE WHEN bool_or(waste_{0} <> zero()) THEN '{0}' END", WASTE_CLASSES)}]) FROM raw_tasks
"""


def find_tasks(database: DuckDBPyConnection) -> None:
    """Completes `raw_tasks`."""
    for statements in (_UNFINISHED, _NESTING):
        database.execute(statements)


def settle(database: DuckDBPyConnection) -> None:
    """Makes the table from those of `rows` and `matching`."""
    occur = {waste for (waste,) in database.execute(_OCCUR).fetchall()}
    classes = [waste for waste in CLASSES if waste in occur or waste in _BECAUSE_OF or waste == UNCLASSIFIED]
    row = database.execute("SELECT coalesce(max(depth), 0) FROM raw_tasks").fetchone()
    deepest = row[0] if row else 0
    database.execute(_found(classes))
    database.execute(_no_nested(classes))
    for depth in range(deepest, -1, -1):
        target = "CREATE TABLE tasks AS" if depth == deepest else "INSERT INTO tasks BY NAME"
        database.execute(f"{target} {_tasks(classes)}", {"depth": depth})
        if depth:
            database.execute(f"CREATE OR REPLACE TEMP TABLE nested AS {_nested(classes)}", {"depth": depth})
    for table in ("nested", "raw_tasks", "found", "found_apart", "discarded_steps", "links", "missing"):
        database.execute(f"DROP TABLE {table}")
