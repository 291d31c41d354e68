"""Retrieved documents: which texts of a request they are, and from where."""

from __future__ import annotations

from typing import Any

import pytest

from taskmeter import current_task, document, track_step, track_task
from taskmeter.account.sent import MOST_DOCUMENTS
from taskmeter.errors import UsageError
from tests.context.wire import Billed, Wire, wired

KB = "Order 17 was shipped on the first of May, by road.".ljust(400, ".")
FAQ = "Orders can be returned for thirty days.".ljust(300, "!")


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def documents(wire: Wire, *contents: Any, billed: int) -> tuple[dict[str, int], int]:
    """The tokens of documents by where they are from, and all others, of one call with user messages `contents`."""
    wire.answers(Billed(input=billed, output=10))
    wire.chat([user(content) for content in contents])
    task = current_task()
    assert task is not None
    found = {label: share.tokens for label, share in task.context.documents.items()}
    return found, task.context.tokens - sum(found.values())


def test_a_text_is_returned_unchanged() -> None:
    """The very same object, inside a task and outside any."""
    text = KB + "x"
    assert document(text) is text
    with track_task("t"):
        assert document(text, source="kb") is text


def test_a_message_that_is_a_document(wire: Wire) -> None:
    """400 of 500 bytes."""
    with track_task("t"):
        document(KB, "kb")
        assert documents(wire, KB, "q" * 100, billed=500) == ({"kb": 400}, 100)


def test_documents_inside_a_longer_text(wire: Wire) -> None:
    """In any order, each by its length; what is between them stays the user's."""
    with track_task("t"):
        document(KB, "kb")
        document(FAQ, "faq")
        text = "Use this:\n" + FAQ + "\n" * 10 + KB + "?" * 80  # 10 + 300 + 10 + 400 + 80
        assert documents(wire, text, billed=800) == ({"faq": 300, "kb": 400}, 100)


def test_a_block_and_a_tool_result_that_are_documents(wire: Wire) -> None:
    """Wherever they stand."""
    wire.answers(Billed(input=800, output=10))
    with track_task("t") as task:
        document(KB, "kb")
        document(FAQ, "faq")
        wire.chat(
            [
                user([{"type": "text", "text": KB}, {"type": "text", "text": "q" * 100}]),
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "tool", "tool_call_id": "call_1", "content": FAQ},
            ]
        )
    assert {label: share.tokens for label, share in task.context.documents.items()} == {"kb": 400, "faq": 300}
    assert task.context.by_source["user"].tokens == 100


def test_documents_stay_documents_when_they_are_sent_again(wire: Wire) -> None:
    """Then as part of history; and one that is sent in another text is carried, which that text is not."""
    wire.answers(Billed(input=500, output=10), Billed(input=600, output=10), Billed(input=450, output=10))
    first, answer = user("q" * 100 + KB), {"role": "assistant", "content": "a" * 100}
    with track_task("t") as task:
        document(KB, "kb")
        wire.chat([first])
        assert task.context.carried.tokens == 0
        wire.chat([first, answer])
        assert task.context.documents["kb"].tokens == 800
        assert task.context.carried.tokens == 500
        wire.chat([user(KB + "w" * 50)])
    assert task.context.documents["kb"].tokens == 1200
    assert task.context.carried.tokens == 900


def test_a_text_that_only_begins_like_a_document_is_none(wire: Wire) -> None:
    """Nor one that ends otherwise, or differs in the middle."""
    with track_task("t"):
        document(KB, "kb")
        others = KB[:300] + "x" * 200, "x" * 100 + KB[:150] + "y" * 100 + KB[250:]
        assert documents(wire, *others, billed=1000) == ({}, 1000)


def test_a_document_behind_a_false_beginning_is_found(wire: Wire) -> None:
    """The first 48 characters come twice."""
    with track_task("t"):
        document(KB, "kb")
        assert documents(wire, KB[:100] + KB, billed=500) == ({"kb": 400}, 100)


def test_a_step_of_the_task_marks_for_all_of_it(wire: Wire) -> None:
    """Retrieval is often a step of its own."""
    with track_task("t"):
        with track_step("retrieve"):
            document(KB, "kb")
        assert documents(wire, KB, billed=400) == ({"kb": 400}, 0)


def test_another_task_does_not_know_it(wire: Wire) -> None:
    """What is kept to find a document is dropped with its task."""
    with track_task("t"):
        document(KB, "kb")
    with track_task("next"):
        assert documents(wire, KB, billed=400) == ({}, 400)


def test_a_task_lets_go_of_what_its_calls_sent(wire: Wire) -> None:
    """When it ends, even while the application keeps its handle."""
    with track_task("t") as task:
        document(KB, "kb")
        wire.answers(Billed(input=400, output=10))
        wire.chat([user(KB)])
        assert task._scope.sent is not None
    assert task._scope.sent is None


def test_the_documents_of_a_task_are_bounded(wire: Wire) -> None:
    """The oldest are forgotten first."""
    with track_task("t"):
        document(KB, "kb")
        for number in range(MOST_DOCUMENTS):
            document(f"{number}".rjust(300, "."), "many")
        assert documents(wire, KB, billed=400) == ({}, 400)


def test_sources_beyond_many_are_one(wire: Wire) -> None:
    """An account tells 32 sources of documents apart."""
    wire.answers(Billed(input=400, output=10))
    with track_task("t") as task:
        for number in range(40):
            text = f"{number}".rjust(400, ".")
            document(text, f"source {number}")
            wire.chat([user(text)])
    assert len(task.context.documents) == 33
    assert task.context.documents["(other)"].tokens == 8 * 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((b"bytes",), "pass the text"),
        ((KB, ""), "source='' must be a non-empty string"),
        ((KB, "s" * 65), "65 characters"),
    ],
)
def test_what_is_no_document_is_refused(arguments: Any, message: str) -> None:
    """With a word on what is wrong, whether or not anything is measured."""
    with pytest.raises(UsageError, match=message):
        document(*arguments)


def test_without_measuring_nothing_is_remembered() -> None:
    """Of documents either."""
    with wired(context=False), track_task("t") as task:
        assert document(KB, "kb") is KB
        assert task._scope.sent is None
