"""The hooks of an HTTP client's responses, whose bodies are read and closed without the SDK's own classes as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskmeter._guard import Breaker, guarded
from taskmeter.capture.batches import BatchRead
from taskmeter.capture.streams import Begun, held_by, observed, observed_async

HTTP_CLOSES = Breaker("closing HTTP responses")
HTTP_BODIES = Breaker("reading HTTP bodies")


def close_response(wrapped: Callable[..., Any], response: Any, args: Any, kwargs: Any) -> Any:
    """Hook of an HTTP response's `close` and `aclose`, which the SDKs' helpers call without their stream's own."""
    with guarded("capture.close", HTTP_CLOSES):
        call = held_by(response)
        if call is not None:
            call.closed(consumed=response.is_stream_consumed)
    return wrapped(*args, **kwargs)


def iter_bytes(wrapped: Callable[..., Any], response: Any, args: Any, kwargs: Any) -> Any:
    """Hook of an HTTP response's `iter_bytes`, which every other way to read its body goes through."""
    read = _results_in(response)
    chunks = wrapped(*args, **kwargs)
    return chunks if read is None else observed(Begun(chunks, HTTP_BODIES), read)


def iter_bytes_async(wrapped: Callable[..., Any], response: Any, args: Any, kwargs: Any) -> Any:
    """Hook of an HTTP response's `aiter_bytes`."""
    read = _results_in(response)
    chunks = wrapped(*args, **kwargs)
    return chunks if read is None else observed_async(Begun(chunks, HTTP_BODIES), read)


def _results_in(response: Any) -> BatchRead | None:
    with guarded("capture.batch", HTTP_BODIES):
        held = held_by(response)
        return held if isinstance(held, BatchRead) else None
    return None
