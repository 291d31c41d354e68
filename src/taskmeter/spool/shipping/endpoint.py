"""Where the spool is shipped to, and how: what was asked for on the command line, else `OTEL_EXPORTER_OTLP_*`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from taskmeter._config import OtlpShipping
from taskmeter.errors import ConfigurationError
from taskmeter.spool.receipts import endpoint_name

Protocol = Literal["http", "grpc"]

_PROTOCOLS: Final[Mapping[str, Protocol]] = {"": "http", "http": "http", "http/protobuf": "http", "grpc": "grpc"}
_DEFAULTS: Final = {"http": "http://localhost:4318", "grpc": "http://localhost:4317"}
_PATH: Final = "/v1/traces"
_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OTLP endpoint for traces. Prints without anything secret."""

    name: str
    """What it is called in the delivery ledger and in messages: without user info, query and headers."""
    protocol: Protocol
    url: str = field(repr=False)
    """What is posted to; host and port for gRPC."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    user: tuple[str, str] | None = field(default=None, repr=False)
    """Name and password, where the URL had them."""
    secure: bool = False
    """gRPC: over TLS."""
    certificate: Path | None = None
    """Of the authority that signed the endpoint's certificate, in PEM; `None` for the system's."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    gzip: bool = True
    timeout_seconds: float = _TIMEOUT_SECONDS

    def without_secrets(self, text: str) -> str:
        """What an endpoint said, on one line, with what it was told in confidence taken out again."""
        words = [word for value in self.headers.values() for word in (value, *value.split())]
        words += [word for word in (self.user or ()) if word]
        words += [word for pair in parse_qsl(urlsplit(self.url).query) for word in (pair[1], quote(pair[1]))]
        for word in sorted(words, key=len, reverse=True):
            if len(word) > len("Bearer"):
                text = text.replace(word, "***")
        return "".join(character if character.isprintable() else " " for character in text).strip()[:200]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asked for; `None` for what the environment or the default decides."""

    url: str | None = None
    protocol: Protocol | None = None
    headers: tuple[str, ...] = ()
    """`name=value` each."""
    certificate: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    compression: str | None = None
    timeout_seconds: float | None = None
    insecure: bool = False


def endpoint_of(asked: Asked, environment: OtlpShipping) -> Endpoint:
    """The endpoint meant. Raises `ConfigurationError`; its messages show no secret."""
    by_scheme: Protocol | None = "grpc" if (asked.url or "").startswith(("grpc://", "grpcs://")) else None
    protocol = by_scheme or asked.protocol or _PROTOCOLS.get(environment.protocol)
    if protocol is None:
        msg = f"OTEL_EXPORTER_OTLP_PROTOCOL={environment.protocol!r} is not served; set it to http/protobuf or grpc"
        raise ConfigurationError(msg)
    if asked.insecure and protocol == "http":
        raise ConfigurationError("--insecure is about gRPC; over HTTP the URL decides: http:// or https://")
    headers = _headers(environment.headers.split(","), "OTEL_EXPORTER_OTLP_HEADERS")
    headers |= _headers(asked.headers, "--header")
    key = asked.client_key or _path(environment.client_key)
    client_certificate = asked.client_certificate or _path(environment.client_certificate)
    if key is not None and client_certificate is None:
        raise ConfigurationError("a client key was given without its certificate; add --client-certificate")
    name, url, user, secure = (_over_http if protocol == "http" else _over_grpc)(asked, environment)
    return Endpoint(
        name=name,
        protocol=protocol,
        url=url,
        headers=headers,
        user=user,
        secure=secure,
        certificate=_file(asked.certificate or _path(environment.certificate)),
        client_certificate=_file(client_certificate),
        client_key=_file(key),
        gzip=_gzip(asked.compression or environment.compression),
        timeout_seconds=_seconds(asked.timeout_seconds, environment.timeout),
    )


_Address = tuple[str, str, tuple[str, str] | None, bool]


def _over_http(asked: Asked, environment: OtlpShipping) -> _Address:
    """The path of traces is added to an endpoint for all signals, and not to one for traces."""
    general = asked.url or environment.general_endpoint or _DEFAULTS["http"]
    of_traces = "" if asked.url else environment.traces_endpoint
    given = of_traces or general
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        raise _no_url(given) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_url(given)
    path = parts.path or "/"
    if not of_traces and not (asked.url and path.endswith(_PATH)):
        path = path.removesuffix("/") + _PATH
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if port is None else f"{host}:{port}"
    url = urlunsplit((parts.scheme, netloc, path, parts.query, ""))
    user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return endpoint_name(url), url, user, parts.scheme == "https"


def _over_grpc(asked: Asked, environment: OtlpShipping) -> _Address:
    """TLS for `https`, none for `http`; without a scheme, TLS unless it was declined."""
    given = asked.url or environment.traces_endpoint or environment.general_endpoint or _DEFAULTS["grpc"]
    scheme, _, rest = given.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        known = scheme in ("", "http", "https", "grpc", "grpcs") and parts.hostname and parts.port != 0
    except ValueError:
        raise _no_url(given) from None
    if not known:
        raise _no_url(given)
    declined = asked.insecure or environment.insecure.lower() == "true"
    secure = scheme in ("https", "grpcs") or (not scheme and not declined)
    netloc = parts.netloc.rpartition("@")[2]
    return endpoint_name(f"{'grpcs' if secure else 'grpc'}://{netloc}"), netloc, None, secure


def _no_url(given: str) -> ConfigurationError:
    shown = given.rpartition("@")[2].partition("?")[0]
    return ConfigurationError(f"the endpoint {shown!r} is no URL; write it as in http://localhost:4318")


def _headers(pairs: tuple[str, ...] | list[str], source: str) -> dict[str, str]:
    """Names in lower case, percent-encoding undone, as OpenTelemetry writes them."""
    headers: dict[str, str] = {}
    for number, pair in enumerate(pairs, start=1):
        if not pair.strip():
            continue
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise ConfigurationError(f"header {number} of {source} is not of the form name=value")
        name, value = unquote(name).strip().lower(), unquote(value).strip()
        if not f"{name}{value}".isascii() or not f"{name}{value}".isprintable():
            raise ConfigurationError(f"header {number} of {source} is not of printable ASCII characters")
        headers[name] = value
    return headers


def _gzip(compression: str) -> bool:
    if compression not in ("", "gzip", "none"):
        raise ConfigurationError(f"compression {compression!r} is not served; use gzip or none")
    return compression != "none"


def _seconds(asked: float | None, said: str) -> float:
    try:
        seconds = asked if asked is not None else float(said or _TIMEOUT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"a timeout of {said or asked!r} is none; write a number of seconds above 0")
    return seconds


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _file(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise ConfigurationError(f"there is no file {str(path)!r}")
    return path
