"""A support agent on OpenAI's Responses API: it looks things up with tools, drafts an answer, and checks the draft."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from openai import OpenAI
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall, ResponseInputParam

from taskmeter import track_step, track_task, track_tool

VALUE: Final = "6.50"
"""What a resolved ticket saves, in USD: five minutes of a person's time."""
MAX_DRAFTS: Final = 2

CUSTOMERS: Final = MappingProxyType({"acme": "gold, EU", "globex": "silver, US", "initech": "gold, US"})
ORDERS: Final = MappingProxyType({17: "shipped", 23: "lost", 31: "returned", 58: "shipped", 64: "in production"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a customer asks."""

    id: str
    org: str
    question: str


@track_tool("crm.lookup", cost="0.002")
def look_up_customer(customer: str) -> str:
    """The customer's plan and region, from a CRM that bills each look-up."""
    return CUSTOMERS[customer]


@track_tool("orders.status")
def order_status(order: int) -> str:
    """The status of an order, from our own database."""
    return ORDERS.get(order, "no such order")


@track_tool("carrier.track", cost="0.005")
def track_parcel(order: int) -> str:
    """Where the parcel is, from a carrier that bills each query."""
    return f"order {order} left the depot in Rotterdam on Tuesday"


def tool(name: str, description: str, **parameters: str) -> FunctionToolParam:
    """The description of a tool for the model; `parameters` are names with JSON types."""
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema: dict[str, object] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "description": description, "parameters": schema, "strict": True}


TOOLS: Final = (
    tool("look_up_customer", "A customer's plan and region", customer="string"),
    tool("order_status", "The status of an order", order="integer"),
    tool("track_parcel", "Where a parcel is", order="integer"),
)
FUNCTIONS: Final[Mapping[str, Callable[..., str]]] = MappingProxyType(
    {"look_up_customer": look_up_customer, "order_status": order_status, "track_parcel": track_parcel}
)


def resolve(client: OpenAI, ticket: Ticket) -> str | None:
    """The answer to `ticket`; `None` where there is none to give."""
    with track_task("resolve_ticket", key=ticket.id, customer=ticket.org) as task:
        facts = investigate(client, ticket)
        if "no such order" in facts:
            task.fail("no such order")
            return None
        for _ in range(MAX_DRAFTS):
            with track_step("draft") as step:
                draft = write(client, ticket, facts)
                problem = review(draft)
                if problem is None:
                    task.succeed(value=VALUE)
                    return draft
                step.discard(problem)
        task.fail("no draft passed the review")
        return None


@track_step("investigate")
def investigate(client: OpenAI, ticket: Ticket) -> str:
    """Lets the model call tools until it knows enough, and returns what it found out."""
    answer = client.responses.create(
        model="gpt-5-mini", instructions="Find out what the answer needs.", tools=TOOLS, input=ticket.question
    )
    while calls := [item for item in answer.output if item.type == "function_call"]:
        results: ResponseInputParam = [
            {"type": "function_call_output", "call_id": call.call_id, "output": run_tool(call)} for call in calls
        ]
        answer = client.responses.create(model="gpt-5-mini", tools=TOOLS, input=results, previous_response_id=answer.id)
    return answer.output_text


def run_tool(call: ResponseFunctionToolCall) -> str:
    """Does what the model asked for."""
    return FUNCTIONS[call.name](**json.loads(call.arguments))


def write(client: OpenAI, ticket: Ticket, facts: str) -> str:
    """A draft of the answer."""
    answer = client.responses.create(
        model="gpt-5",
        instructions="Answer the customer in three sentences. Promise nothing.",
        input=f"{ticket.question}\n\nFacts: {facts}",
    )
    return answer.output_text


def review(draft: str) -> str | None:
    """What is wrong with `draft`; `None` when it can be sent."""
    return "promises a refund" if "refund" in draft else None
