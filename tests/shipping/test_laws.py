"""Whatever an endpoint answers, no span is lost, and none is delivered twice for want of care."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.spool.shipping.answers import Accepted, Again, Failed, Refused, TooLarge
from taskmeter.spool.shipping.dead_letters import dead_letters_of
from tests.shipping.endpoint import NAME, Backend, Breaks, KilledError, Kills, Step, dead, fill, ids, shipper

STEPS = st.one_of(
    st.just(Accepted()),
    st.builds(Accepted, st.integers(1, 4), st.just("attributes")),
    st.just(Again("HTTP 503")),
    st.builds(Again, st.just("HTTP 429"), st.floats(0, 300)),
    st.just(Again("timed out")),
    st.just(TooLarge("HTTP 413")),
    st.just(Refused("HTTP 400")),
    st.just(Failed("HTTP 500")),
    st.just(Breaks()),
    st.just(Kills()),
)
SPOOLS = st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=4)


def run_until_nothing_is_left(directory: Path, backend: Backend, batch_size: int) -> None:
    """Each run is a new process. A script ends, and then all is accepted."""
    for _ in range(len(backend.script) + 2):
        try:
            if not shipper(directory, backend, batch_size=batch_size).run().left:
                return
        except KilledError:
            continue
    raise AssertionError("the shipper does not come to an end")


@settings(max_examples=150)
@given(spool=SPOOLS, script=st.lists(STEPS, max_size=30), batch_size=st.integers(1, 8))
def test_every_span_is_accepted_or_a_dead_letter(spool: list[list[int]], script: list[Step], batch_size: int) -> None:
    """Never neither, never both. Accepted once, but for spans whose acceptance the shipper did not hear of, and
    those of a batch that it was killed in."""
    with TemporaryDirectory() as name:
        directory, backend = Path(name), Backend(deque(script))
        spans = set(ids(*range(1, fill(directory, *spool) + 1)))
        run_until_nothing_is_left(directory, backend, batch_size)
        certain = dead(directory)
        partly = {
            span.span_id for letter in dead_letters_of(directory, NAME) if not letter.certain for span in letter.spans
        }
        assert set(backend.accepted) | set(certain) | partly == spans
        assert all(backend.accepted[span] == 1 for span in spans - set(certain) - partly - backend.unheard)
        assert set(certain) & set(backend.accepted) <= backend.unheard
        assert set(certain.values()) <= {1}


@settings(max_examples=60)
@given(
    spool=SPOOLS,
    poison=st.sets(st.integers(1, 20), max_size=4),
    answer=st.sampled_from([Refused("HTTP 400"), TooLarge("HTTP 413"), Failed("HTTP 500")]),
    batch_size=st.integers(1, 8),
)
def test_a_bad_span_takes_no_other_with_it(
    spool: list[list[int]], poison: set[int], answer: Refused | TooLarge | Failed, batch_size: int
) -> None:
    """Of a batch that is refused for some spans, exactly these become dead letters. Where the endpoint fails on all
    that it gets, they stay."""
    with TemporaryDirectory() as name:
        directory, bad = Path(name), set(ids(*poison))
        spans = set(ids(*range(1, fill(directory, *spool) + 1)))
        backend = Backend(rule=lambda sent: answer if any(s.span_id in bad for s in sent) else Accepted())
        summary = shipper(directory, backend, batch_size=batch_size).run()
        assert bad.isdisjoint(backend.accepted)
        if not summary.left:
            assert set(backend.accepted) == spans - bad
            assert set(dead(directory)) == spans & bad
        else:
            assert isinstance(answer, Failed)
            assert summary.left + len(backend.accepted) + len(dead(directory)) == len(spans)
