"""A project's own past, day by day through its Dags in order: history in bulk, a first champion where there is none,
then each day until the last, whatever happens in them. So shadow, drift and retrain are seen on one's own data in
minutes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from include.config import FeatureView, ModelDeclaration, declarations, loader
from include.config.settings import PROJECT
from include.domain.errors import Refusal
from include.domain.intervals import Interval
from include.workflows.services.demonstration import (
    LOOK_EVERY_S,
    Demonstration,
    DemonstrationOutcome,
    Plan,
    ReplayFailed,
)

DAGS_LISTED_S = 180.0
"""How long a Dag of a new declaration may take to be listed."""


class NoPast(Refusal, ValueError):
    """What was asked for is no past that can be replayed."""


@dataclass(frozen=True, slots=True)
class ChosenModels:
    """The models that are replayed, and the views that they read."""

    models: tuple[ModelDeclaration, ...]
    views: tuple[FeatureView, ...]


def is_demonstration() -> bool:
    """Whether the declarations are those of the flights, whose source a replay fills."""
    from include.adapters.nycflights import TABLES

    views = declarations().views.values()
    return loader.ROOT == PROJECT / "include" and {each.table for v in views for each in v.source} <= TABLES


def chosen(names: Sequence[str]) -> ChosenModels:
    """The named models, or all that can be used.

    Raises:
        UnknownName: for a model that is not declared. NoPast: when none is.
    """
    read = declarations()
    models = tuple(read.model(name) for name in dict.fromkeys(names)) or tuple(read.models.values())
    if not models:
        broken = f" What is declared is broken: {next(iter(read.broken))}." if read.broken else ""
        raise NoPast(f"{loader.ROOT} declares no model that can be used; `slipway validate` says more.{broken}")
    used = {use.view for model in models for use in model.views}
    return ChosenModels(models, tuple(view for ref, view in read.views.items() if ref in used))


def plan_of(these: ChosenModels, start: str, end: str, history_from: str | None) -> Plan:
    """The days; the history begins where the first view's calendar does, unless it is said.

    Raises:
        BadInterval: for days that are none, or in the wrong order. NoPast: when nothing is before the start.
    """
    days = Interval.between(start, end)
    first = history_from or min(view.calendar.starts for view in these.views).isoformat()
    if first >= start:
        raise NoPast(f"The first day is {start}, and the history begins on {first}: nothing is there to learn from.")
    Interval.between(first, start)
    ends = [view for view in these.views if view.calendar.ends is not None and view.calendar.ends < days.end.date()]
    if ends:
        raise NoPast(f"The last day is {end}, and the calendar of view {ends[0].ref} ends on {ends[0].calendar.ends}.")
    return Plan(first, start, end)


@dataclass(slots=True)
class OwnPast(Demonstration):
    """One replay of a project's own past over one running Airflow."""

    def prepare(self) -> None:
        """Wait until the Dags are listed, and let them run; others stay as they are."""
        wanted = [f"features_{view.slug}" for view in self.views]
        for model in self.models:
            verbs = ("drift", "retrain", "rollback", *(("ahead",) if model.score is not None else ()))
            wanted += [model.answering_dag, *(f"{verb}_{model.name}" for verb in verbs)]
        began = self.clock()
        while missing := sorted(set(wanted) - set(self.api.dags())):
            self._check_stop()
            if self.clock() - began > DAGS_LISTED_S:
                errors = "; ".join(" ".join(text.split())[-300:] for text in self.api.import_errors().values())
                raise ReplayFailed(
                    f"Airflow lists no Dag {', '.join(missing)} after {DAGS_LISTED_S:.0f} s. It reads the declarations "
                    f"that it was started with: start it in this project's shell. {errors or 'No file is broken'}."
                )
            self.tell.now(f"Waiting until Airflow lists {', '.join(missing)}")
            time.sleep(LOOK_EVERY_S * 4)
        for dag_id in wanted:
            self.api.unpause(dag_id)

    def load_history(self) -> None:
        """Every view from its own first day to the start, one bulk run a view."""
        began, runs = self.clock(), {}
        for view in self.views:
            start = max(self.plan.history_from, view.calendar.starts.isoformat())
            if start >= self.plan.start:
                continue
            run_id = f"history__{start}__{self.plan.start}"
            self.api.trigger(f"features_{view.slug}", run_id, {"start": start, "end": self.plan.start})
            runs[f"features_{view.slug}"] = run_id
        self._wait(runs, "history")
        self.tell.line(
            f"History {self.plan.history_from} to {self.plan.start}: {', '.join(v.ref for v in self.views)}, in "
            f"{self.clock() - began:.0f} s."
        )

    def train_first_champions(self) -> None:
        """A journey as of the start for each model that has no champion; the others keep theirs."""
        every = self.models
        have = {m.name for m in every if self.api.slipway(f"models/{m.name}", f"show {m.name}")["champions"]}
        if have:
            self.tell.line(f"{', '.join(sorted(have))}: there is a champion already.")
        self.models = [model for model in every if model.name not in have]
        try:
            if self.models:
                super(OwnPast, self).train_first_champions()
        finally:
            self.models = every

    def is_over(self, outcome: DemonstrationOutcome) -> bool:
        """Never before its last day."""
        return False
