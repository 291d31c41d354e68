"""What a shipper sends, in which order, how often, and what it leaves."""

from __future__ import annotations

import json
import resource
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskmeter.errors import SpoolError
from taskmeter.spool.files import SpoolFile
from taskmeter.spool.receipts import ReceiptWriter
from taskmeter.spool.shipping.answers import Accepted, Again, Failed, Misdirected, Refused, TooLarge
from taskmeter.spool.shipping.progress import Progress, settled_offsets
from tests.shipping.endpoint import NAME, NOW_NS, Backend, Breaks, Time, dead, fill, ids, line, ship, shipper, span


def test_each_span_is_sent_once(tmp_path: Path) -> None:
    """A second run finds nothing to do, a third one what has come since."""
    backend = Backend()
    fill(tmp_path, [3, 2], [4])
    assert ship(tmp_path, backend).sent == 9
    assert ship(tmp_path, backend).sent == 0
    with next(tmp_path.glob("traces-*")).open("a") as file:
        file.write(line(span(10)))
    assert ship(tmp_path, backend).sent == 1
    assert backend.accepted == dict.fromkeys(ids(*range(1, 11)), 1)


def test_each_endpoint_has_a_ledger_of_its_own(tmp_path: Path) -> None:
    """What one has, the other lacks."""
    fill(tmp_path, [3])
    first, second = Backend(), Backend()
    ship(tmp_path, first)
    other = shipper(tmp_path, second)
    other._progress = Progress(tmp_path, "http://other:4318/v1/traces")
    other.feed._progress = other._progress
    assert other.run().sent == 3


def test_small_files_share_a_request_and_large_lines_are_divided(tmp_path: Path) -> None:
    """A request has at most as many spans as it may."""
    backend = Backend()
    fill(tmp_path, [2], [1], [2], [9], [1])
    ship(tmp_path, backend, batch_size=5)
    assert [len(request) for request in backend.requests] == [5, 5, 4, 1]


def test_what_the_program_delivered_itself_is_not_sent(tmp_path: Path) -> None:
    """By its receipts, for this endpoint only."""
    fill(tmp_path, [3])
    ReceiptWriter(tmp_path, NAME).accepted([(1, 2)])
    ReceiptWriter(tmp_path, "http://other:4318/v1/traces").accepted([(1, 1)])
    backend = Backend()
    summary = ship(tmp_path, backend)
    assert (summary.sent, summary.already_delivered) == (2, 1)
    assert set(backend.accepted) == set(ids(1, 3))


def test_a_time_to_wait_is_honoured(tmp_path: Path) -> None:
    """What the endpoint asked for, if that is longer than the wait would be, an hour at most."""
    fill(tmp_path, [1])
    time = Time()
    backend = Backend(deque([Again("HTTP 429", 30.0), Again("HTTP 503", 86_400.0)]))
    assert ship(tmp_path, backend, time, retry_seconds=10_000).sent == 1
    assert time.waits == [30.0, 3_600.0]


def test_waits_grow_to_a_minute_and_a_run_gives_up(tmp_path: Path) -> None:
    """After so long without an acceptance. Nothing is lost, and the next run goes on."""
    total = fill(tmp_path, [2], [2])
    time, backend, said = Time(), Backend(rule=lambda _: Again("HTTP 503")), list[str]()
    summary = shipper(tmp_path, backend, time, said, retry_seconds=600).run()
    assert (summary.left, summary.reason, summary.complete) == (total, "HTTP 503", False)
    assert 480 < time.seconds <= 600
    assert time.waits == sorted(time.waits)
    assert time.waits[-1] == 60.0
    assert [sentence.partition(";")[0] for sentence in said] == ["HTTP 503"]  # once
    assert ship(tmp_path, Backend()).sent == total


def test_an_endpoint_that_flaps_gets_everything(tmp_path: Path) -> None:
    """The time to give up starts anew with each acceptance."""
    fill(tmp_path, [1] * 40)
    time = Time()
    script: list[Again | Accepted] = [Again("HTTP 503", 40.0), Accepted()] * 40
    summary = ship(tmp_path, Backend(deque(script)), time, batch_size=1)
    assert (summary.sent, summary.left) == (40, 0)
    assert time.seconds == 1_600.0


def test_a_wrong_address_sets_nothing_aside(tmp_path: Path) -> None:
    """Credentials, redirects and certificates are not the fault of a span: the run ends at once."""
    fill(tmp_path, [2], [3])
    backend = Backend(rule=lambda _: Misdirected("HTTP 401"))
    summary = ship(tmp_path, backend)
    assert (summary.left, summary.reason, len(backend.requests)) == (5, "HTTP 401", 1)
    assert dead(tmp_path) == {}


def test_an_endpoint_that_fails_on_everything_is_down(tmp_path: Path) -> None:
    """500 for the batch and for single spans of it: they stay in the spool, and it is not asked for each."""
    fill(tmp_path, [512])
    backend = Backend(rule=lambda _: Failed("HTTP 500"))
    summary = ship(tmp_path, backend, retry_seconds=10_000)
    assert (summary.left, summary.reason) == (512, "HTTP 500")
    assert len(backend.requests) < 40
    assert dead(tmp_path) == {}


def test_a_span_on_which_alone_it_fails_is_set_aside(tmp_path: Path) -> None:
    """After several tries; it took others."""
    fill(tmp_path, [100])
    backend = Backend(rule=lambda sent: Failed("HTTP 500") if ids(37)[0] in [s.span_id for s in sent] else Accepted())
    summary = ship(tmp_path, backend, retry_seconds=10_000)
    assert (summary.sent, summary.dead_letters, summary.left) == (99, 1, 0)
    assert dead(tmp_path) == {ids(37)[0]: 1}
    assert backend.requests.count(ids(37)) == 5  # four times at first, and once more after it took others


def test_a_batch_that_is_too_large_is_divided(tmp_path: Path) -> None:
    """Until it passes."""
    fill(tmp_path, [64])
    backend = Backend(rule=lambda sent: TooLarge("HTTP 413") if len(sent) > 10 else Accepted())
    assert ship(tmp_path, backend).sent == 64
    assert [len(request) for request in backend.requests] == [64, 32, 16, 8, 8, 16, 8, 8, 32, 16, 8, 8, 16, 8, 8]
    assert set(backend.accepted.values()) == {1}


def test_partial_success_is_not_sent_again(tmp_path: Path) -> None:
    """It is kept with the endpoint's reason, and counted."""
    fill(tmp_path, [5])
    backend = Backend(deque([Accepted(2, "too many attributes")]))
    summary = ship(tmp_path, backend)
    assert (summary.sent, summary.dead_letters, len(backend.requests)) == (3, 2, 1)
    (path,) = tmp_path.glob("dead-letter-*.jsonl")
    letter = json.loads(path.read_text())
    assert [letter[name] for name in ("endpoint", "reason", "spans", "rejected")] == [NAME, "too many attributes", 5, 2]
    assert dead(tmp_path) == {}  # of none it is certain
    assert path.stat().st_mode & 0o777 == 0o600
    assert ship(tmp_path, backend).sent == 0


def test_old_spans_are_set_aside_and_counted(tmp_path: Path) -> None:
    """One that does not say when it ended is not old."""
    old = str(NOW_NS - 3_700 * 10**9)
    fill(tmp_path, [1])
    with next(tmp_path.glob("traces-*")).open("a") as file:
        file.write(line(span(2, endTimeUnixNano=old), span(3, endTimeUnixNano="")))
    backend = Backend()
    summary = ship(tmp_path, backend, max_age_seconds=3_600)
    assert (summary.sent, summary.too_old, summary.dead_letters, summary.complete) == (2, 1, 0, True)
    assert set(backend.accepted) == set(ids(1, 3))
    assert dead(tmp_path) == {ids(2)[0]: 1}
    assert shipper(tmp_path, backend).replay(unsure=False).sent == 1
    assert set(backend.accepted) == set(ids(1, 2, 3))


def test_a_line_under_way_is_sent_when_it_is_whole(tmp_path: Path) -> None:
    """Torn lines that others follow are passed over and counted; blank ones mean nothing."""
    path = tmp_path / "traces-a.jsonl"
    whole = line(span(1))
    path.write_text(whole + '{"resourceSpans":[{"resou\n\n[1]\n' + line(span(2))[:90])
    backend = Backend()
    summary = ship(tmp_path, backend)
    assert (summary.sent, summary.skipped_lines, summary.complete) == (1, 3, True)
    with path.open("a") as file:
        file.write(line(span(2))[90:])
    summary = ship(tmp_path, backend)
    assert (summary.sent, summary.skipped_lines) == (1, 0)
    assert set(backend.accepted) == set(ids(1, 2))


def test_a_last_line_without_an_end_is_whole_if_it_can_be_read(tmp_path: Path) -> None:
    """And is the same line when the end comes."""
    path = tmp_path / "traces-a.jsonl"
    path.write_text(line(span(1)).rstrip())
    backend = Backend()
    assert ship(tmp_path, backend).sent == 1
    with path.open("a") as file:
        file.write("\n" + line(span(2)))
    summary = ship(tmp_path, backend)
    assert (summary.sent, summary.skipped_lines) == (1, 0)


def test_a_file_may_change_its_name(tmp_path: Path) -> None:
    """As a Collector's does: the old one goes on under another name, and a new one comes under its own."""
    path = tmp_path / "traces-collector.jsonl"
    path.write_text(line(span(1)))
    backend = Backend()
    ship(tmp_path, backend)
    path.rename(tmp_path / "traces-collector-2026-11-27T12-00-00.000.jsonl")
    path.write_text(line(span(2)) + line(span(3)))
    assert ship(tmp_path, backend).sent == 2
    assert backend.accepted == dict.fromkeys(ids(1, 2, 3), 1)
    (tmp_path / "traces-collector-2026-11-27T12-00-00.000.jsonl").unlink()
    assert ship(tmp_path, backend).sent == 0


def test_a_file_that_was_cut_off_starts_anew(tmp_path: Path) -> None:
    """Shorter than it was, with the same beginning: at least once."""
    path = tmp_path / "traces-a.jsonl"
    path.write_text(line(span(1)) + line(span(2)))
    ship(tmp_path, Backend())
    path.write_text(line(span(1)))
    assert ship(tmp_path, Backend()).sent == 1


def test_two_files_that_begin_alike_are_both_sent(tmp_path: Path) -> None:
    """A client sent its first batch to two Collectors."""
    (tmp_path / "traces-a.jsonl").write_text(line(span(1)) + line(span(2)))
    ship(tmp_path, Backend())
    (tmp_path / "traces-b.jsonl").write_text(line(span(1)) + line(span(3)))
    backend = Backend()
    ship(tmp_path, backend)
    assert ids(3)[0] in backend.accepted


def test_a_long_ledger_is_shortened(tmp_path: Path) -> None:
    """Files that are gone are forgotten, those that are there are not."""
    fill(tmp_path, [1], [1])
    backend = Backend()
    ship(tmp_path, backend)
    (ledger,) = tmp_path.glob("shipped-*.jsonl")
    gone, kept = sorted(tmp_path.glob("traces-*"))
    gone.unlink()
    with ledger.open("a") as file:
        file.writelines([ledger.read_text(), '{"endpoint": 1}\n', '{"endpoint"'] + [ledger.read_text()] * 1_500)
    assert ship(tmp_path, backend).sent == 0
    assert ledger.stat().st_size < 300
    assert kept.name in ledger.read_text()
    assert gone.name not in ledger.read_text()
    assert ship(tmp_path, backend).sent == 0


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """This run goes on and sends nothing twice; the next one may. What cannot be set aside stays."""
    fill(tmp_path, [1], [1], [1])
    said: list[str] = []
    backend = Backend(deque([Accepted(), Accepted(), Refused("HTTP 400")]))
    run = shipper(tmp_path, backend, said=said, batch_size=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        summary = run.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(said) == 2
    assert said[0].startswith("cannot write down what was delivered (")
    assert (summary.sent, summary.left) == (2, 1)
    assert summary.reason.startswith("cannot write dead letters: ")
    assert ship(tmp_path, backend).sent == 3


def test_a_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Or all would be sent again."""
    fill(tmp_path, [1])
    Progress(tmp_path, NAME)._path.mkdir()
    with pytest.raises(SpoolError, match=r"Cannot read the spool file '.*': Is a directory"):
        shipper(tmp_path, Backend())


def test_files_that_an_endpoint_lacks_are_known(tmp_path: Path) -> None:
    """To whoever deletes or compacts span files: up to where every endpoint has them that they were shipped to."""
    fill(tmp_path, [1], [1])
    first, second = sorted(tmp_path.glob("traces-*"))
    size = first.stat().st_size
    assert settled_offsets(tmp_path) == {}
    ship(tmp_path, Backend(deque([Accepted(), Misdirected("HTTP 401")])), batch_size=1)
    assert settled_offsets(tmp_path) == {first: size, second: 0}
    with first.open("a") as file:
        file.write(line(span(3)))
    assert settled_offsets(tmp_path) == {first: size, second: 0}
    ship(tmp_path, Backend())
    assert settled_offsets(tmp_path) == {path: path.stat().st_size for path in (first, second)}


def test_a_last_line_that_its_writer_may_take_back_is_not_sent(tmp_path: Path) -> None:
    """All of it but its end was written when the disk was full."""
    file = SpoolFile(tmp_path, datetime(2026, 11, 27, tzinfo=UTC))
    file.append(line(span(1)).encode(), 1)
    file.path.write_text(line(span(1)) + line(span(2)).rstrip())
    assert ship(tmp_path, Backend()).sent == 1
    file.close()
    assert ship(tmp_path, Backend()).sent == 1


def test_dead_letters_are_sent_on_demand(tmp_path: Path) -> None:
    """Those that are certain; what is still refused stays, what passed is gone, also after an interruption."""
    fill(tmp_path, [4])
    bad = set(ids(1, 2, 3))
    backend = Backend(rule=lambda sent: Refused("HTTP 400") if any(s.span_id in bad for s in sent) else Accepted())
    ship(tmp_path, backend)
    assert set(dead(tmp_path)) == bad
    bad.clear()
    backend.script = deque([Refused("HTTP 400"), Accepted(), Misdirected("HTTP 401")])
    summary = shipper(tmp_path, backend).replay(unsure=False)
    assert (summary.sent, summary.left, summary.reason) == (1, 2, "HTTP 401")
    bad.add(ids(3)[0])
    summary = shipper(tmp_path, backend).replay(unsure=False)
    assert (summary.sent, summary.dead_letters, summary.left) == (1, 1, 0)
    assert dead(tmp_path) == {ids(3)[0]: 1}
    assert backend.accepted == dict.fromkeys(ids(1, 2, 4), 1)
    bad.clear()
    shipper(tmp_path, backend).replay(unsure=False)
    assert list(tmp_path.glob("dead-letter-*")) == []
    assert ship(tmp_path, backend).sent == 0


def test_doubtful_letters_are_sent_only_if_that_is_asked_for(tmp_path: Path) -> None:
    """The endpoint has some of their spans. Letters for others, and what cannot be read, stay as they are."""
    fill(tmp_path, [3])
    backend = Backend(deque([Accepted(1, "why")]))
    ship(tmp_path, backend)
    (path,) = tmp_path.glob("dead-letter-*")
    others = '{"endpoint": "http://other", "reason": "", "rejected": 1, "traces": {}}\n{"torn\n'
    path.write_text(path.read_text() + others)
    assert shipper(tmp_path, backend).replay(unsure=False).sent == 0
    assert shipper(tmp_path, backend).replay(unsure=True).sent == 3
    assert path.read_text() == others


def test_a_follower_ships_what_comes(tmp_path: Path) -> None:
    """It looks every second, and leaves when it is told to, with what came last."""
    time, backend = Time(), Backend()

    def write(number: int) -> None:
        with (tmp_path / "traces-a.jsonl").open("a") as file:
            file.write(line(span(number)))

    def end() -> None:
        write(3)
        time.stopped = True

    time.at = [(2, lambda: write(1)), (4, lambda: write(2)), (5, end)]
    summary = shipper(tmp_path, backend, time, retry_seconds=None).follow()
    assert [request for request in backend.requests if request] == [ids(1), ids(2), ids(3)]
    assert (summary.sent, summary.complete) == (3, True)
    assert time.waits == [1.0] * 5


def test_a_follower_never_gives_up(tmp_path: Path) -> None:
    """Nobody listens, the address is wrong, it fails on everything: it tries once a minute at least."""
    fill(tmp_path, [8])
    time = Time()
    script: list[Again | Misdirected | Failed] = [Again("timed out")] * 200 + [Misdirected("HTTP 401")] * 200
    backend = Backend(deque([*script, *[Failed("HTTP 500")] * 200]))
    time.at = [(26_000, lambda: setattr(time, "stopped", True))]
    summary = shipper(tmp_path, backend, time, retry_seconds=None).follow()
    assert (summary.sent, summary.left, summary.dead_letters) == (8, 0, 0)
    assert max(time.waits) < 61


def test_a_follower_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    """Though the endpoint does not answer: one more try, in bounded time, and an honest summary."""
    fill(tmp_path, [2])
    time = Time()
    backend = Backend(rule=lambda _: Again("timed out"))
    time.at = [(100, lambda: setattr(time, "stopped", True))]
    summary = shipper(tmp_path, backend, time, retry_seconds=None).follow()
    assert (summary.sent, summary.left, summary.reason) == (0, 2, "timed out")
    assert time.seconds < 161


def test_a_follower_leaves_fresh_spans_to_a_program_that_delivers_itself(tmp_path: Path) -> None:
    """For a minute; then it is the follower's."""
    time, backend = Time(), Backend()
    writer = ReceiptWriter(tmp_path, NAME)
    writer.announce()
    (tmp_path / "traces-a.jsonl").write_text(line(span(1, endTimeUnixNano=str(NOW_NS))))
    (tmp_path / "traces-b.jsonl").write_text(line(span(2, endTimeUnixNano=str(NOW_NS))))
    time.at = [(5, lambda: writer.accepted([(1, 2)])), (58, lambda: backend.requests.append([])), (62, lambda: None)]
    time.at.append((63, lambda: setattr(time, "stopped", True)))
    summary = shipper(tmp_path, backend, time, retry_seconds=None).follow()
    assert backend.requests == [[], ids(1)]
    assert (summary.sent, summary.already_delivered) == (1, 1)


def test_an_acceptance_that_was_not_heard_is_repeated(tmp_path: Path) -> None:
    """At least once: the span has the same id."""
    fill(tmp_path, [1])
    backend = Backend(deque([Breaks()]))
    assert ship(tmp_path, backend).sent == 1
    assert backend.accepted == {ids(1)[0]: 2}


@pytest.mark.parametrize("name", ["receipts-1.jsonl", "dead-letter-1.jsonl", "shipped-1.jsonl", "traces-1.jsonl"])
def test_the_spool_is_untrusted(tmp_path: Path, name: str) -> None:
    """Nonsense in any of its files stops nobody."""
    fill(tmp_path, [1])
    deep = "[" * 100_000
    (tmp_path / name).write_bytes(f'{deep}\n{{"endpoint":{deep}\nnull\n1\n"a"\n{{"files":1}}\n\xff\n'.encode("latin-1"))
    (tmp_path / f"traces-{name}").symlink_to(tmp_path / "nowhere")
    assert ship(tmp_path, Backend()).sent == 1
