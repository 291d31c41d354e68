"""Rules of the overlay, compiled: which calls they concern, and what they change. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from re import Pattern
from typing import Final

from taskmeter.pricing._sheet import ONE, Keys, Price, Sheet, both
from taskmeter.pricing._tables import TOKENS

GROUPS: Final = ("tokens", "fees", "all")
"""What `multiply` takes beside the name of a part or fee."""


def glob(*texts: str) -> Pattern[str]:
    """A pattern for the whole of a name that is any of these, whatever its case; a group for what each `*` is."""
    patterns = ("(.*)".join(re.escape(piece) for piece in text.split("*")) for text in texts)
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a variant of the call must be: any of these values, or anything else."""

    values: tuple[Pattern[str], ...]
    negated: bool

    @staticmethod
    def of(texts: Iterable[str]) -> Condition:
        """`["fast", "priority"]`, `["us-*"]`, or `["!global"]` for anything else; to the letter, as the data has it."""
        values = [text.removeprefix("!") for text in texts]
        patterns = (".*".join(re.escape(piece) for piece in value.split("*")) for value in values)
        return Condition(tuple(re.compile(pattern, re.DOTALL) for pattern in patterns), negated=values != list(texts))

    def holds(self, value: str | None) -> bool:
        """Whether a call has that; one that does not say never has."""
        return value is not None and any(pattern.fullmatch(value) for pattern in self.values) is not self.negated


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Which calls a rule concerns."""

    providers: Pattern[str]
    models: Pattern[str]
    when: tuple[tuple[str, Condition], ...]
    keys: Keys
    """The variants that it is about."""
    first_day: int
    """As `date.toordinal()`."""
    end_day: int
    """The first day on which it holds no more."""

    def concerns(self, providers: Iterable[str], models: Iterable[str]) -> bool:
        """Whether it is about any of these, by whichever name."""
        return self.is_about(providers) and any(self.models.fullmatch(model) for model in models)

    def is_about(self, providers: Iterable[str]) -> bool:
        """Whether it is about a provider with any of these names."""
        return any(self.providers.fullmatch(name) for name in providers)

    def holds(self, variants: Mapping[str, str], day: int) -> bool:
        """Whether it applies to a call so processed, on that day."""
        if not self.first_day <= day < self.end_day:
            return False
        return not self.when or all(condition.holds(variants.get(key)) for key, condition in self.when)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What a rule changes on a sheet."""

    id: str
    match: Match
    prices: Mapping[str, Price]
    """What it sets."""
    derived: tuple[tuple[str, str, Decimal], ...]
    """(what it fills in, from which price, times what)."""
    factors: tuple[tuple[str, Decimal], ...]
    """(part, fee or group, what its price is multiplied by)."""
    unknown: Mapping[str, str]
    """Fees that no response states the quantity of -> why."""
    if_missing: bool
    """Whether it only fills in what the price data do not have: a price, or any price for its variant."""
    doubt: str

    def apply(self, sheet: Sheet, lent: str = "") -> None:
        """Changes `sheet`; `lent` is why what it sets would be an estimate here."""
        keys = self.match.keys
        if self.if_missing and keys and any(keys <= price.accounts_for for price in sheet.prices.values()):
            return
        doubt = both(self.doubt, lent)
        prices = sheet.prices
        prices |= dict(self._set(sheet, keys, doubt))
        for name, origin, factor in self.derived:
            if name not in prices and (source := prices.get(origin)):
                prices[name] = source.times(factor, self.id, keys, doubt)
        for name, factor in self.factors:
            for part, price in _named(sheet, name):
                prices[part] = price.times(factor, self.id, keys, self.doubt)
        if not (self.prices or self.derived or self.factors or self.unknown):
            for name, price in prices.items():
                prices[name] = price.times(ONE, self.id, keys, self.doubt)
        sheet.unknown |= self.unknown

    def _set(self, sheet: Sheet, keys: Keys, doubt: str) -> Iterator[tuple[str, Price]]:
        """A price of a variant stands when the rule is not about that variant, but is doubted then."""
        for name, price in self.prices.items():
            present = sheet.prices.get(name)
            if present is None or ((keys or not self.if_missing) and present.accounts_for <= keys):
                yield name, price.times(ONE, self.id, keys, doubt)
            elif not self.if_missing:
                others = ", ".join(sorted(present.accounts_for - keys))
                doubt = f"rule {self.id} does not say whether it holds for this {others}"
                yield name, present.times(ONE, self.id, doubt=doubt)


def _named(sheet: Sheet, name: str) -> list[tuple[str, Price]]:
    if name not in GROUPS:
        price = sheet.found(name)
        return [] if price is None else [(name, price)]
    return [
        (part, price) for part, price in sheet.prices.items() if name == "all" or (part in TOKENS) is (name == "tokens")
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Alias:
    """Under which name a model's price is found."""

    id: str
    match: Match
    globs: tuple[Pattern[str], ...]
    """Of the names that it is about, one by one."""
    model: str
    """With `{1}` for what the first `*` of its glob stands for."""
    provider: str | None
    """Whose list it is in; `None` for that of the provider who answered."""

    def resolve(self, names: Iterable[str], model: str) -> str | None:
        """The other name of `model`; `None` if this alias is not about it."""
        if not self.match.concerns(names, (model,)):
            return None
        for pattern in self.globs:
            if found := pattern.fullmatch(model):
                return self.model.format(model, *found.groups())
        return None
