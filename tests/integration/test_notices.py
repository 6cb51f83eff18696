"""People are told once, the sentence that matters, with the link; and what they typed is never a template."""

from __future__ import annotations

import json

import pytest
from ledger_fixtures import MODEL, NOW, challenger, champion, judged, promote, roll_back, trained

from include.adapters.ledger import Ledger
from include.domain.lifecycle import Event
from include.domain.verdicts import Verdict
from include.workflows import notices


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A ledger where the workflow finds it, and a function that tells and gives what was sent."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_LEDGER_URL", url)
    with Ledger.open(url) as ledger:
        yield ledger, tmp_path


def tell(kind: str, run_id: str, task_id: str = "threshold_gate") -> str:
    return notices.tell(MODEL, kind, run_id, task_id, lambda notice, _model: notices.to_file(notice), NOW)


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
    assert line["link"] == f"/slipway/candidates/{candidate.candidate_id}"


def test_a_gate_that_passed_or_never_judged_tells_nobody(told):
    ledger, folder = told
    candidate = trained(ledger, "r1")
    ledger.gates.record(candidate.candidate_id, judged(), digest=candidate.facts.artifact_digest, run_id="r1")
    for kind in ("gate_failed", "waiting"):
        assert tell(kind, "r1").startswith("Nobody is told")
        assert tell(kind, "r1", "champion_gate").startswith("Nobody is told")
        assert tell(kind, "no-such-run").startswith("Nobody is told")
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


def test_a_promotion_says_what_it_gained_on_the_same_rows(told):
    ledger, folder = told
    promoted = champion(ledger, "one")
    kept = folder / "work" / "journeys" / promoted.candidate_id
    kept.mkdir(parents=True)
    measured = {"candidate": {"brier": 0.1714}, "champion": {"brier": 0.17523}}
    (kept / "evaluation.json").write_text(json.dumps({"metrics": measured}))
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
        (kept / "evaluation.json").write_text(json.dumps({"metrics": measured}))
    assert notices.outcome(f"{dag}_{MODEL}", run_id) == outcome


def test_what_could_not_be_told_is_told_by_the_next_try(told):
    ledger, folder = told
    champion(ledger, "one")

    def broken(*_):
        raise ConnectionError("the mail server is away")

    with pytest.raises(ConnectionError):
        notices.tell(MODEL, "promoted", "one", "promote", broken, NOW)
    assert ledger.notices.of(MODEL) == []
    tell("promoted", "one")
    assert len(lines(folder)) == len(ledger.notices.of(MODEL)) == 1
