"""What people see and may do in a real Airflow, with its own scheduler, triggerer, login and rights.

The Dag is one gate that asks and stands for a journey; its ledger is the real one. So a promise that is broken, a
note, a viewer's click and a run deleted under way are tried where they happen.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from invariants import check_invariants
from pages_world import published
from waiting import PATIENCE_S, eventually

from include.adapters.airflow_api import AirflowRefused, AlreadyThere
from include.adapters.ledger import Ledger, PartitionStatus
from include.adapters.ports import free_ports
from include.config import loader
from include.config.settings import PROJECT, settings
from include.domain.authority import Person
from include.domain.journey import Trigger
from include.domain.lifecycle import Event, JourneyRequest, State
from include.workflows.pages import notices
from include.workflows.services.environment import Place, Ports
from include.workflows.services.supervisor import running_services
from include.workflows.services.watchdog import Patience

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
MODEL = "air_time"
DAG = f"retrain_{MODEL}"
REASON = "The outage of 12 March explains it"
SECRET = "planted-b7e1f0c2"
JOURNEY_DAG = f'''
"""A journey that is one gate, which asks."""

from datetime import timedelta

from airflow.sdk import dag
from slipway_airflow import deadline, docs
from slipway_airflow.gates import GateOperator

from include.config import declared_models

model = next(m for m in declared_models() if m.name == "{MODEL}")


def judge(reference, now):
    return {{"verdict": "INCONCLUSIVE", "passed": False, "reason": "r", "table": "t", "markdown": "m"}}


def approve(reference, gate, who, why, now):
    return {{"table": f"{{gate}} was approved by {{who}}: {{why}}", "reference": dict(reference)}}


@dag(
    dag_id="{DAG}",
    schedule=None,
    deadline=deadline.promised(model.model_copy(update={{"journey_within": timedelta(seconds=4)}})),
    **docs.about(__doc__, model, "retrain"),
)
def journey():
    GateOperator(task_id="approval", judge=judge, approve=approve, journey={{"model": "{MODEL}"}})


journey()
'''


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    (folder / "dags").mkdir()
    (folder / "dags" / "journey.py").write_text(JOURNEY_DAG, encoding="utf-8")
    shutil.copy(PROJECT / "dags" / "housekeeping.py", folder / "dags")
    place = Place(folder / "home", ports=Ports(*free_ports(2)), dags=folder / "dags")
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": 1, "login": "slipway", "password": SECRET}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_HOME", str(place.home))
        patch.setenv("SLIPWAY_LEDGER_URL", f"sqlite:///{place.home / 'ledger.db'}")
        patch.setenv("MLFLOW_TRACKING_URI", place.mlflow_url)
        patch.setenv("AIRFLOW_CONN_MAIL", json.dumps(mail))
        # A busy machine is no dead one, and the watchdog is not what is tried here.
        patience = Patience(silent_for_s=180.0, young_for_s=180.0)
        with (
            running_services(place, expected_dags=[DAG, "housekeeping"], patience=patience) as running,
            running.api() as api,
        ):
            api.unpause(DAG)
            with Ledger.open(settings().ledger_url) as ledger:
                # Without a day of requests there is nothing a journey could learn from; an empty one will do.
                empty = {"status": PartitionStatus.EMPTY, "rows": 0, "table_version": None}
                ledger.partitions.record([replace(published("2013-05-31"), **empty)])
            yield running


@pytest.fixture
def api(services):
    with services.api() as client:
        yield client


@pytest.fixture
def ledger(services):
    with Ledger.open(settings().ledger_url) as opened:
        yield opened


@pytest.fixture
def asked(api, ledger):
    """Starts a run of a journey that waits for an answer; gives its candidate."""

    def ask(run_id: str, *, opened: bool = True):
        candidate = None
        if opened:
            request = JourneyRequest(
                model=MODEL,
                run_id=run_id,
                as_of=datetime(2013, 6, 1, tzinfo=UTC),
                trigger=Trigger.API,
                reason="a test",
                requested_by="ada",
            )
            candidate = ledger.candidates.open(request, supersede=True, by=Person("otto", operator=True))
        api.trigger(DAG, run_id, {"as_of": "2013-06-01", "reason": "a test"})
        eventually(lambda: api.questions(DAG, run_id))
        return candidate

    return ask


def told(kind: str) -> list[dict]:
    file = settings().home / notices.FILE
    lines = map(json.loads, file.read_text().splitlines()) if file.exists() else []
    return [line for line in lines if line["kind"] == kind]


def note(services, run_id: str) -> str:
    answer = httpx.get(f"{services.airflow_url}/api/v2/dags/{DAG}/dagRuns/{run_id}", headers=token(services, "admin"))
    return str(answer.json()["note"] or "")


def token(services, user: str) -> dict[str, str]:
    body = {"username": user, "password": services.passwords[user]}
    answer = httpx.post(f"{services.airflow_url}/auth/token", json=body, timeout=PATIENCE_S)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_journey_that_takes_longer_than_promised_is_told_once_and_ends_with_its_outcome_as_the_runs_note(
    services, api, ledger, asked
):
    candidate = asked("late")
    (line,) = eventually(lambda: told("late"))
    assert line["to"] == loader.declarations().model(MODEL).owners.on_call
    assert line["sentence"].startswith(f"{MODEL}: {candidate.candidate_id} takes longer than the ")
    assert line["link"] == f"{services.airflow_url}/slipway/candidates/{candidate.candidate_id}"
    outcome = "Rejected: threshold_gate: mae 12.1 is outside its bound <= 9 on 5,000 rows."
    ledger.candidates.close(candidate.candidate_id, Event.REJECT, outcome=outcome, actor="close_journey")
    (question,) = api.questions(DAG, "late")
    api.answer(question, "Reject")
    assert api.wait(DAG, "late", PATIENCE_S).state == "failed"
    assert note(services, "late") == outcome
    assert api.clear(DAG, "late", ["approval"], only_failed=False) == ["approval"], (
        "a run with a promise can be cleared"
    )
    eventually(lambda: api.questions(DAG, "late"))
    assert len(told("late")) == 1
    api.set_run_state(DAG, "late", "failed")
    check_invariants(World(services))


def test_a_journey_that_ends_in_time_is_nobodys_news(services, api, ledger, asked):
    candidate = asked("quick")
    api.set_run_state(DAG, "quick", "failed")
    ledger.candidates.close(candidate.candidate_id, Event.FAIL, outcome="Broken.", actor="close_journey")
    asked("later", opened=False)
    late = eventually(lambda: [line for line in told("late") if "later" in line["sentence"]])
    assert late[0]["sentence"].endswith("and has opened no journey yet.")
    assert not [line for line in told("late") if candidate.candidate_id in line["sentence"]]
    api.set_run_state(DAG, "later", "failed")


def test_f136_f060_a_viewer_may_not_trigger_clear_mark_answer_or_delete(services, api, asked):
    asked("looked-at", opened=False)
    (question,) = api.questions(DAG, "looked-at")
    with services.api("viewer") as viewer:
        for attempt in (
            lambda: viewer.trigger(DAG, "not-mine"),
            lambda: viewer.clear(DAG, "looked-at", ["approval"], only_failed=False),
            lambda: viewer.set_task_state(DAG, "looked-at", "approval", "success"),
            lambda: viewer.set_run_state(DAG, "looked-at", "success"),
            lambda: viewer.answer(question, "Approve"),
        ):
            with pytest.raises(AirflowRefused) as refused:
                attempt()
            assert refused.value.status == 403
    where = f"{services.airflow_url}/api/v2/dags/{DAG}/dagRuns/looked-at"
    assert httpx.delete(where, headers=token(services, "viewer")).status_code == 403
    assert api.dag_run(DAG, "looked-at").state == "running"
    assert [q.task_id for q in api.questions(DAG, "looked-at")] == ["approval"]
    assert "not-mine" not in {run.run_id for run in api.dag_runs(DAG)}


def test_f108_f136_slipways_own_routes_ask_airflows_login_and_rights_too(services, api):
    url = f"{services.airflow_url}/slipway/api/v1"
    body = {"as_of": "2013-06-01", "reason": "A viewer tries"}
    retrain, key = f"{url}/models/{MODEL}/retrain", {"Idempotency-Key": "k"}
    assert httpx.get(f"{url}/models").status_code == 401
    assert httpx.post(retrain, json=body, headers=key).status_code == 401
    viewer = token(services, "viewer")
    assert httpx.get(f"{url}/models", headers=viewer, timeout=PATIENCE_S).status_code == 200
    assert httpx.post(retrain, json=body, headers=viewer | key, timeout=PATIENCE_S).status_code == 403
    assert "api__k" not in {run.run_id for run in api.dag_runs(DAG)}


def test_f060_the_second_answer_finds_the_question_answered(api, asked):
    asked("answered-twice", opened=False)
    (question,) = api.questions(DAG, "answered-twice")
    api.answer(question, "Approve", {"approval_reason": REASON})
    with pytest.raises(AlreadyThere):
        api.answer(question, "Reject")
    assert api.wait(DAG, "answered-twice", PATIENCE_S).state == "success"


def test_f060_the_pages_approval_answers_the_gate_under_the_persons_name_with_the_reason(services, api, asked):
    candidate = asked("approved", opened=True)
    # Airflow fails a task whose question is answered before its scheduler has heard that the first part ended.
    beats = set()
    eventually(lambda: beats.add(api.health().heartbeats["scheduler"]) or len(beats) == 3)
    where = f"{services.airflow_url}/slipway/api/v1/candidates/{candidate.candidate_id}/approve"
    body = {"gate": "approval", "reason": REASON}
    assert httpx.post(where, json=body, headers=token(services, "viewer"), timeout=PATIENCE_S).status_code == 403
    answer = httpx.post(where, json=body, headers=token(services, "operator"), timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    assert api.wait(DAG, "approved", PATIENCE_S).state == "success"
    assert f"approval was approved by operator: {REASON}" in api.log(DAG, "approved", "approval")
    again = httpx.post(where, json=body, headers=token(services, "operator"), timeout=PATIENCE_S)
    assert again.status_code in (404, 409)


def test_f125_a_run_under_way_cannot_be_deleted_and_one_that_is_marked_frees_the_models_place(
    services, api, ledger, asked
):
    candidate = asked("doomed")
    where = f"{services.airflow_url}/api/v2/dags/{DAG}/dagRuns/doomed"
    refused = httpx.delete(where, headers=token(services, "admin"))
    assert refused.status_code == 409
    assert api.dag_run(DAG, "doomed").state == "running"
    api.set_run_state(DAG, "doomed", "failed")
    assert httpx.delete(where, headers=token(services, "admin")).status_code == 204
    # The Dag of this test has no close_journey: the candidate is left as a deletion leaves it.
    assert ledger.candidates.get(candidate.candidate_id).state is State.OPENED
    successor = asked("successor")
    assert ledger.candidates.get(candidate.candidate_id).state is State.SUPERSEDED
    assert ledger.candidates.live(MODEL).candidate_id == successor.candidate_id
    check_invariants(World(services))


def test_f188_a_candidate_whose_run_was_deleted_is_closed_by_housekeeping_and_its_owner_is_told(
    services, api, ledger, asked
):
    candidate = asked("orphan")
    api.unpause("housekeeping")
    api.trigger("housekeeping", "while-it-runs")
    assert api.wait("housekeeping", "while-it-runs", PATIENCE_S).state == "success"
    assert ledger.candidates.get(candidate.candidate_id).state is State.OPENED, "its run is under way"
    api.set_run_state(DAG, "orphan", "failed")
    where = f"{services.airflow_url}/api/v2/dags/{DAG}/dagRuns/orphan"
    assert httpx.delete(where, headers=token(services, "admin")).status_code == 204
    api.trigger("housekeeping", "at-night")
    assert api.wait("housekeeping", "at-night", PATIENCE_S).state == "success"
    closed = ledger.candidates.get(candidate.candidate_id)
    assert closed.state is State.FAILED
    assert closed.outcome == (
        f"Its run {DAG} orphan is gone from Airflow, so nothing else would have ended it. Housekeeping closed it."
    )
    (line,) = eventually(lambda: told("stranded"))
    assert line["sentence"] == f"{MODEL}: {candidate.candidate_id} was closed. {closed.outcome}"
    assert ledger.candidates.live(MODEL) is None
    ending = api.ending(DAG, "orphan")
    assert (ending["well"], ending["over"], ending["sentence"]) == (False, True, closed.outcome)
    assert api.ending(DAG, "never-started") is None
    check_invariants(World(services))


def test_f131_no_planted_secret_stands_in_a_log_a_database_or_a_page(services, api):
    signed_in = token(services, "admin")
    for path in ("/slipway/", f"/slipway/models/{MODEL}", "/slipway/api", "/api/v2/connections", f"/api/v2/dags/{DAG}"):
        answer = httpx.get(
            f"{services.airflow_url}{path}", headers=signed_in, timeout=PATIENCE_S, follow_redirects=True
        )
        assert answer.status_code == 200, path
        assert not [s for s in (SECRET, *services.passwords.values()) if s in answer.text], path
    report = check_invariants(World(services))
    assert report.verdicts["I11"] == "holds"


class World:
    """What the invariants are checked on."""

    def __init__(self, services) -> None:
        self.declared = loader.declarations()
        self.secrets = (SECRET, *services.passwords.values())
