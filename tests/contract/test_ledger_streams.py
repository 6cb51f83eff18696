"""A view's stream has one holder, and its mark is moved by nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.adapters.ledger import Ledger, StreamHeld

NOON = datetime(2024, 3, 3, 12, tzinfo=UTC)
IDLE = timedelta(minutes=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The machine's time, which a test moves."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr("include.adapters.ledger.streams.clock", lambda: now[0])
    return now


def held(ledger: Ledger, holder: str = "here:1", now: datetime = NOON, version: int = 1):
    return ledger.streams.hold("level", version, holder, now, IDLE)


def test_a_stream_that_never_ran_has_no_mark_and_begins_with_the_first_hold(ledger: Ledger, clock) -> None:
    assert ledger.streams.of("level", 1) is None
    mark = held(ledger)
    assert (mark.holder, mark.started_at, mark.read_until, mark.pushed_at, mark.rows) == (
        "here:1",
        NOON,
        NOON,
        None,
        0,
    )
    assert held(ledger, now=NOON + timedelta(hours=1)) == mark


def test_a_mark_keeps_what_it_was_moved_to_and_is_of_one_version(ledger: Ledger, clock) -> None:
    later = replace(
        held(ledger),
        read_until=NOON + timedelta(minutes=1),
        event_watermark=NOON,
        pushed_at=NOON + timedelta(minutes=1),
        rows=7,
        positions={"departures": "5-0"},
        p99_s=12.5,
    )
    clock[0] += timedelta(seconds=5)
    ledger.streams.advance(later)
    assert ledger.streams.of("level", 1) == replace(later, recorded_at=clock[0])
    assert held(ledger, version=2).rows == 0


def test_another_process_is_refused_until_the_mark_is_too_old_and_keeps_what_was_reached(ledger, clock) -> None:
    mark = held(ledger)
    ledger.streams.advance(replace(mark, rows=7))
    clock[0] += IDLE - timedelta(microseconds=1)
    with pytest.raises(StreamHeld, match="The stream of level version 1 is run by here:1, whose last mark is of 2026"):
        held(ledger, "there:2")
    clock[0] += timedelta(microseconds=1)
    taken = held(ledger, "there:2", NOON + timedelta(hours=1))
    assert (taken.holder, taken.rows, taken.started_at) == ("there:2", 7, NOON)


def test_f174_whoever_lost_the_stream_may_neither_push_nor_move_the_mark(ledger: Ledger, clock) -> None:
    mark = held(ledger)
    ledger.streams.require(mark)
    clock[0] += IDLE
    held(ledger, "there:2")
    for refused in (ledger.streams.require, ledger.streams.advance):
        with pytest.raises(StreamHeld, match="there:2"):
            refused(replace(mark, rows=9))
    found = ledger.streams.of("level", 1)
    assert found is not None
    assert (found.holder, found.rows) == ("there:2", 0)
