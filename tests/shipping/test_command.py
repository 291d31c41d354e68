"""`taskmeter ship`, as a user runs it: real processes, real connections."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from taskmeter.cli import main
from taskmeter.spool.receipts import ReceiptWriter
from tests.export.programs import environment, run
from tests.export.receiver import Receiver, Reply
from tests.shipping.endpoint import fill, line, span

COMMAND = (sys.executable, "-W", "error", "-m", "taskmeter", "ship")


def started(spool: Path, endpoint: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--spool", str(spool), "--endpoint", endpoint, *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def ship(capsys: pytest.CaptureFixture[str], spool: Path, *arguments: str) -> tuple[int, str, str]:
    """In this process."""
    with pytest.raises(SystemExit) as end:
        main(["ship", "--spool", str(spool), *arguments])
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out, printed.err


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_is_shipped_from_its_spool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it wrote arrives with its resource; a second run sends nothing."""
    program = """
import taskmeter
taskmeter.configure(service_name="agent")
for number in range(3):
    with taskmeter.track_task("quick", key=f"T-{number}"):
        taskmeter.charge("0.25")
"""
    assert run(program, tmp_path).code == 0
    with Receiver() as receiver:
        code, out, err = ship(capsys, tmp_path / ".taskmeter", "--endpoint", receiver.url)
        assert (code, err) == (0, "")
        counts = "0 already delivered, 0 dead letters, 0 too old, 0 skipped lines\n"
        assert out == f"{receiver.url}/v1/traces: 6 sent, {counts}"
        code, out, _ = ship(capsys, tmp_path / ".taskmeter", "--endpoint", receiver.url)
        assert (code, out) == (0, f"{receiver.url}/v1/traces: 0 sent, {counts}")
    assert len(receiver.spans) == 6
    assert {one.resource["service.name"] for one in receiver.spans} == {"agent"}
    tasks = [one for one in receiver.spans if one.kind == "task"]
    assert sorted(task.attributes["taskmeter.task.key"] for task in tasks) == ["T-0", "T-1", "T-2"]


def test_a_shipper_that_is_killed_is_resumed(tmp_path: Path) -> None:
    """Six times, at any moment, while it sends 12,000 spans: all arrive, and each kill repeats a batch at most."""
    total = fill(tmp_path, *[[10] * 100] * 12)
    with Receiver(delay_seconds=0.005) as receiver:
        kills = 0
        while kills < 6:
            seen = len(receiver.spans)
            process = started(tmp_path, receiver.url, "--batch-size", "200")
            wait(lambda seen=seen, process=process: len(receiver.spans) >= seen + 500 or process.poll() is not None)
            if process.poll() is not None:
                ended(process)
                break
            process.kill()
            ended(process)
            kills += 1
        code, _, err = ended(started(tmp_path, receiver.url, "--batch-size", "200"))
        assert (code, err) == (0, "")
    times = Counter(one.span_id for one in receiver.spans)
    assert len(times) == total == 12_000
    assert len(receiver.spans) <= total + kills * 200


def test_two_shippers_exclude_each_other(tmp_path: Path) -> None:
    """The second one says who is at it, and exits with 1; when the first one is gone, even killed, it may."""
    fill(tmp_path, [1])
    with Receiver(delay_seconds=30) as receiver:
        first = started(tmp_path, receiver.url)
        wait(lambda: bool(receiver.asked_with))
        code, out, err = ended(started(tmp_path, receiver.url))
        assert (code, out) == (1, "")
        assert re.fullmatch(
            rf"taskmeter: The spool '{tmp_path}' is being shipped to {receiver.url}/v1/traces already, by process "
            rf"{first.pid} on \S+ since \S+Z\.\n",
            err,
        )
        first.kill()
        ended(first)
        receiver.delay_seconds = 0
        assert ended(started(tmp_path, receiver.url))[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """It waits for a directory, ships what comes, and with it what came last before the signal."""
    spool = tmp_path / "spool"
    with Receiver() as receiver:
        process = started(spool, receiver.url, "--follow", "--json")
        wait(spool.is_dir)
        (spool / "traces-a.jsonl").write_text(line(span(1)))
        wait(lambda: len(receiver.spans) == 1)
        with (spool / "traces-a.jsonl").open("a") as file:
            file.write(line(span(2)))
        process.send_signal(number)
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "endpoint": f"{receiver.url}/v1/traces",
        "sent": 2,
        "already_delivered": 0,
        "dead_letters": 0,
        "too_old": 0,
        "skipped_lines": 0,
        "left": 0,
        "reason": "",
    }


def test_what_is_left_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How much, and why; the exit code is 1. Dead letters are sent when they are asked for."""
    fill(tmp_path, [2])
    with Receiver(statuses=[401]) as receiver:
        code, out, _ = ship(capsys, tmp_path, "--endpoint", receiver.url)
        assert (code, out.partition("; ")[2]) == (1, "2 left: HTTP 401\n")
    with Receiver(statuses=[Reply(503, headers={"retry-after": "900"})]) as receiver:
        code, out, _ = ship(capsys, tmp_path, "--endpoint", receiver.url)
        assert (code, out.partition("; ")[2]) == (1, "2 left: HTTP 503\n")
    with Receiver(statuses=[400, 400]) as receiver:
        code, out, _ = ship(capsys, tmp_path, "--endpoint", receiver.url)
        assert (code, ": 1 sent, 0 already delivered, 1 dead letters, " in out) == (1, True)
        code, out, _ = ship(capsys, tmp_path, "--endpoint", receiver.url, "--dead-letters")
        assert (code, ": 1 sent, 0 already delivered, 0 dead letters, " in out) == (0, True)
    assert len(receiver.spans) == 2


def test_secrets_are_not_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of headers and of the URL, whatever the endpoint says."""
    fill(tmp_path, [2])
    said = Reply(400, b"canary-header canary-password", {"content-type": "text/plain"})
    with Receiver(statuses=[401, 400, said]) as receiver:
        url = receiver.url.replace("http://", "http://canary-user:canary-password@") + "/v1/traces?key=canary-query"
        arguments = ("--endpoint", url, "--header", "x-key=canary-header")
        printed = [ship(capsys, tmp_path, *arguments), ship(capsys, tmp_path, *arguments)]
        assert [code for code, _, _ in printed] == [1, 1]
        assert receiver.asked_with[0]["x-key"] == "canary-header"
        assert receiver.requests[0][0].endswith("key=canary-query")
    printed.append(ship(capsys, tmp_path, *arguments, "--retry-for", "0"))  # nobody listens any more
    assert "canary" not in str(printed)
    assert not [path for path in tmp_path.iterdir() if b"canary" in path.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--unsure"], "--unsure is about dead letters; add --dead-letters, or leave it out"),
        (["--follow", "--dead-letters"], "--follow and --dead-letters exclude each other"),
        (["--follow", "--retry-for", "9"], "--follow never gives up; leave --retry-for out"),
        (["--dead-letters", "--max-age", "7d"], "dead letters are sent whatever their age"),
        (["--max-age", "soon"], "'soon' is no length of time; write it as in 90s, 15m, 12h or 7d"),
        (["--batch-size", "0"], "0 is not in the range x>=1"),
        (["--endpoint", "localhost"], "the endpoint 'localhost' is no URL"),
        (["--header", "secret"], "header 1 of --header is not of the form name=value"),
    ],
)
def test_misuse_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """And says what to do."""
    code, out, err = ship(capsys, tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_spool_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name may be misspelt. An empty one is delivered."""
    code, _, err = ship(capsys, tmp_path / "none")
    assert (code, err) == (1, f"taskmeter: There is no spool directory '{tmp_path / 'none'}'.\n")
    assert ship(capsys, tmp_path)[0] == 0


def test_the_doctor_knows_what_is_not_delivered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By endpoint: how many spans, of when, and what was refused. Late ones and dead letters need action."""
    fill(tmp_path, [4])
    with Receiver(statuses=[400] * 4) as receiver:
        ship(capsys, tmp_path, "--endpoint", receiver.url)
    ReceiptWriter(tmp_path, "http://other:4318/v1/traces").accepted([(1, 1)])
    done = subprocess.run(
        [sys.executable, "-m", "taskmeter", "doctor", "--spool", str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert f"    {receiver.url}/v1/traces has all of it; 2 dead letters\n" in done.stdout
    assert "    http://other:4318/v1/traces lacks 3 spans, the oldest of 2025-11-27 21:36 UTC\n" in done.stdout
    said = " ".join(done.stdout.split())
    assert f"! {receiver.url}/v1/traces would not take 2 spans" in said
    assert "! http://other:4318/v1/traces lacks spans that are " in said
    assert "fix: run `taskmeter ship --endpoint http://other:4318/v1/traces`" in said
