"""What a request's prompt is made of: its pieces in the order in which they are billed, how long each is, and a
fingerprint of the whole. In bounded time, whatever the prompt: no text is encoded, copied or counted in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, cast

from taskmeter.account.context import Segment
from taskmeter.capture.counts import fields_of
from taskmeter.capture.marks import joined, mark, mark_of_all
from taskmeter.capture.sent import Sent
from taskmeter.records import Source

MOST_PIECES: Final = 256
"""Messages or content blocks in one list that are looked at: the first few and the last. Those between are history,
each as long as a few of them are on average."""
_MOST_IN_ALL: Final = 512
"""In all lists of one request; of further lists, `_FEW` each."""
_MOST_NODES: Final = 1024
"""Values in tool definitions and other structures that are looked at in one request; of further ones, `_FEW` each."""
_FEW: Final = 8
_SAMPLE: Final = 256
"""Characters of a text that tell how many bytes each of its characters takes."""
_NUMBER_BYTES: Final = 4
IMAGE_BYTES: Final = 4 * 1000
"""What an image weighs whose tokens are not stated: as much as 1000 tokens of text."""
FILE_BYTES: Final = 4 * 2000
"""Likewise for a file, of which neither pages nor text are seen."""

_NO_CONTENT: Final = frozenset({"cache_control", "call_id", "tool_call_id", "tool_use_id"})
"""Fields that say nothing to the model: what differs in them only is the same."""
NEUTRAL: Final = frozenset(
    {
        *("background", "cache_control", "diagnostics", "metadata", "prompt_cache_key", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "stream", "stream_options", "user", "user_profile_id"),
        "workspace_id",
    }
)
"""Parameters that do not change the answer, but only how it is delivered, billed or kept."""


class Prompt(NamedTuple):
    """What was found out about one request. Holds no text."""

    segments: tuple[Segment, ...]
    """In the order in which they are billed."""
    fingerprint: bytes
    """The same for requests with the same model, parameters and content; keyed."""
    unseen: int | None = None
    """Before which segment there is history that the provider keeps and the request only names; `None` for none."""


class Walk:
    """One walk through a request; `sent` is what its task has sent before, if it has one."""

    def __init__(self, sent: Sent | None = None) -> None:
        self._sent = sent
        self._segments: list[Segment] = []
        self._marks: list[bytes] = []
        """Of the segments."""
        self._order: list[bytes] = []
        """The same, and what else decides the answer."""
        self._pieces = _MOST_IN_ALL
        self._nodes = _MOST_NODES
        self._structures: list[int] = []
        """How long those are that were looked at in full."""
        self._unseen: int | None = None

    def prompt(self, parameters: Mapping[str, object], *named: str) -> Prompt:
        """What was found; `parameters` are what else decides the answer, and so does what is `named`."""
        texts = list(named)
        for name, value in parameters.items():
            if name not in NEUTRAL:
                texts.append(name)
                self._gather(value, texts)
        fingerprint = joined((mark_of_all(texts), *self._order))
        if self._sent is not None:
            self._sent.add(self._marks)
        return Prompt(tuple(self._segments), fingerprint, self._unseen)

    def text(self, source: Source, text: object) -> None:
        """A text."""
        if isinstance(text, str) and text:
            self._add(source, weight_of(text), mark(text))

    def structure(self, source: Source, value: object) -> None:
        """Anything else that is written out for the model: a tool's definition, the arguments of its call."""
        if isinstance(value, str):
            self.text(source, value)
        elif value:
            texts: list[str] = []
            weight, whole = self._gather(value, texts)
            if whole:
                self._structures.append(weight)
            elif self._structures:
                weight = max(weight, sum(self._structures) // len(self._structures))
            self._add(source, weight, mark_of_all(texts))

    def media(self, source: Source, value: object, weight: int) -> None:
        """What has a weight that its length does not tell: an image, sound, a file."""
        texts: list[str] = []
        self._gather(value, texts)
        self._add(source, weight, mark_of_all(texts))

    def unseen(self, name: object) -> None:
        """History that the provider keeps under `name`, and that comes before what is added next."""
        if self._unseen is None:
            self._unseen = len(self._segments)
        self._order.append(mark(name if isinstance(name, str) else ""))

    def said(self, word: object) -> None:
        """What is no text of its own and still decides the answer: who speaks."""
        self._order.append(mark(word if isinstance(word, str) else ""))

    def each(self, pieces: Sequence[object], add: Callable[[int, object], None]) -> None:
        """Adds each of `pieces` by `add`, which gets its index; of very many, the middle as so much history."""
        most = max(min(self._pieces, MOST_PIECES), _FEW)
        self._pieces -= min(len(pieces), most)
        if len(pieces) <= most:
            for index, piece in enumerate(pieces):
                add(index, piece)
            return
        ends = most // 4
        last = len(pieces) - most + 2 * ends
        for index in range(ends):
            add(index, pieces[index])
        self._between(pieces, ends, last, add)
        for index in range(last, len(pieces)):
            add(index, pieces[index])

    def _between(self, pieces: Sequence[object], first: int, last: int, add: Callable[[int, object], None]) -> None:
        """What is from the `first` to the `last`, by as many of them as `first` says, evenly spread."""
        count, before = last - first, len(self._segments)
        for step in range(first):
            index = first + count * step // first
            add(index, pieces[index])
        some = self._segments[before:]
        del self._segments[before:]
        weight = sum(segment.weight for segment in some) * count // first
        self._segments.append(Segment("history", weight, all(segment.carried for segment in some)))
        self._order.append(mark(str(count)))

    def _add(self, source: Source, weight: int, found: bytes) -> None:
        self._order.append(found)
        self._marks.append(found)
        carried = self._sent is not None and self._sent.knows(found)
        self._segments.append(Segment(source, weight, carried))

    def _gather(self, value: object, texts: list[str]) -> tuple[int, bool]:
        """Adds every word of a structure to `texts`, within bounds. Returns how long they are, and whether that is all
        of them."""
        weight, left = 0, max(self._nodes, _FEW)
        self._nodes -= left
        waiting = [value]
        while waiting and left:
            left -= 1
            node = waiting.pop()
            if isinstance(node, str):
                weight += weight_of(node)
                texts.append(node)
            elif isinstance(node, bool | int | float) or node is None:
                weight += _NUMBER_BYTES
                texts.append(f"{node:x}" if isinstance(node, int) else str(node))
            elif isinstance(node, list | tuple):
                many = cast("Sequence[object]", node)
                texts.append(f"[{len(many)}")
                waiting.extend(many[min(len(many), left) - 1 :: -1] if many else ())
            else:
                fields = fields_of(node)
                some = [item for item in islice(fields.items(), left) if item[0] not in _NO_CONTENT]
                names = [name for name, _ in some]
                texts.extend(names)
                weight += sum(map(len, names))
                waiting.extend([each for _, each in reversed(some)])
        self._nodes += left
        return weight, not waiting


def weight_of(text: str) -> int:
    """UTF-8 bytes of `text`; estimated from a sample of its characters unless it is ASCII."""
    length = len(text)
    if text.isascii():
        return length
    if length <= _SAMPLE:
        return len(text.encode("utf-8", "surrogatepass"))
    quarter, stride = _SAMPLE // 4, (length - _SAMPLE // 4) // 3
    some = "".join([text[at : at + quarter] for at in range(0, length, stride)][:4])
    return length * len(some.encode("utf-8", "surrogatepass")) // len(some)


def current_turn(messages: Sequence[object], is_users: Callable[[object], bool]) -> range:
    """Which of `messages` are the user's current turn: the last that are the user's own, in a row."""
    earliest = max(0, len(messages) - MOST_PIECES // 2)
    last = next(_backwards(messages, earliest, is_users), -1)
    first = last
    while first > earliest and is_users(messages[first - 1]):
        first -= 1
    return range(first, last + 1) if last >= 0 else range(0)


def _backwards(messages: Sequence[object], earliest: int, is_users: Callable[[object], bool]) -> Iterator[int]:
    return (index for index in range(len(messages) - 1, earliest - 1, -1) if is_users(messages[index]))
