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
    openai_compaction,
    openai_embeddings,
    openai_response,
    openai_response_stream,
)
from taskmeter.demo.stub.openai_media import (
    openai_completion,
    openai_completion_stream,
    openai_decision,
    openai_images,
    openai_images_stream,
    openai_moderation,
    openai_run,
    openai_speech,
    openai_timed_transcription,
    openai_transcription,
    openai_transcription_stream,
    openai_video,
)
from taskmeter.demo.stub.server import StubProvider
from taskmeter.demo.stub.wire import Body, Error, Event, Handler, Hang, Json, Jsonl, Raw, Reply, Request, Sse

__all__ = [
    "Billed",
    "Body",
    "Error",
    "Event",
    "Handler",
    "Hang",
    "Json",
    "Jsonl",
    "Raw",
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
    "openai_compaction",
    "openai_completion",
    "openai_completion_stream",
    "openai_decision",
    "openai_embeddings",
    "openai_images",
    "openai_images_stream",
    "openai_moderation",
    "openai_response",
    "openai_response_stream",
    "openai_run",
    "openai_speech",
    "openai_timed_transcription",
    "openai_transcription",
    "openai_transcription_stream",
    "openai_video",
    "succeed",
]
