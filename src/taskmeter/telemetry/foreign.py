"""What a span that another library wrote says of a call, if it pictures one."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from opentelemetry.trace import StatusCode

from taskmeter.pricing import PriceContext, as_estimate, price
from taskmeter.records import Part, Priced, Usage
from taskmeter.telemetry import foreign_names as says

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_LONGEST_BLOB: Final = 20_000
_MAX_COUNT: Final = 2**53
_Attributes = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A call as somebody else's span tells it."""

    source: str
    """The instrumentation scope that wrote the span."""
    operation: str
    provider: str
    """OpenTelemetry's name of who answered, or the price data's; empty if nobody says."""
    request_model: str
    model: str
    """The model that answered, else the one that was asked for."""
    start_ns: int
    end_ns: int
    usage: Usage | None
    """`None` where it states none."""
    doubt: str = ""
    """Why its counts may not be the provider's; empty when they are."""
    response_id: str | None = None
    variants: tuple[tuple[str, str], ...] = ()
    failed: bool = False

    @property
    def counts(self) -> tuple[int, int] | None:
        """Input and output tokens; `None` where they are not stated."""
        return None if self.usage is None else (self.usage.input_tokens, self.usage.output_tokens)

    def price(self) -> Priced | None:
        """What it cost; `None` for a call that failed and states no usage."""
        if self.usage is None:
            return None if self.failed else Priced("unpriced", reason="the span states no usage")
        provider, doubt = self.provider, self.doubt
        if provider in says.NO_PROVIDERS:
            name = self.model.rpartition("/")[2]
            provider = next((whose for prefix, whose in says.MODEL_PREFIXES.items() if name.startswith(prefix)), "")
            doubt = "; ".join(filter(None, (doubt, f"nobody says who answered: priced as {provider}'s")))
        priced = price(self.usage, PriceContext(provider, self.model, self.start_ns, self.variants))
        return as_estimate(priced, doubt) if doubt else priced


def read(span: ReadableSpan) -> ForeignCall | None:
    """The call that `span`, which has ended, pictures; `None` for any other: an agent, a chain, a tool, a request."""
    attributes: _Attributes = span.attributes or {}
    source = span.instrumentation_scope.name if span.instrumentation_scope is not None else ""
    kind = _kind(attributes, source)
    if kind is None or not span.start_time or not span.end_time:
        return None
    request_model, response_model = _text(attributes, says.REQUEST_MODEL), _text(attributes, says.RESPONSE_MODEL)
    provider = _text(attributes, says.PROVIDER).lower()
    usage, doubt = _usage(attributes, source, provider)
    if usage is None and not kind:
        return None
    if not (request_model or response_model):
        return None
    tier = _text(attributes, says.TIER)
    return ForeignCall(
        source=source,
        operation=_operation(attributes),
        provider=says.PROVIDERS.get(provider, provider),
        request_model=request_model or response_model,
        model=response_model or request_model,
        start_ns=span.start_time,
        end_ns=span.end_time,
        usage=usage,
        doubt=doubt,
        response_id=_text(attributes, says.RESPONSE_ID) or None,
        variants=(("service_tier", tier),) if tier else (),
        failed=span.status.status_code is StatusCode.ERROR,
    )


def _kind(attributes: _Attributes, source: str) -> str | None:
    """What says that it is a call; empty where only a usage can tell; `None` for what is none."""
    if says.COPIED in attributes and source != says.COPIER:
        return None
    said = ""
    for name, calls in says.KINDS.items():
        kind = attributes.get(name)
        if kind is not None and kind not in calls:
            return None
        said = said or str(kind or "")
    operation = _text(attributes, (says.OPERATION,))
    if operation in says.NO_CALL_OPERATIONS:
        return None
    return said or _text(attributes, (says.REQUEST_TYPE,)) or (operation if operation in says.CALL_OPERATIONS else "")


def _operation(attributes: _Attributes) -> str:
    stated = _text(attributes, (says.OPERATION,))
    kinds = [str(attributes.get(name, "")).lower() for name in (*says.KINDS, says.REQUEST_TYPE)]
    return stated or ("embeddings" if any("embedding" in kind for kind in kinds) else "chat")


def _usage(attributes: _Attributes, source: str, provider: str) -> tuple[Usage | None, str]:
    """The counts as disjoint parts, and a doubt if the writer may have left some out, or counted some twice."""
    stated_input, stated_output = _count(attributes, says.INPUT), _count(attributes, says.OUTPUT)
    if stated_input is None and stated_output is None:
        return None, ""
    found = _Details.stated(attributes)
    blob = _blob(attributes)
    if blob is not None:
        found = found.or_else(_Details.kept(blob))
    input_tokens, output_tokens = stated_input or 0, stated_output or 0
    total = _count(attributes, says.TOTAL) or 0
    cached = found.cache_read + found.cache_write
    doubt = ""
    if source.startswith(says.SAYS_NOTHING_OF_CACHED) and not cached and blob is None:
        doubt = f"{source} does not state cached tokens"
    elif source == "opentelemetry.instrumentation.langchain" and provider == "anthropic" and not found.cache_write:
        doubt = f"{source} leaves out tokens written to the cache"
    added = cached > input_tokens or (bool(cached) and total == input_tokens + output_tokens + cached)
    if cached and (added or source.startswith(says.LEAVES_OUT_CACHED)):
        input_tokens += cached
    elif cached and not source.startswith(says.INCLUDES_CACHED):
        doubt = f"{source or 'its writer'} does not say whether its input count includes cached tokens"
    elif total > input_tokens + output_tokens:
        doubt = "its counts do not add up to the total: the rest taken for reasoning"
        found = replace(found, reasoning=found.reasoning + total - input_tokens - output_tokens)
        output_tokens = total - input_tokens
    tokens, excess = found.parts(input_tokens, output_tokens)
    return Usage(tokens), doubt or excess


@dataclass(frozen=True, slots=True)
class _Details:
    """What of the totals has a price of its own."""

    cache_read: int = 0
    cache_write: int = 0
    """Those written for an hour included."""
    cache_write_1h: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0

    @classmethod
    def stated(cls, attributes: _Attributes) -> _Details:
        """By attributes."""
        return cls(
            cache_read=_count(attributes, says.CACHE_READ) or 0,
            cache_write=_count(attributes, says.CACHE_WRITE) or 0,
            cache_write_1h=_count(attributes, says.CACHE_WRITE_1H) or 0,
            reasoning=_count(attributes, says.REASONING) or 0,
            input_audio=_count(attributes, says.INPUT_AUDIO) or 0,
            output_audio=_count(attributes, says.OUTPUT_AUDIO) or 0,
        )

    @classmethod
    def kept(cls, blob: Mapping[str, object]) -> _Details:
        """In what a library kept of the provider's own words."""
        lasting = _deep_count(blob, says.BLOB_CACHE_WRITE_1H)
        by_lifetime = lasting + _deep_count(blob, says.BLOB_CACHE_WRITE_5M)
        return cls(
            cache_read=_deep_count(blob, says.BLOB_CACHE_READ),
            cache_write=max(_deep_count(blob, says.BLOB_CACHE_WRITE), by_lifetime),
            cache_write_1h=lasting,
            reasoning=_deep_count(blob, says.BLOB_REASONING),
        )

    def or_else(self, other: _Details) -> _Details:
        """Field by field, `other` where this says 0."""
        return _Details(*(getattr(self, name) or getattr(other, name) for name in self.__slots__))

    def parts(self, input_tokens: int, output_tokens: int) -> tuple[dict[Part, int], str]:
        """Both totals, inclusive, as parts; and a doubt where the parts are more."""
        lasting = min(self.cache_write_1h, self.cache_write)
        plain_input = input_tokens - self.cache_read - self.cache_write - self.input_audio
        plain_output = output_tokens - self.reasoning - self.output_audio
        tokens: dict[Part, int] = {
            "input": max(plain_input, 0),
            "cache_read": self.cache_read,
            "cache_write": self.cache_write - lasting,
            "cache_write_1h": lasting,
            "input_audio": self.input_audio,
            "output": max(plain_output, 0),
            "reasoning": self.reasoning,
            "output_audio": self.output_audio,
        }
        doubt = "parts of its counts add up to more than the whole" if min(plain_input, plain_output) < 0 else ""
        return {part: count for part, count in tokens.items() if count}, doubt


def _blob(attributes: _Attributes) -> Mapping[str, object] | None:
    """The provider's own usage, where the library kept it; `None` if it did not, or nobody can read it."""
    text = _text(attributes, says.BLOBS)
    if not text or len(text) > _LONGEST_BLOB:
        return None
    for decode in (json.loads, ast.literal_eval):
        try:
            found = decode(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, dict):
            return cast("Mapping[str, object]", found)
    return None


def _deep_count(blob: Mapping[str, object], paths: Iterable[tuple[str, ...]]) -> int:
    """The first count at one of `paths` that is not 0; else 0."""
    for path in paths:
        found: object = blob
        for name in path:
            found = cast("Mapping[str, object]", found).get(name) if isinstance(found, dict) else None
        if count := _as_count(found):
            return count
    return 0


def _count(attributes: _Attributes, names: Iterable[str]) -> int | None:
    """The count under the first of `names` that has one."""
    return next((count for name in names if (count := _as_count(attributes.get(name))) is not None), None)


def _as_count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_COUNT:
        return None
    return int(value)


def _text(attributes: _Attributes, names: Iterable[str]) -> str:
    """The first string under `names` that is not empty; else an empty one."""
    return next((value for name in names if isinstance(value := attributes.get(name), str) and value), "")
