"""A provider without a network: real OpenAI and Anthropic clients, answered in this process as the test says."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from taskmeter.demo.stub import (
    Billed,
    Body,
    Error,
    Json,
    Raw,
    Request,
    Script,
    Sse,
    ToolCall,
    anthropic_message,
    openai_chat,
    openai_embeddings,
    openai_response,
)
from taskmeter.demo.stub import Reply as WireReply
from taskmeter.demo.stub.connection import error_body, read_body
from taskmeter.demo.stub.handlers import as_reply
from taskmeter.errors import UsageError

Client = TypeVar("Client")


@dataclass(frozen=True, slots=True)
class Answer:
    """A success in whatever protocol the request speaks: chat completion, Responses, message or embeddings; as a
    stream if the client asked for one."""

    text: str = "Done."
    billed: Billed = field(default_factory=Billed)
    """The usage that it states: 120 tokens in, 24 out."""
    tool_calls: Sequence[ToolCall] = ()
    model: str | None = None
    """The model that answers, by default the one that was asked."""

    def body(self, request: Request) -> Body:
        """Its JSON. Raises `UsageError` for a request of another kind."""
        model = self.model or str(request.body.get("model", ""))
        for ending, make in _MAKERS.items():
            if request.path.endswith(ending):
                return make(model, self.text, self.billed, tool_calls=self.tool_calls)
        if request.path.endswith("/embeddings"):
            asked: str | list[Any] = request.body["input"]
            inputs = 1 if isinstance(asked, str) else len(asked)
            as_base64 = request.body.get("encoding_format") == "base64"
            return openai_embeddings(model, inputs, self.billed, as_base64=as_base64)
        kinds = ", ".join((*_MAKERS, "/embeddings"))
        raise UsageError(f"{request.path} is none of {kinds}, for which an Answer is; reply with a dict, its JSON body")


_MAKERS: Final[Mapping[str, Callable[..., Body]]] = {
    "/chat/completions": openai_chat,
    "/responses": openai_response,
    "/messages": anthropic_message,
}

FixedReply: TypeAlias = Answer | Error | Exception | Body | Json | Raw | Sse
Reply: TypeAlias = FixedReply | Callable[[Request], FixedReply]
"""An `Answer`; an HTTP `Error(429, retry_after=0.01)`; a dict, the JSON body (of a stream too); an exception that the
transport raises, `TimeoutError()` and `ConnectionError()` as the HTTP library's own; or a function of the request that
returns one of these. `Json`, `Raw` and `Sse` of `taskmeter.demo.stub` send what they hold."""


class FakeProvider:
    """Answers real clients with `replies`, one per request in the order of arrival, then with `then` for ever.

    fake = FakeProvider(Error(429, retry_after=0.01), Answer("Refunded.", Billed(input=1_200, output=80)))
    client = fake.client(openai.OpenAI)

    `then` may be a function of the request, which decides alone if there are no `replies`. A request that nothing is
    left for gets an HTTP 400 that says so and is not retried, as does one whose function raises; used as
    `with FakeProvider(...) as fake:`, leaving the block raises that error, in case the application has swallowed it.
    """

    def __init__(self, *replies: Reply, then: Reply | None = None) -> None:
        for reply in (*replies, *(() if then is None else (then,))):
            _check(reply)
        self._script = Script(*map(_step, replies), then=None if then is None else _step(then))
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._faults: list[UsageError] = []

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    @property
    def replies_left(self) -> int:
        """How many of the `replies` nobody has asked for yet."""
        return self._script.replies_left

    def client(self, kind: Callable[..., Client], **options: Any) -> Client:
        """A client of the class `kind` (`openai.AsyncOpenAI`, `anthropic.Anthropic`, `openai.AzureOpenAI`...), made
        with `options`, that talks to this provider. Its key is `"test"` unless you give one.

        Raises `UsageError` for a class of another SDK.
        """
        sdk = _sdk(kind)
        asynchronous = issubclass(cast("type", kind), sys.modules[f"{sdk.__name__}._base_client"].AsyncAPIClient)
        http_client = sdk.DefaultAsyncHttpxClient if asynchronous else sdk.DefaultHttpxClient
        if "api_key" in inspect.signature(kind).parameters:
            options.setdefault("api_key", "test")
        return kind(http_client=http_client(transport=self.transport(kind)), **options)

    def transport(self, kind: Callable[..., object]) -> Any:
        """The same for an HTTP client of your own: a `MockTransport` of the library that the SDK of the class `kind` is
        built on, `httpx2` or `httpx`."""
        http = _http(_sdk(kind))
        return http.MockTransport(partial(self._respond, http))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._faults:
            raise self._faults[0]

    def _respond(self, http: Any, sent: Any) -> Any:
        request = Request(
            method=sent.method,
            path=sent.url.path,
            query=sent.url.query.decode(),
            headers={name.lower(): value for name, value in sent.headers.items()},
            body=read_body(sent.headers.get("content-type", ""), sent.read()),
        )
        with self._lock:
            self._requests.append(request)
        try:
            reply = as_reply(request, self._script(request))
        except _Raised as raised:
            raise _of_library(http, raised.error, sent) from None
        except Exception as fault:  # noqa: BLE001 - whatever a function of the test raises, the client is told
            reply = self._refused(request, fault)
        return _response(http, request, reply)

    def _refused(self, request: Request, fault: Exception) -> Json:
        error = fault if isinstance(fault, UsageError) else UsageError(f"the reply to {request.path} failed: {fault!r}")
        error.__cause__ = None if error is fault else fault
        with self._lock:
            self._faults.append(error)
        return Json(error_body(request, 400, str(error)), 400, {"x-should-retry": "false"})


class _Raised(Exception):  # noqa: N818 - no error itself: it brings one through the script
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _check(reply: object) -> None:
    known = isinstance(reply, Answer | Error | Exception | Mapping | Json | Raw | Sse)
    if isinstance(reply, type) or not (known or callable(reply)):
        msg = (
            f"{reply!r} is no reply; give an Answer(...), an Error(status), a dict, an exception such as "
            "TimeoutError(), or a function of the request that returns one of these"
        )
        raise UsageError(msg)
    if isinstance(reply, Sse) and (reply.cut_after is not None or reply.delay_seconds):
        msg = f"{reply!r}: a stream is cut or slow only over a socket; use taskmeter.demo.stub.StubProvider for that"
        raise UsageError(msg)


def _step(reply: Reply) -> Callable[[Request], WireReply | Body]:
    def step(request: Request) -> WireReply | Body:
        chosen = reply
        if callable(chosen) and not isinstance(chosen, Answer | Exception):
            chosen = chosen(request)
            _check(chosen)
        if isinstance(chosen, Exception):
            raise _Raised(chosen)
        return chosen.body(request) if isinstance(chosen, Answer) else cast("WireReply | Body", chosen)

    return step


def _sdk(kind: Callable[..., object]) -> ModuleType:
    package = getattr(kind, "__module__", "").partition(".")[0]
    sdk = sys.modules.get(package)
    if not isinstance(kind, type) or not hasattr(sdk, "DefaultHttpxClient") or sdk is None:
        msg = f"{kind!r} is no client class of an SDK; pass openai.OpenAI, anthropic.AsyncAnthropic or a relative"
        raise UsageError(msg)
    return sdk


def _http(sdk: ModuleType) -> Any:
    """The HTTP library that `sdk` is built on, which it has imported."""
    return sys.modules[sdk.DefaultHttpxClient.__base__.__module__.partition(".")[0]]


def _of_library(http: Any, error: Exception, sent: Any) -> Exception:
    """`error`, or what the HTTP library would raise in its place."""
    if isinstance(error, TimeoutError):
        return cast("Exception", http.ReadTimeout(str(error) or "timed out", request=sent))
    if isinstance(error, ConnectionError):
        return cast("Exception", http.ConnectError(str(error) or "connection failed", request=sent))
    return error


def _response(http: Any, request: Request, reply: WireReply) -> Any:
    match reply:
        case Json():
            return http.Response(reply.status, json=dict(reply.body), headers=dict(reply.headers))
        case Error():
            wait = {} if reply.retry_after is None else {"retry-after": str(reply.retry_after)}
            body = error_body(request, reply.status, "scripted by the test")
            return http.Response(reply.status, json=body, headers=wait)
        case Raw():
            return http.Response(200, content=reply.content, headers={"content-type": reply.content_type})
        case Sse():
            content = b"".join(event.encode() for event in reply.events)
            return http.Response(200, content=content, headers={"content-type": "text/event-stream; charset=utf-8"})
        case _:
            raise UsageError(f"{reply!r} is no reply of a FakeProvider")  # pragma: no cover
