"""The names by which other libraries say on their spans what a call was, newest first: as they write them, or their
source has them.

OpenTelemetry's GenAI conventions old and new, OpenInference, OpenLLMetry; and where a library keeps what its attributes
leave out. None of these is written by us, so that none is in `_semconv`.
"""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
NO_CALL_OPERATIONS: Final = frozenset(
    {"create_agent", "execute_task", "execute_tool", "invoke_agent", "invoke_workflow", "plan", "retrieval"}
)
CALL_OPERATIONS: Final = frozenset(
    {"chat", "completion", "embedding", "embeddings", "generate_content", "text_completion"}
)
"""Those that are a call even where no usage is stated."""

KINDS: Final = {
    "openinference.span.kind": frozenset({"LLM", "EMBEDDING"}),
    "langsmith.span.kind": frozenset({"llm", "embedding"}),
    "traceloop.span.kind": frozenset[str](),  # workflow, task, agent, tool: never a call
}
"""Where a library says what a span is, and which of its words mean a call: what says another is none."""
REQUEST_TYPE: Final = "llm.request.type"
"""Only calls have one: OpenLLMetry's `chat`, `completion`, `embedding`, LiteLLM's `acompletion`..."""
COPIED: Final = "litellm.call_id"
"""LiteLLM writes a call's attributes on whatever span is current, each call over the one before."""
COPIER: Final = "litellm"

PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
REQUEST_MODEL: Final = ("gen_ai.request.model", "llm.request.model_name", "llm.model_name", "embedding.model_name")
RESPONSE_MODEL: Final = ("gen_ai.response.model", "llm.response.model_name", "llm.model_name", "embedding.model_name")
RESPONSE_ID: Final = ("gen_ai.response.id",)
TIER: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier",
    "gen_ai.response.service_tier",
)

INPUT: Final = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
TOTAL: Final = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
CACHE_READ: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "gen_ai.usage.details.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "llm.usage.cache_read_input_tokens",
)
CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "gen_ai.usage.details.cache_creation_input_tokens",
    "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
)
CACHE_WRITE_1H: Final = ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",)
REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
    "llm.usage.reasoning_tokens",
)
INPUT_AUDIO: Final = ("gen_ai.usage.audio.input_tokens", "llm.token_count.prompt_details.audio")
OUTPUT_AUDIO: Final = ("gen_ai.usage.audio.output_tokens", "llm.token_count.completion_details.audio")

BLOBS: Final = ("gen_ai.usage.raw", "metadata.usage_object", "langsmith.metadata.usage_metadata")
"""The provider's usage as JSON or as a Python literal: Logfire's, LiteLLM's, LangSmith's."""
BLOB_CACHE_READ: Final = (
    ("cache_read_input_tokens",),
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("input_token_details", "cache_read"),
)
BLOB_CACHE_WRITE: Final = (
    ("cache_creation_input_tokens",),
    ("prompt_tokens_details", "cache_creation_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("input_token_details", "cache_creation"),
)
BLOB_CACHE_WRITE_5M: Final = (
    ("cache_creation", "ephemeral_5m_input_tokens"),
    ("input_token_details", "ephemeral_5m_input_tokens"),
)
BLOB_CACHE_WRITE_1H: Final = (
    ("cache_creation", "ephemeral_1h_input_tokens"),
    ("input_token_details", "ephemeral_1h_input_tokens"),
)
BLOB_REASONING: Final = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("output_token_details", "reasoning"),
)

LEAVES_OUT_CACHED: Final = ("opentelemetry.instrumentation.bedrock", "opentelemetry.instrumentation.botocore")
"""Instrumentation scopes whose input count, as Bedrock's own, leaves cached tokens out."""
INCLUDES_CACHED: Final = ("com.anthropic.", "langsmith", "litellm", "logfire", "openinference.", "opentelemetry.")
"""Scopes whose input count includes them, as the conventions ask. Of any other it is not known."""
SAYS_NOTHING_OF_CACHED: Final = ("langsmith", "litellm", "logfire")
"""Scopes whose attributes leave the cache counts out: they are in a blob, or nowhere."""

PROVIDERS: Final = {
    "amazon": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "fireworks_ai": "fireworks",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "mistralai": "mistral_ai",
    "together_ai": "together",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""What others call a provider -> what OpenTelemetry does, where they differ and the price data knows neither."""
NO_PROVIDERS: Final = frozenset({"", "crewai", "haystack", "langchain", "llamaindex", "openai_agents"})
"""What stands where a provider should, and is none."""
MODEL_PREFIXES: Final = {
    "claude-": "anthropic",
    "gemini-": "gcp.gemini",
    "gpt-": "openai",
    "mistral-": "mistral_ai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "text-embedding-": "openai",
}
"""Whose model it must be, if nobody says who answered."""
