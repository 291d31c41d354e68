"""What happens in the demonstration: the work that comes in, and what the providers reply to it, the same every run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from taskmeter.demo.agents.classifier import LABELS, Mail
from taskmeter.demo.agents.researcher import Question
from taskmeter.demo.agents.resolver import Ticket
from taskmeter.demo.showcase import SHOWCASE_KEY
from taskmeter.demo.stub import (
    Billed,
    Body,
    Error,
    Handler,
    Reply,
    Request,
    Script,
    Sse,
    ToolCall,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_response,
)

TICKETS: Final = (
    Ticket("T-1001", "acme", "Where is order 17?"),
    Ticket("T-1002", "globex", "Order 23 never came. What now?"),
    Ticket("T-1003", "initech", "Did you get order 31 back?"),
    Ticket("T-1004", "acme", "Is order 58 on its way?"),
    Ticket("T-1005", "globex", "Please cancel order 99."),
    Ticket("T-1006", "initech", "When will order 64 be ready?"),
)
REOPENED: Final = "T-1003"
"""A ticket whose answer turns out to be no help."""
QUESTIONS: Final = (
    Question("R-201", "acme", "the market for heat pumps", ("eurostat", "iea", "trade-press")),
    Question("R-202", "globex", "new battery chemistries", ("arxiv", "patents")),
    Question("R-203", "initech", "rules for packaging waste", ("eur-lex", "ministry")),
)

_ORGS: Final = ("acme", "globex", "initech")
_TEXTS: Final = MappingProxyType(
    {
        "billing": "The invoice of last month shows the same delivery twice.",
        "delivery": "The driver left the parcel with a neighbour I do not know.",
        "returns": "The shoes are too small, how do I send them back?",
        "other": "Do you also have a shop in Antwerp?",
    }
)
MAILS: Final = tuple(Mail(f"M-{number:03}", _ORGS[number % 3], _TEXTS[LABELS[number % 4]]) for number in range(1, 49))
THREADED_MAILS: Final = MAILS[:24]
ASYNC_MAILS: Final = MAILS[24:]

_ODD_MAILS: Final[Mapping[str, Reply | str]] = MappingProxyType(
    {
        "M-007": Error(429, retry_after=0.05),
        "M-013": "unsure",
        "M-019": Error(400),
        "M-031": Error(429, retry_after=0.05),
        "M-037": "It is about shoes.",
        "M-044": "unsure",
    }
)
"""What is answered instead of a label. A rate limit passes: it is only for the first attempt."""


def provider() -> Handler:
    """A fresh handler that plays every part of the demonstration once."""
    resolver = Script(*(reply for ticket in TICKETS for reply in _ticket_replies(ticket)))
    researcher = Script(*(reply for question in QUESTIONS for reply in _question_replies(question)))

    def handle(request: Request) -> Reply | Body:
        if request.path.endswith("/responses"):
            return resolver(request)
        if request.path.endswith("/messages"):
            return researcher(request)
        return _label(request)

    return handle


def _ticket_replies(ticket: Ticket) -> list[Reply | Body]:
    order = int("".join(filter(str.isdigit, ticket.question)))
    known = ticket.id != "T-1005"
    first_calls = [ToolCall("look_up_customer", {"customer": ticket.org}), ToolCall("order_status", {"order": order})]
    replies: list[Reply | Body] = [
        openai_response("gpt-5-mini", billed=Billed(1840 + order, 118, reasoning=64), tool_calls=first_calls)
    ]
    if known:
        again = ToolCall("track_parcel", {"order": order})
        replies.append(
            openai_response(
                "gpt-5-mini", billed=Billed(2110 + order, 52, cache_read=1792, reasoning=32), tool_calls=[again]
            )
        )
    facts = f"Order {order} is on record." if known else "There is no such order."
    replies.append(openai_response("gpt-5-mini", facts, Billed(2240 + order, 96, cache_read=2048, reasoning=32)))
    if ticket.id == SHOWCASE_KEY:
        replies.insert(1, Error(429, retry_after=0.2))
        replies.append(openai_response("gpt-5", "You get a refund today.", Billed(1460, 702, reasoning=576)))
    if known:
        draft = "We are on it. You will hear from us tomorrow. Sorry for the wait."
        replies.append(openai_response("gpt-5", draft, Billed(1460 + order, 890, cache_read=1280, reasoning=704)))
    return replies


def _question_replies(question: Question) -> list[Reply | Body]:
    first_of_all = question is QUESTIONS[0]
    replies: list[Reply | Body] = []
    for number, source in enumerate(question.sources):
        cache = {"cache_write": 4210} if first_of_all and not number else {"cache_read": 4210}
        billed = Billed(input=4210 + 5300 + 410 * number, output=342 + 17 * number, **cache)
        text = f"What {source} says, in a few sentences. " * 6
        replies.append(anthropic_message("claude-sonnet-5", text, billed))
    report = Billed(input=4210 + 1460 * len(question.sources), output=1180, cache_read=4210)
    replies.append(anthropic_message("claude-sonnet-5", "The report. " * 20, report))
    if question.id == "R-202":
        replies.insert(1, Error(500))
    if question.id == "R-203":
        cut = anthropic_message("claude-sonnet-5", "What eur-lex says. " * 12, Billed(9510, 360, cache_read=4210))
        replies.insert(0, Sse(anthropic_message_stream(cut), cut_after=9))
    return replies


def _label(request: Request) -> Reply | Body:
    mail = next(mail for mail in MAILS if mail.id == request.body["metadata"]["mail"])
    odd = _ODD_MAILS.get(mail.id)
    if isinstance(odd, Error) and (odd.status != 429 or not request.retry_count):  # noqa: PLR2004 - HTTP's own number
        return odd
    label = odd if isinstance(odd, str) else next(label for label, text in _TEXTS.items() if text == mail.text)
    return openai_chat("gpt-4.1-nano", label, Billed(input=300 + len(mail.text) // 4, output=2 + len(label) // 8))
