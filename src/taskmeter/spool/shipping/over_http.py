"""OTLP over HTTP: protobuf, with `requests`."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final

from taskmeter._version import __version__
from taskmeter.errors import MissingDependencyError
from taskmeter.spool.shipping.answers import Accepted, Again, Answer, Failed, Misdirected, Refused, TooLarge
from taskmeter.spool.shipping.endpoint import Endpoint
from taskmeter.spool.shipping.spans import StoredSpan, UnencodableSpanError, export_request, protobuf

_AGAIN: Final = {408, 429, 502, 503, 504}
_MISDIRECTED: Final = {401, 403, 404, 405, 407, 410, 415, 421, 426}
"""These are about the address, the credentials or the encoding: no span is at fault."""
_LONGEST_ANSWER: Final = 65_536


class HttpSender:
    """Posts spans to `endpoint`. Raises `MissingDependencyError` when made."""

    def __init__(self, endpoint: Endpoint, *, utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        try:
            self._requests: Any = import_module("requests")
        except ImportError as error:
            raise MissingDependencyError("requests", "otlp", "`taskmeter ship`") from error
        self._json_format, self._service = protobuf()
        self._endpoint = endpoint
        self._utc_now = utc_now
        self._session = self._requests.Session()
        self._session.auth = endpoint.user or _nobody  # else `~/.netrc` would overrule the headers
        self._session.headers.update(
            {
                "user-agent": f"taskmeter/{__version__}",
                "content-type": "application/x-protobuf",
                **({"content-encoding": "gzip"} if endpoint.gzip else {}),
                **endpoint.headers,
            }
        )
        client = (endpoint.client_certificate, endpoint.client_key)
        self._tls: dict[str, Any] = {
            "verify": str(endpoint.certificate) if endpoint.certificate else True,
            "cert": tuple(str(path) for path in client if path is not None) or None,
        }

    def send(self, spans: Sequence[StoredSpan], timeout_seconds: float) -> Answer:
        """One request. Raises nothing that an endpoint or a span can cause."""
        try:
            body = export_request(spans).SerializeToString()
        except UnencodableSpanError:
            return Refused("no OTLP span")
        exceptions = self._requests.exceptions
        try:
            with self._session.post(
                self._endpoint.url,
                data=gzip.compress(body, 6) if self._endpoint.gzip else body,
                timeout=timeout_seconds,
                allow_redirects=False,  # a sign-in page that answers 200 has taken no span
                stream=True,
                **self._tls,
            ) as response:
                content = response.raw.read(_LONGEST_ANSWER, decode_content=True)
                return self._meaning(response.status_code, response.headers, content)
        except exceptions.SSLError as error:
            return Misdirected(f"no TLS with it: {_cause(error)}")
        except (exceptions.InvalidHeader, exceptions.InvalidURL, exceptions.InvalidSchema) as error:
            return Misdirected(type(error).__name__)
        except (exceptions.RequestException, OSError, *self._broken_reads()) as error:
            return Again(_cause(error))

    def close(self) -> None:
        """Ends the connections."""
        self._session.close()

    def _broken_reads(self) -> tuple[type[Exception], ...]:
        return (import_module("urllib3.exceptions").HTTPError,)  # of the body, which `raw` does not translate

    def _meaning(self, status: int, headers: Any, content: bytes) -> Answer:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return self._success(content)
        said = self._said(headers, content)
        reason = f"HTTP {status}{f' ({said})' if said else ''}"
        if status in _AGAIN:
            return Again(reason, self._retry_after(headers.get("retry-after", "")))
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(reason)
        if status < HTTPStatus.BAD_REQUEST:
            return Misdirected(f"HTTP {status}, which leads elsewhere")
        if status in _MISDIRECTED:
            return Misdirected(reason)
        return Failed(reason) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Refused(reason)

    def _success(self, content: bytes) -> Answer:
        try:
            partial = self._service.ExportTraceServiceResponse.FromString(content).partial_success
        except Exception:  # noqa: BLE001 - `DecodeError`: an answer of another kind, as JSON; 2xx says that it has them
            return Accepted()
        return Accepted(max(0, partial.rejected_spans), self._endpoint.without_secrets(partial.error_message))

    def _said(self, headers: Any, content: bytes) -> str:
        """The endpoint's own words: a `google.rpc.Status`, or plain text."""
        kind = headers.get("content-type", "")
        if kind.startswith("application/x-protobuf"):
            try:
                content = import_module("google.rpc.status_pb2").Status.FromString(content).message.encode()
            except Exception:  # noqa: BLE001 - `DecodeError`, or no such package: the number must do
                return ""
        elif not kind.startswith(("text/plain", "application/json")):
            return ""
        return self._endpoint.without_secrets(content.decode("utf-8", "replace"))

    def _retry_after(self, value: str) -> float | None:
        """Seconds, from a number of them or from a date."""
        if value.strip().isascii() and value.strip().isdecimal():
            return float(value)
        try:
            return max(0.0, (parsedate_to_datetime(value) - self._utc_now()).total_seconds())
        except (ValueError, TypeError):
            return None


def _nobody(request: Any) -> Any:
    return request


def _cause(error: BaseException) -> str:
    """What went wrong at the bottom, without the messages on the way, which show the URL with its query."""
    deepest: BaseException = error
    for _ in range(8):
        inner = getattr(deepest, "reason", None) or deepest.__cause__ or deepest.__context__
        if not isinstance(inner, BaseException):
            break
        deepest = inner
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror.lower()
    return "timed out" if "Timeout" in type(deepest).__name__ + type(error).__name__ else type(deepest).__name__
