"""WebSocket sessions of the OpenAI SDK: realtime, live, translations, and Responses over a socket.

Every message that the SDK receives passes through `recv_bytes` of its connection, whoever asks for it. Messages that
tell of a response or of usage are looked at, all others are not even decoded. One response is one call: it starts when
the provider says that it was created and ends when it says what was used. Its task is the one open where it is
received, else the one that was open when the connection was made, as when a background thread receives.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary, finalize

from taskmeter._guard import Breaker, guarded
from taskmeter.capture import origins
from taskmeter.capture.bounded import Remembered
from taskmeter.capture.events import EventCall, Server
from taskmeter.capture.hooks import Hook
from taskmeter.capture.openai import OpenAI
from taskmeter.capture.reading import Reading, field, text_field
from taskmeter.capture.session_usage import read_live_usage, read_session_response, read_transcription
from taskmeter.pricing import provider_of
from taskmeter.telemetry import collected

_CONNECTIONS: Final = (
    ("openai.resources.realtime.realtime", "RealtimeConnection"),
    ("openai.resources.beta.realtime.realtime", "RealtimeConnection"),
    ("openai.resources.responses.responses", "ResponsesConnection"),
    ("openai.resources.beta.responses.responses", "ResponsesConnection"),
    ("openai.resources.realtime.translations.translations", "TranslationsConnection"),
    ("openai.resources.live.live", "LiveConnection"),
    ("openai.resources.live.sideband", "SidebandConnection"),
    ("openai.resources.live.forks", "ForksConnection"),
)
_BASES: Final = (("openai._websocket_connection", "WebSocketConnectionBase"), *_CONNECTIONS)
"""Where connections are made and closed: in a base class, or before there was one in each by itself."""

_ENDED: Final = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_CONFIGURED: Final = frozenset({"session.created", "session.updated", "session.started"})
_METERED: Final = frozenset({"session.usage.updated", "session.closed"})
_TELLING: Final = tuple(
    kind.encode() for kind in (*_ENDED, *_CONFIGURED, *_METERED, "response.created", _TRANSCRIBED, "decision.completed")
)
_OPENAI: Final = OpenAI()
_MOST_OPEN: Final = 256
"""Responses under way on one connection. Of more, the oldest is given up."""
_CUT: Final = "the connection ended before the usage came"
_AZURE: Final = (".azure.com", ".azure.us", ".azure.cn")

SESSIONS: Final = Breaker("openai WebSocket sessions")

_ended: Remembered[bool] = Remembered(65_536)
"""Responses and sessions that were booked. A live session may be heard on several connections."""
_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
_lock = Lock()


class Session:
    """What is under way on one connection."""

    def __init__(self, server: Server, model: str, *, translates: bool) -> None:
        self._server = server
        self._model = model
        self._transcriber = ""
        self._translates = translates
        self._opened = origins.here()
        self._open: dict[str, EventCall] = {}
        self._whole: EventCall | None = None
        """The session itself, where that is billed by its duration."""
        self._whole_so_far: Reading | None = None
        self._lock = Lock()

    def received(self, message: bytes | str) -> None:
        """Looks at one message."""
        data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
        if not any(kind in data for kind in _TELLING):
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        with self._lock:
            self._handle(text_field(event, "type") or "", event)

    def _handle(self, kind: str, event: object) -> None:
        if kind in ("response.event", "decision.event"):
            # Of a model that the live session delegates to.
            event = field(event, "event")
            kind = text_field(event, "type") or ""
        if kind in _CONFIGURED:
            self._configured(kind, field(event, "session"))
        elif kind == "response.created":
            self._created(field(event, "response"))
        elif kind in _ENDED:
            self._response_ended(field(event, "response"))
        elif kind == "decision.completed":
            self._once("chat", field(event, "decision"))
        elif kind == _TRANSCRIBED:
            call = self._begin("transcription")
            call.model = self._transcriber
            call.end(read_transcription(event))
        elif kind in _METERED:
            self._metered_so_far(kind, event)

    def _configured(self, kind: str, session: object) -> None:
        self._model = text_field(session, "model") or self._model
        self._transcriber = (
            text_field(session, "audio", "input", "transcription", "model")
            or text_field(session, "input_audio_transcription", "model")
            or self._transcriber
        )
        if self._whole is None and (kind == "session.started" or (kind == "session.created" and self._translates)):
            operation = "translation" if self._translates else "live"
            self._whole, self._whole_so_far = self._begin(operation, text_field(session, "id")), None

    def _created(self, response: object) -> None:
        name = text_field(response, "id")
        if name is None or name in self._open:
            return
        if len(self._open) >= _MOST_OPEN:
            self._open.pop(next(iter(self._open))).end(Reading(doubt=_CUT))
        self._open[name] = self._begin(_operation(response), name)

    def _response_ended(self, response: object) -> None:
        name = text_field(response, "id")
        call = self._open.pop(name, None) if name is not None else None
        self._finish(call or self._begin(_operation(response), name), response)

    def _once(self, operation: str, body: object) -> None:
        self._finish(self._begin(operation, text_field(body, "id")), body)

    def _finish(self, call: EventCall, body: object) -> None:
        if self._is_first(call):
            failed = text_field(body, "status") == "failed"
            code = text_field(body, "status_details", "error", "code") or text_field(body, "error", "code")
            reading = (
                read_session_response(body) if call.operation == "realtime" else _OPENAI.read(body, call.operation, {})
            )
            call.end(reading, error_type=(code or "failed") if failed else None)

    def _metered_so_far(self, kind: str, event: object) -> None:
        self._whole_so_far = read_live_usage(field(event, "usage")) or self._whole_so_far
        if kind == "session.closed":
            self._end_whole("the session is billed by its duration, which was not stated", error_type=None, cut=False)

    def _end_whole(self, unstated: str, error_type: str | None, *, cut: bool) -> None:
        whole, self._whole = self._whole, None
        if whole is not None and self._is_first(whole):
            stated = self._whole_so_far
            doubt = unstated if stated is None else "the duration last stated" if cut else ""
            whole.end((stated or Reading())._replace(doubt=doubt), error_type=error_type)

    def _begin(self, operation: str, name: str | None = None) -> EventCall:
        here = origins.here()
        origin = here if here.scope is not None else self._opened
        return EventCall(self._server, operation, origin, self._model, name)

    def _is_first(self, call: EventCall) -> bool:
        """Whether nobody else has ended this one; always for what has no name."""
        return call.name is None or not _ended.update((self._server.host, call.name), lambda _: True)

    def end(self, error_type: str | None = None) -> None:
        """The connection is over: so is what was under way on it. Never raises."""
        with guarded("capture.session_end"), self._lock:
            calls, self._open = list(self._open.values()), {}
            for call in calls:
                if self._is_first(call):
                    call.end(Reading(doubt=_CUT), error_type=error_type)
            self._end_whole(_CUT, error_type, cut=True)


def hooks(enabled: Callable[[], bool]) -> list[Hook]:
    """Those of every kind of connection. `enabled` says whether they are observed."""
    seams = _Seams(enabled)
    return [
        *(
            hook
            for module, owner in _CONNECTIONS
            for hook in (
                Hook(module, owner, "recv_bytes", seams.receive, SESSIONS, optional=True),
                Hook(module, f"Async{owner}", "recv_bytes", seams.receive_async, SESSIONS, optional=True),
            )
        ),
        *(
            hook
            for module, owner in _BASES
            for hook in (
                Hook(module, owner, "__init__", seams.opened, SESSIONS, optional=True),
                Hook(module, f"Async{owner}", "__init__", seams.opened, SESSIONS, optional=True),
                Hook(module, owner, "close", seams.close, SESSIONS, optional=True),
                Hook(module, f"Async{owner}", "close", seams.close_async, SESSIONS, optional=True),
            )
        ),
    ]


class _Seams:
    def __init__(self, enabled: Callable[[], bool]) -> None:
        self._enabled = enabled

    def opened(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **kwargs)
        with guarded("capture.session", SESSIONS):
            if self._enabled():
                _session(connection)

    def receive(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
        try:
            message = wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(connection, error)
            raise
        self._received(connection, message)
        return message

    async def receive_async(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
        try:
            message = await wrapped(*args, **kwargs)
        except BaseException as error:
            _failed(connection, error)
            raise
        self._received(connection, message)
        return message

    def close(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
        try:
            return wrapped(*args, **kwargs)
        finally:
            _ended_by(connection)

    async def close_async(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        finally:
            _ended_by(connection)

    def _received(self, connection: Any, message: Any) -> None:
        with guarded("capture.session", SESSIONS):
            if self._enabled():
                _session(connection).received(message)


def _session(connection: Any) -> Session:
    with _lock:
        session = _sessions.get(connection)
        if session is None:
            collected.watch()
            session = _sessions[connection] = _made(connection)
            finalize(connection, collected.run, partial(session.end, None))
        return session


def _made(connection: Any) -> Session:
    protocol = getattr(connection._connection, "protocol", None)  # noqa: SLF001 - the SDK has no public name for it
    uri = getattr(protocol, "uri", None) or getattr(protocol, "wsuri", None)
    host, port = getattr(uri, "host", None), getattr(uri, "port", None)
    model = parse_qs(str(getattr(uri, "query", ""))).get("model", [""])[0]
    azure = isinstance(host, str) and host.endswith(_AZURE)
    provider = "azure.ai.openai" if azure else provider_of(f"https://{host}/v1") or "openai"
    translates = "Translations" in type(connection).__name__
    return Session(Server(provider, str(host or ""), port), model, translates=translates)


def _failed(connection: Any, error: BaseException) -> None:
    """Receiving failed; a timeout or a cancellation says nothing about the connection."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("websockets")]
    if "ConnectionClosed" in kinds:
        _ended_by(connection, None if "ConnectionClosedOK" in kinds else type(error).__name__)


def _ended_by(connection: Any, error_type: str | None = None) -> None:
    with guarded("capture.session_end", SESSIONS):
        session = _sessions.get(connection)
        if session is not None:
            session.end(error_type)


def _operation(response: object) -> str:
    return "realtime" if text_field(response, "object") == "realtime.response" else "chat"
