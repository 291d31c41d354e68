"""A local provider for demonstrations and tests: both wire formats, any behaviour, no network, no key.

with StubProvider(Script(Error(429, retry_after=0.01), openai_chat("gpt-5-mini", "Hello."))) as stub:
    client = OpenAI(base_url=f"{stub.url}/v1", api_key="stub")
    client.chat.completions.create(model="gpt-5-mini", messages=[...])
"""

from taskmeter.demo.stub.anthropic_bodies import anthropic_message, anthropic_message_stream
from taskmeter.demo.stub.batch_bodies import (
    anthropic_batch,
    anthropic_batch_line,
    openai_batch,
    openai_batch_line,
)
from taskmeter.demo.stub.contents import Billed, ToolCall
from taskmeter.demo.stub.handlers import Script, succeed
from taskmeter.demo.stub.openai_bodies import (
    openai_chat,
    openai_chat_stream,
    openai_embeddings,
    openai_response,
    openai_response_stream,
)
from taskmeter.demo.stub.server import StubProvider
from taskmeter.demo.stub.wire import Body, Error, Event, Handler, Hang, Json, Jsonl, Reply, Request, Sse

__all__ = [
    "Billed",
    "Body",
    "Error",
    "Event",
    "Handler",
    "Hang",
    "Json",
    "Jsonl",
    "Reply",
    "Request",
    "Script",
    "Sse",
    "StubProvider",
    "ToolCall",
    "anthropic_batch",
    "anthropic_batch_line",
    "anthropic_message",
    "anthropic_message_stream",
    "openai_batch",
    "openai_batch_line",
    "openai_chat",
    "openai_chat_stream",
    "openai_embeddings",
    "openai_response",
    "openai_response_stream",
    "succeed",
]
