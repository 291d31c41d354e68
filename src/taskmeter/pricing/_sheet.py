"""The prices of one model at one time, while the rules of the overlay are applied to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from taskmeter.pricing._tables import FEES, TOKEN, TOKENS, PriceKeys, Unit
from taskmeter.records import multiply

Keys = frozenset[str]
"""Keys of a call's variants: `service_tier`, `region`..."""


class Price(NamedTuple):
    """The price of a part or fee."""

    base: Decimal
    """USD for `unit.per` of it."""
    unit: Unit = TOKEN
    steps: tuple[tuple[int, Decimal], ...] = ()
    """(input tokens that a call must exceed, the price that then holds for all of it), ascending."""
    doubt: str = ""
    """Why it is an estimate; empty when it is not."""
    accounts_for: Keys = frozenset()
    """Which variants of the call are in this price; for the others it is only the standard one."""
    rules: tuple[str, ...] = ()
    """The rules that made it what it is, in order; none for a price of the data."""

    def at(self, input_tokens: int) -> Decimal:
        """The price that holds for a call of that many input tokens."""
        found = self.base
        for above, price in self.steps:
            if input_tokens > above:
                found = price
        return found

    def times(self, factor: Decimal, rule: str, accounts_for: Keys = frozenset(), doubt: str = "") -> Price:
        """This price multiplied by a rule, now accounting for those variants too."""
        base, steps = self.base, self.steps
        if factor is not ONE:
            base = multiply(base, factor)
            steps = tuple([(above, multiply(price, factor)) for above, price in steps])
        doubt = both(self.doubt, doubt) if doubt else self.doubt
        accounts = self.accounts_for | accounts_for if accounts_for else self.accounts_for
        return Price(base, self.unit, steps, doubt, accounts, (*self.rules, rule))


ONE: Final = Decimal(1)


@dataclass(slots=True)
class Sheet:
    """The prices by part or fee."""

    prices: dict[str, Price] = field(default_factory=dict[str, Price])
    unknown: dict[str, str] = field(default_factory=dict[str, str])
    """Fees that are billed by something no response states -> what that is."""

    def copy(self) -> Sheet:
        """One to be changed independently."""
        return Sheet(dict(self.prices), dict(self.unknown))

    def found(self, name: str) -> Price | None:
        """The price that `name` is charged at by the providers' own rules."""
        return next((self.prices[key] for key in keys_of(name).own if key in self.prices), None)

    def has_main_prices(self) -> bool:
        """Whether there is a price for what the model itself does, not only for what it calls."""
        return any(name not in _EXTRAS for name in self.prices)


_KEYS: Final[Mapping[str, PriceKeys]] = {str(part): keys for part, keys in TOKENS.items()}
_EXTRAS = frozenset({"web_search", "web_search_preview", "file_search"})


def keys_of(name: str) -> PriceKeys:
    """Under which names the price of a part or fee is found."""
    return _KEYS.get(name) or PriceKeys((name,))


def unit_of(name: str) -> Unit | None:
    """The unit of a part or well-known fee; `None` for a name of neither."""
    return TOKEN if name in TOKENS else FEES.get(name)


def both(left: str, right: str) -> str:
    """Two doubts as one, each said once."""
    return left if not right or right in left.split("; ") else f"{left}; {right}" if left else right


def thresholds(sheets: Iterable[Sheet]) -> tuple[int, ...]:
    """All numbers of input tokens at which a price changes."""
    return tuple(sorted({above for sheet in sheets for price in sheet.prices.values() for above, _ in price.steps}))
