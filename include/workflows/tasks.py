"""What each Dag task calls: one function a task, and no heavy import before it is called (docs/design.md, rule 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config.views import AUDIT_GATE as AUDIT_GATE
from include.workflows import gates

if TYPE_CHECKING:
    from include.config import ModelDeclaration
    from include.workflows.alerts.outbox import Send
    from include.workflows.journey.facts import JourneyReference, ReportReference
    from include.workflows.release.rollout import Watch

Reference = Mapping[str, Any]
"""Small JSON that names things in the ledger and the stores; what an XCom may carry."""


# --- features_<view> -------------------------------------------------------------------------------------------------


def materialize(view: str, partition_key: str | None, params: Reference, run_id: str, now: datetime) -> Reference:
    """Extract, compute and stage the run's interval, which must lie in the view's calendar and be over at ``now``."""
    from include.config import declarations
    from include.domain.intervals import requested
    from include.workflows import stores
    from include.workflows.features import redo, staging

    calendar = declarations().view(view).calendar
    interval = requested(partition_key, params.get("start"), params.get("end"))
    interval.require_within(calendar.starts, calendar.ends, now)
    as_of = _as_of(params.get("as_of"), interval.end, now)
    with stores.open_ledger() as ledger:
        staged = staging.stage(
            view,
            interval,
            run_id,
            redo.WithReaders.of(ledger),
            as_of=as_of,
            look_again=partition_key is not None,
        )
    return staged.as_reference()


def _as_of(text: str | None, end: datetime, now: datetime) -> datetime | None:
    """The as-of time of a range's form, which lies between the range's end and now; None where it gives none."""
    from include.domain.intervals import BadInterval, instant

    if text is None:
        return None
    moment = instant(text)
    if not end <= moment <= now:
        raise BadInterval(
            f"as_of is {moment.isoformat()}; it must lie between the range's end {end.isoformat()} and now "
            f"({now.isoformat()})."
        )
    return moment


def audit(staged: Reference, now: datetime) -> Reference:
    """Judge what was staged, before anybody can read it."""
    from include.workflows.features import staging
    from include.workflows.gates import run

    return run.outcome_of(staging.audit(staged), staged)


def publish(staged: Reference, params: Reference) -> Reference:
    """Replace the partitions in one commit; ``announce`` lists those whose events start scoring (none for history)."""
    from include.workflows import stores
    from include.workflows.features import redo, staging

    with stores.open_ledger() as ledger:
        published = staging.publish(staged, redo.WithReaders.of(ledger))
    bulk = params.get("start") is not None
    days = published.published if bulk and params.get("start_scoring") else []
    facts = {
        "rows": sum(staged["rows"].values()),
        "table_version": published.table_version,
        "changed": len(published.changed),
        "corrected": published.corrected,
        "refused": sorted(published.refused),
    }
    return {**published.as_reference(), "facts": facts, "announce": [f"{day}T00:00:00" for day in days]}


# --- score_<model>, ahead_<model>, collect_<model>, drift_<model> -----------------------------------------------


def score(model: str, partition_key: str | None, run_id: str) -> Reference:
    from include.workflows.scoring import daily

    return daily.score(model, _day(partition_key), run_id)


def score_ahead(model: str, partition_key: str | None, params: Reference, run_id: str, now: datetime) -> Reference:
    """Answer what is known at the run's moment, or at every answer time of the form's days, which must be over."""
    from include.config import declarations
    from include.domain.intervals import BadInterval, instant, requested
    from include.workflows.scoring import ahead

    times = ahead.answer_times(declarations().model(model))
    if partition_key is not None and params.get("start") is None and params.get("end") is None:
        moments = [instant(partition_key)]
        if moments[0] > now:
            raise BadInterval(
                f"{moments[0].isoformat()} lies after now ({now.isoformat()}); what is known then cannot be said yet."
            )
    else:
        interval = requested(partition_key, params.get("start"), params.get("end"))
        view = declarations().view(declarations().model(model).entity.view)
        interval.require_within(view.calendar.starts, view.calendar.ends, now)
        moments = times.within(interval)
    return ahead.score_ahead(model, moments, run_id)


def collect(model: str, partition_key: str | None, run_id: str, now: datetime) -> Reference:
    from include.workflows.scoring import collecting

    return collecting.collect(model, _day(partition_key), run_id, now)


def collect_so_far(model: str, run_id: str, now: datetime) -> Reference:
    from include.workflows.scoring import collecting

    return collecting.collect_so_far(model, run_id, now)


def measure_drift(model: str, partition_key: str | None, run_id: str) -> ReportReference:
    from include.workflows.drift import sensor

    return sensor.measure(model, _day(partition_key), run_id)


def decide(report: ReportReference) -> Reference:
    from include.workflows.drift import sensor

    return sensor.decide(report)


def check_consistency(model: str, params: Reference, run_type: str, run_after: datetime) -> Reference:
    """Compare served features with the offline store: the form's days, or the week before a scheduled run, which is
    ``skipped`` where nothing was served."""
    from include.domain.intervals import requested
    from include.workflows.explain import consistency

    if run_type == "scheduled":
        return consistency.week_checked(model, run_after)
    return {"skipped": None, **consistency.checked(model, requested(None, params.get("start"), params.get("end")))}


def _day(partition_key: str | None) -> str:
    from include.domain.intervals import BadInterval, Interval

    if partition_key is None:
        raise BadInterval(
            "This run has no partition, so no day. Trigger it with a partition key, for example 2013-06-01T00:00:00."
        )
    return Interval.of_day(partition_key).days[0]


# --- retrain_<model> -------------------------------------------------------------------------------------------------


def open_journey(
    model: str, run_id: str, run_type: str, conf: Mapping[str, Any] | None, run_after: datetime, user: str | None
) -> JourneyReference:
    from include.workflows.release import opening

    return opening.open_journey(model, run_id, run_type, conf, run_after, user)


def begin_journey(
    model: str, run_id: str, run_type: str, conf: Mapping[str, Any] | None, run_after: datetime, user: str | None
) -> Reference:
    """Open the run's journey: its ``reference``, or why it was ``refused``. A refusal begins nothing, so nothing has to
    be repaired: a mistake in the request, a journey that is under way already, a user who may not replace it."""
    from include.adapters.ledger import AnsweredMeanwhile, JourneyUnderWay
    from include.domain.authority import MayNotDecide
    from include.domain.journey import BadRequest

    try:
        opened = open_journey(model, run_id, run_type, conf, run_after, user)
    except (BadRequest, JourneyUnderWay, AnsweredMeanwhile, MayNotDecide) as refusal:
        return {"reference": None, "refused": str(refusal)}
    return {"reference": opened, "refused": None}


def build_training_set(reference: JourneyReference) -> Reference:
    from include.workflows.evidence import training
    from include.workflows.gates import champion

    return training.build_training_set(reference, compared_by=champion.NAME)


def train(reference: JourneyReference) -> Reference:
    from include.workflows.evidence import training

    return training.train(reference)


def refit(reference: JourneyReference) -> Reference:
    from include.workflows.evidence import refit as fitting

    return fitting.refit(reference)


def refits(model: ModelDeclaration) -> bool:
    """Whether the model's journeys have the step ``refit``."""
    from include.workflows import gates

    return gates.refits(model)


def evaluate(reference: JourneyReference) -> Reference:
    from include.workflows.evidence import evaluation

    return evaluation.evaluate(reference)


def gates_after(model: ModelDeclaration, step: str) -> list[str]:
    """The declared gates that judge what the step made, as names of tasks. Light: it is called at parse."""
    return [gate.name for gate in gates.after(model, step)]


def asks(model: ModelDeclaration, gate: str) -> str:
    """The question of the model's gate, for people. Light: it is called at parse."""
    return gates.asks(gate, model)


def judge(gate: str) -> Callable[[JourneyReference, datetime], Reference]:
    """The workflow of the gate of that name."""

    def judged(reference: JourneyReference, now: datetime) -> Reference:
        from include.workflows.gates import run

        return run.judge(gate, reference, now)

    return judged


def refusal_to_answer(reference: Reference, gate: str, who: str) -> str | None:
    """Why the user may not answer the gate's question; None when they may."""
    from include.workflows.gates import overrides

    return overrides.refusal_to_answer(str(reference["model"]), gate, who)


def approve(reference: JourneyReference, gate: str, who: str, why: str, now: datetime) -> Reference:
    from include.workflows.gates import run

    return run.approve(reference, gate, who, why, now)


def register_challenger(reference: JourneyReference, now: datetime) -> Reference:
    from include.workflows.release import promotion

    return promotion.register_challenger(reference, now)


def open_shadow_window(reference: JourneyReference) -> Reference:
    from include.workflows.evidence import shadow_window

    return shadow_window.open_window(reference)


def shadow_wait_is_over(candidate_id: str) -> bool:
    from include.workflows.evidence import shadow_window

    return shadow_window.wait_is_over(candidate_id)


def go_on_canary(reference: JourneyReference, now: datetime) -> Reference:
    """Bring the candidate's share of live traffic as far as evidence lets it: ``finished``, and a ``sentence``."""
    from include.workflows.release import rollout

    return rollout.go_on(reference, now)


def canary_watch(candidate_id: str, pause_s: float) -> Watch:
    """Of the one who waits for a canary: whether there is something to do."""
    from datetime import timedelta

    from include.workflows.release import rollout

    return rollout.Watch(candidate_id, timedelta(seconds=pause_s))


def promote(reference: JourneyReference, now: datetime) -> Reference:
    from include.workflows.release import promotion

    return promotion.promote(reference, now)


def close_journey(reference: JourneyReference) -> Reference:
    from include.workflows.release import opening

    return opening.close_journey(reference)


# --- rollback_<model> ------------------------------------------------------------------------------------------------


def roll_back(
    model: str, run_id: str, conf: Mapping[str, Any] | None, user: str | None, asked_at: datetime | None = None
) -> Reference:
    from include.workflows.release import promotion

    return promotion.roll_back(model, run_id, conf, user, asked_at)


# --- gate_selftest ---------------------------------------------------------------------------------------------------


def selftest(model: str) -> Reference:
    """The seeded bad candidates against every gate of the model: ``passed``, the matrix as ``table``, ``problems``."""
    from include.domain.selftest import as_table
    from include.workflows.selftest import bench

    matrix = bench.run(model, tell=print)
    return {"passed": matrix.passed, "table": as_table(matrix), "problems": matrix.problems, "rows": matrix.rows}


# --- housekeeping ----------------------------------------------------------------------------------------------------


def reconcile_aliases() -> Reference:
    from include.workflows.release import reconcile

    return reconcile.reconciled()


def compare_pair(name: str, now: datetime) -> Reference:
    """Compare one pair of stores (``include.workflows.pairs.CHECKS``)."""
    from include.workflows import pairs

    return pairs.compared(name, now)


def end_stranded_journeys(ask: Callable[[str, str], str]) -> Reference:
    """Close the candidates whose run is over or gone; ``ask`` says ``under way``, ``over`` or ``gone`` of a run."""
    from include.workflows.release import stranded

    return stranded.end_stranded(lambda dag_id, run_id: stranded.RunIs(ask(dag_id, run_id)))


def require_every_run_asked(found: Reference) -> None:
    from include.workflows.release import stranded

    stranded.require_asked(dict(found))


def report_lapsed_overrides(now: datetime) -> Reference:
    from include.workflows.release import reconcile

    return reconcile.lapsed_overrides(now)


def remove_old_journal(now: datetime, run_id: str) -> Reference:
    """Remove files of the journal that are old and collected (``serving.keep``)."""
    from include.workflows.scoring import journal_keeping

    return journal_keeping.remove_old(now, run_id)


# --- watch -----------------------------------------------------------------------------------------------------------


def send_notices(send: Send, now: datetime) -> Reference:
    """Write the notices that are missing, and send everything that is due; the last step of housekeeping."""
    from include.workflows import stores
    from include.workflows.alerts import outages, outbox
    from include.workflows.pages import notices

    with stores.open_ledger() as ledger:
        missed = notices.missed(ledger, now)
        lines = outbox.sweep(ledger, send, now)
        unsent = len(ledger.notices.unsent())
        ledger.outages.beat(outages.HOUSEKEEPING, now)
    for line in lines:
        print(line)
    return {"tried": len(lines), "facts": {"missed": len(missed), "unsent": unsent}}


def watch(send: Send, now: datetime) -> Reference:
    """Find what is missing, report it, and send whatever else is due."""
    from include.workflows import stores
    from include.workflows.alerts import outages, outbox

    with stores.open_ledger() as ledger:
        new = outages.watch(ledger, now)
        lines = outbox.sweep(ledger, send, now)
        lasting, unsent = ledger.outages.open(), len(ledger.notices.unsent())
        ledger.outages.beat(outages.WATCH, now)
    for line in [*lines, *(outage.sentence for outage in lasting)]:
        print(line)
    return {"new": new, "facts": {"out_of_order": len(lasting), "unsent": unsent}}
