"""`taskmeter show`: the tree of one task."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from taskmeter import _semconv as names
from taskmeter.errors import SpoolError
from taskmeter.reports.relations import relate
from taskmeter.reports.task_tree import TaskTree, TreeNode, task_tree
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def outline(tree: TaskTree) -> list[str]:
    return [f"{'  ' * node.depth}{node.kind} {node.name} {node.status} {node.cost}" for node in tree.nodes]


def test_everything_is_under_what_it_happened_in(recorder: Recorder) -> None:
    """Steps, calls, failed attempts, tools, charges and nested tasks, in the order they started; unknown spans between
    do not break the tree."""
    with recorder.task("resolve", "a", "0.6", "0.4", TASK_KEY="T-1", CALLS=3):
        with (
            recorder.span("step draft", "step", STEP_NAME="draft", COST_EXACT="0.1"),
            recorder.span("anthropic.messages.tool_runner"),
            recorder.open_call("0.1"),
            recorder.span("POST"),
            recorder.span("attempt 1", "attempt", HTTP_STATUS=429),
        ):
            pass
        recorder.leaf("tool", "crm.lookup")
        recorder.call(None, "mystery")
        with recorder.span("GET /"), recorder.task("inner", "b", "0.2"):
            recorder.call("0.2", COST_STATUS="estimated")
        recorder.leaf("charge", "pinecone", "0.3")
    with recorder.task("other", "z", "1"):
        recorder.call("1")
    assert outline(task_tree(recorder.relations(), "T-1")) == [
        "task resolve exact 0.6",
        "  step draft exact 0.1",
        "    call chat gpt-5 exact 0.1",
        "      attempt attempt 1  None",
        "  tool crm.lookup  None",
        "  call chat mystery unpriced None",
        "  task inner exact 0.2",
        "    call chat gpt-5 estimated 0.2",
        "  charge pinecone exact 0.3",
    ]


def test_what_reasoning_cost_is_told_of_steps_and_tasks(recorder: Recorder) -> None:
    """What is below: 0.02 and 0.03 in the first step, 0.01 in a nested task, nothing in the last step."""
    with recorder.task("resolve", "a", "0.6"):
        with recorder.span("step think", "step", STEP_NAME="think"):
            recorder.call("0.1", COST_REASONING=0.02)
            with recorder.span("step again", "step", STEP_NAME="again"):
                recorder.call("0.1", COST_REASONING=0.03)
        with recorder.task("inner", "b", "0.2"):
            recorder.call("0.2", COST_REASONING=0.01)
        with recorder.span("step write", "step", STEP_NAME="write"):
            recorder.call("0.2")
    nodes = [(node.name, node.reasoning_cost) for node in task_tree(recorder.relations(), "a").nodes]
    assert nodes == [
        ("resolve", Decimal("0.06")),
        ("think", Decimal("0.05")),
        ("chat gpt-5", Decimal("0.02")),
        ("again", Decimal("0.03")),
        ("chat gpt-5", Decimal("0.03")),
        ("inner", Decimal("0.01")),
        ("chat gpt-5", Decimal("0.01")),
        ("write", None),
        ("chat gpt-5", None),
    ]


def test_a_node_says_all_there_is_to_say(recorder: Recorder) -> None:
    """Tokens with their parts, time, retries, waste, outcome and error."""
    tokens = {"INPUT_TOKENS": 100, "CACHE_READ_TOKENS": 80, "OUTPUT_TOKENS": 30, "REASONING_TOKENS": 20}
    rolled = {"USAGE_INPUT": 100, "USAGE_CACHE_READ": 80, "USAGE_OUTPUT": 30, "USAGE_REASONING": 20}
    more = {
        "OUTCOME": "failed",
        "OUTCOME_REASON": "no order",
        "waste": {"failed_task": "0.1"},
        "CALLS": 1,
        "RETRIES": 1,
    }
    with recorder.task("resolve", "a", "0.1", TASK_KEY="T-1", COST_ESTIMATED=0.05, **rolled, **more):
        recorder.call("0.1", **tokens, RESEND_COUNT=1, WASTE_CLASS="failed_call", ERROR_TYPE="APIError", seconds=0.25)
    task, call = task_tree(recorder.relations(), "a").nodes
    counts = {"input_tokens": 100, "cached_tokens": 80, "output_tokens": 30, "reasoning_tokens": 20}
    cost = {"cost": Decimal("0.1"), "wasted": Decimal("0.1")}
    ids = {"task_id": "a", "trace_id": task.trace_id}
    assert task == TreeNode(
        depth=0,
        kind="task",
        name="resolve",
        key="T-1",
        span_id=task.span_id,
        status="estimated",
        seconds=2.25,
        calls=1,
        retries=1,
        outcome="failed",
        reason="no order",
        waste={"failed_task": Decimal("0.1")},
        wasted_status="estimated",
        late=Decimal(0),
        **ids,
        **cost,
        **counts,
    )
    assert call == TreeNode(
        depth=1,
        kind="call",
        name="chat gpt-5",
        span_id=call.span_id,
        status="exact",
        seconds=0.25,
        retries=1,
        waste={"failed_call": Decimal("0.1")},
        error="APIError",
        **ids,
        **cost,
        **counts,
    )


def test_a_lost_span_in_between_leaves_its_children_with_their_task(tmp_path: Path) -> None:
    """A call whose step was not recorded hangs under the task, a nested task under its parent."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "0.3", "0.1"), recorder.span("step draft", "step", STEP_NAME="lost"):
        recorder.call("0.1")
        with recorder.task("inner", "b", "0.2"):
            recorder.call("0.2")
    recorder.relations()
    [path] = tmp_path.iterdir()
    lines = [line for line in path.read_text().splitlines() if '"lost"' not in line]
    path.write_text("\n".join(lines))
    assert outline(task_tree(relate(SpoolReading(tmp_path)), "a")) == [
        "task resolve exact 0.3",
        "  call chat gpt-5 exact 0.1",
        "  task inner exact 0.2",
        "    call chat gpt-5 exact 0.2",
    ]


def test_deep_nesting_and_circles_end(tmp_path: Path) -> None:
    """Tasks nested deeper than Python recurses are shown; a circle of parents is cut."""

    def task(number: int, parent: int) -> dict[str, object]:
        given = {names.SPAN_KIND: "task", names.TASK_ID: f"t{number}", names.PARENT_TASK_ID: f"t{parent}"}
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in given.items()]
        return {"traceId": "a" * 32, "spanId": f"{number:016x}", "name": "w", "attributes": attributes}

    spans = [task(number, number - 1) for number in range(2, 3_000)] + [task(5_001, 5_002), task(5_002, 5_001)]
    spans.append(task(6_000, 6_000))
    document = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    (tmp_path / "traces-x.jsonl").write_text(json.dumps(document))
    relations = relate(SpoolReading(tmp_path))
    assert max(node.depth for node in task_tree(relations, "t2").nodes) == 2_997
    assert [len(task_tree(relations, name).nodes) for name in ("t5001", "t5002", "t6000")].count(2) == 1


def test_a_key_of_several_tasks_shows_the_most_recent(recorder: Recorder) -> None:
    """And says how many there are."""
    for task_id in ("a", "b"):
        with recorder.task("resolve", task_id, "0.1", TASK_KEY="T-1"):
            recorder.call("0.1")
    tree = task_tree(recorder.relations(), "T-1")
    assert tree.nodes[0].task_id == "b"
    assert tree.notes == ("2 tasks match 'T-1'; this is the most recent. Name another by its id.",)


def test_an_exact_id_or_key_goes_before_the_beginning_of_an_id(recorder: Recorder) -> None:
    """Ids can be shortened like those of git commits."""
    for task_id, key in (("abcde1", "T-1"), ("abdef2", "abcd"), ("T-1x", "T-9")):
        with recorder.task("resolve", task_id, "0.1", TASK_KEY=key):
            recorder.call("0.1")
    relations = recorder.relations()
    found = {wanted: task_tree(relations, wanted).nodes[0].task_id for wanted in ("abcde1", "abcde", "abcd", "T-1")}
    assert found == {"abcde1": "abcde1", "abcde": "abcde1", "abcd": "abdef2", "T-1": "abcde1"}
    with pytest.raises(SpoolError, match=r"Of an id, give 4 characters or more\.$"):
        task_tree(relations, "abd")


@pytest.mark.parametrize(
    ("wanted", "hint"), [("T-1003", "Closest"), ("", "The most recent"), ("NOPE", "The most recent")]
)
def test_no_such_task_names_what_comes_close(recorder: Recorder, wanted: str, hint: str) -> None:
    """The error lists keys and ids to choose from: the most recent, if none is close."""
    with recorder.task("resolve", "a", "0.1", TASK_KEY="T-1002"):
        pass
    with pytest.raises(SpoolError, match=f"No task with id or key '{wanted}' in the spool. {hint}: .*'T-1002'"):
        task_tree(recorder.relations(), wanted)


def test_a_task_without_a_span_of_its_own_is_shown_by_its_key(recorder: Recorder) -> None:
    """Killed, or still open: what is recorded inside, and marked unfinished."""
    tokens = {"INPUT_TOKENS": 10, "OUTPUT_TOKENS": 2}
    with (
        recorder.task("resolve", "gone", None, TASK_KEY="T-1", drop=True),
        recorder.span("step draft", "step", STEP_NAME="draft", COST_EXACT="0.1"),
    ):
        recorder.call("0.1", **tokens)
        with recorder.task("inner", "b", "0.2"):
            recorder.call("0.2")
    tree = task_tree(recorder.relations(), "T-1")
    assert outline(tree) == [
        "task resolve exact 0.3",
        "  step draft exact 0.1",
        "    call chat gpt-5 exact 0.1",
        "    task inner exact 0.2",
        "      call chat gpt-5 exact 0.2",
    ]
    root = tree.nodes[0]
    assert (root.outcome, root.calls, root.input_tokens, root.seconds) == ("unfinished", 2, 10, 7.0)


def test_a_call_has_the_money_of_the_charge_that_stands_for_it(recorder: Recorder) -> None:
    """The SDK had ended the call's span before its cost was known: one line, no charge."""
    cost = {"COST_STATUS": "estimated", "COST_REASON": "broken off", "CALL_COST": 0.1, "WASTE_CLASS": "failed_call"}
    with recorder.task("resolve", "a", "0.4", CALLS=1):
        with recorder.open_call(None, COST_STATUS=""):
            recorder.leaf("charge", "gpt-5", **{"COST_EXACT": "0.1", **cost})
        recorder.leaf("charge", "pinecone", "0.3")
    tree = task_tree(recorder.relations(), "a")
    assert outline(tree) == [
        "task resolve exact 0.4",
        "  call chat gpt-5 estimated 0.1",
        "  charge pinecone exact 0.3",
    ]
    assert (tree.nodes[1].reason, tree.nodes[1].wasted) == ("broken off", Decimal("0.1"))


def test_late_money_is_in_the_tree(recorder: Recorder) -> None:
    """In its task and those around it, with a note."""
    with recorder.task("outer", "a", "0.2", "0", CALLS=1), recorder.task("inner", "b", "0.2", CALLS=1):
        recorder.call("0.2")
    recorder.call("0.05", TASK_ID="b", TASK_NAME="inner")
    tree = task_tree(recorder.relations(), "a")
    assert outline(tree) == [
        "task outer exact 0.25",
        "  task inner exact 0.25",
        "    call chat gpt-5 exact 0.2",
        "    call chat gpt-5 exact 0.05",
    ]
    assert tree.nodes[0].late == Decimal("0.05")
    assert tree.notes == (
        "1 task: 0.05 USD was booked after the task had ended, or in another process; it is in these figures.",
    )


def test_a_spool_without_a_task_says_so(recorder: Recorder) -> None:
    """Calls alone make no tree."""
    recorder.call()
    with pytest.raises(SpoolError, match="holds no task"):
        task_tree(recorder.relations(), "T-1")


def test_what_is_missing_or_unpriced_is_a_note(recorder: Recorder) -> None:
    """The tree of a task says when its total is a lower bound or its spans do not add up."""
    with recorder.task("resolve", "a", "0.3", UNPRICED_CALLS=1):
        recorder.call("0.1")
        recorder.call(None)
    tree = task_tree(recorder.relations(), "a")
    assert tree.nodes[0].status == "partial"
    assert tree.notes == (
        "Calls that could not be priced: 1. Totals that include one are lower bounds.",
        (
            "1 task: the spans recorded inside add up to 0.2 USD less than the task's total (sampled, lost or not yet "
            "flushed); totals are the tasks' own."
        ),
    )
