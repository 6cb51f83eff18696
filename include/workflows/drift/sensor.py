"""The drift sensor: measure one scored day, decide by the ordered rules, and remember both.

Everything is as of the end of the day: the labels matured by then, the reports of earlier days, the journeys that had
started. A day that is judged again finds the first decision and acts on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.adapters import estimators
from include.adapters.ledger import (
    IncidentChanged,
    IncidentsSeen,
    IncidentSteps,
    Ledger,
    RetrainAction,
    RetrainDecision,
)
from include.config import ModelDeclaration, declarations
from include.domain.decision import Decision
from include.domain.decision import decide as decided
from include.domain.drift.calibration import expected_losses, expected_roc_auc
from include.domain.drift.estimate_reference import EstimateReference
from include.domain.drift.estimated import (
    BesideEstimate,
    EstimatedPerformance,
    estimated_performance,
    outside_support,
)
from include.domain.drift.input_drift import DriftRules, input_drift
from include.domain.drift.label_shift import LabelShift
from include.domain.drift.maturity import Cohort, label_maturity
from include.domain.drift.pooling import CountedDay
from include.domain.drift.prediction_drift import prediction_drift
from include.domain.drift.profile import Profile, count_window
from include.domain.drift.report import DataBounds, DriftMeasurements, DriftReport, Flags, ScoredDay, drift_report
from include.domain.errors import Refusal
from include.domain.faults import crashpoint
from include.domain.history import Ending, History, PastJourney, situation_of
from include.domain.incident import IncidentPace
from include.domain.incident_acts import AcceptedLevel
from include.domain.incident_log import IncidentCause
from include.domain.intervals import DAY, Interval, instant
from include.domain.journey import Trigger, drift_run_id
from include.domain.lifecycle import JourneyRequest, State
from include.domain.losses import DayLoss
from include.domain.risk_bounds import Band
from include.domain.situation import Policy, Situation
from include.domain.unjudged import JudgedDays
from include.workflows import stores
from include.workflows.drift import pools, report_on_mlflow, seen_incidents
from include.workflows.drift import reference as references
from include.workflows.journey import causes
from include.workflows.journey.estimate_hold import HOLD
from include.workflows.journey.facts import ReportReference
from include.workflows.lineage import promised
from include.workflows.scoring import as_trained, fitted_models, point_in_time_rows, row_weights
from include.workflows.scoring.request_ids import by_request, request_ids, scores_in
from include.workflows.scoring.row_values import watched_loss

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_REASON = 500
ESTIMATES_KEPT = 120
"""Days of a version whose estimates are judged together; the older half of them joins the reference."""
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
                f"{day} has no predictions served by a champion of {model_name}. Run score_{model_name} for it first."
            )
        reference = references.reference_of(epoch)
        model = reference.as_weighed(model)
        asked = as_trained.as_learned(ledger, model, epoch.to_candidate, [f.name for f in reference.profile.features])
        rows = point_in_time_rows.features_for(asked, interval, interval.end).to_pandas()
        features = estimators.as_input(rows, fitted_models.kinds_of(asked))
        scores = scores_in(model, served)
        losses, cohorts = references.matured(model, epoch, interval)
        level = ledger.incidents.accepted(model.name, epoch.to_candidate, day)
        reference, losses = reference.at_level(level, losses, model.label.delay)
        counted = CountedDay(day, count_window(reference.profile, features, scores))
        measured = Measured(
            counted.profile,
            *estimated_losses(
                model, reference.estimate, *_row_by_row(model, request_ids(asked, rows), features, served, scores)
            ),
            losses,
            cohorts,
            *estimated_before(ledger, model, epoch.to_candidate, day, reference.estimate),
            pools.counted_before(ledger, model, epoch.to_candidate, reference.profile, counted),
            _weights(asked, rows, served, scores),
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


def situation(ledger: Ledger, model: ModelDeclaration, report: DriftReport, seen: IncidentsSeen) -> Situation:
    """Everything that the rules use, as of the end of the report's day."""
    earlier = [
        DriftReport.from_json(r.report)
        for r in ledger.drift.reports(model.name, last=model.drift.retrain.windows[1] - 1, before=report.day)
        if r.report["version"] == report.version
    ]
    # After what was seen of the incidents: an act between the two is not seen, and makes the decision be made again.
    level = ledger.incidents.accepted(model.name, report.version, report.day)
    flags = [flags_of(model, r, level) for r in (*earlier, report)]
    now = Interval.of_day(report.day).end
    return situation_of(report, flags, policy_of(model), _history(ledger, model, report.day, seen), now)


def policy_of(model: ModelDeclaration) -> Policy:
    declared = model.drift.retrain
    return Policy(
        windows=declared.windows,
        cooldown_days=declared.cooldown_days,
        budget_per_month=declared.budget_per_month,
        futile_before_escalation=declared.futile_before_escalation,
        data_holds_days=model.drift.data.holds_days,
        judged_within=judged_within(model),
        pace=pace_of(model),
    )


BY_TIER = {"critical": 14, "standard": 28, "experimental": 0}
"""Days within which a lane must judge, where the declaration does not say."""


def judged_within(model: ModelDeclaration) -> dict[str, int]:
    """The most days without a judgement of each lane, by its flag; 0 watches none."""
    declared, usual = model.drift.judged_within, BY_TIER[model.tier]
    performance = usual if declared.performance is None else declared.performance
    return {
        "inputs": usual if declared.inputs is None else declared.inputs,
        "predictions": usual if declared.predictions is None else declared.predictions,
        "estimated": declared.estimated,
        "realised": performance + math.ceil(model.label.delay / DAY) if performance else 0,
    }


def pace_of(model: ModelDeclaration) -> IncidentPace:
    """When a journey of an incident can help: with enough rows since the change for the declared gates."""
    judged = max(model.gates.champion_gate.min_rows, model.gates.threshold_gate.min_rows)
    # One half of what lies after the change is learned from, the other is judged on.
    return IncidentPace(wait_rows=2 * judged, window_days=model.training.window_days, label_delay=model.label.delay)


def flags_of(model: ModelDeclaration, report: DriftReport, level: AcceptedLevel | None = None) -> Flags:
    """The report's flags. An estimate that is only to be reported raises none; nor does a realised loss that was not
    compared with the level that a person has accepted since."""
    found = report.flags if model.drift.estimated.acts else replace(report.flags, estimated=None)
    if level is not None and report.realised.accepted_on != level.accepted_on:
        return replace(found, realised=None)
    return found


def _history(ledger: Ledger, model: ModelDeclaration, day: str, seen: IncidentsSeen) -> History:
    """The model's journeys, in the order they were opened, and what was decided before the day."""
    candidates = sorted(ledger.candidates.of(model.name), key=lambda c: c.opened_at)
    decisions = ledger.drift.decisions(model.name, before=day)
    live = ledger.candidates.live(model.name)
    prepared = {d.journey_run_id for d in decisions if d.numbers.get(HOLD)}
    opened = [d.numbers["opened_breaker_until"] for d in decisions if d.numbers.get("opened_breaker_until")]
    return History(
        journeys=[
            PastJourney(
                c.request.as_of, c.request.trigger is Trigger.DRIFT, _ending(c.state, c.is_live), c.run_id in prepared
            )
            for c in candidates
        ],
        in_flight=live.run_id if live else None,
        asked_at=[int(d.numbers["futile_streak"]) for d in decisions if d.rule.endswith(" futile")],
        breaker_until=[instant(o) for o in opened],
        incident=seen_incidents.of_performance(seen),
        data=seen_incidents.of_data(seen, IncidentCause.DATA),
        support=seen_incidents.of_data(seen, IncidentCause.SUPPORT),
        judged=JudgedDays.from_json(known) if decisions and (known := decisions[-1].numbers.get("judged")) else None,
        silence=seen_incidents.of_data(seen, IncidentCause.SILENCE),
    )


def _ending(state: State, live: bool) -> Ending:
    if live:
        return Ending.LIVE
    if state in (State.FAILED, State.SUPERSEDED):
        return Ending.BROKEN
    return Ending.FUTILE if state in (State.REJECTED, State.UNCHANGED) else Ending.PROMOTED


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


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read of a day, and of the cohorts that had matured by its end.

    Attributes:
        profile: the day, counted in the reference's bins.
        losses_expected: ``(n,)``: the loss each answered row is expected to have; empty where none can be estimated.
        roc_auc_expected: a binary classifier's.
        losses: of each day the version served, on labels matured by the end of the day.
        cohorts: how many rows of those days have a label.
        estimated_before: the estimated mean loss of the days of the version that were judged before, oldest first.
        estimated_rows: of the newest of them, where a day is judged with those before it; else 0.
        counted_before: the small days of the version before, for the pools.
        label_shift: a classifier's, from the day's answers; None where there is none.
        weights: ``(n,)``: how much each of ``losses_expected`` counts; None where all count the same.
    """

    profile: Profile
    losses_expected: np.ndarray[Any, Any]
    roc_auc_expected: float | None
    label_shift: LabelShift | None
    losses: tuple[DayLoss, ...]
    cohorts: tuple[Cohort, ...]
    estimated_before: tuple[float, ...] = ()
    estimated_rows: int = 0
    counted_before: tuple[CountedDay, ...] = ()
    weights: np.ndarray[Any, Any] | None = None


def _row_by_row(
    model: ModelDeclaration,
    requests: list[str],
    features: pd.DataFrame,
    served: pd.DataFrame,
    scores: np.ndarray[Any, Any],
) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """The features and the answers of the same rows. A classifier's losses are estimated from its answers alone."""
    import numpy as np

    if model.is_classifier:
        return features, scores
    answers = by_request(model, served)["score"].reindex(requests).to_numpy(dtype=float)
    answered = np.isfinite(answers)
    return features.loc[answered], answers[answered]


def _weights(
    model: ModelDeclaration, rows: pd.DataFrame, served: pd.DataFrame, scores: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any] | None:
    """How much each row counts of those that ``_row_by_row`` gives; None where the model declares no weight."""
    import numpy as np
    import pandas as pd

    if model.weight is None:
        return None
    requests = request_ids(model, rows)
    known = pd.Series(rows[point_in_time_rows.WEIGHT].to_numpy(dtype=float), index=requests)
    if model.is_classifier:
        asked: Any = by_request(model, served).index
    else:
        answers = by_request(model, served)["score"].reindex(requests).to_numpy(dtype=float)
        asked = known.index[np.isfinite(answers)]
    return row_weights.checked(model, known.reindex(asked).to_numpy(), "the served rows")


def estimated_losses(
    model: ModelDeclaration, reference: EstimateReference | None, features: pd.DataFrame, scores: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], float | None, LabelShift | None]:
    """The loss each answered row is expected to have, a binary classifier's expected ROC AUC, and what a classifier's
    loss would be, were only the classes' shares to have changed.

    ``features`` are read for a regression alone, and are then those of ``scores``, row by row.
    """
    import numpy as np

    metric = model.drift.performance.metric
    if reference is None or reference.metric != metric:
        return np.empty(0), None, None
    if reference.calibration is not None:
        probabilities = reference.calibration(scores)
        auc = expected_roc_auc(scores, probabilities) if scores.ndim == 1 and model.weight is None else None
        losses = expected_losses(watched_loss(model), scores, probabilities)
        return losses, auc, reference.label_shift(watched_loss(model), scores)
    if reference.trees is None:
        return np.empty(0), None, None
    return reference.trees.estimated(features, scores), None, None


def estimated_before(
    ledger: Ledger, model: ModelDeclaration, version: str, day: str, reference: EstimateReference | None
) -> tuple[tuple[float, ...], int]:
    """The estimated losses of the version's days before, as they were reported, and the rows they add to a pool."""
    kept = ledger.drift.reports(model.name, last=ESTIMATES_KEPT, before=day)
    found = [r.report["estimated"] for r in kept if r.report["version"] == version and r.report.get("estimated")]
    return pools.estimates_before(model, reference, [EstimatedPerformance.from_json(f) for f in found])


def report_on(
    model: ModelDeclaration, version: str, day: str, reference: references.Reference, measured: Measured
) -> DriftReport:
    """The declared measurements of one day against the version's reference. Reads nothing.

    Args:
        model: What is declared.
        version: The candidate id of the champion.
        day: ``YYYY-MM-DD``.
        reference: What was kept of the version.
        measured: Of the day.
    """
    declared, performance = model.drift, model.drift.performance
    counted = CountedDay(day, measured.profile)
    pool = pools.pool_of(model, counted, measured.counted_before, declared.inputs.min_rows)
    inputs = input_drift(
        reference.profile,
        pool.profile,
        rules=DriftRules(
            q=declared.inputs.q,
            effect_at_least=declared.inputs.effect_at_least,
            share_at_least=declared.inputs.share_at_least,
            min_rows=declared.inputs.min_rows,
            day=pools.compared_as(pool),
        ),
        importances=reference.importances,
    )
    answers = pools.pool_of(model, counted, measured.counted_before, declared.predictions.min_rows)
    predictions = prediction_drift(
        reference.profile,
        answers.profile,
        rules=DriftRules(
            q=declared.inputs.q,
            effect_at_least=declared.predictions.effect_at_least,
            min_rows=declared.predictions.min_rows,
            day=pools.compared_as(answers),
        ),
    )
    realised = references.realised(model, reference, measured.losses)
    estimated = estimated_performance(
        reference.estimate,
        measured.losses_expected,
        band=Band(
            metric=performance.metric,
            tolerance=performance.tolerance,
            alpha=performance.alpha,
            run_length_days=declared.estimated.run_length_days,
        ),
        min_rows=declared.estimated.min_rows,
        outside_share=outside_support(inputs, predictions),
        outside_at_most=declared.estimated.outside_at_most,
        beside=BesideEstimate(
            measured.estimated_before,
            measured.roc_auc_expected,
            measured.label_shift,
            measured.estimated_rows,
            measured.weights,
        ),
    )
    labels = label_maturity(
        measured.cohorts,
        reference.lacking_by_age or reference.never_labelled,
        window_days=performance.window_days,
        allowed_rise=declared.data.overdue_labels,
        min_rows=declared.inputs.min_rows,
        most_days=declared.pool_days,
    )
    bounds = DataBounds(
        missing_jump=declared.data.missing_jump,
        unseen_share=declared.data.unseen_share,
        outside_support=declared.data.outside_support,
        min_rows=declared.inputs.min_rows,
    )
    return drift_report(
        ScoredDay(model.name, version, day),
        reference.profile,
        measured.profile,
        DriftMeasurements(
            pools.shown(inputs, pool),
            pools.shown(predictions, answers),
            realised,
            estimated,
            labels,
            pool if pool.is_pooled else None,
            pools.is_small(model, measured.profile.rows),
        ),
        bounds,
    )
