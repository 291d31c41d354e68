"""What a message says of its usage, whoever made which part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskmeter.capture.counts import fields_of, is_count, no_count, parts_of, split, total_of
from taskmeter.capture.reading import NO_FIELDS, Portion, Reading, field, items, text_field
from taskmeter.records import Part, Usage

VARIANTS: Final = ("service_tier", "speed", "inference_geo")
"""What a usage says of how the message was made, and a request may ask for."""
_USAGE: Final[Mapping[str, Part | None]] = {
    "input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write_5m",
    "cache_creation": None,
    "output_tokens": None,
    "output_tokens_details": None,
    "server_tool_use": None,
    "iterations": None,
    "fallback_credit": None,
    "service_tier": None,
    "speed": None,
    "inference_geo": None,
    "model": None,
    "type": None,
    # OpenRouter's, which speaks both APIs: see `stated`.
    "cost": None,
    "cost_details": None,
    "is_byok": None,
}
_WRITTEN: Final[Mapping[str, Part | None]] = {
    "ephemeral_5m_input_tokens": "cache_write_5m",
    "ephemeral_1h_input_tokens": "cache_write_1h",
}
_OUTPUT: Final[Mapping[str, Part | None]] = {"thinking_tokens": "reasoning"}
_TOOLS: Final[Mapping[str, Part | None]] = {
    "web_search_requests": None,
    "web_fetch_requests": None,  # free
}
_BILLED_REFUSALS: Final = frozenset({"bio", "frontier_llm", "reasoning_extraction"})
"""Categories in which a refusal is billed although nothing was put out. Others are not (as of September 2026)."""
_FREE_CODE: Final = ("web_search_2026", "web_fetch_2026")
"""Tools beside which code runs free of charge."""
_NOT_BILLED: Final = "a refusal before any output is not billed"


def read_message(message: Mapping[str, object], request: Mapping[str, object]) -> Reading:
    """A message, or as much of one as a stream told: `message` has its fields."""
    usage = fields_of(message.get("usage"))
    model, reason = text_field(message, "model"), text_field(message, "stop_reason")
    wrong: list[str] = []
    doubts: list[str] = []
    tokens = _tokens(usage, wrong, doubts)
    fees = _fees(message, usage, request, wrong)
    billed = None if tokens is None else Usage(tokens, fees)
    portions: tuple[Portion, ...] = ()
    free = _NOT_BILLED if reason == "refusal" and _declined(tokens, field(message, "stop_details", "category")) else ""
    if usage.get("iterations") and billed is not None:
        found = _portions(message, usage, fees, wrong, doubts)
        if found is not None:
            portions, billed, free = found, Usage(), "" if found else _NOT_BILLED
            for portion in portions:
                billed += portion.usage
    if text_field(usage, "fallback_credit", "status", "type") == "redeemed" and billed and billed.cache_write_tokens:
        doubts.append("a fallback credit may have repriced its cache writes")
    return Reading(
        usage=billed,
        model=model,
        response_id=text_field(message, "id"),
        finish_reasons=(reason,) if reason else (),
        variants=_variants(usage),
        doubt="; ".join(doubts),
        gap="; ".join(wrong),
        portions=portions if len(portions) > 1 or any(each.model != model for each in portions) else (),
        costs=usage if "cost" in usage else NO_FIELDS,
        free=free,
    )


def _tokens(usage: Mapping[str, object], wrong: list[str], doubts: list[str]) -> dict[Part, int] | None:
    """Counts as disjoint parts. Anthropic's `input_tokens` leaves out both cache counts."""
    if not is_count(usage.get("input_tokens")):
        return None
    parts = parts_of(usage, _USAGE, wrong)
    if (breakdown := usage.get("cache_creation")) is not None:
        _split_written(parts, parts_of(fields_of(breakdown), _WRITTEN, wrong), wrong, doubts)
    if usage.get("output_tokens") is None:
        wrong.append("the response states no output count")
    made = parts_of(fields_of(usage.get("output_tokens_details")), _OUTPUT, wrong)
    return parts | split(total_of(usage, "output_tokens", wrong), "output", made, wrong)


def _split_written(parts: dict[Part, int], stated: dict[Part, int], wrong: list[str], doubts: list[str]) -> None:
    """Tells the cache writes by their time to live; without a breakdown they live 5 minutes."""
    left = parts.pop("cache_write_5m", 0) - sum(stated.values())
    if left < 0:
        wrong.append(f"cache writes by time to live are {-left} more than all cache writes")
    elif left > 0:
        if stated:
            doubts.append(f"the time to live of {left} cache writes is not stated: taken for 5 minutes")
        stated["cache_write_5m"] = stated.get("cache_write_5m", 0) + left
    parts |= stated


def _fees(
    message: Mapping[str, object], usage: Mapping[str, object], request: Mapping[str, object], wrong: list[str]
) -> dict[str, int]:
    """What is billed beside tokens: searches, and the time of a container that code ran in."""
    fees: dict[str, int] = {}
    if (tools := usage.get("server_tool_use")) is not None:
        counts = fields_of(tools)
        parts_of(counts, _TOOLS, wrong)
        searches = counts.get("web_search_requests")
        if is_count(searches):
            if searches:
                fees["web_search"] = searches
        elif searches is not None:
            wrong.append(no_count("web_search_requests", searches))
    if message.get("container") is not None and not any(
        (text_field(tool, "type") or "").startswith(_FREE_CODE) for tool in items(request.get("tools"))
    ):
        fees["code_execution"] = 1
    return fees


def _portions(
    message: Mapping[str, object],
    usage: Mapping[str, object],
    fees: dict[str, int],
    wrong: list[str],
    doubts: list[str],
) -> tuple[Portion, ...] | None:
    """The attempts and turns that made the message, as far as they are billed, each to be priced by itself; `None` if
    one cannot be read. The totals leave out compaction, advisors and the models that declined."""
    iterations = items(usage.get("iterations"))
    served = text_field(message, "model")
    portions: list[Portion] = []
    for place, iteration in enumerate(iterations):
        tokens = _tokens(fields_of(iteration), wrong, doubts)
        if tokens is None:
            wrong.append("an iteration states no tokens")
            return None
        model = text_field(iteration, "model") or served
        last = place == len(iterations) - 1
        category = field(message, "stop_details", "category") if last else _category(message, model)
        declined = text_field(message, "stop_reason") == "refusal" if last else category is not _NO_FALLBACK
        if not (declined and _declined(tokens, category)):
            portions.append(Portion(Usage(tokens), model))
    if portions and fees:
        portions[0] = Portion(Usage(portions[0].usage.tokens, fees), portions[0].model)
    return tuple(portions)


_NO_FALLBACK: Final = object()


def _category(message: Mapping[str, object], model: str | None) -> object:
    """Why `model` declined and another went on, by the block that marks it; `_NO_FALLBACK` if it did not decline."""
    for block in items(message.get("content")):
        if text_field(block, "type") == "fallback" and _left(block) == model:
            return field(block, "trigger", "category")
    return _NO_FALLBACK


def _left(block: object) -> str | None:
    """The model that a `fallback` block leaves. `from` is no name for a field of a class."""
    return text_field(block, "from_", "model") or text_field(block, "from", "model")


def _declined(tokens: Mapping[Part, int] | None, category: object) -> bool:
    """Whether a refusal put nothing out, in a category that is then not billed."""
    made_nothing = tokens is not None and "output" not in tokens and "reasoning" not in tokens
    return made_nothing and category not in _BILLED_REFUSALS


def _variants(usage: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """What is said of the service tier, speed and geography, in the price data's words."""
    found = [
        ("processing" if value == "batch" else name, value)
        for name in VARIANTS
        if isinstance(value := usage.get(name), str) and value
    ]
    return tuple(sorted(found)) if len(found) > 1 else tuple(found)
