"""What the shared driver asks of a provider's SDK; one small file per provider answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from taskmeter.capture.prompt import Walk
from taskmeter.capture.reading import Reading, StreamReader

Client = Any
"""An SDK client. Neither SDK is imported here, nor needed by type."""
Options = Any
"""The SDK's `FinalRequestOptions`: the prepared request, without its sentinels for what was not given."""


class Provider(Protocol):
    """One SDK. Stateless."""

    package: str
    """The importable name of the SDK."""

    traced_method: str | None
    """The method of its base client that it runs inside its own span, if it is one that traces."""

    served_as_asked: tuple[str, ...]
    """Fields of a request that its answer repeats as they were served, and that decide its price."""

    def operation(self, options: Options) -> str | None:
        """`gen_ai.operation.name` of a request; `None` for one that is not a call (polling, listing)."""
        ...

    def possible_operation(self, options: Options) -> str | None:
        """The operation of a request that is none of those known, and is a call if its answer states tokens."""
        ...

    def name(self, client: Client) -> str:
        """`gen_ai.provider.name`, from the client's class and base URL."""
        ...

    def opens_span(self, client: Client, options: Options) -> bool:
        """Whether the SDK opens a span of its own for this call."""
        ...

    def with_usage(self, client: Client, options: Options, operation: str) -> Options | None:
        """The same request that also asks for the usage of its stream; `None` where that is not to be done."""
        ...

    def read(self, body: object, operation: str, request: Mapping[str, object]) -> Reading:
        """What a whole response to the body `request` says, parsed or as decoded JSON."""
        ...

    def read_prompt(self, request: Mapping[str, object], operation: str, walk: Walk) -> Mapping[str, object]:
        """Adds the pieces of the prompt in the body `request` to `walk`; returns the parameters beside it."""
        ...

    def stream_reader(self, operation: str, *, asked: bool) -> StreamReader:
        """A reader for one stream; `asked` when it was us who asked for its usage."""
        ...

    def concerns_batches(self, options: Options) -> bool:
        """Whether the answer may name a batch: submitting, polling, listing, uploading its input."""
        ...

    def batch_results(self, options: Options) -> str | None:
        """The id of the file or batch whose results a request downloads, or may download."""
        ...

    def batch_ids(self, body: object) -> Iterable[tuple[str, ...]]:
        """For each batch that `body` describes, every id by which it, its input and its results go."""
        ...

    def batch_item(self, line: object) -> Reading | None:
        """One line of a result; `None` if it is none. An item that failed was not billed: it used nothing."""
        ...


def request_body(options: Options) -> Mapping[str, object]:
    """The JSON body of a request, with what the application adds to it as `extra_body`; empty for one without."""
    body, extra = getattr(options, "json_data", None), getattr(options, "extra_json", None)
    if isinstance(body, Mapping):
        known = cast("Mapping[str, object]", body)
        return {**known, **cast("Mapping[str, object]", extra)} if isinstance(extra, Mapping) and extra else known
    return {}


def request_path(options: Options) -> str:
    """The path of a request without its query, whatever base URL or deployment comes before."""
    url = getattr(options, "url", None)
    return url.partition("?")[0].rstrip("/") if isinstance(url, str) else ""


def is_post(options: Options) -> bool:
    """Whether the request is a POST."""
    method = getattr(options, "method", None)
    return isinstance(method, str) and method.lower() == "post"


def is_raw(options: Options) -> bool:
    """Whether the application asked for the raw response, whose bytes must be those it would get without us."""
    headers = getattr(options, "headers", None)
    if not isinstance(headers, Mapping):
        return False
    return any(name.lower() == "x-stainless-raw-response" for name in cast("Mapping[str, object]", headers))
