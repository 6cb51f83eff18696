"""When two keys of different types are the same key: for any types, the same answer as a patient person would give."""

from __future__ import annotations

import itertools
import math
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.adapters.point_in_time import KeysOfTwoKinds, KeysTold, LabelGivenTwice, point_in_time, with_labels
from include.domain.entity_names import entity_of, spelled_otherwise

TIMES = pa.timestamp("us", tz="UTC")
THOROUGH = os.environ.get("SLIPWAY_THOROUGH") == "1"
"""Many more examples: for a release, and for whoever changes the join."""
AT = datetime(2024, 3, 1, tzinfo=UTC)
FORMS: dict[str, tuple[pa.DataType, Any]] = {
    "small integers": (pa.int8(), int),
    "integers": (pa.int64(), int),
    "unsigned": (pa.uint64(), int),
    "doubles": (pa.float64(), float),
    "floats": (pa.float32(), float),
    "decimals": (pa.decimal128(20, 3), Decimal),
    "whole decimals": (pa.decimal128(20, 0), Decimal),
    "texts": (pa.string(), str),
    "long texts": (pa.large_string(), str),
    "coded texts": (pa.dictionary(pa.int32(), pa.string()), str),
}
"""Ways in which a source may keep a whole number."""


def answers(asked: pa.Array, has: pa.Array, told: list[KeysTold] | None = None) -> list[int | None]:
    """For each key asked for, the position of the row that answers."""
    requests = pa.table({"key": asked, "prediction_time": pa.array([AT] * len(asked), TIMES)})
    when = pa.array([AT] * len(has), TIMES)
    rows = pa.table({"key": has, "row": range(len(has)), "event_time": when, "available_time": when})
    ttl = timedelta(days=1)
    joined = point_in_time(requests, rows, keys=["key"], features=["row"], ttl=ttl, told=told).column("row").to_pylist()
    labels = pa.table({"key": has, "label": range(len(has)), "event_time": when, "available_time": when})
    try:
        asked_by_label = requests.rename_columns(["key", "event_time"])
        labelled = with_labels(asked_by_label, labels, keys=["key"]).column("label").to_pylist()
    except LabelGivenTwice:
        return joined  # two spellings of one key
    assert labelled == joined, "labels are joined by the same rule"
    return joined


@pytest.mark.parametrize(("asked", "has"), list(itertools.product(FORMS, FORMS)), ids=lambda name: name)
def test_f201_a_whole_number_is_the_same_key_in_whichever_type_it_is_kept(asked, has):
    numbers, others = [3, 7, 100, None, 0], [100, 5, None, 0, 3]
    (kind, made), (other, made_other) = FORMS[asked], FORMS[has]
    mine = pa.array([None if n is None else made(n) for n in numbers], kind)
    theirs = pa.array([None if n is None else made_other(n) for n in others], other)
    assert answers(mine, theirs) == [4, None, 0, None, 3]


def same(asked: Any, has: Any) -> bool:
    """Whether two values are one key, told the slow way."""
    if asked is None or has is None or asked != asked or has != has:
        return False
    spelled = []
    for value in (asked, has):
        if isinstance(value, str):
            spelled.append(value)
        elif isinstance(value, float) and (math.isinf(value) or abs(value) > 2**53):
            return type(asked) is type(has) and asked == has
        else:
            plain = value.normalize() if isinstance(value, Decimal) else value
            spelled.append(str(int(value)) if value == int(value) else str(plain))
    return spelled[0] == spelled[1]


VALUES = {
    pa.int64(): [None, 0, 7, -7, 10**18, 2**53, 2**53 + 1],
    pa.float64(): [None, 0.0, -0.0, 7.0, 1.5, float("nan"), float("inf"), 2.0**53, 2.0**60],
    pa.string(): [None, "", "7", "07", "7.0", "+7", " 7", "GUEST", "guest", "-0", "1.5", "nan", "9007199254740993"],
    pa.decimal128(21, 2): [None, Decimal("0"), Decimal("7.00"), Decimal("1.50"), Decimal(10**18), Decimal(2**53 + 1)],
}


@pytest.mark.parametrize(("asked", "has"), list(itertools.product(VALUES, VALUES)), ids=str)
@settings(max_examples=1000 if THOROUGH else 40, deadline=None)
@given(data=st.data())
def test_f201_keys_of_two_types_match_as_a_person_would_match_them(asked, has, data):
    mine = data.draw(st.lists(st.sampled_from(VALUES[asked]), max_size=6))
    theirs = data.draw(st.lists(st.sampled_from(VALUES[has]), max_size=6, unique_by=str))
    found = answers(pa.array(mine, asked), pa.array(theirs, has))
    assert found == [next((n for n, t in enumerate(theirs) if same(m, t)), None) for m in mine]


def test_what_cannot_be_of_the_requests_type_is_counted_with_an_example():
    told: list[KeysTold] = []
    assert answers(pa.array([7, 8]), pa.array(["GUEST", "8", "1.5", None]), told) == [None, 1]
    assert [(t.key, t.asked, t.has, t.rows, t.unlike, t.example) for t in told] == [
        ("key", "int64", "string", 4, 2, "GUEST")
    ]
    told.clear()
    assert answers(pa.array([7, 8]), pa.array([1.5, 8.0, 7.25, float("nan")]), told) == [None, 1]
    assert (told[0].unlike, told[0].example) == (2, "1.5")
    told.clear()
    assert answers(pa.array(["007", "8", "GUEST"]), pa.array([7, 8]), told) == [None, 1, None]
    assert (told[0].unlike, told[0].asked_unlike, told[0].asked_example) == (0, 2, "007")
    told.clear()
    answers(pa.array([7]), pa.array([7]), told)
    assert told == [], "keys of one type need no remark"


def test_a_key_that_is_no_number_equals_no_other():
    nan = float("nan")
    assert answers(pa.array([nan, 1.0]), pa.array([nan, 1.0])) == [None, 1]


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        pytest.param(pa.array([1]), pa.array([True]), id="a number and a boolean"),
        pytest.param(pa.array(["2024-03-01"]), pa.array([date(2024, 3, 1)]), id="a text and a date"),
        pytest.param(pa.array([1]), pa.array([AT], TIMES), id="a number and a time"),
        pytest.param(pa.array([date(2024, 3, 1)]), pa.array([AT], TIMES), id="a date and a time"),
        pytest.param(pa.array(["a"]), pa.array([b"a"]), id="a text and bytes"),
    ],
)
def test_types_without_a_common_value_are_refused_by_name(asked, has):
    with pytest.raises(KeysOfTwoKinds, match=r"The key 'key' is .* in the requests and .* for example "):
        answers(asked, has)
    assert answers(asked, has.slice(0, 0)) == [None], "nothing there is no answer"


def test_padding_and_case_are_part_of_a_text():
    assert answers(pa.array(["AB", "AB ", "ab"]), pa.array(["AB "])) == [None, 0, None]


def test_the_online_store_knows_a_whole_number_by_each_of_its_spellings():
    forms = [7, "7", 7.0, Decimal("7.00"), np.int64(7)]
    everything = {entity_of((7,)), entity_of(("7",)), entity_of((7.0,))}
    for form in forms:
        assert {entity_of((form,)), *spelled_otherwise((form,))} >= everything, form
    for other in ("07", "7.0", " 7", "GUEST", 1.5, True, None, float("nan"), float("inf")):
        assert not {entity_of((other,)), *spelled_otherwise((other,))} & everything, other


@settings(deadline=None)
@given(
    asked=st.lists(st.tuples(st.sampled_from([None, 1, 2, 3]), st.none() | st.integers(-3, 3)), max_size=12),
    labels=st.lists(st.tuples(st.sampled_from([None, 1, 2, 4]), st.none() | st.integers(-4, 4)), max_size=12),
    unit=st.sampled_from([timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=150_000)]),
    apart=st.sampled_from([1, 2**40]),
)
def test_a_label_is_that_of_the_same_key_and_time_and_of_no_other(asked, labels, unit, apart):
    def table(rows: list[tuple[int | None, int | None]]) -> pa.Table:
        times = [None if t is None else AT + t * unit for _, t in rows]
        return pa.table(
            {
                "key": pa.array([None if k is None else k * apart for k, _ in rows], pa.int64()),
                "event_time": pa.array(times, TIMES),
                "label": pa.array([str(n) for n in range(len(rows))], pa.string()),
                "available_time": pa.array(times, TIMES),
            }
        )

    matches = [[str(n) for n, row in enumerate(labels) if row == each and None not in row] for each in asked]
    if any(len(found) > 1 for found in matches):
        with pytest.raises(LabelGivenTwice):
            with_labels(table(asked), table(labels), keys=["key"])
    else:
        found = with_labels(table(asked), table(labels), keys=["key"]).column("label").to_pylist()
        assert found == [match[0] if match else None for match in matches]
