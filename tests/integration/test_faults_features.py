"""Faults of the source and of the feature store: each is named with view, day, column and count, or harmless."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feature_world import (
    READINGS,
    TRIP_PLAN,
    TRIP_PLAN_SQL,
    TRIPS,
    World,
    a_world,
    at,
    day,
    days,
    filled_world,
    naive,
    partition,
)
from invariants import check_invariants

from include.adapters import estimators
from include.adapters.ledger import Ledger, PartitionStatus
from include.adapters.offline_store import OfflineStore, PartitionDamaged, content_hash, with_day
from include.adapters.source import ColumnUnreadable
from include.adapters.sql_engine import SqlFailed
from include.config import BadDeclaration
from include.config.loader import read_declarations
from include.config.settings import PROJECT, settings
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.domain.verdicts import GateResult, Verdict
from include.workflows.features.staged import NotAudited, StagedFileDamaged
from include.workflows.features.view_rows import ViewRowsWrong

world = filled_world(1, 5)


def rows_of(world: World, view: str, number: int) -> pa.Table:
    return OfflineStore(settings().store).read(world.declared.view(view), day(number))


def judged(world: World, view: str, number: int = 2) -> GateResult:
    return world.audit(world.stage(view, day(number)))


def failed(result: GateResult) -> dict[str, str]:
    """The reason of each criterion that did not pass."""
    return {c.criterion: c.reason for c in result.criteria if c.verdict is not Verdict.PASS}


def plan(expression: str) -> str:
    """trip_plan's SQL with another expression for ``order``."""
    return TRIP_PLAN_SQL.replace('"order",', f'{expression} AS "order",')


# --- rows that come twice -------------------------------------------------------------------------------------------


def test_f006_a_row_delivered_twice_is_read_once_and_counted(world):
    clean = world.stage("station_level", day(2))
    twice = {"station": "north", "read_at": naive(at(2, 5)), "level": 25.0, "known_at": naive(at(2, 5.5))}
    world.insert(READINGS, [twice, twice])
    again = world.stage("station_level", day(2))
    assert (again.content, again.source) == (clean.content, clean.source)
    assert again.notes["repeated_source_rows"] == {"readings": 2}
    (warning,) = world.audit(again).notes["warnings"]
    assert warning == "station_level: 2 rows of the source's table readings were delivered twice and read once."


def test_f006_a_view_that_gives_a_row_twice_keeps_it_once_and_says_so(world):
    world.declare_view(TRIP_PLAN, f"{TRIP_PLAN_SQL} UNION ALL {TRIP_PLAN_SQL}")
    published = world.materialize("trip_plan", day(2))
    assert published.published == ["2024-03-02"]
    assert rows_of(world, "trip_plan", 2).num_rows == 6


def test_f007_conflicting_duplicates_fail_the_audit_and_nothing_of_them_is_published(world):
    other = plan('"order" + 1')
    sql = f"{TRIP_PLAN_SQL} UNION ALL {other}"
    world.materialize("trip_plan", day(2))
    before = content_hash(rows_of(world, "trip_plan", 2))
    world.declare_view(TRIP_PLAN, sql)
    staged = world.stage("trip_plan", day(2), "run-2")
    reason = failed(world.audit(staged))["duplicate_keys"]
    assert reason == (
        "trip_plan: 6 rows that repeat another's trip_id, event_time with other values: trip_id on 2024-03-02 (6); "
        "allowed <= 0."
    )
    with pytest.raises(NotAudited):
        world.publish(staged)
    assert content_hash(rows_of(world, "trip_plan", 2)) == before


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("date", "zone"), [("2026-03-29", "Europe/Berlin"), ("2026-10-25", "Europe/Berlin")])
def test_f012_each_utc_hour_of_a_day_the_clocks_change_is_there_once(tmp_path, monkeypatch, date, zone):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        world = a_world(tmp_path, monkeypatch)
        whole = Interval.of_day(date)
        hours = pd.date_range(whole.start, whole.end, freq="h", inclusive="left")
        world.insert(
            READINGS,
            [
                {"station": s, "read_at": h.tz_localize(None), "level": 1.0 + h.hour, "known_at": h.tz_localize(None)}
                for h in hours
                for s in ("north", "south")
            ],
        )
        world.materialize("station_level", whole)
        rows = OfflineStore(settings().store).read(world.declared.view("station_level"), whole).to_pandas()
        assert rows.groupby("station")["event_time"].apply(list).to_dict() == {
            s: list(hours) for s in ("north", "south")
        }
        check_invariants(world)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_f013_a_time_with_a_zone_among_times_without_is_the_moment_it_says(world):
    world.run("UPDATE trips SET known_at = '2024-03-01 05:00:00+02:00' WHERE trip_id = '02-3'")
    world.materialize("trip_plan", day(2))
    rows = {row["trip_id"]: row["available_time"] for row in rows_of(world, "trip_plan", 2).to_pylist()}
    assert rows["02-3"] == at(1, 3)


def test_f013_a_time_that_is_none_is_refused_with_column_row_and_the_way_out(world):
    world.run("UPDATE trips SET known_at = 'soon' WHERE trip_id = '02-3'")
    with pytest.raises(ColumnUnreadable) as refused:
        world.stage("trip_plan", day(2))
    line = str(refused.value)
    assert "Feature view 'trip_plan' [2024-03-02" in line
    assert "trips.known_at cannot be read: it must be a timestamp" in line
    assert "the first 'soon' in the row of 2024-03-02 11:30:00" in line
    assert "Make a database view" in line
    assert "\n" not in line


def test_f013_a_view_that_gives_a_time_without_zone_is_refused(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("starts_at AS", "starts_at::TIMESTAMP AS"))
    with pytest.raises(ViewRowsWrong, match=r"event_time is timestamp.*must be a TIMESTAMPTZ"):
        world.stage("trip_plan", day(2))


def test_f014_nanoseconds_are_refused_and_no_time_is_shifted(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("starts_at AS", "starts_at::TIMESTAMP_NS AS"))
    with pytest.raises(ViewRowsWrong, match=r"event_time is timestamp\[ns\]; it must be a TIMESTAMPTZ"):
        world.stage("trip_plan", day(2))
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL)
    world.materialize("trip_plan", day(2))
    assert rows_of(world, "trip_plan", 2).column("event_time").to_pylist()[0] == at(2, 1)


def test_a_row_dated_into_the_future_fails_with_its_day(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("starts_at AS", "starts_at + INTERVAL 30 DAY AS"))
    reason = failed(judged(world, "trip_plan"))["event_times_outside"]
    assert "trip_plan: 6 rows with an event time outside" in reason
    assert "event_time on 2024-04-01 (6)" in reason


def test_a_row_that_claims_to_be_known_in_the_future_fails_and_one_that_is_late_does_not(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("known_at AS", "known_at + INTERVAL 70 YEAR AS"))
    reason = failed(judged(world, "trip_plan"))["available_in_the_future"]
    assert "trip_plan: 6 rows available only in the future" in reason
    assert "available_time on 2024-03-02 (6)" in reason


# --- columns --------------------------------------------------------------------------------------------------------


def test_f015_a_removed_or_renamed_source_column_fails_with_what_is_left(world):
    world.run('ALTER TABLE trips RENAME COLUMN "order" TO rank')
    with pytest.raises(SqlFailed, match=r'"order" not found.*trips has: trip_id, starts_at, station, rank, known_at'):
        world.stage("trip_plan", day(2))


def test_f015_an_added_source_column_and_another_order_change_nothing(world):
    clean = world.stage("trip_plan", day(2))
    world.run("ALTER TABLE trips ADD COLUMN gate TEXT")
    assert world.stage("trip_plan", day(2)).content == clean.content
    reordered = 'SELECT known_at AS available_time, trip_id, starts_at AS event_time, station, "order" FROM trips, '
    world.declare_view(TRIP_PLAN, reordered + 'interval_ WHERE starts_at >= start AND starts_at < "end"')
    assert world.stage("trip_plan", day(2)).content == clean.content


def test_f015_an_added_source_column_is_warned_about_until_a_publish_has_seen_it(world):
    world.run_day("trip_plan", 2)
    world.run("ALTER TABLE trips ADD COLUMN gate TEXT")
    for attempt in ("first try", "retry"):
        staged = world.stage("trip_plan", day(3), attempt)
        (warning,) = world.audit(staged).notes["warnings"]
        assert warning == (
            "trip_plan: the source's table trips has columns it did not have before: gate. They are ignored until "
            "features.sql reads them."
        )
    assert world.publish(staged).changed == ["2024-03-03"]
    assert world.audit(world.stage("trip_plan", day(4))).notes["warnings"] == []


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ('"order"::VARCHAR', "column 'order' is text in 6 values (the first on 2024-03-02: '0.0')"),
        ("DATE '2024-03-01'", "column 'order' is date32[day] and cannot be numeric"),
        ('["order"]', "column 'order' is list<"),
    ],
)
def test_f016_a_column_that_changed_its_type_is_named_with_day_and_count(world, expression, line):
    world.declare_view(TRIP_PLAN, plan(expression))
    with pytest.raises(ViewRowsWrong) as refused:
        world.stage("trip_plan", day(2))
    assert line in str(refused.value)
    assert "features/trip_plan/features.sql" in str(refused.value)


def test_f016_a_category_that_became_a_fraction_is_refused(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace("station,", "1.5::DOUBLE AS station,"))
    with pytest.raises(ViewRowsWrong, match=r"'station' is double in 6 values .* declared categorical"):
        world.stage("trip_plan", day(2))


def test_f016_a_text_in_a_numeric_source_column_is_counted_and_dated(world):
    world.run("UPDATE trips SET \"order\" = 'high' WHERE trip_id IN ('02-3', '02-4')")
    with pytest.raises(ColumnUnreadable) as refused:
        world.stage("trip_plan", day(2))
    line = str(refused.value)
    assert line.startswith("Feature view 'trip_plan' [2024-03-02T00:00:00+00:00, 2024-03-03T00:00:00+00:00): ")
    assert "trips.order" in line


def test_f017_an_all_null_column_fails_where_bounded_and_is_named_where_not(world):
    world.change(READINGS, READINGS.c.read_at >= naive(at(2)), level=None)
    reason = failed(judged(world, "station_level"))["null_share.level"]
    assert reason == "station_level: 1 missing share of level on 2024-03-02; allowed <= 0.5."
    world.change(TRIPS, TRIPS.c.starts_at >= naive(at(2)), order=None)
    result = judged(world, "trip_plan")
    assert result.verdict is Verdict.PASS
    assert result.notes["warnings"] == ["trip_plan: order has no value in all 6 rows."]


def test_f018_nan_is_missing_and_counted_infinity_is_refused_and_the_rest_is_kept(world):
    world.declare_view(
        TRIP_PLAN,
        plan("CASE trip_id WHEN '02-1' THEN 'nan'::DOUBLE WHEN '02-2' THEN -0.0 WHEN '02-3' THEN 1e308 ELSE 1 END"),
    )
    staged = world.stage("trip_plan", day(2))
    assert staged.notes["nan"] == {"order": 1}
    assert world.audit(staged).notes["warnings"] == ["trip_plan: 1 NaN in order became missing values."]
    world.publish(staged)
    assert rows_of(world, "trip_plan", 2).column("order").to_pylist() == [1.0, None, 0.0, 1e308, 1.0, 1.0]
    world.declare_view(TRIP_PLAN, plan("CASE WHEN trip_id < '02-2' THEN 'inf'::DOUBLE ELSE '-inf'::DOUBLE END"))
    reason = failed(judged(world, "trip_plan", 3))["infinite_values"]
    assert reason == "trip_plan: 6 infinite values in order: order on 2024-03-03 (6); allowed <= 0."


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        (
            f"CASE WHEN trip_id = '02-3' THEN {2**53 + 1} ELSE 1 END",
            "1 value (the first on 2024-03-02: '9007199254740993')",
        ),
        (f"CASE WHEN trip_id < '02-2' THEN -{2**62} ELSE 1 END", "2 values"),
        (f"{2**63}::UBIGINT", "6 values"),
        (f"{2**70}::HUGEINT", "6 values"),
    ],
)
def test_f019_an_integer_no_double_holds_exactly_is_refused_with_day_and_count(world, expression, shown):
    world.declare_view(TRIP_PLAN, plan(expression))
    with pytest.raises(ViewRowsWrong) as refused:
        world.stage("trip_plan", day(2))
    assert shown in str(refused.value)
    assert "past 2^53" in str(refused.value)


def test_f019_the_largest_exact_integer_is_kept(world):
    world.declare_view(TRIP_PLAN, plan(f"{2**53}"))
    world.materialize("trip_plan", day(2))
    assert set(rows_of(world, "trip_plan", 2).column("order").to_pylist()) == {float(2**53)}


@pytest.mark.parametrize(
    "text", ["🛫 emoji", "שלום مرحبا", "a\x00b", "x" * 1_000_000, "'; DROP TABLE trips; --"], ids=range(5)
)
def test_f020_any_text_a_source_can_hold_comes_back_as_it_was(world, text):
    quality = {
        **TRIP_PLAN["quality"],
        "expectations": [{"expectation": "expect_column_to_exist", "kwargs": {"column": "station"}}],
    }
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, quality=quality)
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", station=text)
    world.materialize("trip_plan", day(2))
    assert rows_of(world, "trip_plan", 2).column("station").to_pylist()[3] == text


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("EDA080", r"\xed\xa0\x80"), ("61FF", r"a\xff")],
    ids=["a lone surrogate", "bytes that are no text"],
)
def test_f020_a_text_that_is_none_is_refused_at_once_with_its_table_and_column(world, stored, shown):
    if not world.source_url.startswith("sqlite"):
        pytest.skip("Postgres refuses such a text itself")
    world.run(f"UPDATE trips SET station = CAST(X'{stored}' AS TEXT) WHERE trip_id = '02-3'")
    with pytest.raises(ColumnUnreadable) as refused:
        world.stage("trip_plan", day(2))
    line = str(refused.value)
    assert line.startswith("Feature view 'trip_plan' [2024-03-02")
    assert "trips.station cannot be read: a value is no UTF-8 text: " in line
    assert "\n" not in line
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", station="süd")
    assert world.run_day("trip_plan", 2).published == ["2024-03-02"]


@pytest.mark.parametrize("name", ["", "a b", "🛫", "x'; DROP TABLE trips; --", "1st"])
def test_f021_a_column_name_that_is_none_is_refused_in_the_declaration(world, name):
    columns = [{"name": "station", "kind": "categorical"}, {"name": name}]
    world.declare_view({**TRIP_PLAN, "name": "odd"}, TRIP_PLAN_SQL, columns=columns)
    (problem,) = next(iter(read_declarations(world.root / "declared").broken.values())).problems
    assert "columns.1.name" in problem


def test_f021_a_column_given_twice_is_refused(world):
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL.replace('"order",', '"order", "order",'))
    with pytest.raises(Refusal, match="trip_plan"):
        world.stage("trip_plan", day(2))
    columns = [{"name": "station", "kind": "categorical"}, {"name": "station"}]
    world.declare_view({**TRIP_PLAN, "name": "odd"}, TRIP_PLAN_SQL, columns=columns)
    assert any(isinstance(e, BadDeclaration) for e in read_declarations(world.root / "declared").broken.values())


def test_f022_a_column_of_a_million_categories_is_warned_about_and_its_encoding_is_bounded():
    from include.config.types import FeatureView
    from include.workflows.features.audit import column_warnings

    count = 200_000
    view = FeatureView.model_validate({**TRIP_PLAN, "columns": [{"name": "tail", "kind": "categorical"}]})
    tails = [f"N{k}" for k in range(count)]
    (warning,) = column_warnings(view, pa.table({"tail": tails}))
    assert "tail has 200,000 different values; an encoder keeps the 1,000 most frequent" in warning
    frame = pd.DataFrame({"tail": [*tails[: count // 2], *["N1"] * 9]}, dtype=object)
    for encode in ("one_hot", "ordinal"):
        spec = estimators.EstimatorSpec(
            "sklearn.linear_model.LogisticRegression", {}, encode, False, {"tail": "categorical"}, 0
        )
        encoder = estimators.build(spec)[:-1]
        encoded = encoder.fit_transform(frame.head(3_000))
        assert encoded.shape[1] <= estimators.MAX_CATEGORIES
        assert len(np.unique(encoded, axis=0)) <= estimators.MAX_CATEGORIES


def test_f022_a_column_that_never_varies_is_warned_about_and_published():
    from include.config.types import FeatureView
    from include.workflows.features.audit import column_warnings

    view = FeatureView.model_validate(TRIP_PLAN)
    rows = pa.table({"station": ["north"] * 100, "order": [1.5] * 99 + [None]})
    assert column_warnings(view, rows) == ["trip_plan: station is 'north' in all 100 rows."]
    assert column_warnings(view, rows.slice(0, 99)) == []


@pytest.mark.parametrize("encode", ["one_hot", "ordinal"])
def test_f023_a_category_never_seen_before_gets_an_answer(encode):
    frame = pd.DataFrame({"station": ["north", "south"] * 20, "order": np.arange(40.0)})
    kinds = {"station": "categorical", "order": "numeric"}
    spec = estimators.EstimatorSpec("sklearn.linear_model.LogisticRegression", {}, encode, False, kinds, 0)
    fitted = estimators.fit(estimators.build(spec), estimators.as_input(frame, kinds), np.arange(40) % 2)
    strange = pd.DataFrame({"station": ["atlantis", None], "order": [3.0, 4.0]})
    answers = estimators.predict(fitted, estimators.as_input(strange, kinds), classes=2)
    assert np.isfinite(answers).all()


def test_f024_a_unit_changed_by_a_thousand_is_stopped_by_the_range(world):
    world.materialize("station_level", day(2))
    world.run("UPDATE readings SET level = level * 1000 WHERE read_at >= '2024-03-03'")
    reasons = failed(judged(world, "station_level", 3))
    assert "48 of 48 values" in reasons["expect_column_values_to_be_between(level)"]
    with pytest.raises(NotAudited):
        world.publish(world.stage("station_level", day(3), "run-2"))
    assert partition("station_level", 3) is None


def test_f024_where_no_range_is_declared_drift_calls_a_person_and_retrains_nothing():
    from include.domain.decision import Action, decide
    from include.domain.drift.input_drift import input_drift
    from include.domain.drift.prediction_drift import prediction_drift
    from include.domain.drift.profile import FeatureKind, count_window
    from include.domain.drift.reference import build_profile
    from include.domain.drift.report import DriftMeasurements, Flags, ScoredDay, drift_report
    from include.domain.history import History, situation_of
    from include.domain.performance import DayLoss, realised_performance
    from include.domain.risk_bounds import Band
    from include.domain.situation import Policy

    rng = np.random.default_rng(24)
    frame = pd.DataFrame({"level": rng.gamma(2, 50, 4000), "station": rng.choice(["north", "south"], 4000)})
    reference = build_profile(frame, {"level": FeatureKind.NUMERIC, "station": FeatureKind.CATEGORICAL})
    window = count_window(reference, frame.assign(level=frame["level"] * 1000), np.full(len(frame), 0.5))
    inputs = input_drift(reference, window, importances={"level": 0.5, "station": 0.5})
    assert [f.name for f in inputs.features if f.drifted] == ["level"]
    losses = [DayLoss(f"2024-03-{n:02d}", 900, 126.0, 40.0) for n in range(1, 22)]
    realised = realised_performance(losses[:14], losses[14:], band=Band(metric="brier", tolerance=0.01))
    measured = DriftMeasurements(inputs, prediction_drift(reference, window), realised)
    report = drift_report(ScoredDay("m", "m-1", "2024-03-21"), reference, window, measured)
    # The unit changed on the 19th: the loss and the range have been out on the same days.
    out = tuple(Flags(f"2024-03-{n}", realised=True, outside=True) for n in (19, 20, 21))
    decision = decide(situation_of(report, out, Policy(), History(), at(22)))
    assert (decision.action, decision.rule) == (Action.ESCALATE, 2)


def test_f035_one_value_that_takes_too_much_of_a_day_is_stopped_and_named(world):
    quality = {**TRIP_PLAN["quality"], "max_value_share": {"station": 0.6}}
    world.declare_view(TRIP_PLAN, TRIP_PLAN_SQL, quality=quality)
    assert judged(world, "trip_plan").verdict is Verdict.PASS
    flood = [
        {"trip_id": f"02-x{k}", "starts_at": naive(at(2, k)), "station": "süd", "order": 0.0, "known_at": naive(at(1))}
        for k in range(10)
    ]
    world.insert(TRIPS, flood)
    reason = failed(judged(world, "trip_plan"))["value_share.station"]
    assert reason == "trip_plan: 0.625 of the rows on 2024-03-02 have station 'süd'; allowed <= 0.6."


def test_f035_a_bound_on_a_column_that_is_none_is_refused_in_the_declaration(world):
    quality = {**TRIP_PLAN["quality"], "max_value_share": {"supplier": 0.6}}
    world.declare_view({**TRIP_PLAN, "name": "odd"}, TRIP_PLAN_SQL, quality=quality)
    (problem,) = next(iter(read_declarations(world.root / "declared").broken.values())).problems
    assert "max_value_share bounds 'supplier', which is no column" in problem


# --- files ----------------------------------------------------------------------------------------------------------


def data_files(world: World, view: str, number: int) -> list[Path]:
    folder = Path(OfflineStore(settings().store).view_path(world.declared.view(view)))
    return sorted(folder.glob(f"day={at(number):%Y-%m-%d}/*.parquet"))


@pytest.mark.parametrize("how", ["truncated", "empty", "gone"])
def test_f025_a_damaged_file_is_never_read_in_part_and_is_replaced_by_the_next_run(world, how):
    world.materialize("station_level", days(2, 4))
    before = content_hash(rows_of(world, "station_level", 2))
    (file,) = data_files(world, "station_level", 2)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if how == "truncated" else b"")
    if how == "gone":
        file.unlink()
    with pytest.raises(PartitionDamaged, match="Materialize those days again"):
        rows_of(world, "station_level", 2)
    assert rows_of(world, "station_level", 3).num_rows == 48
    assert world.materialize("station_level", day(2), "run-2").changed == ["2024-03-02"]
    assert content_hash(rows_of(world, "station_level", 2)) == before


def test_f025_rows_that_are_not_the_published_ones_are_found_by_their_hash(world, monkeypatch):
    from include.config import loader
    from include.workflows.explain import catalogue

    monkeypatch.setattr(loader, "ROOT", world.root / "declared")
    loader.declarations.cache_clear()
    world.materialize("station_level", days(2, 4))
    # Somebody wrote to the table past the ledger.
    fewer = with_day(rows_of(world, "station_level", 2).slice(1))
    OfflineStore(settings().store).replace_partitions(world.declared.view("station_level"), day(2), fewer)
    try:
        found = catalogue.stale("station_level", None, None, at(9), deep=True)
    finally:
        loader.declarations.cache_clear()
    assert [each.day for each in found] == ["2024-03-02"]
    assert "the table does not hold the rows that were published" in found[0].reason
    world.materialize("station_level", day(2), "run-2")


def test_f025_a_staged_file_without_a_byte_is_noticed(world):
    staged = world.stage("trip_plan", day(2))
    Path(staged.path).write_bytes(b"")
    with pytest.raises(StagedFileDamaged, match="Clear the materialize task"):
        world.audit(staged)


RUN_AGAIN = "world.materialize('trip_plan', day(2), 'run-2')"


def run_alone(world: World, code: str, **env: str) -> subprocess.CompletedProcess:
    """The code in a process of its own, which sees the world as this one does."""
    start = (
        f"import sys; sys.path.insert(0, {str(PROJECT / 'tests' / 'support')!r})\n"
        "from pathlib import Path\nfrom feature_world import *\nfrom include.workflows.features import staging\n"
        f"world = World(Path({str(world.root)!r}))\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + code],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **env},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_f026_a_kill_between_write_and_rename_leaves_the_old_partition_and_the_retry_sweeps(world):
    world.materialize("trip_plan", day(2))
    before = content_hash(rows_of(world, "trip_plan", 2))
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", order=7.0)
    died = run_alone(
        world, "world.materialize('trip_plan', day(2), 'run-2')", FAULT_CRASH="features.materialize.written"
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    folder = settings().artifacts / "staging"
    assert len(list(folder.rglob("*.tmp"))) == 1
    assert content_hash(rows_of(world, "trip_plan", 2)) == before
    assert world.materialize("trip_plan", day(2), "run-2").changed == ["2024-03-02"]
    assert list(folder.rglob("*.tmp")) == []


def test_f026_a_writer_that_still_runs_is_not_swept_away(tmp_path):
    from include.adapters.files import whole

    with whole(tmp_path / "a.parquet") as first:
        first.write_text("first")
        with whole(tmp_path / "a.parquet") as second:
            second.write_text("second")
        assert first.exists()
    assert (tmp_path / "a.parquet").read_text() == "first"


@pytest.mark.parametrize(
    "crash",
    [
        "features.publish.committed",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (
                "ledger.partition.current",
                "features.publish.recorded",
                "online.push.written",
                "features.publish.pushed",
                "features.publish.forgotten",
            )
        ),
    ],
)
def test_f027_a_kill_between_the_commit_and_the_ledger_is_mended_by_the_retry(world, crash):
    world.materialize("trip_plan", day(2))
    world.change(TRIPS, TRIPS.c.trip_id == "02-3", order=7.0)
    world.remove(TRIPS, TRIPS.c.trip_id == "02-5")  # so that it must leave the online store too
    died = run_alone(world, RUN_AGAIN, FAULT_CRASH=crash)
    assert died.returncode == -signal.SIGKILL, died.stderr
    world.materialize("trip_plan", day(2), "run-2")
    known = partition("trip_plan", 2)
    held = OfflineStore(settings().store).stored_hash(world.declared.view("trip_plan"), "2024-03-02")
    assert (known.status, known.content_hash) == (PartitionStatus.PUBLISHED, held)
    with Ledger.open(settings().ledger_url) as ledger:
        assert len(ledger.partitions.history("trip_plan", 1, "2024-03-02")) == 2


def test_f028_a_full_disk_keeps_the_old_partition_says_so_and_the_retry_succeeds(world):
    world.materialize("station_level", day(2))
    before = content_hash(rows_of(world, "station_level", 2))
    world.change(READINGS, READINGS.c.level == 30.0, level=31.5)
    code = (
        "import resource\nfrom include.adapters.ledger import Ledger\nfrom include.config.settings import settings\n"
        "staged = world.stage('station_level', day(2), 'run-2'); world.audit(staged)\n"
        "with Ledger.open(settings().ledger_url) as ledger:\n"
        "    ledger.partitions.newest_as_of('station_level', 1)\n"
        f"    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "    try:\n        staging.publish(staged, ledger.partitions, declared=world.declared)\n"
        "    except Exception as error:\n        print(type(error).__name__, error)\n"
        "    else:\n        print('published')\n"
    )
    said = run_alone(world, code)
    assert said.returncode == 0, said.stderr
    assert "File too large" in said.stdout
    assert content_hash(rows_of(world, "station_level", 2)) == before
    assert world.materialize("station_level", day(2), "run-2").changed == ["2024-03-02"]


def test_f029_a_reader_during_rewrites_sees_the_whole_old_or_the_whole_new_day(world):
    world.materialize("station_level", day(2))
    known, seen, errors = {content_hash(rows_of(world, "station_level", 2))}, set(), list[BaseException]()
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                seen.add(content_hash(rows_of(world, "station_level", 2)))
        except BaseException as error:  # noqa: BLE001 - the test reports whatever the reader met
            errors.append(error)

    staged = []
    for n in range(6):
        world.change(
            READINGS, (READINGS.c.read_at == naive(at(2, 5))) & (READINGS.c.station == "north"), level=100.0 + n
        )
        staged.append(world.stage("station_level", day(2), f"run-{n}"))
        world.audit(staged[-1])
    reader = threading.Thread(target=read)
    reader.start()
    for each in staged:
        world.publish(each)
        known.add(content_hash(rows_of(world, "station_level", 2)))
    done.set()
    reader.join()
    assert errors == []
    assert seen <= known
    assert len(seen) > 1


def test_an_interval_without_rows_in_the_middle_of_a_range_is_empty_and_named(world):
    world.remove(READINGS, READINGS.c.read_at >= naive(at(2)), READINGS.c.read_at < naive(at(3)))
    world.materialize("station_level", days(1, 4))
    assert partition("station_level", 2).status is PartitionStatus.EMPTY
    assert partition("station_level", 2).source_hash is not None


def test_the_same_rows_in_another_order_of_the_source_give_the_same_bytes(world):
    first = world.stage("station_level", day(2))
    world.run("CREATE TABLE turned AS SELECT * FROM readings ORDER BY level DESC")
    world.run("DELETE FROM readings")
    world.run("INSERT INTO readings SELECT * FROM turned")
    world.run("DROP TABLE turned")
    again = world.stage("station_level", day(2), "run-2")
    assert (again.content, again.source) == (first.content, first.source)
    assert Path(again.path).read_bytes() == Path(first.path).read_bytes()
