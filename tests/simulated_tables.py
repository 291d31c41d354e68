"""Simulated tasks as the Parquet files of a compacted spool: hundreds of simulations, each under a name of its own, are
one spool, so that one report makes hundreds of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np

from taskmeter import _semconv as names
from taskmeter.spool.columns import COLUMNS
from tests.simulation import SECOND, Tasks

_USD = "printf('%d.%08d', {0} // 100000000, {0} % 100000000)"
_TASK = {
    "trace_id": "trace",
    "span_id": "printf('%04x%08x%04x', cohort, task, 1)",
    "name": "'invoke_workflow ' || workflow",
    "start_ns": "start_ns",
    "end_ns": "end_ns",
    "version": "version",
    names.SPAN_KIND: "'task'",
    names.TASK_ID: "trace",
    names.TASK_NAME: "workflow",
    names.OUTCOME: "CASE WHEN succeeded THEN 'succeeded' ELSE 'failed' END",
    names.COST_EXACT: _USD.format("units"),
    names.COST_SELF_EXACT: _USD.format("units"),
    names.COST_CURRENCY: "'USD'",
    names.COST_WASTED_EXACT: f"CASE WHEN succeeded THEN '0' ELSE {_USD.format('units')} END",
    names.CALLS: "ran",
    names.VALUE: "CASE WHEN succeeded THEN value END",
    names.QUALITY: "CASE WHEN succeeded AND is_scored THEN quality END",
    names.HUMAN_MINUTES: "CASE WHEN minutes > 0 THEN minutes END",
}
_STEP = {
    "trace_id": "trace",
    "span_id": "printf('%04x%08x%04x', cohort, task, 2 + 2 * place)",
    "parent_span_id": "printf('%04x%08x%04x', cohort, task, 1)",
    "name": "'step ' || step",
    "start_ns": "start_ns + place",
    "end_ns": "start_ns + place + 1",
    names.SPAN_KIND: "'step'",
    names.TASK_ID: "trace",
    names.TASK_NAME: "workflow",
    names.STEP_NAME: "step",
    names.ERROR_TYPE: "CASE WHEN NOT succeeded AND place = ran - 1 THEN 'StepFailed' END",
}
_CALL = _STEP | {
    "span_id": "printf('%04x%08x%04x', cohort, task, 3 + 2 * place)",
    "parent_span_id": "printf('%04x%08x%04x', cohort, task, 2 + 2 * place)",
    "name": "'chat'",
    names.SPAN_KIND: "'call'",
    names.STEP_NAME: "NULL",
    names.ERROR_TYPE: "NULL",
    names.COST_EXACT: _USD.format("step_units"),
    names.COST_STATUS: "'exact'",
}


def write_tables(directory: Path, cohorts: Sequence[Tasks], *, steps: bool = False) -> Path:
    """Writes the tasks as one file: the span of each, and with `steps` those of its steps and of their calls."""
    directory.mkdir(parents=True, exist_ok=True)
    numbers = range(len(cohorts))
    tasks = {
        "cohort": np.concatenate([np.full(len(cohorts[number]), number + 1) for number in numbers]),
        "task": np.concatenate([np.arange(1, len(each) + 1) for each in cohorts]),
        "units": np.concatenate([each.units.sum(axis=1) for each in cohorts]),
        "ran": np.concatenate([each.ran for each in cohorts]),
        "succeeded": np.concatenate([each.succeeded for each in cohorts]),
        "start_ns": np.concatenate([each.start_ns for each in cohorts]),
        "seconds": np.concatenate([each.seconds for each in cohorts]),
        "minutes": np.concatenate([each.minutes for each in cohorts]),
        "quality": np.concatenate([each.quality for each in cohorts]),
    }
    of = [each.workflow for each in cohorts]
    parts = [("tasks JOIN cohorts USING (cohort)", _TASK)]
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE cohorts (cohort BIGINT, workflow TEXT, version TEXT, value DOUBLE, is_scored BOOL)"
        )
        rows = [(n + 1, one.name, one.version, one.value, one.quality is not None) for n, one in enumerate(of)]
        database.executemany("INSERT INTO cohorts VALUES (?, ?, ?, ?, ?)", rows)
        database.register("drawn", tasks)
        database.execute(
            f"CREATE TABLE tasks AS SELECT *, printf('%08x%024x', cohort, task) AS trace, "
            f"start_ns + round(seconds * {SECOND})::BIGINT AS end_ns FROM drawn"
        )
        if steps:
            places = [np.argwhere(each.units > 0) for each in cohorts]
            reached = {
                "cohort": np.repeat(np.arange(1, len(cohorts) + 1), [len(each) for each in places]),
                "task": np.concatenate([each[:, 0] + 1 for each in places]),
                "place": np.concatenate([each[:, 1] for each in places]),
                "step_units": np.concatenate([each.units[each.units > 0] for each in cohorts]),
            }
            database.register("reached", reached)
            database.execute("CREATE TABLE names (cohort BIGINT, place BIGINT, step TEXT)")
            named = [(n + 1, p, step.name) for n, one in enumerate(of) for p, step in enumerate(one.steps)]
            database.executemany("INSERT INTO names VALUES (?, ?, ?)", named)
            inside = (
                "reached JOIN tasks USING (cohort, task) JOIN cohorts USING (cohort) JOIN names USING (cohort, place)"
            )
            parts += [(inside, _STEP), (inside, _CALL)]
        selects = [f"SELECT {_columns(given)} FROM {source}" for source, given in parts]
        database.execute(
            f"COPY ({' UNION ALL '.join(selects)}) TO $path (FORMAT parquet)",
            {"path": str(directory / "spans-0.parquet")},
        )
    return directory


def _columns(given: dict[str, str]) -> str:
    return ", ".join(f'({given.get(name, "NULL")})::{column} AS "{name}"' for name, column in COLUMNS.items())
