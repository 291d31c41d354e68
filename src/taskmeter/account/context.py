"""What the input of calls was made of: shares of what was billed, by source, and what was sent before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple

from taskmeter.records import (
    CACHE_READ_PARTS,
    INPUT_PARTS,
    SOURCES,
    ZERO,
    Charge,
    Context,
    ContextShare,
    Part,
    Source,
    Usage,
    add,
    divide,
    multiply,
    subtract,
)

BYTES_PER_TOKEN: Final = 4
MOST_LABELS: Final = 32
"""Sources of documents that an account tells apart; further ones are booked under `OTHER_LABEL`."""
OTHER_LABEL: Final = "(other)"

_MEDIA_PARTS: Final = frozenset({"input_audio", "input_image", "cache_read_audio", "cache_read_image"})
_Key = tuple[Source, str, bool]
_MEDIA: Final[_Key] = ("media", "", False)
_KEPT: Final[_Key] = ("history", "", False)
_USERS: Final[_Key] = ("user", "", False)


class Segment(NamedTuple):
    """A piece of a prompt. Its size is only a weight: what it is billed for is a share of the call's own count."""

    source: Source
    weight: int
    """UTF-8 bytes, or an estimate of how many it is worth."""
    carried: bool = False
    """Whether an earlier call of the same task sent it already."""
    label: str = ""
    """Of documents: where they are from."""


class Prompt(NamedTuple):
    """What was found out about one request. Holds no text."""

    segments: tuple[Segment, ...]
    """In the order in which they are billed."""
    fingerprint: bytes
    """The same for requests with the same model, parameters and content; keyed."""
    unseen: int | None = None
    """Before which segment there is history that the provider keeps and the request only names; `None` for none."""


class Shares(NamedTuple):
    """A call's billed input by what it was made of. The tokens add up to its input tokens, the amounts to what its
    charges for input do."""

    by_source: Mapping[tuple[Source, str], ContextShare]
    """By source, and for documents by their label."""
    carried: ContextShare
    """The part of it that an earlier call of the same task had sent already."""


def share_out(prompt: Prompt, usage: Usage, charges: Iterable[Charge]) -> Shares | None:
    """Splits what a call was billed for its input over the pieces of its prompt; `None` for no input tokens.

    A piece's share of the tokens is its share of the weight. A cache holds the beginning of a prompt: what was read
    from it came first, what was written to it next, and the rest after that. Sound and images that the provider counts
    apart are media.
    """
    plain, media = _classes(usage)
    billed = sum(count for _, count in plain)
    if not billed and not media:
        return None
    classes = _cut(_weighed(prompt, billed, apart=bool(media)), billed, plain)
    for part, count in media:
        classes.append((part, {_MEDIA: count}))
    amounts = _amounts(charges)
    tokens: dict[_Key, int] = {}
    costs: dict[_Key, Decimal] = {}
    for part, counts in classes:
        for key, count in counts.items():
            tokens[key] = tokens.get(key, 0) + count
        if (amount := amounts.get(part)) is not None:
            for key, cost in _divided(amount, counts):
                costs[key] = add(costs.get(key, ZERO), cost)
    return _shares(tokens, costs if amounts else None)


def _classes(usage: Usage) -> tuple[list[tuple[Part, int]], list[tuple[Part, int]]]:
    """Counts of the input parts in the order in which they are in the prompt; and those of media."""
    ordered: list[tuple[int, Part, int]] = []
    media: list[tuple[Part, int]] = []
    for part, count in usage.tokens.items():
        if part in _MEDIA_PARTS:
            media.append((part, count))
        elif part in INPUT_PARTS and count > 0:
            ordered.append((0 if part in CACHE_READ_PARTS else 2 if part == "input" else 1, part, count))
    return [(part, count) for _, part, count in sorted(ordered)], media


def _weighed(prompt: Prompt, billed: int, *, apart: bool) -> list[tuple[_Key, int]]:
    """The pieces with what they weigh; nothing for media that are counted `apart`. What of the `billed` tokens the
    pieces are not worth belongs to what the provider keeps, if it keeps any."""
    pieces: list[tuple[_Key, int]] = [
        ((source, label, carried), 0 if apart and source == "media" else weight)
        for source, weight, carried, label in prompt.segments
    ]
    if prompt.unseen is not None:
        seen = sum(weight for _, weight in pieces)
        pieces.insert(prompt.unseen, (_KEPT, max(0, billed * BYTES_PER_TOKEN - seen)))
    if not any(weight for _, weight in pieces):
        pieces.append((_USERS, 1))
    return pieces


def _cut(
    pieces: Sequence[tuple[_Key, int]], billed: int, classes: Sequence[tuple[Part, int]]
) -> list[tuple[Part, dict[_Key, int]]]:
    """How many tokens of each piece are of each class: both lie one after the other over the same prompt."""
    if not classes:
        return []
    whole = sum(weight for _, weight in pieces)
    found: list[tuple[Part, dict[_Key, int]]] = [(part, {}) for part, _ in classes]
    ends = list(accumulate(count for _, count in classes))
    at = index = weighed = 0
    for key, weight in pieces:
        weighed += weight
        end = (2 * billed * weighed + whole) // (2 * whole)  # rounded: the last is `billed` exactly
        while at < end:
            until = min(end, ends[index])
            counts = found[index][1]
            counts[key] = counts.get(key, 0) + until - at
            at = until
            if at == ends[index]:
                index += 1
    return found


def _amounts(charges: Iterable[Charge]) -> dict[str, Decimal]:
    """What was billed for each input part that has a price."""
    amounts: dict[str, Decimal] = {}
    for charge in charges:
        if charge.part in INPUT_PARTS:
            amounts[charge.part] = add(amounts.get(charge.part, ZERO), charge.amount)
    return amounts


def _divided(amount: Decimal, counts: Mapping[_Key, int]) -> Iterator[tuple[_Key, Decimal]]:
    """`amount` by counts; the last takes what is left, so that nothing is lost to rounding."""
    whole, left, last = Decimal(sum(counts.values())), amount, len(counts)
    for number, (key, count) in enumerate(counts.items(), 1):
        cost = left if number == last else divide(multiply(amount, Decimal(count)), whole)
        left = subtract(left, cost)
        yield key, cost


def _shares(tokens: Mapping[_Key, int], costs: Mapping[_Key, Decimal] | None) -> Shares:
    by_source: dict[tuple[Source, str], ContextShare] = {}
    again = ContextShare(0, None if costs is None else ZERO)
    for key, count in tokens.items():
        source, label, carried = key
        share = ContextShare(count, None if costs is None else costs.get(key, ZERO))
        before = by_source.get((source, label))
        by_source[source, label] = share if before is None else before + share
        if carried:
            again += share
    return Shares(by_source, again)


class _Sum:
    """The sum of many shares, as `ContextShare` adds them."""

    __slots__ = ("cost", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.cost: Decimal | None = ZERO

    def add(self, share: ContextShare) -> None:
        """One more."""
        tokens, cost = share.tokens, share.cost
        if not tokens:
            return
        if not self.tokens or self.cost is None:
            self.cost = cost
        elif cost is not None:
            self.cost = add(self.cost, cost)
        self.tokens += tokens

    def share(self) -> ContextShare:
        """What they come to so far."""
        return ContextShare(self.tokens, self.cost)


class ContextSums:
    """The shares of many calls. Mutated under the lock of the ledger that holds it."""

    __slots__ = ("_by_source", "_carried", "_labels", "measured", "unmeasured")

    def __init__(self) -> None:
        self._by_source: defaultdict[Source, _Sum] = defaultdict(_Sum)
        self._labels: defaultdict[str, _Sum] = defaultdict(_Sum)
        self._carried = _Sum()
        self.measured = self.unmeasured = 0

    def add(self, shares: Shares | None, usage: Usage) -> None:
        """One more call, or what is told of one later."""
        if shares is None:
            self.unmeasured += bool(usage.input_tokens)
            return
        self.measured += 1
        for (source, label), share in shares.by_source.items():
            self._by_source[source].add(share)
            if source == "documents":
                known = label in self._labels or len(self._labels) < MOST_LABELS
                self._labels[label if known else OTHER_LABEL].add(share)
        self._carried.add(shares.carried)

    def snapshot(self) -> Context:
        """What they add up to so far."""
        return Context(
            by_source={source: self._by_source[source].share() for source in SOURCES if source in self._by_source},
            documents={label: summed.share() for label, summed in self._labels.items()},
            carried=self._carried.share(),
            calls=self.measured,
            unmeasured_calls=self.unmeasured,
        )
