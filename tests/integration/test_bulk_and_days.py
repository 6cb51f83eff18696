"""A view's SQL that is right for a day and wrong for a range is noticed before the range is published."""

from __future__ import annotations

from pathlib import Path

import pytest
from feature_world import STATION_LEVEL, STATION_LEVEL_SQL, World, a_world, at, days, partition

from include.adapters.ledger import Ledger
from include.config.settings import settings
from include.domain.verdicts import Verdict
from include.workflows.features import audit, staging
from include.workflows.features.range_check import RangeDiffers
from include.workflows.features.staged import NotAudited

pytestmark = pytest.mark.light

EXISTS = {"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}
QUALITY = {"min_rows": 2, "expectations": [EXISTS]}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = a_world(tmp_path, monkeypatch)
    made.fill(1, 12)
    return made


def declare(world: World, sql: str, **changes: object) -> None:
    world.declare_view(STATION_LEVEL, sql, **changes)


PER_DAY = """
SELECT station, sum(level) AS level, count(*) AS mean_level_3h, {time} AS event_time, {time} AS available_time
FROM readings, interval_ WHERE read_at >= start AND read_at < "end" GROUP BY ALL
"""
BOUNDLESS = """
SELECT station, level, avg(level) OVER (PARTITION BY station ORDER BY read_at) AS mean_level_3h,
       read_at AS event_time, known_at AS available_time
FROM readings, interval_ WHERE {where}
"""


def test_f204_the_start_of_the_run_as_each_rows_time_is_refused_before_a_bulk_is_published(world):
    declare(
        world,
        PER_DAY.format(time="interval_.start"),
        quality={
            **STATION_LEVEL["quality"],
            "expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}],
        },
    )
    world.run_day("station_level", 2)
    assert partition("station_level", 2).rows == 2, "alone, a day is right"
    told = (
        r"gives 2024-03-03 other rows within .* than alone: level of north at 2024-03-03 .* the range, .* alone\. "
        r"Every row of the range has the event_time 2024-03-03 .*interval_\.\"start\".* fix features"
    )
    with pytest.raises(RangeDiffers, match=told):
        world.run_days("station_level", 3, 10)
    assert partition("station_level", 3) is None


def test_f204_a_day_whose_rows_are_missing_from_the_range_is_named_with_both_counts(world):
    declare(world, STATION_LEVEL_SQL.replace('< "end"', "< start + INTERVAL 1 DAY"))
    with pytest.raises(RangeDiffers, match=r"gives 2024-03-04 other rows .*: 0 rows within the range, 48 rows alone"):
        world.run_days("station_level", 2, 6)


def test_f204_a_window_over_more_than_the_declared_look_back_is_named_with_a_value(world):
    declare(world, BOUNDLESS.format(where='read_at >= start AND read_at < "end"'))
    with pytest.raises(RangeDiffers, match=r"mean_level_3h of north at .* is .* within the range, .* alone\. Likely"):
        world.run_days("station_level", 2, 6)


def test_a_view_that_gives_each_day_the_same_either_way_is_published(world):
    declare(
        world,
        PER_DAY.format(time="date_trunc('day', read_at)"),
        quality={
            **STATION_LEVEL["quality"],
            "expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "level"}}],
        },
    )
    world.run_days("station_level", 2, 10)
    assert partition("station_level", 9).rows == 2
    declare(world, STATION_LEVEL_SQL, version=2)
    assert len(world.run_days("station_level", 2, 10).published) == 8


def test_a_single_day_is_not_computed_twice(world, monkeypatch):
    runs = []
    real = staging.computed
    monkeypatch.setattr(staging, "computed", lambda *each: runs.append(each[1]) or real(*each))
    declare(world, STATION_LEVEL_SQL)
    declared = world.declared
    with Ledger.open(settings().ledger_url) as ledger:
        staging.stage("station_level", days(4, 5), "one", ledger.partitions, declared=declared)
        assert len(runs) == 1
        staging.stage("station_level", days(4, 9), "more", ledger.partitions, look_again=False, declared=world.declared)
    assert [str(each) for each in runs[2:]] == [str(days(n, n + 1)) for n in (4, 6, 8)]


def test_f204_one_day_with_rows_of_many_is_a_question(world):
    sql = STATION_LEVEL_SQL.replace('< "end"', "< \"end\" AND reading.read_at::DATE = DATE '2024-03-05'")
    declare(world, sql)
    with Ledger.open(settings().ledger_url) as ledger:
        staged = staging.stage(
            "station_level", days(2, 10), "bulk", ledger.partitions, look_again=False, declared=world.declared
        )
    result = world.audit(staged)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "1 of 8 days has rows, 2024-03-05, and the source has rows on 8" in result.reason
    with pytest.raises(NotAudited, match="1 of 8 days"):
        world.publish(staged)
    assert world.publish(staged, accepted_by="me").published == ["2024-03-05"]


@pytest.mark.parametrize(
    ("rows", "source"),
    [
        pytest.param([3, 0, 0], [3, 3, 3], id="a short range"),
        pytest.param([3, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0], id="a source that has no more"),
        pytest.param([3, 0, 0, 0, 0, 0, 0, 1], [3] * 8, id="two days"),
    ],
)
def test_few_days_with_rows_are_no_question_where_that_is_no_wonder(world, rows, source):
    names = [at(n + 1).date().isoformat() for n in range(len(rows))]
    view = world.declared.view("station_level")
    assert (
        audit.days_without_rows(view, dict(zip(names, rows, strict=True)), dict(zip(names, source, strict=True))) == []
    )
