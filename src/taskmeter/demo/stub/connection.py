"""One connection to the stub: reads requests, writes replies, byte by byte as the providers do."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Mapping
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from taskmeter.demo.stub.contents import new_id
from taskmeter.demo.stub.wire import Body, Error, Event, Json, Jsonl, Raw, Reply, Request, Sse

_OPENAI_ERROR_TYPES: Final = MappingProxyType({429: "rate_limit_error"})
_ANTHROPIC_ERROR_TYPES: Final = MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)


def error_body(request: Request, status: int, message: str) -> Body:
    """The JSON with which the provider that was asked reports an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - where HTTP's own faults start
    if request.provider == "openai":
        detail = {"type": _OPENAI_ERROR_TYPES.get(status, kind), "message": message, "param": None, "code": None}
        return {"error": detail}
    kind = "invalid_request_error" if kind == "invalid_request_error" else "api_error"
    detail = {"type": _ANTHROPIC_ERROR_TYPES.get(status, kind), "message": message}
    return {"type": "error", "error": detail, "request_id": new_id("req_")}


def hang_up(connection: socket.socket) -> None:
    """Ends `connection` at once, whoever is reading or writing it; nothing happens if the client already did."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def read_body(content_type: str, content: bytes) -> Body:
    """The JSON object of a request, or the text fields of a form."""
    if not content_type.startswith("multipart/form-data"):
        return json.loads(content) if content else {}
    form = message_from_bytes(b"content-type: %b\r\n\r\n%b" % (content_type.encode(), content))
    fields = {
        part.get_param("name", header="content-disposition"): part for part in cast("list[Any]", form.get_payload())
    }
    return {
        str(name): part.get_payload(decode=True).decode()
        for name, part in fields.items()
        if part.get_filename() is None
    }


class Host(Protocol):
    """What a connection needs of its server."""

    closing: threading.Event
    answer: Callable[[Request], Reply]


class Connection(BaseHTTPRequestHandler):
    """Serves the requests of one keep-alive connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "taskmeter-stub"

    def serve_one(self) -> None:
        """Reads one request and writes the host's reply to it."""
        request = self._read()
        host = cast("Host", self.server)
        reply = host.answer(request)
        if isinstance(reply, Json):
            self._write_json(reply.status, reply.body, reply.headers)
        elif isinstance(reply, Raw):
            self._write(200, {"content-type": reply.content_type}, reply.content)
        elif isinstance(reply, Error):
            wait = {} if reply.retry_after is None else {"retry-after": str(reply.retry_after)}
            self._write_json(reply.status, error_body(request, reply.status, "scripted by the stub"), wait)
        elif isinstance(reply, Sse):
            self._write_stream(reply, host.closing)
        elif isinstance(reply, Jsonl):
            self._write_lines(reply)
        else:
            host.closing.wait(reply.seconds)
            self.close_connection = True

    do_GET = do_POST = do_DELETE = serve_one  # noqa: N815 - the names http.server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the inherited name
        """Nothing: the requests are on record."""

    def _read(self) -> Request:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        return Request(
            method=self.command,
            path=url.path,
            query=url.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=read_body(self.headers.get("content-type", ""), content),
        )

    def _open_reply(self, status: int, headers: Mapping[str, str]) -> None:
        request_id = new_id("req_")
        self.send_response(status)
        for name, value in {"x-request-id": request_id, "request-id": request_id, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write_json(self, status: int, body: Body, headers: Mapping[str, str]) -> None:
        self._write(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())

    def _write(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self._open_reply(status, {"content-length": str(len(content)), **headers})
        self.wfile.write(content)

    def _write_lines(self, reply: Jsonl) -> None:
        content = reply.content
        kept = len(content)
        if reply.cut_after is not None:
            whole = Jsonl(reply.lines[: reply.cut_after]).content
            kept = (len(whole) + kept) // 2
            self.close_connection = True
        self._open_reply(200, {"content-type": "application/octet-stream", "content-length": str(len(content))})
        self.wfile.write(content[:kept])

    def _write_stream(self, reply: Sse, closing: threading.Event) -> None:
        self._open_reply(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})
        for event in itertools.islice(reply.events, reply.cut_after):
            closing.wait(reply.delay_seconds)
            self._write_chunk(event.encode())
        if reply.cut_after is None:
            self._write_chunk(b"")
            return
        for event in itertools.islice(reply.events, reply.cut_after, reply.cut_after + 1):
            self._write_half_chunk(event)
        self.close_connection = True

    def _write_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

    def _write_half_chunk(self, event: Event) -> None:
        content = event.encode()
        self.wfile.write(b"%x\r\n%b" % (len(content), content[: len(content) // 2]))
