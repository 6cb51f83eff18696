"""A fresh ledger on each database, and builders that bring a candidate to where a test needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from databases import empty_postgres
from memory_ledger import MemoryLedger

from include.adapters.ledger import (
    Candidate,
    Facts,
    IncidentSteps,
    Ledger,
    Promoted,
    PromotionRequest,
    RetrainAction,
    RollbackRequest,
    ledger_invariants,
)
from include.domain.authority import OPERATORS, Person
from include.domain.incident import Incident, Stage
from include.domain.incident_log import IncidentStep, step_of
from include.domain.journey import Trigger
from include.domain.lifecycle import Event, JourneyRequest
from include.domain.verdicts import CriterionResult, Direction, GateResult, Mode, Verdict, against_bound

MODEL = "flight_delay"
AS_OF = datetime(2013, 6, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The moment overrides are measured at."""
GATES = ("threshold_gate",)
Asked = TypeVar("Asked", PromotionRequest, RollbackRequest)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database: a file of its own, or a schema of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with empty_postgres() as url:
        yield url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An open ledger; at the end of the test its invariants must hold."""
    with Ledger.open(ledger_url) as opened:
        yield opened
        assert ledger_invariants(opened) == []


@contextmanager
def ledger_on(kind: str, folder: Path) -> Iterator[Ledger]:
    """A fresh ledger in memory, in a file of the folder, or on Postgres; at the end its invariants must hold."""
    with ExitStack() as stack:
        if kind == "memory":
            opened = stack.enter_context(MemoryLedger()).ledger
        else:
            place = f"sqlite:///{folder / 'ledger.db'}" if kind == "sqlite" else stack.enter_context(empty_postgres())
            opened = stack.enter_context(Ledger.open(place))
        yield opened
        assert ledger_invariants(opened) == []


def request(
    run_id: str, *, model: str = MODEL, as_of: datetime = AS_OF, report_id: str | None = None
) -> JourneyRequest:
    return JourneyRequest(
        model=model,
        run_id=run_id,
        as_of=as_of,
        trigger=Trigger.DRIFT if report_id else Trigger.API,
        reason="Realised Brier score is out of band",
        requested_by="on-call",
        report_id=report_id,
    )


AN_INCIDENT = Incident(
    opened_on="2013-06-01",
    version="a",
    metric="brier",
    anchor=0.11,
    band=0.12,
    changed_on="2013-05-24",
    stage=Stage.OPEN,
    serving="a",
    risk=0.19,
)


def an_incident_step(before: Incident | None = None, after: Incident = AN_INCIDENT) -> IncidentStep:
    """What a judged day made of an incident: by default it opened one."""
    found = step_of(before, after)
    assert found is not None
    return found


def an_open_incident(
    ledger: Ledger,
    incident: Incident = AN_INCIDENT,
    *,
    day: str = "2013-06-01",
    rule: str = "6 cannot_help_yet",
    **numbers: object,
) -> str:
    """An incident that a judged day opened; the report and the decision say where it is. Returns its id."""
    realised = {"metric": incident.metric, "recent_risk": incident.risk, "reference_risk": incident.anchor}
    realised |= {"tolerance": incident.band - incident.anchor, "served_days": 10, "served_rows": 9_000}
    report = {
        "flags": {"day": day, "realised": True},
        "realised": realised,
        "estimated": {},
        "inputs": {"features": []},
    }
    kept = ledger.drift.report(MODEL, "1", day, report, run_id=f"drift-{day}")
    ledger.drift.decide(
        kept.report_id,
        RetrainAction.SUPPRESS,
        rule=rule,
        reason="No journey before 2013-06-09.",
        numbers={"incident": incident.as_json(), "next_on": "2013-06-09", **numbers},
        incidents=IncidentSteps(ledger.incidents.before(MODEL, day), [an_incident_step(None, incident)], AS_OF),
    )
    return ledger.incidents.of(MODEL)[0].incident_id


def digest_of(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def judged(gate: str = "threshold_gate", verdict: Verdict = Verdict.PASS, *, mode: Mode = Mode.BLOCKING) -> GateResult:
    """A gate's result with one criterion of the wanted verdict."""
    value = {Verdict.PASS: 0.75, Verdict.FAIL: 0.55, Verdict.INCONCLUSIVE: float("nan")}[verdict]
    criterion: CriterionResult = against_bound("roc_auc", value, Direction.AT_LEAST, 0.65, rows=12_000, champion=0.7)
    return GateResult(gate, mode, (criterion,), {"window": "[2013-05-01, 2013-05-31)"})


def trained(ledger: Ledger, run_id: str, *, digest: str | None = None, model: str = MODEL) -> Candidate:
    """An opened and trained candidate, whose digest follows from its run id."""
    opened = ledger.candidates.open(request(run_id, model=model))
    facts = Facts(digest or digest_of(run_id), digest_of(f"training set of {run_id}"), mlflow_run_id=f"mlflow-{run_id}")
    return ledger.candidates.advance(opened.candidate_id, Event.TRAIN, actor="test", reason="trained", facts=facts)


def challenger(ledger: Ledger, run_id: str, *, digest: str | None = None, model: str = MODEL) -> Candidate:
    """A registered candidate that passed its gates."""
    candidate = trained(ledger, run_id, digest=digest, model=model)
    ledger.gates.record(candidate.candidate_id, judged(), digest=candidate.facts.artifact_digest, run_id=run_id)
    version = str(len(ledger.candidates.of(model)))
    return ledger.candidates.advance(
        candidate.candidate_id, Event.REGISTER, actor="test", reason="registered", facts=Facts(model_version=version)
    )


def promote(
    ledger: Ledger, candidate: Candidate, *, expected: int | None = None, days: int = 0, **change: object
) -> Promoted:
    """Promote over the current revision, or over ``expected``; ``days`` is how much later than the as-of time."""
    if expected is None:
        head = ledger.deployments.champion(candidate.model)
        expected = head.revision if head else 0
    asked = PromotionRequest(
        candidate.model,
        candidate.candidate_id,
        expected_revision=expected,
        digest=str(candidate.facts.artifact_digest),
        effective_from=AS_OF + timedelta(days=days),
        actor="journey",
        reason="better on May",
        run_id=candidate.run_id,
    )
    given: dict[str, object] = {"required_gates": GATES, "now": NOW}
    asked, given = _changed(asked, given, change)
    return ledger.deployments.promote(asked, **given)  # type: ignore[arg-type]  # tests vary one argument at a time


def _changed(asked: Asked, given: dict[str, object], change: dict[str, object]) -> tuple[Asked, dict[str, object]]:
    """The request and the other arguments, with what a test wants to be different."""
    own = {name: value for name, value in change.items() if name in {each.name for each in fields(asked)}}
    return replace(asked, **own), given | {name: value for name, value in change.items() if name not in own}


def champion(ledger: Ledger, run_id: str, *, days: int = 0) -> Candidate:
    """A candidate that went all the way."""
    candidate = challenger(ledger, run_id)
    promote(ledger, candidate, days=days)
    return ledger.candidates.get(candidate.candidate_id)


def an_operator(name: str) -> Person:
    """Somebody whom the platform lets operate every model."""
    return Person(name, frozenset({"op"}), operator=True)


def roll_back(ledger: Ledger, run_id: str, *, days: int = 0, **change: object) -> Promoted:
    asked = RollbackRequest(MODEL, "late flights missed", run_id, effective_from=AS_OF + timedelta(days=days))
    asked, given = _changed(asked, {"by": an_operator("on-call"), "approvers": OPERATORS}, change)
    return ledger.deployments.rollback(asked, **given)  # type: ignore[arg-type]  # as above


def take(url: str, step: str) -> None:
    """The step that a test kills: promote the second candidate, or roll it back."""
    with Ledger.open(url) as ledger:
        if step == "promote":
            second = ledger.candidates.of_run(MODEL, "run-2")
            if second is None:
                raise RuntimeError("run-2 opened no candidate")
            promote(ledger, second, expected=1)
        else:
            roll_back(ledger, "rollback-1")
