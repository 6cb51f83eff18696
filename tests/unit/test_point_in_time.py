"""The point-in-time join against a slow and obvious reference: random histories, ties, nulls, late corrections."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.adapters.sql_engine import LabelGivenTwice, point_in_time, with_labels

TIMES = pa.timestamp("us", tz="UTC")
# Around the change to summer time in New York, and a leap day is not far: both must be like any other time.
EPOCH = datetime(2024, 3, 9, 22, tzinfo=UTC)


def minutes(count: int) -> datetime:
    return EPOCH + timedelta(minutes=count)


def requests_of(rows: list[tuple[object, int]]) -> pa.Table:
    return pa.table(
        {
            "entity": pa.array([e for e, _ in rows], pa.string()),
            "prediction_time": pa.array([minutes(t) for _, t in rows], TIMES),
        }
    )


def history_of(rows: list[tuple[object, int, int, float | None]]) -> pa.Table:
    return pa.table(
        {
            "entity": pa.array([e for e, _, _, _ in rows], pa.string()),
            "event_time": pa.array([minutes(t) for _, t, _, _ in rows], TIMES),
            "available_time": pa.array([minutes(t + lag) for _, t, lag, _ in rows], TIMES),
            "order": pa.array([v for _, _, _, v in rows], pa.float64()),
        }
    )


def reference(requests: pa.Table, history: pa.Table, ttl: timedelta) -> list[float | None]:
    answers = []
    for asked in requests.to_pylist():
        best = None
        for row in history.to_pylist():
            fits = (
                asked["entity"] is not None
                and row["entity"] == asked["entity"]
                and row["available_time"] <= asked["prediction_time"]
                and row["event_time"] > asked["prediction_time"] - ttl
            )
            age = (row["available_time"], row["event_time"])
            if fits and (best is None or age > (best["available_time"], best["event_time"])):
                best = row
        answers.append(None if best is None else best["order"])
    return answers


entities = st.sampled_from(["a", "b", "süd 🚉", None])
# One row per entity and event time is what the store holds; the lag may differ from row to row.
histories = st.lists(
    st.tuples(entities, st.integers(0, 40), st.integers(0, 30), st.one_of(st.none(), st.floats(-5, 5))),
    max_size=25,
    unique_by=lambda row: (row[0], row[1]),
)
asked = st.lists(st.tuples(entities, st.integers(-5, 80)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(asked=asked, history=histories, ttl=st.integers(1, 60))
def test_each_request_gets_what_a_patient_person_would_look_up(asked, history, ttl):
    requests, rows = requests_of(asked), history_of(history)
    answer = point_in_time(requests, rows, keys=["entity"], features=["order"], ttl=timedelta(minutes=ttl))
    assert answer.column("order").to_pylist() == reference(requests, rows, timedelta(minutes=ttl))


@settings(max_examples=40, deadline=None)
@given(asked=asked, history=histories, ttl=st.integers(1, 60), lag=st.integers(0, 20))
def test_and_so_it_does_when_every_row_is_equally_late(asked, history, ttl, lag):
    requests, rows = requests_of(asked), history_of([(e, t, lag, v) for e, t, _, v in history])
    answer = point_in_time(requests, rows, keys=["entity"], features=["order"], ttl=timedelta(minutes=ttl))
    assert answer.column("order").to_pylist() == reference(requests, rows, timedelta(minutes=ttl))


def test_a_row_is_usable_at_the_very_moment_it_becomes_available_and_not_at_the_end_of_its_ttl():
    rows = history_of([("a", 0, 10, 1.0)])
    requests = requests_of([("a", 9), ("a", 10), ("a", 29), ("a", 30)])
    answer = point_in_time(requests, rows, keys=["entity"], features=["order"], ttl=timedelta(minutes=30))
    assert answer.column("order").to_pylist() == [None, 1.0, 1.0, None]


def test_a_late_correction_of_an_old_event_does_not_hide_a_fresh_row():
    rows = history_of([("a", 0, 50, 1.0), ("a", 40, 0, 2.0)])
    answer = point_in_time(
        requests_of([("a", 55)]), rows, keys=["entity"], features=["order"], ttl=timedelta(minutes=30)
    )
    assert answer.column("order").to_pylist() == [2.0]


def test_several_keys_are_matched_together():
    history = pa.table(
        {
            "from": ["x", "x"],
            "to": pa.array([1, 2], pa.int64()),
            "event_time": pa.array([minutes(0)] * 2, TIMES),
            "available_time": pa.array([minutes(0)] * 2, TIMES),
            "value": [1.0, 2.0],
        }
    )
    asked = pa.table(
        {
            "from": ["x", "x", "y"],
            "to": pa.array([2, 1, 1], pa.int64()),
            "prediction_time": pa.array([minutes(1)] * 3, TIMES),
        }
    )
    answer = point_in_time(asked, history, keys=["from", "to"], features=["value"], ttl=timedelta(hours=1))
    assert answer.column("value").to_pylist() == [2.0, 1.0, None]


def test_an_empty_history_answers_with_missing_values():
    answer = point_in_time(
        requests_of([("a", 1)]), history_of([]), keys=["entity"], features=["order"], ttl=timedelta(hours=1)
    )
    assert answer.column("order").to_pylist() == [None]


def test_a_label_given_twice_is_refused_and_not_joined_twice():
    requests = pa.table({"entity": ["a"], "event_time": pa.array([minutes(0)], TIMES)})
    labels = pa.table(
        {
            "entity": ["a", "a"],
            "label": ["on_time", "late"],
            "event_time": pa.array([minutes(0)] * 2, TIMES),
            "available_time": pa.array([minutes(9)] * 2, TIMES),
        }
    )
    with pytest.raises(LabelGivenTwice, match="1 requests became 2 rows"):
        with_labels(requests, labels, keys=["entity"])
