"""What the pytest plugin does once there is something to watch; see `taskmeter_pytest`, which imports this lazily."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import pytest

from taskmeter.account.money import Money
from taskmeter.account.money import money as checked_money
from taskmeter.errors import UsageError
from taskmeter.reports.text import money
from taskmeter.testing.limits import broken
from taskmeter.testing.recording import RecordedTasks, recorded_spending, recorded_tasks
from taskmeter.testing.spent import Limit, Spent, Unpriced, checked_unpriced, counted
from taskmeter_pytest import PREFIX

Part = Literal["test", "fixtures"]
"""The function of a test; the set-up and the end of the fixtures that ran for it, shared ones where they ran first."""

_COSTS: pytest.StashKey[dict[Part, Spent]] = pytest.StashKey()
_LIMIT: pytest.StashKey[Limit | None] = pytest.StashKey()
_PREFIXES: dict[Part, str] = {"test": PREFIX, "fixtures": f"{PREFIX}fixtures_"}
_MOST_ROWS = 20
"""Tests in the table without `-v`."""


@contextmanager
def watched(item: pytest.Item, phase: Literal["setup", "call", "teardown"]) -> Generator[None]:
    """Adds what is spent meanwhile to what `item` cost. Ends a call that breaks the limit of its marker as failed."""
    if phase == "setup":  # perhaps not for the first time
        item.stash[_COSTS] = {}
        mark = item.get_closest_marker("max_cost")
        item.stash[_LIMIT] = None if mark is None else _limit_of(mark)
    limit = item.stash.get(_LIMIT, None)
    costs = item.stash.setdefault(_COSTS, {})
    with recorded_spending() if limit is None else recorded_tasks() as recorded:
        try:
            yield
        finally:
            part: Part = "test" if phase == "call" else "fixtures"
            costs[part] = costs.get(part, Spent()) + recorded.spent
            others = [pair for pair in item.user_properties if not pair[0].startswith(PREFIX)]
            item.user_properties[:] = [*others, *_properties(costs)]
    if limit is not None and phase == "call" and isinstance(recorded, RecordedTasks):
        message = broken(limit, "the test", recorded)
        if message is not None:
            pytest.fail(message, pytrace=False)


def _limit_of(mark: pytest.Mark) -> Limit:
    """What a marker says. Fails the test if that makes no sense."""
    try:
        return _limit(*mark.args, **mark.kwargs)
    except UsageError as error:
        why = str(error)
    except TypeError:
        why = "it takes usd= and unpriced="
    given = ", ".join([*map(repr, mark.args), *(f"{name}={value!r}" for name, value in mark.kwargs.items())])
    pytest.fail(f"@pytest.mark.max_cost({given}): {why}; write @pytest.mark.max_cost(usd='0.05')", pytrace=False)


def _limit(usd: Money, *, unpriced: Unpriced = "fail") -> Limit:
    return Limit(checked_money(usd, "usd"), checked_unpriced(unpriced), inclusive=True)


def _properties(costs: dict[Part, Spent]) -> list[tuple[str, object]]:
    return [(f"{_PREFIXES[part]}{name}", figure) for part in costs for name, figure in costs[part].as_text().items()]


class _Row(NamedTuple):
    """A line of the table."""

    name: str
    test: Spent
    fixtures: Spent

    @property
    def spent(self) -> Spent:
        return self.test + self.fixtures


def table(reports: Sequence[pytest.TestReport], *, whole: bool) -> Iterator[str]:
    """The lines of the table: the tests that cost most first, the first 20 of them unless `whole`, and the total."""
    rows = sorted((_row(report) for report in reports), key=lambda row: (-row.spent.usd, row.name))
    total = _Row(f"total of {counted(len(rows), 'test')}", Spent(), Spent())
    for row in rows:
        total = _Row(total.name, total.test + row.test, total.fixtures + row.fixtures)
    shown = rows if whole else rows[:_MOST_ROWS]
    fixtures = bool(total.fixtures)
    titles = ["cost", *(["fixtures"] if fixtures else []), "calls", "tokens in", "out"]
    cells = [_cells(row, fixtures=fixtures) for row in (*shown, total)]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    names = ["test", *(row.name for row in shown), total.name]
    for name, line in zip(names, [titles, *cells], strict=True):
        if name == total.name and len(shown) < len(rows):
            yield f"... and {len(rows) - len(shown):,} more tests that cost no more; -v shows them"
        yield "  ".join([*(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), name])
    if total.spent.estimated:
        yield "~ partly estimated"
    if total.spent.unpriced:
        yield "≥ lower bound: a call in it could not be priced"


def _row(report: pytest.TestReport) -> _Row:
    given = {name: str(value) for name, value in report.user_properties}
    test, fixtures = (
        Spent.from_text({name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)})
        for prefix in _PREFIXES.values()
    )
    return _Row(report.nodeid, test, fixtures)


def _cells(row: _Row, *, fixtures: bool) -> list[str]:
    spent = row.spent
    return [
        _amount(row.test),
        *([_amount(row.fixtures)] if fixtures else []),
        f"{spent.calls:,}",
        f"{spent.input_tokens:,}",
        f"{spent.output_tokens:,}",
    ]


def _amount(spent: Spent) -> str:
    if not spent.usd:
        return "unpriced" if spent.unpriced else "-"
    return ("≥" if spent.unpriced else "") + ("~" if spent.estimated else "") + money(spent.usd)
