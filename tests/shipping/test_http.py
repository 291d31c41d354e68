"""OTLP over HTTP, against a receiver: what each answer means, and what is sent."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from taskmeter._config import shipping_from_environment
from taskmeter.spool.shipping.answers import Accepted, Again, Answer, Failed, Misdirected, Refused, TooLarge
from taskmeter.spool.shipping.endpoint import Asked, Endpoint, endpoint_of
from taskmeter.spool.shipping.over_http import HttpSender
from taskmeter.spool.shipping.spans import StoredSpan, read_line
from tests.export.receiver import Receiver, Reply
from tests.shipping.endpoint import line, span

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SPANS = read_line(line(span(1), span(2)).encode())


def send(url: str, spans: Sequence[StoredSpan] = SPANS, timeout_seconds: float = 30.0, **settings: object) -> Answer:
    endpoint = Endpoint(name="name", protocol="http", url=f"{url}/v1/traces", **settings)  # type: ignore[arg-type]
    sender = HttpSender(endpoint, utc_now=lambda: NOW)
    try:
        return sender.send(spans, timeout_seconds)
    finally:
        sender.close()


def partial(rejected: int, message: str) -> bytes:
    success = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return ExportTraceServiceResponse(partial_success=success).SerializeToString()


TEXT = {"content-type": "text/plain"}


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (Reply(200), Accepted()),
        (Reply(202), Accepted()),
        (Reply(200, b"{}", {"content-type": "application/json"}), Accepted()),
        (Reply(200, partial(1, "too\nlong")), Accepted(1, "too long")),
        (Reply(200, partial(0, "deprecated")), Accepted(0, "deprecated")),
        (Reply(429, headers={"retry-after": "7"}), Again("HTTP 429", 7.0)),
        (Reply(503, headers={"retry-after": "Fri, 27 Nov 2026 12:02:00 GMT"}), Again("HTTP 503", 120.0)),
        (Reply(503, headers={"retry-after": "Fri, 27 Nov 2026 11:00:00 GMT"}), Again("HTTP 503", 0.0)),
        (Reply(502, headers={"retry-after": "soon"}), Again("HTTP 502", None)),
        (Reply(504), Again("HTTP 504")),
        (Reply(408), Again("HTTP 408")),
        (Reply(500), Failed("HTTP 500")),
        (Reply(507, b"full", TEXT), Failed("HTTP 507 (full)")),
        (Reply(413), TooLarge("HTTP 413")),
        (Reply(400, Status(message="bad id").SerializeToString()), Refused("HTTP 400 (bad id)")),
        (Reply(400, b"\xff\xff"), Refused("HTTP 400")),
        (Reply(422, b"<html>no</html>", {"content-type": "text/html"}), Refused("HTTP 422")),
        (Reply(401, b"who are you?", TEXT), Misdirected("HTTP 401 (who are you?)")),
        (Reply(404), Misdirected("HTTP 404")),
        (Reply(302, headers={"location": "/login"}), Misdirected("HTTP 302, which leads elsewhere")),
    ],
)
def test_each_answer_has_a_meaning(reply: Reply, answer: Answer) -> None:
    """By OTLP's specification; a redirect is not followed."""
    with Receiver(statuses=[reply]) as receiver:
        assert send(receiver.url) == answer
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("gzip", [True, False])
def test_spans_arrive_with_headers(gzip: bool) -> None:
    """Compressed or not."""
    with Receiver() as receiver:
        assert send(receiver.url, gzip=gzip, headers={"x-team": "blue"}) == Accepted()
    assert [one.span_id for one in receiver.spans] == [f"{1:016x}", f"{2:016x}"]
    assert receiver.requests == [("/v1/traces", "gzip" if gzip else "")]
    assert receiver.asked_with[0]["x-team"] == "blue"
    assert receiver.asked_with[0]["content-type"] == "application/x-protobuf"


def test_credentials_are_those_that_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By header or in the URL; never those of `~/.netrc`."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login wrong password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Receiver() as receiver:
        send(receiver.url, headers={"authorization": "Bearer abc"})
        send(receiver.url)
        send(receiver.url, user=("me", "pw"))
    assert [headers.get("authorization") for headers in receiver.asked_with] == ["Bearer abc", None, "Basic bWU6cHc="]


def test_an_answer_gives_no_secret_away() -> None:
    """Though the endpoint repeats it."""
    with Receiver(statuses=[Reply(401, b"unknown key abcdefghij", TEXT)]) as receiver:
        answer = send(receiver.url, headers={"authorization": "Bearer abcdefghij"})
    assert answer == Misdirected("HTTP 401 (unknown key ***)")
    endpoint = endpoint_of(Asked(url="http://host/v1/traces?key=abc%20defghij"), shipping_from_environment())
    said = endpoint.without_secrets("unknown keys: abc defghij, abc%20defghij")
    assert said == "unknown keys: ***, ***"


def test_a_connection_that_fails_is_tried_again() -> None:
    """Refused, broken, or silent. The reason names no URL, which may hold a key."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert send(url) == Again("connection refused")
        listener.listen()
        assert send(url, timeout_seconds=0.2) == Again("timed out")
    with Receiver(statuses=[Reply(503, breaks=True)]) as receiver:
        assert send(receiver.url) == Again("RemoteDisconnected")


def test_spans_that_are_none_are_refused_without_a_request() -> None:
    """So that those around them can be sent."""
    with Receiver() as receiver:
        assert send(receiver.url, read_line(line(span(1), span(2, spanId="")).encode())) == Refused("no OTLP span")
    assert receiver.requests == []


def test_a_certificate_is_checked(certificate: tuple[Path, Path]) -> None:
    """An authority that is named is trusted, one that is not is not; nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Receiver(tls=context) as receiver:
        assert send(receiver.url, certificate=certificate[0]) == Accepted()
        answer = send(receiver.url)
    assert isinstance(answer, Misdirected)
    assert answer.reason.startswith("no TLS with it: ")
    assert len(receiver.requests) == 1


def test_a_client_shows_its_certificate(certificate: tuple[Path, Path]) -> None:
    """Where the endpoint asks for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_REQUIRED
    own, key = certificate
    with Receiver(tls=context) as receiver:
        assert send(receiver.url, certificate=own, client_certificate=own, client_key=key) == Accepted()
        assert not isinstance(send(receiver.url, certificate=own), Accepted)
    assert len(receiver.requests) == 1
