"""What a worker answers: who, from which values, written down before the reply; and what it refuses, by name."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from app_world import FEATURES, NOON

from include.domain.journal.records import ViewServed
from include.domain.packed.reader import read
from include.serving import app as the_app
from include.serving.app import AppLimits
from include.serving.models import PackedRefused, checked
from include.serving.tokens import Tokens


def expected(world: Any, seed: int = 1) -> float:
    return float(read(world.folder / f"{seed}.npz").one(FEATURES))


# --- an answer -------------------------------------------------------------------------------------------------------


def test_given_values_are_answered_by_the_champion_and_written_down(app_world):
    reply = app_world.ask({"features": FEATURES, "request_id": "r1"}, traceparent="00-1-2-01")
    score = expected(app_world)
    assert reply.status == 200
    assert reply.json == {
        "request_id": "r1",
        "model": "trip_late",
        "served_by": "c1",
        "revision": 1,
        "predictions": [{"score": score, "predicted": "late" if score > 0.5 else "on_time"}],
    }
    assert reply.headers["x-slipway-served-by"] == "c1"
    assert reply.headers["x-slipway-revision"] == "1"
    (record,) = app_world.journal.records
    assert (record.asked_id, record.features, record.given, record.views) == ("r1", FEATURES, "all", {})
    assert (record.score, record.prediction_time, record.trace) == (score, NOON, "00-1-2-01")
    assert (record.candidate, record.digest, record.revision, record.route_revision) == ("c1", "digest-1", 1, 1)


def test_values_that_are_left_out_are_looked_up_with_their_age(app_world):
    app_world.push_a_trip()
    reply = app_world.ask({"keys": {"trip_id": "t-1"}})
    assert reply.json["predictions"][0]["score"] == expected(app_world)
    (record,) = app_world.journal.records
    assert record.features == FEATURES
    assert record.keys == {"trip_id": "t-1"}
    assert record.event_time == NOON + timedelta(hours=2)
    assert record.given == []
    assert record.views["station_level"] == ViewServed(2, NOON - timedelta(minutes=1), 60.0, None, "a test")
    assert record.views["trip_plan"].age_s == -7200.0


def test_a_value_that_the_caller_gives_wins_over_the_stores(app_world):
    app_world.push_a_trip()
    app_world.ask({"keys": {"trip_id": "t-1"}, "features": {"level": 30.0}})
    (record,) = app_world.journal.records
    assert record.features["level"] == 30.0
    assert record.given == ["level"]


def test_several_rows_are_one_request_and_a_record_each(app_world):
    reply = app_world.ask({"rows": [{"features": FEATURES}, {"features": {**FEATURES, "order": 3.0}}]})
    scores = [each["score"] for each in reply.json["predictions"]]
    assert scores == [float(read(app_world.folder / "1.npz").one({**FEATURES, "order": o})) for o in (0.5, 3.0)]
    made = reply.json["request_id"]
    assert [record.asked_id for record in app_world.journal.records] == [f"{made}#0", f"{made}#1"]


@pytest.mark.parametrize(
    ("at", "available", "why"),
    [
        (NOON - timedelta(hours=3), NOON - timedelta(hours=3), "stale"),
        (NOON + timedelta(seconds=1), NOON, "future"),
        (NOON - timedelta(hours=1), NOON + timedelta(seconds=1), "future"),
    ],
)
def test_f162_a_value_that_may_not_be_used_is_missing_and_says_why(app_world, at, available, why):
    app_world.push_a_trip()
    app_world.store.put("station_level", "north", at, available=available, level=12.0)
    reply = app_world.ask({"keys": {"trip_id": "t-1"}})
    assert reply.json["predictions"][0]["missing"] == {"station_level": why}
    assert app_world.journal.records[0].features["level"] is None
    assert app_world.counted()[f'slipway_missing_total{{model="trip_late",view="station_level",why="{why}"}}'] == 1


def test_f164_an_entity_that_no_one_knows_is_refused_where_the_view_says_so(app_world):
    reply = app_world.ask({"keys": {"trip_id": "t-2"}})
    assert (reply.status, reply.json["details"]) == (422, [{"view": "trip_plan", "problem": "absent", "age_s": None}])
    assert app_world.journal.records == []


def test_f162_an_online_store_that_is_away_is_a_missing_value(app_world):
    app_world.push_a_trip()
    app_world.store.down = True
    given = {"station": "north", "order": 0.5}
    reply = app_world.ask({"keys": {"trip_id": "t-1"}, "features": given})
    assert reply.json["predictions"][0]["missing"]["station_level"] == "unreachable"
    assert app_world.ask({"keys": {"trip_id": "t-1"}}).status == 422


def test_f163_a_store_that_changes_between_two_views_leaves_each_value_with_its_own_time(app_world, monkeypatch):
    app_world.push_a_trip()
    row, newer = app_world.store.row, NOON - timedelta(seconds=1)

    def changing(view: str, version: int, keys: Any) -> Any:
        found = row(view, version, keys)
        if view == "trip_plan":
            app_world.store.put("trip_plan", "t-1", NOON + timedelta(hours=3), available=NOON, station="x", order=9.0)
            app_world.store.put("station_level", "north", newer, level=30.0)
        return found

    monkeypatch.setattr(app_world.store, "row", changing)
    assert app_world.ask({"keys": {"trip_id": "t-1"}}).status == 200
    (record,) = app_world.journal.records
    assert record.features == {"station": "north", "order": 0.5, "level": 30.0}
    assert (record.views["trip_plan"].event_time, record.event_time) == (NOON + timedelta(hours=2),) * 2
    assert (record.views["station_level"].event_time, record.views["station_level"].age_s) == (newer, 1.0)


def test_what_is_omitted_by_declaration_is_served_and_not_kept(app_world):
    app_world.publish(2, omit=["station"])
    assert app_world.ask({"features": FEATURES}).status == 200
    (record,) = app_world.journal.records
    assert (record.features, record.omitted) == ({"order": 0.5, "level": 12.0}, ["station"])


def test_f156_the_clock_never_goes_back_within_a_worker(app_world):
    app_world.ask({"features": FEATURES})
    app_world.now = NOON - timedelta(hours=1)
    app_world.ask({"features": FEATURES})
    assert [record.prediction_time for record in app_world.journal.records] == [NOON, NOON]


# --- the same request again ------------------------------------------------------------------------------------------


def test_the_same_request_has_the_same_answer_and_one_record(app_world):
    first = app_world.ask({"features": FEATURES, "request_id": "r1"})
    app_world.publish(2, seed=2)
    again = app_world.ask({"features": FEATURES, "request_id": "r1"})
    assert again == first
    assert len(app_world.journal.records) == 1
    other = app_world.ask({"features": {**FEATURES, "order": 9.0}, "request_id": "r1"})
    assert other.status == 409


def test_what_is_remembered_has_a_bound(new_app_world):
    world = new_app_world(limits=AppLimits(remembered=2))
    for name in ("a", "b", "c", "a"):
        world.ask({"features": FEATURES, "request_id": name})
    assert [record.asked_id for record in world.journal.records] == ["a", "b", "c", "a"]


# --- who answers -----------------------------------------------------------------------------------------------------


def test_f115_a_new_route_answers_from_the_next_request_on(app_world):
    before = app_world.ask({"features": FEATURES}).json
    app_world.publish(2, seed=2)
    after = app_world.ask({"features": FEATURES}).json
    assert (before["revision"], after["revision"]) == (1, 2)
    assert after["predictions"][0]["score"] == expected(app_world, 2) != before["predictions"][0]["score"]


def test_f145_f150_a_packed_file_of_another_content_leaves_the_former_model(app_world):
    app_world.ask({"features": FEATURES})
    app_world.publish(2, seed=2, packed_sha256="00" * 32)
    reply = app_world.ask({"features": FEATURES})
    assert (reply.status, reply.json["revision"]) == (200, 1)
    assert "route revision 2 cannot be loaded: 2.npz has the sha256" in app_world.app.models.problems["trip_late"]


def test_f145_without_a_former_model_nothing_answers(app_world):
    app_world.publish(2, packed="/nowhere.npz", packed_sha256="00" * 32)
    app_world.app = app_world.new_app()
    assert app_world.ask({"features": FEATURES}).status == 503
    assert app_world.get("/readyz").status == 503
    assert app_world.get("/livez").status == 200


def test_f145_a_file_that_answers_its_own_rows_otherwise_is_refused(tmp_path, packed_bytes, monkeypatch):
    file = tmp_path / "m.npz"
    file.write_bytes(packed_bytes[1])
    monkeypatch.setattr("include.domain.packed.reader.Packed.check", lambda self: 3)
    with pytest.raises(PackedRefused, match="answers 3 of its own rows otherwise"):
        checked(file, hashlib.sha256(packed_bytes[1]).hexdigest())


def test_f148_the_arrays_of_a_served_model_cannot_be_written_to(app_world):
    packed = app_world.app.models.current()["trip_late"].form
    with pytest.raises(ValueError, match="read-only"):
        packed.arrays["threshold"][0] = 1.0


# --- what is refused -------------------------------------------------------------------------------------------------


def test_f140_an_answer_that_cannot_be_written_down_is_refused_or_counted(app_world):
    app_world.journal.full = True
    served = app_world.ask({"features": FEATURES})
    assert (served.status, served.headers["x-slipway-uncounted"]) == (200, "1")
    app_world.publish(2, on_journal_full="refuse")
    refused = app_world.ask({"features": FEATURES})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert app_world.counted()['slipway_journal_failed_total{model="trip_late"}'] == 2


def test_a_deadline_that_is_over_is_a_504_and_no_record(app_world):
    app_world.publish(2, deadline_s=0.0)
    assert app_world.ask({"features": FEATURES}).status == 504
    assert app_world.journal.records == []
    assert app_world.ask({"features": FEATURES}, x_slipway_deadline_ms="soon").status == 422


def test_too_many_at_once_are_told_to_come_again(new_app_world):
    world = new_app_world(limits=AppLimits(in_flight=0))
    reply = world.ask({"features": FEATURES})
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert world.get("/livez").status == 200


def test_f117_a_body_that_does_not_come_is_given_up_and_one_who_leaves_gets_nothing(new_app_world):
    world = new_app_world(limits=AppLimits(body_s=0.01))
    said: list[Any] = []

    async def asks(receive: Any) -> None:
        scope = {"type": "http", "method": "POST", "path": "/v1/models/trip_late/predict", "headers": []}

        async def send(message: Any) -> None:
            said.append(message)

        await world.app(scope, receive, send)

    async def never() -> Any:
        await asyncio.Event().wait()

    async def leaves() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(asks(never))
    assert (said[0]["status"], (b"connection", b"close") in said[0]["headers"]) == (408, True)
    said.clear()
    asyncio.run(asks(leaves))
    assert said == []
    assert world.app.in_flight == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_length": "2000000"}, 413),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": "text/csv"}, 415),
        ({"inference_header_content_length": "100"}, 415),
        ({"x_request_id": "é"}, 422),
    ],
)
def test_f165_a_body_of_another_kind_is_refused(app_world, headers, status):
    assert app_world.ask({"features": FEATURES}, **headers).status == status


def test_a_failure_of_the_service_is_a_500_that_is_counted_and_the_next_request_is_answered(app_world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(the_app, "parsed", lambda body: 1 / 0)
        assert app_world.ask({"features": FEATURES}).json == {"error": "the service failed: ZeroDivisionError"}
    assert app_world.ask({"features": FEATURES}).status == 200
    assert app_world.counted()['slipway_broken_total{kind="ZeroDivisionError"}'] == 1


# --- who may ask -----------------------------------------------------------------------------------------------------


def test_f169_a_token_is_asked_for_and_is_for_some_models(new_app_world):
    known = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("all", "one", "other")}
    scopes = {"all": ("predict:*",), "one": ("predict:trip_late",), "other": ("predict:wind",)}
    world = new_app_world(tokens=Tokens({known[name]: scopes[name] for name in known}))
    body = {"features": FEATURES}
    status = {name: world.ask(body, authorization=f"Bearer {name}").status for name in (*known, "none")}
    assert status == {"all": 200, "one": 200, "other": 403, "none": 401}
    assert world.ask(body).status == 401
    assert world.ask(body, authorization="Basic all").status == 401
    assert world.get("/v1/status").status == world.get("/metrics").status == 401
    assert world.get("/readyz").status == 200
    assert world.send("GET", "/v1/models/trip_late/predict?token=all", b"").status == 401


def test_a_token_that_asks_too_often_is_told_to_come_again_and_holds_no_other(new_app_world):
    known = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("slow", "free")}
    world = new_app_world(tokens=Tokens(dict.fromkeys(known.values(), ("predict:*",)), {known["slow"]: 0.001}))
    body = {"features": FEATURES}
    first, second = (world.ask(body, authorization="Bearer slow") for _ in range(2))
    assert (first.status, second.status, second.headers["retry-after"]) == (200, 429, "1")
    assert second.json["error"] == "the token asks more often than it may"
    assert [world.ask(body, authorization="Bearer free").status for _ in range(3)] == [200] * 3


# --- other protocols -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": [*FEATURES], "data": [[*FEATURES.values()]]}},
        {"dataframe_records": [FEATURES]},
        {"instances": [FEATURES]},
        {"inputs": {name: [value] for name, value in FEATURES.items()}},
        {"inputs": FEATURES},
        {"dataframe_records": [{"trip_id": "t-1"}]},
    ],
)
def test_the_forms_of_mlflow_s_scoring_server_are_answered(app_world, body):
    app_world.push_a_trip()
    for path in ("/invocations", "/trip_late/invocations"):
        assert app_world.ask(body, path).json == {"predictions": [expected(app_world)]}


def test_the_open_inference_protocol_is_answered(app_world):
    meta = app_world.get("/v2/models/trip_late").json
    assert [(each["name"], each["datatype"]) for each in meta["inputs"]] == [
        ("station", "BYTES"),
        ("order", "FP64"),
        ("level", "FP64"),
    ]
    inputs = [
        {"name": each["name"], "datatype": each["datatype"], "shape": [2], "data": [FEATURES[each["name"]]] * 2}
        for each in meta["inputs"]
    ]
    for path in ("/v2/models/trip_late/infer", "/v2/models/trip_late/versions/1/infer"):
        reply = app_world.ask({"id": f"q{len(path)}", "inputs": inputs}, path).json
        assert (reply["id"], reply["model_name"], reply["model_version"]) == (f"q{len(path)}", "trip_late", "1")
        assert reply["outputs"][0]["data"] == [expected(app_world)] * 2
    assert app_world.get("/v2/models/trip_late/ready").json["ready"] is True
    assert app_world.get("/v2/models/trip_late/versions/7").status == 404


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/invocations", {}, "the body has one of dataframe_split"),
        ("/invocations", {"inputs": 1}, "inputs is a list of objects, or an object of lists"),
        ("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "another length"),
        ("/invocations", {"dataframe_split": {"columns": 7}}, "a list of names"),
        ("/v2/models/trip_late/infer", {"inputs": [{}]}, "each input has a name"),
        (
            "/v2/models/trip_late/infer",
            {"inputs": [{"name": "order", "shape": [3], "data": [1]}]},
            "do not fit its shape",
        ),
        ("/v2/models/trip_late/infer", {"inputs": []}, "there are no inputs"),
    ],
)
def test_what_is_wrong_in_another_protocol_is_named(app_world, path, body, said):
    reply = app_world.ask(body, path)
    assert (reply.status, said in reply.json["error"]) == (422, True), reply.json


# --- what it shows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/models/trip_late", "/v2/models/x/y/z/ready", "/%00", "/v1/models//predict"]
)
def test_an_unknown_path_is_a_404(app_world, path):
    assert app_world.get(path).status == 404
    assert app_world.ask({}, path).status == 404


def test_the_open_api_document_has_a_path_for_each_model_with_its_features(app_world):
    said = app_world.get("/v1/openapi.json").json
    schema = said["paths"]["/v1/models/trip_late/predict"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    one, several = schema["anyOf"]
    assert set(one["properties"]["features"]["properties"]) == set(FEATURES)
    assert set(several["properties"]["rows"]["items"]["properties"]) == {"features", "keys", "event_time"}


def test_f118_a_worker_that_ends_is_not_ready_and_closes_its_connections(app_world):
    app_world.app.draining = True
    assert app_world.get("/readyz").status == 503
    reply = app_world.ask({"features": FEATURES})
    assert (reply.status, reply.headers["connection"]) == (200, "close")


def test_f114_f165_no_request_to_any_route_is_a_failure_of_the_service(app_world):
    dice = random.Random(5)
    paths = ["/v1/models/trip_late/predict", "/invocations", "/v2/models/trip_late/infer", "/v1/models/x/predict", "/y"]
    bodies = [
        {"features": FEATURES},
        {"rows": [{"features": FEATURES, "keys": {"trip_id": 1}}]},
        {"dataframe_split": {"columns": [*FEATURES], "data": [[*FEATURES.values()]]}},
        {"inputs": [{"name": "order", "datatype": "FP64", "shape": [1], "data": [1]}]},
    ]
    atoms = [None, True, 0, -1, 1e308, 2**70, "", "x", [], {}, [[]], [None], {"a": 1}, "\x00", float("inf")]

    def changed(value: Any) -> Any:
        if dice.random() < 0.15:
            return dice.choice(atoms)
        if isinstance(value, dict):
            return {
                (k if dice.random() < 0.95 else dice.choice(["", "keys", "x"])): changed(v) for k, v in value.items()
            }
        return [changed(each) for each in value] if isinstance(value, list) else value

    seen = set()
    for _ in range(1500):
        method = dice.choice(["POST", "POST", "POST", "GET", "PUT", "HEAD", "DELETE"])
        status = app_world.send(method, dice.choice(paths), json.dumps(changed(dice.choice(bodies))).encode()).status
        seen.add(status)
        assert status < 500, status
    assert {200, 404, 405, 422} <= seen
