"""Batches of both providers: what submitting and polling answers, and the lines of the results."""

from __future__ import annotations

from taskmeter.demo.stub.contents import new_id
from taskmeter.demo.stub.wire import Body

_MADE_AT = 1_790_000_000
_MADE_ON = "2026-09-21T13:33:20Z"


def openai_batch(batch_id: str, input_file_id: str, output_file_id: str | None = None) -> Body:
    """A batch of OpenAI's: in progress, or completed when it has an output file."""
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": input_file_id,
        "output_file_id": output_file_id,
        "completion_window": "24h",
        "status": "in_progress" if output_file_id is None else "completed",
        "created_at": _MADE_AT,
    }


def openai_batch_line(custom_id: str, body: Body, status: int = 200) -> Body:
    """One line of an output or error file; `body` is what the endpoint would have answered."""
    response = {"status_code": status, "request_id": new_id("req_"), "body": dict(body)}
    return {"id": new_id("batch_req_"), "custom_id": custom_id, "response": response, "error": None}


def anthropic_batch(batch_id: str, results_url: str | None = None) -> Body:
    """A batch of Anthropic's: in progress, or ended when it has results."""
    counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "in_progress" if results_url is None else "ended",
        "request_counts": counts,
        "results_url": results_url,
        "created_at": _MADE_ON,
        "expires_at": _MADE_ON,
        "ended_at": None if results_url is None else _MADE_ON,
        "archived_at": None,
        "cancel_initiated_at": None,
    }


def anthropic_batch_line(custom_id: str, message: Body | None) -> Body:
    """One line of the results: a message, or `None` for a request that failed."""
    if message is not None:
        return {"custom_id": custom_id, "result": {"type": "succeeded", "message": dict(message)}}
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "scripted by the stub"}}
    return {"custom_id": custom_id, "result": {"type": "errored", "error": error}}
