"""How a row of flights.csv becomes moments in UTC."""

from __future__ import annotations

import pandas as pd
import pytest

from include.adapters.nycflights import flight_facts

ZONES = {"LAX": "America/Los_Angeles", "BOS": "America/New_York", "HNL": "Pacific/Honolulu", "PHX": "America/Phoenix"}


def a_flight(**changes: object) -> pd.DataFrame:
    """UA 1 from Newark to Los Angeles on 2013-06-01, 08:30 to 11:15 on the local clocks, on time."""
    row = {
        "time_hour": "2013-06-01T12:00:00Z",
        "minute": 30,
        "sched_arr_time": 1115,
        "dep_delay": 0.0,
        "arr_delay": 0.0,
        "air_time": 320.0,
        "carrier": "UA",
        "flight": 1,
        "tailnum": "N1",
        "origin": "EWR",
        "dest": "LAX",
        "distance": 2454,
    }
    return pd.DataFrame([{**row, **changes}])


def facts(**changes: object) -> pd.Series:
    return flight_facts(a_flight(**changes), ZONES).iloc[0]


@pytest.mark.parametrize(
    ("changes", "block_minutes", "due"),
    [
        pytest.param({}, 345, "2013-06-01T18:15", id="three zones west"),
        pytest.param({"dest": "BOS", "sched_arr_time": 935}, 65, "2013-06-01T13:35", id="the same zone"),
        pytest.param(
            {"sched_arr_time": 15, "time_hour": "2013-06-02T01:00:00Z"},
            345,
            "2013-06-02T07:15",
            id="over midnight there",
        ),
        pytest.param({"dest": "HNL", "sched_arr_time": 1330}, 660, "2013-06-01T23:30", id="a zone without summer time"),
        pytest.param(
            {"time_hour": "2013-03-10T06:00:00Z", "minute": 0, "dest": "BOS", "sched_arr_time": 300},
            60,
            "2013-03-10T07:00",
            id="over the spring gap",
        ),
        pytest.param(
            {"sched_arr_time": 2400, "dest": "BOS", "time_hour": "2013-06-02T03:00:00Z"},
            30,
            "2013-06-02T04:00",
            id="written as 24:00",
        ),
    ],
)
def test_the_scheduled_length_is_the_difference_of_the_destinations_clock(changes, block_minutes, due):
    row = facts(**changes)
    assert row["block_minutes"] == block_minutes
    assert row["scheduled_arrival"] == pd.Timestamp(due)


def test_delays_count_from_the_timetable():
    row = facts(dep_delay=45.0, arr_delay=30.0)
    assert row["departed_at"] == pd.Timestamp("2013-06-01T13:15")
    assert row["arrived_at"] == pd.Timestamp("2013-06-01T18:45")
    assert row["published_at"] == pd.Timestamp("2013-05-25T12:30")


def test_a_cancelled_flight_neither_departs_nor_arrives():
    row = facts(dep_delay=None, arr_delay=None, air_time=None)
    assert pd.isna(row["departed_at"])
    assert pd.isna(row["arrived_at"])


def test_a_diverted_flight_departs_and_does_not_arrive():
    row = facts(arr_delay=None, air_time=None)
    assert pd.notna(row["departed_at"])
    assert pd.isna(row["arrived_at"])


def test_an_unknown_zone_falls_back_on_the_time_in_the_air_and_the_usual_taxiing():
    known = a_flight()  # 345 minutes from gate to gate, 320 of them in the air: 25 spent taxiing
    rows = flight_facts(pd.concat([known, a_flight(dest="XXX", air_time=100.0)], ignore_index=True), ZONES)
    assert pd.isna(rows.iloc[1]["scheduled_arrival"])
    assert rows.iloc[1]["arrived_at"] == pd.Timestamp("2013-06-01T12:30") + pd.Timedelta(minutes=125)


def test_the_id_names_the_hour_in_utc_the_flight_and_the_airport():
    assert facts()["flight_id"] == "2013-06-01T1230-UA1-EWR"
