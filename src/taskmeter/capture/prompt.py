"""What a request's prompt is made of: its pieces in the order in which they are billed, how long each is, and a
fingerprint of the whole. In bounded time, whatever the prompt: no text is encoded, copied or counted in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, cast

from taskmeter.account import Prompt, Segment
from taskmeter.account.marks import joined, mark, mark_of_all
from taskmeter.account.sent import Place, Sent
from taskmeter.capture.counts import fields_of
from taskmeter.capture.definitions import Definition, remember, remembered
from taskmeter.capture.tokens import weight_of
from taskmeter.records import Source

MOST_PIECES: Final = 256
"""Messages or content blocks in one list that are looked at: the first, the last, and some of those between, which
count for all of them."""
_MOST_IN_ALL: Final = 512
"""In all lists of one request; of further lists, `_FEW` each."""
_MOST_NODES: Final = 1024
"""Values in tool definitions and other structures that are looked at in one request; of further ones, `_FEW` each."""
_FEW: Final = 8
_MOST_SCANNED: Final = 1024 * 1024
"""Characters in which documents are looked for, over all documents, in the texts of one request."""
_SCANNED: Final = 64 * 1024
"""Characters at the beginning of one text in which a document is looked for."""
_LONGEST_WORD: Final = 256
"""Characters of who speaks that count."""
_NUMBER_BYTES: Final = 4
IMAGE_BYTES: Final = 4 * 1000
"""What an image weighs whose tokens are not stated: as much as 1000 tokens of text."""
FILE_BYTES: Final = 4 * 2000
"""Likewise for a file, of which neither pages nor text are seen."""

_NO_CONTENT: Final = frozenset({"cache_control", "call_id", "tool_call_id", "tool_use_id"})
"""Fields that say nothing to the model: what differs in them only is the same."""
_NEUTRAL: Final = frozenset(
    {
        *("background", "cache_control", "diagnostics", "metadata", "prompt_cache_key", "prompt_cache_retention"),
        *("safety_identifier", "service_tier", "store", "stream", "stream_options", "user", "user_profile_id"),
        "workspace_id",
    }
)
"""Parameters that do not change the answer, but only how it is delivered, billed or kept."""
_Kind = tuple[Source, bool, str]
_NOWHERE: Final[tuple[Place, ...]] = ()


class Walk:
    """One walk through a request; `sent` is what its task has sent before, if it has one."""

    __slots__ = (
        "_kinds",
        "_last",
        "_nodes",
        "_order",
        "_pieces",
        "_scans",
        "_sent",
        "_structures",
        "_texts",
        "_unseen",
        "_weights",
    )

    def __init__(self, sent: Sent | None = None) -> None:
        self._sent = sent
        self._kinds: list[_Kind] = []
        """What each segment is."""
        self._weights: list[int] = []
        self._last: _Kind | None = None
        """What the last one is, if more of the same may be added to it."""
        self._order: list[bytes] = []
        """Marks of all that decides the answer."""
        self._texts: list[tuple[bytes, tuple[Place, ...]]] = []
        """Marks of the texts, and which documents are in them."""
        self._pieces = _MOST_IN_ALL
        self._nodes = _MOST_NODES
        self._scans = _MOST_SCANNED
        self._structures: list[int] = []
        """How long those are that were looked at in full."""
        self._unseen: int | None = None

    def prompt(self, parameters: Mapping[str, object], *named: str) -> Prompt:
        """What was found; `parameters` are what else decides the answer, and so does what is `named`."""
        texts = list(named)
        for name, value in parameters.items():
            if name not in _NEUTRAL:
                texts.append(name)
                self._gather(value, texts)
        if self._sent is not None:
            self._sent.add(self._texts)
        segments = [
            Segment(source, weight, carried, label)
            for (source, carried, label), weight in zip(self._kinds, self._weights, strict=True)
        ]
        return Prompt(tuple(segments), joined((mark_of_all(texts), *self._order)), self._unseen)

    # --- pieces

    def text(self, source: Source, text: object) -> None:
        """A text."""
        if not isinstance(text, str) or not text:
            return
        found, sent, weight = mark(text), self._sent, weight_of(text)
        if sent is None:
            self._add(source, weight, found, carried=False)
            return
        places, document = sent.places(found), sent.document(found)
        if document is not None:
            self._add("documents", weight, found, carried=places is not None, label=document.label)
            return
        known = places is not None
        if places is None:
            places = self._places(text, sent)
        if places:
            self._divided(source, text, weight, found, places, carried=known)
        else:
            self._add(source, weight, found, carried=known)

    def structure(self, source: Source, value: object) -> None:
        """Anything else that is written out for the model, such as the arguments of a tool call."""
        if isinstance(value, str):
            self.text(source, value)
        elif value:
            self._add_known(source, *self._weighed(value))

    def words(self, source: Source, *words: object) -> None:
        """Short texts that belong together, such as the name and the arguments of a tool call."""
        texts = [word for word in words if isinstance(word, str)]
        self._add_known(source, sum(map(weight_of, texts)), mark_of_all(texts))

    def tool(self, definition: object) -> None:
        """The definition of a tool."""
        known = remembered(definition)
        if known is None:
            known = Definition(*self._weighed(definition))
            remember(definition, known)
        self._add_known("tools", known.weight, known.mark)

    def media(self, source: Source, value: object, weight: int, label: str = "") -> None:
        """What has a weight that its length does not tell: an image, sound, a file."""
        texts: list[str] = []
        self._gather(value, texts)
        self._add_known(source, weight, mark_of_all(texts), label)

    def unseen(self, name: object) -> None:
        """History that the provider keeps under `name`, and that comes before what is added next."""
        if self._unseen is None:
            self._unseen = len(self._weights)
            self._last = None
        self.said(name)

    def said(self, word: object) -> None:
        """What is no text of its own and still decides the answer: who speaks."""
        if isinstance(word, str):
            self._order.append(
                (word if len(word) <= _LONGEST_WORD else word[:_LONGEST_WORD]).encode("utf-8", "surrogatepass")
            )

    def each(self, pieces: Sequence[object], add: Callable[[int, object], None]) -> None:
        """Adds each of `pieces` by `add`, which gets its index; of very many, some of the middle for all of it."""
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
        count, before = last - first, len(self._weights)
        self._last = None
        for step in range(first):
            index = first + count * step // first
            add(index, pieces[index])
        self._weights[before:] = [weight * count // first for weight in self._weights[before:]]
        self._last = None
        self._order.append(b"%d" % count)

    # --- what they weigh, and whether they are known

    def _add_known(self, source: Source, weight: int, found: bytes, label: str = "") -> None:
        carried = self._sent is not None and self._sent.places(found) is not None
        self._add(source, weight, found, carried=carried, label=label)

    def _add(self, source: Source, weight: int, found: bytes, *, carried: bool, label: str = "") -> None:
        self._order.append(found)
        self._texts.append((found, _NOWHERE))
        self._put(source, weight, carried, label)

    def _put(self, source: Source, weight: int, carried: bool, label: str) -> None:  # noqa: FBT001 - called per piece
        kind = (source, carried, label)
        if self._last == kind:
            self._weights[-1] += weight
        else:
            self._last = kind
            self._kinds.append(kind)
            self._weights.append(weight)

    def _weighed(self, value: object) -> tuple[int, bytes]:
        """What a structure weighs, and its mark. One that is too much to look at weighs what others do on average."""
        texts: list[str] = []
        weight, whole = self._gather(value, texts)
        if whole:
            self._structures.append(weight)
        elif self._structures:
            weight = max(weight, sum(self._structures) // len(self._structures))
        return weight, mark_of_all(texts)

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
                some = [item for item in islice(fields_of(node).items(), left) if item[0] not in _NO_CONTENT]
                names = [name for name, _ in some]
                texts.extend(names)
                weight += sum(map(len, names))
                waiting.extend([each for _, each in reversed(some)])
        self._nodes += left
        return weight, not waiting

    # --- documents inside of longer texts

    def _places(self, text: str, sent: Sent) -> tuple[Place, ...]:
        """Where documents are in a text that was not sent before; of those that overlap, the first."""
        if not sent.shortest or len(text) <= sent.shortest:
            return ()
        most = min(len(text), _SCANNED)
        found: list[Place] = []
        for document in sent.newest_documents():
            if self._scans <= 0:
                break
            if document.length < len(text):
                self._scans -= most
                if (start := document.found_in(text, most)) >= 0:
                    found.append(Place(start, document))
        if len(found) > 1:
            found.sort(key=lambda place: place.start)
            found = [place for before, place in zip([None, *found], found, strict=False) if _is_behind(place, before)]
        return tuple(found)

    def _divided(
        self, source: Source, text: str, weight: int, found: bytes, places: Sequence[Place], *, carried: bool
    ) -> None:
        """A text with documents in it."""
        self._order.append(found)
        self._texts.append((found, tuple(places)))
        length, at = len(text), 0
        for start, document in places:
            if start > at:
                self._put(source, weight * (start - at) // length, carried, "")
            again = carried or (self._sent is not None and self._sent.places(document.mark) is not None)
            self._put("documents", weight * document.length // length, again, document.label)
            self._texts.append((document.mark, _NOWHERE))
            at = start + document.length
        if at < length:
            self._put(source, weight * (length - at) // length, carried, "")


def _is_behind(place: Place, before: Place | None) -> bool:
    return before is None or place.start >= before.end


def current_turn(messages: Sequence[object], is_users: Callable[[object], bool]) -> range:
    """Which of `messages` are the user's current turn: the last that are the user's own, in a row."""
    earliest = max(0, len(messages) - MOST_PIECES // 2)
    last = len(messages) - 1
    while last >= earliest and not is_users(messages[last]):
        last -= 1
    first = last
    while first > earliest and is_users(messages[first - 1]):
        first -= 1
    return range(first, last + 1) if last >= earliest else range(0)
