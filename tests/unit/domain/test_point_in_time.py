"""The point-in-time join against a slow and obvious reference: random histories, ties, nulls, late corrections."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from include.adapters.point_in_time import LabelGivenTwice, join, point_in_time, with_labels
from include.domain.point_in_time import NewestKnown

TIMES = pa.timestamp("us", tz="UTC")
THOROUGH = os.environ.get("SLIPWAY_THOROUGH") == "1"
"""Many more examples: for a release, and for whoever changes the join."""
MANY = 1000 if THOROUGH else 60
MOMENTS = [
    datetime(2024, 3, 10, 6, tzinfo=UTC),  # an hour before New York's clocks jump ahead
    datetime(2024, 11, 3, 5, tzinfo=UTC),  # an hour before they show one hour twice
    datetime(2024, 2, 28, 23, tzinfo=UTC),  # a leap day begins
    datetime(2023, 12, 31, 23, tzinfo=UTC),  # a year ends
]
EPOCH = MOMENTS[0]
HOUR = timedelta(hours=1)


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


# --- against a slow and obvious reference ----------------------------------------------------------------------------


def looked_up(requests: pa.Table, history: pa.Table, keys: list[str], ttl: timedelta) -> list[int | None]:
    """For each request the position of the row that a patient person would choose; None where there is none."""
    rows = list(enumerate(history.select([*keys, "event_time", "available_time"]).to_pylist()))
    chosen: list[int | None] = []
    for asked in requests.to_pylist():
        # In another zone Python would take the ttl off the clock on the wall, which goes back an hour in autumn.
        moment = asked["prediction_time"].astimezone(UTC)
        known = [
            (row["available_time"], row["event_time"], -position)  # of rows alike in both times the first
            for position, row in rows
            if row["available_time"] is not None and row["available_time"] <= moment
            if row["event_time"] > moment - ttl
            if all(row[key] is not None and row[key] == asked[key] for key in keys)  # nothing equals a missing key
        ]
        chosen.append(-max(known)[2] if known else None)
    return chosen


@dataclass(frozen=True)
class Case:
    requests: pa.Table
    history: pa.Table
    keys: list[str]
    features: list[str]
    ttl: timedelta


NAMES = ["order", "select", "group by", "süd 🚉", 'say "hi"', "a.b", "Ünïcode", "slipway_key", "null", "row"]
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu"]
TEXTS = [None, "a", "", "süd 🚉", "b"]
NUMBERS = [None, 0, -7, 2**53, 2**53 + 1]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Requests and histories with few entities and close times, so that ties, delays and corrections meet."""
    first, second, text, number, flag = draw(st.permutations(NAMES))[:5]
    keys = draw(st.sampled_from([[first], [second], [first, second]]))
    start = draw(st.sampled_from(MOMENTS))
    unit = draw(st.sampled_from([timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(minutes=7)]))
    zone = draw(st.sampled_from(ZONES))
    same_delay = draw(st.none() | st.integers(0, 20))
    small = st.integers(0, 40)
    entity = st.tuples(st.sampled_from(TEXTS), st.sampled_from(NUMBERS))
    asked = draw(st.lists(st.tuples(entity, st.integers(-5, 80)), max_size=8))
    delay = st.integers(0, 30) if same_delay is None else st.just(same_delay)
    # No two rows are kept apart: alike in key and event, or in all, they may come, and in any order.
    rows = draw(st.lists(st.tuples(entity, small, delay), max_size=40))
    if draw(st.booleans()):
        rows.sort(key=lambda row: row[1])
    gone = draw(st.sets(st.integers(0, 39), max_size=3))
    count = range(len(rows))

    def when(number: int) -> datetime:
        return start + number * unit

    requests = pa.table(
        {
            first: pa.array([e[0] for e, _ in asked], pa.string()),
            second: pa.array([e[1] for e, _ in asked], pa.int64()),
            "prediction_time": pa.array([when(t) for _, t in asked], pa.timestamp("us", tz=zone)),
        }
    )
    history = pa.table(
        {
            first: pa.array([e[0] for e, _, _ in rows], pa.large_string()),
            second: pa.array([e[1] for e, _, _ in rows], pa.int64()),
            "event_time": pa.array([when(t) for _, t, _ in rows], TIMES),
            "available_time": pa.array([None if n in gone else when(rows[n][1] + rows[n][2]) for n in count], TIMES),
            text: pa.array([None if n % 5 == 0 else f"ü{n}" for n in count], pa.string()),
            number: pa.array([None if n % 7 == 0 else float("nan") if n % 7 == 1 else n / 3 for n in count]),
            flag: pa.array([None if n % 3 == 0 else n % 2 == 0 for n in count], pa.bool_()),
        }
    ).cast(
        pa.schema(
            [
                (first, pa.large_string()),
                (second, pa.int64()),
                ("event_time", TIMES),
                ("available_time", TIMES),
                (text, pa.string()),
                (number, pa.float64()),
                (flag, pa.bool_()),
            ]
        )
    )
    return Case(requests, history, keys, [text, number, flag], draw(st.integers(1, 60)) * unit)


@pytest.mark.parametrize("at_once", [8, 1 << 18], ids=["in tiny parts", "in one part"])
@settings(max_examples=MANY, deadline=None)
@given(case=cases())
def test_each_request_gets_what_a_patient_person_would_look_up(at_once, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "ROWS_AT_ONCE", at_once)
        answer = point_in_time(
            case.requests, case.history, keys=case.keys, features=case.features, ttl=case.ttl, known_as="known"
        )
    chosen = pa.array(looked_up(case.requests, case.history, case.keys, case.ttl), pa.int64())
    assert answer.column_names == [*case.features, "known"]
    for name in case.features:
        assert str(answer.column(name).to_pylist()) == str(case.history.column(name).take(chosen).to_pylist())
    assert answer.column("known").to_pylist() == case.history.column("available_time").take(chosen).to_pylist()


KINDS = {
    "no requests": lambda case: case.requests.num_rows == 0,
    "an empty view": lambda case: case.history.num_rows == 0,
    "an entity never seen": lambda case: bool(
        set(case.requests.column(case.keys[0]).to_pylist())
        - set(case.history.column(case.keys[0]).to_pylist())
        - {None}
    ),
    "a missing key": lambda case: case.requests.column(case.keys[0]).null_count > 0,
    "two keys": lambda case: len(case.keys) == 2,
    "a row available at no time": lambda case: case.history.column("available_time").null_count > 0,
    "rows alike in key and both times": lambda case: (
        case.history.group_by([*case.keys, "event_time", "available_time"]).aggregate([]).num_rows
        < case.history.num_rows
    ),
    "a late correction": lambda case: (
        len({*case.history.column("event_time").to_pylist()}) < case.history.num_rows - 1 and case.history.num_rows > 2
    ),
    "another zone": lambda case: case.requests.column("prediction_time").type.tz != "UTC",
    "a leap day": lambda case: _has_day(case, 2, 29),
    "New York's clocks jump ahead": lambda case: _has_day(case, 3, 10),
    "New York's clocks show an hour twice": lambda case: _has_day(case, 11, 3),
    "a reserved word for a column": lambda case: bool({"order", "select", "null", "row"} & set(_columns(case))),
    "unicode in a column's name": lambda case: bool({"süd 🚉", "Ünïcode"} & set(_columns(case))),
    "a number no double holds": lambda case: any(
        2**53 + 1 in case.history.column(key).to_pylist() for key in case.keys
    ),
    "NaN": lambda case: any(
        value != value for name in case.features for value in case.history.column(name).to_pylist()
    ),
    "a history in no order": lambda case: (
        case.history.column("event_time").to_pylist() != sorted(case.history.column("event_time").to_pylist())
    ),
}


def _columns(case: Case) -> list[str]:
    return [*case.keys, *case.features]


def _has_day(case: Case, month: int, day: int) -> bool:
    moments = [*case.history.column("event_time").to_pylist(), *case.requests.column("prediction_time").to_pylist()]
    return any((m.astimezone(UTC).month, m.astimezone(UTC).day) == (month, day) for m in moments)


def test_the_cases_have_everything_they_are_meant_to_have():
    seen = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(case=cases())
    def look(case):
        seen.update(kind for kind in KINDS.keys() - seen if KINDS[kind](case))

    look()
    assert seen == KINDS.keys()


@settings(max_examples=MANY, deadline=None)
@given(
    asked=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=30),
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 40)), max_size=60),
    ttl=st.integers(1, 40),
    crowded=st.booleans(),
)
def test_it_finds_the_same_whether_or_not_keys_and_times_fit_into_one_integer(asked, rows, ttl, crowded):
    spread = (1 << 58) // 100 if crowded else 1
    keys, moments = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    table = np.array(rows, np.int64).reshape(-1, 3)
    search = NewestKnown(keys, moments * spread, ttl * spread)
    kept = search.offer(table[:, 0], (table[:, 1] + table[:, 2]) * spread, table[:, 1] * spread)
    numbers = search.answers()
    found = [None if n < 0 else int(kept[n]) for n in numbers]
    expected = []
    for key, moment in asked:
        fits = [n for n, (k, e, d) in enumerate(rows) if k == key and e + d <= moment and e > moment - ttl]
        expected.append(max(fits, key=lambda n: (rows[n][1] + rows[n][2], rows[n][1], -n)) if fits else None)
    assert found == expected


def test_rows_that_were_overtaken_are_dropped_on_the_way_and_the_answers_stay():
    generator = np.random.default_rng(0)
    search = NewestKnown(np.arange(50) % 5, np.arange(50) * 10, 200)
    held = np.empty((0, 3), np.int64)
    every = []
    for _ in range(20):
        part = generator.integers(0, [5, 400, 90], (40, 3))
        every.append(part)
        held = np.vstack([held, part[search.offer(part[:, 0], part[:, 1] + part[:, 2], part[:, 1])]])
        held = held[search.in_use()]
    rows = np.vstack(every)
    assert len(held) < len(rows) / 2
    for key, moment, number in zip(np.arange(50) % 5, np.arange(50) * 10, search.answers(), strict=True):
        fits = rows[(rows[:, 0] == key) & (rows[:, 1] + rows[:, 2] <= moment) & (rows[:, 1] > moment - 200)]
        best = max(((e + d, e) for _, e, d in fits), default=None)
        got = None if number < 0 else (held[number, 1] + held[number, 2], held[number, 1])
        assert got == best


def test_an_entity_that_nobody_ever_saw_has_missing_values():
    answer = point_in_time(
        requests_of([("nobody", 5), ("a", 5)]),
        history_of([("a", 0, 0, 1.0)]),
        keys=["entity"],
        features=["order"],
        ttl=HOUR,
    )
    assert answer.column("order").to_pylist() == [None, 1.0]


def test_of_rows_alike_in_key_and_both_times_the_first_in_the_history_answers():
    rows = history_of([("a", 0, 0, 1.0), ("a", 0, 0, 2.0), ("a", 0, 0, None)])
    answer = point_in_time(requests_of([("a", 5)]), rows, keys=["entity"], features=["order"], ttl=HOUR)
    assert answer.column("order").to_pylist() == [1.0]


def test_no_requests_are_no_answers():
    answer = point_in_time(
        requests_of([]), history_of([("a", 0, 0, 1.0)]), keys=["entity"], features=["order"], ttl=HOUR
    )
    assert answer.num_rows == 0
    assert answer.column_names == ["order"]


# --- one thing at a time ---------------------------------------------------------------------------------------------


def test_keys_of_a_narrow_type_are_told_apart_over_its_whole_range():
    keys = pa.array(range(-128, 128), pa.int8())
    moments = pa.array([datetime(2024, 3, 1, tzinfo=UTC)] * 256, TIMES)
    history = pa.table({"entity": keys, "value": range(256), "event_time": moments, "available_time": moments})
    asked = pa.table({"entity": keys, "prediction_time": moments})
    answer = point_in_time(asked, history, keys=["entity"], features=["value"], ttl=timedelta(hours=1))
    assert answer.column("value").to_pylist() == list(range(256))


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
