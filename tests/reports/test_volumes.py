"""How many tasks are to come."""

from datetime import date
from decimal import Decimal

import pytest

from taskmeter.errors import UsageError
from taskmeter.reports.volumes import (
    NO_GROWTH,
    Growth,
    by_month,
    read_growth,
    read_horizon,
    read_mix,
    read_volume,
)


def tasks(
    volume: str, horizon: str, start: str = "2026-12-01", growth: Growth = NO_GROWTH
) -> list[tuple[str, int, Decimal]]:
    months = by_month(read_volume(volume), date.fromisoformat(start), read_horizon(horizon), growth)
    return [(f"{month.first:%Y-%m}", month.days, month.tasks) for month in months]


@pytest.mark.parametrize(
    ("volume", "horizon", "expected"),
    [
        ("10/hour", "1d", 240),
        ("5000/day", "90d", 450_000),
        ("700/week", "10d", 1_000),
        ("700/week", "12w", 8_400),
        ("3100/month", "2m", 6_200),
        ("0.5/day", "4d", 2),
    ],
)
def test_a_volume_is_of_its_unit(volume: str, horizon: str, expected: int) -> None:
    """Tasks of the whole horizon."""
    assert round(sum(count for *_, count in tasks(volume, horizon)), 20) == expected


def test_a_month_of_a_volume_is_one_of_the_calendar() -> None:
    """February has as many tasks as January, and a part of a month its part."""
    found = tasks("2800/month", "3m", "2027-01-15")
    assert [(name, days, round(count, 6)) for name, days, count in found] == [
        ("2027-01", 17, Decimal("1535.483871")),
        ("2027-02", 28, Decimal(2800)),
        ("2027-03", 31, Decimal(2800)),
        ("2027-04", 14, Decimal("1306.666667")),
    ]


def test_growth_is_compound_in_steps_from_the_first_day() -> None:
    """The steps of a month are from the day on which it began, not from the first of the month."""
    found = tasks("100/day", "3m", growth=read_growth("10%/month"))
    assert found == [("2026-12", 31, 3_100), ("2027-01", 31, 3_410), ("2027-02", 28, 3_388)]
    [january, february] = tasks("100/day", "2m", "2027-01-15", read_growth("10%/month"))[:2]
    assert january == ("2027-01", 17, 1_700)
    assert february == ("2027-02", 28, 14 * 100 + 14 * 110)
    assert tasks("100/day", "3w", growth=read_growth("-50%/week")) == [("2026-12", 21, 700 + 350 + 175)]
    assert tasks("100/day", "3d", growth=read_growth("100%/day")) == [("2026-12", 3, 700)]


def test_the_last_day_of_a_month_is_followed_by_the_last_of_a_shorter_one() -> None:
    """From 31 January on, a month ends with 27 February."""
    assert read_horizon("1m").end(date(2027, 1, 31)) == date(2027, 2, 28)
    assert tasks("1/day", "1m", "2027-01-31") == [("2027-01", 1, 1), ("2027-02", 27, 27)]


def test_a_name_may_hold_anything() -> None:
    """What is behind the last `=` is the volume."""
    volume = read_volume("a=b/day=5/day")
    assert (volume.name, volume.count, volume.unit) == ("a=b/day", 5, "day")
    assert read_mix("a=b=70%,c=30%") == {"a=b": Decimal("0.7"), "c": Decimal("0.3")}


@pytest.mark.parametrize(
    ("read", "text", "fix"),
    [
        (read_volume, "5000", "write a number above 0 per hour, day, week or month: 5000/day"),
        (read_volume, "5000/year", "write a number above 0"),
        (read_volume, "0/day", "write a number above 0"),
        (read_volume, "-5/day", "write a number above 0"),
        (read_volume, "=5/day", "write a number above 0"),
        (read_volume, "1e9/day", "write a number above 0"),
        (read_horizon, "90", "write 90d, 12w or 6m"),
        (read_horizon, "0d", "write 90d, 12w or 6m"),
        (read_horizon, "11000d", "at most ten years"),
        (read_growth, "10%", "write 10%/month"),
        (read_growth, "-100%/month", "above -100%"),
        (read_mix, "a=70%,b=20%", "makes 90%; its shares have to make 100%"),
        (read_mix, "a=70%,a=30%", "write each name once"),
        (read_mix, "a,b", "write each name once"),
    ],
)
def test_what_makes_no_sense_is_shown_with_the_fix(read: object, text: str, fix: str) -> None:
    """The value, and how to write it."""
    assert callable(read)
    with pytest.raises(UsageError) as error:
        read(text)
    assert repr(text) in str(error.value)
    assert fix in str(error.value)


def test_growth_beyond_all_measure_is_refused() -> None:
    """Doubling each day for a year."""
    with pytest.raises(UsageError, match="give a smaller --growth"):
        tasks("1/day", "365d", growth=read_growth("100%/day"))
