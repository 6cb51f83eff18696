"""What the records of the journal say. A record is kept as JSON; its ``kind`` says which of these it is.

A field that is left out of a record has its default. A reader ignores fields that it does not know, so that a newer
writer may add some; what a field means is never changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

FORMAT = 1

Arm = Literal["champion", "canary", "shadow", "probe"]
Why = Literal["absent", "stale", "future", "unreachable"]


class Opening(msgspec.Struct, tag_field="kind", tag="opening", frozen=True, omit_defaults=True):
    """The first record of each segment: who writes it."""

    format: int
    instance: str
    """The service: its host and port. It stays the same over restarts."""
    pid: int
    started_at: datetime
    """When this process began, by its machine's clock; UTC."""
    sequence: int
    """The number of the segment in this process, from 1."""
    opened_at: datetime
    """By the clock of the data, like ``prediction_time``; no record of the segment is older."""


class ViewServed(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the values of one view came into an answer."""

    version: int
    event_time: datetime | None = None
    """Of the row that was found; None where none was, and where the caller gave all values."""
    age_s: float | None = None
    """From ``event_time`` to ``prediction_time``, in seconds; below 0 for a row that is dated later."""
    missing: Why | None = None
    """Why its values were served as missing; None where they were not."""
    run_id: str | None = None
    """The run or stream that pushed the row."""


class Beside(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the other model answered to the same row, of the rows of a canary's share."""

    candidate: str
    digest: str
    role: Arm
    """``champion`` where the canary answered the caller; ``canary`` where the champion answered for it."""
    by: Literal["packed", "pipeline"] = "packed"
    score: float | list[float] | None = None
    predicted: str | int | float | None = None
    error: str | None = None
    """Why it has no score, in a sentence. The caller was told nothing of it."""
    us_model: int = 0
    """In this model, of the whole request, in microseconds."""


class AnswerRecord(msgspec.Struct, tag_field="kind", tag="answer", frozen=True, omit_defaults=True):
    """One row that was answered, or that could not be: written before the reply is sent."""

    asked_id: str
    """The row's identity, once for each time that somebody asks: ``request_id``, or ``request_id#row`` where a request
    has several rows. A request that is sent again has the same, and the first record of it counts."""
    request_id: str
    """Of the request: the caller's own, or one that the service made."""
    model: str
    prediction_time: datetime
    """When the request was taken in, by the clock of the data; the one reading of the clock for this request; UTC."""
    candidate: str
    """Who answered."""
    digest: str
    """The sha256 of its model file, in hex."""
    revision: int
    """Of the deployment that made it champion."""
    route_revision: int
    """Of the route by which it was asked."""
    keys: dict[str, Any] = {}
    """The entity's keys by name, as they were asked; empty where the caller named no entity."""
    event_time: datetime | None = None
    """Of the entity's row: as asked, else as the entity view's row has it; None where it is not known. With the keys it
    is what labels are joined by; UTC."""
    row: int = 0
    """The place of the row in its request, from 0."""
    rows: int = 1
    """How many rows the request has."""
    arm: Arm = "champion"
    """What the row was asked of: the arm that its unit belongs to."""
    role: Arm = "champion"
    """As what ``candidate`` answered; another than ``arm`` where the champion answered for it."""
    by: Literal["packed", "pipeline"] = "packed"
    """The form of the model that answered."""
    unit: str | None = None
    """What the row's arm was chosen by; None where nothing was."""
    bucket: float | None = None
    """The place of the unit in [0, 1) that the share is held against."""
    number: int | None = None
    """Which rollout of the candidate gave the share; None where no candidate had one, and ``unit`` is None then too.
    With a number and without a unit, the caller named none, and the champion answered."""
    share_ppm: int = 0
    """The share that was in force, in millionths. The row's arm is by it, so it is above 0 wherever ``number`` is."""
    beside: Beside | None = None
    """The other model's answer. On a row of the canary's share it is None only where the time was over before the
    canary was asked: that row compares nothing, and blames no one."""
    score: float | list[float] | None = None
    """The probability of the second class, one a class for more than two, or the value of a regression; None with an
    ``error``."""
    predicted: str | int | float | None = None
    """The class, or the value of a regression."""
    error: str | None = None
    """Why there is no score, in a sentence; the caller was told so."""
    us_total: int = 0
    """From taking in to writing this record, of the whole request and of both models, in microseconds."""
    us_model: int = 0
    """In the model, of the whole request, in microseconds."""
    features: dict[str, Any] = {}
    """Every feature by name as it was served: None is a missing value. What is omitted by declaration is left out."""
    omitted: list[str] = []
    """Features that are left out of ``features`` by declaration."""
    given: list[str] | Literal["all"] = []
    """Features whose values are the caller's; the others were looked up."""
    views: dict[str, ViewServed] = {}
    """By view, for every view of the model of which values were looked up."""
    canary_features: dict[str, Any] = {}
    """What the canary was given by name where that is another value than in ``features``, or is not in them: its
    signature or the version of a view is another. None is a missing value."""
    trace: str | None = None
    """The caller's ``traceparent``."""


class Mark(msgspec.Struct, tag_field="kind", tag="mark", frozen=True, omit_defaults=True):
    """All answers of this process with a ``prediction_time`` before ``at`` are in its segments already."""

    at: datetime
    ends: bool = False
    """The process ends with it: it writes nothing more."""


class PassedOver(msgspec.Struct, tag_field="kind", tag="gap", frozen=True, omit_defaults=True):
    """Records that a reader passed over because it was too far behind. Only readers write it, in segments of theirs."""

    model: str
    since: datetime
    until: datetime
    rows: int
    reason: str = ""


class OutcomeRecord(msgspec.Struct, tag_field="kind", tag="outcome", frozen=True, omit_defaults=True):
    """What came of one answered row, as somebody told the service. It is in a journal of its own, which holds no
    answers."""

    model: str
    request_id: str
    """Of the request that was answered."""
    value: str | float
    """The class, as it is declared, or the value of a regression."""
    known: datetime
    """When the service was told, by the clock of the data; UTC."""
    row: int | None = None
    """Its place in the request, from 0; None where the request had one row."""
    by: str = ""
    """The name of the token that told it; empty where none was asked for."""


Record = Opening | AnswerRecord | Mark | PassedOver | OutcomeRecord

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def payload_of(record: Record) -> bytes:
    """The record as it is kept."""
    return _encoder.encode(record)


def record_of(payload: bytes) -> Record:
    """The record of a payload.

    Raises:
        ValueError: for a payload of another kind or form: a newer writer's.
    """
    return _decoder.decode(payload)
