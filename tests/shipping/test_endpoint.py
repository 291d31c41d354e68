"""Which endpoint is meant by the command line and the environment, and that neither gives a secret away."""

from __future__ import annotations

from typing import Any

import pytest

from taskmeter._config import shipping_from_environment
from taskmeter.errors import ConfigurationError
from taskmeter.spool.shipping.endpoint import Asked, Endpoint, endpoint_of

PREFIX = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "INSECURE"):
        monkeypatch.delenv(PREFIX + name, raising=False)
        monkeypatch.delenv(f"{PREFIX}TRACES_{name}", raising=False)


def resolved(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str] | None = None, **asked: Any) -> Endpoint:
    for name, value in (environment or {}).items():
        monkeypatch.setenv(PREFIX + name, value)
    return endpoint_of(Asked(**asked), shipping_from_environment())


@pytest.mark.parametrize(
    ("asked", "environment", "url"),
    [
        (None, {}, "http://localhost:4318/v1/traces"),
        (None, {"ENDPOINT": "https://a.example/otlp/"}, "https://a.example/otlp/v1/traces"),
        (None, {"ENDPOINT": "http://a:1", "TRACES_ENDPOINT": "http://b:2/in"}, "http://b:2/in"),
        (None, {"TRACES_ENDPOINT": "http://b:2"}, "http://b:2/"),
        ("http://c:3", {"TRACES_ENDPOINT": "http://b:2/in"}, "http://c:3/v1/traces"),
        ("http://c:3/v1/traces", {}, "http://c:3/v1/traces"),
        ("http://[::1]:4318", {}, "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_url_follows_the_rules_of_otlp(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, environment: dict[str, str], url: str
) -> None:
    """The command line before the variable for traces before that for all signals; to that one the path is added."""
    assert resolved(monkeypatch, environment, url=asked).url == url


@pytest.mark.parametrize(
    ("url", "asked", "address", "name"),
    [
        (None, {}, "localhost:4317", "grpc://localhost:4317"),
        ("https://a:4317", {}, "a:4317", "grpcs://a:4317"),
        ("a:4317", {}, "a:4317", "grpcs://a:4317"),
        ("a:4317", {"insecure": True}, "a:4317", "grpc://a:4317"),
        ("grpc://me:hunter2@a:4317", {}, "a:4317", "grpc://a:4317"),
    ],
)
def test_grpc_is_secure_unless_it_is_said_to_be_plain(
    monkeypatch: pytest.MonkeyPatch, url: str | None, asked: dict[str, Any], address: str, name: str
) -> None:
    """By the scheme, or by --insecure where there is none."""
    endpoint = resolved(monkeypatch, {"PROTOCOL": "grpc"}, url=url, **asked)
    assert (endpoint.protocol, endpoint.url, endpoint.name) == ("grpc", address, name)
    assert endpoint.secure == name.startswith("grpcs")


def test_a_name_in_the_ledger_is_an_endpoint_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor's advice can be run as it stands."""
    for name in ("grpc://a:4317", "grpcs://a:4317", "https://a.example/v1/traces"):
        assert resolved(monkeypatch, url=name).name == name


def test_settings_come_from_the_environment_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those for traces first; headers add up."""
    environment = {
        "HEADERS": "ignored=1",
        "TRACES_HEADERS": "Authorization=Basic%20abc,x-team = blue",
        "TIMEOUT": "3",
        "TRACES_TIMEOUT": "4.5",
        "COMPRESSION": "none",
    }
    endpoint = resolved(monkeypatch, environment, headers=("X-Team=red",))
    assert endpoint.headers == {"authorization": "Basic abc", "x-team": "red"}
    assert (endpoint.timeout_seconds, endpoint.gzip) == (4.5, False)
    endpoint = resolved(monkeypatch, environment, compression="gzip", timeout_seconds=9.0)
    assert (endpoint.timeout_seconds, endpoint.gzip) == (9.0, True)


@pytest.mark.parametrize(
    ("environment", "asked", "says"),
    [
        ({"PROTOCOL": "http/json"}, {}, "OTEL_EXPORTER_OTLP_PROTOCOL='http/json' is not served"),
        ({"ENDPOINT": "collector:4318"}, {}, "the endpoint 'collector:4318' is no URL"),
        ({"ENDPOINT": "http://me:hunter2@:x?k=hunter2"}, {}, "is no URL; write it as in http://localhost:4318"),
        ({"HEADERS": "a=1,hunter2"}, {}, "header 2 of OTEL_EXPORTER_OTLP_HEADERS is not of the form name=value"),
        ({}, {"headers": ("=hunter2",)}, "header 1 of --header is not of the form name=value"),
        ({}, {"headers": ("x=a%0d%0ay:b",)}, "header 1 of --header is not of printable ASCII characters"),
        ({"TIMEOUT": "soon"}, {}, "a timeout of 'soon' is none"),
        ({"COMPRESSION": "zstd"}, {}, "compression 'zstd' is not served; use gzip or none"),
        ({"CERTIFICATE": "/nowhere.pem"}, {}, "there is no file '/nowhere.pem'"),
        ({}, {"insecure": True}, "--insecure is about gRPC"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asked: dict[str, Any], says: str
) -> None:
    """With the value and the fix, unless it may be a secret."""
    with pytest.raises(ConfigurationError) as refused:
        resolved(monkeypatch, environment, **asked)
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_an_endpoint_prints_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do words of its own that repeat one; escape sequences do not reach the terminal."""
    url = "https://me:hunter2hunter2@a.example/?key=hunter2"
    endpoint = resolved(monkeypatch, url=url, headers=("authorization=Bearer abcdefghij",))
    assert "hunter2" not in repr(endpoint)
    assert "abcdefghij" not in repr(endpoint)
    said = endpoint.without_secrets("no \x1b[31mkey\nabcdefghij hunter2hunter2")
    assert said == "no  [31mkey *** ***"
