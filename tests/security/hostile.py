"""What nobody honest would write into a spool or a price file: real lines and files, mutated."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

from taskmeter import _semconv

ESCAPES = "\x1b]8;;http://evil\x1b\\\x1b[31mred\x1b[0m\x9b2J\u202e\u2066\u200b\x07"
"""What a terminal would obey: a link, colours, a cleared screen, reversed text, what cannot be seen, a bell."""
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    -(2**63) - 1,
    2**63 - 1,
    10**400,
    float("nan"),
    float("inf"),
    1e300,
    -0.0,
    "",
    "-1",
    "1e400",
    "NaN",
    "Infinity",
    "9" * 5_000,
    "0." + "1" * 400,
    "a" * 10_000,
    "\ud800",
    "\x00",
    "=1+1",
    ESCAPES,
    "1_000",
    " 12",
    "\u0663",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    {"key": None},
    {"stringValue": {}},
    {"intValue": "x"},
    {"intValue": 1e400},
    {"doubleValue": "NaN"},
    {"arrayValue": {"values": {"a": 1}}},
    {"kvlistValue": {"values": [3]}},
    {"bytesValue": "!"},
)
NAMES = tuple(
    sorted(value for name, value in vars(_semconv).items() if name.isupper() and "." in value and name != "SPAN_KIND")
)
KINDS = ("task", "task", "step", "call", "tool", "charge", "attempt", "outcome", "else")
TIMES = ("0", "1790000000000000000", "1790000001000000000", str(2**63 - 1), str(-(2**63)), "-1")
PLAUSIBLE: tuple[tuple[str, Any], ...] = (
    ("stringValue", "1"),
    ("stringValue", "2"),
    ("stringValue", "0.5"),
    ("stringValue", "failed"),
    ("stringValue", "unpriced"),
    ("intValue", "7"),
    ("doubleValue", 0.25),
    ("boolValue", True),
    ("arrayValue", {"values": [{"stringValue": "stop"}]}),
)
SNIPPETS = (
    b"[" * 2_000,
    b'{"a":' * 2_000,
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x00",
    b"1" * 5_000,
    b"1e999999",
    b"-",
    b"NaN",
    b'"',
    b"\\",
    b"\\ud800",
    b"}",
    b"]",
    b",",
    b"\r",
    b'"traceId":"0",',
    b'"spans":[],',
    b'"resourceSpans":{},',
    b"\x1f\x8b\x08",
)


class Mutator:
    """Draws from `seed`: the same mutations on every run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def line(self, honest: list[bytes]) -> bytes:
        """One of the `honest` lines of JSON, mutated in its values, its bytes or both, without its newline."""
        draw = self.random
        line = draw.choice(honest).rstrip(b"\n")
        if draw.random() < 0.7:
            document = json.loads(line)
            for _ in range(draw.choice((1, 1, 2, 5))):
                self._replace(document)
            line = json.dumps(document).encode("utf-8", "surrogatepass")
        if draw.random() < 0.4:
            line = self.bytes(line)
        return line.replace(b"\n", b" ")

    def bytes(self, content: bytes) -> bytes:
        """`content` with some of its bytes changed, dropped, repeated or joined by a snippet."""
        draw = self.random
        for _ in range(draw.choice((1, 1, 2, 4))):
            at, to = sorted((draw.randint(0, len(content)), draw.randint(0, len(content))))
            match draw.randrange(5):
                case 0:
                    content = content[:at]
                case 1:
                    content = content[:at] + content[to:]
                case 2:
                    content = content[:to] + content[at : min(to, at + 4_096)] + content[to:]
                case 3:
                    content = content[:at] + draw.choice(SNIPPETS) + content[at:]
                case _:
                    content = content[:at] + bytes([draw.randrange(256)]) + content[at + 1 :]
        return content

    def spans(self, count: int) -> bytes:
        """A line of `count` spans with every attribute of ours, hostile or plausible, whose parents are each other."""
        draw, ids = self.random, [f"{number:016x}" for number in range(1, count + 1)]
        spans = [
            {
                "traceId": f"{draw.choice((1, 1, 1, 2)):032x}",
                "spanId": span_id,
                "parentSpanId": draw.choice(ids),
                "name": draw.choice(("chat gpt-5", "", ESCAPES, "a" * 10_000, "\ud800")),
                "startTimeUnixNano": draw.choice(TIMES),
                "endTimeUnixNano": draw.choice(TIMES),
                "attributes": [
                    {"key": "taskmeter.span.kind", "value": {"stringValue": draw.choice(KINDS)}},
                    *({"key": name, "value": self._value()} for name in NAMES if draw.random() < 0.4),
                ],
            }
            for span_id in ids
        ]
        document = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
        return json.dumps(document).encode("ascii")

    def _value(self) -> dict[str, Any]:
        draw = self.random
        kind, plausible = draw.choice(PLAUSIBLE)
        return {kind: deepcopy(draw.choice(VALUES)) if draw.random() < 0.3 else plausible}

    def _replace(self, document: Any) -> None:
        """One value somewhere in `document`."""
        draw, where = self.random, document
        while True:
            places = list(where) if isinstance(where, dict) else range(len(where)) if isinstance(where, list) else ()
            if not places:
                return
            place = draw.choice(places)
            inner = where[place]
            if not isinstance(inner, dict | list) or not inner or draw.random() < 0.15:
                where[place] = deepcopy(draw.choice(VALUES))
                return
            where = inner
