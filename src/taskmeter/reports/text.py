"""How amounts, counts and names are shown. Names are untrusted: they come from whoever wrote the spool."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal

_MONEY = Context(prec=60)
_CENT = Decimal("0.01")
_LONGEST_NAME = 80
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b.?"
)
_FORMULA_STARTS = tuple("=+-@|%＝＋－＠")  # noqa: RUF001 - full-width signs start a formula in some spreadsheets
_AFTER_SEPARATOR = re.compile(rf"(;\s*)(?=[{re.escape(''.join(_FORMULA_STARTS))}])")


def money(amount: Decimal | None, currency: str = "USD") -> str:
    """For people: cents from 1 up, four digits from a cent up, two significant digits below; `unpriced` for `None`."""
    if amount is None:
        return "unpriced"
    size = abs(amount)
    if not size or size >= 1:
        step = _CENT
    elif size >= _CENT:
        step = Decimal("0.0001")
    else:
        step = Decimal(1).scaleb(size.adjusted() - 1)
    digits = f"{size.quantize(step, ROUND_HALF_UP, _MONEY):,f}"
    return f"{'-' if amount < 0 else ''}{'$' if currency == 'USD' else currency + ' '}{digits}"


def exact(amount: Decimal) -> str:
    """Every digit, without exponent."""
    return format(amount, "f")


def share(part: float | None) -> str:
    """A share of 0 to 1 as a percentage; empty when there is nothing to have a share of."""
    if not part:
        return ""
    return f"{part:.0%}" if part >= 0.01 else "<1%"  # noqa: PLR2004 - one percent


def percent(part: float) -> str:
    """A share to a tenth of a percent, and neither all nor nothing unless it is."""
    tenths = f"{part * 100:.1f}".removesuffix(".0")
    if tenths == "0" and part > 0:
        return "<0.1%"
    return ">99.9%" if tenths == "100" and part < 1 else f"{tenths}%"


def duration(seconds: float) -> str:
    """`<1 ms`, `12 ms`, `3.4 s`, `5m 07s`, `2h 05m`."""
    if seconds < 0.001:  # noqa: PLR2004 - a millisecond
        return "<1 ms"
    if seconds < 0.9995:  # noqa: PLR2004 - what rounds to less than a second
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:  # noqa: PLR2004 - what rounds to less than a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"  # noqa: PLR2004


def duration_minutes(minutes: Decimal) -> str:
    """Minutes to a tenth; empty for none."""
    if not minutes:
        return ""
    tenths = minutes.quantize(Decimal("0.1"), ROUND_HALF_UP, _MONEY)
    return f"{tenths:,f}".removesuffix(".0") if tenths else "<0.1"


def line(text: str) -> str:
    """One line that a terminal only prints: no escape sequence, control, bidirectional or unpaired character."""
    text = _ESCAPE_SEQUENCE.sub("", text)
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


def lines(text: str) -> str:
    """A text of several lines, each a `line`."""
    return "\n".join(map(line, text.split("\n")))


def plain(text: str) -> str:
    """A name for a table: a `line`, cut to 80 characters."""
    text = line(text[: _LONGEST_NAME * 4])
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def cell(text: str) -> str:
    """A text in a CSV cell: a `line`, and no spreadsheet takes it, or what it has after a semicolon, which is what
    separates cells in half the world, for a formula."""
    text = _AFTER_SEPARATOR.sub(r"\1'", line(text))
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
