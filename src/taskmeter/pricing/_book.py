"""The price book in force: the overlay that comes with taskmeter, and after it the user's own file."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskmeter.pricing._rules import Alias, Condition, Match, Rule, glob
from taskmeter.pricing._sheet import Price, unit_of
from taskmeter.pricing._tables import TOKEN, Unit
from taskmeter.records import Category, divide, multiply

if TYPE_CHECKING:
    from taskmeter.pricing._schema import Document, MatchFields, PriceRule

SHIPPED: Final = ("openai.toml", "anthropic.toml", "clouds.toml", "disputed.toml")


@dataclass(frozen=True, slots=True)
class ToolPrice:
    """What the price file says a tool costs."""

    cost: Decimal
    """USD for `per` of `unit`."""
    unit: str
    per: Decimal
    category: Category


@dataclass(frozen=True, slots=True, eq=False)
class PriceBook:
    """Rules in the order in which they are applied. One is never changed: another takes its place."""

    list_rules: tuple[Rule, ...] = ()
    contract: tuple[Rule, ...] = ()
    """What was negotiated: applied to the list price."""
    commitment: tuple[Rule, ...] = ()
    """Discounts for committed use: applied to the contract's price."""
    aliases: tuple[Alias, ...] = ()
    """The first that is about a model counts: the user's come first, the last of them before the others."""
    tools: Mapping[str, ToolPrice] = field(default_factory=dict[str, ToolPrice])
    hosts: tuple[tuple[str, str], ...] = ()
    """(glob of a host, the provider who bills for it)."""
    human_per_hour: Decimal | None = None


def tool_price(name: str) -> ToolPrice | None:
    """What the price file says the tool `name` costs, by its name, else by the first glob it matches."""
    tools = current().tools
    return tools.get(name) or next((price for pattern, price in tools.items() if fnmatchcase(name, pattern)), None)


def human_rate() -> Decimal | None:
    """What an hour of a person's time costs, in USD, where the price file says so."""
    return current().human_per_hour


_lock = threading.Lock()
_chosen: PriceBook | None = None


def current() -> PriceBook:
    """The book in force."""
    return _chosen or _shipped()


def chosen() -> bool:
    """Whether `use` was called."""
    return _chosen is not None


def use(prices: Path | Mapping[str, object] | None) -> None:
    """Puts a user's price file, or its content, in force after the shipped overlay; `None` for that alone.

    Raises `ConfigurationError`, and changes nothing, for a file that is missing or makes no sense.
    """
    global _chosen  # noqa: PLW0603 - one price book per process, as there is one ledger of each task
    if prices is None:
        book = _shipped()
    else:
        from taskmeter.pricing._schema import read, validate

        document = read(prices) if isinstance(prices, Path) else validate(prices, "prices")
        book = _book(_shipped(), document)
    with _lock:
        _chosen = book


@cache
def _shipped() -> PriceBook:
    from taskmeter.pricing._schema import parse

    book = PriceBook()
    data = resources.files("taskmeter.pricing").joinpath("data")
    for name in SHIPPED:
        book = _book(book, parse(data.joinpath(name).read_text(encoding="utf-8"), name))
    return book


def _book(before: PriceBook, document: Document) -> PriceBook:
    """`before` and then what `document` says."""
    worth = {**document.currency, "USD": Decimal(1)}
    aliases = [
        Alias(rule.id or f"alias {number}", _match(rule), tuple(map(glob, rule.model)), rule.to, rule.to_provider)
        for number, rule in enumerate(document.alias, 1)
    ]
    tools = {
        name: ToolPrice(multiply(tool.cost, worth[tool.currency]), tool.unit, tool.per, tool.category)
        for name, tool in document.tools.items()
    }
    rates = document.rates
    return PriceBook(
        list_rules=(*before.list_rules, *_rules("list", document.list_prices, worth)),
        contract=(*before.contract, *_rules("contract", document.contract, worth)),
        commitment=(*before.commitment, *_rules("commitment", document.commitment, worth)),
        aliases=(*reversed(aliases), *before.aliases),
        tools={**tools, **before.tools},
        hosts=(*document.hosts.items(), *before.hosts),
        human_per_hour=(
            before.human_per_hour
            if rates.human_per_hour is None
            else multiply(rates.human_per_hour, worth[rates.currency])
        ),
    )


def _rules(kind: str, rules: Iterable[PriceRule], worth: Mapping[str, Decimal]) -> Iterator[Rule]:
    for number, rule in enumerate(rules, 1):
        rate = worth[rule.currency]
        prices = {
            name: Price(
                multiply(price.base, rate),
                unit_of(name) or TOKEN,
                tuple(sorted((above, multiply(amount, rate)) for above, amount in price.above.items())),
            )
            for name, price in rule.set.items()
        }
        prices |= {
            name: Price(multiply(fee.price, rate), Unit(fee.unit, fee.per))
            for name, fee in rule.fee.items()
            if fee.price is not None
        }
        yield Rule(
            id=rule.id or f"{kind} {number}",
            match=_match(rule),
            prices=prices,
            derived=tuple((name, each.source, each.times) for name, each in rule.derive.items()),
            factors=tuple(rule.multiply.items()),
            unknown={name: fee.unknown for name, fee in rule.fee.items() if fee.unknown},
            if_missing=rule.if_missing,
            doubt=rule.doubt,
        )


def _match(rule: MatchFields) -> Match:
    return Match(
        providers=glob(*rule.provider),
        models=glob(*rule.model),
        when=tuple((key, Condition.of(values)) for key, values in rule.when.items()),
        keys=frozenset(rule.when),
        first_day=(rule.since or date.min).toordinal(),
        end_day=rule.until.toordinal() if rule.until else date.max.toordinal() + 1,
    )


def price_per_one(price: Price, input_tokens: int) -> Decimal:
    """The price of a single one, for a call of that many input tokens."""
    return divide(price.at(input_tokens), Decimal(price.unit.per))
