"""Online rows are compared with the row of the store that they were answered from, and their ages are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from journal_day import asked_of, changed, go_online, write
from journey_world import NOW, at, key
from light_world import LightWorld
from memory_ledger import MemoryLedger  # noqa: F401

from include.config import declarations
from include.domain.consistency import ConsistencyReport, ViewAges
from include.domain.intervals import Interval
from include.domain.journal.records import AnswerRecord, ViewServed
from include.workflows import stores, tasks
from include.workflows.explain import consistency

DAY = Interval.of_day("2024-03-17")
HOUR = timedelta(hours=1)
LEVELS = ("level", "mean_level_3h")


def readings() -> dict[tuple[str, object], dict]:
    """The published rows of the stations, by station and hour."""
    view = declarations().view("station_level")
    rows = stores.offline_store().read(view, Interval(at(15), at(18))).to_pylist()
    return {(row["station"], row["event_time"]): row for row in rows}


def looked_up(records: list[AnswerRecord], *, behind: timedelta = timedelta(0)) -> list[AnswerRecord]:
    """The records as a service answers them that has each reading as soon as training has it, or so much later."""
    there, found = readings(), []
    for each in records:
        station, until = each.features["station"], each.prediction_time
        newest = max(
            row["event_time"] for (name, _), row in there.items() if name == station and row["available_time"] <= until
        )
        row = there[station, newest - behind]
        age = (until - row["event_time"]).total_seconds()
        views = {
            "trip_plan": ViewServed(1, each.event_time, -1.0),
            "station_level": ViewServed(1, row["event_time"], age),
        }
        features = {**each.features, **{name: row[name] for name in LEVELS if name in each.features}}
        found.append(changed(each, views=views, features=features))
    return found


def asked(world: LightWorld) -> list[AnswerRecord]:
    """Each row of the 17th, asked once online at its time."""
    with stores.open_ledger() as ledger:
        head = ledger.deployments.champion(world.model)
        assert head is not None
    records = asked_of(world, 17, head.to_candidate)
    go_online(world)
    return records


def checked(world: LightWorld, records: list[AnswerRecord]) -> ConsistencyReport:
    write(records)
    tasks.collect(world.model, key(17), "collect", NOW)
    return consistency.check(world.model, DAY)


def level(report: ConsistencyReport) -> ViewAges:
    return next(each for each in report.ages if each.view == "station_level")


@pytest.mark.moment("the 17th published")
class TestRowsThatWereAskedOnline:
    def test_are_consistent_where_each_value_is_that_of_its_row(self, world):
        report = checked(world, looked_up(asked(world)))
        assert (report.is_consistent, report.requests, report.online, report.unknown) == (True, 120, 120, 0)
        assert {f.rows for f in report.features} == {120}
        ages = level(report)
        assert (ages.rows, ages.older, ages.newer, ages.missing) == (120, 0, 0, ())
        assert ages.oldest_s is not None
        assert 1800 <= ages.oldest_s < 5400

    def test_from_an_older_row_are_compared_with_that_row_and_its_age_is_told(self, world):
        report = checked(world, looked_up(asked(world), behind=2 * HOUR))
        assert report.is_consistent
        ages = level(report)
        assert (ages.older, ages.behind_s, ages.newer) == (120, 7200.0, 0)
        [line] = [each for each in consistency.report_lines(report) if "from an older row" in each]
        assert "120 from an older row than training reads, by up to 7,200 s." in line

    def test_are_skewed_where_a_value_is_not_that_of_its_row(self, world):
        records = looked_up(asked(world))
        wrong = {**records[5].features, "level": 999.0}
        report = checked(world, [*records[:5], changed(records[5], features=wrong), *records[6:]])
        assert not report.is_consistent
        [skewed] = report.skewed
        assert (skewed.feature, skewed.mismatches, skewed.missing, skewed.extra) == ("level", 1, 0, 0)
        assert [e.request_id for e in skewed.examples] == ["q0005"]

    def test_without_a_value_that_training_has_are_skewed_and_the_reason_is_told(self, world):
        records = looked_up(asked(world))
        gone = {"station_level": ViewServed(1, missing="unreachable")}
        without = changed(records[5], features={**records[5].features, "level": None, "mean_level_3h": None})
        lost = changed(without, views={**without.views, **gone})
        report = checked(world, [*records[:5], lost, *records[6:]])
        assert not report.is_consistent
        assert {(f.missing, f.cause) for f in report.skewed} == {(1, "its row was unreachable when it was asked for")}
        assert level(report).missing == (("unreachable", 1),)

    def test_with_values_of_the_caller_are_not_compared_in_these(self, world):
        records = looked_up(asked(world))
        own = {**records[0].features, "level": -1.0}
        all_own = changed(records[1], given="all", views={}, features=own)
        report = checked(world, [changed(records[0], given=["level"], features=own), all_own, *records[2:]])
        assert report.is_consistent
        assert (report.requests, report.given) == (119, 1)
        assert {f.feature: f.rows for f in report.features}["level"] == 118
