"""Exact money in SQL: whatever the amounts of a spool are, their sums are right to the last digit.

All amounts of a source get one scale, that of the longest. Where their sum fits, they are decimals of 38 digits, which
are fast; else whole numbers of any size, in units of that scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from taskmeter.records import WASTE_CLASSES
from taskmeter.reports.engine.rows import KINDS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DIGITS = 38
_LARGEST = "1e15"
_READABLE = "[+-]?[0-9]{1,15}([.][0-9]{0,40})?"
_TEXTS = ("cost", "own", "wasted", *(f"waste_{waste}" for waste in WASTE_CLASSES))
_DOUBLES = (
    *("estimated", "value", "quality", "minutes", "quantity"),
    *("retry_seconds", "reasoning_cost", "cache_saved"),
)

_MACROS = f"""
CREATE MACRO decimals(x) AS CASE WHEN contains(x, '.') THEN length(x) - instr(x, '.') ELSE 0 END;
CREATE MACRO exponent(x) AS CASE WHEN contains(x, 'e') THEN split_part(x, 'e', 2)::INTEGER ELSE 0 END;
CREATE MACRO readable(x) AS CASE WHEN regexp_full_match(x, '{_READABLE}') THEN x END;
CREATE MACRO sensible(x) AS CASE WHEN abs(x) < {_LARGEST} THEN x::VARCHAR END;
CREATE MACRO of_double(x) AS CASE WHEN contains(x, 'e')
    THEN greatest(0, decimals(split_part(x, 'e', 1)) - exponent(x)) ELSE decimals(x) END;
"""
_DECIMAL = """
CREATE MACRO money(x) AS readable(x)::DECIMAL(38, {scale});
CREATE MACRO number(x) AS sensible(x)::DECIMAL(38, {scale});
CREATE MACRO zero() AS 0::DECIMAL(38, {scale});
CREATE MACRO fiftyfold(x) AS 50 * x;
"""
_WIDE = """
CREATE MACRO whole(x, zeros) AS (ltrim(replace(x, '.', ''), '+') || repeat('0', zeros))::BIGNUM;
CREATE MACRO money(x) AS whole(readable(x), {scale} - decimals(readable(x)));
CREATE MACRO number(x) AS
    whole(split_part(sensible(x), 'e', 1), {scale} - decimals(split_part(sensible(x), 'e', 1)) + exponent(sensible(x)));
CREATE MACRO zero() AS 0::BIGNUM;
CREATE MACRO twice(x) AS x + x;
CREATE MACRO sixteenfold(x) AS twice(twice(twice(twice(x))));
CREATE MACRO fiftyfold(x) AS twice(x) + sixteenfold(x) + twice(sixteenfold(x));
"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How the amounts of a source are written in SQL, and what there is of them."""

    scale: int
    is_wide: bool
    unreadable: int
    """Amounts that are no sensible number; they are taken as unknown."""

    def read(self, value: Any) -> Decimal | None:
        """What SQL answered, as an amount."""
        if value is None:
            return None
        amount = Decimal(f"{value}e-{self.scale}") if self.is_wide else Decimal(value)
        return _plain(amount)

    def read_floats(self, values: Any) -> Any:
        """An array of doubles that SQL made of amounts, as amounts."""
        return values * 10.0**-self.scale if self.is_wide else values


def survey(database: DuckDBPyConnection) -> Amounts:
    """Looks at all amounts of `spans` and defines `money(text)`, `number(double)`, `zero()` and `fiftyfold(x)`."""
    database.execute(_MACROS)
    lengths = [f"max(decimals(readable({text})))" for text in _TEXTS]
    lengths += [f"max(of_double(sensible({double})))" for double in _DOUBLES]
    sums = [f"sum(abs(readable({text})::DOUBLE))" for text in _TEXTS]
    sums += [f"sum(abs(sensible({double})::DOUBLE))" for double in _DOUBLES]
    unreadable = [f"count(*) FILTER ({text} IS NOT NULL AND readable({text}) IS NULL)" for text in _TEXTS]
    row = database.execute(
        f"SELECT greatest(0, {', '.join(lengths)}), {' + '.join(f'coalesce({one}, 0)' for one in sums)}, "
        f"{' + '.join(unreadable)} FROM spans WHERE what IN {KINDS}"
    ).fetchone()
    scale, total, wrong = row or (0, 0.0, 0)
    is_wide = scale + len(f"{50 * total:.0f}") + 1 > _DIGITS
    database.execute((_WIDE if is_wide else _DECIMAL).format(scale=scale))
    return Amounts(scale, is_wide, wrong)


def _plain(amount: Decimal) -> Decimal:
    """Without the zeros that its neighbours' digits gave it."""
    text = f"{amount:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
