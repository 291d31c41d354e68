"""Real clients whose answers come from memory, one after the other, with the usage that a test states."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic
import openai

from taskmeter.demo.stub import Billed, anthropic_message, openai_chat, openai_response
from tests.capture.harness import CLAUDE, GPT, Meter, attributes
from tests.capture.sdks import accepts, http_of, needs

TEXT = "fine"


class Wire:
    """Both clients, and what was exported of their calls."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._answers: list[Any] = []

    def answers(self, *usages: Billed) -> Wire:
        """What the next answers are billed for, in order; the last one again and again."""
        self._answers = list(usages)
        return self

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(api_key="none", http_client=self._http(openai))

    @property
    def anthropic(self) -> anthropic.Anthropic:
        return self._anthropic(traced=False)

    @property
    def traced_anthropic(self) -> anthropic.Anthropic:
        """One that opens spans of its own."""
        if not accepts(anthropic.Anthropic, "open_telemetry"):
            needs(has=False, what="spans of the SDK's own")
        return self._anthropic(traced=True)

    def _anthropic(self, *, traced: bool) -> anthropic.Anthropic:
        settings: Any = {"api_key": "none", "http_client": self._http(anthropic)}
        if accepts(anthropic.Anthropic, "open_telemetry"):
            settings["open_telemetry"] = {"tracer_provider": self.meter.tracer_provider} if traced else False
        return anthropic.Anthropic(**settings)

    def _http(self, sdk: Any) -> Any:
        http: Any = http_of(sdk)

        def handle(request: Any) -> Any:
            usage = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            path = str(request.url.path)
            if path.endswith("/messages"):
                body = anthropic_message(CLAUDE, TEXT, usage)
            elif path.endswith("/responses"):
                body = openai_response(GPT, TEXT, usage)
            else:
                body = openai_chat(json.loads(request.content)["model"], TEXT, usage)
            return http.Response(200, headers={"content-type": "application/json"}, content=json.dumps(body).encode())

        return http.Client(transport=http.MockTransport(handle))

    def ask(self, client: Any, model: str = GPT, **options: Any) -> None:
        """One question."""
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "q" * 300}], **options)

    def chat(self, messages: Sequence[Any], **options: Any) -> None:
        """A chat completion."""
        self.openai.chat.completions.create(model=GPT, messages=list(messages), **options)

    def respond(self, given: Any, **options: Any) -> None:
        """A Response."""
        self.openai.responses.create(model=GPT, input=given, **options)

    def message(self, messages: Sequence[Any], **options: Any) -> None:
        """A message."""
        self.anthropic.messages.create(model=CLAUDE, max_tokens=1024, messages=list(messages), **options)

    def calls(self) -> list[dict[str, Any]]:
        """The attributes of each call's span."""
        return [attributes(span) for span in self.meter.spans("call")]

    def task(self) -> dict[str, Any]:
        """The attributes of the task's span."""
        (span,) = self.meter.spans("task")
        return attributes(span)


@contextmanager
def wired(**options: Any) -> Iterator[Wire]:
    """The hooks on, with `options` for `instrument`."""
    meter = Meter()
    meter.instrument(**options)
    try:
        yield Wire(meter)
    finally:
        meter.close()


__all__ = ["Billed", "Wire", "wired"]
