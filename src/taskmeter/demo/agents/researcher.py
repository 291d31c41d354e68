"""A research agent on Anthropic: streamed answers, a cached handbook, one nested task for each source it reads."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from anthropic import Anthropic, APIStatusError
from anthropic.types import TextBlockParam

from taskmeter import charge, track_step, track_task

MODEL: Final = "claude-sonnet-5"
VALUE: Final = "40"
"""What a report is worth, in USD: the hour of an analyst that it saves."""
USD_PER_QUERY: Final = Decimal("0.0001")

HANDBOOK: Final[list[TextBlockParam]] = [
    {"type": "text", "text": "The analysts' handbook...", "cache_control": {"type": "ephemeral"}}
]
"""The same start of every prompt: written to the cache once, read from it after that."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a customer wants to know."""

    id: str
    org: str
    text: str
    sources: tuple[str, ...]


def research(client: Anthropic, question: Question) -> str:
    """A report on `question`."""
    with track_task("research", key=question.id, customer=question.org) as task:
        sources = retrieve(question)
        notes = [summarise(client, question, source) for source in sources]
        with track_step("write"):
            report = ask(client, f"Write a report on {question.text!r} from these notes: {notes}")
        task.succeed(value=VALUE)
        return report


@track_step("retrieve")
def retrieve(question: Question) -> tuple[str, ...]:
    """The sources that bear on `question`, from a vector database that bills each query."""
    queries = len(question.sources)
    charge(queries * USD_PER_QUERY, category="retrieval", item="pinecone", quantity=queries, unit="query")
    return question.sources


def summarise(client: Anthropic, question: Question, source: str) -> str:
    """What `source` says on `question`. A stream that breaks off is asked for again."""
    prompt = f"What does {source} say on {question.text!r}?"
    with track_task("summarise_source", key=f"{question.id}/{source}", customer=question.org):
        with track_step("read") as step:
            try:
                return ask(client, prompt)
            except APIStatusError:
                raise  # the SDK has retried what is worth it
            except Exception as broken:  # noqa: BLE001 - of a type that depends on the SDK's HTTP library
                step.discard(f"the stream broke off: {type(broken).__name__}")
        with track_step("read again"):
            return ask(client, prompt)


def ask(client: Anthropic, prompt: str) -> str:
    """The model's answer to `prompt`, read as it comes."""
    with client.messages.stream(
        model=MODEL, max_tokens=2000, system=HANDBOOK, messages=[{"role": "user", "content": prompt}]
    ) as stream:
        return stream.get_final_text()
