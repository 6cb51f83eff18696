"""A champion's reference, and its losses on matured labels: read by the drift sensor and by the hold on a candidate
that an estimate asked for."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from include.adapters.ledger import Ledger
from include.config import ModelDeclaration
from include.config.base import amount_and_share
from include.domain import classes
from include.domain.drift.estimate_reference import EstimateReference
from include.domain.drift.maturity import Cohort
from include.domain.drift.profile import Profile
from include.domain.drift.settled import SettledDay, days_of, settled, settled_until
from include.domain.errors import Refusal
from include.domain.gap import Gap, Tolerated
from include.domain.incident_acts import AcceptedLevel
from include.domain.intervals import Interval
from include.domain.losses import DayLoss, losses_by_day
from include.domain.metrics import OwnMetricFailed
from include.domain.performance import RealisedPerformance, realised_performance
from include.domain.promotion import Epoch
from include.domain.risk_bounds import Band, Unit
from include.workflows import stores
from include.workflows.journey import fact_files, step
from include.workflows.journey.facts import ReferenceProfile
from include.workflows.lineage import promised
from include.workflows.scoring import matured_labels, row_weights, served_features
from include.workflows.scoring.request_ids import SERVED, by_row, is_judged, request_ids, scores_in
from include.workflows.scoring.row_values import name_of_loss, watched_losses, watched_metric
from include.workflows.scoring.served_features import FeaturesNotKept

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Matured(NamedTuple):
    """The served days whose labels have matured.

    Attributes:
        losses: of each day; empty where not all of them could be measured.
        cohorts: how many rows of each day have a label at all.
        unmeasured: why a day's losses could not be measured, as a sentence; None where all were.
    """

    losses: tuple[DayLoss, ...]
    cohorts: tuple[Cohort, ...]
    unmeasured: str | None = None


class NoReference(Refusal):
    """A champion whose reference profile is lost."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What evaluation kept of the version."""

    profile: Profile
    importances: dict[str, float]
    estimate: EstimateReference | None
    never_labelled: float | None
    """The share of its training rows that never got a label; None in versions from before it was kept."""
    lacking_by_age: tuple[float, ...] = ()
    """The share of them that had no label so many days after the label window closed; empty in versions from before."""
    accepted_on: str | None = None
    """The judged day on which a person accepted the level that its losses are; None where they are the holdout's."""
    weight: str | None = None
    """The column that its rows were weighed by; None where all counted the same."""
    naive: float | None = None
    """The mean loss of the naive baseline on the same rows; None where it was not kept."""
    loss: str | None = None
    """What its losses are of, as ``row_values.name_of_loss`` says it; None in versions from before it was kept."""

    def of_another_loss(self, model: ModelDeclaration) -> str | None:
        """Why its losses say nothing of what is watched now, as a sentence; None where they do."""
        now = name_of_loss(model)
        if self.loss in (None, now):
            return None
        return (
            f"Not judged: {now} is watched now, and what this champion is held against was measured as {self.loss}. "
            "The next champion is measured by what is watched; until then retrain, accept a level, or watch the former."
        )

    def as_weighed(self, model: ModelDeclaration) -> ModelDeclaration:
        """The model with the weight that the version was judged by: served rows are held against it by the same."""
        return model if model.weight == self.weight else model.model_copy(update={"weight": self.weight})

    @property
    def risks(self) -> tuple[float, float] | None:
        """The mean loss of the naive baseline and of the version; None where one of them was not measured."""
        rows = sum(day.rows for day in self.profile.losses)
        if self.naive is None or not rows:
            return None
        return self.naive, sum(day.total for day in self.profile.losses) / rows

    def at_level(
        self, level: AcceptedLevel | None, losses: tuple[DayLoss, ...], label_delay: timedelta
    ) -> tuple[Reference, tuple[DayLoss, ...]]:
        """The reference with an accepted level as its losses, and the served days that are compared with it."""
        if level is None:
            return self, losses
        at_it, later = level.split(losses, label_delay)
        return replace(self, profile=replace(self.profile, losses=at_it), accepted_on=level.accepted_on), later


def reference_of(epoch: Epoch) -> Reference:
    """The reference of the version, kept at its evaluation; from its MLflow run when this machine has no copy.

    Raises:
        NoReference: when neither has it.
    """
    folder = step.journey_folder(epoch.to_candidate)
    kept = fact_files.find(folder, ReferenceProfile)
    if kept is None:
        with stores.open_ledger() as ledger:
            run = ledger.candidates.get(epoch.to_candidate).facts.mlflow_run_id
        if run is None or not stores.registry().download(run, ReferenceProfile.FILE, folder):
            raise NoReference(
                f"The reference profile of champion {epoch.to_candidate} is gone, from this machine and from MLflow, "
                "so nothing can be held against it. Restore it there from a backup, or start a retrain: its candidate "
                "keeps a profile of its own."
            )
        kept = fact_files.read(folder, ReferenceProfile)
    labels = kept.labels
    return Reference(
        profile=Profile.from_json(kept.profile),
        importances=kept.importances,
        estimate=EstimateReference.from_json(kept.estimate) if kept.estimate else None,
        never_labelled=labels.never_labelled / labels.rows if labels and labels.rows else None,
        lacking_by_age=tuple(labels.lacking_by_age) if labels else (),
        weight=kept.weight,
        naive=kept.naive,
        loss=kept.loss,
    )


def realised(
    model: ModelDeclaration, reference: Reference, losses: tuple[DayLoss, ...], unmeasured: str | None = None
) -> RealisedPerformance:
    """The declared test of the champion's matured losses against the reference's; not judged where a day of them is
    ``unmeasured``, with the reason."""
    declared = model.drift.performance
    found = realised_performance(
        reference.profile.losses,
        losses,
        band=band_of(model, reference),
        window_days=declared.window_days,
        min_rows=declared.min_rows,
        unit=Unit(declared.unit),
    )
    if unmeasured is None and reference.accepted_on is None:
        unmeasured = reference.of_another_loss(model)
    if unmeasured is not None:
        found = replace(found, out_of_band=None, changed_on=None, reason=unmeasured)
    return replace(found, accepted_on=reference.accepted_on)


def matured(model: ModelDeclaration, epoch: Epoch, day: Interval) -> Matured:
    """Of each day the champion served, and whose last row's label window had closed by the end of ``day``: its losses,
    and how many rows have a label at all.

    Days that are settled are read once, each as of the moment it settled, and kept as sums; so what is read and held
    does not grow with the champion's age. Where rows are weighed every day is read again. One day that cannot be
    measured leaves all of them without losses: an average without it would be another one.
    """
    since, until = epoch.effective_from, day.end - model.label.delay
    if until <= since:
        return Matured((), ())
    end = settled_until(until, model.drift.performance.settles_days)
    # A kept day has one number of rows, and of weighted rows there are two: how many have a label, and their worth.
    old = Interval(since, end) if end > since and model.weight is None else None
    with stores.open_ledger() as ledger:
        kept, lost = _settled(ledger, model, epoch, old) if old is not None else ((), None)
        fresh = _measured(ledger, model, epoch, Interval(old.end if old is not None else since, until), day.end)
    losses, cohorts = (tuple(each for one in kept for each in getattr(one, name)) for name in ("losses", "cohorts"))
    unmeasured = lost or fresh.unmeasured
    return Matured((*losses, *fresh.losses) if unmeasured is None else (), (*cohorts, *fresh.cohorts), unmeasured)


def _settled(
    ledger: Ledger, model: ModelDeclaration, epoch: Epoch, old: Interval
) -> tuple[tuple[SettledDay, ...], str | None]:
    """The sums of the settled days; those not kept yet are measured, a day at a time, and kept. And why one of them
    could not be measured, which is tried again."""
    measured_as = _measured_as(model)
    kept = ledger.settled.of(model.name, epoch.revision, measured_as)
    after = model.label.delay + timedelta(days=model.drift.performance.settles_days)
    found: list[SettledDay] = []
    unmeasured: str | None = None
    for each in days_of(old):
        name = each.start.date().isoformat()
        one = kept.get(name)
        if one is None:
            as_of = Interval.of_day(name).end + after
            now = _measured(ledger, model, epoch, each, as_of)
            one, unmeasured = settled(name, now.losses, now.cohorts), unmeasured or now.unmeasured
            if now.unmeasured is None:
                ledger.settled.keep(model.name, epoch.revision, measured_as, [one])
        found.append(one)
    return tuple(found), unmeasured


def _measured_as(model: ModelDeclaration) -> str:
    """What a day's sums follow from besides its rows: with another loss or label they are measured again."""
    performance = model.drift.performance
    watched = watched_metric(model)
    parts = (
        model.task,
        performance.metric,
        model.business_sql(watched) if watched is not None else "",
        model.label.model_dump_json(),
        model.label_sql,
        str(performance.settles_days),
        *([model.serving.label_joins] if model.serving.label_joins != "last" else []),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _measured(ledger: Ledger, model: ModelDeclaration, epoch: Epoch, served: Interval, as_of: datetime) -> Matured:
    """The losses and cohorts of the days of ``served``, on the labels known at ``as_of``."""
    import pandas as pd

    log = promised.predictions(ledger, model.name, served, epoch.to_candidate)
    if log is None or log.num_rows == 0:
        return Matured((), ())
    rows = by_row(model, served_rows(log.to_pandas()))
    rows = rows.assign(row_id=rows.index).loc[is_judged(model, rows)].set_index("request_id")
    rows["day_served"] = _day_names(rows["event_time"])
    labels = matured_labels.matured_labels(model, served, as_of).to_pandas()
    truth = labels["label"]
    if model.is_classifier:
        truth = pd.Series(classes.positions(model.label.classes or [], truth)[0])
    # A row with a missing label has no label.
    named = _named(model, labels, truth).dropna()
    joined = rows.join(named, how="inner")
    labelled = joined["day_served"].value_counts()
    asked = rows["day_served"].value_counts()
    cohorts = tuple(Cohort(str(d), int(n), int(labelled.get(d, 0))) for d, n in sorted(asked.items()))
    try:
        losses = watched_losses(
            model,
            joined["y"].to_numpy(),
            scores_in(model, joined),
            lambda: served_features.known_of(ledger, model, served, epoch.to_candidate, pd.Index(joined["row_id"])),
        )
    except (FeaturesNotKept, OwnMetricFailed) as error:
        why = str(error).rstrip(".")
        return Matured((), cohorts, f"{model.drift.performance.metric} was not measured on labels: {why}.")
    weights = row_weights.of_answers(model, served, joined.index, f"the served rows of {served}")
    return Matured(losses_by_day(joined["day_served"].tolist(), losses, weights), cohorts)


def _day_names(times: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """``YYYY-MM-DD`` of each; text is made once a day, not once a row."""
    import numpy as np

    codes, days = times.dt.floor("D").factorize()
    names: np.ndarray[Any, Any] = days.strftime("%Y-%m-%d").to_numpy()
    return np.asarray(names[codes])


def served_rows(log: pd.DataFrame) -> pd.DataFrame:
    return log.loc[(log["role"] == SERVED) & log["error"].isna()]


def _named(model: ModelDeclaration, labels: pd.DataFrame, truth: pd.Series[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"y": truth.astype(float).to_numpy()}, index=request_ids(model, labels))


def band_of(model: ModelDeclaration, reference: Reference) -> Band:
    """What the champion's realised loss is held to: as declared, a share of the gap as the amount that it is of this
    reference's."""
    declared = model.drift.performance
    amount, share = amount_and_share(declared.tolerance)
    risks, root = reference.risks, math.sqrt if declared.metric == "rmse" else float
    if reference.of_another_loss(model) is not None:
        risks = None
    gap = None
    if risks is not None:
        # A watched loss is never below 0, which is a perfect model's.
        naive, own = (root(risk) for risk in risks)
        gap = Gap(naive - own, own)
    tolerated = Tolerated.of(amount, share, gap)
    return Band(declared.metric, tolerated.amount, declared.alpha, declared.run_length_days, share, gap)
