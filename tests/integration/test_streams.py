"""A view's newest rows online before their day is over: the same values as the day that is published, whatever happens
on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feature_world import (
    READINGS,
    STATION_LEVEL,
    STATION_LEVEL_SQL,
    TRIP_PLAN,
    TRIP_PLAN_SQL,
    TRIPS,
    World,
    a_world,
    naive,
)
from feature_world import at as at_
from sqlalchemy import and_
from swept import PASSED

from include.adapters.ledger import StreamHeld
from include.adapters.online_store import OnlineRow, OnlineStore
from include.adapters.source import KeptSource, SourceUnreachable
from include.config.settings import settings
from include.domain import faults
from include.domain.intervals import Interval
from include.domain.verdicts import Verdict
from include.workflows import stores
from include.workflows.features import freshness, pushed_rows
from include.workflows.features.streaming import RowsRefused, Ticked, ViewStream, window_of
from include.workflows.pairs import PairState
from include.workflows.pairs import online as online_pair

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STREAM = {"every": "10s", "lateness": "15m"}
DELAY = "31m"
"""Readings are known half an hour after they were made."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = a_world(tmp_path, monkeypatch)
    made.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay=DELAY, stream=STREAM)
    made.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, delay="30s", ahead="1d", stream=STREAM)
    made.fill(1, 5)
    return made


@pytest.fixture
def streamed(world: World) -> Iterator[Streamed]:
    with stores.open_ledger() as ledger:
        made = Streamed(world, ledger)
        yield made
        made.kept.close()


class Streamed:
    """Streams of one process, by view; they share what was read of the source, as `slipway stream`'s do."""

    def __init__(self, world: World, ledger: Any, holder: str = "here:1") -> None:
        self.world, self.ledger, self.holder = world, ledger, holder
        self.kept = KeptSource(settings().source_url)
        self._streams: dict[str, ViewStream] = {}

    def tick(self, moment: datetime, view: str = "station_level") -> Ticked:
        if view not in self._streams:
            declared = self.world.declared.view(view)
            self._streams[view] = ViewStream(declared, self.ledger.streams, self.holder, kept=self.kept)
        return self._streams[view].tick(moment)

    def restarted(self) -> Streamed:
        """The same host's next process."""
        return Streamed(self.world, self.ledger, self.holder)

    def ticks(self, start: datetime, end: datetime, every: timedelta) -> int:
        pushed, moment = 0, start
        while moment < end:
            pushed += self.tick(moment).rows
            moment += every
        return pushed

    def mark(self, view: str = "station_level") -> Any:
        return self.ledger.streams.of(view, 1)


def online(world: World, key: str, view: str = "station_level") -> OnlineRow | None:
    return OnlineStore(settings().online_url).read(world.declared.view(view), [(key,)])[0]


def verified(world: World, number: int, view: str = "station_level") -> freshness.StreamVerified:
    return freshness.verify(view, at_(number).date().isoformat(), declared=world.declared)


def level(world: World, station: str = "north") -> tuple[float, int] | None:
    row = online(world, station)
    return None if row is None else (row.features["level"], row.event_time.hour)


# --- fresh -----------------------------------------------------------------------------------------------------------


def test_a_row_is_online_at_the_first_tick_after_the_source_knows_it(world, streamed):
    streamed.tick(at_(3, 12) + 29 * MINUTE)
    assert level(world) == (3 * 10 + 11, 11)  # the reading of 12:00 is known at 12:30
    streamed.tick(at_(3, 12) + 30 * MINUTE)
    assert level(world) == (3 * 10 + 12, 12)


def test_the_first_tick_ever_pushes_what_is_not_past_its_ttl_and_later_ones_only_what_is_new(world, streamed):
    assert streamed.tick(at_(3, 12) + 16 * MINUTE).rows == 6  # 09:00 to 11:00 of two stations
    assert streamed.tick(at_(3, 12) + 17 * MINUTE).rows == 0
    nothing_new = streamed.tick(at_(3, 12) + 18 * MINUTE)
    assert (nothing_new.rows, nothing_new.computed) == (0, False)
    assert streamed.tick(at_(3, 12) + 31 * MINUTE).rows == 2


def test_rows_that_are_known_ahead_are_online_before_they_happen(world, streamed):
    streamed.tick(at_(3, 0), "trip_plan")
    row = online(world, "03-5", "trip_plan")  # starts at 18:30, known a day before
    assert row is not None
    assert row.event_time == at_(3, 18.5)
    assert row.available_time <= at_(3, 0)
    assert online(world, "04-5", "trip_plan") is None  # nobody knows it yet


def test_a_view_that_is_not_ahead_never_shows_a_row_before_its_event(world, streamed):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, delay="30s", ttl="3h", stream=STREAM)
    streamed.tick(at_(3, 18.4), "trip_plan")
    assert online(world, "03-5", "trip_plan") is None
    streamed.tick(at_(3, 18.5), "trip_plan")
    assert online(world, "03-5", "trip_plan") is not None


def test_the_day_that_is_published_has_the_same_values_row_by_row(world, streamed):
    streamed.tick(at_(3, 0.75), "trip_plan")
    streamed.tick(at_(3, 12.75), "trip_plan")
    streamed.ticks(at_(3, 0.75), at_(4, 1), HOUR)
    for view, values in (("station_level", 24 * 2 * 2), ("trip_plan", 6 * 2)):
        world.run_day(view, 3)
        found = verified(world, 3, view)
        assert (found.verdict, found.values) == (Verdict.PASS, values), found.examples
        assert (found.different, found.missing, found.extra) == (0, 0, 0)


def test_a_value_that_was_changed_behind_the_streams_back_is_named(world, streamed):
    streamed.tick(at_(3, 12.75))
    streamed.tick(at_(3, 14.75))
    at_noon = and_(READINGS.c.station == "north", READINGS.c.read_at == naive(at_(3, 12)))
    world.change(READINGS, at_noon, level=99.0)
    world.run_day("station_level", 3)
    found = verified(world, 3)
    assert found.verdict is Verdict.FAIL
    assert found.different == 1 + 3  # its level, and three means
    assert (found.missing, found.extra) == (2 * (24 - 6), 0)  # 09:00 to 14:00 were pushed
    assert found.examples[0] == "level of north at 12:00:00 was 42.0 online and is 99.0 published"


def test_nothing_pushed_is_no_evidence(world):
    world.run_day("station_level", 3)
    found = verified(world, 3)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.examples == ("nothing was pushed of 2024-03-03",)


# --- how fresh -------------------------------------------------------------------------------------------------------


def test_freshness_is_the_time_from_the_event_to_the_first_push(world, streamed):
    streamed.tick(at_(3, 0.25))
    streamed.ticks(at_(3, 0.5), at_(3, 12), HOUR)
    (found,) = freshness.of_views(at_(10), 1, "station_level", declared=world.declared)
    assert (found.rows, found.p50_s, found.p99_s, found.slowest_s) == (11 * 2, 1800, 1800, 1800)
    assert found.verdict is Verdict.PASS  # 30 minutes, and 31 are promised
    assert streamed.mark().p99_s == 1800


def test_f176_a_stream_slower_than_the_delay_is_found(world, streamed):
    streamed.ticks(at_(3, 0.25), at_(3, 13), 2 * HOUR)
    (found,) = freshness.of_views(at_(10), 1, "station_level", declared=world.declared)
    assert found.verdict is Verdict.FAIL
    assert found.p99_s is not None
    assert found.p99_s > 31 * 60
    assert streamed.mark().p99_s > 31 * 60


def test_a_day_of_pushes_is_read_at_most_every_ten_minutes(world, streamed, monkeypatch):
    judged = []
    of_pushes = freshness.of_pushes
    monkeypatch.setattr(freshness, "of_pushes", lambda *asked: judged.append(asked[2].end) or of_pushes(*asked))
    for after in range(1, 5):  # each tick pushes one more station, known a minute after the one before
        known = at_(3, 12) + after * MINUTE
        world.insert(READINGS, [reading(12, 5.0, known, station=f"s{after}")])
        assert streamed.tick(known).rows > 0
    assert len(judged) == 1
    world.insert(READINGS, [reading(12, 5.0, at_(3, 12) + 12 * MINUTE, station="late")])
    streamed.tick(at_(3, 12) + 12 * MINUTE)
    assert len(judged) == 2


def test_what_was_pushed_is_kept_for_its_time_and_removed_by_later_pushes(world, streamed, monkeypatch):
    monkeypatch.setattr(pushed_rows, "KEPT", timedelta(days=1))
    kept = pushed_rows.folder_of(settings().home, world.declared.view("station_level"))
    streamed.tick(at_(1, 12))
    streamed.tick(at_(2, 12))
    assert [day.name for day in sorted(kept.iterdir())] == ["2024-03-01", "2024-03-02"]
    streamed.tick(at_(3, 12))
    assert [day.name for day in sorted(kept.iterdir())] == ["2024-03-02", "2024-03-03"]


def test_too_few_rows_say_nothing_about_freshness(world, streamed):
    streamed.tick(at_(3, 0.25))
    streamed.ticks(at_(3, 0.5), at_(3, 5), HOUR)
    (found,) = freshness.of_views(at_(10), 1, "station_level", declared=world.declared)
    assert (found.rows, found.p99_s, found.verdict) == (8, None, Verdict.INCONCLUSIVE)
    assert streamed.mark().p99_s is None


# --- late, twice, out of order ---------------------------------------------------------------------------------------


def reading(hour: float, value: float, known: datetime, station: str = "north", number: int = 3) -> dict[str, Any]:
    return {"station": station, "read_at": naive(at_(number, hour)), "level": value, "known_at": naive(known)}


def test_f174_events_that_come_twice_late_or_from_the_future_end_as_the_published_day(world, streamed):
    noon = and_(READINGS.c.read_at == naive(at_(3, 12)))
    world.remove(READINGS, noon)
    streamed.tick(at_(3, 12) + 20 * MINUTE)
    streamed.tick(at_(3, 12) + 40 * MINUTE)
    assert level(world) == (3 * 10 + 11, 11)
    # The reading of noon is committed late, though the source says it was known at 12:30; another comes twice.
    late = [reading(12, 500.0, at_(3, 12.5)), reading(12, 500.0, at_(3, 12.5))]
    future = reading(23.75, 1.0, at_(3, 20), number=4)
    unknown = reading(12, 7.0, at_(3, 12.5), station="nowhere")
    world.insert(READINGS, [*late, future, unknown])
    streamed.tick(at_(3, 12) + 44 * MINUTE)
    assert level(world) == (500.0, 12)
    assert level(world, "nowhere") == (7.0, 12)
    streamed.tick(at_(3, 13.75))
    world.run_day("station_level", 3)
    found = verified(world, 3)
    # 09:00 to 13:00 of both stations, and once of the new one, were pushed.
    assert (found.different, found.missing, found.extra) == (0, 2 * (24 - 5), 0)


def test_a_row_changed_in_place_is_seen_when_the_window_moves(world, streamed):
    streamed.tick(at_(3, 12) + 31 * MINUTE)
    at_noon = and_(READINGS.c.station == "north", READINGS.c.read_at == naive(at_(3, 12)))
    world.change(READINGS, at_noon, level=321.0)
    streamed.tick(at_(3, 13))
    assert level(world) == (321.0, 12)


def test_a_row_with_a_primary_key_is_replaced_by_the_one_that_was_known_later(world, streamed):
    streamed.tick(at_(3, 8), "trip_plan")
    world.change(TRIPS, TRIPS.c.trip_id == "03-5", station="süd", known_at=naive(at_(3, 8) + MINUTE))
    streamed.tick(at_(3, 8) + 2 * MINUTE, "trip_plan")
    row = online(world, "03-5", "trip_plan")
    assert row is not None
    assert row.features["station"] == "süd"


def test_a_tick_never_takes_back_what_a_published_day_says(world, streamed):
    streamed.tick(at_(3, 23) + 59 * MINUTE)
    at_eleven = and_(READINGS.c.station == "north", READINGS.c.read_at == naive(at_(3, 23)))
    world.change(READINGS, at_eleven, level=77.0)
    world.run_day("station_level", 3)
    assert level(world) == (77.0, 23)
    world.change(READINGS, at_eleven, level=5.0)
    streamed.tick(at_(3, 23) + 59.5 * MINUTE)
    assert level(world) == (77.0, 23)


def test_rows_of_a_day_that_is_not_published_yet_are_no_difference_of_the_stores(world, streamed, monkeypatch):
    monkeypatch.setattr("include.workflows.pairs.online.declarations", lambda: world.declared)
    monkeypatch.setattr(online_pair, "PAUSE_S", 0.05)
    streamed.tick(at_(3, 23.75))
    world.run_day("station_level", 3)
    streamed.tick(at_(4, 5))
    assert level(world) == (4 * 10 + 4, 4)
    (found,) = online_pair.compare(at_(4, 5))
    assert found.state is PairState.AGREES, found.message
    # Without a stream nothing brings such rows: there they are found.
    world.declare_view(STATION_LEVEL, STATION_LEVEL_SQL, delay=DELAY)
    (found,) = online_pair.compare(at_(4, 5))
    assert found.state is PairState.DIFFERS


# --- killed, paused, twice -------------------------------------------------------------------------------------------

HELD = "ledger.stream.held"


class Killed(BaseException):
    """The process ends here."""


def die_at(monkeypatch: pytest.MonkeyPatch, point: str | None) -> None:
    """The stream's next passing of the point is its last; None: it lives."""

    def die(name: str) -> None:
        faults.crashpoint(name)
        if name == point:
            raise Killed

    for module in ("include.workflows.features.streaming", "include.adapters.ledger.streams"):
        monkeypatch.setattr(f"{module}.crashpoint", die)


def test_a_stream_passes_the_crash_points_that_the_list_of_the_sweeps_has(world, streamed, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("FAULT_TRACE", str(tmp_path / "trace"))
        faults.read_environment()
        streamed.tick(at_(3, 6))
    faults.read_environment()
    passed = (tmp_path / "trace").read_text(encoding="utf-8").split()
    assert {name for name in passed if "stream" in name} == PASSED["stream"]


@pytest.mark.parametrize("point", sorted(PASSED["stream"] - {HELD}))
def test_f174_a_tick_that_is_killed_anywhere_is_repeated_and_changes_nothing(world, streamed, monkeypatch, point):
    streamed.tick(at_(3, 6))
    die_at(monkeypatch, point)
    with pytest.raises(Killed):
        streamed.tick(at_(3, 6.5))
    die_at(monkeypatch, None)
    again = streamed.restarted()
    again.tick(at_(3, 6.5) + MINUTE)
    again.tick(at_(3, 7.5))
    assert level(world) == (3 * 10 + 7, 7)
    world.run_day("station_level", 3)
    found = verified(world, 3)
    assert (found.different, found.missing, found.extra) == (0, 2 * (24 - 5), 0)  # 03:00 to 07:00 are there


def test_f174_killed_right_after_it_took_the_stream_its_next_process_has_it(world, streamed, monkeypatch):
    die_at(monkeypatch, HELD)
    with pytest.raises(Killed):
        streamed.tick(at_(3, 6))
    die_at(monkeypatch, None)
    assert streamed.restarted().tick(at_(3, 6)).rows > 0
    assert level(world) == (3 * 10 + 5, 5)


def test_a_process_that_begins_after_an_outage_pushes_what_was_missed(world, streamed):
    streamed.tick(at_(3, 3))
    streamed.restarted().tick(at_(3, 5.75))
    world.run_day("station_level", 3)
    found = verified(world, 3)
    assert (found.different, found.missing) == (0, 2 * (24 - 6))  # 00:00 to 05:00 are there


def test_f174_a_second_process_stands_back_while_the_first_one_runs(world, streamed):
    streamed.tick(at_(3, 12))
    other = Streamed(world, streamed.ledger, "there:2")
    with pytest.raises(StreamHeld, match="The stream of station_level version 1 is run by here:1"):
        other.tick(at_(3, 13))


def test_f174_a_process_that_was_paused_finds_that_another_has_taken_over_and_pushes_nothing(
    world, streamed, monkeypatch
):
    streamed.tick(at_(3, 12))
    ten_minutes_on = datetime.now(UTC) + timedelta(minutes=10)
    monkeypatch.setattr("include.adapters.ledger.streams.clock", lambda: ten_minutes_on)
    other = Streamed(world, streamed.ledger, "there:2")
    other.tick(at_(3, 14))
    before = level(world)
    with pytest.raises(StreamHeld, match="there:2"):
        streamed.tick(at_(3, 13))
    assert level(world) == before == (3 * 10 + 13, 13)


def test_a_source_that_does_not_answer_leaves_the_rows_and_the_mark_as_they_are(world, streamed):
    streamed.tick(at_(3, 12))
    before = streamed.mark()
    away = (world.root / "source.db").rename(world.root / "gone.db")
    with pytest.raises(SourceUnreachable):
        streamed.tick(at_(3, 13))
    assert streamed.mark() == before
    away.rename(world.root / "source.db")
    streamed.tick(at_(3, 13))
    assert level(world) == (3 * 10 + 12, 12)


def test_rows_that_no_day_could_be_published_with_are_not_pushed(world, streamed):
    streamed.tick(at_(3, 12))
    world.insert(READINGS, [reading(12, float("inf"), at_(3, 12.5))])
    with pytest.raises(RowsRefused, match="1 infinite values in mean_level_3h"):
        streamed.tick(at_(3, 12) + 31 * MINUTE)
    assert level(world) == (3 * 10 + 11, 11)


# --- the window ------------------------------------------------------------------------------------------------------


def test_the_window_is_whole_steps_of_the_grid_from_lateness_ago_to_the_one_under_way(world):
    view = world.declared.view("station_level")
    assert window_of(view, at_(3, 12) + 20 * MINUTE) == Interval(at_(3, 12), at_(3, 13))
    assert window_of(view, at_(3, 12) + 14 * MINUTE) == Interval(at_(3, 11), at_(3, 13))
    assert window_of(view, at_(3, 12), at_(3, 9.5)) == Interval(at_(3, 9), at_(3, 13))
    trips = world.declared.view("trip_plan")
    assert window_of(trips, at_(3, 12) + 20 * MINUTE) == Interval(at_(3, 12), at_(4, 13))
