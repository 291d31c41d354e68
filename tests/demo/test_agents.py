"""The sample agents, with the real clients against the stub provider."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import anthropic
import openai
import pytest

from taskmeter.demo import play
from taskmeter.demo.agents.classifier import Mail, classify_concurrently, classify_in_threads
from taskmeter.demo.agents.researcher import Question, research
from taskmeter.demo.agents.resolver import Ticket, resolve
from taskmeter.demo.scenario import ASYNC_MAILS, QUESTIONS, THREADED_MAILS, TICKETS, provider
from taskmeter.demo.stub import (
    Error,
    Script,
    Sse,
    StubProvider,
    anthropic_message,
    anthropic_message_stream,
    openai_response,
)


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    """A provider that plays the demonstration."""
    with StubProvider(provider()) as running:
        yield running


def test_the_resolver_answers_what_it_can(stub: StubProvider) -> None:
    """Five tickets get an answer that promises nothing; the order that does not exist gets none."""
    with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client:
        answers = {ticket.id: resolve(client, ticket) for ticket in TICKETS}
    sent = "We are on it. You will hear from us tomorrow. Sorry for the wait."
    assert answers == dict.fromkeys(("T-1001", "T-1002", "T-1003", "T-1004", "T-1006"), sent) | {"T-1005": None}


def test_the_resolver_gives_tool_results_back_to_the_model(stub: StubProvider) -> None:
    """Each function call is answered under its own call id, in the conversation it came from."""
    with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client:
        resolve(client, TICKETS[0])
    results = [item["output"] for request in stub.requests[1:3] for item in request.body["input"]]
    assert results == ["gold, EU", "shipped", "order 17 left the depot in Rotterdam on Tuesday"]
    assert all(request.body["previous_response_id"].startswith("resp_") for request in stub.requests[1:3])


def test_the_researcher_survives_a_server_error_and_a_broken_stream(stub: StubProvider) -> None:
    """The SDK retries the first, the agent the second."""
    with anthropic.Anthropic(base_url=stub.url, api_key="stub") as client:
        reports = [research(client, question) for question in QUESTIONS]
    assert reports == ["The report. " * 20] * 3
    assert Counter(request.retry_count for request in stub.requests) == {0: 11, 1: 1}


def test_the_researcher_does_not_ask_again_after_a_refusal() -> None:
    """A status error that the SDK gave up on is not a broken stream."""
    with (
        StubProvider(lambda _: Error(401)) as stub,
        anthropic.Anthropic(base_url=stub.url, api_key="stub") as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        research(client, Question("R-1", "acme", "nothing", ("nobody",)))
    assert len(stub.requests) == 1


def test_the_researcher_asks_again_only_once() -> None:
    """A second broken stream is the caller's to know."""
    cut = Sse(anthropic_message_stream(anthropic_message("claude-sonnet-5")), cut_after=3)
    with (
        StubProvider(Script(cut, cut)) as stub,
        anthropic.Anthropic(base_url=stub.url, api_key="stub") as client,
        pytest.raises(Exception, match="peer closed connection"),
    ):
        research(client, Question("R-1", "acme", "nothing", ("nobody",)))
    assert len(stub.requests) == 2


def test_the_resolver_gives_up_when_no_draft_passes() -> None:
    """Two drafts, then none."""
    with (
        StubProvider(lambda _: openai_response("gpt-5", "You get a refund.")) as stub,
        openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client,
    ):
        assert resolve(client, Ticket("T-1", "acme", "Where is order 17?")) is None
    assert len(stub.requests) == 3


@pytest.mark.parametrize("concurrently", [False, True])
def test_the_classifier_labels_all_mails_but_the_odd_ones(stub: StubProvider, concurrently: bool) -> None:
    """Whatever the order of arrival, the same mails stay without a label."""

    async def classify_all() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client:
            return await classify_concurrently(client, ASYNC_MAILS)

    if concurrently:
        labels, mails, odd = asyncio.run(classify_all()), ASYNC_MAILS, ["M-037", "M-044"]
    else:
        with openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client:
            labels, mails, odd = classify_in_threads(client, THREADED_MAILS), THREADED_MAILS, ["M-013", "M-019"]
    unlabelled = [mail.id for mail, label in zip(mails, labels, strict=True) if label is None]
    assert unlabelled == odd
    assert len(mails) == 24
    assert Counter(labels)["delivery"] >= 5


def test_an_error_of_one_mail_does_not_stop_the_others() -> None:
    """Also on the event loop."""

    async def classify_all(url: str) -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="stub", max_retries=0) as client:
            return await classify_concurrently(client, [Mail("M-1", "acme", "?"), Mail("M-2", "acme", "?")])

    with StubProvider(lambda _: Error(500)) as stub:
        assert asyncio.run(classify_all(stub.url)) == [None, None]


def test_the_demonstration_sends_the_same_requests_every_time() -> None:
    """Counts do not depend on the machine, only the order of the classifications does."""

    def requests() -> Counter[tuple[str, int, str]]:
        with StubProvider(provider()) as stub:
            play.everything(stub.url)
        return Counter((item.path, item.retry_count, item.body.get("model", "")) for item in stub.requests)

    assert (
        requests()
        == requests()
        == {
            ("/v1/responses", 0, "gpt-5-mini"): 17,
            ("/v1/responses", 1, "gpt-5-mini"): 1,
            ("/v1/responses", 0, "gpt-5"): 6,
            ("/v1/messages", 0, "claude-sonnet-5"): 11,
            ("/v1/messages", 1, "claude-sonnet-5"): 1,
            ("/v1/chat/completions", 0, "gpt-4.1-nano"): 48,
            ("/v1/chat/completions", 1, "gpt-4.1-nano"): 2,
        }
    )
