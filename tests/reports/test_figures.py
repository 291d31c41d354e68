"""`taskmeter report` says of simulated tasks what numpy and scipy say of the raw truth, by every group.

Of the other reports the same is in `test_value`, `test_compare` and `test_steps` ("figures are those of the simulated
tasks"), and worked out by hand in `test_forecast` and `test_whatif`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.unit_cost_result import UnitCostReport
from taskmeter.spool.read import SpoolReading
from tests.simulated_tables import write_tables
from tests.simulation import Step, Tasks, Workflow, draw, write_spool

THREE = (
    Step("draft", 0.9, 0.1, "gpt-5"),
    Step("check", 0.8, 0.02, "gpt-5-mini", input_tokens=900, output_tokens=70),
    Step("send", 0.95, 0.2, "gpt-5"),
)
FIRST = Workflow("resolve", THREE, version="1", customer="acme", labels={"team": "a"}, value=3.5, minutes=2)
SECOND = replace(FIRST, version="2", customer="beta", labels={"team": "b"}, steps=THREE[:2])
OTHER = Workflow(
    "classify", (Step("work", 0.5, 0.001, "gpt-5-mini"),), version="1", customer="beta", labels={"team": "a"}
)


COHORTS = (draw(FIRST, 130, 1), draw(SECOND, 75, 2, first_day=30), draw(OTHER, 201, 3))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, UnitCostReport]:
    """By group."""
    spool = write_spool(tmp_path_factory.mktemp("simulated") / "spool", COHORTS)
    with open_spool(SpoolReading(spool)) as warehouse:
        return {by: unit_cost(warehouse, by) for by in ("name", "customer", "version", "label:team", "model", "step")}


def said(report: UnitCostReport, name: str) -> dict[str, Any]:
    [row] = [row for row in report.rows if row.name == name]
    return {figure: getattr(row, figure) for figure in (*FIGURES, "tasks", "succeeded", "failed", "calls")}


Units = NDArray[np.int64]
FIGURES: dict[str, Callable[[Units, NDArray[np.bool_], Units], Any]] = {
    # of what tasks cost (1e-8 USD), whether they succeeded, and what the first call of each cost
    "total": lambda units, ok, first: usd(units.sum()),
    "wasted": lambda units, ok, first: usd(units[~ok].sum()),
    "cost_per_success": lambda units, ok, first: pytest.approx(usd(units.sum()) / int(ok.sum()), abs=Decimal("1e-12")),
    "mean": lambda units, ok, first: pytest.approx(usd(units.sum()) / len(units), abs=Decimal("1e-12")),
    **{
        f"p{percent}": lambda units, ok, first, percent=percent: usd(
            np.percentile(units, percent, method="inverted_cdf")
        )
        for percent in (50, 90, 95, 99)
    },
    "max": lambda units, ok, first: usd(units.max()),
    "tail_share": lambda units, ok, first: pytest.approx(
        np.sort(units)[::-1][: math.ceil(len(units) / 100)].sum() / units.sum(), abs=1e-6
    ),
    "single_call_multiple": lambda units, ok, first: pytest.approx(units.sum() / first.sum(), abs=1e-3),
    "success_rate": lambda units, ok, first: pytest.approx(ok.mean(), abs=1e-6),
    "success_rate_low": lambda units, ok, first: pytest.approx(wilson(ok).low, abs=1e-6),
    "success_rate_high": lambda units, ok, first: pytest.approx(wilson(ok).high, abs=1e-6),
}


def usd(units: Any) -> Decimal:
    return Decimal(int(units)).scaleb(-8)


def wilson(ok: NDArray[np.bool_]) -> Any:
    return stats.binomtest(int(ok.sum()), len(ok)).proportion_ci(method="wilson")


def expected(units: Units, ok: NDArray[np.bool_], first: Units, calls: int) -> dict[str, Any]:
    figures = {name: figure(units, ok, first) for name, figure in FIGURES.items()}
    return {**figures, "tasks": len(units), "succeeded": int(ok.sum()), "failed": int((~ok).sum()), "calls": calls}


def of_tasks(cohorts: Sequence[Tasks]) -> dict[str, Any]:
    units, first = (
        np.concatenate([taken(tasks) for tasks in cohorts])
        for taken in (lambda tasks: tasks.units.sum(axis=1), lambda tasks: tasks.units[:, 0])
    )
    calls = sum(int(tasks.ran.sum()) for tasks in cohorts)
    return expected(units, np.concatenate([tasks.succeeded for tasks in cohorts]), first, calls)


@pytest.mark.parametrize(
    ("by", "name", "places"),
    [
        ("name", "resolve", (0, 1)),
        ("name", "classify", (2,)),
        ("customer", "acme", (0,)),
        ("customer", "beta", (1, 2)),
        ("version", "1", (0, 2)),
        ("version", "2", (1,)),
        ("label:team", "a", (0, 2)),
        ("label:team", "b", (1,)),
    ],
)
def test_figures_by_what_whole_tasks_are_in(
    by: str, name: str, places: tuple[int, ...], reports: dict[str, UnitCostReport]
) -> None:
    """Sums to the last digit, statistics as far as they are kept."""
    assert said(reports[by], name) == of_tasks([COHORTS[place] for place in places])


@pytest.mark.parametrize(
    ("by", "name", "steps"),
    [
        ("step", "draft", {0: [0], 1: [0]}),
        ("step", "check", {0: [1], 1: [1]}),
        ("step", "send", {0: [2]}),
        ("step", "work", {2: [0]}),
        ("model", "gpt-5", {0: [0, 2], 1: [0]}),
        ("model", "gpt-5-mini", {0: [1], 1: [1], 2: [0]}),
    ],
)
def test_figures_by_what_calls_are_in(
    by: str, name: str, steps: dict[int, list[int]], reports: dict[str, UnitCostReport]
) -> None:
    """Of the tasks that got there, what they spent there themselves."""
    units, ok, first, calls = [], [], [], 0
    for place, columns in steps.items():
        tasks = COHORTS[place]
        here = tasks.ran > columns[0]
        units.append(tasks.units[here][:, columns].sum(axis=1))
        first.append(tasks.units[here][:, columns[0]])
        ok.append(tasks.succeeded[here])
        calls += sum(int((tasks.ran > column).sum()) for column in columns)
    found = expected(*map(np.concatenate, (units, ok, first)), calls)
    assert said(reports[by], name) == found


def test_the_total_is_of_all(reports: dict[str, UnitCostReport]) -> None:
    """The same by whatever group, each dollar once."""
    whole = of_tasks(COHORTS)
    for report in reports.values():
        for figure in ("tasks", "succeeded", "calls", "total", "wasted", "success_rate", "success_rate_low"):
            assert getattr(report.total, figure) == whole[figure]


def test_percentiles_are_nearest_rank(tmp_path: Path) -> None:
    """The smallest cost that at least that share of the tasks do not exceed, around each place where the rank moves."""
    cohorts = {f"{tasks}": draw(replace(OTHER, name=f"{tasks}"), tasks) for tasks in (1, 2, 3, 20, 21, 99, 100, 101)}
    with open_spool(SpoolReading(write_tables(tmp_path, list(cohorts.values())))) as warehouse:
        rows = unit_cost(warehouse).rows
    for row in rows:
        ordered = np.sort(cohorts[row.name].units[:, 0])
        for percent in (50, 90, 95, 99):
            rank = next(rank for rank in range(1, row.tasks + 1) if rank * 100 >= percent * row.tasks)
            assert getattr(row, f"p{percent}") == usd(ordered[rank - 1])
    assert len(rows) == len(cohorts)
