"""How the results of each report are shown, by their type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taskmeter.reports import (
    render_breakdown,
    render_compare,
    render_forecast,
    render_steps,
    render_value,
    render_whatif,
)
from taskmeter.reports.breakdown import BreakdownReport
from taskmeter.reports.compare_result import CompareReport
from taskmeter.reports.forecast_result import ForecastReport
from taskmeter.reports.steps import StepsReport
from taskmeter.reports.suggestions import Suggestions
from taskmeter.reports.value_result import ValueReport
from taskmeter.reports.whatif_result import WhatIf

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Renderer:
    """What `render` asks of a report that has a file of its own to be shown by."""

    csv_rows: Callable[[Any], Iterable[Mapping[str, object]]]
    """By column; all rows have the same ones."""
    tables: Callable[[Any, Callable[[], Table]], Iterable[Table]]
    """Of a result, made from empty ones."""
    legend: Callable[[Any], Iterable[str]]
    """Lines below the tables, before the notes."""


OF: Final[Mapping[type, Renderer]] = {
    BreakdownReport: Renderer(render_breakdown.csv_rows, render_breakdown.tables, render_breakdown.legend),
    ForecastReport: Renderer(render_forecast.csv_rows, render_forecast.tables, render_forecast.legend),
    CompareReport: Renderer(render_compare.csv_rows, render_compare.tables, render_compare.legend),
    StepsReport: Renderer(render_steps.csv_rows, render_steps.tables, render_steps.legend),
    ValueReport: Renderer(render_value.csv_rows, render_value.tables, render_value.legend),
    WhatIf: Renderer(render_whatif.csv_rows, render_whatif.tables, render_whatif.legend),
    Suggestions: Renderer(
        render_whatif.csv_rows_of_suggestions,
        render_whatif.tables_of_suggestions,
        render_whatif.legend_of_suggestions,
    ),
}
