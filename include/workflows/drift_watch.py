"""The drift sensor: measure one scored day, decide by the ordered rules, and remember both.

Everything is as of the end of the day: the labels matured by then, the reports of earlier days, the journeys whose time
had come. A day judged again finds the decision that stands and acts on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import Candidate, Ledger, RetrainAction
from include.config import ModelDeclaration, declarations
from include.domain.decision import Decision, Policy, Situation
from include.domain.decision import decide as decided
from include.domain.drift.input_drift import input_drift
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import Profile, count_window
from include.domain.drift.report import DriftReport, drift_report
from include.domain.errors import Refusal
from include.domain.intervals import Interval, instant
from include.domain.journey import drift_run_id
from include.domain.lifecycle import State, Trigger
from include.domain.performance import DayLoss, Unit, losses_by_day, realised_performance, row_losses
from include.domain.promotion import Epoch
from include.workflows import common, evaluation, models, training_set
from include.workflows.requests import SERVED, request_ids, scores_in

if TYPE_CHECKING:
    import pandas as pd

BUDGET_WINDOW = timedelta(days=30)
MAX_REASON = 500


class NothingScored(Refusal):
    """A day that no champion scored."""


def measure(model_name: str, day: str, run_id: str) -> dict[str, Any]:
    """Measure input drift, prediction drift and realised performance of one scored day; keep the report.

    Raises:
        NothingScored: when the prediction log has no served rows of the day.
    """
    model = declarations().model(model_name)
    interval = Interval.of_day(day)
    with common.open_ledger() as ledger:
        epoch = ledger.deployments.champion_at(model_name, interval.start)
        log = common.offline_store().read_predictions(model_name, interval, epoch.to_candidate) if epoch else None
        served = _served(log.to_pandas()) if log is not None else None
        if epoch is None or served is None or served.empty:
            raise NothingScored(
                f"{day} has no predictions served by a champion of {model_name}. Run score_{model_name} for it first."
            )
        reference, importances = _reference(epoch)
        rows = training_set.features_for(model, interval, interval.end).to_pandas()
        features = estimators.as_input(rows, models.kinds_of(model))
        current = count_window(reference, features, scores_in(model, served))
        report = _report(model, epoch, day, reference, importances, current, _matured_losses(model, epoch, interval))
        kept = ledger.drift.report(model_name, str(epoch.model_version), day, report.as_json(), run_id=run_id)
        for sentence in report.sentences:
            print(sentence)
        return {"model": model_name, "day": day, "report_id": kept.report_id, "flags": report.flags.as_json()}


def decide(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Decide about a report and keep the decision; the first decision about a report stands.

    ``conf`` and ``journey_run_id`` are what a retrain is triggered with; both are empty otherwise.
    """
    model = declarations().model(str(reference["model"]))
    day, report_id = str(reference["day"]), str(reference["report_id"])
    with common.open_ledger() as ledger:
        kept = ledger.drift.get(report_id)
        if kept is None:
            raise Refusal(f"There is no drift report {report_id}. Clear this run from measure on.")
        report = DriftReport.from_json(kept.report)
        made = decided(situation(ledger, model, report))
        action = RetrainAction(made.action.value)
        stands = ledger.drift.decide(
            report_id,
            action,
            rule=f"{made.rule} {made.name}",
            reason=made.reason,
            numbers=_numbers(made),
            journey_run_id=drift_run_id(model.name, day) if action is RetrainAction.RETRAIN else None,
        )
        print(f"{stands.action.value} by rule {stands.rule}: {stands.reason}")
        conf = {
            "as_of": Interval.of_day(day).end.isoformat(),
            "reason": stands.reason[:MAX_REASON],
            "requested_by": f"drift_{model.name}",
            "trigger": Trigger.DRIFT.value,
            "report_id": report_id,
        }
        retrains = stands.action is RetrainAction.RETRAIN
        return {
            "action": stands.action.value,
            "rule": stands.rule,
            "reason": stands.reason,
            "journey_run_id": stands.journey_run_id or "",
            "conf": conf if retrains else {},
        }


def situation(ledger: Ledger, model: ModelDeclaration, report: DriftReport) -> Situation:
    """All that the rules look at, as of the end of the report's day."""
    declared = model.drift.retrain
    policy = Policy(
        windows=declared.windows,
        cooldown_days=declared.cooldown_days,
        budget_per_month=declared.budget_per_month,
        futile_before_escalation=declared.futile_before_escalation,
    )
    now = Interval.of_day(report.day).end
    earlier = [
        DriftReport.from_json(r.report)
        for r in ledger.drift.reports(model.name, last=declared.windows[1] - 1, before=report.day)
        if r.report["version"] == report.version
    ]
    journeys = [c for c in ledger.candidates.of(model.name) if c.request.as_of <= now]
    live = ledger.candidates.live(model.name)
    decisions = ledger.drift.decisions(model.name, before=report.day)
    asked = [d for d in decisions if d.rule.endswith(" futile")]
    opened = [d.numbers["opened_breaker_until"] for d in decisions if d.numbers.get("opened_breaker_until")]
    streak = _futile_streak(journeys)
    return Situation(
        now=now,
        flags=tuple(r.flags for r in (*earlier, report)),
        policy=policy,
        broken=report.broken,
        outside=report.outside,
        reasons=report.sentences,
        realised_reason=report.realised.reason,
        last_journey_started=max((c.request.as_of for c in journeys), default=None),
        in_flight=live.run_id if live else None,
        started_in_30_days=sum(
            c.request.trigger is Trigger.DRIFT and c.request.as_of > now - BUDGET_WINDOW for c in journeys
        ),
        futile_streak=streak,
        asked_at_streak=int(asked[-1].numbers["futile_streak"]) if asked and streak else 0,
        breaker_open_until=max((instant(o) for o in opened), default=None),
    )


def _futile_streak(journeys: list[Candidate]) -> int:
    """Journeys in a row, up to the last, that a gate or a person rejected. Broken machinery says nothing about
    retraining."""
    streak = 0
    for candidate in sorted((c for c in journeys if not c.is_live), key=lambda c: c.opened_at, reverse=True):
        if candidate.state in (State.FAILED, State.SUPERSEDED):
            continue
        if candidate.state not in (State.REJECTED, State.UNCHANGED):
            break
        streak += 1
    return streak


def _numbers(made: Decision) -> dict[str, Any]:
    opened = made.breaker_open_until.isoformat() if made.breaker_open_until else None
    return {**made.numbers, "opened_breaker_until": opened}


def _reference(epoch: Epoch) -> tuple[Profile, dict[str, float]]:
    """The reference profile of the version, kept at its evaluation; from its MLflow run where this machine has no
    copy."""
    import json

    file = common.journey_folder(epoch.to_candidate) / evaluation.PROFILE
    if not file.is_file():
        with common.open_ledger() as ledger:
            run = ledger.candidates.get(epoch.to_candidate).facts.mlflow_run_id
        common.registry().download(str(run), evaluation.PROFILE, file.parent)
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Profile.from_json(kept["profile"]), dict(kept["importances"])


def _report(
    model: ModelDeclaration,
    epoch: Epoch,
    day: str,
    reference: Profile,
    importances: Mapping[str, float],
    current: Profile,
    losses: tuple[DayLoss, ...],
) -> DriftReport:
    declared = model.drift
    inputs = input_drift(
        reference,
        current,
        q=declared.inputs.q,
        effect_at_least=declared.inputs.effect_at_least,
        share_at_least=declared.inputs.share_at_least,
        min_rows=declared.inputs.min_rows,
        importances=importances,
    )
    predictions = prediction_drift(
        reference,
        current,
        q=declared.inputs.q,
        effect_at_least=declared.predictions.effect_at_least,
        min_rows=declared.predictions.min_rows,
    )
    performance = declared.performance
    realised = realised_performance(
        reference.losses,
        losses,
        metric=performance.metric,
        tolerance=performance.tolerance,
        window_days=performance.window_days,
        alpha=performance.alpha,
        min_rows=performance.min_rows,
        unit=Unit(performance.unit),
    )
    return drift_report(
        model.name,
        epoch.to_candidate,
        day,
        reference,
        current,
        inputs,
        predictions,
        realised,
        missing_jump=declared.data.missing_jump,
        unseen_share=declared.data.unseen_share,
        outside_support=declared.data.outside_support,
        min_rows=declared.inputs.min_rows,
    )


def _matured_losses(model: ModelDeclaration, epoch: Epoch, day: Interval) -> tuple[DayLoss, ...]:
    """The champion's loss of each day it served, on labels matured by the end of ``day``. A cohort counts once its last
    row's label window has closed."""
    since = epoch.effective_from
    until = day.end - model.label.delay
    if until <= since:
        return ()
    served = Interval(since, until)
    log = common.offline_store().read_predictions(model.name, served, epoch.to_candidate)
    labels = training_set.matured_labels(model, served, day.end).to_pandas()
    if log is None or log.num_rows == 0 or labels.empty:
        return ()
    rows = _served(log.to_pandas()).set_index("request_id")
    truth = labels["label"]
    if model.is_classifier:
        truth = truth.map({c: float(i) for i, c in enumerate(model.label.classes or [])})
    joined = rows.join(_named(model, labels, truth), how="inner")
    days = joined["event_time"].dt.strftime("%Y-%m-%d").tolist()
    return losses_by_day(
        days, row_losses(model.drift.performance.metric, joined["y"].to_numpy(), scores_in(model, joined))
    )


def _served(log: pd.DataFrame) -> pd.DataFrame:
    return log.loc[(log["role"] == SERVED) & log["error"].isna()]


def _named(model: ModelDeclaration, labels: pd.DataFrame, truth: pd.Series[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"y": truth.astype(float).to_numpy()}, index=request_ids(model, labels))
