"""How a case is written down, and how the answers in it are."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

Body = dict[str, Any]

NONE: Final[Mapping[str, Any]] = {}

OPENAI: Final = "developers.openai.com/api/docs/pricing"
OPENAI_REGIONS: Final = "developers.openai.com/api/docs/guides/data-residency"
OPENAI_BACKGROUND: Final = "developers.openai.com/api/docs/guides/background"
ANTHROPIC: Final = "platform.claude.com/docs/en/about-claude/pricing"
REFUSALS: Final = "platform.claude.com/docs/en/build-with-claude/refusals-and-fallback"
ADVISOR: Final = "platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool"
COMPACTION: Final = "platform.claude.com/docs/en/build-with-claude/compaction"
CLOUDS: Final = "platform.claude.com/docs/en/about-claude/pricing#cloud-platform-pricing"
OPENROUTER: Final = "openrouter.ai/docs/use-cases/usage-accounting"
XAI: Final = "docs.x.ai/developers/cost-tracking"
PERPLEXITY: Final = "docs.perplexity.ai: schema of usage.cost"
LITELLM: Final = "docs.litellm.ai/docs/proxy/response_headers"
UNKNOWN: Final = "nobody publishes it"


@dataclass(frozen=True, slots=True)
class Case:
    """One answer and what it costs. All prices in `by` are USD per million tokens, or as it says."""

    name: str
    surface: str
    """Which method of which API is called: a name in `test_cases.SURFACES`."""
    answer: Any
    by: str
    """The derivation, as arithmetic: `M` is a million. Empty where there is no amount."""
    usd: str
    """What `by` comes to. Empty where there is no amount."""
    source: str
    """Who publishes the prices in `by`."""
    status: str = "exact"
    reason: str = ""
    """Part of the stated reason; for `exact` of any."""
    client: str = ""
    """A name in `test_cases.CLIENTS`; by default the provider's own."""
    model: str = ""
    """The model asked for; by default the one that answered."""
    request: Mapping[str, Any] = field(default_factory=lambda: NONE)
    headers: Mapping[str, str] = field(default_factory=lambda: NONE)
    """Of the answer."""
    at: str = "2026-11-22"
    by_provider: bool = False
    """Whether the amount is the provider's own word."""


def calculated(derivation: str) -> Decimal:
    """What a derivation comes to: numbers, `M` for a million, `+ - * /` and parentheses."""
    return _value(ast.parse(derivation, mode="eval").body, derivation)


def _value(node: ast.expr, text: str) -> Decimal:
    if isinstance(node, ast.Constant):
        return Decimal(ast.get_source_segment(text, node) or "")
    if isinstance(node, ast.Name):
        assert node.id == "M"
        return Decimal(1_000_000)
    assert isinstance(node, ast.BinOp)
    left, right = _value(node.left, text), _value(node.right, text)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    assert isinstance(node.op, ast.Div)
    return left / right


# --- OpenAI's answers


def chat(
    model: Any, prompt: int = 0, completion: int = 0, *, usage: Any = None, tier: Any = None, **details: int
) -> Body:
    """A chat completion. `details` are counts of the prompt, or with `out_` before their names of the completion."""
    stated = usage
    if usage is None:
        stated = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        if details:
            stated["prompt_tokens_details"] = _inner(details)
            stated["completion_tokens_details"] = _outer(details)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_305_600,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}],
        "usage": stated,
        "service_tier": tier,
        "system_fingerprint": None,
    }


def response(
    model: str, taken: int = 0, made: int = 0, *, items: Any = (), tier: Any = "default", usage: Any = None, **more: Any
) -> Body:
    """A Response. Of `more`, counts are details as for `chat`, and all else is the Response's own."""
    details = {name: value for name, value in more.items() if name.endswith(("_tokens", "_tokens_details"))}
    stated = usage
    if usage is None:
        stated = {"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made}
        stated["input_tokens_details"] = {"cached_tokens": 0, "cache_write_tokens": 0, **_inner(details)}
        stated["output_tokens_details"] = {"reasoning_tokens": 0, **_outer(details)}
    text = {"type": "output_text", "text": "Done.", "annotations": []}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_305_600,
        "status": "completed",
        "model": model,
        "output": [
            *items,
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]},
        ],
        "service_tier": tier,
        "usage": stated,
        **{name: value for name, value in more.items() if name not in details},
    }


def _inner(details: Mapping[str, Any]) -> Body:
    return {name: value for name, value in details.items() if not name.startswith("out_")}


def _outer(details: Mapping[str, Any]) -> Body:
    return {name.removeprefix("out_"): value for name, value in details.items() if name.startswith("out_")}


def embedding(model: str, prompt: int) -> Body:
    """An embedding."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    return {"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": prompt, "total_tokens": prompt}}


def image(usage: Any, **more: Any) -> Body:
    """An answer with one image."""
    return {"created": 1_795_305_600, "data": [{"b64_json": "aWNvbg=="}], "usage": usage, **more}


def drawn(text: int, images: int, made: int, **more: Any) -> Body:
    """The usage of an image: input text and images, and the image made."""
    return {
        "input_tokens": text + images,
        "output_tokens": made,
        "total_tokens": text + images + made,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
        **more,
    }


# --- Anthropic's answers


def message(model: str, taken: int = 0, made: int = 0, *, usage: Any = None, **more: Any) -> Body:
    """A message. Of `more`, `stop_reason` and the like are the message's own, and all else is in its usage."""
    own = {name: more.pop(name) for name in ("stop_reason", "stop_details", "container", "content") if name in more}
    stated = {"input_tokens": taken, "output_tokens": made, **more} if usage is None else usage
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "Done."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": stated,
        **own,
    }


def cached(read: int = 0, write_5m: int = 0, write_1h: int = 0) -> Body:
    """The part of a message's usage that tells of its cache."""
    return {
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
    }


def turn(kind: str, taken: int, made: int, model: str | None = None, **cache: Any) -> Body:
    """One of a message's iterations."""
    counts = {"input_tokens": taken, "output_tokens": made, **(cache or cached())}
    return {"type": kind, **counts} if model is None else {"type": kind, "model": model, **counts}
