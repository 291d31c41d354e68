"""A task's identity as W3C baggage: what other services are told of it, and what is believed of what they say.

OpenTelemetry's instrumentations of HTTP clients, servers and queues carry baggage. It is set in the task's own context,
so it is gone when the task ends; the application's own entries stay. Anybody can write anything into a request's
baggage, so what comes in counts only where the application said that it trusts its callers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry import baggage
from opentelemetry.context import Context

from taskmeter import _semconv as names
from taskmeter._bounds import LONGEST, shown
from taskmeter.account import TaskIdentity
from taskmeter.errors import ConfigurationError

_ENTRIES: Final = (names.TASK_ID, names.TASK_NAME, names.TASK_KEY)
_ID: Final = re.compile("[0-9a-f]{32}")


class _Trust:
    """Whether callers are believed, in this process."""

    callers = False


_trust = _Trust()


def checked_trust(trust: object) -> bool:
    """`trust` if it is a plain yes or no: a text such as `"false"` would be taken for a yes."""
    if not isinstance(trust, bool):
        msg = f"trust_remote_tasks={shown(trust)} is neither True nor False; pass one of them"
        raise ConfigurationError(msg)
    return trust


def trust_callers(*, trust: bool) -> None:
    """From now on believes, or does not, what inbound baggage says about the task of the caller."""
    _trust.callers = trust


def with_task(task: TaskIdentity, context: Context) -> Context:
    """`context` whose baggage names `task`, and no task around it."""
    key = task.key if task.key is not None and _is_sound(task.key) else None
    context = without_task(context)
    context = baggage.set_baggage(names.TASK_ID, task.id, context)
    context = baggage.set_baggage(names.TASK_NAME, _sound(task.name), context)
    return context if key is None else baggage.set_baggage(names.TASK_KEY, key, context)


def names_task(context: Context | None = None) -> bool:
    """Whether the baggage of `context`, by default the current one, names a task."""
    return names.TASK_ID in baggage.get_all(context)


def without_task(context: Context) -> Context:
    """`context` whose baggage names no task: for requests to model providers, who have no business with it."""
    entries = baggage.get_all(context)
    if names.TASK_ID not in entries:
        return context
    context = baggage.clear(context)  # once for all three: this is on the way of every call
    for entry, value in entries.items():
        if entry not in _ENTRIES:
            context = baggage.set_baggage(entry, value, context)
    return context


def remote_task(context: Context | None = None) -> TaskIdentity | None:
    """The task that a trusted caller works for, as the baggage of `context` names it; `None` for anything else."""
    return _parsed(baggage.get_all(context)) if _trust.callers else None


def _parsed(entries: Mapping[str, object]) -> TaskIdentity | None:
    task_id, name, key = (entries.get(entry) for entry in _ENTRIES)
    if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
        return None
    if not isinstance(name, str) or not _is_sound(name):
        return None
    if key is not None and not (isinstance(key, str) and _is_sound(key)):
        return None
    return TaskIdentity(id=task_id, name=name, key=key, remote=True)


def _is_sound(text: str) -> bool:
    """Not empty, not too long, all of it printable: so it comes out of a header as it went in."""
    return 0 < len(text) <= LONGEST and text.isprintable() and text == text.strip()


def _sound(name: str) -> str:
    """The part of a name that can travel."""
    return "".join(filter(str.isprintable, name)).strip()[:LONGEST].strip() or "(unnamed)"
