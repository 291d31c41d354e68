"""The price book as changes ask it: by which terms calls would be billed that another model answers, or another way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from taskmeter.errors import UsageError
from taskmeter.pricing import MEDIA, PriceContext, Rates, rates
from taskmeter.reports.recorded_calls import Cell, Terms

Variants: TypeAlias = tuple[tuple[str, str], ...]
Levels: TypeAlias = tuple[Rates, ...]

BATCH: Final[Variants] = (("processing", "batch"),)
FLEX: Final[Variants] = (("service_tier", "flex"),)
_WAYS: Final = ("completion_window", "processing", "service_tier", "speed")
"""Of how a call is processed one counts; the others say where."""


@dataclass(slots=True)
class Book:
    """The price book, with models that were stated to it."""

    at_ns: int
    """The day whose prices a model has that did not answer these calls."""
    stated: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    providers: Sequence[str] = ()
    """In whose lists a model is looked for, after that of who answered."""
    doubts: dict[str, str] = field(default_factory=dict[str, str])
    """Model -> why its price is an estimate."""
    _known: dict[PriceContext, Levels | str] = field(default_factory=dict[PriceContext, "Levels | str"])

    _answered: dict[tuple[PriceContext, str], tuple[PriceContext, bool]] = field(
        default_factory=dict[tuple[PriceContext, str], "tuple[PriceContext, bool]"]
    )

    def levels(self, context: PriceContext) -> Levels | str:
        """The rates of a day, by time and length; for what has no price, why."""
        if context.model in self.stated:
            return (self.stated[context.model],)
        if context not in self._known:
            self._known[context] = rates(context)
        return self._known[context]

    def find(self, provider: str, model: str) -> PriceContext:
        """Who has `model`, under which name; at standard prices. Raises `UsageError` when nobody has."""
        if model in self.stated:
            return PriceContext(provider, model, self.at_ns)
        named, _, rest = model.partition("/")
        tries = [(named, rest)] if rest and named in self.providers else []
        tries += [(each, model) for each in (provider, *self.providers)]
        for who, name in tries:
            context = PriceContext(who, name, self.at_ns)
            found = self.levels(context)
            if not isinstance(found, str) and found[0].input is not None and found[0].output is not None:
                if found[0].doubt:
                    self.doubts[model] = found[0].doubt
                return context
        raise UsageError(
            f"{model!r} is in no price list. Name a model as its provider does (gpt-5-mini, "
            f"anthropic/claude-haiku-4-5), or state its price: --model-price '{model}=INPUT/OUTPUT', in USD per "
            "million tokens"
        )

    def processed(self, context: PriceContext, way: Variants) -> PriceContext | None:
        """The same calls processed that way, where they are; `None` where no such price is published."""
        plain = context._replace(variants=tuple(pair for pair in context.variants if pair[0] not in _WAYS))
        wanted = plain._replace(variants=tuple(sorted((*plain.variants, *way))))
        return wanted if context.model not in self.stated and self._is_as_sure(wanted, plain) else None

    def answered(self, context: PriceContext, model: str) -> tuple[PriceContext, bool]:
        """The same calls answered by `model`; and whether that is as they were processed, and where: it is not where
        no such price is published, or by another provider, except for batches."""
        key = (context, model)
        if key not in self._answered:
            self._answered[key] = self._find_alike(context, model)
        return self._answered[key]

    def _find_alike(self, context: PriceContext, model: str) -> tuple[PriceContext, bool]:
        new = self.find(context.provider, model)
        special = tuple(pair for pair in context.variants if pair[0] != "host")
        variants = special if new.provider == context.provider else tuple(pair for pair in special if pair in BATCH)
        wanted = new._replace(variants=variants)
        if model not in self.stated and self._is_as_sure(wanted, new):
            return wanted, variants == special
        return new, not special

    def at(self, context: PriceContext, at_ns: int) -> PriceContext | None:
        """The same calls on another day; `None` where that has no price, or one that is less sure."""
        then = context._replace(at_ns=at_ns)
        return then if context.model not in self.stated and self._is_as_sure(then, context) else None

    def terms(self, context: PriceContext, cell: Cell) -> Terms:
        """What holds for calls as long as those of `cell`, at midnight."""
        levels = self.levels(context)
        if isinstance(levels, str):
            raise UsageError(levels)
        held = (each for each in reversed(levels) if each.from_ns == 0 and cell.least_input > each.above)
        return Terms(context, next(held))

    def lacks(self, context: PriceContext, cell: Cell) -> bool:
        """Whether calls of `cell` have sound or images, and this model no price of its own for such."""
        levels = self.levels(context)
        return isinstance(levels, str) or any(part in cell.tokens and part not in levels[0].kinds for part in MEDIA)

    def _is_as_sure(self, wanted: PriceContext, known: PriceContext) -> bool:
        """A price that stands in for another is doubted."""
        found, plain = self.levels(wanted), self.levels(known)
        return not isinstance(found, str) and not isinstance(plain, str) and found[0].doubt == plain[0].doubt
