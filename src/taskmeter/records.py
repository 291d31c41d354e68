"""The nouns every room speaks: frozen, slotted, without behaviour beyond their own arithmetic.

Money is `Decimal` in the currency the record names, and is added with `add` below, never with the host's
decimal context: a program that sets `getcontext().prec = 6` must not round our totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context as Arithmetic
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar, get_args

_K = TypeVar("_K")

ZERO = Decimal(0)

_MONEY = Arithmetic(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow])


add = _MONEY.add
"""`left + right` to 60 significant digits, whatever the host's decimal context says."""
subtract = _MONEY.subtract
"""`left - right`, likewise."""
multiply = _MONEY.multiply
"""`left * right`, likewise."""
divide = _MONEY.divide
"""`left / right`, likewise."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of `amounts`; `Decimal(0)` for none."""
    result = ZERO
    for amount in amounts:
        result = _MONEY.add(result, amount)
    return result


Category = Literal["model", "tools", "retrieval", "human", "other"]
CATEGORIES: tuple[Category, ...] = ("model", "tools", "retrieval", "human", "other")

CostStatus = Literal["exact", "estimated", "partial", "unpriced", "provisioned"]
"""How sure a call's cost is. `partial`: some of what was billed could not be priced. `unpriced`: none of it."""

OutcomeStatus = Literal["succeeded", "failed", "abandoned", "pending"]

WasteClass = Literal[
    "retry",
    "failed_call",
    "aborted_stream",
    "duplicate",
    "loop",
    "reask",
    "discarded_step",
    "failed_task",
    "abandoned_task",
]
"""Why money was wasted. An amount has one class at most: the reason that was known first."""
WASTE_CLASSES: tuple[WasteClass, ...] = get_args(WasteClass)

Part = Literal[
    "input",
    "input_audio",
    "input_image",
    "cache_read",
    "cache_read_audio",
    "cache_read_image",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "cache_write_12h",
    "output",
    "output_audio",
    "output_image",
    "reasoning",
]
"""A class of tokens with a price of its own. The parts of a `Usage` are disjoint: `input` is only what no other
input part covers, `output` only what no other output part covers."""

Source = Literal["system", "tools", "history", "user", "documents", "tool_results", "media"]
SOURCES: tuple[Source, ...] = ("system", "tools", "history", "user", "documents", "tool_results", "media")
"""What the input of a call is made of: instructions, definitions of tools, what was said before, the user's current
turn, retrieved documents, results of tools, and images, sound and video."""

INPUT_PARTS: frozenset[Part] = frozenset(
    {
        "input",
        "input_audio",
        "input_image",
        "cache_read",
        "cache_read_audio",
        "cache_read_image",
        "cache_write",
        "cache_write_5m",
        "cache_write_1h",
        "cache_write_12h",
    }
)
CACHE_READ_PARTS: frozenset[Part] = frozenset({"cache_read", "cache_read_audio", "cache_read_image"})
CACHE_WRITE_PARTS: frozenset[Part] = frozenset({"cache_write", "cache_write_5m", "cache_write_1h", "cache_write_12h"})
OUTPUT_PARTS: frozenset[Part] = frozenset({"output", "output_audio", "output_image", "reasoning"})


@dataclass(frozen=True, slots=True)
class Usage:
    """Token and unit counts, of one call or of many, as disjoint parts that add up to the totals.

    `tokens` maps a part to its count (positive; a part that is missing is 0). `fees` maps a billed unit that is
    not a token (`"web_search"`, `"input_audio_ms"`, `"input_characters"`) to its count.
    """

    tokens: Mapping[Part, int] = field(default_factory=dict[Part, int])
    fees: Mapping[str, int] = field(default_factory=dict[str, int])

    def _sum(self, parts: frozenset[Part]) -> int:
        return sum(count for part, count in self.tokens.items() if part in parts)

    @property
    def input_tokens(self) -> int:
        """All input tokens, those read from and written to a cache included."""
        return self._sum(INPUT_PARTS)

    @property
    def cache_read_tokens(self) -> int:
        """Input tokens read from a cache; part of `input_tokens`."""
        return self._sum(CACHE_READ_PARTS)

    @property
    def cache_write_tokens(self) -> int:
        """Input tokens written to a cache, whatever their time to live; part of `input_tokens`."""
        return self._sum(CACHE_WRITE_PARTS)

    @property
    def output_tokens(self) -> int:
        """All output tokens, reasoning included."""
        return self._sum(OUTPUT_PARTS)

    @property
    def reasoning_tokens(self) -> int:
        """Hidden reasoning (thinking) tokens; part of `output_tokens`."""
        return self.tokens.get("reasoning", 0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(_sum_counts(self.tokens, other.tokens), _sum_counts(self.fees, other.fees))


def _sum_counts(left: Mapping[_K, int], right: Mapping[_K, int]) -> dict[_K, int]:
    result = dict(left)
    for key, count in right.items():
        result[key] = result.get(key, 0) + count
    return result


NO_USAGE = Usage(MappingProxyType({}), MappingProxyType({}))


class Charge(NamedTuple):
    """One priced line of an account. A tuple, because every call makes some and a dataclass takes thrice the time."""

    category: Category
    item: str
    """What was bought: the model that answered, the tool, the vendor."""
    part: str
    """The class of it: a token `Part`, a fee (`web_search`), or the application's own word."""
    quantity: Decimal
    unit: str
    """What `quantity` counts: `token`, `request`, `query`, `minute`..."""
    unit_price: Decimal
    """List price of one unit."""
    list_amount: Decimal
    """`quantity` at list price."""
    amount: Decimal
    """What it really costs (FOCUS: EffectiveCost): `list_amount` unless a contract says otherwise."""
    currency: str = "USD"
    basis: str = "list"
    """Who says so: `list`, `contract`, `provider` (the response states it), `stated` (the application does)."""
    estimated: bool = False
    """Whether the quantity or the price is an estimate."""
    contracted: Decimal | None = None
    """What the contract says before commitment discounts (FOCUS: ContractedCost); `None` where that is `amount`."""

    @property
    def contracted_amount(self) -> Decimal:
        """FOCUS's ContractedCost."""
        return self.amount if self.contracted is None else self.contracted


class Priced(NamedTuple):
    """What `pricing.price` found: the charges of one call and how sure they are."""

    status: CostStatus
    charges: tuple[Charge, ...] = ()
    origin: str = ""
    """Which price data: source, version and entry, so that the call can be priced again later."""
    reason: str = ""
    """For any status but `exact`: why, in a few words."""
    cache_saved: Decimal | None = ZERO
    """What the cached tokens would have cost more as plain input, at the same tier and length; less than 0 where
    writing to the cache cost more than it saved. `None` where there is no price of plain input."""
    terms: tuple[tuple[str, str], ...] = ()
    """How it was processed, where that is not the standard way: sorted pairs such as `("service_tier", "flex")`."""

    @property
    def reasoning(self) -> Decimal:
        """What reasoning tokens cost, of `amount`."""
        return total(charge.amount for charge in self.charges if charge.part == "reasoning")

    @property
    def amount(self) -> Decimal | None:
        """The sum of the charges; `None`, never 0, for an unpriced call."""
        return None if self.status == "unpriced" else total(charge.amount for charge in self.charges)

    @property
    def list_amount(self) -> Decimal | None:
        """The same at list prices."""
        return None if self.status == "unpriced" else total(charge.list_amount for charge in self.charges)

    @property
    def contracted_amount(self) -> Decimal | None:
        """The same at contracted prices, before commitment discounts."""
        return None if self.status == "unpriced" else total(charge.contracted_amount for charge in self.charges)


@dataclass(frozen=True, slots=True)
class ContextShare:
    """A part of the input of one call, or of many."""

    tokens: int
    """A share of the tokens that were billed: by length, so an estimate, but all shares add up to what was billed."""
    cost: Decimal | None
    """What these were billed at, cached or not; `None` where the price is not known."""

    def __add__(self, other: ContextShare) -> ContextShare:
        """Of an amount that is not known, nothing is in the sum, unless neither is known."""
        if not self.tokens or not other.tokens:
            return self if self.tokens else other
        left, right = self.cost, other.cost
        cost = left if right is None else right if left is None else add(left, right)
        return ContextShare(self.tokens + other.tokens, cost)


@dataclass(frozen=True, slots=True)
class Context:
    """What the input of a task's or step's calls was made of."""

    by_source: Mapping[Source, ContextShare] = field(default_factory=dict[Source, ContextShare])
    """Sources that there were. Tokens add up to the input tokens of these calls, amounts to what those cost."""
    documents: Mapping[str, ContextShare] = field(default_factory=dict[str, ContextShare])
    """The part of `by_source["documents"]` that came from each `taskmeter.document(..., source=)`."""
    carried: ContextShare = ContextShare(0, ZERO)
    """The part of all of it that an earlier call of the same task had sent already."""
    calls: int = 0
    """Calls whose input was measured."""
    unmeasured_calls: int = 0
    """Calls with input that are in none of these figures: batches, sessions, calls that another library tells of."""

    @property
    def tokens(self) -> int:
        """All input tokens of the measured calls."""
        return sum(share.tokens for share in self.by_source.values())


@dataclass(frozen=True, slots=True)
class Cost:
    """A snapshot of what a task or step cost, in `currency`. Every amount is exact to the last digit."""

    total: Decimal = ZERO
    """Everything, nested tasks included."""
    self: Decimal = ZERO
    """Without nested tasks."""
    wasted: Decimal = ZERO
    """The part of `total` whose result was thrown away."""
    waste: Mapping[WasteClass, Decimal] = field(default_factory=dict[WasteClass, Decimal], hash=False)
    """`wasted` by the reason, where it is not 0."""
    estimated: Decimal = ZERO
    """The part of `total` that is an estimate."""
    list: Decimal = ZERO
    """`total` at list prices."""
    contracted: Decimal = ZERO
    """`total` at contracted prices, before commitment discounts."""
    model: Decimal = ZERO
    tools: Decimal = ZERO
    retrieval: Decimal = ZERO
    human: Decimal = ZERO
    other: Decimal = ZERO
    reasoning: Decimal = ZERO
    """The part of `model` that hidden reasoning (thinking) tokens cost."""
    cache_saved: Decimal = ZERO
    """By how much caches made `model` cheaper: what was read from them at the price of plain input, less what was paid
    for reading and what writing cost above plain input. Negative where writes were not worth it."""
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP request within a call that failed."""

    number: int
    """1 for the first."""
    start_ns: int
    end_ns: int
    status_code: int | None
    """`None` when no response came: a timeout or a connection error."""
    error_type: str
    wait_seconds: float | None = None
    """Time slept before the next attempt; `None` after the last."""
    possibly_billed: bool = False
    """Whether it was sent and never answered: the provider may have done the work, and bill it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task."""

    status: OutcomeStatus
    reason: str | None = None
    value: Decimal | None = None
    """Business value of the result, in the task's currency."""
    human_minutes: Decimal | None = None
    """Time that people spent on it, said with the outcome; `Task.human_minutes` has all of it."""
    quality: Decimal | None = None
    """A score of the result, on a scale of the application's own; more is better."""
