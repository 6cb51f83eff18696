"""The gate operator: what colour a verdict is, what a person is shown, and which answers let a candidate on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_process import AirflowProcess, living_with

from include.domain.errors import Refusal

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
REFERENCE = {"model": "m", "candidate_id": "m-20260101-aaaaaa"}
TABLE = "criterion  measured  allowed\nroc_auc    0.61      >= 0.6"


@pytest.fixture(scope="module")
def gates(airflow_imported: AirflowProcess) -> Iterator[Any]:
    """The plugin's module, as a worker imports it."""
    with living_with(airflow_imported.environment), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from slipway_airflow import gates

        yield gates


class Asked(Exception):
    """The operator would have parked here, with this form."""


class Gate:
    """One gate of one journey, with hand-written workflows behind it."""

    def __init__(self, gates: Any, verdict: str, patch: pytest.MonkeyPatch, *, refuses: str | None = None) -> None:
        self.approved: list[tuple[Any, ...]] = []
        self.judged = 0
        self.links: dict[str, str] = {}
        self.refuses = refuses
        self.outcome = {
            "verdict": verdict,
            "passed": verdict == "PASS",
            "reason": f"roc_auc is {verdict}",
            "table": TABLE,
            "markdown": "| criterion | measured |",
            "reference": REFERENCE,
        }
        self.operator = gates.GateOperator(
            task_id="champion_gate",
            judge=self._judge,
            approve=self._approve,
            may_answer=self._may_answer,
            journey=REFERENCE,
        )

        def parked(operator: Any, context: Any) -> None:
            raise Asked(operator.body)

        patch.setattr(gates.HITLOperator, "execute", parked)

    def _judge(self, reference: Any, now: datetime) -> Any:
        self.judged += 1
        assert (reference, now) == (REFERENCE, STARTED)
        return self.outcome

    def _may_answer(self, reference: Any, gate: str, who: str) -> str | None:
        assert (reference, gate) == (REFERENCE, "champion_gate")
        return f"{who} may not answer" if who == "uma" else None

    def _approve(self, *decision: Any) -> Any:
        if self.refuses:
            raise Refusal(self.refuses)
        self.approved.append(decision)
        return self.outcome

    def run(self) -> Any:
        def pushed(key: str, value: str) -> None:
            self.links[key] = value

        task_instance = SimpleNamespace(
            start_date=STARTED, dag_id="retrain_m", run_id="r", task_id="champion_gate", xcom_push=pushed
        )
        return self.operator.execute({"ti": task_instance})

    def answered(self, option: str, reason: str = "", by: str | None = "eve") -> Any:
        return self.operator.execute_complete(
            {},
            {
                "chosen_options": [option],
                "params_input": {"approval_reason": reason},
                "responded_at": STARTED,
                "responded_by_user": {"id": by, "name": by} if by else None,
                "timedout": by is None,
            },
        )


@pytest.fixture
def gate(gates, monkeypatch):
    return lambda verdict, **how: Gate(gates, verdict, monkeypatch, **how)


WHY = "The sensors were being replaced"


def test_a_pass_is_green_and_hands_the_reference_on(gate, capsys):
    passed = gate("PASS")
    assert passed.run() == REFERENCE
    assert passed.links == {}, "Airflow hands them out when the task ends, and one request each is enough"
    assert TABLE in capsys.readouterr().out


def test_a_failure_is_red_for_good_with_the_reason(gate):
    failed = gate("FAIL")
    with pytest.raises(SystemExit, match="roc_auc is FAIL"):
        failed.run()
    assert failed.operator.table == TABLE, "what is printed last in the log"


def test_an_inconclusive_gate_parks_with_the_evidence_as_a_table_in_the_form(gate):
    asked = gate("INCONCLUSIVE")
    with pytest.raises(Asked, match=r"\| criterion \| measured \|"):
        asked.run()
    assert any(link.endswith("/runs/retrain_m/r") for link in asked.links.values()), "the report is one click away"


def test_an_approval_with_a_reason_goes_on_and_says_who_and_why(gate):
    asked = gate("INCONCLUSIVE")
    assert asked.answered("Approve", WHY) == REFERENCE
    assert asked.approved == [(REFERENCE, "champion_gate", "eve", WHY, STARTED)]


@pytest.mark.parametrize(
    ("option", "reason", "by", "said"),
    [
        pytest.param("Approve", "", "eve", "An approval needs a reason of at least 10 characters; got ''", id="none"),
        pytest.param("Approve", "   ok     ", "eve", "got 'ok'", id="too short"),
        pytest.param("Reject", WHY, "eve", "eve rejected this candidate at champion_gate", id="rejected"),
        pytest.param("Reject", "", None, "No one answered in time, which is a rejection", id="timeout"),
        pytest.param("Approve", WHY, None, "An approval needs", id="an approval by nobody"),
        pytest.param("Perhaps", WHY, "eve", "The answer could not be used", id="an option there is not"),
    ],
)
def test_f060_every_other_answer_leaves_the_gate_closed(gate, option, reason, by, said):
    asked = gate("INCONCLUSIVE")
    with pytest.raises(SystemExit, match=said):
        asked.answered(option, reason, by)
    assert asked.approved == []


@pytest.mark.parametrize(
    ("kind", "said"), [("timeout", "No one answered in time"), ("unknown", "The answer could not be used")]
)
def test_f060_a_form_that_ended_in_an_error_is_a_rejection_and_is_not_asked_again(gate, kind, said):
    asked = gate("INCONCLUSIVE")
    with pytest.raises(SystemExit, match=said):
        asked.operator.execute_complete({}, {"error": "it is over", "error_type": kind, "timestamp": STARTED})
    assert asked.approved == []


def test_f060_an_answer_the_ledger_refuses_is_one_red_line(gate):
    asked = gate("INCONCLUSIVE", refuses="ada asked for m-20260101-aaaaaa and may not override champion_gate for it")
    with pytest.raises(SystemExit, match="ada asked for"):
        asked.answered("Approve", WHY, by="ada")


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_f178_an_answer_of_somebody_who_may_not_decide_does_not_count_and_the_question_is_asked_again(gate, option):
    asked = gate("INCONCLUSIVE")
    with pytest.raises(Asked):
        asked.answered(option, WHY, by="uma")
    assert asked.approved == []
    assert asked.answered("Approve", WHY, by="eve") == REFERENCE, "the right to answer is as it was"


def test_no_answer_in_time_is_the_default_and_it_is_a_rejection(gate):
    operator = gate("INCONCLUSIVE").operator
    assert operator.defaults == ["Reject"]
    assert operator.response_timeout.days == 3
