"""What is to be said of the hooks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Final

from taskmeter.capture import HookStatus, hook_status
from taskmeter.diagnosis.neighbours import name_of, wrappers
from taskmeter.diagnosis.records import Finding

_ISSUES: Final = "report it with the lines in the log (logger `taskmeter`)"
_SDKS: Final = ("openai", "anthropic")
_LOST: Final = {
    "request": "calls are not seen",
    "_process_response": "the usage of calls is not read",
    "_process_response_data": "the usage of answers parsed later is not read",
    "_sleep_for_retry": "retries are not seen",
    "__stream__": "the usage of streams is not read",
}
"""What goes without the function that is hooked for it."""


def not_hooked(hooks: Iterable[HookStatus]) -> Iterator[Finding]:
    """Where `instrument()` was not called."""
    if all(hook.state in ("out", "absent") for hook in hooks):
        yield Finding(
            "action",
            "no client is observed: instrument() was not called, or uninstrument() was called since",
            "call taskmeter.configure() at the start of the program, or taskmeter.instrument()",
        )


def hook_findings(hooks: Iterable[HookStatus], versions: dict[str, str | None]) -> Iterator[Finding]:
    """Hooks that are not on their functions, and hooks beneath somebody else's."""
    covered: dict[str, list[str]] = {}
    for hook in hooks:
        package = hook.module.partition(".")[0]
        release = f"{package} {versions.get(package) or ''}".rstrip()
        if hook.state == "missing" and not hook.optional:
            lost = _LOST.get(hook.attribute, "something may not be seen")
            yield Finding(
                "action",
                f"{release} has no {hook.function}: {lost}; the other hooks work",
                "update taskmeter; until it knows this version, install an older one of " + package,
            )
        elif hook.state == "failed":
            yield Finding("action", f"the hook on {hook.function} could not be put on", _ISSUES)
        elif hook.state == "covered":
            covered.setdefault(_coverer(hook), []).append(hook.function)
    for name, functions in covered.items():
        yield Finding(
            "note",
            f"{name} has wrapped {', '.join(functions)} after taskmeter: both work, but uninstrument() cannot take "
            "taskmeter's wrapper out from beneath; it stays there, idle",
            "to avoid that, undo them in the reverse order, or instrument taskmeter last",
        )


def breaker_findings(turned_off: Iterable[str]) -> Iterator[Finding]:
    """Hooks that failed too often."""
    for name in turned_off:
        yield Finding(
            "action",
            f"the hook on {name} is off: taskmeter failed there time and again",
            f"{_ISSUES}; uninstrument() and instrument() try it once more",
        )


def import_sdks() -> Iterator[Finding]:
    """Imports what there is to hook, as a program would."""
    for package in _SDKS:
        if find_spec(package) is None:
            continue
        try:
            importlib.import_module(package)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from being imported is the finding
            yield Finding(
                "action", f"{package} is installed but cannot be imported: {type(error).__name__}: {error}", "see above"
            )
    for module in dict.fromkeys(hook.module for hook in hook_status()):
        if module.partition(".")[0] in sys.modules:
            _import(module)


def after_imports(hook: HookStatus) -> HookStatus:
    """Now that all was imported that can be: what still is awaited is not there."""
    package = hook.module.partition(".")[0]
    return replace(hook, state="missing") if hook.state == "awaited" and package in _SDKS else hook


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError:
        return  # this version has none, which is what its hook will say


def _coverer(hook: HookStatus) -> str:
    owner = getattr(sys.modules.get(hook.module), hook.owner, None)
    return next((name_of(module) for module in wrappers(vars(owner).get(hook.attribute))), "somebody")
