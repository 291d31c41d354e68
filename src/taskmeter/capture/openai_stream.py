"""OpenAI's streams: which event brings the provider's last word on usage, and what to say where none came."""

from __future__ import annotations

from collections.abc import Mapping

from taskmeter.capture.openai_usage import finish_reasons, read_answer
from taskmeter.capture.reading import (
    MOST_REASONS,
    Reading,
    field,
    items,
    text_field,
)
from taskmeter.capture.tokens import estimated_tokens, how, request_tokens, utf8_length
from taskmeter.records import Part, Usage

_LAST_EVENTS = frozenset({"image_generation.completed", "image_edit.completed", "transcript.text.done"})
"""Events that state the usage of what was not a conversation."""
_LAST_STATES = frozenset(f"response.{state}" for state in ("completed", "incomplete", "failed", "cancelled"))
_TEXT_OPERATIONS = frozenset({"chat", "text_completion"})


class OpenAIStreamReader:
    """Chat chunks (usage in the last, if asked for), or typed events (usage in the terminal one)."""

    __slots__ = (
        "_asked",
        "_final",
        "_finish_reasons",
        "_id",
        "_making",
        "_model",
        "_operation",
        "_output_bytes",
        "_tier",
    )

    def __init__(self, operation: str, *, asked: bool) -> None:
        self._operation = operation
        self._asked = asked
        self._final: Reading | None = None
        self._making = False
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._finish_reasons: tuple[str, ...] = ()
        self._output_bytes = 0

    @property
    def complete(self) -> bool:
        """See `StreamReader`."""
        return self._final is not None

    @property
    def making(self) -> str | None:
        """See `StreamReader`."""
        return self._id if self._making else None

    def hides(self, event: object) -> bool:
        """See `StreamReader`."""
        return self._asked and field(event, "usage") is not None and not items(field(event, "choices"))

    def read(self, event: object) -> None:
        """See `StreamReader`."""
        kind = text_field(event, "type") or ""
        if kind.startswith("response."):
            self._read_response_event(kind, event)
        elif kind in _LAST_EVENTS:
            self._finish(event)
        elif (text_field(event, "event") or "").startswith("thread."):
            self._read_run_event(field(event, "data"))
        else:
            self._read_chunk(event)

    def _read_chunk(self, event: object) -> None:
        self._model = text_field(event, "model") or self._model
        self._id = text_field(event, "id") or self._id
        self._tier = text_field(event, "service_tier") or self._tier
        for choice in items(field(event, "choices")):
            self._output_bytes += _delta_bytes(choice)
        if len(self._finish_reasons) < MOST_REASONS:
            self._finish_reasons += finish_reasons(event)
        if field(event, "usage") is None:
            return
        found = read_answer(event, self._operation)
        if found.usage is not None:
            # Some servers state a running usage on every chunk: the last one counts.
            self._final = found._replace(
                model=self._model,
                response_id=self._id,
                finish_reasons=self._finish_reasons,
                variants=self._variants(),
            )

    def _read_response_event(self, kind: str, event: object) -> None:
        response = field(event, "response")
        if response is not None:
            self._model = text_field(response, "model") or self._model
            self._id = text_field(response, "id") or self._id
            self._tier = text_field(response, "service_tier") or self._tier
            self._making = field(response, "background") is True and kind not in _LAST_STATES
            if kind in _LAST_STATES:
                self._finish(response)
        elif kind.endswith(".delta"):
            self._output_bytes += utf8_length(text_field(event, "delta"))

    def _read_run_event(self, run: object) -> None:
        """An event of the Assistants API: those of a run's steps repeat parts of what the run's last one states."""
        if text_field(run, "object") == "thread.run":
            self._model = text_field(run, "model") or self._model
            self._id = text_field(run, "id") or self._id
            found = read_answer(run, self._operation)
            self._making = found.in_progress
            if not found.in_progress:
                self._finish(run)

    def _finish(self, answer: object) -> None:
        final = read_answer(answer, self._operation)
        self._final = final if final.usage is not None or final.error_type is not None else None

    def reading(self, request: Mapping[str, object]) -> Reading:
        """See `StreamReader`."""
        if self._final is not None:
            return self._final
        known = Reading(
            model=self._model,
            response_id=self._id,
            finish_reasons=self._finish_reasons,
            variants=self._variants(),
            doubt="the stream ended without usage",
            in_progress=self._making,
        )
        if self._making or self._operation not in _TEXT_OPERATIONS:
            return known
        tokens: dict[Part, int] = {
            "input": request_tokens(request),
            "output": estimated_tokens(self._output_bytes),
        }
        return Reading(
            usage=Usage({part: count for part, count in tokens.items() if count}),
            model=known.model,
            response_id=known.response_id,
            finish_reasons=known.finish_reasons,
            variants=known.variants,
            doubt=f"{known.doubt}: tokens {how()}",
        )

    def _variants(self) -> tuple[tuple[str, str], ...]:
        return (("service_tier", self._tier),) if self._tier else ()


def _delta_bytes(choice: object) -> int:
    """Bytes of what one chunk adds to the answer: text, refusal, reasoning, tool arguments."""
    delta = field(choice, "delta")
    if delta is None:
        return utf8_length(text_field(choice, "text"))
    size = sum(utf8_length(text_field(delta, name)) for name in ("content", "refusal", "reasoning_content"))
    for call in items(field(delta, "tool_calls")):
        size += utf8_length(text_field(call, "function", "name"))
        size += utf8_length(text_field(call, "function", "arguments"))
    return size
