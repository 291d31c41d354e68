"""A forecast in words: the sentence to paste, and what to know when reading it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from taskmeter.reports.forecast_result import BackTest, ForecastReport
from taskmeter.reports.pilot import Group, Pilot
from taskmeter.reports.precision import WITHIN
from taskmeter.reports.prediction import LEAST_TASKS
from taskmeter.reports.text import money, plain

HEAVY: Final = 0.2
"""The share of a spend on the costliest 1 % of tasks from which on a pilot may have missed worse ones."""
_FEW_NAMES: Final = 3
_MOST_PERCENT: Final = 1_000


def sentence(report: ForecastReport) -> str:
    """One that says it all to who reads nothing else."""
    whole = report.total
    volumes = " and ".join(map(plain, report.volumes[:_FEW_NAMES]))
    more = len(report.volumes) - _FEW_NAMES
    volumes += f" and {more} more" if more > 0 else ""
    growth = f", {report.growth}," if report.growth else ""
    asked = f"At {volumes}{growth} the {report.horizon} from {report.start} to {report.end}"
    pilot = f"a pilot of {whole.pilot_tasks:,} task{'s' * (whole.pilot_tasks != 1)}"
    if whole.spend is None:
        return f"{asked} cannot be forecast: no call of {pilot} could be priced."
    least = "at least " if whole.lower_bound else ""
    per = ""
    if whole.per_success is not None:
        per = f", {money(whole.per_success, report.currency)} per succeeded task"
        per += _between(whole.per_success_low, whole.per_success_high, report.currency)
    about = "" if whole.spend_low is not None else f"; {pilot} is too small for an interval"
    return (
        f"{asked} cost {least}{money(whole.spend, report.currency)}"
        f"{_between(whole.spend_low, whole.spend_high, report.currency)}{per}: forecast from {pilot}{about}."
    )


def notes(report: ForecastReport, pilot: Pilot, left_out: Sequence[Group]) -> Iterable[str]:
    """What is uncertain and why, how good such a forecast was, and what it leaves out."""
    if report.from_mean is not None and report.from_future is not None:
        yield (
            f"The interval covers two things: the pilot knows the mean only within {_percent(report.from_mean)}, "
            f"and tasks to come differ, which makes {_percent(report.from_future)}. The volume is taken as stated."
        )
    yield from _tail(report)
    yield from _back_test(report)
    yield from _needed(report)
    yield from _unknown(report)
    for group in left_out[:_FEW_NAMES]:
        yield f"No volume is given for {plain(group.name)} ({_tasks(group.tasks)} in the pilot): it is left out."
    if len(left_out) > _FEW_NAMES:
        yield f"The same goes for {len(left_out) - _FEW_NAMES} more."
    if pilot.unfinished:
        amount = money(pilot.unfinished_spent, report.currency)
        yield f"{_tasks(pilot.unfinished)} had not ended: left out, with {amount} spent so far."
    if pilot.outside:
        yield f"{money(pilot.outside, report.currency)} that was spent outside any task is left out."


def _tail(report: ForecastReport) -> Iterable[str]:
    share = report.total.tail_share
    if share is None or report.without_tail is None or report.total.spend_low is None:
        return  # of a pilot too small for an interval, the sentence says that
    without = money(report.without_tail, report.currency)
    yield (
        f"{_percent(share)} of the forecast rests on the costliest 1 % of the pilot's tasks, at least one of each "
        f"row; without them it would be {without}."
    )
    if share >= HEAVY:
        yield (
            f"The tail is heavy: the interval knows no costlier task than the pilot's, but about "
            f"{report.above_pilot:,.0f} tasks to come will cost more than any of their row did. "
            "Its upper end may be optimistic."
        )


def _back_test(report: ForecastReport) -> Iterable[str]:
    test = report.back_test
    if report.total.spend is None:
        return
    if test is None:
        yield f"No back-test: it takes {LEAST_TASKS} tasks of each row before those that are held out."
        return
    found = _error(test)
    if test.covered is not None:
        found += ", and its interval had it" if test.covered else ", and its interval did not have it"
    predicted, actual = _amount(test.predicted, report.currency), _amount(test.actual, report.currency)
    yield (
        f"Back-test: from the first {_tasks(test.first)} of the pilot, {predicted}"
        f"{_between(test.low, test.high, report.currency)} was forecast for the other {test.held_out:,}. They cost "
        f"{actual}: the forecast was {found}."
    )
    if test.covered is False:
        yield "The last tasks were not like the first ones: find out what changed before you rely on the forecast."


def _error(test: BackTest) -> str:
    if not test.error:
        return "right"
    return f"{_percent(abs(test.error))} too {'high' if test.error > 0 else 'low'}"


def _needed(report: ForecastReport) -> Iterable[str]:
    lacking = [row for row in report.rows if row.more_tasks]
    for row in lacking[:_FEW_NAMES]:
        known = "" if row.mean_within is None else f"; it is known within {_percent(row.mean_within)} now"
        yield (
            f"About {row.more_tasks:,} more of {plain(row.name)} are needed to know its mean within "
            f"{_percent(WITHIN)}{known}."
        )
    if len(lacking) > _FEW_NAMES:
        yield f"The same goes for {len(lacking) - _FEW_NAMES} more: see the last column."


def _unknown(report: ForecastReport) -> Iterable[str]:
    cover = report.coverage
    if cover.priced_share is not None and cover.priced_share < 1:
        yield (
            f"{_percent(1 - cover.priced_share)} of the pilot's tasks have calls without a price. They are in with "
            "what is known of their cost, so the forecast is a lower bound."
        )
    if cover.estimated_share:
        yield f"{_percent(cover.estimated_share)} of what the pilot cost is an estimate."
    if cover.pending_share:
        yield f"{_percent(cover.pending_share)} of the pilot's tasks have no outcome yet, and count as no success."
    small = [row for row in report.rows if row.spend is not None and row.spend_low is None]
    if small:
        rest = f" and {len(small) - _FEW_NAMES} more" if len(small) > _FEW_NAMES else ""
        named = ", ".join(plain(row.name) for row in small[:_FEW_NAMES])
        yield f"No interval for {named}{rest}: too few tasks, or not among the rows that cost most."
    yield "Prices are those of the pilot: what they become is not forecast."


def _percent(share: float) -> str:
    percents = share * 100
    if percents > _MOST_PERCENT:
        return f"more than {_MOST_PERCENT:,} %"
    if percents and percents < 1:
        return f"{percents:.2g} %"
    return f"{percents:.0f} %"


def _between(low: float | None, high: float | None, currency: str) -> str:
    return "" if low is None or high is None else f" (95 %: {_amount(low, currency)} to {_amount(high, currency)})"


def _amount(value: float, currency: str) -> str:
    return money(Decimal(repr(value)), currency)


def _tasks(count: int) -> str:
    return f"{count:,} task{'s' * (count != 1)}"
