"""People are told once, the sentence that matters, with the link; and what they typed is never a template."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from ledger_fixtures import MODEL, NOW, an_open_incident, challenger, champion, judged, promote, roll_back, trained

from include.adapters.ledger import NoticeState
from include.adapters.ledger.notices import LEASE
from include.config import declarations
from include.config.settings import absolute, what_is_wrong_with
from include.domain.lifecycle import Event
from include.domain.verdicts import Verdict
from include.workflows import pairs
from include.workflows.alerts import outbox
from include.workflows.journey import fact_files, facts
from include.workflows.pages import notices
from include.workflows.pairs import StoresDiffer


@pytest.fixture
def told(ledger, tmp_path, monkeypatch):
    """A ledger where the workflow finds it, and the folder in which what was sent is written."""
    monkeypatch.setenv("SLIPWAY_URL", "https://slipway.example.org/")
    return ledger, tmp_path


def tell(kind: str, run_id: str, task_id: str = "threshold_gate") -> str:
    return notices.tell(MODEL, kind, run_id, task_id, notices.to_file, NOW)


def lines(folder) -> list[dict]:
    file = folder / notices.FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize(
    ("kind", "verdict", "says"),
    [
        pytest.param("gate_failed", Verdict.FAIL, "threshold gate failed. roc_auc 0.55 is outside", id="red"),
        pytest.param("waiting", Verdict.INCONCLUSIVE, "threshold gate waits for you. roc_auc", id="waiting"),
    ],
)
def test_the_owner_on_call_hears_of_a_gate_once(told, kind, verdict, says):
    ledger, folder = told
    candidate = trained(ledger, "r1")
    digest = candidate.facts.artifact_digest
    ledger.gates.record(candidate.candidate_id, judged(verdict=verdict), digest=digest, run_id="r1")
    for _ in range(3):
        tell(kind, "r1")
    (line,) = lines(folder)
    assert line["to"] == "ml-on-call"
    assert line["sentence"].startswith(f"{MODEL}: {says}")
    assert line["link"] == f"https://slipway.example.org/slipway/candidates/{candidate.candidate_id}"
    assert line["key"] == f"{kind}/{candidate.candidate_id}/threshold_gate/1"


def test_a_gate_that_passed_or_never_judged_tells_nobody(told):
    ledger, folder = told
    candidate = trained(ledger, "r1")
    ledger.gates.record(candidate.candidate_id, judged(), digest=candidate.facts.artifact_digest, run_id="r1")
    for kind in ("gate_failed", "waiting"):
        assert tell(kind, "r1").startswith("No one is notified")
        assert tell(kind, "r1", "champion_gate").startswith("No one is notified")
        assert tell(kind, "no-such-run").startswith("No one is notified")
    assert lines(folder) == []


def test_a_promotion_and_a_rollback_are_told_each_once(told):
    ledger, folder = told
    champion(ledger, "one")
    second = challenger(ledger, "two")
    promote(ledger, second, days=1)
    roll_back(ledger, "back", days=2)
    for run_id, kind in (("one", "promoted"), ("two", "promoted"), ("two", "promoted"), ("back", "rolled_back")):
        tell(kind, run_id)
    assert [(x["kind"], x["to"], x["sentence"]) for x in lines(folder)] == [
        ("promoted", "flight-operations-science", f"{MODEL}: promoted v1."),
        ("promoted", "flight-operations-science", f"{MODEL}: promoted v2."),
        ("rolled_back", "ml-on-call", f"{MODEL}: rolled back to v1 by on-call: late flights missed"),
    ]


def evaluated(metrics: facts.Metrics) -> facts.Evaluated:
    return facts.Evaluated(1200, 1, "before", None, "2024-03-01", metrics)


def test_a_promotion_says_what_it_gained_on_the_same_rows(told):
    ledger, folder = told
    promoted = champion(ledger, "one")
    kept = folder / "work" / "journeys" / promoted.candidate_id
    kept.mkdir(parents=True)
    fact_files.write(kept, evaluated({"candidate": {"brier": 0.1714}, "champion": {"brier": 0.17523}}))
    tell("promoted", "one")
    assert lines(folder)[0]["sentence"] == f"{MODEL}: promoted v1: brier 0.1752 → 0.1714."


@pytest.mark.parametrize(
    ("run_id", "dag", "outcome"),
    [
        pytest.param("one", "retrain", "promoted v1: brier 0.1714, baseline 0.1809", id="first champion"),
        pytest.param("two", "retrain", "promoted v2: brier 0.1752 → 0.1714", id="over a champion"),
        pytest.param("back", "rollback", "rolled back to v1 by on-call: late flights missed", id="rollback"),
        pytest.param("red", "retrain", "Rejected: threshold_gate: too low.", id="rejected"),
        pytest.param("live", "retrain", None, id="under way"),
        pytest.param("none", "retrain", None, id="no journey"),
        pytest.param("none", "rollback", None, id="nothing was rolled back"),
    ],
)
def test_how_a_run_ended_is_one_line(told, run_id, dag, outcome):
    ledger, folder = told
    first = champion(ledger, "one")
    second = challenger(ledger, "two")
    promote(ledger, second, days=1)
    roll_back(ledger, "back", days=2)
    red = trained(ledger, "red")
    ledger.candidates.close(
        red.candidate_id, Event.REJECT, outcome="Rejected: threshold_gate: too low.", actor="close_journey"
    )
    trained(ledger, "live")
    for made, measured in (
        (first, {"candidate": {"brier": 0.1714}, "baseline": {"brier": 0.1809}}),
        (second, {"candidate": {"brier": 0.1714}, "champion": {"brier": 0.1752}, "baseline": {"brier": 0.18}}),
    ):
        kept = folder / "work" / "journeys" / made.candidate_id
        kept.mkdir(parents=True)
        fact_files.write(kept, evaluated(measured))
    assert notices.outcome(f"{dag}_{MODEL}", run_id) == outcome


def broken(*_):
    raise ConnectionError("the mail server is away")


def test_what_could_not_be_told_waits_and_is_told_by_the_sweep_that_is_due(told):
    ledger, folder = told
    champion(ledger, "one")
    said = notices.tell(MODEL, "promoted", "one", "promote", broken, NOW)
    assert said == (
        "flight-operations-science could not be notified (promoted, try 1): the mail server is away; the next try is "
        "due at 2026-01-01 12:01 UTC."
    )
    (waiting,) = ledger.notices.unsent()
    assert (waiting.state, waiting.tries, waiting.error) == (NoticeState.PENDING, 1, "the mail server is away")
    assert outbox.sweep(ledger, notices.to_file, NOW + timedelta(seconds=59)) == []
    assert lines(folder) == []
    outbox.sweep(ledger, notices.to_file, NOW + timedelta(seconds=60))
    assert len(lines(folder)) == len(ledger.notices.of(MODEL)) == 1
    assert ledger.notices.unsent() == []


def test_tries_are_bounded_and_what_is_given_up_can_be_tried_again_by_hand(told):
    ledger, folder = told
    champion(ledger, "one")
    notices.tell(MODEL, "promoted", "one", "promote", broken, NOW)
    now, tries = NOW, 1
    while (left := ledger.notices.unsent()[0]).state is NoticeState.PENDING:
        now = left.due_at
        tries += len(outbox.sweep(ledger, broken, now))
    assert (left.state, left.tries, tries) == (NoticeState.GIVEN_UP, outbox.MOST_TRIES, outbox.MOST_TRIES)
    assert timedelta(days=2) < now - NOW < timedelta(days=4)
    assert outbox.sweep(ledger, notices.to_file, now + timedelta(days=30)) == []
    key = left.notice.key
    assert "could not be notified after 20 tries" in outbox.deliver(ledger, key, notices.to_file, now)
    assert ledger.notices.try_again(key, now) is True
    assert len(outbox.sweep(ledger, notices.to_file, now)) == len(lines(folder)) == 1
    assert ledger.notices.try_again(key, now) is False


def test_one_process_sends_a_notice_at_a_time_and_an_older_try_changes_nothing(told):
    ledger, _ = told
    champion(ledger, "one")
    notices.tell(MODEL, "promoted", "one", "promote", broken, NOW)
    later = NOW + timedelta(minutes=1)
    (key,) = ledger.notices.due(later, 9)
    first = ledger.notices.take(key, later)
    assert ledger.notices.take(key, later) is None
    second = ledger.notices.take(key, later + LEASE)
    assert (first.tries, second.tries) == (2, 3)
    ledger.notices.not_sent(key, first.tries, "too late", None)
    assert ledger.notices.get(key).state is NoticeState.SENDING
    ledger.notices.sent(key, "ada", later + LEASE)
    ledger.notices.not_sent(key, second.tries, "too late", None)
    assert ledger.notices.get(key).state is NoticeState.SENT


def test_f189_killed_before_anything_was_written_down_the_ledger_still_says_what_to_tell(told):
    ledger, folder = told
    champion(ledger, "one")
    second = challenger(ledger, "two")
    promote(ledger, second, days=1)
    roll_back(ledger, "back", days=2)
    for run_id, verdict in (("red", Verdict.FAIL), ("asks", Verdict.INCONCLUSIVE)):
        made = trained(ledger, run_id)
        ledger.gates.record(
            made.candidate_id, judged(verdict=verdict), digest=made.facts.artifact_digest, run_id=run_id
        )
        if run_id == "red":
            ledger.candidates.close(made.candidate_id, Event.REJECT, outcome="Rejected.", actor="close_journey")
    now = datetime.now(UTC)
    assert len(notices.missed(ledger, now)) == 5
    assert notices.missed(ledger, now) == []
    outbox.sweep(ledger, notices.to_file, now)
    outbox.sweep(ledger, notices.to_file, now)
    assert Counter(line["kind"] for line in lines(folder)) == {
        "promoted": 2,
        "rolled_back": 1,
        "gate_failed": 1,
        "waiting": 1,
    }
    assert notices.missed(ledger, now + notices.LOOKS_BACK + timedelta(minutes=1)) == []


def test_what_was_given_up_differs_until_it_is_repaired_and_sent_to_the_owner_declared_now(told, monkeypatch):
    ledger, folder = told
    champion(ledger, "one")
    notices.tell(MODEL, "promoted", "one", "promote", broken, NOW)
    ledger.notices.take(f"promoted/{MODEL}/1", NOW + timedelta(days=1))
    ledger.notices.not_sent(f"promoted/{MODEL}/1", 2, "no such mailbox", None)
    with pytest.raises(StoresDiffer, match=r"tries failed, the last with: no such mailbox\. .* slipway repair notices"):
        pairs.compared("notices", NOW)
    assert pairs.check_named("notices").repair(NOW, "another") == []
    (done,) = pairs.check_named("notices").repair(NOW, MODEL)
    assert done.repaired
    model = declarations().model(MODEL)
    owners = model.owners.model_copy(update={"model": "grace@example.org"})
    monkeypatch.setitem(declarations().models, MODEL, model.model_copy(update={"owners": owners}))
    outbox.sweep(ledger, notices.to_file, NOW)
    assert [line["to"] for line in lines(folder)] == ["grace@example.org"]
    assert pairs.compared("notices", NOW)["facts"]["repaired"] == 0


@pytest.mark.parametrize(
    ("set_to", "link"),
    [
        pytest.param({}, "http://127.0.0.1:8080/x", id="where slipway up listens"),
        pytest.param({"SLIPWAY_HOST": "0.0.0.0", "SLIPWAY_AIRFLOW_PORT": "81"}, "http://127.0.0.1:81/x", id="port"),
        pytest.param({"SLIPWAY_HOST": "::1"}, "http://[::1]:8080/x", id="six"),
        pytest.param(
            {"AIRFLOW__API__BASE_URL": "http://air.example:8080"}, "http://air.example:8080/x", id="Airflow's"
        ),
        pytest.param(
            {"AIRFLOW__API__BASE_URL": "http://api-server:8080", "SLIPWAY_URL": "https://ml.example/s/"},
            "https://ml.example/s/x",
            id="what is set wins",
        ),
    ],
)
def test_links_are_absolute(monkeypatch, set_to, link):
    for name in ("SLIPWAY_URL", "AIRFLOW__API__BASE_URL", "SLIPWAY_HOST", "SLIPWAY_AIRFLOW_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    assert absolute("/x") == link


@pytest.mark.parametrize(
    "url", ["slipway.example.org", "ftp://x", "http://", "/slipway", "http://x:port", "http://x/?a=b"]
)
def test_an_address_that_no_link_can_begin_with_is_named(url):
    assert what_is_wrong_with(url).startswith(f"SLIPWAY_URL is {url!r}; ")


# --- incidents --------------------------------------------------------------------------------------------------------


def test_an_incident_is_told_once_with_what_it_costs_and_what_is_next(told):
    ledger, folder = told
    key = an_open_incident(ledger)
    for _ in range(3):
        tell("incident", "drift-2013-06-01", "decide")
    assert notices.missed(ledger, datetime.now(UTC)) == []
    (line,) = lines(folder)
    assert line["sentence"].startswith(f"{MODEL}: brier was 0.11 before 2013-05-24, is in its band up to 0.12")
    assert "A journey starts on 2013-06-09" in line["sentence"]
    assert (line["to"], line["key"]) == ("ml-on-call", f"incident/{key}/1")
    assert line["link"] == f"https://slipway.example.org/slipway/incidents/{key}"


def test_a_day_that_neither_opens_an_incident_nor_reminds_of_one_tells_no_one(told):
    ledger, folder = told
    an_open_incident(ledger)
    ledger.drift.report(MODEL, "1", "2013-06-02", {"share": 0.1}, run_id="drift-2013-06-02")
    assert "nothing of kind incident happened" in tell("incident", "drift-2013-06-02", "decide")
    assert lines(folder) == []


def test_an_incident_that_no_callback_told_of_is_found_by_housekeeping(told):
    ledger, _ = told
    key = an_open_incident(ledger)
    assert notices.missed(ledger, datetime.now(UTC)) == [f"incident/{key}/1"]
    assert notices.missed(ledger, datetime.now(UTC)) == []
