"""Outcomes that are told over HTTP: written down before the reply, dated by the service, and refused by name."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from app_world import FEATURES, NOON

from include.domain.journal.records import OutcomeRecord
from include.serving.tokens import Tokens

PATH = "/v1/models/trip_late/outcomes"


def test_an_outcome_is_written_down_with_the_time_at_which_it_came(app_world):
    app_world.ask({"features": FEATURES, "request_id": "r1"})
    app_world.now = NOON + timedelta(hours=3)
    reply = app_world.ask({"request_id": "r1", "value": "late"}, PATH)
    assert (reply.status, reply.json) == (
        200,
        {"model": "trip_late", "outcomes": 1, "known": "2024-03-10T15:00:00+00:00"},
    )
    assert app_world.outcomes.records == [OutcomeRecord("trip_late", "r1", "late", NOON + timedelta(hours=3))]
    assert len(app_world.journal.records) == 1, "the journal of answers has no outcome in it"
    assert app_world.counted()['slipway_outcomes_total{model="trip_late"}'] == 1
    assert app_world.counted()['slipway_request_seconds_count{model="trip_late"}'] == 1, "it is no answer's time"


def test_several_outcomes_are_told_at_once_and_all_count_or_none(app_world):
    several = [{"request_id": "r1", "row": i, "value": "late"} for i in range(3)]
    assert app_world.ask({"outcomes": several}, PATH).json["outcomes"] == 3
    assert [record.row for record in app_world.outcomes.records] == [0, 1, 2]
    wrong = app_world.ask({"outcomes": [*several, {"request_id": "r2", "value": "perhaps"}]}, PATH)
    assert wrong.status == 422
    assert wrong.json["details"] == [
        {"outcome": 3, "field": "value", "problem": "is none of the model's classes; these are on_time, late"}
    ]
    assert len(app_world.outcomes.records) == 3


def test_a_class_is_kept_as_it_is_declared_and_a_number_is_kept_as_one(app_world):
    app_world.publish(2, classes=["0", "1"])
    for given in (True, "yes", 1.0, "1"):
        assert app_world.ask({"request_id": "r1", "value": given}, PATH).status == 200
    app_world.publish(3, task="regression", classes=[])
    assert app_world.ask({"request_id": "r1", "value": 7}, PATH).status == 200
    assert [record.value for record in app_world.outcomes.records] == ["1", "1", "1", "1", 7.0]
    assert app_world.ask({"request_id": "r1", "value": "7"}, PATH).json["error"] == "value is no finite number"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is no JSON"),
        ([], "the body is no JSON object"),
        ({}, "request_id is a text of 1 to 200 visible characters and 1 more"),
        ({"request_id": "r", "value": None}, "value is none of the model's classes"),
        ({"request_id": "r", "value": ["late"]}, "value is none of the model's classes"),
        ({"request_id": 7, "value": "late"}, "request_id is a text"),
        ({"request_id": "r", "row": True, "value": "late"}, "row is a whole number from 0 to 999"),
        ({"request_id": "r", "row": 1000, "value": "late"}, "row is a whole number from 0 to 999"),
        ({"request_id": "r", "value": "late", "when": 1}, "when is not known"),
        ({"outcomes": {}}, "outcomes is no list"),
        ({"outcomes": []}, "there are 0 outcomes"),
        ({"outcomes": [7]}, "outcome 0: outcome is no JSON object"),
        ({"outcomes": [], "value": 1}, "'value' is not known beside outcomes"),
    ],
)
def test_what_cannot_be_an_outcome_is_named(app_world, body, said):
    reply = app_world.ask(body, PATH)
    assert 400 <= reply.status < 500
    assert said in reply.json["error"]
    assert app_world.outcomes.records == []


def test_too_many_at_once_are_a_413_and_an_unknown_model_a_404(app_world):
    many = [{"request_id": f"r{i}", "value": "late"} for i in range(1001)]
    assert app_world.ask({"outcomes": many}, PATH).status == 413
    assert app_world.ask({"request_id": "r", "value": "late"}, "/v1/models/wind/outcomes").status == 404


def test_an_outcome_that_cannot_be_written_down_is_never_said_to_be_known(app_world):
    app_world.outcomes.full = True
    assert app_world.ask({"request_id": "r", "value": "late"}, PATH).status == 503
    app_world.outcomes.full = False
    app_world.outcomes.disk_fails = True
    app_world.publish(2, durability="power")
    assert app_world.ask({"request_id": "r", "value": "late"}, PATH).status == 503


def test_telling_outcomes_is_a_right_of_its_own_and_who_told_is_kept(new_app_world):
    scopes = {"asks": ("predict:*",), "tells": ("outcomes:trip_late",), "other": ("outcomes:wind",), "all": ("admin",)}
    known = {hashlib.sha256(name.encode()).hexdigest(): name for name in scopes}
    world = new_app_world(tokens=Tokens({key: scopes[name] for key, name in known.items()}, None, known))
    body = {"request_id": "r", "value": "late"}
    status = {name: world.ask(body, PATH, authorization=f"Bearer {name}").status for name in (*scopes, "none")}
    assert status == {"asks": 403, "tells": 200, "other": 403, "all": 200, "none": 401}
    assert [record.by for record in world.outcomes.records] == ["tells", "all"]
    assert world.ask({"features": FEATURES}, authorization="Bearer tells").status == 403
