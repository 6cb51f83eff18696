"""One declared policy, day by day: what the score, drift and retrain Dags would have done.

The order within a day is that of the Dags. The champion of the day serves it, a challenger in shadow answers beside it,
the drift sensor judges and decides at its end. A journey that is started is as of that end: its offline gates judge at
once, its shadow window begins with the next day, and its candidate serves from the day after the window is full.

A gate that is INCONCLUSIVE waits for a person in the Dags; here no one answers, which is a rejection there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from include.config import ModelDeclaration
from include.domain.attempts import JudgedAttempt, judged_until
from include.domain.decision import Action, Decision, decide
from include.domain.drift.estimated import EstimatedPerformance
from include.domain.drift.maturity import Cohort
from include.domain.drift.pooling import CountedDay
from include.domain.drift.profile import count_window
from include.domain.drift.report import DriftReport
from include.domain.history import Ending, History, PastJourney, situation_of
from include.domain.incident import Incident
from include.domain.intervals import DAY, Interval, midnight
from include.domain.journey import Trigger, training_windows
from include.domain.metrics import Task
from include.domain.shadow import ShadowEvidence, Window, window_state
from include.domain.simulation.incidents import incidents_of
from include.domain.simulation.outcome import DayCost, PolicyKind, PolicyOutcome, SimulatedDecision
from include.domain.unjudged import JudgedDays
from include.domain.verdicts import GateResult
from include.workflows import gates
from include.workflows.drift import labels_behind_alarm, measured_day, pools, rule_inputs
from include.workflows.drift.reference import Reference
from include.workflows.evidence import business
from include.workflows.evidence.shadow_window import Shadowed
from include.workflows.gates.gate import BUILD, EVALUATE, REGISTER, SHADOW
from include.workflows.journey import estimate_hold
from include.workflows.simulation.candidates import ReplayedCandidates
from include.workflows.simulation.maturing import Maturing, ServingCandidate, by_day, realised
from include.workflows.simulation.replayed import ReplayedJourney, ReplayedSubject, judged_attempts, stops
from include.workflows.simulation.replayed_candidate import ReplayedCandidate, days_of, known_of
from include.workflows.simulation.schedule import fires_within
from include.workflows.simulation.stream import DAY_US, Stream, day_name, microseconds


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
        self._journeys: list[ReplayedJourney] = []
        self._reports: list[DriftReport] = []
        self._decisions: list[tuple[str, Decision]] = []
        self._estimates: list[EstimatedPerformance] = []
        """Of the serving champion's newest days."""
        self._counted: list[CountedDay] = []
        """Its newest small days."""
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
        counted = CountedDay(name, count_window(reference.profile, features, scores))
        measured = measured_day.Measured(
            counted.profile,
            *measured_day.estimated_losses(
                model,
                reference.estimate,
                features,
                scores,
                lambda: known_of(model, self.stream, rows),
            ),
            epoch.matured,
            tuple(self._cohorts(epoch, day.end)),
            *pools.estimates_before(model, reference.estimate, self._estimates),
            tuple(self._counted),
            self.stream.weighed(rows),
        )
        if pools.is_small(model, counted.profile.rows):
            self._counted = [*self._counted[1 - model.drift.pool_days :], counted]
        report = measured_day.report_on(model, epoch.candidate.name, name, reference, measured)
        last = model.drift.retrain.windows[1] - 1
        earlier = [r for r in (self._reports[-last:] if last else []) if r.version == report.version]
        self._reports = [*self._reports[-last:], report] if last else [report]
        if report.estimated is not None:
            self._estimates = [*self._estimates[1 - measured_day.ESTIMATES_KEPT :], report.estimated]
        flags = [rule_inputs.flags_of(model, r) for r in (*earlier, report)]
        decision = decide(situation_of(report, flags, rule_inputs.policy_of(model), self._history(), day.end))
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
        oldest = newest - max(self.model.drift.performance.window_days, self.model.drift.pool_days) + 1
        start = max(closed.start, int(self.stream.event_us.searchsorted(oldest * DAY_US)))
        rows = slice(start, closed.stop)
        settles = self.model.label.delay + (1 + self.model.drift.performance.settles_days) * DAY
        known = np.minimum(microseconds(now), self.stream.day[rows] * DAY_US + settles // timedelta(microseconds=1))
        labelled = np.isfinite(self.stream.y[rows]) & (self.stream.known_us[rows] <= known)
        for day, count, with_label, _ in by_day(self.stream.day[rows], labelled.astype(float)):
            yield Cohort(day_name(day), count, int(with_label))

    def _history(self) -> History:
        asked = [d for _, d in self._decisions if d.name == "futile"]
        live = self._live()
        return History(
            journeys=[
                PastJourney(j.candidate.as_of, j.trigger is Trigger.DRIFT, j.ending, j.alarm is not None)
                for j in self._journeys
            ],
            in_flight=f"the journey as of {live.candidate.name}" if live else None,
            asked_at=[int(d.numbers["futile_streak"]) for d in asked],
            breaker_until=[d.breaker_open_until for d in asked if d.breaker_open_until is not None],
            incident=self._decisions[-1][1].incident if self._decisions else None,
            data=self._decisions[-1][1].data if self._decisions else None,
            support=self._decisions[-1][1].support if self._decisions else None,
            judged=self._judged(),
            silence=self._decisions[-1][1].silence if self._decisions else None,
        )

    def _judged(self) -> JudgedDays | None:
        known = self._decisions[-1][1].numbers["judged"] if self._decisions else None
        return JudgedDays.from_json(known) if known else None

    def _open_incident(self) -> Incident | None:
        found = self._decisions[-1][1].incident
        return found if found is not None and found.is_open else None

    def _live(self) -> ReplayedJourney | None:
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
        """Open a journey, unless one is in flight, and judge it up to its shadow window. One that was prepared for an
        estimate gives way to an alarm of labels."""
        live = self._live()
        if live is not None:
            if live.alarm is None or alarm is not None or trigger is not Trigger.DRIFT:
                return
            live.ending = Ending.BROKEN
        changed_on = incident.change if incident else None
        former = [e.candidate for e in reversed(self._epochs[:-1])]
        judged = self._judged_before(as_of, changed_on)
        candidate = self._candidates.of(self.model, self.stream, as_of, changed_on, former, judged)
        journey = ReplayedJourney(candidate, trigger, reason, incident=incident, alarm=alarm)
        self._journeys.append(journey)
        journey.gates += self.gates_before_shadow(journey.candidate, self.champion.candidate, journey)
        if not journey.passes:
            journey.ending = Ending.FUTILE
        else:
            journey.opened_from = midnight(as_of)

    def _judged_before(self, as_of: datetime, changed_on: str | None) -> date | None:
        """The first day that no earlier candidate of the alarm was judged on beside the serving champion."""
        if changed_on is None:
            return None
        training, changed = self.model.training, date.fromisoformat(changed_on)
        delay = self.model.label.delay
        usual = training_windows(as_of, training.window_days, training.holdout_days, delay, changed)
        mine = JudgedAttempt("", as_of, usual.holdout, self.champion.candidate.name, changed)
        return judged_until(mine, judged_attempts(self._journeys))

    def gates_before_shadow(
        self, candidate: ReplayedCandidate, champion: ReplayedCandidate | None, journey: ReplayedJourney | None = None
    ) -> Iterator[GateResult]:
        """The journey's gates up to the shadow window, each only while those of the steps before it let the candidate
        through."""
        subject = ReplayedSubject(self.model, self.stream, candidate, champion, journey, self._beside(journey))
        for step in (BUILD, EVALUATE, REGISTER):
            stopped = False
            for gate in gates.after(self.model, step):
                if gate.replayable:
                    judged = gate.judge(self.model, subject)
                    stopped = stopped or stops(judged)
                    yield judged
                    if step == BUILD and stopped:
                        return
            if candidate.pipeline is None or stopped:
                return

    def _beside(self, journey: ReplayedJourney | None) -> list[ReplayedJourney]:
        return [other for other in self._journeys if other is not journey]

    # --- the shadow window -------------------------------------------------------------------------------------------

    def _shadow(self, rows: slice, end: datetime) -> ReplayedJourney | None:
        """Count the day in the open window; the journey whose window it closed, or None."""
        journey = self._live()
        if journey is None:
            return None
        journey.rows += rows.stop - rows.start
        journey.days += 1
        matured = max(journey.days - self.model.delay_days, 0)
        state = window_state(self.model.shadow.rules(), rows=journey.rows, days=journey.days, matured_days=matured)
        if state is Window.OPEN or (journey.alarm and end < estimate_hold.labels_tell_at(self.model, journey.alarm)):
            return None
        return journey

    def _after_shadow(self, journey: ReplayedJourney, closed: datetime) -> None:
        """``shadow_gate``, and the promotion from the end of the window on."""
        subject = ReplayedSubject(
            self.model,
            self.stream,
            journey.candidate,
            self.champion.candidate,
            journey,
            self._beside(journey),
            self._shadowed(journey, closed),
        )
        for gate in gates.after(self.model, SHADOW):
            if gate.replayable:
                journey.gates.append(gate.judge(self.model, subject))
        if not journey.passes:
            journey.ending = Ending.FUTILE
            return
        journey.ending, journey.serves_from = Ending.PROMOTED, closed
        self._epochs.append(ServingCandidate(journey.candidate, closed))
        self._estimates, self._counted = [], []

    def _shadowed(self, journey: ReplayedJourney, closed: datetime) -> Shadowed:
        """What its shadow window saw, which ended at ``closed``."""
        import numpy as np

        window = Interval(journey.opened_from or closed - DAY, closed)
        rows = self.stream.rows(window)
        matured = self.stream.matured(window, closed, self.model.label.delay) - rows.start
        y = np.full(rows.stop - rows.start, np.nan)
        y[matured] = self.stream.y[rows][matured]
        evidence = ShadowEvidence(
            task=Task(self.model.task),
            asked=rows.stop - rows.start,
            errors=0,
            champion=self.champion.candidate.scores(rows),
            challenger=journey.candidate.scores(rows),
            days=self.stream.day[rows],
            y=y,
            weight=self.stream.weighed(rows),
        )
        evidence = business.in_shadow(self.model, evidence, lambda: known_of(self.model, self.stream, rows))
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
            retrained_on=tuple(j.candidate.name for j in self._journeys if j.candidate.pipeline is not None),
            days=tuple(costs),
            serving=tuple(serving),
            journeys=tuple(j.told() for j in self._journeys),
            decisions=tuple(_decision(day, decision) for day, decision in self._decisions),
            notes=(*self._blind(), *self._tolerated()),
            incidents=incidents_of((day, decision.incident) for day, decision in self._decisions),
        )

    def _blind(self) -> tuple[str, ...]:
        """What a person must know when the sensor could never judge the champion's performance."""
        if not self._reports or any(d.numbers["flags"][-1]["realised"] is not None for _, d in self._decisions):
            return ()
        return (f"realised performance could not be judged on any day: {self._reports[-1].realised.reason}",)

    def _tolerated(self) -> tuple[str, ...]:
        """The tolerance of the first champion that was judged, as an amount and as a share."""
        if not self._reports:
            return ()
        found = self._reports[0].realised
        return (f"tolerance {found.tolerated} for the first champion",)


def _days(interval: Interval) -> Iterator[datetime]:
    moment = interval.start
    while moment < interval.end:
        yield moment
        moment += DAY


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
