"""Our own tools read how a run ended from the ledger: its colour may have been set by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ledger_fixtures import MODEL, challenger, champion, promote, roll_back, trained

from include.adapters.airflow_api import DagRun
from include.adapters.ledger import Ledger
from include.cli import main
from include.commands import airflow
from include.domain.lifecycle import Event
from include.workflows.release.endings import ending_of
from include.workflows.services.demonstration import Demonstration, DemonstrationOutcome, Plan, ReplayFailed

RETRAIN, ROLLBACK = f"retrain_{MODEL}", f"rollback_{MODEL}"


def told(ledger: Ledger, dag_id: str, run_id: str) -> tuple[bool, bool, str]:
    found = ending_of(ledger, dag_id, run_id)
    assert found is not None
    return found.over, found.well, found.sentence


def test_a_promotion_is_one_where_the_ledger_has_an_epoch_of_the_run(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    assert told(ledger, RETRAIN, "run-1") == (True, True, "Promoted as version 1, revision 1.")
    promote(ledger, challenger(ledger, "run-2"), days=1)
    assert told(ledger, RETRAIN, "run-1")[2] == "Promoted as version 1, revision 1. It is retired by now."
    roll_back(ledger, "rollback-1", days=2)
    assert told(ledger, RETRAIN, "run-2") == (
        True,
        True,
        "Promoted as version 2, revision 2. It is rolled back by now.",
    )
    over, well, sentence = told(ledger, ROLLBACK, "rollback-1")
    assert (over, well) == (True, True)
    assert sentence.endswith("is champion again, revision 3.")


def test_a_rejected_a_failed_and_an_open_journey_are_no_promotions(ledger: Ledger) -> None:
    for run, event, outcome in (
        ("run-1", Event.REJECT, "Rejected: threshold_gate: too low."),
        ("run-2", Event.FAIL, "Failed at promote: the champion changed."),
    ):
        candidate = trained(ledger, run)
        ledger.candidates.close(candidate.candidate_id, event, outcome=outcome, actor="close_journey")
        assert told(ledger, RETRAIN, run) == (True, False, outcome)
    trained(ledger, "run-3")
    assert told(ledger, RETRAIN, "run-3") == (False, False, "It is trained.")


def test_a_candidate_that_is_the_champion_already_did_what_it_was_for(ledger: Ledger) -> None:
    first = champion(ledger, "run-1")
    promote(ledger, challenger(ledger, "run-2", digest=first.facts.artifact_digest))
    over, well, sentence = told(ledger, RETRAIN, "run-2")
    assert (over, well) == (True, True)
    assert "nothing was promoted" in sentence
    found = ending_of(ledger, RETRAIN, "run-2")
    assert found is not None
    assert found.revision is None


def test_of_other_runs_the_ledger_says_nothing(ledger: Ledger) -> None:
    champion(ledger, "run-1")
    assert ending_of(ledger, RETRAIN, "run-9") is None
    assert ending_of(ledger, ROLLBACK, "run-1") is None
    assert ending_of(ledger, f"score_{MODEL}", "run-1") is None


class GreenAirflow:
    """An Airflow in which every run is green, beside a ledger."""

    url = "http://airflow"

    def __init__(self, ledger: Ledger, state: str = "success") -> None:
        self.ledger, self.state = ledger, state

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def dags(self):
        return {RETRAIN: False, ROLLBACK: False}

    def _run(self, dag_id, run_id):
        return DagRun(dag_id, run_id, self.state, "manual", None, {}, None, None, None)

    def trigger(self, dag_id, run_id, conf, **_):
        return self._run(dag_id, run_id), True

    def slipway(self, path, doing, body=None, key=None):
        if body is None:
            return {"champions": [{"revision": 1}]}
        return {"run_id": f"api__{key}" if path.endswith("/retrain") else "rollback_of_revision_1"}

    def wait(self, dag_id, run_id, **_):
        return self._run(dag_id, run_id)

    dag_run = _run

    def dag_runs(self, dag_id, **_):
        return [self._run(dag_id, "drift__1")]

    def task_instances(self, *_):
        return []

    def ending(self, dag_id, run_id):
        found = ending_of(self.ledger, dag_id, run_id)
        return found.as_json() if found else None


@pytest.fixture
def green(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(airflow, "airflow_api", lambda: GreenAirflow(ledger))
    return ledger


ASK = ["retrain", MODEL, "--as-of", "2013-06-01", "--reason", "a test", "--wait", "--key", "k"]


def test_f059_a_green_run_with_a_rejected_candidate_is_no_success_of_retrain_wait(green, capsys):
    candidate = trained(green, "api__k")
    green.candidates.close(
        candidate.candidate_id, Event.REJECT, outcome="Rejected: threshold_gate: too low.", actor="close_journey"
    )
    assert main(ASK) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "It ended: Rejected: threshold_gate: too low."


def test_retrain_wait_says_what_was_promoted(green, capsys):
    champion(green, "api__k")
    assert main(ASK) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "It ended: Promoted as version 1, revision 1."


def test_a_green_run_that_opened_no_journey_or_rolled_nothing_back_is_no_success(green, capsys):
    assert main(ASK) == 1
    assert "by the ledger it opened no journey" in capsys.readouterr().out
    assert main(["rollback", MODEL, "--reason", "a test", "--wait"]) == 1
    assert "by the ledger it rolled nothing back" in capsys.readouterr().out


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)


def replay(ledger: Ledger) -> Demonstration:
    model = SimpleNamespace(name=MODEL)
    plan = Plan("2013-05-01", "2013-06-01", "2013-06-03")
    return Demonstration(GreenAirflow(ledger), plan, Lines(), views=[], models=[model])  # type: ignore[arg-type]  # hand-written


def test_the_replay_takes_no_green_run_for_a_promotion(ledger: Ledger) -> None:
    candidate = trained(ledger, "drift__1")
    ledger.candidates.close(
        candidate.candidate_id, Event.REJECT, outcome="Rejected: slice_gate: worse.", actor="close_journey"
    )
    driver, outcome = replay(ledger), DemonstrationOutcome()
    driver._note_ended("2013-06-02", outcome)
    assert [j.promoted for j in outcome.drifted] == [False]
    assert not outcome.loop_closed
    assert driver.tell.lines == ["2013-06-02  journey drift__1 ended: not promoted. Rejected: slice_gate: worse."]


def test_the_replay_says_that_a_first_champion_was_not_made(ledger: Ledger) -> None:
    candidate = trained(ledger, "first_champion__2013-06-01")
    ledger.candidates.close(
        candidate.candidate_id, Event.REJECT, outcome="Rejected: threshold_gate: low.", actor="close_journey"
    )
    with pytest.raises(ReplayFailed, match="made no champion: Rejected: threshold_gate"):
        replay(ledger).train_first_champions()


def test_the_replay_sees_the_loop_closed_where_the_ledger_has_the_promotion(ledger: Ledger) -> None:
    champion(ledger, "drift__1")
    outcome = DemonstrationOutcome()
    replay(ledger)._note_ended("2013-06-02", outcome)
    assert outcome.loop_closed
