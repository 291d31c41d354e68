"""Anthropic's managed agent sessions: the provider runs the model, and the session's events say what each request used.

Each model request that the events report is one call, booked once in this process however often it is streamed or
listed: in the task open where it is read, else the one that made the session. Its model is that of the session's
agent, known if this process made or retrieved the session. Nothing that has no event of its own is counted.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter.capture import origins
from taskmeter.capture.bounded import Key, Remembered
from taskmeter.capture.call import Ending
from taskmeter.capture.current import without_call
from taskmeter.capture.events import EventCall, Server
from taskmeter.capture.origins import Origin
from taskmeter.capture.provider import Client, Options, Provider, is_post, request_path
from taskmeter.capture.reading import field, items, text_field

_PATH: Final = re.compile(r"/v1/sessions(?:/([^/]+))?(?:(?:/threads/[^/]+)?(/events|/stream|/events/stream))?$")
_ERRAND = otel.create_key("taskmeter-agent-errand")
_MOST_OPEN: Final = 256


@dataclass(frozen=True, slots=True)
class _Agent:
    """What is known of a session."""

    origin: Origin
    model: str = ""
    doubt: str = ""


_agents: Remembered[_Agent] = Remembered(origins.LIMIT)
_booked: Remembered[bool] = Remembered(65_536)
"""Model requests by the id of the event that reported them."""


@dataclass(frozen=True, slots=True)
class _Errand:
    provider: Provider
    client: Client
    session: str | None
    events: bool
    makes: bool

    def key(self, name: str) -> Key:
        return (f"{self.client.base_url.host}:{self.client.base_url.port}", name)


def errand(provider: Provider, client: Client, options: Options) -> Context | None:
    """The context for a request that concerns agent sessions; `None` for any other."""
    found = _PATH.search(request_path(options)) if provider.package == "anthropic" else None
    if found is None:
        return None
    makes = is_post(options) and found[1] is None
    return otel.set_value(_ERRAND, _Errand(provider, client, found[1], found[2] is not None, makes), without_call())


def answered(response: Any) -> AgentEvents | None:
    """Takes note of a response. Returns the reader of its events if those are still to come."""
    errand = otel.get_value(_ERRAND)
    if not isinstance(errand, _Errand) or response is None or not response.is_success:
        return None
    if not response.is_closed:
        return AgentEvents(errand) if errand.events and errand.session is not None else None
    try:
        body = response.json()
    except ValueError:
        return None
    if not errand.events:
        _note(errand, body)
    elif errand.session is not None:
        listed = AgentEvents(errand)
        for event in items(field(body, "data")):
            listed.observe(event)
    return None


def _note(errand: _Errand, body: object) -> None:
    name = text_field(body, "id")
    if text_field(body, "type") != "session" or name is None:
        return
    model = text_field(body, "agent", "model", "id") or ""
    doubt = "" if field(body, "agent", "multiagent") is None else "priced as the model of the session's first agent"
    here = origins.here() if errand.makes else origins.reader()
    _agents.update(errand.key(name), lambda known: _Agent(known.origin if known else here, model, doubt))


class AgentEvents:
    """Reads the events of one session, as they stream or from a list."""

    streams = True

    def __init__(self, errand: _Errand) -> None:
        self._provider = errand.provider
        self._errand = errand
        client = errand.client
        self._server = Server(errand.provider.name(client), client.base_url.host, client.base_url.port)
        self._open: OrderedDict[str, EventCall] = OrderedDict()
        self.reading = False
        """Whether the next event is being read at this moment."""

    def hold(self, response: object) -> None:
        """Nothing ends with the response: the session goes on."""

    def hides(self, event: object) -> bool:
        """Nothing is hidden."""
        return False

    def closed(self, *, consumed: bool) -> None:
        """The session goes on."""

    def end(self, how: Ending, error: BaseException | None = None) -> None:
        """What is under way is reported by another stream or list."""
        self._open.clear()

    def observe(self, event: object) -> None:
        """Reads one event before the application gets it."""
        kind, name = text_field(event, "type"), text_field(event, "id")
        if name is None:
            return
        if kind == "span.model_request_start":
            self._open[name] = self._begin()
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        elif kind == "span.model_request_end":
            call = self._open.pop(text_field(event, "model_request_start_id") or "", None) or self._begin()
            if not _booked.update(self._errand.key(name), lambda _: True):
                self._end(call, event)

    def _begin(self) -> EventCall:
        known = _agents.get(self._errand.key(self._errand.session or ""))
        here = origins.reader()
        origin = here if here.scope is not None or known is None else known.origin
        return EventCall(self._server, "chat", origin, known.model if known else "", None)

    def _end(self, call: EventCall, event: object) -> None:
        known = _agents.get(self._errand.key(self._errand.session or ""))
        reading = self._provider.read({"usage": field(event, "model_usage"), "model": call.model or None}, "chat", {})
        doubt = reading.doubt or (known.doubt if known else "")
        failed = field(event, "is_error") is True
        call.end(reading._replace(doubt=doubt), error_type="model_request_failed" if failed else None)
