"""The assets that join the Dags, and the schedules that listen to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

from airflow.sdk import Asset, AssetAll, CronPartitionTimetable, CronTriggerTimetable, PartitionedAssetTimetable

from include.config import FeatureView, ModelDeclaration, declarations
from include.config.scored_ahead import times_of
from include.config.views import slug


def partition(view: FeatureView | str) -> Asset:
    """One published day of a feature view; the event carries the day as its partition."""
    name = slug(view if isinstance(view, str) else view.ref)
    return Asset(name=f"{name}.partition", uri=f"slipway://features/{name}", group="features")


def scored(model: ModelDeclaration) -> Asset:
    """One scored day of a model."""
    return Asset(name=f"{model.name}.scored", uri=f"slipway://predictions/{model.name}", group="predictions")


def daily_partitions(view: FeatureView) -> CronPartitionTimetable:
    """A day is materialized when it is over: the run at midnight makes the partition of the day before."""
    return CronPartitionTimetable(view.calendar.cron, timezone="UTC", run_offset=-1)


def each_partition_of(model: ModelDeclaration) -> PartitionedAssetTimetable:
    """Once a day of every view the model reads was published."""
    return PartitionedAssetTimetable(assets=_all(partition(use.view) for use in model.views))


def each_scored_partition(model: ModelDeclaration) -> PartitionedAssetTimetable:
    """Once a day of the model's predictions was published."""
    return PartitionedAssetTimetable(assets=scored(model))


def answer_times(model: ModelDeclaration) -> CronPartitionTimetable:
    """Each time at which the model answers ahead; the run's partition is that time."""
    if model.score is None:
        raise ValueError(f"{model.name} declares no score")
    times = times_of(model.score, [declarations().view(use.view) for use in model.views])
    return CronPartitionTimetable(times.cron, timezone="UTC")


def while_live(model: ModelDeclaration) -> CronTriggerTimetable:
    """How often the open day of a model that is asked online is collected."""
    minutes = int(model.serving.collect_every / timedelta(minutes=1))
    return CronTriggerTimetable("0 * * * *" if minutes == 60 else f"*/{minutes} * * * *", timezone="UTC")


def declared_schedule(model: ModelDeclaration) -> CronTriggerTimetable | None:
    """The model's declared cron for journeys, from now on; None without one."""
    cron = model.training.schedule
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0)) if cron else None


def starts(view: FeatureView) -> datetime:
    """The first moment the source has."""
    return datetime.combine(view.calendar.starts, time.min, UTC)


def ends(view: FeatureView) -> datetime | None:
    """The moment after which nothing is scheduled, or None when the source is open-ended."""
    return datetime.combine(view.calendar.ends, time.min, UTC) if view.calendar.ends else None


def spine(model: ModelDeclaration) -> FeatureView:
    """The view whose rows the model scores; its calendar is the model's."""
    return declarations().view(model.entity.view)


def _all(assets: Iterable[Asset]) -> Asset | AssetAll:
    found = list(assets)
    return found[0] if len(found) == 1 else AssetAll(*found)
