"""Every count that the installed SDKs can hand over is read, or is known to cost nothing by itself.

The counts are those of the SDKs' own types, so that a new version with a new one fails here, not on somebody's bill.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from pydantic import BaseModel

from taskmeter.capture.anthropic import Anthropic
from taskmeter.capture.openai import OpenAI
from taskmeter.capture.reading import Reading
from taskmeter.capture.session_usage import read_live_usage, read_session_response, read_transcription
from tests.capture.sdks import OLD

_OPENAI, _ANTHROPIC = OpenAI(), Anthropic()


def _answer(operation: str, **more: Any) -> Callable[[Any], Reading]:
    return lambda usage: _OPENAI.read({"usage": usage, **more}, operation, {})


def _beside(name: str, **more: Any) -> Callable[[Any], Reading]:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    return lambda found: _OPENAI.read({"usage": usage, name: found, **more}, "chat", {})


def _message(usage: Any) -> Reading:
    started = {"input_tokens": 0}  # by the start of a stream, which old SDKs' deltas do not repeat
    return _ANTHROPIC.read({"model": "m", "usage": {**started, **usage}}, "chat", {})


DRAWS = {"tools": [{"type": "image_generation", "model": "m"}], "output": [{"type": "image_generation_call"}]}
READERS: Final[dict[str, Callable[[Any], Reading]]] = {
    "openai.types.audio.": _answer("transcription"),
    "openai.types.images_response:Usage": _answer("image_generation"),
    "openai.types.image_": _answer("image_generation"),
    "openai.types.realtime.realtime_response_usage": lambda usage: read_session_response({"usage": usage}),
    "openai.types.beta.realtime.realtime_response_usage": lambda usage: read_session_response({"usage": usage}),
    "openai.types.realtime.conversation": lambda usage: read_transcription({"usage": usage}),
    "openai.types.beta.realtime.conversation": lambda usage: read_transcription({"usage": usage}),
    "openai.types.live.session_usage": lambda usage: read_live_usage(usage) or Reading(),
    "openai.types.responses.response:ToolUsage": _beside("tool_usage", **DRAWS),
    "openai.types.beta.beta_response:ToolUsage": _beside("tool_usage", **DRAWS),
    "openai.types.images_response:SvgUsage": _beside("svg_usage"),
    "openai.types.": _answer("chat"),
    "anthropic.types.": _message,
}
"""How a usage is read, by the beginning of its class's name; the first that fits."""

NOT_OURS: Final[dict[str, str]] = {
    r"openai\.types\.admin\.|anthropic\.types\.(beta\.)?organization\.": "reports about other calls",
    r"openai\.types\.evals\.": "evaluations run at the provider, and are not calls of this program",
    r"openai\.types\.batch_usage": "the sum over a batch, whose items are read one by one",
    r"openai\.types\.beta\.token_usage": "of agents that run at the provider: best effort, by its own word",
    r"openai\.types\.beta\.threads\.runs\.run_step": "parts of what the run states",
    r"openai\.types\.(conversations\.|.*response_input_item|.*response_item)": "items of a Response",
    r"anthropic\.types\.beta\.beta_dream_usage": "dreams run at the provider, and are not calls of this program",
    r"anthropic\.types\.beta\.(sessions\.)?beta_managed_agents_session": "the sum over requests that are read",
}
"""Usages that are not those of a call, and why."""

NO_CHARGE: Final[dict[str, str]] = {
    r"text_tokens$": "what no other part of its total covers, so is charged as the rest",
    r"cached_text_tokens$": "the rest of the cached tokens",
    r"(accepted|rejected)_prediction_tokens$": "inside the completion tokens, at their price",
    r"web_fetch_requests$": "free",
    r"cache_creation\.ephemeral_5m_input_tokens$": "what is written lives 5 minutes unless said otherwise",
    r"^active_seconds$": "what is left of the total without the paused seconds",
    r"ttl_30m_tokens$": "what is written lives 30 minutes unless said otherwise",
}
"""Counts that change nothing alone, and why."""

_COUNT = re.compile(r"tokens|requests|seconds|searches|queries|characters|images$|^num_")


def _models(package: str) -> Iterator[type[BaseModel]]:
    root = importlib.import_module(f"{package}.types")
    for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
        for found in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(found) and issubclass(found, BaseModel) and found.__module__ == module.name:
                yield found


def _in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a value of that type may be."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _in(inner)


def _usages(package: str) -> list[tuple[str, type[BaseModel]]]:
    found = {
        f"{kind.__module__}:{kind.__qualname__}": kind
        for model in _models(package)
        for name, field in model.model_fields.items()
        if name.endswith("usage")
        for kind in _in(field.annotation)
    }
    return sorted((name, kind) for name, kind in found.items() if not any(re.match(each, name) for each in NOT_OURS))


def _blank(kind: type[BaseModel]) -> dict[str, Any]:
    """A usage of that class that says 0 of everything."""
    blank: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        inner = next(_in(field.annotation), None)
        if _COUNT.search(name) and inner is None:
            blank[name] = 0
        elif inner is not None and name != "iterations":
            blank[name] = _blank(inner)
        elif name in ("model", "type"):
            blank[name] = "m" if name == "model" else "tokens"
    return blank


def _counts(blank: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    for name, value in blank.items():
        if isinstance(value, dict):
            yield from _counts(value, *path, name)
        elif value == 0:
            yield (*path, name)


def _with(blank: dict[str, Any], path: tuple[str, ...], count: int) -> dict[str, Any]:
    changed = copy.deepcopy(blank)
    level = changed
    for name in path[:-1]:
        level = level[name]
    level[path[-1]] = count
    return changed


CASES = [
    (name, ".".join(path), _blank(kind))
    for package in ("openai", "anthropic")
    for name, kind in _usages(package)
    for path in _counts(_blank(kind))
]


@pytest.mark.parametrize(("usage", "count", "blank"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_count_is_read(usage: str, count: str, blank: dict[str, Any]) -> None:
    """A count makes a difference to what is read, and not by being unknown; else there is a reason why it does not."""
    read = next(reader for start, reader in READERS.items() if usage.startswith(start))
    before, after = read(blank), read(_with(blank, tuple(count.split(".")), 7))
    assert "not known here" not in after.gap
    assert before != after or any(re.search(each, count) for each in NO_CHARGE)


def test_the_types_are_found() -> None:
    """The walk finds the usages that there have been for long."""
    found = {usage.rpartition(".")[2] for usage, _, _ in CASES}
    assert {
        "completion_usage:CompletionUsage",
        "response_usage:ResponseUsage",
        "usage:Usage",
        "beta_usage:BetaUsage",
    } <= found
    assert len(CASES) > (30 if OLD else 100)
