"""Which candidates were judged before on days that overlap, read from the ledger: it knows their held-out days, the
champions they met and the alarms that asked, on whatever machine they were judged."""

from __future__ import annotations

from datetime import date

from include.adapters.ledger import Candidate
from include.domain.attempts import Attempts, JudgedAttempt, attempts_up_to, judged_until
from include.domain.intervals import Interval, instant
from include.workflows.journey import alarm
from include.workflows.journey.facts import Evaluated, TrainingSets
from include.workflows.journey.step import Journey
from include.workflows.lineage.recording import HOLDOUT


def attempts_of(journey: Journey, gate: str) -> Attempts:
    """The chain of attempts that the journey's candidate is the newest of; ``gate`` is the one that compares.

    Candidates that were opened later do not count, so that a candidate that is judged again has the same alpha.
    """
    holdout = journey.kept(TrainingSets).holdout
    days = Interval(instant(holdout.start), instant(holdout.end))
    return attempts_up_to(_attempt(journey, days, journey.kept(Evaluated).champion_id), _earlier(journey, gate))


def judged_before(journey: Journey, days: Interval, gate: str) -> date | None:
    """The first day that no earlier candidate of the alarm was judged on beside the serving champion, where one was
    judged on some of these days; None where none was."""
    head = journey.ledger.deployments.champion(journey.model.name)
    mine = _attempt(journey, days, head.to_candidate if head is not None else None)
    return judged_until(mine, _earlier(journey, gate))


def _attempt(journey: Journey, days: Interval, champion: str | None) -> JudgedAttempt:
    candidate = journey.candidate
    return JudgedAttempt(candidate.candidate_id, journey.as_of, days, champion, _changed_on(journey, candidate))


def _earlier(journey: Journey, gate: str) -> list[JudgedAttempt]:
    candidate = journey.candidate
    judged = journey.ledger.gates.judged_on(candidate.model, gate, HOLDOUT)
    return [
        JudgedAttempt(
            each.candidate.candidate_id,
            each.candidate.request.as_of,
            Interval(each.start, each.end),
            each.champion,
            _changed_on(journey, each.candidate),
        )
        for each in judged
        if each.candidate.opened_at < candidate.opened_at
    ]


def against(journey: Journey, gate: str, anchor: str) -> int:
    """How many candidates were judged since this anchor is no longer champion, the journey's included."""
    since = journey.ledger.candidates.get(anchor).opened_at
    judged = journey.ledger.gates.judged_on(journey.model.name, gate, HOLDOUT)
    earlier = (
        each
        for each in judged
        if since < each.candidate.opened_at < journey.candidate.opened_at and each.champion not in (None, anchor)
    )
    return 1 + sum(1 for _ in earlier)


def _changed_on(journey: Journey, candidate: Candidate) -> date | None:
    incident = alarm.incident_behind(journey.ledger, candidate)
    changed = incident.change if incident is not None else None
    return None if changed is None else date.fromisoformat(changed)
