"""What the calls of one task have sent so far, as marks: which texts are sent again, and which are documents."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from taskmeter.account.marks import mark

MOST_MARKS: Final = 4096
"""Texts of one task that are known again; the oldest are forgotten first."""
MOST_DOCUMENTS: Final = 256
"""Likewise, documents."""
_PROBE: Final = 48
"""Characters of a document's beginning, middle and end that are kept to find it inside a longer text."""
_LOOKS: Final = 4
"""Places in one text that may begin like a document and not be it."""


class Document(NamedTuple):
    """A document that the application marked."""

    label: str
    """Where it is from, in the application's words."""
    length: int
    """Characters."""
    mark: bytes
    beginning: str
    middle: str
    end: str

    def found_in(self, text: str, most: int) -> int:
        """Where in the first `most` characters of `text` it is; -1 for nowhere. By its length and three probes."""
        at = text.find(self.beginning, 0, most)
        for _ in range(_LOOKS):
            if at < 0 or at + self.length > len(text):
                return -1
            ends = text.startswith(self.end, at + self.length - len(self.end))
            if ends and text.startswith(self.middle, at + self.length // 2):
                return at
            at = text.find(self.beginning, at + 1, most)
        return -1


class Place(NamedTuple):
    """Where a document is in a text."""

    start: int
    document: Document

    @property
    def end(self) -> int:
        """Behind its last character."""
        return self.start + self.document.length


class Sent:
    """Of one task. Thread-safe; dropped with the task."""

    __slots__ = ("_documents", "_lock", "_texts", "shortest")

    def __init__(self) -> None:
        self._texts: dict[bytes, tuple[Place, ...]] = {}
        """The documents in each text. The last sent are the last."""
        self._documents: dict[bytes, Document] = {}
        self._lock = threading.Lock()
        self.shortest = 0
        """Characters of the shortest document; 0 for no document."""

    def places(self, text_mark: bytes) -> tuple[Place, ...] | None:
        """Which documents a text is known to contain; `None` for a text that was not sent."""
        return self._texts.get(text_mark)

    def add(self, texts: Iterable[tuple[bytes, tuple[Place, ...]]]) -> None:
        """These are sent now."""
        with self._lock:
            for text_mark, places in texts:
                self._texts.pop(text_mark, None)
                self._texts[text_mark] = places
            while len(self._texts) > MOST_MARKS:
                self._texts.pop(next(iter(self._texts)))

    def document(self, text_mark: bytes) -> Document | None:
        """The document that a text is."""
        return self._documents.get(text_mark)

    def add_document(self, text: str, label: str) -> None:
        """`text` is a document."""
        length, middle = len(text), len(text) // 2
        probes = text[:_PROBE], text[middle : middle + _PROBE], text[-_PROBE:]
        document = Document(label, length, mark(text), *probes)
        with self._lock:
            self._documents.pop(document.mark, None)
            self._documents[document.mark] = document
            if len(self._documents) > MOST_DOCUMENTS:
                self._documents.pop(next(iter(self._documents)))
            self.shortest = min(self.shortest or length, length)

    def newest_documents(self) -> Iterator[Document]:
        """Those that were marked last come first."""
        with self._lock:
            documents = list(self._documents.values())
        return reversed(documents)


class _Measuring:
    def __init__(self) -> None:
        self.on = True


_measuring = _Measuring()


def use_context(*, on: bool) -> None:
    """Whether prompts are measured from now on."""
    _measuring.on = on


def measures_context() -> bool:
    """Whether prompts are measured."""
    return _measuring.on
