"""Hooks on provider clients: `instrument` puts them on, `uninstrument` takes them off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import time_ns
from typing import Any
from weakref import WeakSet

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from taskmeter import pricing
from taskmeter._config import Settings, WasteRules, checked_rules, prices_from_environment
from taskmeter._guard import guarded
from taskmeter.account import use_rules
from taskmeter.account.sent import use_context
from taskmeter.capture import old_retries, reasks, sessions, tools
from taskmeter.capture.anthropic import Anthropic
from taskmeter.capture.bodies import HTTP_BODIES, HTTP_CLOSES, close_response, iter_bytes, iter_bytes_async
from taskmeter.capture.clock import use_clock
from taskmeter.capture.context import checked_context
from taskmeter.capture.driver import Driver
from taskmeter.capture.hooks import Hook, Hooks, HookStatus, is_hook
from taskmeter.capture.inherited import Inherited
from taskmeter.capture.open_calls import finish
from taskmeter.capture.openai import OpenAI
from taskmeter.capture.provider import Client, Provider
from taskmeter.capture.tokens import use_tokenizer
from taskmeter.errors import UsageError
from taskmeter.telemetry import providers
from taskmeter.telemetry.baggage import checked_trust, trust_callers

__all__ = ["HookStatus", "finish", "hook_status", "instrument", "is_hook", "uninstrument"]

_PROVIDERS: tuple[Provider, ...] = (OpenAI(), Anthropic())


def _http_client(client: Client) -> Any:
    return client._client  # noqa: SLF001 - neither SDK has a public name for it


class _Clients:
    """Which clients are observed: all, or those named, and their `with_options` clones."""

    def __init__(self) -> None:
        self.all = False
        self.stream_usage = Settings().stream_usage
        self._named: WeakSet[Any] = WeakSet()

    def name(self, client: Client) -> None:
        # Clones share the HTTP client, which is thus what tells a client and its clones from others.
        self._named.add(_http_client(client))

    def enabled(self, client: Client) -> bool:
        return self.all or _http_client(client) in self._named

    def clear(self) -> None:
        self.all = False
        self._named.clear()


def _hooks(provider: Provider) -> list[Hook]:
    driver = Driver(provider, _clients.enabled, lambda: _clients.stream_usage)
    base, streaming = f"{provider.package}._base_client", f"{provider.package}._streaming"
    traced = [] if provider.traced_method is None else [provider.traced_method]
    return [
        *(
            Hook(base, owner, name, wrapper, driver.traces, optional=True)
            for name in traced
            for owner, wrapper in (("SyncAPIClient", driver.traced), ("AsyncAPIClient", driver.traced_async))
        ),
        Hook(base, "SyncAPIClient", "request", driver.request, driver.requests),
        Hook(base, "AsyncAPIClient", "request", driver.request_async, driver.requests),
        Hook(base, "SyncAPIClient", "_process_response", driver.process_response, driver.responses, finishes=True),
        Hook(
            base, "AsyncAPIClient", "_process_response", driver.process_response_async, driver.responses, finishes=True
        ),
        Hook(base, "BaseClient", "_process_response_data", driver.process_response_data, driver.late_bodies),
        Hook(
            base, "SyncAPIClient", "_sleep_for_retry", driver.sleep_for_retry, driver.attempts, instead="_retry_request"
        ),
        Hook(
            base,
            "AsyncAPIClient",
            "_sleep_for_retry",
            driver.sleep_for_retry_async,
            driver.attempts,
            instead="_retry_request",
        ),
        Hook(streaming, "Stream", "__stream__", driver.stream, driver.streams, finishes=True),
        Hook(streaming, "AsyncStream", "__stream__", driver.stream_async, driver.streams, finishes=True),
        Hook(streaming, "Stream", "close", driver.close, driver.closes),
        Hook(streaming, "AsyncStream", "close", driver.close_async, driver.closes),
    ]


_clients = _Clients()
_seams = [hook for provider in _PROVIDERS for hook in _hooks(provider)]
_installed = Hooks(
    [
        *_seams,
        *old_retries.hooks(),
        *sessions.hooks(lambda: _clients.all),
        *tools.hooks(lambda: _clients.all),
        *reasks.hooks(lambda: _clients.all),
        # Of the HTTP client that the SDK at hand is built on; neither is imported by us.
        *(
            Hook(http, "Response", name, wrapper, breaker)
            for http in ("httpx", "httpx2")
            for name, wrapper, breaker in (
                ("close", close_response, HTTP_CLOSES),
                ("aclose", close_response, HTTP_CLOSES),
                ("iter_bytes", iter_bytes, HTTP_BODIES),
                ("aiter_bytes", iter_bytes_async, HTTP_BODIES),
            )
        ),
    ]
)
_inherited = Inherited([hook for hook in _seams if hook.attribute == "request"])
_lock = threading.RLock()  # a signal handler may come back here


def instrument(  # noqa: PLR0913 - each setting is said by name
    client: Client | None = None,
    /,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    stream_usage: bool = True,
    tokenizer: str | None = None,
    trust_remote_tasks: bool = False,
    context: bool = True,
    waste: WasteRules | None = None,
    clock: Callable[[], int] = time_ns,
) -> None:
    """Observes every OpenAI and Anthropic client of the process, or only `client` and its `with_options` clones.

    Spans and metrics go to the given providers, by default to OpenTelemetry's global ones; nothing is exported or
    replaced. `stream_usage` asks OpenAI and Azure to state the usage of a chat stream, and hides the extra chunk that
    brings it. `tokenizer` names a tiktoken encoding (`o200k_base`) for the estimates of requests whose usage is not
    stated (needs the extra `tokens`); by default they are UTF-8 bytes / 4. `trust_remote_tasks` believes the
    baggage of inbound requests when it names the task of the caller: say so only where every caller is yours. `context`
    measures what the input of each call is made of, by lengths only, and which calls are repeated. `waste` says from
    which thresholds on repetition is waste. `clock`
    tells the time, in Unix ns, whose prices a call has: replays and tests give that of the calls; where it fails,
    they are unpriced. Works before or after the SDKs are imported; calling it again changes the settings only. The
    price file that `TASKMETER_CONFIG` names, or else `taskmeter.toml` in the working directory, is read the first time,
    unless `configure` was given another.
    Raises `UsageError` for a `client` that is not one of theirs, `MissingDependencyError` for a tokenizer that
    cannot be had, `ConfigurationError` for a setting or a price file that makes no sense.
    """
    if client is not None and not _is_client(client):
        msg = f"instrument({type(client).__name__!r} object): pass an OpenAI or Anthropic client, or nothing for all"
        raise UsageError(msg)
    for argument, provider, method in (
        ("tracer_provider", tracer_provider, "get_tracer"),
        ("meter_provider", meter_provider, "get_meter"),
    ):
        if provider is not None and not hasattr(provider, method):
            msg = (
                f"{argument}={provider!r} has no {method}(); pass an OpenTelemetry provider, or None for the global one"
            )
            raise UsageError(msg)
    trusted = checked_trust(trust_remote_tasks)
    rules = checked_rules(waste)
    use_context(on=checked_context(context))
    use_rules(rules)
    use_tokenizer(tokenizer)
    use_clock(clock)
    if not pricing.chosen():
        pricing.use(prices_from_environment())
    with _lock:
        with guarded("capture.providers"):
            providers.use(tracer_provider, meter_provider)
            providers.instruments()  # now, so that faults are counted from the start
        with guarded("capture.prices"):
            pricing.load()  # now, so that the first call does not wait for it
        with guarded("capture.instrument"):
            trust_callers(trust=trusted)
            _clients.stream_usage = stream_usage
            if client is None:
                _clients.all = True
            else:
                _clients.name(client)
            _installed.on()
            _inherited.on()


def hook_status() -> list[HookStatus]:
    """What became of each hook."""
    return _installed.status()


def uninstrument() -> None:
    """Restores every function that `instrument` replaced. Open tasks stay open; calls under way are still booked.

    A function that somebody has wrapped since keeps our wrapper beneath theirs, where it does nothing. Hooks that were
    turned off after faults of ours go on again with the next `instrument`.
    """
    with _lock, guarded("capture.uninstrument"):
        _clients.clear()
        _inherited.off()
        _installed.off()


def _is_client(client: object) -> bool:
    known = {f"{provider.package}._base_client" for provider in _PROVIDERS}
    return any(base.__module__ in known for base in type(client).__mro__)
