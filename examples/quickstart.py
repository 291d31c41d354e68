"""One line and a decorator: what does answering a ticket cost?

Needs `OPENAI_API_KEY`. Afterwards: `taskmeter report`, `taskmeter show T-1`.
"""

from openai import OpenAI

import taskmeter
from taskmeter import current_task, track_step, track_task

taskmeter.configure()
client = OpenAI()


@track_task("resolve_ticket", key=lambda ticket, _question: ticket, customer="acme")
def resolve(ticket: str, question: str) -> str:
    """Drafts an answer, and throws the draft away once if it is too long."""
    answer = ""
    for limit in ("three sentences", "one sentence"):
        with track_step("draft") as step:
            answer = client.responses.create(
                model="gpt-5-mini", instructions=f"Answer in {limit}.", input=question
            ).output_text
            if len(answer) <= 300:  # noqa: PLR2004 - what fits a text message
                break
            step.discard("too long")
    task = current_task()
    if task is not None:
        print(f"{ticket}: ${task.cost.total} for {task.calls} calls, ${task.cost.wasted} of it wasted")
    return answer


if __name__ == "__main__":
    resolve("T-1", "Where is my parcel?")
    resolve("T-2", "How do I change my address?")
