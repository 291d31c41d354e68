"""What the application retrieves and puts into prompts."""

from __future__ import annotations

from taskmeter._guard import guarded
from taskmeter.account.sent import Sent, measures_context
from taskmeter.errors import UsageError
from taskmeter.scopes.arguments import text as checked
from taskmeter.telemetry.context import current_scope

LONGEST_SOURCE = 64


def document(text: str, source: str = "documents") -> str:
    """Marks `text` as a retrieved document, and returns it unchanged.

    Calls of the same task that send it, by itself or inside a longer text, then count it as `documents` from `source`
    (at most 64 characters). Inside a longer text it is found in the first 65,536 characters, if it is there as it was
    marked. Nothing of it leaves the process but its size. Outside any task it has no effect, nor with `context=False`.
    Raises `UsageError` for what is no text.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"document({type(text).__name__!r} object): pass the text of the document"
        raise UsageError(msg)
    if len(checked(source, "source")) > LONGEST_SOURCE:
        msg = f"source={source!r} has {len(source)} characters; name where documents come from in {LONGEST_SOURCE}"
        raise UsageError(msg)
    with guarded("scopes.document"):
        scope = current_scope()
        if text and scope is not None and measures_context() and not scope.owner.closed:
            owner = scope.owner
            owner.sent = owner.sent or Sent()
            owner.sent.add_document(text, source)
    return text
