"""Who else instruments the clients: by what they have put on the SDKs' functions, and by what is installed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import FunctionType, MethodType
from typing import Any, Final, cast

from taskmeter.capture import is_hook
from taskmeter.diagnosis.records import Neighbour

_NAMES: Final = (
    ("opentelemetry.instrumentation.openai_v2", "OpenTelemetry"),
    ("opentelemetry.instrumentation.genai", "OpenTelemetry"),
    ("opentelemetry.instrumentation.openai", "OpenLLMetry"),
    ("opentelemetry.instrumentation.anthropic", "OpenLLMetry"),
    ("openinference", "OpenInference"),
    ("logfire", "Logfire"),
    ("langsmith", "LangSmith"),
    ("openlit", "OpenLIT"),
    ("ddtrace", "Datadog"),
    ("sentry_sdk", "Sentry"),
    ("langfuse", "Langfuse"),
    ("newrelic", "New Relic"),
    ("agentops", "AgentOps"),
    ("mlflow", "MLflow"),
    ("weave", "Weave"),
)
"""By the beginning of their modules' names, the longer ones first."""
_SDKS: Final = ("openai", "anthropic")
_PARTS: Final = ("_base_client", "_client", "_streaming", "_response", "_legacy_response", "resources", "lib")
"""Where the SDKs' functions are that others wrap."""
_PLAIN: Final = frozenset(
    {*sys.stdlib_module_names, *_SDKS, "httpx", "httpx2", "pydantic", "taskmeter", "typing_extensions", "wrapt"}
)
"""Whose decorators the SDKs' functions have by themselves."""
_DEEPEST: Final = 20
"""Wrappers on one function. They can go in a circle."""


def neighbours() -> tuple[Neighbour, ...]:
    """Those that have wrapped something first, then those only installed, each by name."""
    active: dict[str, set[str]] = {}
    for sdk in _SDKS:
        for owner, attribute, value in list(_functions(sdk)):
            for module in wrappers(value):
                active.setdefault(name_of(module), set()).add(f"{owner.__module__}.{owner.__qualname__}.{attribute}")
    found = [Neighbour(name, active=True, functions=tuple(sorted(active[name]))) for name in sorted(active)]
    return (*found, *(Neighbour(name, active=False) for name in sorted(_installed() - active.keys())))


def wrappers(function: Any) -> Iterator[str]:
    """The modules of foreign wrappers around `function`, as a class holds it, from the outside in."""
    for _ in range(_DEEPEST):
        if isinstance(function, classmethod | staticmethod):
            function = function.__func__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        proxy = _is_proxy(function)
        if not proxy and not isinstance(function, FunctionType):
            return
        module = _module_of(getattr(function, "_self_wrapper", None)) if proxy else _module_of(function)
        if module in sys.modules and module.partition(".")[0] not in _PLAIN and not is_hook(function):
            yield module
        function = getattr(function, "__wrapped__", None)


def name_of(module: str) -> str:
    """What people call it: `OpenInference` for `openinference.instrumentation.openai._request`."""
    known = (name for prefix, name in _NAMES if f"{module}.".startswith((f"{prefix}.", f"{prefix}_")))
    return next(known, ".".join(module.split(".")[:2]))


def _functions(sdk: str) -> Iterator[tuple[type, str, Any]]:
    """What the classes hold that were defined in the parts of `sdk` that are imported."""
    parts = tuple(f"{sdk}.{part}" for part in _PARTS)
    for name, module in list(sys.modules.items()):
        if name.startswith(parts):
            for owner in list(getattr(module, "__dict__", {}).values()):
                # By `type`: Anthropic 0.50 has a stand-in for a missing package, which raises when asked for its class.
                if issubclass(type(owner), type) and owner.__module__ in (name, sdk):  # public ones say the latter
                    kind = cast("type[object]", owner)
                    yield from ((kind, attribute, value) for attribute, value in list(vars(kind).items()))


def _is_proxy(function: object) -> bool:
    """Of wrapt, or of a copy of it that somebody ships."""
    return any(base.__name__.endswith(("ObjectProxy", "FunctionWrapper")) for base in type(function).__mro__)


def _module_of(function: Any) -> str:
    if isinstance(function, FunctionType):
        return str(function.__globals__.get("__name__", ""))  # `functools.wraps` has changed its `__module__`
    if isinstance(function, MethodType):
        return _module_of(function.__func__)
    if isinstance(function, functools.partial):
        return _module_of(function.func)  # pyright: ignore[reportUnknownMemberType]
    return type(function).__module__


def _installed() -> set[str]:
    names = {
        name_of(point.value.partition(":")[0])
        for point in entry_points(group="opentelemetry_instrumentor")
        if any(sdk in point.name for sdk in _SDKS)
    }
    tops = {prefix: name for prefix, name in _NAMES if "." not in prefix and prefix != "openinference"}
    return names | {name for prefix, name in tops.items() if find_spec(prefix) is not None}
