"""In an application that has OpenTelemetry set up already: nothing of it is replaced.

Needs `ANTHROPIC_API_KEY`. The Anthropic SDK traces its own calls; their spans get the cost.
"""

import asyncio

from anthropic import AsyncAnthropic
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import taskmeter
from taskmeter import track_task

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

provider.add_span_processor(taskmeter.TaskSpanProcessor())
taskmeter.instrument()


async def summarise(client: AsyncAnthropic, text: str) -> str:
    """Streams a summary inside a task."""
    async with track_task("summarise", labels={"length": "short"}) as task:
        parts: list[str] = []
        async with client.messages.stream(
            model="claude-sonnet-5", max_tokens=200, messages=[{"role": "user", "content": text}]
        ) as stream:
            async for part in stream.text_stream:
                parts.append(part)
        if not parts:
            task.fail("empty answer")
        return "".join(parts)


if __name__ == "__main__":
    print(asyncio.run(summarise(AsyncAnthropic(), "A long text.")))
