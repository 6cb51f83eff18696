"""What people are notified of: one sentence and a link, about something that happened in the ledger.

Everything follows from the run and the task, so that a callback that runs twice, or a task that runs again, finds the
same key and notifies no one twice. A notice is written into the outbox and sent from there (``outbox``); what no
callback wrote down, because its process was killed, housekeeping finds in the ledger (``missed``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import quote

from include.adapters.ledger import IncidentEventRecord, IncidentRecord, Ledger, Notice, Scope
from include.config import ModelDeclaration, declarations
from include.domain.faults import crashpoint
from include.domain.incident_log import IncidentCause, IncidentEventKind
from include.domain.intervals import spoken
from include.domain.promotion import EpochKind
from include.domain.verdicts import Mode, Verdict
from include.workflows import stores
from include.workflows.alerts import outbox, recipients
from include.workflows.alerts.outbox import FILE as FILE
from include.workflows.alerts.outbox import Send
from include.workflows.alerts.outbox import to_file as to_file
from include.workflows.gates.gate import title as gate_title
from include.workflows.journey.facts import Evaluated
from include.workflows.journey.kept_facts import KeptFacts
from include.workflows.pages import incidents, release

GATE_FAILED, WAITING, ESCALATED = "gate_failed", "waiting", "escalated"
INCIDENT = "incident"
PROMOTED, ROLLED_BACK, LATE, STRANDED = "promoted", "rolled_back", "late", "stranded"
LOOKS_BACK = timedelta(days=7)
"""How far back missing notices are searched for, by the clock."""
NEWEST_INCIDENTS = 10
LONGEST_OPEN = 30
"""How many of the newest judged days are searched for those that opened an incident or reminded of one."""
JOURNEYS = 30
"""The number of journeys of each model whose gates are checked, newest first."""


def about(
    ledger: Ledger, kind: str, model: ModelDeclaration, run_id: str, task_id: str, now: datetime
) -> Notice | None:
    """What there is to tell; None when it did not happen, or no one is to be notified."""
    to = recipients.of(Scope.MODEL, model.name, kind)
    if to is None:
        return None
    if kind == LATE:
        found = _late(ledger, model, run_id, now)
    else:
        finders = {GATE_FAILED: _gate, WAITING: _gate, ESCALATED: _escalated, PROMOTED: _promoted, STRANDED: _stranded}
        finders |= {INCIDENT: _incident}
        found = finders.get(kind, _rolled_back)(ledger, kind, model, run_id, task_id)
    if found is None:
        return None
    key, sentence, link = found
    return Notice(f"{kind}/{key}", Scope.MODEL, model.name, kind, to.told.role, to.told.name, sentence, link)


def tell(model_name: str, kind: str, run_id: str, task_id: str, send: Send, now: datetime) -> str:
    """Write it down and send it, unless it was sent before. Returns what became of it, for the log."""
    model = declarations().model(model_name)
    with stores.open_ledger() as ledger:
        notice = about(ledger, kind, model, run_id, task_id, now)
        if notice is None:
            return f"No one is notified: nothing of kind {kind} happened in {run_id}, or the declaration names no one."
        ledger.notices.put(notice, now)
        crashpoint("notices.put")
        return outbox.deliver(ledger, notice.key, send, now)


def missed(ledger: Ledger, now: datetime) -> list[str]:
    """Write the missing notices about the last days; returns their keys."""
    found = [notice for model in declarations().models.values() for notice in _happened(ledger, model, now)]
    return [notice.key for notice in found if ledger.notices.put(notice, now)]


def _happened(ledger: Ledger, model: ModelDeclaration, now: datetime) -> Iterator[Notice]:
    since = now - LOOKS_BACK
    asked: list[tuple[str, str, str]] = []
    for candidate in ledger.overview.candidates(model.name, last=JOURNEYS):
        for gate, record in ledger.gates.latest(candidate.candidate_id).items():
            if record.recorded_at >= since and record.result.mode is Mode.BLOCKING:
                if record.verdict is Verdict.FAIL:
                    asked.append((GATE_FAILED, candidate.run_id, gate))
                elif record.verdict is Verdict.INCONCLUSIVE and candidate.is_live:
                    asked.append((WAITING, candidate.run_id, gate))
    for epoch in ledger.deployments.epochs(model.name):
        if epoch.recorded_at >= since:
            asked.append((ROLLED_BACK if epoch.kind is EpochKind.ROLLBACK else PROMOTED, epoch.run_id, ""))
    asked += [(ESCALATED, run_id, "") for run_id in ledger.overview.runs_that_escalated(model.name, since)]
    asked += [(INCIDENT, run_id, "") for run_id in _runs_with_incidents(ledger, model.name, since)]
    for kind, run_id, gate in asked:
        notice = about(ledger, kind, model, run_id, gate, now)
        if notice is not None:
            yield notice


def outcome(dag_id: str, run_id: str) -> str | None:
    """How a journey or a rollback ended, in a line: ``promoted v7: brier 0.1752 → 0.1714``.

    None for a run that opened no journey and rolled nothing back, and while it is under way.
    """
    kind, _, name = dag_id.partition("_")
    with stores.open_ledger() as ledger:
        epoch = next((e for e in ledger.deployments.epochs(name) if e.run_id == run_id), None)
        if kind == "rollback":
            return f"rolled back to v{epoch.model_version} by {epoch.decider}: {epoch.reason}" if epoch else None
        candidate = ledger.candidates.of_run(name, run_id)
        joined = None if candidate is not None else ledger.candidates.joined_by(name, run_id)
    if joined is not None:
        return f"not started: {joined.candidate_id} (run {joined.run_id}) is the answer, and has this among its causes"
    if candidate is None or candidate.is_live:
        return None
    if epoch is not None:
        return f"promoted v{epoch.model_version}{_gain(declarations().model(name), epoch.to_candidate)}"
    return candidate.outcome or candidate.state.value.replace("_", " ")


Found = tuple[str, str, str] | None
"""Key, sentence, link."""


def _gate(ledger: Ledger, kind: str, model: ModelDeclaration, run_id: str, task_id: str) -> Found:
    candidate = ledger.candidates.of_run(model.name, run_id)
    record = ledger.gates.latest(candidate.candidate_id).get(task_id) if candidate else None
    wanted = Verdict.INCONCLUSIVE if kind == WAITING else Verdict.FAIL
    if candidate is None or record is None or record.verdict is not wanted:
        return None
    says = "waits for you" if kind == WAITING else "failed"
    sentence = f"{model.name}: {gate_title(task_id).lower()} {says}. {record.result.reason}"
    return f"{candidate.candidate_id}/{task_id}/{record.attempt}", sentence, _page(candidate.candidate_id)


def _escalated(ledger: Ledger, _kind: str, model: ModelDeclaration, run_id: str, _task_id: str) -> Found:
    report_id = ledger.overview.report_of_run(model.name, run_id)
    decision = ledger.drift.decision(report_id) if report_id else None
    if report_id is None or decision is None or decision.action.value != "escalate":
        return None
    return report_id, f"{model.name}: {decision.reason}", f"/slipway/drift/{quote(report_id)}"


def _incident(ledger: Ledger, _kind: str, model: ModelDeclaration, run_id: str, _task_id: str) -> Found:
    """The incident that the run's day opened or reminded of."""
    report_id = ledger.overview.report_of_run(model.name, run_id)
    report = ledger.drift.get(report_id) if report_id else None
    for record, event in _told_of(ledger, model.name) if report is not None else ():
        if report is not None and event.day == report.day:
            reminder = "still open. " if event.kind is IncidentEventKind.REMINDED else ""
            sentence = f"{model.name}: {reminder}{incidents.summary(incidents.view_of(ledger, record))}"
            return f"{record.incident_id}/{event.number}", sentence, f"/slipway/incidents/{quote(record.incident_id)}"
    return None


def _runs_with_incidents(ledger: Ledger, model: str, since: datetime) -> Iterator[str]:
    """The drift runs whose days opened an incident, or reminded of one, since a moment of the clock."""
    days = {event.day for _, event in _told_of(ledger, model) if event.recorded_at >= since}
    if days:
        reports = ledger.drift.reports(model, last=LONGEST_OPEN)
        yield from (report.run_id for report in reports if report.day in days)


def _told_of(ledger: Ledger, model: str) -> Iterator[tuple[IncidentRecord, IncidentEventRecord]]:
    """Of the model's newest incidents, what people are notified of."""
    for record in ledger.incidents.of(model, last=NEWEST_INCIDENTS):
        for event in ledger.incidents.events(record.incident_id):
            # That one of the data was opened is what its escalation says already.
            opened = event.kind is IncidentEventKind.OPENED and record.cause is IncidentCause.PERFORMANCE
            if opened or event.kind is IncidentEventKind.REMINDED:
                yield record, event


def _promoted(ledger: Ledger, _kind: str, model: ModelDeclaration, run_id: str, _task_id: str) -> Found:
    epochs = ledger.deployments.epochs(model.name)
    epoch = next((e for e in epochs if e.run_id == run_id and e.kind is not EpochKind.ROLLBACK), None)
    if epoch is None:
        return None
    sentence = f"{model.name}: promoted v{epoch.model_version}{_gain(model, epoch.to_candidate)}."
    return f"{model.name}/{epoch.revision}", sentence, _page(epoch.to_candidate)


def _rolled_back(ledger: Ledger, _kind: str, model: ModelDeclaration, run_id: str, _task_id: str) -> Found:
    epochs = ledger.deployments.epochs(model.name)
    epoch = next((e for e in epochs if e.run_id == run_id and e.kind is EpochKind.ROLLBACK), None)
    if epoch is None:
        return None
    sentence = f"{model.name}: rolled back to v{epoch.model_version} by {epoch.decider}: {epoch.reason}"
    return f"{model.name}/{epoch.revision}", sentence, f"/slipway/models/{quote(model.name)}"


def _stranded(ledger: Ledger, _kind: str, model: ModelDeclaration, run_id: str, _task_id: str) -> Found:
    """A journey that housekeeping closed, in the lap it closed."""
    candidate = ledger.candidates.of_run(model.name, run_id)
    if candidate is None or candidate.is_live or candidate.outcome is None:
        return None
    lap = ledger.stops.lap(candidate.candidate_id)
    sentence = f"{model.name}: {candidate.candidate_id} was closed. {candidate.outcome}"
    return f"{candidate.candidate_id}/{lap}", sentence, _page(candidate.candidate_id)


def _late(ledger: Ledger, model: ModelDeclaration, run_id: str, now: datetime) -> Found:
    """A journey that is under way, or whose run has not opened one yet."""
    promised = f"longer than the {spoken(model.promise)} that {model.name} promises"
    candidate = ledger.candidates.of_run(model.name, run_id)
    if candidate is None:
        sentence = f"{model.name}: run {run_id} takes {promised}, and has opened no journey yet."
        return f"{model.name}/{run_id}", sentence, f"/slipway/runs/retrain_{model.name}/{quote(run_id, safe='')}"
    if not candidate.is_live:
        return None
    view = release.view_of(ledger, candidate.candidate_id, now)
    sentence = f"{model.name}: {candidate.candidate_id} takes {promised}. {view.headline}: {view.sentence}"
    return candidate.candidate_id, sentence, _page(candidate.candidate_id)


def _gain(model: ModelDeclaration, candidate_id: str) -> str:
    """``: brier 0.1752 → 0.1714`` on the same held-out rows; against the baseline where there was no champion; empty
    where nothing was kept."""
    evaluated = KeptFacts(candidate_id).of(Evaluated)
    measured = evaluated.metrics if evaluated else {}
    compared = model.gates.champion_gate.comparisons
    metric = compared[0].metric if compared else model.gates.champion_gate.beat_baseline_on
    champion, after, baseline = ((measured.get(who) or {}).get(metric) for who in ("champion", "candidate", "baseline"))
    if after is None:
        return ""
    if champion is not None:
        return f": {metric} {champion:.4g} → {after:.4g}"
    return f": {metric} {after:.4g}, baseline {baseline:.4g}" if baseline is not None else f": {metric} {after:.4g}"


def _page(candidate_id: str) -> str:
    return f"/slipway/candidates/{quote(candidate_id)}"
