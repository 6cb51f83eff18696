"""The release page: one candidate's way, what each gate measured and allowed, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from include.adapters.ledger import Candidate, Explanation, Ledger, ShadowWindow
from include.config import ModelDeclaration
from include.domain.lifecycle import State
from include.domain.promotion import Epoch, Override, rollback_target
from include.domain.wording import count_of
from include.workflows import gates as registered
from include.workflows.gates import slices as slice_gate
from include.workflows.gates.gate import title as gate_title
from include.workflows.journey.causes import in_words
from include.workflows.journey.facts import Curves, Disagreement, Evaluated, RecipeRace, Refitted, Remarks, TrainingSets
from include.workflows.journey.kept_facts import KeptFacts
from include.workflows.pages import actions, sources
from include.workflows.pages.actions import Button, NewJourney
from include.workflows.pages.way import GateView, Phase, gate_view, phases_of, place, standing_gates
from include.workflows.pages.words import TRIGGERS
from include.workflows.release import stranded


@dataclass(frozen=True, slots=True)
class ShadowView:
    """What is known of the shadow window."""

    champion_id: str | None
    since: datetime
    until: datetime | None
    rows: int
    min_rows: int
    days: int
    min_days: int
    disagreement: Disagreement | None
    """None before the shadow gate judged."""


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """All that the page shows."""

    candidate: Candidate
    headline: str
    tone: str
    """``good``, ``bad``, ``waits`` or ``quiet``."""
    sentence: str
    next_steps: tuple[str, ...]
    champion: Epoch | None
    """Who serves now."""
    phases: tuple[Phase, ...]
    gates: tuple[GateView, ...]
    """Those in the way first."""
    curves: Mapping[str, Any] | None
    remarks: tuple[str, ...]
    """What could not be shown, and why."""
    measured: Mapping[str, Mapping[str, float]]
    """Each metric of candidate, champion and baseline on the held-out rows."""
    slices: GateView | None
    shadow: ShadowView | None
    race: RecipeRace | None
    """None where nothing raced, or where this server cannot read it."""
    lineage: tuple[tuple[str, str], ...]
    mlflow_url: str | None
    explanation: Explanation
    actions: tuple[Button, ...]
    asked_by: str
    also_asked: str
    """Who asked while it was under way; empty when no one did."""

    @property
    def lacks_data(self) -> bool:
        """Whether a gate is in the way that only other rows can let pass."""
        return any(gate.same_again and gate.in_the_way for gate in self.gates)

    @property
    def model(self) -> str:
        return self.candidate.model


def release(candidate_id: str, now: datetime) -> ReleaseView:
    """The page of one candidate.

    Raises:
        UnknownCandidate: when there is none.
    """
    with sources.open_ledger() as ledger:
        return view_of(ledger, candidate_id, now)


def view_of(ledger: Ledger, candidate_id: str, now: datetime) -> ReleaseView:
    """The same from a ledger that is open."""
    return _view(ledger, ledger.explain(candidate_id), now)


def candidate_of_run(model: str, run_id: str) -> str | None:
    """The candidate of a journey's run; None when that run opened none (yet)."""
    with sources.open_ledger() as ledger:
        found = ledger.candidates.of_run(model, run_id)
    return found.candidate_id if found else None


def _view(ledger: Ledger, found: Explanation, now: datetime) -> ReleaseView:
    candidate = found.candidate
    champion = ledger.deployments.champion(candidate.model)
    declared = sources.declared_now().models.get(candidate.model)
    lap = 1 if found.epochs else ledger.stops.lap(candidate.candidate_id)
    other = ledger.candidates.live(candidate.model)
    under_way = other.candidate_id if other is not None and other.candidate_id != candidate.candidate_id else None
    records = {s.newest.gate: (s.newest, s.attempts) for s in found.gates}
    # The record of its promotion stays the same after the override has expired.
    live = {o.gate: o for o in found.overrides if found.epochs or o.is_live(now)}
    gates = {
        gate: _helped(gate_view(record, count, declared, live.get(gate), lap), candidate, declared)
        for gate, (record, count) in records.items()
    }
    kept = KeptFacts(candidate.candidate_id)
    evaluated, sets, curves = kept.of(Evaluated), kept.of(TrainingSets), kept.of(Curves)
    remarks, disagreement, race = kept.of(Remarks), kept.of(Disagreement), kept.of(RecipeRace)
    said = [each for of_step in (remarks.by_step.values() if remarks else ()) for each in of_step]
    order = [gate.name for gate in registered.of(declared)]
    in_the_way = (g for g in gates.values() if g.in_the_way)
    standing = sorted(in_the_way, key=lambda g: (g.earlier, g.verdict != "FAIL", place(g.gate, order)))
    epochs = ledger.deployments.epochs(candidate.model)
    headline, tone, sentence = _headline(candidate, standing, found, champion, live)
    return ReleaseView(
        candidate=candidate,
        headline=headline,
        tone=tone,
        sentence=sentence,
        next_steps=_next_steps(candidate, standing, champion, live, rollback_target(epochs) is not None, under_way),
        champion=champion,
        phases=phases_of(candidate, declared, gates, found),
        gates=tuple(sorted(gates.values(), key=lambda g: (not g.in_the_way, place(g.gate, order)))),
        curves=curves.by_kind if curves else None,
        remarks=(*said, *kept.unread),
        measured=_by_metric(evaluated.metrics if evaluated else {}),
        slices=gates.get(slice_gate.NAME),
        shadow=_shadow(found.windows[-1], disagreement) if found.windows else None,
        race=race,
        lineage=_lineage(candidate, sets, evaluated, race, kept.of(Refitted)),
        mlflow_url=sources.mlflow_run(candidate.facts.mlflow_run_id),
        explanation=found,
        actions=actions.allowed(
            candidate,
            standing_gates(gates, order),
            champion,
            epochs,
            under_way,
            NewJourney(_newest(ledger, declared), frozenset(g.gate for g in gates.values() if g.same_again)),
        ),
        asked_by=f"{candidate.request.asked_by} ({TRIGGERS[candidate.request.trigger.value]})",
        also_asked=in_words(found.causes[1:]),
    )


def _helped(view: GateView, candidate: Candidate, declared: ModelDeclaration | None) -> GateView:
    """With what helps, where it did not pass."""
    gate = registered.named(view.gate, declared)
    if gate is None or view.verdict == "PASS":
        return view
    return replace(view, helps=tuple(gate.helps(candidate.model, candidate.request.as_of, view.criteria)))


def _newest(ledger: Ledger, declared: ModelDeclaration | None) -> str:
    """The as-of time that a new journey may have: the end of the newest day that every view has; empty before one."""
    if declared is None:
        return ""
    days = ledger.overview.newest_days()
    found = [days.get((use.view, use.version)) for use in declared.views]
    newest = [day for day in found if day is not None]
    return (date.fromisoformat(min(newest)) + timedelta(days=1)).isoformat() if len(newest) == len(found) else ""


# --- its state -------------------------------------------------------------------------------------------------------


def _headline(
    candidate: Candidate,
    standing: Sequence[GateView],
    found: Explanation,
    champion: Epoch | None,
    live: Mapping[str, Override],
) -> tuple[str, str, str]:
    """What happened in a few words, the tone, and the one sentence that explains it.

    Args:
        standing: the gates that block it, the worst first.
    """
    state, outcome = candidate.state, candidate.outcome or ""
    earlier, standing = [g for g in standing if g.earlier], [g for g in standing if not g.earlier]
    worst = standing[0] if standing else None
    if state is State.CHAMPION:
        since = f" since {champion.effective_from:%Y-%m-%d}" if champion else ""
        return "Promoted", "good", f"It serves as version {candidate.facts.model_version}{since}."
    if state is State.REJECTED and outcome.startswith("Rejected by "):
        return "Rejected by a person", "bad", outcome
    if state is State.REJECTED and worst is None and live:
        override = next(iter(live.values()))
        until = f"{override.expires_at:%Y-%m-%d %H:%M} UTC"
        return (
            "Overridden, not yet judged again",
            "waits",
            f"{override.decider} overrode {override.gate} until {until}: {override.why}",
        )
    if state in _ENDED and (worst is None or state is not State.REJECTED):
        return _ENDED[state], "bad" if state in _BAD else "quiet", outcome
    if worst is not None and (state is State.REJECTED or worst.verdict == "FAIL"):
        return f"Stopped at {worst.title.lower()}: {worst.verdict}", "bad", worst.reason
    if worst is not None:
        names = ", ".join(g.title.lower() for g in standing)
        who = f"{worst.title} waits" if len(standing) == 1 else f"{len(standing)} gates wait"
        tail = "" if len(standing) == 1 else f": {names}"
        return f"{who} for a person{tail}", "waits", worst.reason
    if candidate.is_live and earlier:
        said = ", ".join(f"{g.title} ({g.verdict})" for g in earlier)
        again = "they judge" if len(earlier) > 1 else "it judges"
        return (
            "Under way again",
            "quiet",
            f"In an earlier lap it was stopped by {said}; {again} again before promotion.",
        )
    if state is State.SHADOWING and found.windows and found.windows[-1].closed_at is None:
        window = found.windows[-1]
        so_far = (
            f"{window.answered:,} of {window.min_rows:,} rows on {window.days} of {count_of(window.min_days, 'day')}"
        )
        return "In shadow", "quiet", f"It answers the champion's traffic and its answers are not served: {so_far}."
    return "Under way", "quiet", f"Its newest state is {state.value}."


_ENDED = {
    State.REJECTED: "Rejected",
    State.FAILED: "Broken before a verdict",
    State.ROLLED_BACK: "Rolled back",
    State.RETIRED: "Retired: a successor was promoted",
    State.SUPERSEDED: "Superseded by a newer journey",
    State.UNCHANGED: "Unchanged: it is the champion's own artifact",
}
_BAD = (State.REJECTED, State.FAILED, State.ROLLED_BACK)


def _next_steps(
    candidate: Candidate,
    standing: Sequence[GateView],
    champion: Epoch | None,
    live: Mapping[str, Override],
    can_go_back: bool,
    under_way: str | None,
) -> tuple[str, ...]:
    """What the reader should know and may do next, a sentence each.

    Args:
        standing: the gates that block it.
        under_way: the model's other candidate in flight.
    """
    standing = [g for g in standing if not g.earlier]
    if candidate.state is State.CHAMPION:
        back = "If it answers badly, roll back: the champion before it serves again at once."
        first = "It is the first that is good: there is no champion before it to roll back to."
        return (f"Nothing has to be done. {back if can_go_back else first}",)
    steps = ["No champion serves yet."] if champion is None else []
    if champion is not None:
        steps.append(f"Version {champion.model_version} still serves. This candidate was never served.")
    ended = candidate.state in (State.REJECTED, State.FAILED)
    waits = [g for g in standing if candidate.is_live and g.verdict == "INCONCLUSIVE"]
    if candidate.state in (State.RETIRED, State.ROLLED_BACK):
        steps = [f"Version {champion.model_version} serves now."] if champion else []
    elif ended and stranded.run_is_gone(candidate):
        steps.append("Its run is gone from Airflow, so it cannot go on. Start a new retrain.")
    elif ended and under_way is not None:
        steps.append(f"{under_way} is under way; only when that journey has ended can this one be judged again.")
    elif live and not standing and ended:
        gate = next(iter(live))
        steps.append(f"Judge again from {gate_title(gate).lower()}, and the journey goes on by itself.")
    elif candidate.state is State.FAILED:
        steps.append("The red task's log says what broke. When it is fixed, clear that task and what follows it.")
    elif waits:
        steps.append("Approve with a reason, or reject. No answer in time is a rejection.")
    elif standing and ended and standing[0].same_again:
        steps += standing[0].helps
        steps.append("Then start a new journey: the rows of this one are pinned, and it would be judged the same.")
    elif standing and (ended or candidate.is_live):
        steps += standing[0].helps
        steps.append("Leaving it is a decision too: drift asks again after the cooldown.")
        steps.append("If you know what the evidence cannot, override this gate for this candidate, then judge again.")
    return tuple(steps)


# --- what is below ---------------------------------------------------------------------------------------------------


def _by_metric(measured: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for who, values in measured.items():
        for metric, value in values.items():
            found.setdefault(metric, {})[who] = value
    return found


def _shadow(window: ShadowWindow, disagreement: Disagreement | None) -> ShadowView:
    return ShadowView(
        champion_id=window.champion_id,
        since=window.opened_from,
        until=window.closed_at,
        rows=window.answered,
        min_rows=window.min_rows,
        days=window.days,
        min_days=window.min_days,
        disagreement=disagreement,
    )


def _lineage(
    candidate: Candidate,
    sets: TrainingSets | None,
    evaluated: Evaluated | None,
    race: RecipeRace | None,
    refitted: Refitted | None,
) -> tuple[tuple[str, str], ...]:
    request = candidate.request
    lines = [
        ("Asked by", f"{request.asked_by}: {request.reason}"),
        ("Data as of", f"{request.as_of:%Y-%m-%d %H:%M} UTC"),
        ("Run", request.run_id),
    ]
    if sets is not None:
        for name, made in (("Learned from", sets.train), ("Judged on", sets.holdout)):
            lines.append((name, f"{made.rows:,} rows of {made.start[:10]} to {made.end[:10]}"))
        versions = sorted(sets.train.table_versions.items())
        lines.append(("Table versions", ", ".join(f"{view} {version}" for view, version in versions)))
    if refitted is not None and refitted.rows:
        lines.append(("Fitted again on", f"{refitted.rows:,} rows of {refitted.first_day} to {refitted.last_day}"))
    if race is not None:
        lines.append(("Recipe", f"{race.winner}: {race.learned_rows:,} rows, change of {race.since}"))
    if evaluated is not None and evaluated.champion_id:
        lines.append(("Compared with", evaluated.champion_id))
    for name, value in (
        ("Training set hash", candidate.facts.training_set_hash),
        ("Artifact digest", candidate.facts.serving_digest),
        ("Judged twin", candidate.facts.artifact_digest if candidate.facts.served_digest else None),
        ("Version", candidate.facts.model_version),
        ("MLflow run", candidate.facts.mlflow_run_id),
        ("Ticket", request.issue),
    ):
        if value:
            lines.append((name, value))
    return tuple(lines)
