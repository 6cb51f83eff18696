"""What people are told: one sentence and a link, about something that happened in the ledger.

Everything follows from the run and the task, so that a callback that runs twice, or a task that runs again, finds the
same key and tells nobody a second time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from include.adapters.ledger import Ledger, Notice
from include.config import ModelDeclaration, declarations
from include.config.settings import settings
from include.domain.intervals import spoken
from include.domain.promotion import EpochKind
from include.domain.verdicts import Verdict
from include.workflows.pages import release, sources
from include.workflows.pages.words import gate_title

FILE = "notices.jsonl"
GATE_FAILED, WAITING, ESCALATED = "gate_failed", "waiting", "escalated"
PROMOTED, ROLLED_BACK, LATE = "promoted", "rolled_back", "late"

Send = Callable[[Notice, ModelDeclaration], None]
"""Hands a notice to the declared channel."""


def about(
    ledger: Ledger, kind: str, model: ModelDeclaration, run_id: str, task_id: str, now: datetime
) -> Notice | None:
    """What there is to tell; None when it did not happen, or nobody shall be told."""
    role = getattr(model.notify, kind)
    if role == "nobody":
        return None
    told = str(getattr(model.owners, role))
    if kind == LATE:
        found = _late(ledger, model, run_id, now)
    else:
        finders = {GATE_FAILED: _gate, WAITING: _gate, ESCALATED: _escalated, PROMOTED: _promoted}
        found = finders.get(kind, _rolled_back)(ledger, kind, model, run_id, task_id)
    if found is None:
        return None
    key, sentence, link = found
    return Notice(f"{kind}/{key}", model.name, kind, told, sentence, link)


def tell(model_name: str, kind: str, run_id: str, task_id: str, send: Send, now: datetime) -> str:
    """Tell it, unless it was told. Returns what became of it, for the log."""
    model = declarations().model(model_name)
    with Ledger.open(settings().ledger_url) as ledger:
        notice = about(ledger, kind, model, run_id, task_id, now)
        if notice is None:
            return f"Nobody is told: nothing of kind {kind} happened in {run_id}, or the declaration names nobody."
        if not ledger.notices.claim(notice):
            return f"{notice.told} was told before: {notice.key}."
        try:
            send(notice, model)
        except BaseException:
            ledger.notices.take_back(notice)
            raise
        return f"{notice.told} is told: {notice.sentence}"


def outcome(dag_id: str, run_id: str) -> str | None:
    """How a journey or a rollback ended, in a line: ``promoted v7: brier 0.1752 → 0.1714``.

    None for a run that opened no journey and rolled nothing back, and while it is under way.
    """
    kind, _, name = dag_id.partition("_")
    with Ledger.open(settings().ledger_url) as ledger:
        epoch = next((e for e in ledger.deployments.epochs(name) if e.run_id == run_id), None)
        if kind == "rollback":
            return f"rolled back to v{epoch.model_version} by {epoch.actor}: {epoch.reason}" if epoch else None
        candidate = ledger.candidates.of_run(name, run_id)
    if candidate is None or candidate.is_live:
        return None
    if epoch is not None:
        return f"promoted v{epoch.model_version}{_gain(declarations().model(name), epoch.to_candidate)}"
    return candidate.outcome or candidate.state.value.replace("_", " ")


def to_file(notice: Notice) -> None:
    """Append the notice as one line of JSON to the file in Slipway's home."""
    line = {"kind": notice.kind, "model": notice.model, "to": notice.told, "sentence": notice.sentence}
    file = settings().home / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**line, "link": notice.link, "key": notice.key}) + "\n")


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
    sentence = f"{model.name}: rolled back to v{epoch.model_version} by {epoch.actor}: {epoch.reason}"
    return f"{model.name}/{epoch.revision}", sentence, f"/slipway/models/{quote(model.name)}"


def _late(ledger: Ledger, model: ModelDeclaration, run_id: str, now: datetime) -> Found:
    """A journey that is under way, or whose run has not even opened one."""
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
    measured = (sources.kept(candidate_id, "evaluation.json") or {}).get("metrics") or {}
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
