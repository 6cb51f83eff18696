"""A request is read strictly: what is wrong is named by field and row, and nothing that can be sent is a failure of
the service."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from include.domain.serving.requests import MOST_BYTES, NotAnswered, asked_of, parsed
from include.domain.serving.route import ServedFeature, ServedModel, ServedView

MODEL = ServedModel(
    model="trip_late",
    task="binary",
    classes=["on_time", "late"],
    features=[
        ServedFeature("station", "categorical"),
        ServedFeature("order", "numeric"),
        ServedFeature("wet", "boolean"),
    ],
    views=[ServedView("trip_plan", 1, ["trip_id"], ["station", "order", "wet"], 3600.0, is_entity=True)],
    candidate="c1",
    digest="ab",
    revision=1,
    route_revision=1,
    version=1,
    packed="/nowhere.npz",
    packed_sha256="cd",
)
GOOD = {"station": "north", "order": 0.5, "wet": True}


def refused(given: Any) -> NotAnswered:
    with pytest.raises(NotAnswered) as caught:
        asked_of(parsed(given if isinstance(given, bytes) else json.dumps(given).encode()), MODEL)
    return caught.value


def test_a_row_alone_and_several_rows_are_read():
    one = asked_of({"features": GOOD, "request_id": "r1", "event_time": "2024-03-01T12:00:00+01:00"}, MODEL)
    assert (one.request_id, one.rows[0].features) == ("r1", GOOD)
    assert str(one.rows[0].event_time) == "2024-03-01 11:00:00+00:00"
    several = asked_of({"rows": [{"features": GOOD}, {"keys": {"trip_id": 7}}]}, MODEL)
    assert [row.keys for row in several.rows] == [{}, {"trip_id": 7}]


def test_a_whole_number_is_a_number_and_null_is_a_missing_value():
    row = asked_of({"features": {"station": None, "order": 3, "wet": None}}, MODEL).rows[0]
    assert row.features == {"station": None, "order": 3.0, "wet": None}
    assert type(row.features["order"]) is float


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"NaN", "NaN is no number of JSON"),
        (b"-Infinity", "-Infinity is no number of JSON"),
        (b"1e400", "1e400 is larger than a number can be"),
        (b"1" * 400, "is larger than a number can be"),
        (b"1" * 5000, "a number that is too long"),
        (b"true", "features.order is true or false, and a number is asked for"),
        (b'"7"', "features.order is no number"),
        (b"[1]", "features.order is no number"),
        (b"{}", "features.order is no number"),
    ],
)
def test_f165_a_number_that_is_none_is_named(value, said):
    error = refused(b'{"features":{"station":"a","wet":null,"order":' + value + b"}}")
    assert (error.status, said in error.message) == (422, True), error.message


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "the body is no JSON"),
        (b"{", 400, "the body is no JSON"),
        (b'\xff{"a":1}', 400, "no UTF-8"),
        (b'{"request_id":"\\ud800"}', 400, "no UTF-8"),
        (b"[" * 20_000, 422, "nested deeper"),
        (b'{"a":' * 20_000, 422, "nested deeper"),
        (b'{"features":{"order":1,"order":2}}', 422, "'order' is given twice"),
        (b"[]", 422, "no JSON object"),
        (b"7", 422, "no JSON object"),
        (b'"' + b"x" * MOST_BYTES + b'"', 413, "at most"),
    ],
)
def test_f165_a_body_that_cannot_be_read_is_refused(body, status, said):
    error = refused(body)
    assert (error.status, said in error.message) == (status, True), error.message


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"rows": []}, 422, "there are 0 rows"),
        ({"rows": [{"features": GOOD}] * 1001}, 413, "there are 1,001 rows"),
        ({"rows": {}}, 422, "rows is no list"),
        ({"rows": [7]}, 422, "row is no JSON object"),
        ({"rows": [{"features": GOOD}], "keys": {}}, 422, "'keys' is not known beside rows"),
        ({"features": {**GOOD, "hour": 3}}, 422, "features.hour is not among the features"),
        ({"features": GOOD, "mood": 1}, 422, "mood is not known"),
        ({"features": [], "keys": {}}, 422, "features is no JSON object"),
        ({"keys": {"tripid": 1}}, 422, "keys.tripid is no key of the model; its keys are trip_id"),
        ({"keys": {"trip_id": None}}, 422, "keys.trip_id is a text or a number"),
        ({"features": {"order": 1}}, 422, "features.station is not given, and cannot be looked up without keys"),
        ({"features": GOOD, "event_time": "noon"}, 422, "event_time is no time"),
        ({"features": GOOD, "event_time": 7}, 422, "event_time is no time"),
        ({"features": GOOD, "request_id": ""}, 422, "request_id is a text"),
        ({"features": GOOD, "request_id": "a\nb"}, 422, "request_id is a text"),
        ({"features": GOOD, "request_id": "é"}, 422, "request_id is a text"),
        ({"features": GOOD, "request_id": 7}, 422, "request_id is a text"),
    ],
)
def test_f114_what_is_wrong_is_named(given, status, said):
    error = refused(given)
    assert (error.status, said in error.message) == (status, True), error.message


def test_each_wrong_field_is_listed_with_its_row():
    error = refused({"rows": [{"features": GOOD}, {"features": {**GOOD, "order": "x", "wet": 1}}]})
    assert error.message == "row 1: features.order is no number and 1 more"
    assert error.details == [
        {"row": 1, "field": "features.order", "problem": "is no number"},
        {"row": 1, "field": "features.wet", "problem": "is not true or false"},
    ]


def test_f114_f165_bytes_of_any_kind_are_answered_or_refused_by_name():
    dice, base = random.Random(11), json.dumps({"request_id": "r", "features": GOOD}).encode()
    for _ in range(3000):
        body = bytearray(base)
        for _ in range(dice.randrange(1, 6)):
            place = dice.randrange(len(body))
            body[place : place + dice.randrange(3)] = dice.choice(
                [dice.randbytes(2), b'"', b"{", b"e9", b"\\u", b",", b""]
            )
        try:
            asked_of(parsed(bytes(body)), MODEL)
        except NotAnswered as error:
            assert error.status in (400, 413, 422)  # noqa: PT017 - most are refused, some are not
