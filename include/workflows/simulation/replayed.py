"""A simulated journey, and its candidate as the gates measure it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.attempts import Attempts, JudgedAttempt, attempts_up_to
from include.domain.gates import (
    NO_EARLIER_WINDOW,
    Availability,
    EarlierWindow,
    Evidence,
    PackedEvidence,
    Signature,
    Split,
    Timing,
    TrainingDataSummary,
)
from include.domain.gates.anchor import NO_ANCHOR, AnchorEvidence, AnchorStep, anchor_of
from include.domain.history import Ending
from include.domain.incident import Incident
from include.domain.intervals import Interval
from include.domain.journey import Trigger
from include.domain.metrics import Task
from include.domain.simulation.outcome import SimulatedJourney
from include.domain.verdicts import GateResult, Mode, Verdict
from include.workflows.evidence import business, earlier_windows
from include.workflows.evidence.availability import availability_of
from include.workflows.evidence.canary_seen import CanarySeen
from include.workflows.evidence.probes import Smoked
from include.workflows.evidence.shadow_window import Shadowed
from include.workflows.gates import champion as champion_gate
from include.workflows.simulation.replayed_candidate import ReplayedCandidate, known_of
from include.workflows.simulation.stream import Stream

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(slots=True, eq=False)
class ReplayedJourney:
    """A candidate's way; ``rows`` and ``days`` count its shadow window."""

    candidate: ReplayedCandidate
    trigger: Trigger
    reason: str
    gates: list[GateResult] = field(default_factory=list)
    ending: Ending = Ending.LIVE
    serves_from: datetime | None = None
    opened_from: datetime | None = None
    rows: int = 0
    days: int = 0
    incident: Incident | None = None
    """What it is meant to cure; None where no realised alarm asked for it."""
    alarm: str | None = None
    """The day whose estimate asked for it: it is held until labels confirm that."""
    replayed: tuple[str, Interval] | None = None
    """The champion it was compared with on the replay window, and that window."""
    met: ReplayedCandidate | None = None
    """The champion it was compared with on the held-out days."""

    @property
    def passes(self) -> bool:
        """Whether no blocking gate blocks it so far."""
        return self.stopped_by is None

    @property
    def stopped_by(self) -> GateResult | None:
        return next((g for g in self.gates if stops(g)), None)

    def told(self) -> SimulatedJourney:
        """As the report shows it."""
        stopped = self.stopped_by
        served = self.serves_from.date().isoformat() if self.serves_from else None
        outcome = {
            Ending.LIVE: "in shadow at the end",
            Ending.PROMOTED: f"promoted, serves from {served}",
            Ending.FUTILE: f"rejected by {stopped.gate}" if stopped else "rejected",
            Ending.BROKEN: "gave way to an alarm of labels",
        }[self.ending]
        return SimulatedJourney(
            as_of=self.candidate.name,
            trigger=self.trigger.value,
            reason=self.reason,
            verdicts={g.gate: g.verdict.value for g in self.gates},
            outcome=outcome,
            serves_from=served,
            stopped_by=stopped.reason if stopped else None,
            recipe=self.candidate.raced.recipe.value if self.candidate.raced else None,
        )


def stops(result: GateResult) -> bool:
    """Whether a simulated journey ends with it: no one is there to decide what is INCONCLUSIVE."""
    return result.mode is Mode.BLOCKING and result.verdict is not Verdict.PASS


def _attempt(candidate: ReplayedCandidate, met: ReplayedCandidate | None, incident: Incident | None) -> JudgedAttempt:
    changed = incident.change if incident is not None else None
    changed_on = None if changed is None else date.fromisoformat(changed)
    champion = met.name if met is not None else None
    return JudgedAttempt(candidate.name, candidate.as_of, candidate.windows.holdout, champion, changed_on)


def judged_attempts(journeys: Iterable[ReplayedJourney]) -> list[JudgedAttempt]:
    """Those of the journeys that were compared with a champion, as attempts."""
    judged = (j for j in journeys if any(g.gate == champion_gate.NAME for g in j.gates))
    return [_attempt(j.candidate, j.met, j.incident) for j in judged]


def _moved(journey: ReplayedJourney) -> bool:
    """Whether small losses are counted from its candidate on."""
    counted = (g.notes["anchor"]["moves"] for g in journey.gates if "anchor" in g.notes)
    return bool(next(counted, True))


class ReplayedSubject:
    """A simulated candidate as the gates measure it. A machine, an artifact or a person is not simulated."""

    def __init__(
        self,
        model: ModelDeclaration,
        stream: Stream,
        candidate: ReplayedCandidate,
        champion: ReplayedCandidate | None,
        journey: ReplayedJourney | None,
        others: Sequence[ReplayedJourney] = (),
        window: Shadowed | None = None,
    ) -> None:
        """``others``: the policy's journeys beside this one. ``window``: its shadow window, once that is closed."""
        self.model, self.stream = model, stream
        self.candidate, self.champion = candidate, champion
        self.journey, self._others, self._window = journey, others, window
        self._scored: Evidence | None = None

    @property
    def has_champion(self) -> bool:
        return self.champion is not None

    def training_data(self) -> TrainingDataSummary:
        return self.candidate.counted

    def learned(self) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
        rows = self.candidate.learned
        return self.candidate.features(rows), self.stream.y[rows]

    def availability(self) -> Availability | None:
        return availability_of(self.stream.availability)

    def split(self) -> Split | None:
        return self.candidate.split()

    def scored(self) -> Evidence:
        """Candidate, champion and baseline on the held-out rows."""
        if self._scored is None:
            self._scored = self._on_the_holdout()
        return self._scored

    def columns(self, names: Iterable[str]) -> Mapping[str, pd.Series[Any]]:
        held_out = self.candidate.features(self.candidate.holdout)
        return {name: held_out[name] for name in names if name in held_out}

    def held_out(self) -> pd.DataFrame:
        return self._known_rows(self.candidate.holdout)

    def incident(self) -> Incident | None:
        return self.journey.incident if self.journey else None

    def new_support(self) -> str | None:
        """None: no person asks for a replayed journey."""
        return None

    def attempts(self) -> Attempts:
        mine = _attempt(self.candidate, self.champion, self.incident())
        if self.journey is not None:
            self.journey.met = self.champion
        return attempts_up_to(mine, judged_attempts(self._others))

    def earlier_window(self) -> EarlierWindow:
        """The days before both training windows."""
        declared = self.model.gates.champion_gate.replay
        candidate, champion = self.candidate, self.champion
        if declared is None or champion is None:
            return NO_EARLIER_WINDOW
        window = earlier_windows.before((c.windows.train.start for c in (candidate, champion)), declared.days)
        rows = self.stream.matured(window, candidate.as_of, self.model.label.delay)
        if not len(rows):
            return EarlierWindow(missing=earlier_windows.NO_ROWS)
        same = (champion.name, window)
        attempts = 1 + sum(j.replayed == same for j in self._others)
        if self.journey is not None:
            self.journey.replayed = same
        features = candidate.features(rows)
        evidence = Evidence(
            Task(self.model.task),
            self.stream.y[rows],
            candidate.answers(features),
            champion.answers(features, serving=self._unseeing(champion)),
            days=self.stream.day[rows],
        ).weighted(self.stream.weighed(rows))
        return EarlierWindow(self._valued(rows, evidence), attempts=attempts)

    def anchor(self) -> AnchorEvidence:
        promoted = [j for j in self._others if j.ending is Ending.PROMOTED and j.serves_from is not None]
        if self.champion is None or not promoted or promoted[0].met is None:
            return NO_ANCHOR
        first = promoted[0].met
        served = {first.name: first, **{j.candidate.name: j.candidate for j in promoted}}
        steps = [AnchorStep(j.candidate.name, j.serves_from or j.candidate.as_of, _moved(j)) for j in promoted]
        name = anchor_of([AnchorStep(first.name, first.as_of, True), *steps], self.candidate.as_of)
        if name is None or name == self.champion.name:
            return NO_ANCHOR
        anchor, rows = served[name], self.candidate.holdout
        seen = self.scored()
        answers = anchor.answers(self.candidate.features(rows), serving=self._unseeing(anchor))
        evidence = Evidence(seen.task, self.stream.y[rows], seen.candidate, answers, days=self.stream.day[rows])
        evidence = evidence.weighted(self.stream.weighed(rows))
        since = next((j.serves_from for j in promoted if j.candidate is anchor), None)
        judged = (j for j in self._others if any(g.gate == champion_gate.NAME for g in j.gates))
        later = [j for j in judged if since is None or j.candidate.as_of >= since]
        attempts = 1 + sum(j.met is not None and j.met is not anchor for j in later)
        return AnchorEvidence(name, self._valued(rows, evidence), attempts=attempts)

    def timings(self) -> tuple[Timing | None, Timing | None]:
        raise NotReplayed("times")

    def signatures(self) -> tuple[Signature | None, Signature | None]:
        raise NotReplayed("a signature")

    def smoked(self) -> Smoked:
        raise NotReplayed("an artifact")

    def packed(self) -> PackedEvidence:
        raise NotReplayed("an artifact")

    def shadowed(self) -> Shadowed:
        if self._window is None:
            raise NotReplayed("a shadow window that is not closed")
        return self._window

    def canary(self) -> CanarySeen:
        return CanarySeen(None, None)

    def said(self) -> Mapping[str, str]:
        return {result.gate: result.verdict.value for result in (self.journey.gates if self.journey else ())}

    def _on_the_holdout(self) -> Evidence:

        rows, champion = self.candidate.holdout, self.champion
        held_out = self.candidate.features(rows)
        evidence = Evidence(
            Task(self.model.task),
            self.stream.y[rows],
            self.candidate.holdout_scores(),
            champion.answers(held_out, serving=self._unseeing(champion)) if champion is not None else None,
            self.candidate.baseline(self.model),
            self.stream.day[rows],
        ).weighted(self.stream.weighed(rows))
        return self._valued(rows, evidence)

    def _unseeing(self, champion: ReplayedCandidate) -> bool:
        """Whether what serves has learned from no held-out row, so that it is compared with; else its twin is."""
        return champion.learned_until <= self.candidate.windows.holdout.start.date().isoformat()

    def _known_rows(self, rows: np.ndarray[Any, Any]) -> pd.DataFrame:
        return known_of(self.candidate.model, self.stream, rows)

    def _valued(self, rows: np.ndarray[Any, Any], evidence: Evidence) -> Evidence:
        """The evidence with what its rows are worth by the business metrics."""
        if not self.model.business_metrics:
            return evidence
        return business.valued(self.model, self._known_rows(rows), evidence)


class NotReplayed(LookupError):
    """A gate needs what a simulation does not have: it is declared replayable, and is not."""

    def __init__(self, what: str) -> None:
        super().__init__(f"A simulation has no {what}; a gate that needs it is not replayable.")
