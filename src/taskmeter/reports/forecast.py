"""`taskmeter forecast`: what so many tasks will cost, from those of a pilot.

A spend is the mean cost of the pilot's tasks times the tasks to come. `volumes` says how many there will be,
`prediction` how sure their sum is, `back_test` how good such a forecast was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taskmeter.errors import UsageError
from taskmeter.records import ZERO, divide, total
from taskmeter.reports.back_test import back_test
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.forecast_notes import notes, sentence
from taskmeter.reports.forecast_result import ForecastReport, ForecastRow, Plan
from taskmeter.reports.pilot import Group, Pilot, read_pilot
from taskmeter.reports.precision import precision, tail_share
from taskmeter.reports.prediction import LEAST_TASKS, Prediction, Sample, predict_per_success, predict_spend, sample
from taskmeter.reports.volumes import Month, by_month

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask: TypeAlias = NDArray[np.bool_]

MOST_INTERVALS: Final = 20
"""Groups with intervals, those that cost most: resampling hundreds of customers would take minutes."""
_MONEY = Context(prec=60)
_QUOTIENT = Decimal("1e-12")
_TASKS = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class _Part:
    """A group to come, and the tasks it is forecast from."""

    group: Group
    numbers: NDArray[np.int64]
    """The group of each task of the pilot."""
    place: int
    """Which of these is this one."""
    monthly: tuple[Decimal, ...]
    """Tasks to come."""

    @property
    def chosen(self) -> Mask:
        """Of all tasks of the pilot, those of the group. Not kept: there may be thousands of groups."""
        mask: Mask = self.numbers == self.place
        return mask

    @property
    def tasks(self) -> Decimal:
        return total(self.monthly)

    def cost_of(self, tasks: Decimal) -> Decimal:
        """Of so many; 0 where nothing is known."""
        return divide(_MONEY.multiply(self.group.spent or ZERO, tasks), Decimal(self.group.tasks))


@dataclass(frozen=True, slots=True)
class _Forecast:
    """The groups, and what is resampled for them together."""

    pilot: Pilot
    parts: Sequence[_Part]
    samples: Sequence[Sample]
    is_free: bool
    """Whether each task to come may be of any group, as in the pilot: one sample. Else there is one for each group."""

    def future(self, tasks: Callable[[_Part], Decimal]) -> list[float]:
        """Tasks to come, by sample."""
        each = [tasks(part) for part in self.parts]
        return [float(total(each))] if self.is_free else [float(count) for count in each]

    def ends(self, place: int) -> tuple[Prediction | None, Prediction | None]:
        """Of the spend of one group, and of that per success."""
        part = self.parts[place]
        if part.group.tasks < LEAST_TASKS or place >= MOST_INTERVALS:
            return None, None
        if self.is_free:  # how many tasks are of the group is uncertain too
            mine = part.chosen.astype(float)
            only = sample(self.pilot.cost * mine, self.pilot.succeeded * mine, place)
            future = self.future(lambda each: each.tasks)
        else:
            only, future = self.samples[place], [float(part.tasks)]
        return predict_spend([only], future), predict_per_success([only], future)


def forecast(
    warehouse: Warehouse, plan: Plan, by: str = "name", *, since_ns: int | None = None, until_ns: int | None = None
) -> ForecastReport:
    """Makes the report from the outermost tasks that began at `since_ns` or later, and before `until_ns`.

    Raises `UsageError` when the plan names a group that the pilot has not, and when no task has ended.
    """
    pilot = read_pilot(warehouse, by, since_ns, until_ns)
    months = [by_month(volume, plan.start, plan.horizon, plan.growth) for volume in plan.volumes]
    parts = list(_parts(plan, pilot, months))
    is_free = plan.mix is None and plan.volumes[0].name is None
    masks = [pilot.number >= 0] if is_free else [part.chosen for part in parts]
    samples = [sample(pilot.cost[mask], pilot.succeeded[mask], place) for place, mask in enumerate(masks)]
    asked = _Forecast(pilot, parts, samples, is_free)
    future = asked.future(lambda part: part.tasks)
    spend = predict_spend(samples, future)
    rows = tuple(_row(asked, place) for place in range(len(parts)))
    whole = _total(asked, rows)
    report = ForecastReport(
        currency=pilot.currency,
        by=by,
        start=plan.start.isoformat(),
        end=(plan.horizon.end(plan.start) - timedelta(days=1)).isoformat(),
        horizon=str(plan.horizon),
        volumes=tuple(str(volume) for volume in plan.volumes),
        growth=str(plan.growth) if plan.growth.rate else None,
        mix="pilot" if is_free else "stated",
        months=tuple(_month_row(asked, month, place) for place, month in enumerate(months[0])),
        rows=rows,
        total=_with_ends(whole, spend, predict_per_success(samples, future)),
        from_mean=None if spend is None else spend.half(spend.if_future_known),
        from_future=None if spend is None else spend.half(spend.if_mean_known),
        without_tail=_without_tail(rows),
        above_pilot=round(sum(float(part.tasks) / (part.group.tasks + 1) for part in parts), 1),
        back_test=None if whole.spend is None else back_test(pilot, masks, plan.holdout, is_free=is_free),
        coverage=pilot.coverage(tuple(part.group for part in parts)),
        sentence="",
        notes=(),
    )
    left_out = [group for group in pilot.groups if all(part.group is not group for part in parts)]
    report = replace(report, notes=tuple(notes(report, pilot, left_out)))
    return replace(report, sentence=sentence(report))


def _parts(plan: Plan, pilot: Pilot, months: Sequence[Sequence[Month]]) -> Iterable[_Part]:
    monthly = {volume.name: [month.tasks for month in each] for volume, each in zip(plan.volumes, months, strict=True)}
    if None in monthly:
        count = Decimal(len(pilot.cost))
        mix = plan.mix or {group.name: divide(Decimal(group.tasks), count) for group in pilot.groups}
        monthly = {name: [_MONEY.multiply(tasks, share) for tasks in monthly[None]] for name, share in mix.items()}
    known = dict.fromkeys(group.name for group in pilot.groups)
    for name in monthly:
        if name not in known:
            close = get_close_matches(str(name), known) or list(known)[:5]
            named = ", ".join(repr(each[:80]) for each in close)
            raise UsageError(f"The pilot has no {name!r} that is in no other task; it has {named}")
    for place, group in enumerate(pilot.groups):
        if group.name in monthly:
            yield _Part(group, pilot.number, place, tuple(monthly[group.name]))


def _row(asked: _Forecast, place: int) -> ForecastRow:
    part = asked.parts[place]
    group, cost = part.group, asked.pilot.cost[part.chosen]
    row = ForecastRow(
        kind="group",
        name=group.name,
        tasks=_rounded(part.tasks, _TASKS),
        pilot_tasks=group.tasks,
        estimated=group.estimated != ZERO,
        lower_bound=group.unpriced > 0,
    )
    if group.spent is None:
        return row
    found = precision(cost)
    row = replace(
        row,
        mean=_rounded(divide(group.spent, Decimal(group.tasks))),
        spend=_rounded(part.cost_of(part.tasks)),
        per_success=_rounded(divide(group.spent, Decimal(group.succeeded))) if group.succeeded else None,
        tail_share=tail_share(cost),
        **({} if found is None else asdict(found)),
    )
    return _with_ends(row, *asked.ends(place))


def _total(asked: _Forecast, rows: Sequence[ForecastRow]) -> ForecastRow:
    row = ForecastRow(
        kind="total",
        name="TOTAL",
        tasks=_rounded(total(part.tasks for part in asked.parts), _TASKS),
        pilot_tasks=sum(part.group.tasks for part in asked.parts),
        estimated=any(row.estimated for row in rows),
        lower_bound=any(row.lower_bound for row in rows),
    )
    if all(part.group.spent is None for part in asked.parts):
        return row
    spend = total(part.cost_of(part.tasks) for part in asked.parts)
    successes = total(
        divide(_MONEY.multiply(part.tasks, Decimal(part.group.succeeded)), Decimal(part.group.tasks))
        for part in asked.parts
    )
    tail = sum(float(row.spend or ZERO) * (row.tail_share or 0) for row in rows)
    return replace(
        row,
        mean=_rounded(divide(spend, total(part.tasks for part in asked.parts))),
        spend=_rounded(spend),
        per_success=_rounded(divide(spend, successes)) if successes else None,
        tail_share=round(tail / float(spend), 6) if spend else None,
    )


def _month_row(asked: _Forecast, month: Month, place: int) -> ForecastRow:
    """Each month has its part of each group's tasks."""
    is_known = any(part.group.spent is not None for part in asked.parts)
    row = ForecastRow(
        kind="month",
        name=f"{month.first:%Y-%m}",
        days=month.days,
        tasks=_rounded(total(part.monthly[place] for part in asked.parts), _TASKS),
        spend=_rounded(total(part.cost_of(part.monthly[place]) for part in asked.parts)) if is_known else None,
        estimated=any(part.group.estimated != ZERO for part in asked.parts),
        lower_bound=any(part.group.unpriced for part in asked.parts),
    )
    future = asked.future(lambda part: part.monthly[place])
    return _with_ends(row, predict_spend(asked.samples, future), None)


def _with_ends(row: ForecastRow, spend: Prediction | None, per_success: Prediction | None) -> ForecastRow:
    ends: dict[str, Any] = {}
    for name, found, value in (("spend", spend, row.spend), ("per_success", per_success, row.per_success)):
        if found is not None and value is not None:
            ends |= {f"{name}_low": found.interval.low, f"{name}_high": found.interval.high}
    return replace(row, **ends)


def _without_tail(rows: Sequence[ForecastRow]) -> Decimal | None:
    known = [(row.spend, Decimal(str(row.tail_share or 0))) for row in rows if row.spend is not None]
    return _rounded(total(_MONEY.multiply(spend, 1 - tail) for spend, tail in known)) if known else None


def _rounded(amount: Decimal, to: Decimal = _QUOTIENT) -> Decimal:
    """Without the zeros at its end."""
    return Decimal(f"{amount.quantize(to, ROUND_HALF_EVEN, _MONEY):f}".rstrip("0").rstrip("."))
