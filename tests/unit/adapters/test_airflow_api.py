"""The REST client against a server that answers as Airflow 3.3.2 does; the answers were copied from one."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from include.adapters.airflow_api import (
    AirflowApi,
    AirflowRefused,
    AirflowUnreachable,
    AlreadyThere,
    BadRunId,
    Question,
    transport,
)

RUN = {
    "dag_id": "retrain_toy",
    "dag_run_id": "one",
    "state": "queued",
    "run_type": "manual",
    "partition_key": None,
    "conf": {},
    "queued_at": "2026-11-21T02:30:20Z",
    "start_date": None,
    "end_date": None,
}
DUPLICATE = {"detail": {"reason": "Unique constraint violation", "statement": "hidden", "message": "Serious error"}}


class FakeAirflow:
    """Hands out tokens t1, t2, …; everything else is answered by ``answer``. Remembers what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.tokens = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            if json.loads(request.content)["password"] != "right":
                return httpx.Response(401, json={"detail": "Invalid credentials"})
            self.tokens += 1
            return httpx.Response(201, json={"access_token": f"t{self.tokens}"})
        self.asked.append(f"{request.method} {request.url.path.removeprefix('/api/v2/')}")
        return self.answer(request)


@pytest.fixture
def client(monkeypatch):
    """Builds a client of a fake; pauses between attempts take no time."""
    monkeypatch.setattr(transport.time, "sleep", lambda seconds: None)
    built = []

    def build(answer, password="right"):
        fake = FakeAirflow(answer)
        api = AirflowApi("http://127.0.0.1:8080", "admin", password)
        api._http.close()
        api._http = httpx.Client(base_url=api.url, transport=httpx.MockTransport(fake))
        built.append(api)
        return api, fake

    yield build
    for api in built:
        api.close()


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """The answers one after the other; an exception is raised; the last one for ever."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        now = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(now, Exception):
            raise now
        return now

    return answer


def test_a_run_is_started_with_its_own_id_and_a_null_logical_date(client):
    bodies = []

    def answer(request):
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=RUN | {"partition_key": "2013-01-05T00:00:00"})

    api, fake = client(answer)
    run, started = api.trigger("retrain_toy", "one", {"a": 1}, partition_key="2013-01-05T00:00:00")
    assert (started, run.partition_key, run.finished) == (True, "2013-01-05T00:00:00", False)
    assert fake.asked == ["POST dags/retrain_toy/dagRuns"]
    assert bodies == [
        {"dag_run_id": "one", "logical_date": None, "conf": {"a": 1}, "partition_key": "2013-01-05T00:00:00"}
    ]


def test_a_run_id_that_is_there_already_starts_nothing_and_shows_the_run(client):
    api, fake = client(
        in_turn(httpx.Response(409, json=DUPLICATE), httpx.Response(200, json=RUN | {"state": "success"}))
    )
    run, started = api.trigger("retrain_toy", "one")
    assert (started, run.state) == (False, "success")
    assert fake.asked == ["POST dags/retrain_toy/dagRuns", "GET dags/retrain_toy/dagRuns/one"]


def test_a_start_whose_answer_was_lost_is_asked_again_and_recognised(client):
    lost = httpx.ReadError("connection reset")
    api, fake = client(in_turn(lost, httpx.Response(409, json=DUPLICATE), httpx.Response(200, json=RUN)))
    _, started = api.trigger("retrain_toy", "one")
    assert not started
    assert len(fake.asked) == 3


@pytest.mark.parametrize("run_id", ["", "a b", "a/b", "..", "a..b", "x" * 251, "{{ ds }}", "a;drop"])
def test_a_bad_run_id_is_refused_before_anything_is_sent(client, run_id):
    api, fake = client(in_turn(httpx.Response(500)))
    with pytest.raises(BadRunId, match="is not a run id"):
        api.trigger("retrain_toy", run_id)
    assert fake.asked == []


def test_a_read_is_tried_again_a_bounded_number_of_times(client):
    api, fake = client(in_turn(httpx.Response(500, json={"detail": {"reason": "Database error"}})))
    with pytest.raises(AirflowUnreachable, match=r"could not show the run one of x \(500\): Database error\.$"):
        api.dag_run("x", "one")
    assert len(fake.asked) == 5


def test_a_write_without_a_name_is_never_made_twice(client):
    api, fake = client(in_turn(httpx.Response(500, json={"detail": "no"})))
    with pytest.raises(AirflowUnreachable):
        api.create_backfill("features_toy", "2013-02-01", "2013-02-03")
    assert fake.asked == ["POST backfills"]


def test_an_expired_token_is_renewed_once(client):
    def answer(request):
        fresh = request.headers["Authorization"] == "Bearer t2"
        return (
            httpx.Response(200, json={"version": "3.3.2"}) if fresh else httpx.Response(401, json={"detail": "expired"})
        )

    api, fake = client(answer)
    api._token = "old"
    fake.tokens = 1
    assert api.version() == "3.3.2"
    assert fake.tokens == 2


def test_a_wrong_password_is_said_once(client):
    api, _ = client(in_turn(httpx.Response(200, json={})), password="wrong")
    with pytest.raises(AirflowRefused, match=r"^Airflow refused to log in admin \(401\): Invalid credentials\.$"):
        api.dags()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            httpx.Response(400, json={"detail": "Invalid input for param n: 'x' is not of type 'integer'\n\nFailed …"}),
            "Airflow refused to start retrain_toy (400): Invalid input for param n: 'x' is not of type 'integer'.",
            id="a schema error stops before the schema",
        ),
        pytest.param(
            httpx.Response(422, json={"detail": [{"loc": ["body", "logical_date"], "msg": "Field required"}]}),
            "Airflow refused to start retrain_toy (422): logical_date: Field required.",
            id="a list of errors names the fields",
        ),
        pytest.param(
            httpx.Response(404, text="<html>"),
            "Airflow refused to start retrain_toy (404): <html>.",
            id="an answer that is no JSON",
        ),
    ],
)
def test_a_refusal_is_one_sentence_with_the_servers_reason(client, answer, message):
    api, fake = client(in_turn(answer))
    with pytest.raises(AirflowRefused) as caught:
        api.trigger("retrain_toy", "one")
    assert str(caught.value) == message
    assert len(fake.asked) == 1


def test_a_list_is_read_page_by_page(client):
    def answer(request):
        offset = int(request.url.params["offset"])
        rows = [{"dag_id": f"d{i}", "is_paused": i % 2 == 0} for i in range(offset, min(offset + 100, 130))]
        return httpx.Response(200, json={"dags": rows, "total_entries": 130})

    api, fake = client(answer)
    assert len(api.dags()) == 130
    assert len(fake.asked) == 2


def test_health_names_components_as_their_commands(client):
    body = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T02:23:01+00:00"},
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        "dag_processor": {"status": "unhealthy", "latest_dag_processor_heartbeat": "2026-11-21T02:20:01+00:00"},
    }
    api, _ = client(in_turn(httpx.Response(200, json=body)))
    health = api.health()
    assert not health.healthy
    assert health.components == {"scheduler": "healthy", "triggerer": None, "dag-processor": "unhealthy"}
    assert health.heartbeats["scheduler"] == "2026-11-21T02:23:01+00:00"


def test_nobody_listening_is_said_in_one_sentence():
    with (
        AirflowApi("http://127.0.0.1:9", "admin", "x") as api,
        pytest.raises(AirflowUnreachable, match=r"at http://127.0.0.1:9 does not answer: nothing listens there\.$"),
    ):
        api.health()


def test_an_answered_question_cannot_be_answered_again(client):
    api, fake = client(in_turn(httpx.Response(409, json={"detail": "has already been updated"})))
    question = Question("d", "r", "ask", -1, "May it?", ("Approve", "Reject"))
    with pytest.raises(AlreadyThere):
        api.answer(question, "Approve")
    assert fake.asked == ["PATCH dags/d/dagRuns/r/taskInstances/ask/-1/hitlDetails"]


def test_what_was_never_handed_on_is_none(client):
    api, _ = client(in_turn(httpx.Response(404, json={"detail": "XCom entry with key: `nope` not found"})))
    assert api.xcom("d", "r", "t", "nope") is None
