"""No text leaves the process: not in a span, not in the spool, not as a hash that a text can be guessed from."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from taskmeter import CostExporter, document, track_step, track_task, track_tool
from taskmeter.spool.write import SpoolExporter
from tests.capture.harness import CLAUDE, GPT
from tests.context.test_prompts import assistant, user
from tests.context.wire import Billed, Wire, wired

WORDS = ("quagga", "okapi", "numbat", "tenrec", "saiga", "quokka", "zorilla", "dugong", "axolotl", "kakapo", "gharial")
PLACES = (
    *("system", "question", "answer", "tool description", "tool schema", "tool arguments", "tool result", "image"),
    *("document", "document block", "instructions", "item", "claude", "stream", "tool argument", "error", "schema"),
    *("embedding", "parameter", "refused"),
)


def _text(number: int) -> str:
    """One of its own for each place, with what JSON escapes, and longer than what is hashed in full for some."""
    words = [WORDS[(number * 5 + at * (number + 3)) % len(WORDS)] for at in range(24)]
    text = f'{number:03}: "{"-".join(words)}" \\ löst das\n№ {number * 7919} 汉字'
    return text * (60 if number % 4 == 0 else 1)


SECRETS = {place: _text(number) for number, place in enumerate(PLACES, 1)}


def every_call(wire: Wire) -> None:
    """Every kind of text in every kind of request, answered, refused and streamed, in tools and in errors."""
    wire.answers(Billed(input=1000, cache_read=300, output=50, reasoning=20))
    s = SECRETS
    tool = {
        "type": "function",
        "function": {
            "name": "lookup",
            "description": s["tool description"],
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": s["tool schema"]}}},
        },
    }
    messages = [
        {"role": "system", "content": s["system"]},
        user(s["question"]),
        assistant(
            s["answer"],
            tool_calls=[
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "lookup", "arguments": json.dumps({"a": s["tool arguments"]})},
                }
            ],
        ),
        {"role": "tool", "tool_call_id": "call_1", "content": s["tool result"]},
        user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64(s['image'])}"}}]),
        user(f"Use {document(s['document'], 'kb')} for this."),
    ]
    lookup = track_tool("lookup")(_raises)
    with track_step("draft"):
        for _ in range(2):
            wire.chat(messages, tools=[tool], stop=[s["parameter"]], user="u", metadata={"k": "v"})
        wire.respond(
            [user(s["item"])],
            instructions=s["instructions"],
            text={"format": {"type": "json_schema", "name": "n", "schema": {"description": s["schema"]}}},
        )
        wire.openai.embeddings.with_raw_response.create(model=GPT, input=[s["embedding"]])
        stream = wire.openai.chat.completions.create(model=GPT, messages=[user(s["stream"])], stream=True)
        with stream, suppress(ValueError):
            list(stream)
        blocks = [
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": s["document block"]}}
        ]
        wire.message([user(blocks), user(s["claude"])])
        wire.traced_anthropic.messages.create(model=CLAUDE, max_tokens=9, messages=[user(s["claude"])])
        for raising in (lookup, _refused(wire)):
            with suppress(ValueError):
                raising(s["tool argument"])


def _raises(argument: str) -> None:
    raise ValueError(SECRETS["error"] + argument)


def _refused(wire: Wire) -> Any:
    def ask(_: str) -> None:
        with suppress(TypeError):
            wire.openai.chat.completions.create(model=GPT, messages=[user(SECRETS["refused"])], n={1})  # type: ignore[call-overload]

    return ask


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- what is searched for


def traces_of(text: str) -> Iterator[bytes]:
    """Parts of `text` in every form in which it may be written, and what its unsalted hashes look like."""
    parts = {text[at : at + 24] for at in range(0, min(len(text), 400) - 24, 7)} | {text[-24:], text}
    for part in parts:
        yield from _forms(part)
    for whole in _wholes(text):
        yield from _hashes(whole)


def _wholes(text: str) -> set[str]:
    """What may be hashed of it."""
    return {text, text.strip(), json.dumps(text), json.dumps(text, ensure_ascii=False), text[:8192], text[:1024]}


def _forms(part: str) -> Iterator[bytes]:
    raw = part.encode()
    yield raw
    yield json.dumps(part)[1:-1].encode()
    yield json.dumps(part, ensure_ascii=False)[1:-1].encode()
    yield json.dumps(json.dumps(part))[3:-3].encode()
    yield ascii(part)[1:-1].encode()
    yield raw.hex().encode()
    yield part.encode("utf-16-le")
    yield part[::-1].encode()
    for shift in range(3):  # base64 of a text of which this is a part
        yield base64.b64encode(raw[shift:])[:24]
        yield base64.urlsafe_b64encode(raw[shift:])[:24]


def _hashes(whole: str) -> Iterator[bytes]:
    raw = whole.encode()
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s"):
        digest = hashlib.new(name, raw).digest()
        yield from _digests(digest)
    for size in (4, 8, 16, 20, 32):
        yield from _digests(hashlib.blake2b(raw, digest_size=size).digest())


def numbers_of(text: str) -> Iterator[bytes]:
    """Checksums of `text`, which are so short that they may be a part of any number."""
    for whole in _wholes(text):
        raw = whole.encode()
        for number in (zlib.crc32(raw), zlib.adler32(raw), hash(whole), hash(whole) & (2**64 - 1), hash(raw)):
            yield str(abs(number)).encode()
            yield f"{abs(number):x}".encode()


def _digests(digest: bytes) -> Iterator[bytes]:
    """Also cut to 8 bytes, at either end, as hashes of this kind usually are."""
    for piece in (digest[:8], digest[-8:]):
        yield piece
        yield piece.hex().encode()
        yield base64.b64encode(piece)[:10]
        yield str(int.from_bytes(piece)).encode()
        yield str(int.from_bytes(piece, "little")).encode()


def leaks(data: bytes, places: Iterable[str] = PLACES) -> set[str]:
    """Those of `places` whose text left a trace in `data`."""
    lower = data.lower()
    words = set(re.findall(rb"\w+", lower))
    return {
        place
        for place in places
        if any(trace in data or trace.lower() in lower for trace in set(traces_of(SECRETS[place])))
        or not words.isdisjoint(numbers_of(SECRETS[place]))
    }


def exported(wire: Wire, spool: Path) -> bytes:
    """All that left: the spool's files, the spans with all that is on them, and the metrics."""
    files = b"".join(path.read_bytes() for path in spool.iterdir())
    spans = "".join(f"{span.name}{span.to_json()}{span.events}" for span in wire.meter.exporter.get_finished_spans())
    return files + spans.encode() + str(wire.meter.reader.get_metrics_data()).encode()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the program exported."""
    spool = tmp_path_factory.mktemp("spool")
    with wired() as wire:
        wire.meter.tracer_provider.add_span_processor(SimpleSpanProcessor(CostExporter(SpoolExporter(spool))))
        with track_task("t"):
            every_call(wire)
        return exported(wire, spool)


def test_the_program_was_measured(data: bytes) -> None:
    """What follows searches in the spans of these calls, shares, fingerprints and documents among them."""
    for name in (b"context.shares", b"call.fingerprint", b"documents/kb", b"context.carried_tokens", b"execute_tool"):
        assert data.count(name) >= 2, name
    assert len(data) > 20_000


def test_no_text_leaves_the_process(data: bytes) -> None:
    """Nor a part of one, in any encoding, nor an unsalted hash."""
    assert leaks(data) == set()


@pytest.mark.parametrize("place", ["system", "error", "document"])
def test_the_search_finds_what_leaks(data: bytes, place: str) -> None:
    """One trace is enough, wherever it is, whatever its form."""
    text = SECRETS[place]
    planted = [
        text[10:60].encode(),
        json.dumps({"a": text[5:90]}).encode(),
        base64.b64encode(text.encode()),
        base64.b64encode(b"x" + text.encode()),
        text.encode().hex().upper().encode(),
        hashlib.sha256(text.encode()).hexdigest()[:16].encode(),
        hashlib.sha1(text.encode(), usedforsecurity=False).digest(),
        hashlib.blake2b(text.encode(), digest_size=8).hexdigest().encode(),
        str(zlib.crc32(text.encode())).encode(),
        f"{hash(text):x}".encode(),
    ]
    for trace in planted:
        assert leaks(data[:5000] + b" " + trace + b" " + data[5000:9000], [place]), trace
