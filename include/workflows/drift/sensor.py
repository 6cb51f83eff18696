"""The drift sensor: measure one scored day, decide by the ordered rules, and remember both.

Everything is as of the end of the day: the labels matured by then, the reports of earlier days, the journeys that had
started. A day that is judged again finds the first decision and acts on it.
"""

from __future__ import annotations

from typing import Any

from include.adapters.ledger import (
    IncidentChanged,
    IncidentSteps,
    Ledger,
    RetrainAction,
    RetrainDecision,
)
from include.config import ModelDeclaration, declarations
from include.domain.decision import Decision
from include.domain.decision import decide as decided
from include.domain.drift.pooling import CountedDay
from include.domain.drift.profile import count_window
from include.domain.drift.report import DriftReport
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.intervals import Interval
from include.domain.journey import Trigger, drift_run_id
from include.domain.lifecycle import JourneyRequest
from include.workflows import stores
from include.workflows.drift import pools, report_on_mlflow, seen_incidents
from include.workflows.drift import reference as references
from include.workflows.drift.measured_day import (
    Measured,
    estimated_before,
    estimated_losses,
    report_on,
    rows_of_day,
)
from include.workflows.drift.rule_inputs import situation
from include.workflows.journey import causes
from include.workflows.journey.estimate_hold import HOLD
from include.workflows.journey.facts import ReportReference
from include.workflows.lineage import promised
from include.workflows.scoring import as_trained, served_features
from include.workflows.scoring.request_ids import by_row, scores_in

MAX_REASON = 500
MOST_TRIES = 5
"""How often a day is decided about when people act on its incidents meanwhile."""


class NothingScored(Refusal):
    """A day that no champion scored."""


def measure(model_name: str, day: str, run_id: str) -> ReportReference:
    """Measure input drift, prediction drift, estimated and realised performance of one scored day, and whether labels
    still come; keep the report.

    Raises:
        NothingScored: when the prediction log has no served rows of the day.
        PredictionsLost, PromiseBroken: when what is read is not what the ledger recorded.
        NotAskable: when what the champion learned from is not declared any more.
    """
    model = declarations().model(model_name)
    interval = Interval.of_day(day)
    with stores.open_ledger() as ledger:
        epoch = ledger.claims.server(model_name, day)
        log = promised.predictions(ledger, model_name, interval, epoch.to_candidate) if epoch else None
        served = references.served_rows(log.to_pandas()) if log is not None else None
        if epoch is None or served is None or served.empty:
            raise NothingScored(
                f"{day} has no predictions served by a champion of {model_name}. "
                f"Run {model.answering_dag} for it first."
            )
        reference = references.reference_of(epoch)
        model = reference.as_weighed(model)
        asked = as_trained.as_learned(ledger, model, epoch.to_candidate, [f.name for f in reference.profile.features])
        rows = rows_of_day(ledger, model, asked, day, served)
        losses, cohorts, unmeasured = references.matured(model, epoch, interval)
        level = ledger.incidents.accepted(model.name, epoch.to_candidate, day)
        reference, losses = reference.at_level(level, losses, model.label.delay)
        counted = CountedDay(day, count_window(reference.profile, rows.features, scores_in(model, served)))
        measured = Measured(
            counted.profile,
            *estimated_losses(
                model,
                reference.estimate,
                rows.answered,
                rows.scores,
                lambda: served_features.known_of(
                    ledger, model, interval, epoch.to_candidate, by_row(model, served).index
                ),
            ),
            losses,
            cohorts,
            *estimated_before(ledger, model, epoch.to_candidate, day, reference.estimate),
            pools.counted_before(ledger, model, epoch.to_candidate, reference.profile, counted),
            rows.weights,
            unmeasured,
        )
        report = report_on(model, epoch.to_candidate, day, reference, measured)
        kept = ledger.drift.report(model_name, str(epoch.model_version), day, report.as_json(), run_id=run_id)
        crashpoint("drift.reported")
        # Decided about already, it is as it was then: days before it may have been judged since.
        report = DriftReport.from_json(kept.report)
        for sentence in report.sentences:
            print(sentence)
        return {"model": model_name, "day": day, "report_id": kept.report_id, "flags": report.flags.as_json()}


def decide(reference: ReportReference) -> dict[str, Any]:
    """Decide about a report and keep the decision; the first decision about a report is final.

    ``conf`` and ``journey_run_id`` are what a retrain is triggered with; both are empty otherwise.
    """
    model = declarations().model(str(reference["model"]))
    report_id = str(reference["report_id"])
    with stores.open_ledger() as ledger:
        kept = ledger.drift.get(report_id)
        if kept is None:
            raise Refusal(f"There is no drift report {report_id}. Clear this run from measure on.")
        report = DriftReport.from_json(kept.report)
        kept_decision = _decided(ledger, model, report, report_id)
        crashpoint("drift.decided")
        asks = _as_request(kept_decision)
        print(f"{kept_decision.action.value} by rule {kept_decision.rule}: {kept_decision.reason}")
        under_way = kept_decision.numbers.get("in_flight")
        if kept_decision.action is RetrainAction.SUPPRESS and under_way:
            causes.join(ledger, str(under_way), asks)
            crashpoint("drift.joined")
        remarks = report_on_mlflow.show_on_run_page(ledger, model, report, kept_decision)
        conf = {
            "as_of": asks.as_of.isoformat(),
            "reason": asks.reason,
            "requested_by": asks.requested_by,
            "trigger": asks.trigger.value,
            "report_id": asks.report_id,
        }
        retrains = kept_decision.action is RetrainAction.RETRAIN
        return {
            "action": kept_decision.action.value,
            "rule": kept_decision.rule,
            "reason": kept_decision.reason,
            "journey_run_id": kept_decision.journey_run_id or "",
            "conf": conf if retrains else {},
            "remarks": list(remarks),
        }


def _decided(
    ledger: Ledger, model: ModelDeclaration, report: DriftReport, report_id: str, tries: int = MOST_TRIES
) -> RetrainDecision:
    """The decision about the report, with what it makes of the incidents in the same transaction.

    Raises:
        IncidentChanged: when people act on the model's incidents faster than it is decided about a day.
    """
    seen = ledger.incidents.before(model.name, report.day)
    found = situation(ledger, model, report, seen)
    made = decided(found)
    action = RetrainAction(made.action.value)
    try:
        return ledger.drift.decide(
            report_id,
            action,
            rule=f"{made.rule} {made.name}",
            reason=made.reason,
            numbers=_numbers(made),
            journey_run_id=drift_run_id(model.name, report.day) if action is RetrainAction.RETRAIN else None,
            incidents=IncidentSteps(seen, seen_incidents.steps(model, report.day, seen, made), found.now),
        )
    except IncidentChanged:
        if tries == 1:
            raise
    # A person acted meanwhile: what they did counts.
    return _decided(ledger, model, report, report_id, tries - 1)


def _as_request(decision: RetrainDecision) -> JourneyRequest:
    """The request for a journey that follows from the decision, whether or not one starts."""
    return JourneyRequest(
        model=decision.model,
        run_id=drift_run_id(decision.model, decision.day),
        as_of=Interval.of_day(decision.day).end,
        trigger=Trigger.DRIFT,
        reason=decision.reason[:MAX_REASON],
        requested_by=f"drift_{decision.model}",
        report_id=decision.report_id,
    )


def _numbers(made: Decision) -> dict[str, Any]:
    opened = made.breaker_open_until.isoformat() if made.breaker_open_until else None
    return {**made.numbers, "opened_breaker_until": opened, HOLD: made.hold_promotion}
