"""What a record of the journal says, as JSON that a person can read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from include.domain.journal.records import (
    AnswerRecord,
    Beside,
    Mark,
    Opening,
    PassedOver,
    Record,
    ViewServed,
    payload_of,
    record_of,
)

AT = datetime(2026, 3, 1, 12, 0, 0, 250, UTC)
SHORT = AnswerRecord(
    asked_id="r1",
    request_id="r1",
    model="wind",
    prediction_time=AT,
    candidate="c1",
    digest="ab" * 32,
    revision=3,
    route_revision=4,
)
FULL = AnswerRecord(
    asked_id="r2#1",
    request_id="r2",
    model="wind",
    prediction_time=AT,
    candidate="c1",
    digest="ab" * 32,
    revision=3,
    route_revision=4,
    keys={"station": "north", "hour": 7},
    event_time=AT,
    row=1,
    rows=2,
    arm="canary",
    role="champion",
    by="pipeline",
    unit="north",
    bucket=0.25,
    number=2,
    share_ppm=300_000,
    beside=Beside("c2", "cd" * 32, "canary", "packed", error="its answer is no finite number", us_model=40),
    canary_features={"gust": 4.0, "humidity": None},
    score=[0.25, 0.5, 0.25],
    predicted="b",
    us_total=120,
    us_model=60,
    features={"speed": 3.5, "gust": None, "sky": "clear"},
    omitted=["name"],
    given=["sky"],
    views={"weather": ViewServed(2, AT, 90.5, "stale", "stream")},
    trace="00-aa-bb-01",
)


@pytest.mark.parametrize(
    "record",
    [SHORT, FULL, Mark(AT), PassedOver("wind", AT, AT, 12, "behind"), Opening(1, "here-8000", 17, AT, 1, AT)],
    ids=lambda each: type(each).__name__,
)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    assert record_of(payload_of(record)) == record


def test_what_is_left_out_has_its_default() -> None:
    said = json.loads(payload_of(SHORT))
    assert said == {
        "kind": "answer",
        "asked_id": "r1",
        "request_id": "r1",
        "model": "wind",
        "prediction_time": "2026-03-01T12:00:00.000250Z",
        "candidate": "c1",
        "digest": "ab" * 32,
        "revision": 3,
        "route_revision": 4,
    }


def test_a_field_of_a_newer_writer_is_passed_over() -> None:
    newer = payload_of(SHORT)[:-1] + b',"mood":"good"}'
    assert record_of(newer) == SHORT


@pytest.mark.parametrize("payload", [b"{}", b'{"kind":"poem"}', b'{"kind":"mark","at":7}', b"{"])
def test_another_kind_or_form_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        record_of(payload)
