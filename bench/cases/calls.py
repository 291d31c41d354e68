"""What a call pays for being accounted: the real OpenAI client over a fake wire, bare against hooked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from openai import OpenAI

from bench.harness import Plan, Result, compare
from bench.wire import BareOpenAI, client, instrumented
from taskmeter import track_task


def chat(openai: OpenAI, prompt: str) -> Callable[[], object]:
    """One chat completion."""
    return lambda: openai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": prompt}])


def stream(openai: OpenAI, prompt: str) -> Callable[[], object]:
    """One chat completion, streamed and read to the end."""

    def run() -> None:
        for _ in openai.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": prompt}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-stream": "1"},
        ):
            pass

    return run


def run(plan: Plan) -> Iterator[Result]:
    """Plain and streamed calls, and whether the prompt's size matters to us."""
    bare, hooked = client(BareOpenAI), client(OpenAI)
    small, large = "x" * 1_000, "x" * 1_000_000
    with instrumented(), track_task("bench"):
        yield compare("call", chat(bare, small), chat(hooked, small), plan)
        yield compare("streamed call", stream(bare, small), stream(hooked, small), plan)
        yield compare("call with a prompt of 1 MB", chat(bare, large), chat(hooked, large), plan)
