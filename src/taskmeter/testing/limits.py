"""`assert_cost_below()`: what a block, or each task of a name in it, may cost."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

from taskmeter.account.money import Money, money
from taskmeter.scopes.arguments import text
from taskmeter.testing.recording import RecordedTasks, recorded_tasks
from taskmeter.testing.spent import Limit, Unpriced, checked_unpriced


def assert_cost_below(
    usd: Money, *, name: str | None = None, unpriced: Unpriced = "fail"
) -> AbstractContextManager[RecordedTasks]:
    """For a `with` block that fails unless all that is spent inside it costs less than `usd`.

    With a `name`, unless each task of that name that ends in the block does, and one ends at all. Spending at no known
    price may be any amount and fails as well; `unpriced="allow"` counts what is known. The message of the
    `AssertionError` has the figure, the limit and the trees of the tasks. Gives what `recorded_tasks` does. An error of
    the block's own is not covered up.
    Raises `UsageError` for arguments that make no sense.
    """
    limit = Limit(money(usd, "usd"), checked_unpriced(unpriced), inclusive=False)
    return _limited(limit, None if name is None else text(name, "name"))


@contextmanager
def _limited(limit: Limit, name: str | None) -> Generator[RecordedTasks]:
    with recorded_tasks() as tasks:
        yield tasks
    if name is None:
        if message := broken(limit, "the block", tasks):
            raise AssertionError(message)
        return
    named = tasks.named(name)
    if not named:
        raise AssertionError(f"no task {name!r} ended here, whose cost could be checked. {tasks.described()}")
    for task in named:
        task.assert_cost_below(limit.usd, unpriced=limit.unpriced)


def broken(limit: Limit, what: str, tasks: RecordedTasks) -> str | None:
    """The message, if all that was spent in `what` breaks `limit`."""
    why = limit.broken_by(what, tasks.spent)
    return why and "\n\n".join(filter(None, (why, tasks.trees())))
