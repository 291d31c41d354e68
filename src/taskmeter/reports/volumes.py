"""How many tasks are to come: a volume per hour, day, week or month, its growth, and the days they are for.

All is exact. A month of a volume is one of the calendar, so that 5,000 a month are 5,000 in each, whatever its days.
Growth is in steps: the volume stays for one unit, counted from the first day, and is multiplied for the next.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Context, Decimal
from typing import Final, TypeAlias

from taskmeter.errors import UsageError

_EXACT = Context(prec=60)
_ONE = Decimal(1)
_DAYS: Final = {"day": 1, "week": 7}
_PER_DAY: Final = {"hour": Decimal(24), "day": _ONE}
_HORIZONS: Final = {"d": "day", "w": "week", "m": "month"}
_LONGEST: Final = 3_660
_MOST: Final = Decimal(10) ** 15
_WHOLE: Final = Decimal(100)
_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?)"

Shares: TypeAlias = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Volume:
    """So many tasks a unit; of one name, or of all."""

    name: str | None
    count: Decimal
    unit: str
    """`hour`, `day`, `week` or `month`."""

    def on(self, day: date) -> Decimal:
        """Tasks on one day, before growth."""
        if self.unit == "month":
            return _EXACT.divide(self.count, Decimal(monthrange(day.year, day.month)[1]))
        if self.unit == "week":
            return _EXACT.divide(self.count, Decimal(7))
        return self.count * _PER_DAY[self.unit]

    def __str__(self) -> str:
        """For a sentence: `5,000 tasks a day`, `5,000 classify an hour`."""
        what = self.name or f"task{'s' * (self.count != 1)}"
        return f"{self.count:,f} {what} {'an' if self.unit == 'hour' else 'a'} {self.unit}"


@dataclass(frozen=True, slots=True)
class Horizon:
    """So many days, weeks or months of the calendar."""

    count: int
    unit: str

    def end(self, start: date) -> date:
        """The first day after it."""
        if self.unit == "month":
            return _months_on(start, self.count)
        return start + timedelta(days=self.count * _DAYS[self.unit])

    def __str__(self) -> str:
        """As in `90 days`."""
        return f"{self.count} {self.unit}{'s' * (self.count != 1)}"


@dataclass(frozen=True, slots=True)
class Growth:
    """The share by which a volume grows, compound: 0.1 a month is 10 % more in each month than in the one before."""

    rate: Decimal
    unit: str

    def on(self, day: date, start: date) -> Decimal:
        """By what a volume is multiplied on one day."""
        steps = _months_between(start, day) if self.unit == "month" else (day - start).days // _DAYS[self.unit]
        return _EXACT.power(_ONE + self.rate, steps)

    def __str__(self) -> str:
        """As in `+10 % a month`."""
        return f"{(self.rate * _WHOLE).normalize():+f} % a {self.unit}"


NO_GROWTH: Final = Growth(Decimal(0), "month")


@dataclass(frozen=True, slots=True)
class Month:
    """The tasks of one month of the calendar, or of its days that are in the horizon."""

    first: date
    days: int
    tasks: Decimal


def read_volume(text: str) -> Volume:
    """`5000/day`, or `resolve_ticket=5000/day`. Raises `UsageError` for what is no volume."""
    name, given, rate = text.rpartition("=")
    match = re.fullmatch(rf"{_NUMBER}/(hour|day|week|month)", rate.strip())
    if match is None or Decimal(match[1]) == 0 or (given and not name):
        raise UsageError(
            f"--volume {text!r} is no volume; write a number above 0 per hour, day, week or month: 5000/day, or "
            "of one workflow 'resolve_ticket=5000/day'"
        )
    return Volume(name or None, Decimal(match[1]), match[2])


def read_horizon(text: str) -> Horizon:
    """`90d`, `12w` or `6m`. Raises `UsageError` for what is none, and beyond ten years."""
    match = re.fullmatch(r"(\d{1,5})([dwm])", text.strip())
    if match is not None and int(match[1]):
        horizon = Horizon(int(match[1]), _HORIZONS[match[2]])
        if horizon.count * {"day": 1, "week": 7, "month": 30.5}[horizon.unit] <= _LONGEST:
            return horizon
    raise UsageError(f"--horizon {text!r} is none; write 90d, 12w or 6m, at most ten years")


def read_growth(text: str) -> Growth:
    """`10%/month`, `-5%/week`. Raises `UsageError` for what is no growth."""
    match = re.fullmatch(rf"([+-]?){_NUMBER}%/(day|week|month)", text.strip())
    if match is not None:
        rate = Decimal(match[1] + match[2]) / _WHOLE
        if rate > -1:
            return Growth(rate, match[3])
    raise UsageError(f"--growth {text!r} is no growth; write 10%/month, 2.5%/week or -1%/day, above -100%")


def read_mix(text: str) -> Shares:
    """`resolve_ticket=70%,classify=30%`. Raises `UsageError` for what is no mix, or does not make 100 %."""
    shares: Shares = {}
    for part in text.split(","):
        name, _, rate = part.strip().rpartition("=")
        match = re.fullmatch(rf"{_NUMBER}%", rate.strip())
        if match is None or not name or name in shares:
            raise UsageError(f"--mix {text!r} is no mix; write each name once: resolve_ticket=70%,classify=30%")
        shares[name] = Decimal(match[1]) / _WHOLE
    if sum(shares.values()) != 1:
        percents = (sum(shares.values()) * _WHOLE).normalize()
        raise UsageError(f"--mix {text!r} makes {percents:f}%; its shares have to make 100%")
    return {name: part for name, part in shares.items() if part}


def by_month(volume: Volume, start: date, horizon: Horizon, growth: Growth = NO_GROWTH) -> Sequence[Month]:
    """The tasks of each month. Raises `UsageError` when they become more than anybody has."""
    months: list[Month] = []
    day, end = start, horizon.end(start)
    while day < end:
        tasks = _EXACT.multiply(volume.on(day), growth.on(day, start))
        if tasks > _MOST:
            raise UsageError(f"{volume} with {growth} are {tasks:.1e} tasks on {day}; give a smaller --growth")
        if months and day.day != 1:
            last = months[-1]
            months[-1] = Month(last.first, last.days + 1, _EXACT.add(last.tasks, tasks))
        else:
            months.append(Month(day, 1, tasks))
        day += timedelta(days=1)
    return months


def _months_on(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _months_between(start: date, day: date) -> int:
    """Whole months from `start` to `day`."""
    months = (day.year - start.year) * 12 + day.month - start.month
    return months - (_months_on(start, months) > day)
