"""Tool runs without code: what the SDKs' tool runners execute, and what MCP clients call.

A run is pictured by the SDK's own span where it opens one, else by one of ours. Its price is that of the price file,
by the tool's name. Of the arguments a keyed fingerprint is made, to tell a loop; no result is looked at, but for
whether it says that it is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span

from taskmeter._guard import Breaker, guarded
from taskmeter.account import toolprint
from taskmeter.capture.hooks import Hook, Wrapper
from taskmeter.capture.reading import field, text_field
from taskmeter.pricing import tool_price
from taskmeter.telemetry import collected, spans
from taskmeter.telemetry.attributes import identity_attributes
from taskmeter.telemetry.context import current_scope
from taskmeter.telemetry.toolruns import NOTHING, OpenRun, bill, end_span, settle, start_attributes

TOOL_ERROR: Final = "tool_error"
"""The `error.type` of a run whose result says that it failed."""
_MORE_INPUT: Final = "InputRequiredResult"
"""What an MCP server answers where it wants more input before it runs the tool."""
_BREAKER: Final = Breaker("tool runs")
Enabled = Callable[[], bool]


class _SeenRun:
    """A tool run that a hook sees, made inside the SDK's own span for it if it has one.

    `around` is the span outside of that; `None` where only its name tells whether the current one is it.
    """

    def __init__(self, name: str, call_id: str | None, arguments: object, around: Span | None) -> None:
        collected.notice()
        scope = current_scope()
        self._price = tool_price(name)
        self._open = OpenRun(
            name, scope, stated=False, priced=self._price is not None, toolprint=toolprint(name, arguments)
        )
        self._identity = identity_attributes(scope.task if scope is not None else None)
        self.context = self._open.within()
        self._span = trace.get_current_span()
        if around is None:
            self._own = not str(getattr(self._span, "name", "")).endswith(f"tool_use {name}")
        else:
            self._own = self._span is around
        if self._own:
            self._span = trace.INVALID_SPAN
            if self._open.counts:
                self._span = spans.start(f"execute_tool {name}", {**start_attributes(name, call_id), **self._identity})
        if self._span is not trace.INVALID_SPAN:
            self.context = trace.set_span_in_context(self._span, self.context)
        self._started = time.perf_counter()

    def end(self, error_type: str | None, *, over: bool) -> None:
        """Ends the run, which does not count if it is not over."""
        self._open.counts = self._open.counts and over
        seconds = time.perf_counter() - self._started
        costs = bill(self._price, self._open.name, seconds) if self._open.counts else NOTHING
        attributes = settle(self._open, costs, seconds, error_type)
        end_span(
            self._open, self._span, {**attributes, **self._identity} if attributes else {}, error_type, own=self._own
        )


class _Seen:
    """`with _Seen(...) as run:` runs a block inside a run of the tool that `call` names; `run.says` tells what came of
    it. `call` has the tool's `name`, at `id_field` the id that the model gave it, and its arguments as `input` or
    `arguments`, unless they are `given`."""

    def __init__(self, call: object, id_field: str, around: Span | None, given: object = None) -> None:
        self._previous = otel.get_current()
        self._run: _SeenRun | None = None
        self._failed = False
        self._over = True
        with guarded("capture.tool", _BREAKER):
            name = text_field(call, "name")
            if name:
                arguments = next((value for value in (given, *_arguments(call)) if value is not None), None)
                self._run = _SeenRun(name, text_field(call, id_field), arguments, around)

    def says(self, made: Any, part: str | int | None = None) -> None:
        """What the block made, or `part` of it."""
        with guarded("capture.tool_result", _BREAKER):
            result = made[part] if isinstance(part, int) else made if part is None else field(made, part)
            self._failed = field(result, "is_error") is True or field(result, "isError") is True
            self._over = type(result).__name__ != _MORE_INPUT

    def __enter__(self) -> Self:
        if self._run is not None:
            otel.attach(self._run.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if self._run is None:
            return
        otel.attach(self._previous)
        error_type = type(error).__name__ if error is not None else TOOL_ERROR if self._failed else None
        collected.run(partial(self._end, self._run, error_type))

    def _end(self, run: _SeenRun, error_type: str | None) -> None:
        with guarded("capture.tool_end", _BREAKER):
            run.end(error_type, over=self._over)


class _AnthropicBlock:
    """The block in which Anthropic's runner runs one tool, with the SDK's own span where it has one."""

    def __init__(self, block: Any, use: object) -> None:
        self._block = block
        self._use = use
        self._result: Any = None
        self._seen: _Seen | None = None

    def __enter__(self) -> Any:
        around = trace.get_current_span()
        self._result = self._block.__enter__()
        self._seen = _Seen(self._use, "id", around)
        self._seen.__enter__()
        return self._result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> Any:
        if self._seen is not None:
            self._seen.says(self._result, "result")
            self._seen.__exit__(kind, error, trace_)
        return self._block.__exit__(kind, error, trace_)


def _anthropic_run(enabled: Enabled) -> Wrapper:
    """`BaseToolRunner._tool_use_span`: one tool that a model called."""

    def wrapper(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        block = wrapped(*args, **kwargs)
        return _AnthropicBlock(block, _argument(args, kwargs, 2, "tool_use")) if enabled() else block

    return wrapper


def _anthropic_session_run(enabled: Enabled) -> Wrapper:
    """`SessionToolRunner._call_tool`: one tool that an agent session asked for, inside the SDK's own span."""

    async def call(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _Seen(_argument(args, kwargs, 1, "ev"), "id", None) as run:
            result = await wrapped(*args, **kwargs)
            run.says(result, 0)
            return result

    return _coroutine(call, enabled)


def _anthropic_function(enabled: Enabled) -> Wrapper:
    """`BetaFunctionTool.call`: what runners and loops of the application's own call. Inside a runner that is seen
    itself, it is the same run."""

    def wrapper(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not enabled():
            return wrapped(*args, **kwargs)
        with _Seen(instance, "id", trace.get_current_span(), _argument(args, kwargs, 0, "input")):
            return wrapped(*args, **kwargs)

    return wrapper


def _anthropic_function_async(enabled: Enabled) -> Wrapper:
    """`BetaAsyncFunctionTool.call`."""

    async def call(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _Seen(instance, "id", trace.get_current_span(), _argument(args, kwargs, 0, "input")):
            return await wrapped(*args, **kwargs)

    return _coroutine(call, enabled)


def _openai_run(enabled: Enabled) -> Wrapper:
    """`ResponsesToolRunner._execute_function`: one function that a model called."""

    def wrapper(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not enabled():
            return wrapped(*args, **kwargs)
        with _Seen(_argument(args, kwargs, 1, "item"), "call_id", trace.get_current_span()):
            return wrapped(*args, **kwargs)

    return wrapper


def _openai_run_async(enabled: Enabled) -> Wrapper:
    """`AsyncResponsesToolRunner._execute_function`."""

    async def call(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with _Seen(_argument(args, kwargs, 1, "item"), "call_id", trace.get_current_span()):
            return await wrapped(*args, **kwargs)

    return _coroutine(call, enabled)


def _mcp_call(enabled: Enabled) -> Wrapper:
    """`ClientSession.call_tool`: one request to a server, which is asked again where it first wants more input."""

    async def call(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called = {"name": _argument(args, kwargs, 0, "name")}
        with _Seen(called, "id", trace.get_current_span(), _argument(args, kwargs, 1, "arguments")) as run:
            result = await wrapped(*args, **kwargs)
            run.says(result)
            return result

    return _coroutine(call, enabled)


def _coroutine(call: Wrapper, enabled: Enabled) -> Wrapper:
    """A wrapper of a coroutine function, which does `call`."""

    def wrapper(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call(wrapped, instance, args, kwargs) if enabled() else wrapped(*args, **kwargs)

    return wrapper


def _arguments(call: object) -> tuple[object, object]:
    return field(call, "input"), field(call, "arguments")


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> object:
    return args[position] if len(args) > position else kwargs.get(name)


def hooks(enabled: Enabled) -> list[Hook]:
    """All optional: a version without one of these functions has no such runner. They are on when all clients are
    observed, as a tool does not tell whose it is."""
    runner, openai = "anthropic.lib.tools._beta_runner", "openai.lib.responses_tool_runner"
    functions, sessions = "anthropic.lib.tools._beta_functions", "anthropic.lib.tools._beta_session_runner"
    return [
        Hook(functions, "BetaFunctionTool", "call", _anthropic_function(enabled), _BREAKER, optional=True),
        Hook(functions, "BetaAsyncFunctionTool", "call", _anthropic_function_async(enabled), _BREAKER, optional=True),
        Hook(runner, "BaseToolRunner", "_tool_use_span", _anthropic_run(enabled), _BREAKER, optional=True),
        Hook(sessions, "SessionToolRunner", "_call_tool", _anthropic_session_run(enabled), _BREAKER, optional=True),
        Hook(openai, "ResponsesToolRunner", "_execute_function", _openai_run(enabled), _BREAKER, optional=True),
        Hook(
            openai, "AsyncResponsesToolRunner", "_execute_function", _openai_run_async(enabled), _BREAKER, optional=True
        ),
        Hook("mcp.client.session", "ClientSession", "call_tool", _mcp_call(enabled), _BREAKER, optional=True),
    ]
