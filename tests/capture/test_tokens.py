"""Estimates by tiktoken, where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tiktoken
import tiktoken.registry

import taskmeter
from taskmeter.capture import tokens
from taskmeter.demo.stub import openai_chat
from taskmeter.errors import ConfigurationError
from tests.capture import programs as p
from tests.capture.harness import GPT, Meter, attributes, run_metered


@pytest.fixture
def per_byte(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real tiktoken encoding that needs no file: one token per byte."""
    encoding = tiktoken.Encoding(
        "per_byte", pat_str=r".", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={}
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "per_byte", encoding)
    yield "per_byte"
    tokens.use_tokenizer(None)


def test_requests_are_counted_by_the_encoding(meter: Meter, per_byte: str) -> None:
    """A server that states no usage: input by tiktoken, output by bytes, and the label says so."""
    body: Any = {key: value for key, value in openai_chat(GPT, "x" * 40).items() if key != "usage"}
    by_bytes = run_metered(p.chat, (body,), Meter()).task.usage
    tokens.use_tokenizer(per_byte)
    counted = run_metered(p.chat, (body,), meter).task.usage
    assert by_bytes.input_tokens == -(-counted.input_tokens // 4)
    assert counted.input_tokens > by_bytes.input_tokens
    assert counted.output_tokens == by_bytes.output_tokens
    span = meter.spans("call")[-1]
    assert attributes(span)["taskmeter.cost.status"] == "estimated"
    assert "input by per_byte, output as UTF-8 bytes / 4" in str(attributes(span)["taskmeter.cost.status.reason"])


def test_an_encoding_that_does_not_exist_is_refused() -> None:
    """The message shows the name and one that works; the setting stays what it was."""
    with pytest.raises(ConfigurationError, match=r"tokenizer='o300k' cannot be loaded.*try 'o200k_base'"):
        taskmeter.instrument(tokenizer="o300k")
    assert tokens.how() == "estimated as UTF-8 bytes / 4"
