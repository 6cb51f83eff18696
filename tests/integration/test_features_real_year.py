"""The real year: loaded once, materialized in bulk and by the day, and joined; against counts and slow references."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from include.adapters import estimators
from include.adapters.ledger import Ledger
from include.adapters.nycflights import load_flights
from include.adapters.offline_store import OfflineStore, content_hash
from include.config import declarations
from include.config.settings import settings
from include.domain.drift.blind_spots import blind_to
from include.domain.drift.feature_histograms import infinite_share
from include.domain.drift.profile import FeatureKind, count_window
from include.domain.drift.reference import build_profile
from include.domain.intervals import Interval
from include.domain.verdicts import Mode, Verdict
from include.workflows.features import freshness, staging
from include.workflows.features.streaming import ViewStream
from include.workflows.scoring import fitted_models, point_in_time_rows, training_sets

ROWS = {"flights": 336776, "departures": 328521, "arrivals": 327346, "weather": 26115, "planes": 3322}
SPRING = Interval.between("2013-03-01", "2013-03-21")
VIEWS = sorted(declarations().views)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a loaded source system."""
    file = tmp_path_factory.mktemp("year") / "source.db"
    assert load_flights(f"sqlite:///{file}") == ROWS
    return file


@pytest.fixture(scope="module")
def spring(year: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose stores hold three weeks around the change to summer time of every view, published in bulk."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SLIPWAY_LEDGER_URL", "SLIPWAY_ONLINE_URL", "SLIPWAY_STORE"):
            patch.delenv(name, raising=False)
        patch.setenv("SLIPWAY_HOME", str(home))
        patch.setenv("SLIPWAY_SOURCE_URL", f"sqlite:///{year}")
        for view in VIEWS:
            publish(view, SPRING)
        yield home


def publish(view: str, interval: Interval) -> staging.Published:
    with Ledger.open(settings().ledger_url) as ledger:
        staged = staging.stage(view, interval, "run", ledger.partitions)
        result = staging.audit(staged)
        assert result.verdict is Verdict.PASS or result.mode is Mode.ADVISORY, result.reason
        return staging.publish(staged, ledger.partitions)


def query(year: Path, statement: str, *arguments: object) -> list[tuple]:
    with closing(sqlite3.connect(year)) as connection:
        return connection.execute(statement, arguments).fetchall()


def test_loading_again_changes_nothing_and_says_the_same(year):
    before = year.stat().st_mtime_ns
    assert load_flights(f"sqlite:///{year}") == ROWS
    assert year.stat().st_mtime_ns == before


@pytest.mark.postgres
def test_the_year_loads_into_postgres_with_the_same_rows(year, postgres_url):
    assert load_flights(postgres_url) == ROWS
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        flight = connection.execute(
            text("SELECT scheduled_departure, scheduled_arrival, block_minutes FROM flights WHERE flight_id = :id"),
            {"id": "2013-01-01T1015-UA1545-EWR"},
        ).one()
    engine.dispose()
    assert [str(v) for v in flight] == ["2013-01-01 10:15:00", "2013-01-01 14:19:00", "244.0"]


def test_no_flight_arrives_before_it_flew(year):
    shortest = query(
        year,
        """SELECT min((julianday(a.arrived_at) - julianday(d.departed_at)) * 1440 - a.air_time_minutes)
           FROM arrivals a JOIN departures d USING (flight_id)""",
    )[0][0]
    assert shortest == pytest.approx(5, abs=0.01)  # five minutes of taxiing is the least of the year


def test_nothing_is_known_before_it_happened(year):
    assert query(year, "SELECT count(*) FROM arrivals WHERE recorded_at < arrived_at")[0][0] == 0
    assert query(year, "SELECT count(*) FROM weather WHERE recorded_at <= observed_at")[0][0] == 0
    assert query(year, "SELECT count(*) FROM flights WHERE published_at >= scheduled_departure")[0][0] == 0


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("day", ["2013-03-10", "2013-03-08"], ids=["the clock change", "a snow storm"])
def test_f004_a_day_materialized_alone_is_what_it_was_in_bulk(spring, view, day):
    assert publish(view, Interval.of_day(day)).changed == []


def test_a_carriers_record_holds_exactly_what_had_landed_by_then(spring, year):
    rows = OfflineStore(settings().store).read(declarations().view("carrier_record"), SPRING).to_pandas()
    landed = pd.DataFrame(
        query(
            year,
            """SELECT f.carrier, a.recorded_at, a.arr_delay_minutes
               FROM arrivals a JOIN flights f USING (flight_id)""",
        ),
        columns=["carrier", "recorded_at", "delay"],
    )
    landed["recorded_at"] = pd.to_datetime(landed["recorded_at"], utc=True)
    for row in rows.sample(60, random_state=1).to_dict("records"):
        known = landed[(landed["carrier"] == row["carrier"]) & (landed["recorded_at"] <= row["available_time"])]
        week = known[known["recorded_at"] > row["event_time"] - pd.Timedelta(days=7)]
        last = known[known["recorded_at"] > row["event_time"] - pd.Timedelta(hours=24)]
        assert row["late_share_7d"] == pytest.approx((week["delay"] >= 15).mean())
        assert row["flights_24h"] == len(last)
        if len(last):
            assert row["late_share_24h"] == pytest.approx((last["delay"] >= 15).mean())
            assert row["mean_arr_delay_24h"] == pytest.approx(last["delay"].mean())


@pytest.mark.parametrize("name", sorted(declarations().models))
def test_a_training_set_has_a_row_for_each_flight_that_landed_and_its_label(spring, year, name):
    model = declarations().model(name)
    interval = Interval.between("2013-03-05", "2013-03-19")
    made = training_sets.build(model, interval, SPRING.end)
    rows = training_sets.read(made).to_pandas().set_index("flight_id")
    facts = query(
        year,
        """SELECT f.flight_id, a.arr_delay_minutes, a.air_time_minutes
           FROM flights f LEFT JOIN arrivals a USING (flight_id)
           WHERE f.scheduled_departure >= '2013-03-05' AND f.scheduled_departure < '2013-03-19'""",
    )
    landed = {flight: (delay, air) for flight, delay, air in facts if delay is not None}
    assert (made.rows, made.never_labelled, made.not_matured) == (len(landed), len(facts) - len(landed), 0)
    assert set(rows.index) == set(landed)
    for flight, label in rows["label"].sample(200, random_state=2).items():
        delay, air = landed[flight]
        assert label == (air if name == "air_time" else ("late" if delay >= 15 else "on_time"))
    again = training_sets.build(model, interval, SPRING.end)
    assert again == made


def test_the_weather_of_a_prediction_is_the_newest_report_that_can_be_counted_on_two_hours_before(spring, year):
    model, weather = declarations().model("flight_delay"), declarations().view("origin_weather")
    day = Interval.of_day("2013-03-10")
    rows = point_in_time_rows.features_for(model, day, day.end).to_pandas()
    assert len(rows) == query(year, "SELECT count(*) FROM flights WHERE date(scheduled_departure) = '2013-03-10'")[0][0]
    for row in rows.sample(25, random_state=3).to_dict("records"):
        asked = row["event_time"] - pd.Timedelta(hours=2)
        newest = query(
            year,
            """SELECT temp, wind_speed FROM weather WHERE origin = ? AND recorded_at <= ? AND observed_at <= ?
               AND observed_at > ? ORDER BY recorded_at DESC, observed_at DESC LIMIT 1""",
            row["origin"],
            f"{asked:%Y-%m-%d %H:%M:%S}.000000",
            f"{asked - weather.delay:%Y-%m-%d %H:%M:%S}.000000",
            f"{asked - pd.Timedelta(hours=6):%Y-%m-%d %H:%M:%S}.000000",
        )[0]
        assert (row["temp"], row["wind_speed"]) == newest


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_what_a_stream_pushes_tick_by_tick_is_what_the_day_publishes(spring, name):
    """A day of every view of the demonstration, each tick with only what the source knew then."""
    view, day = declarations().view(name), Interval.of_day("2013-03-12")
    assert view.stream is not None
    every = max(view.stream.grid, timedelta(hours=12)) if view.ahead else view.stream.grid
    moment = day.start + timedelta(seconds=30)
    with Ledger.open(settings().ledger_url) as ledger:
        stream = ViewStream(view, ledger.streams, "here:1")
        while moment < day.end + timedelta(hours=2):
            stream.tick(moment)
            moment += every
    found = freshness.verify(name, "2013-03-12")
    assert (found.verdict, found.different, found.missing, found.extra) == (Verdict.PASS, 0, 0, 0), found.examples
    rows = OfflineStore(settings().store).read(view, day).num_rows
    assert found.values == rows * len(view.features) > 0


def test_f008_the_day_without_weather_is_empty(spring):
    store, view = OfflineStore(settings().store), declarations().view("origin_weather")
    before = content_hash(store.read(view, SPRING))
    published = publish("origin_weather", Interval.of_day("2013-12-31"))
    assert (published.published, published.empty, published.changed) == ([], ["2013-12-31"], [])
    assert content_hash(store.read(view, SPRING)) == before


@pytest.mark.parametrize("name", sorted(declarations().models))
def test_drift_of_every_feature_of_the_demonstration_can_be_judged(spring, name):
    model = declarations().models[name]
    kinds = fitted_models.kinds_of(model)
    rows = estimators.as_input(point_in_time_rows.features_for(model, SPRING, SPRING.end).to_pandas(), kinds)
    profile = build_profile(rows, {feature: FeatureKind(kind) for feature, kind in kinds.items()})
    day = count_window(profile, rows.iloc[:900])
    for past, now in zip(profile.features, day.features, strict=True):
        assert blind_to(past, now) is None
        assert infinite_share(past) == 0
