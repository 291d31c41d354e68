"""A price file is untrusted, too: whatever is in it, it is taken, or refused with `ConfigurationError`."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmeter import pricing
from taskmeter.errors import ConfigurationError
from taskmeter.records import Usage
from tests.security.hostile import Mutator

HONEST = b"""
[currency]
EUR = "1.08"

[hosts]
"*.example.com" = "openai"

[[list]]
id = "own model"
provider = "openai"
model = ["house-*", "gpt-5-mini"]
from = 2026-01-01
until = 2027-01-01
set = { input = "0.25", output = { base = "2", above = { 200000 = "4" } } }
fee.web_search = { price = "10", per = 1000 }
derive = { cache_read = { from = "input", times = "0.1" } }

[[contract]]
provider = "*"
model = "*"
multiply = { input = "0.9" }
currency = "EUR"

[[commitment]]
model = "gpt-*"
multiply = { output = "0.8" }

[[alias]]
provider = "azure*"
model = "prod-*"
to = "gpt-{1}"

[tools]
lookup = { cost = "0.002", unit = "query", per = 1000, category = "retrieval" }
"maps.*" = { cost = "0.5" }

[rates]
human_per_hour = "60"
"""
NOW = 1_780_000_000_000_000_000
SNIPPETS = (
    b'"1e400"',
    b"nan",
    b"-inf",
    b"9" * 400,
    b"1e-400",
    b"[[list]]\n",
    b"a." * 500,
    b"[" * 400,
    b"{a=" * 400,
    b'"\\u0000"',
    b"\xff",
    b"1979-05-27T07:32:00Z",
    b'model = "' + b"*a" * 40 + b'"\n',
    b"true",
    b"''''''",
    b"\r",
    b"\x1b[31m",
)


@pytest.fixture(autouse=True)
def shipped_prices_afterwards() -> Iterator[None]:
    yield
    pricing.use(None)


def mutated(mutator: Mutator) -> bytes:
    """The honest file, mutated in its bytes or in its lines."""
    draw, content = mutator.random, HONEST
    for _ in range(draw.choice((1, 1, 2, 4))):
        lines = content.split(b"\n")
        at = draw.randrange(len(lines))
        match draw.randrange(5):
            case 0:
                lines[at] = lines[at].partition(b"=")[0] + b"= " + draw.choice(SNIPPETS)
            case 1:
                lines.insert(at, lines[draw.randrange(len(lines))])
            case 2:
                del lines[at]
            case 3:
                lines.insert(at, draw.choice(SNIPPETS))
            case _:
                lines[at] = mutator.bytes(lines[at])
        content = b"\n".join(lines)
    return content


def fuzz(file: Path, inputs: int, *, seed: int) -> Counter[str]:
    """What became of `inputs` mutated files: prices are asked of those that are taken."""
    mutator, became = Mutator(seed), Counter[str]()
    for _ in range(inputs):
        file.write_bytes(mutated(mutator))
        refusal = ""
        try:
            pricing.use(file)
        except ConfigurationError as error:
            refusal = str(error)
            became["refused"] += 1
        assert len(refusal) < 5_000
        if not refusal:
            pricing.tool_price("maps.search")
            pricing.price(Usage({"input": 1_000, "output": 10}), pricing.PriceContext("openai", "house-1", NOW))
            became["taken"] += 1
    return became


def test_fuzzed_price_files(tmp_path: Path) -> None:
    """300 mutated files: only `ConfigurationError` leaves the loader, with a message of bounded length."""
    became = fuzz(tmp_path / "taskmeter.toml", 300, seed=1)
    assert became["refused"] > 50
    assert became["taken"] > 20


@pytest.mark.fuzz
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_10_000_fuzzed_price_files(seed: int, tmp_path: Path) -> None:
    """Ten times the same with 10,000, in memory that does not grow."""
    fuzz(tmp_path / "taskmeter.toml", 1_000, seed=seed + 100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    became = fuzz(tmp_path / "taskmeter.toml", 10_000, seed=seed)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sys.stderr.write(f"10,000 price files: {dict(became)}, {grown:.0f} MiB grown\n")
    assert grown < 100
