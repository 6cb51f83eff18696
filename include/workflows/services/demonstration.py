"""Drives the year through Airflow's REST API, as a scheduler and a caller would: history in bulk, first champions, then
day after day until a journey that drift started has ended, and where it promoted a model, until a week of its labels is
known.

Nothing here forces a decision. The driver starts the feature Dags of a day; what scores it, what judges it and what is
retrained follows from the assets and from the drift Dag's own decision. Every run id says what it is for, so that a
replay that was stopped goes on where it was, and one that ended finds everything done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from include.adapters.airflow_api import AirflowApi, DagRun
from include.config import FeatureView, ModelDeclaration, declared_models, declared_views
from include.domain.errors import NotDone
from include.domain.intervals import Interval

LOOK_EVERY_S = 0.25
LOOKING_AT_MOST = 0.2
"""The share of the time in which Airflow is asked how far it is: where it answers slowly it has other work."""
LOST_EVENT_S = 45.0
"""How long after the end of what it follows a run may be missing before it is started by hand: an asset event can be
lost."""
DAYS_AFTER = 9
"""Days replayed after a promotion, so that what it was worth can be said: a week, and the time labels take."""


class ReplayFailed(NotDone):
    """A run that the replay depends on failed; the message names it and where to look."""


class Stopped(Exception):
    """The replay was asked to end."""


class DemonstrationProgress(Protocol):
    """Shows the progress: ``now`` is replaced by the next text, ``line`` stays."""

    def now(self, text: str) -> None: ...

    def line(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Which days. All are ``YYYY-MM-DD`` in UTC."""

    history_from: str
    start: str
    """The first day that is replayed one by one; the history before it is loaded in bulk, champions are trained as of
    it."""
    end: str
    """The day after the last."""
    days_after: int = DAYS_AFTER


@dataclass(frozen=True, slots=True)
class DemonstratedJourney:
    """One journey as the driver saw it."""

    dag_id: str
    run_id: str
    promoted: bool
    """By the ledger; the run's colour is not asked."""
    outcome: str


@dataclass(slots=True)
class DemonstrationOutcome:
    """What happened. ``drifted`` are the journeys that drift started and that have ended."""

    days: list[str] = field(default_factory=list)
    seconds_per_day: list[float] = field(default_factory=list)
    drifted: list[DemonstratedJourney] = field(default_factory=list)
    waiting_for: str | None = None
    """The task that waits for a person, when that is why the replay ended."""

    @property
    def loop_closed(self) -> bool:
        """Whether drift started a journey that ended in a promotion, as the ledger has it."""
        return any(j.promoted for j in self.drifted)


@dataclass(slots=True)
class Demonstration:
    """One replay over one running Airflow."""

    api: AirflowApi
    plan: Plan
    tell: DemonstrationProgress
    stop: threading.Event = field(default_factory=threading.Event)
    views: list[FeatureView] = field(default_factory=declared_views)
    models: list[ModelDeclaration] = field(default_factory=declared_models)
    clock: Callable[[], float] = time.monotonic
    _materialized: set[tuple[str, str]] = field(default_factory=set)
    """The views and days whose runs were started."""
    _scored: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """What the runs that score or collect handed on, by Dag and run id: each query costs the API server time."""
    _judging: int = 0
    """How many more days are replayed once a journey that drift started has ended."""
    _ahead: dict[str, dict[str, str]] = field(default_factory=dict)
    """The days whose runs ahead were started: Dag to run id."""
    _journey_seen: bool = True
    """Whether a journey was under way since the ended ones were last checked; there may be one of an earlier replay."""

    def run(self) -> DemonstrationOutcome:
        """The whole replay.

        Raises:
            ReplayFailed: naming the run that failed.
            Stopped: when ``stop`` was set.
        """
        self.prepare()
        self.load_history()
        self.train_first_champions()
        outcome, self._judging = DemonstrationOutcome(), self.plan.days_after
        days = Interval.between(self.plan.start, self.plan.end).days
        for day, following in zip(days, [*days[1:], None], strict=True):
            began = self.clock()
            shadows_closed = self.replay_day(day, following)
            outcome.days.append(day)
            outcome.seconds_per_day.append(self.clock() - began)
            if self.follow_journeys(day, outcome, shadows_closed) or self.is_over(outcome):
                break
        return outcome

    def prepare(self) -> None:
        """Let every Dag run."""
        for dag_id in self.api.dags():
            self.api.unpause(dag_id)

    def is_over(self, outcome: DemonstrationOutcome) -> bool:
        """Whether what happened is enough: a journey that drift started has ended, and what it was worth is known."""
        if not outcome.drifted:
            return False
        self._judging -= 1
        return not outcome.loop_closed or self._judging < 0

    # --- history and first champions ---------------------------------------------------------------------------------

    def load_history(self) -> None:
        """Every view from the first day to the start, one bulk run a view."""
        start, end = self.plan.history_from, self.plan.start
        run_id = f"history__{start}__{end}"
        began = self.clock()
        for view in self.views:
            self.api.trigger(f"features_{view.slug}", run_id, {"start": start, "end": end})
        self._wait({f"features_{view.slug}": run_id for view in self.views}, "history")
        self.tell.line(f"History {start} to {end}: {len(self.views)} views in {self.clock() - began:.0f} s.")

    def train_first_champions(self) -> None:
        """A journey for each model, as of the start. A model that has a champion already finds its journey done."""
        began = self.clock()
        run_id = f"first_champion__{self.plan.start}"
        conf = {"as_of": self.plan.start, "reason": "First champion of the replay", "requested_by": "slipway replay"}
        for model in self.models:
            self.api.trigger(f"retrain_{model.name}", run_id, conf)
        self._wait({f"retrain_{model.name}": run_id for model in self.models}, "first champions")
        for model in self.models:
            ending = self.api.ending(f"retrain_{model.name}", run_id)
            if ending is None or not ending["well"]:
                said = ending["sentence"] if ending is not None else "it opened no journey"
                raise ReplayFailed(f"retrain_{model.name} {run_id} made no champion: {said}")
        self.tell.line(
            f"First champions as of {self.plan.start}: {', '.join(m.name for m in self.models)}, in "
            f"{self.clock() - began:.0f} s."
        )

    # --- one day -----------------------------------------------------------------------------------------------------

    def replay_day(self, day: str, following: str | None = None) -> bool:
        """Materialize the day and wait until every model has scored and judged it; say what was decided.

        While it is judged, the views of the ``following`` day are prepared, except the views whose rows are the
        requests: without requests nothing of that day is scored, and no as-of time moves. What is answered ahead on
        that day is answered then too, unless a journey is under way, which may promote another model until the day
        begins.

        Returns whether a shadow window closed with this day.
        """
        # A day is closed when its requests are published, and what is answered ahead is answered before that.
        requests = {m.entity.view for m in self.models}
        ahead = self._answer_ahead(day)
        self._materialize(day, (v for v in self.views if v.ref not in requests))
        self._wait(ahead, day)
        self._materialize(day, self.views)
        runs = self._wait_for_day(day, following)
        closed = False
        for model in self.models:
            closed |= self._tell_day(day, model, runs)
        return closed

    def _answer_ahead(self, day: str) -> dict[str, str]:
        """Start the day's runs ahead, all of a model's in one, unless they were started before; Dag to run id."""
        if day in self._ahead:
            return self._ahead[day]
        end = Interval.of_day(day).end.date().isoformat()
        found = {f"ahead_{m.name}": f"ahead__{day}" for m in self.models if m.score is not None}
        for dag_id, run_id in found.items():
            self.api.trigger(dag_id, run_id, {"start": day, "end": end})
        self._ahead[day] = found
        return found

    def _materialize(self, day: str, views: Iterable[FeatureView]) -> None:
        """Start the views' runs of the day; one that was started before is found by its run id."""
        for view in views:
            if (view.name, day) not in self._materialized:
                self.api.trigger(f"features_{view.slug}", f"replay__{day}", partition_key=_key(day))
                self._materialized.add((view.name, day))

    def _wait_for_day(self, day: str, following: str | None) -> dict[str, DagRun]:
        """The newest run of each Dag for the day, once all that have to have ended."""
        waited: dict[str, float] = {}
        requests = {m.entity.view for m in self.models}
        while True:
            self._check_stop()
            asked = self.clock()
            runs: dict[str, DagRun] = {}
            for run in self.api.dag_runs(partition_key=day):
                runs.setdefault(run.dag_id, run)
            self._fail_on(
                run for run in runs.values() if run.dag_id.startswith(("features_", "ahead_", "score_", "collect_"))
            )
            if following and all(_ended(runs.get(m.answering_dag)) for m in self.models):
                self._materialize(following, (v for v in self.views if v.ref not in requests))
                if not self._journey_seen:
                    self._answer_ahead(following)
            missing = [dag_id for dag_id in self._expected(runs) if dag_id not in runs or not runs[dag_id].finished]
            if not missing:
                return runs
            under_way = ", ".join(
                f"{dag_id} {runs[dag_id].state if dag_id in runs else 'to come'}" for dag_id in missing
            )
            self.tell.now(f"{day}: {under_way}")
            self._start_lost(day, [dag_id for dag_id in missing if dag_id not in runs], runs, waited)
            self._pause(asked)

    def _expected(self, runs: Mapping[str, DagRun]) -> Iterator[str]:
        for view in self.views:
            yield f"features_{view.slug}"
        for model in self.models:
            yield model.answering_dag
            scored = runs.get(model.answering_dag)
            if scored is None or not scored.finished or self._was_scored(scored):
                yield f"drift_{model.name}"

    def _was_scored(self, run: DagRun) -> bool:
        """Whether the day has predictions; a model without a champion skips it, and then nothing judges it either."""
        return self._handed_on(run) is not None

    def _handed_on(self, score: DagRun) -> dict[str, Any] | None:
        """What the ended run that scored or collected the day returned; None where it skipped the day."""
        known = f"{score.dag_id} {score.run_id}"
        if known not in self._scored:
            self._scored[known] = self.api.xcom(score.dag_id, score.run_id, score.dag_id.partition("_")[0])
        return self._scored[known]

    def _start_lost(self, day: str, missing: list[str], runs: Mapping[str, DagRun], waited: dict[str, float]) -> None:
        """Start what no event has started; ``waited`` keeps since when it could have been."""
        features = [f"features_{view.slug}" for view in self.views]
        follows = dict.fromkeys((m.answering_dag for m in self.models), features)
        follows |= {f"drift_{m.name}": [m.answering_dag] for m in self.models}
        for dag_id in missing:
            if dag_id not in follows or not all(_ended(runs.get(each)) for each in follows[dag_id]):
                continue
            if self.clock() - waited.setdefault(dag_id, self.clock()) > LOST_EVENT_S:
                self.tell.line(f"{day}: no asset event reached {dag_id} in {LOST_EVENT_S:.0f} s; starting its run.")
                self.api.trigger(dag_id, f"replay__{day}", partition_key=_key(day))
                waited[dag_id] = self.clock()

    def _tell_day(self, day: str, model: ModelDeclaration, runs: Mapping[str, DagRun]) -> bool:
        scored = self._handed_on(runs[model.answering_dag])
        if scored is None:
            self.tell.line(f"{day}  {model.name:<13} not scored: no champion, or no row, on that day")
            return False
        judged = runs[f"drift_{model.name}"]
        decision = self.api.xcom(judged.dag_id, judged.run_id, "decide")
        red = [] if judged.state == "success" else self._red(judged)
        self._journey_seen |= decision is not None and decision["action"] == "retrain"
        if decision is None or (red and red != ["escalate"]):
            raise ReplayFailed(self._where(judged, "failed"))
        shadows, early = scored["facts"]["shadow"], scored["facts"].get("answered")
        beside = "".join(f" {s['candidate_id']} is in shadow, day {s['days']}." for s in shadows)
        ahead = f" {early['ahead']:,} answered ahead." if early is not None else ""
        self.tell.line(
            f"{day}  {model.name:<13} {scored['facts']['rows']:>5,} rows  {decision['action']:<8}  "
            f"{decision['reason']}{beside}{ahead}"
        )
        return any(s["closed"] for s in shadows)

    # --- journeys ----------------------------------------------------------------------------------------------------

    def follow_journeys(self, day: str, outcome: DemonstrationOutcome, shadows_closed: bool) -> bool:
        """Let every journey go on until it ended or waits for days or for a person; whether a person is asked, so
        that the replay is over."""
        journeys = {f"retrain_{m.name}" for m in self.models}
        while True:
            self._check_stop()
            asked = self.clock()
            active = [r for r in self.api.dag_runs(states=("queued", "running")) if r.dag_id in journeys]
            self._journey_seen |= bool(active)
            busy = False
            for run in active:
                doing = {t.task_id: t.state for t in self.api.task_instances(run.dag_id, run.run_id)}
                asks = next((task for task, state in doing.items() if state == "awaiting_input"), None)
                if asks is not None:
                    outcome.waiting_for = f"{run.dag_id} {run.run_id} {asks}"
                    self.tell.line(
                        f"{day}  {asks} of {run.run_id} is INCONCLUSIVE and waits for a person in Airflow, "
                        "under Required Actions."
                    )
                    return True
                waits = doing.get("shadow_window") == "deferred" and not shadows_closed
                if not waits:
                    busy = True
                    now = ", ".join(
                        task for task, state in doing.items() if state in ("running", "queued", "scheduled", "deferred")
                    )
                    self.tell.now(f"{day}: journey {run.run_id}: {now or 'between two tasks'}")
            if not busy:
                if self._journey_seen:
                    self._note_ended(day, outcome)
                self._journey_seen = bool(active)
                return False
            self._pause(asked)

    def _note_ended(self, day: str, outcome: DemonstrationOutcome) -> None:
        """Keep how each journey that drift started ended."""
        known = {j.run_id for j in outcome.drifted}
        for model in self.models:
            for run in self.api.dag_runs(f"retrain_{model.name}", states=("success", "failed")):
                if run.run_id.startswith("drift__") and run.run_id not in known:
                    ending = self.api.ending(run.dag_id, run.run_id)
                    said = ending["sentence"] if ending is not None else "it opened no candidate"
                    promoted = ending is not None and ending["revision"] is not None
                    outcome.drifted.append(DemonstratedJourney(run.dag_id, run.run_id, promoted, said))
                    how = "promoted" if promoted else "not promoted"
                    self.tell.line(f"{day}  journey {run.run_id} ended: {how}. {said}")

    # --- small things ------------------------------------------------------------------------------------------------

    def _wait(self, runs: Mapping[str, str], what: str) -> None:
        while True:
            self._check_stop()
            asked = self.clock()
            found = [self.api.dag_run(dag_id, run_id) for dag_id, run_id in runs.items()]
            self._fail_on(found)
            left = [run for run in found if not run.finished]
            if not left:
                return
            doing = []
            for run in left:
                doing_now = self.api.task_instances(run.dag_id, run.run_id)
                asks = next((t.task_id for t in doing_now if t.state == "awaiting_input"), None)
                if asks is not None:
                    raise ReplayFailed(
                        f"{asks} of {run.dag_id} {run.run_id} waits for a person: decide in Airflow, under Required "
                        "Actions, and run this again; it goes on"
                    )
                tasks = [t.task_id for t in doing_now if t.state == "running"]
                doing.append(f"{run.dag_id} {'/'.join(tasks) or run.state}")
            self.tell.now(f"{what}: {', '.join(doing)}")
            self._pause(asked)

    def _pause(self, asked: float) -> None:
        """Before Airflow is asked again, of which the last questions began at ``asked``."""
        time.sleep(min(max(LOOK_EVERY_S, (self.clock() - asked) * (1 / LOOKING_AT_MOST - 1)), LOOK_EVERY_S * 8))

    def _fail_on(self, runs: Any) -> None:
        for run in runs:
            if run.state == "failed":
                raise ReplayFailed(self._where(run, "failed"))

    def _where(self, run: DagRun, what: str) -> str:
        red = self._red(run)
        page = f"{self.api.url}/dags/{run.dag_id}/runs/{run.run_id}"
        return f"{run.dag_id} {run.run_id} {what}{f' at {red[0]}' if red else ''}; its log is at {page}"

    def _red(self, run: DagRun) -> list[str]:
        return [t.task_id for t in self.api.task_instances(run.dag_id, run.run_id) if t.state == "failed"]

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stopped


def _ended(run: DagRun | None) -> bool:
    return run is not None and run.finished


def _key(day: str) -> str:
    return f"{day}T00:00:00"
