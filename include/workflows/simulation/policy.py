"""One declared policy, day by day: what the score, drift and retrain Dags would have done.

The order within a day is that of the Dags. The champion of the day serves it, a challenger in shadow answers beside it,
the drift sensor judges and decides at its end. A journey that is started is as of that end: its offline gates judge at
once, its shadow window begins with the next day, and its candidate serves from the day after the window is full.

A gate that is INCONCLUSIVE waits for a person in the Dags; here no one answers, which is a rejection there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.config import ModelDeclaration
from include.domain.decision import Action, Decision, decide
from include.domain.drift.maturity import Cohort
from include.domain.drift.profile import count_window
from include.domain.drift.report import DriftReport
from include.domain.gates import (
    NO_EARLIER_WINDOW,
    Availability,
    EarlierWindow,
    Evidence,
    Signature,
    Split,
    Timing,
    TrainingDataSummary,
)
from include.domain.history import Ending, History, PastJourney, situation_of
from include.domain.incident import Incident
from include.domain.intervals import DAY, Interval, midnight
from include.domain.journey import Trigger
from include.domain.metrics import Task
from include.domain.shadow import ShadowEvidence, Window, window_state
from include.domain.simulation.outcome import DayCost, PolicyKind, PolicyOutcome, SimulatedDecision, SimulatedJourney
from include.domain.verdicts import GateResult, Mode, Verdict
from include.workflows import gates
from include.workflows.drift import labels_behind_alarm, sensor
from include.workflows.drift.reference import Reference
from include.workflows.evidence import business, earlier_windows, evaluation, training
from include.workflows.evidence.availability import availability_of
from include.workflows.evidence.probes import Smoked
from include.workflows.evidence.shadow_window import Shadowed
from include.workflows.gates import champion as champion_gate
from include.workflows.gates.gate import BUILD, EVALUATE, REGISTER, SHADOW
from include.workflows.journey import estimate_hold
from include.workflows.simulation.candidates import ReplayedCandidate, ReplayedCandidates, days_of
from include.workflows.simulation.maturing import Maturing, ServingCandidate, by_day, realised
from include.workflows.simulation.schedule import fires_within
from include.workflows.simulation.stream import DAY_US, Stream, day_name, microseconds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(slots=True, eq=False)
class _Journey:
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

    @property
    def passes(self) -> bool:
        """Whether no blocking gate blocks it so far."""
        return self.stopped_by is None

    @property
    def stopped_by(self) -> GateResult | None:
        return next((g for g in self.gates if _stops(g)), None)


def _stops(result: GateResult) -> bool:
    return result.mode is Mode.BLOCKING and result.verdict is not Verdict.PASS


class DeclaredPolicy:
    """Replays one declaration over one stream."""

    def __init__(
        self,
        name: str,
        model: ModelDeclaration,
        stream: Stream,
        candidates: ReplayedCandidates,
        interval: Interval,
        first: ReplayedCandidate,
    ) -> None:
        self.name, self.model, self.stream, self.interval = name, model, stream, interval
        self._candidates = candidates
        self._epochs = [ServingCandidate(first, interval.start)]
        self._journeys: list[_Journey] = []
        self._reports: list[DriftReport] = []
        self._decisions: list[tuple[str, Decision]] = []
        self._maturing = Maturing(stream, model)

    @property
    def champion(self) -> ServingCandidate:
        return self._epochs[-1]

    def run(self, each_day: Callable[[str], None] = lambda _: None) -> PolicyOutcome:
        for start in _days(self.interval):
            day = Interval(start, start + DAY)
            rows = self.stream.rows(day)
            if self.model.training.schedule is not None and fires_within(self.model.training.schedule, day):
                self._start(day.start, Trigger.SCHEDULE, f"Declared schedule {self.model.training.schedule}")
            if rows.stop > rows.start:
                closing = self._shadow(rows, day.end)
                decision = self._decide(day, rows)
                if closing is not None:
                    self._after_shadow(closing, day.end)
                if decision.action is Action.RETRAIN:
                    alarm = self._decisions[-1][0] if decision.hold_promotion else None
                    self._start(day.end, Trigger.DRIFT, decision.reason, alarm, self._open_incident())
            each_day(day_name(microseconds(start) // DAY_US))
        return self._outcome()

    # --- the drift Dag -----------------------------------------------------------------------------------------------

    def _decide(self, day: Interval, rows: slice) -> Decision:
        epoch, model = self.champion, self.model
        name = day.start.date().isoformat()
        reference = self._reference(epoch)
        scores, features = epoch.candidate.scores(rows), epoch.candidate.features(rows)
        self._maturing.until(day.end, epoch)
        measured = sensor.Measured(
            count_window(reference.profile, features, scores),
            *sensor.estimated_losses(model, reference.estimate, features, scores),
            epoch.matured,
            tuple(self._cohorts(epoch, day.end)),
        )
        report = sensor.report_on(model, epoch.candidate.name, name, reference, measured)
        last = model.drift.retrain.windows[1] - 1
        earlier = [r for r in (self._reports[-last:] if last else []) if r.version == report.version]
        self._reports = [*self._reports[-last:], report] if last else [report]
        flags = [sensor.flags_of(model, r) for r in (*earlier, report)]
        decision = decide(situation_of(report, flags, sensor.policy_of(model), self._history(), day.end))
        self._decisions.append((name, decision))
        return decision

    def _reference(self, epoch: ServingCandidate) -> Reference:
        return epoch.candidate.reference(lambda chosen: days_of(self.stream, chosen), self.model)

    def _cohorts(self, epoch: ServingCandidate, now: datetime) -> Iterator[Cohort]:
        """Of the newest days the champion served whose rows' label windows had closed: rows, and those with a label."""
        import numpy as np

        until = now - self.model.label.delay
        if until <= epoch.since:
            return
        closed = self.stream.rows(Interval(epoch.since, until))
        if closed.stop == closed.start:
            return
        newest = int(self.stream.day[closed.stop - 1])
        # Older ones are not used: label_maturity judges the last days of this window.
        oldest = newest - self.model.drift.performance.window_days + 1
        start = max(closed.start, int(self.stream.event_us.searchsorted(oldest * DAY_US)))
        rows = slice(start, closed.stop)
        labelled = np.isfinite(self.stream.y[rows]) & (self.stream.known_us[rows] <= microseconds(now))
        for day, count, with_label, _ in by_day(self.stream.day[rows], labelled.astype(float)):
            yield Cohort(day_name(day), count, int(with_label))

    def _history(self) -> History:
        asked = [d for _, d in self._decisions if d.name == "futile"]
        live = self._live()
        return History(
            journeys=[PastJourney(j.candidate.as_of, j.trigger is Trigger.DRIFT, j.ending) for j in self._journeys],
            in_flight=f"the journey as of {live.candidate.name}" if live else None,
            asked_at=[int(d.numbers["futile_streak"]) for d in asked],
            breaker_until=[d.breaker_open_until for d in asked if d.breaker_open_until is not None],
            incident=self._decisions[-1][1].incident if self._decisions else None,
        )

    def _open_incident(self) -> Incident | None:
        found = self._decisions[-1][1].incident
        return found if found is not None and found.is_open else None

    def _live(self) -> _Journey | None:
        return next((j for j in self._journeys if j.ending is Ending.LIVE), None)

    # --- the retrain Dag ---------------------------------------------------------------------------------------------

    def _start(
        self,
        as_of: datetime,
        trigger: Trigger,
        reason: str,
        alarm: str | None = None,
        incident: Incident | None = None,
    ) -> None:
        """Open a journey, unless one is in flight, and judge it up to its shadow window."""
        if self._live() is not None:
            return
        changed_on = incident.changed_on if incident else None
        candidate = self._candidates.of(self.model, self.stream, as_of, changed_on)
        journey = _Journey(candidate, trigger, reason, incident=incident, alarm=alarm)
        self._journeys.append(journey)
        journey.gates += self.gates_before_shadow(journey.candidate, self.champion.candidate, journey)
        if not journey.passes:
            journey.ending = Ending.FUTILE
        else:
            journey.opened_from = midnight(as_of)

    def gates_before_shadow(
        self, candidate: ReplayedCandidate, champion: ReplayedCandidate | None, journey: _Journey | None = None
    ) -> Iterator[GateResult]:
        """The journey's gates up to the shadow window, each only while those of the steps before it let the candidate
        through."""
        subject = ReplayedSubject(self, candidate, champion, journey)
        for step in (BUILD, EVALUATE, REGISTER):
            stopped = False
            for gate in gates.after(self.model, step):
                if gate.replayable:
                    judged = gate.judge(self.model, subject)
                    stopped = stopped or _stops(judged)
                    yield judged
                    if step == BUILD and stopped:
                        return
            if candidate.pipeline is None or stopped:
                return

    def earlier_window(
        self, candidate: ReplayedCandidate, champion: ReplayedCandidate | None, journey: _Journey | None
    ) -> EarlierWindow:
        """The days before both training windows."""
        declared = self.model.gates.champion_gate.replay
        if declared is None or champion is None:
            return NO_EARLIER_WINDOW
        window = earlier_windows.before((c.windows.train.start for c in (candidate, champion)), declared.days)
        rows = self.stream.matured(window, candidate.as_of, self.model.label.delay)
        if not len(rows):
            return EarlierWindow(missing=earlier_windows.NO_ROWS)
        same = (champion.name, window)
        attempts = 1 + sum(j.replayed == same for j in self._journeys if j is not journey)
        if journey is not None:
            journey.replayed = same
        features = candidate.features(rows)
        evidence = Evidence(
            Task(self.model.task),
            self.stream.y[rows],
            candidate.answers(features),
            champion.answers(features),
            days=self.stream.day[rows],
        )
        return EarlierWindow(self._valued(candidate, rows, evidence), attempts=attempts)

    def known_rows(self, candidate: ReplayedCandidate, rows: np.ndarray[Any, Any]) -> pd.DataFrame:
        """The features of the rows, and where the table has them their keys and ``event_time``."""
        features, known = candidate.features(rows), self.stream.keyed(rows)
        return features if known is None else training.with_known(features, known)

    def _valued(self, candidate: ReplayedCandidate, rows: np.ndarray[Any, Any], evidence: Evidence) -> Evidence:
        """The evidence with what its rows are worth by the business metrics."""
        if not self.model.business_metrics:
            return evidence
        return business.valued(self.model, self.known_rows(candidate, rows), evidence)

    def evidence(self, candidate: ReplayedCandidate, champion: ReplayedCandidate | None) -> Evidence:
        """Candidate, champion and baseline on the held-out rows."""
        import numpy as np

        rows, learned = candidate.holdout, candidate.train
        y = self.stream.y[learned]
        baseline = evaluation.naive_baseline(
            self.model,
            candidate.features(learned),
            y.astype(np.int64) if self.model.is_classifier else y,
            candidate.features(rows),
        )
        held_out = candidate.features(rows)
        evidence = Evidence(
            Task(self.model.task),
            self.stream.y[rows],
            candidate.holdout_scores(),
            champion.answers(held_out) if champion is not None else None,
            baseline,
            self.stream.day[rows],
        )
        return self._valued(candidate, rows, evidence)

    def attempts(self, candidate: ReplayedCandidate) -> int:
        """Candidates that were compared with the champion on this very holdout, this one included."""
        same = [
            j
            for j in self._journeys
            if j.candidate is not candidate
            and j.candidate.windows.holdout == candidate.windows.holdout
            and any(g.gate == champion_gate.NAME for g in j.gates)
        ]
        return len(same) + 1

    # --- the shadow window -------------------------------------------------------------------------------------------

    def _shadow(self, rows: slice, end: datetime) -> _Journey | None:
        """Count the day in the open window; the journey whose window it closed, or None."""
        journey = self._live()
        if journey is None:
            return None
        journey.rows += rows.stop - rows.start
        journey.days += 1
        state = window_state(self.model.shadow.rules(), rows=journey.rows, days=journey.days)
        if state is Window.OPEN or (journey.alarm and end < estimate_hold.labels_tell_at(self.model, journey.alarm)):
            return None
        return journey

    def _after_shadow(self, journey: _Journey, closed: datetime) -> None:
        """``shadow_gate``, and the promotion from the end of the window on."""
        subject = ReplayedSubject(self, journey.candidate, self.champion.candidate, journey, closed)
        for gate in gates.after(self.model, SHADOW):
            if gate.replayable:
                journey.gates.append(gate.judge(self.model, subject))
        if not journey.passes:
            journey.ending = Ending.FUTILE
            return
        journey.ending, journey.serves_from = Ending.PROMOTED, closed
        self._epochs.append(ServingCandidate(journey.candidate, closed))

    def shadowed(self, journey: _Journey, closed: datetime) -> Shadowed:
        """What its shadow window saw, which ended at ``closed``."""
        rows = self.stream.rows(Interval(journey.opened_from or closed - DAY, closed))
        evidence = ShadowEvidence(
            task=Task(self.model.task),
            asked=rows.stop - rows.start,
            errors=0,
            champion=self.champion.candidate.scores(rows),
            challenger=journey.candidate.scores(rows),
            days=self.stream.day[rows],
        )
        if journey.alarm is None:
            return Shadowed(evidence, None, None)
        epoch = self.champion
        shown = labels_behind_alarm.shown_by(self.model, self._reference(epoch), epoch.matured, journey.alarm)
        return Shadowed(evidence, None, shown)

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _outcome(self) -> PolicyOutcome:
        ends = [*(e.since for e in self._epochs[1:]), self.interval.end]
        costs: list[DayCost] = []
        for epoch, end in zip(self._epochs, ends, strict=True):
            if end > epoch.since:
                rows = self.stream.rows(Interval(epoch.since, min(end, self.interval.end)))
                if rows.stop > rows.start:
                    costs += realised(self.stream, self.model, rows, epoch.candidate.scores(rows))
        serving = [(e.since.date().isoformat(), e.candidate.name) for e in self._epochs if e.since < self.interval.end]
        return PolicyOutcome(
            name=self.name,
            kind=PolicyKind.DECLARED,
            metric=self.model.drift.performance.metric,
            price=0.0,
            retrains=sum(j.candidate.pipeline is not None for j in self._journeys),
            days=tuple(costs),
            serving=tuple(serving),
            journeys=tuple(_told(j) for j in self._journeys),
            decisions=tuple(_decision(day, decision) for day, decision in self._decisions),
            notes=self._blind(),
        )

    def _blind(self) -> tuple[str, ...]:
        """What a person must know when the sensor could never judge the champion's performance."""
        if not self._reports or any(d.numbers["flags"][-1]["realised"] is not None for _, d in self._decisions):
            return ()
        return (f"realised performance could not be judged on any day: {self._reports[-1].realised.reason}",)


class ReplayedSubject:
    """A simulated candidate as the gates measure it. A machine, an artifact or a person is not simulated."""

    def __init__(
        self,
        policy: DeclaredPolicy,
        candidate: ReplayedCandidate,
        champion: ReplayedCandidate | None,
        journey: _Journey | None,
        closed: datetime | None = None,
    ) -> None:
        self.policy, self.candidate, self.champion, self.journey = policy, candidate, champion, journey
        self.model = policy.model
        self._closed = closed
        self._scored: Evidence | None = None

    @property
    def has_champion(self) -> bool:
        return self.champion is not None

    def training_data(self) -> TrainingDataSummary:
        return self.candidate.counted

    def learned(self) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
        return self.candidate.features(self.candidate.train), self.policy.stream.y[self.candidate.train]

    def availability(self) -> Availability | None:
        return availability_of(self.policy.stream.availability)

    def split(self) -> Split | None:
        return self.candidate.split()

    def scored(self) -> Evidence:
        if self._scored is None:
            self._scored = self.policy.evidence(self.candidate, self.champion)
        return self._scored

    def columns(self, names: Iterable[str]) -> Mapping[str, pd.Series[Any]]:
        held_out = self.candidate.features(self.candidate.holdout)
        return {name: held_out[name] for name in names if name in held_out}

    def held_out(self) -> pd.DataFrame:
        return self.policy.known_rows(self.candidate, self.candidate.holdout)

    def incident(self) -> Incident | None:
        return self.journey.incident if self.journey else None

    def attempts(self) -> int:
        return self.policy.attempts(self.candidate)

    def earlier_window(self) -> EarlierWindow:
        return self.policy.earlier_window(self.candidate, self.champion, self.journey)

    def timings(self) -> tuple[Timing | None, Timing | None]:
        raise NotReplayed("times")

    def signatures(self) -> tuple[Signature | None, Signature | None]:
        raise NotReplayed("a signature")

    def smoked(self) -> Smoked:
        raise NotReplayed("an artifact")

    def shadowed(self) -> Shadowed:
        if self.journey is None or self._closed is None:
            raise NotReplayed("a shadow window that is not closed")
        return self.policy.shadowed(self.journey, self._closed)

    def said(self) -> Mapping[str, str]:
        return {result.gate: result.verdict.value for result in (self.journey.gates if self.journey else ())}


class NotReplayed(LookupError):
    """A gate needs what a simulation does not have: it is declared replayable, and is not."""

    def __init__(self, what: str) -> None:
        super().__init__(f"A simulation has no {what}; a gate that needs it is not replayable.")


def _days(interval: Interval) -> Iterator[datetime]:
    moment = interval.start
    while moment < interval.end:
        yield moment
        moment += DAY


def _told(journey: _Journey) -> SimulatedJourney:
    stopped = journey.stopped_by
    served = journey.serves_from.date().isoformat() if journey.serves_from else None
    outcome = {
        Ending.LIVE: "in shadow at the end",
        Ending.PROMOTED: f"promoted, serves from {served}",
        Ending.FUTILE: f"rejected by {stopped.gate}" if stopped else "rejected",
        Ending.BROKEN: "broken",
    }[journey.ending]
    return SimulatedJourney(
        as_of=journey.candidate.name,
        trigger=journey.trigger.value,
        reason=journey.reason,
        verdicts={g.gate: g.verdict.value for g in journey.gates},
        outcome=outcome,
        serves_from=served,
        stopped_by=stopped.reason if stopped else None,
    )


def _decision(day: str, decision: Decision) -> SimulatedDecision:
    newest: dict[str, Any] = decision.numbers["flags"][-1]
    return SimulatedDecision(
        day=day,
        action=decision.action.value,
        rule=f"{decision.rule} {decision.name}",
        reason=decision.reason,
        inputs=newest["inputs"],
        predictions=newest["predictions"],
        estimated=newest["estimated"],
        realised=newest["realised"],
    )
