"""The overlay file as users and we write it, validated; errors name the file, the rule and the field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from taskmeter.errors import ConfigurationError
from taskmeter.pricing._rules import GROUPS
from taskmeter.pricing._tables import FEES, TOKENS
from taskmeter.records import Category

LIMIT = Decimal("1E+12")
DECIMALS = 18
_LONGEST_MESSAGE = 500


def _number(value: object) -> Decimal:
    try:
        # A float is taken as it prints: 0.1 is 0.1; `float.__repr__` refuses a bool, which is a mistake.
        number = Decimal(float.__repr__(value) if isinstance(value, float | bool) else cast(Any, value))
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError("is no number; write one such as '0.002'") from None
    exponent = number.as_tuple().exponent
    if not number.is_finite() or number < 0:
        raise ValueError("must be finite and not negative")
    if number >= LIMIT or not isinstance(exponent, int) or exponent < -DECIMALS:
        raise ValueError(f"must be less than {LIMIT} and have at most {DECIMALS} decimals")
    return number


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _stepped(value: object) -> object:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {"base": value}


Amount = Annotated[Decimal, BeforeValidator(_number)]
Positive = Annotated[Decimal, BeforeValidator(_number), Field(gt=0)]
Text = Annotated[str, Field(min_length=1, max_length=512)]
Names = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Steps(_Table):
    """A price that changes with the input tokens of a call."""

    base: Amount
    above: dict[int, Amount] = {}


class Derived(_Table):
    """A price as a multiple of another."""

    source: Text = Field(alias="from")
    times: Amount


class Fee(_Table):
    """A fee, or why it cannot be known."""

    price: Amount | None = None
    unit: Text = "unit"
    per: Annotated[int, Field(gt=0)] = 1
    unknown: str = ""

    @model_validator(mode="after")
    def _either(self) -> Fee:
        if (self.price is None) is not bool(self.unknown):
            raise ValueError("takes either price (with unit, per) or unknown = '<why no response tells>'")
        return self


class MatchFields(_Table):
    """Which calls a rule is about."""

    id: Text | None = None
    provider: Names = ["*"]
    model: Names = ["*"]
    when: dict[str, Names] = {}
    since: date | None = Field(default=None, alias="from")
    until: date | None = None
    source: str = ""
    checked: date | None = None

    @model_validator(mode="after")
    def _dates(self) -> MatchFields:
        if self.since and self.until and self.until <= self.since:
            raise ValueError(f"until = {self.until} must be after from = {self.since}; until is the first day without")
        for key, values in self.when.items():
            if len({value.startswith("!") for value in values}) > 1:
                raise ValueError(f"when.{key} = {values} mixes values with and without !; use one sort")
        return self


class PriceRule(MatchFields):
    """An entry of [[list]], [[contract]] or [[commitment]]."""

    set: dict[str, Annotated[Steps, BeforeValidator(_stepped)]] = {}
    derive: dict[str, Derived] = {}
    multiply: dict[str, Amount] = {}
    fee: dict[str, Fee] = {}
    currency: Text = "USD"
    if_missing: bool = False
    doubt: str = ""

    @model_validator(mode="after")
    def _known(self) -> PriceRule:
        known = TOKENS.keys() | FEES.keys()
        for field, names, allowed in (
            ("set", self.set, known),
            ("derive", self.derive, known),
            ("derive from", {each.source for each in self.derive.values()}, known),
            ("multiply", self.multiply, {*known, *GROUPS, *self.fee}),
        ):
            for name in names:
                if name not in allowed:
                    raise ValueError(f"{field}: {name!r} is no part or fee; there are: {', '.join(sorted(allowed))}")
        if not (self.set or self.derive or self.multiply or self.fee or self.when or self.doubt):
            raise ValueError("changes nothing; give it set, derive, multiply or fee")
        return self


class AliasRule(MatchFields):
    """An entry of [[alias]]."""

    to: Text
    to_provider: Text | None = None

    @model_validator(mode="after")
    def _places(self) -> AliasRule:
        stars = min(model.count("*") for model in self.model)
        try:
            self.to.format(*[""] * (stars + 1))
        except (IndexError, KeyError, ValueError, AttributeError):
            raise ValueError(
                f"to = {self.to!r}: {{1}} to {{{stars}}} stand for what the * of model = {self.model} match, "
                "{0} for the whole name; nothing else goes in braces"
            ) from None
        return self


class Tool(_Table):
    """An entry of [tools]."""

    cost: Amount
    unit: Text = "call"
    per: Positive = Decimal(1)
    category: Category = "tools"
    currency: Text = "USD"


class Rates(_Table):
    """What people's time costs."""

    human_per_hour: Amount | None = None
    currency: Text = "USD"


class Document(_Table):
    """The whole file."""

    currency: dict[str, Positive] = {}
    hosts: dict[str, Text] = {}
    list_prices: list[PriceRule] = Field(default=[], alias="list")
    contract: list[PriceRule] = []
    commitment: list[PriceRule] = []
    alias: list[AliasRule] = []
    tools: dict[str, Tool] = {}
    rates: Rates = Rates()

    @model_validator(mode="after")
    def _currencies(self) -> Document:
        rules = (*self.list_prices, *self.contract, *self.commitment)
        used = [*(rule.currency for rule in rules), *(tool.currency for tool in self.tools.values())]
        for currency in (*used, self.rates.currency):
            if currency != "USD" and currency not in self.currency:
                raise ValueError(
                    f"currency = {currency!r} has no rate; say what one is worth in USD: [currency] {currency} = '1.08'"
                )
        return self


def read(path: Path) -> Document:
    """The file at `path`. Raises `ConfigurationError` where it is missing, no TOML, or makes no sense."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the price file {str(path)!r} cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """The TOML document `text`, called `name` in errors."""
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except RecursionError:
        raise ConfigurationError(f"{name} is no valid TOML: it is nested too deeply") from None
    except (ValueError, InvalidOperation) as error:  # a number of more digits than Python reads is no TOMLDecodeError
        raise ConfigurationError(f"{name} is no valid TOML: {str(error)[:_LONGEST_MESSAGE]}") from error
    return validate(content, name)


def validate(content: Mapping[str, object], name: str) -> Document:
    """The document with that content, called `name` in errors."""
    try:
        return Document.model_validate(dict(content))
    except ValidationError as error:
        lines = [_explained(each, content) for each in error.errors(include_url=False)]
        shown = lines[:5] + ([f"and {len(lines) - 5} more"] if len(lines) > 5 else [])  # noqa: PLR2004 - a screenful
        raise ConfigurationError("\n".join(f"{name}: {line}" for line in shown)) from None


def _explained(error: ErrorDetails, content: Mapping[str, object]) -> str:
    """One line: where it is, what stands there, and what is wrong with it."""
    path = list(error["loc"])
    table = str(path.pop(0)) if path else ""
    place = f"[{table}]" if table else ""
    if path and isinstance(path[0], int):
        number = path.pop(0)
        entries = cast("list[object]", content[table])
        entry = entries[cast(int, number)]
        named = cast("dict[str, object]", entry).get("id") if isinstance(entry, dict) else None
        place = f"[[{table}]] {named or f'number {cast(int, number) + 1}'}"
    field = ".".join(str(each) for each in path)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "is not known here; docs/pricing.md has a table of the fields"
    shown = "" if error["type"] == "missing" or isinstance(error["input"], dict) else f" = {error['input']!r:.80}"
    return " ".join(each for each in (place, f"{field}{shown}".strip(), message) if each)[:_LONGEST_MESSAGE]
