"""What recording prompts and answers costs a call that does not ask for it: one look at a setting."""

from __future__ import annotations

from collections.abc import Iterator

from bench.harness import Plan, Result, compare
from taskmeter.capture.content import content_of
from taskmeter.capture.openai_content import OpenAIContents


class _Setting:
    content = None


def run(plan: Plan) -> Iterator[Result]:
    """Against a call that looks at an attribute, with a prompt of 1 kB and one of 1 MB."""
    contents = OpenAIContents()
    small, large = ({"messages": [{"role": "user", "content": "x" * size}]} for size in (1_000, 1_000_000))

    def look() -> object:
        return _Setting.content

    yield compare("content off, 1 kB", look, lambda: content_of(contents, "chat", small), plan)
    yield compare("content off, 1 MB", look, lambda: content_of(contents, "chat", large), plan)
